/** The documents of a data access request: read, checked, digested. */

import type { Config, Deployment, Governance, Ingress } from '../../../schemas/generated/types.ts'
import { collisionKey } from '../../crate/bag-path.ts'
import { isLfsPointer, lfsTodo } from '../../git/lfs.ts'
import { pathDefect } from '../../git/paths.ts'
import { readBounded } from '../../git/read-bounded.ts'
import type { GitRepository, Oid, TreeEntry } from '../../git/repository.ts'
import { digestOf } from '../../runtime/canonical.ts'
import { CratewrightError, type Problem, problem } from '../../runtime/errors.ts'
import { oneLine } from '../../runtime/one-line.ts'
import { parseToml } from '../../schema/toml.ts'
import { validate } from '../../schema/validate.ts'
import { parseYaml } from '../../schema/yaml.ts'

/** The four files that make a request, relative to its folder. */
export const requestFiles = {
  config: 'config.toml',
  governance: 'resources/governance/cr8-governance.yaml',
  ingress: 'resources/data/cr8-ingress.yaml',
  deployment: 'resources/deployment/cr8-deployment.yaml',
} as const

/** What of a request's folder is the request: sign-offs are answers to it, and other files say nothing. */
export const contentPaths: readonly string[] = Object.values(requestFiles)

export const maxDocumentBytes = 1024 * 1024
const maxFolderEntries = 2_000
const maxFolderDepth = 32
/** Problems of names that are told of one folder, and characters of each name. */
const maxNames = 50
const maxShown = 300

export interface RequestDocuments {
  readonly governance: Governance
  readonly ingress: Ingress
  readonly deployment: Deployment
  readonly config: Config
  readonly digest: string
}

export interface ParsedRequest {
  readonly documents: RequestDocuments | undefined
  readonly problems: readonly Problem[]
}

export interface RequestFolder {
  readonly entries: readonly TreeEntry[]
  /** Contents of the four files, where present. */
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly problems: readonly Problem[]
}

/** Reads the four files of the request in `folder` ('' = the repository's root) at a commit. Never follows a link. */
export async function readFolder(
  repository: GitRepository,
  commit: Oid,
  folder: string,
  signal: AbortSignal,
): Promise<RequestFolder> {
  let entries: readonly TreeEntry[]
  try {
    entries = await repository.list(commit, folder, signal)
  } catch (error) {
    // One folder that cannot be listed is nobody else's problem.
    if (!(error instanceof CratewrightError) || error.code !== 'TreeTooLarge') throw error
    return {
      entries: [],
      files: new Map(),
      problems: [problem('TreeTooLarge', error.message, { where: { file: folder } })],
    }
  }
  // Whoever answers a request, or only fills the folder of answers, does not make it too large to be read.
  const answers = folder === '' ? 'sign-offs/' : `${folder}/sign-offs/`
  const content = entries.filter(({ path }) => !path.startsWith(answers))
  const signOffs = entries.filter(({ path }) => path.startsWith(answers))
  const looked = [...content.slice(0, maxFolderEntries), ...signOffs.slice(0, maxFolderEntries)]
  const problems = [...looked.flatMap(entry => unsafe(entry)), ...colliding(looked)].slice(0, maxNames)
  problems.push(
    ...olderLayout(
      entries.map(({ path }) => path),
      folder,
    ),
  )
  if (content.length > maxFolderEntries) {
    problems.push(
      problem('TreeTooLarge', `the folder holds ${content.length} files, and may hold ${maxFolderEntries}`, {
        where: { file: folder },
      }),
    )
  }
  const wanted = Object.values(requestFiles).flatMap(name => {
    const path = folder === '' ? name : `${folder}/${name}`
    const entry = entries.find(candidate => candidate.path === path && isRegular(candidate))
    return entry ? [{ name, path, oid: entry.oid }] : []
  })
  const blobs = await readBounded(
    repository,
    wanted.map(({ oid }) => oid),
    maxDocumentBytes,
    signal,
  )
  const files = new Map<string, Uint8Array>()
  for (const { name, path, oid } of wanted) {
    const content = blobs.get(oid)
    if (content) files.set(name, content)
    else {
      const message = `the file has more than the ${maxDocumentBytes} bytes that it may have`
      problems.push(problem('DocumentTooLarge', message, { where: { file: path } }))
    }
  }
  return { entries, files, problems }
}

/** Files of the TOML generation, where nothing newer lies beside them: their own names say more than what is missing. */
export const olderFiles: readonly string[] = ['resources/governance/project.toml', 'resources/access/access.toml']

/** `paths`: the files that are there, with the folder's own. */
export function olderLayout(paths: readonly string[], folder: string): Problem[] {
  const prefix = folder === '' ? '' : `${folder}/`
  const has = (name: string) => paths.includes(prefix + name)
  const older = olderFiles.find(has)
  if (older === undefined || has(requestFiles.governance) || has(requestFiles.ingress)) return []
  return [
    problem('DocumentMissing', `${older} is of the older layout, in TOML, which is not read`, {
      where: { file: prefix + older },
      todo: 'Take over what it says with `cratewright initiate <project> --from <this folder>`.',
    }),
  ]
}

const parsedBefore = new WeakMap<ReadonlyMap<string, Uint8Array>, Map<string, ParsedRequest>>()

/** Reads what a request says; the same files once. `prefix` is put before file names in problems. */
export function parseRequest(files: ReadonlyMap<string, Uint8Array>, prefix: string): ParsedRequest {
  const known = parsedBefore.get(files) ?? new Map<string, ParsedRequest>()
  parsedBefore.set(files, known)
  const result = known.get(prefix) ?? parseFiles(files, prefix)
  known.set(prefix, result)
  return result
}

function parseFiles(files: ReadonlyMap<string, Uint8Array>, prefix: string): ParsedRequest {
  const problems: Problem[] = []
  const read = <T>(name: string, className: string): { value: T; written: unknown } | undefined => {
    const file = prefix === '' ? name : `${prefix}/${name}`
    const content = files.get(name)
    if (!content) {
      problems.push(
        problem('DocumentMissing', `${name} is missing`, {
          where: { file },
          todo: `Add ${file}; \`examples/\` has one to start from.`,
        }),
      )
      return undefined
    }
    if (isLfsPointer(content)) {
      problems.push(
        problem('DocumentInvalid', `${name} is a Git LFS pointer; what it points to is never fetched`, {
          where: { file, line: 1, column: 1 },
          todo: lfsTodo,
        }),
      )
      return undefined
    }
    const parsed = name.endsWith('.toml') ? asDocuments(parseToml(content, file)) : parseYaml(content, file)
    problems.push(...parsed.problems)
    const [document, second] = parsed.documents
    if (!document && parsed.problems.length === 0)
      problems.push(problem('DocumentInvalid', `${name} is empty`, { where: { file, line: 1, column: 1 } }))
    if (!document || parsed.problems.length > 0) return undefined
    if (second) {
      problems.push(
        problem('DocumentInvalid', `${name} holds more than one document`, {
          where: second.at([]),
          todo: 'Keep the first one only.',
        }),
      )
      return undefined
    }
    const checked = validate<T>(className, document)
    problems.push(...checked.problems)
    return checked.value === undefined ? undefined : { value: checked.value, written: document.value }
  }
  const config = read<Config>(requestFiles.config, 'Config')
  const governance = read<Governance>(requestFiles.governance, 'Governance')
  const ingress = read<Ingress>(requestFiles.ingress, 'Ingress')
  const deployment = read<Deployment>(requestFiles.deployment, 'Deployment')
  if (!config || !governance || !ingress || !deployment) return { documents: undefined, problems }
  const digest = requestDigest({
    governance: governance.written,
    ingress: ingress.written,
    deployment: deployment.written,
    config: config.written,
  })
  return {
    documents: {
      governance: governance.value,
      ingress: ingress.value,
      deployment: deployment.value,
      config: config.value,
      digest,
    },
    problems,
  }
}

/**
 * SHA-256 over the RFC 8785 JSON of the documents as written: no default filled in, what the old tool wrote back left out,
 * so that taking over a request from it does not change what was asked for.
 */
export function requestDigest(written: {
  governance: unknown
  ingress: unknown
  deployment: unknown
  config: unknown
}): string {
  const governance = clone(written.governance)
  for (const key of ['id', 'start_time', 'actions']) delete objectAt(governance, 'project')?.[key]
  const ingress = clone(written.ingress)
  const datasets = ingress.datasets
  if (Array.isArray(datasets)) {
    for (const dataset of datasets)
      for (const key of ['locations', 'staging_path', 'publish_path']) delete (dataset as Dict)[key]
  }
  const { deployment, config } = written
  return digestOf({ schema: 'cratewright.dev/request/v1', governance, ingress, deployment, config })
}

type Dict = Record<string, unknown>

function clone(value: unknown): Dict {
  return structuredClone(value) as Dict
}

function objectAt(value: Dict, key: string): Dict | undefined {
  const inner = value[key]
  return typeof inner === 'object' && inner !== null ? (inner as Dict) : undefined
}

function asDocuments(parsed: ReturnType<typeof parseToml>): ReturnType<typeof parseYaml> {
  return { documents: parsed.document ? [parsed.document] : [], problems: parsed.problems }
}

function isRegular({ mode }: TreeEntry): boolean {
  return mode === '100644' || mode === '100755'
}

function unsafe({ path, mode }: TreeEntry): Problem[] {
  const refuse = (why: string) => [refused(path, why)]
  if (mode === '120000') return refuse('is a symbolic link; links are never followed')
  if (mode === '160000') return refuse('is a submodule; submodules are never fetched')
  if (!isRegular({ path, mode, oid: '' })) return refuse(`has file mode ${mode}`)
  if (path.split('/').length > maxFolderDepth) return refuse(`lies in more than ${maxFolderDepth - 1} folders`)
  const defect = pathDefect(path)
  return defect === undefined ? [] : refuse(defect)
}

/**
 * Names that some checkout takes for one: there twice, or different only in case or in how accents are put together. An approver
 * there would look at one file, and the controller at the other.
 */
function colliding(entries: readonly TreeEntry[]): Problem[] {
  const seen = new Map<string, { readonly name: string; readonly isFile: boolean }>()
  return entries.flatMap(({ path }) => {
    const parts = path.split('/')
    if (parts.length > maxFolderDepth) return []
    const names = parts.map((_, index) => parts.slice(0, index + 1).join('/'))
    let clash: string | undefined
    for (const [index, name] of names.entries()) {
      const key = collisionKey(name)
      const isFile = index === names.length - 1
      const other = seen.get(key)
      if (!other) seen.set(key, { name, isFile })
      else if (other.name !== name || isFile || other.isFile) clash ??= other.name
    }
    if (clash === undefined) return []
    if (names.includes(clash)) return [refused(path, 'is there twice')]
    return [refused(path, `and ${shown(clash)} are one name where case or accents are folded`)]
  })
}

function refused(path: string, why: string): Problem {
  return problem('UnsafePath', `${shown(path)} ${why}`, { where: { file: shown(path) } })
}

/** A name can have as many bytes as a tree. */
function shown(path: string): string {
  return oneLine(path.length > maxShown ? `${path.slice(0, maxShown)}…` : path)
}
