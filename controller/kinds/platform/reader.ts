/** Turns the manifests of the platform repository into resources. One bad document never stops the others. */

import type { Manifest } from '../../../schemas/generated/types.ts'
import type { Reader, ReadResult, Resource, ResourceType } from '../../engine/kind.ts'
import { suspendAnnotation } from '../../engine/suspend.ts'
import { isLfsPointer, lfsTodo } from '../../git/lfs.ts'
import { pathDefect } from '../../git/paths.ts'
import { readBounded } from '../../git/read-bounded.ts'
import type { GitRepository, Oid } from '../../git/repository.ts'
import { asCratewrightError, CratewrightError, type Problem, problem, type Where } from '../../runtime/errors.ts'
import { oneLine } from '../../runtime/one-line.ts'
import { parsePublicKey } from '../../runtime/ssh-key.ts'
import { validate, withDefaults } from '../../schema/validate.ts'
import { parseYaml, type SourceDocument } from '../../schema/yaml.ts'
import {
  approverGroupType,
  fileStoreType,
  freezeType,
  personType,
  repositoryType,
  sourceConnectionType,
} from '../types.ts'
import { type Claim, claimsOf, refuseShared } from './shared-claims.ts'

interface ManifestKind {
  readonly type: ResourceType
  /** The LinkML class of its spec. */
  readonly specClass: string
}

const platformKinds: readonly ManifestKind[] = [
  { type: personType, specClass: 'PersonSpec' },
  { type: repositoryType, specClass: 'RepositorySpec' },
  { type: approverGroupType, specClass: 'ApproverGroupSpec' },
  { type: sourceConnectionType, specClass: 'SourceConnectionSpec' },
  { type: fileStoreType, specClass: 'FileStoreSpec' },
  { type: freezeType, specClass: 'FreezeSpec' },
]

const maxFiles = 2_000
const maxBytes = 1024 * 1024

type Read = Omit<Resource, 'generation' | 'missing' | 'key'>

export class ManifestReader implements Reader {
  readonly #repository: GitRepository
  readonly #source: string

  constructor(repository: GitRepository, source: string) {
    this.#repository = repository
    this.#source = source
  }

  async read(commit: Oid, signal: AbortSignal): Promise<ReadResult> {
    const entries = (await this.#repository.list(commit, '', signal)).filter(({ path }) => /\.ya?ml$/.test(path))
    const problems: Problem[] = []
    if (entries.length > maxFiles) {
      throw new CratewrightError(
        'TreeTooLarge',
        `the repository holds ${entries.length} YAML files, and may hold ${maxFiles}`,
      )
    }
    const seen = new Set<string>()
    const regular = entries.filter(({ path, mode }) => {
      const isFile = mode === '100644' || mode === '100755'
      const defect = !isFile ? 'is not a regular file' : seen.has(path) ? 'is there twice' : pathDefect(path)
      seen.add(path)
      if (defect) problems.push(problem('UnsafePath', `${path} ${defect}`, { where: { file: oneLine(path) } }))
      return defect === undefined
    })
    const blobs = await readBounded(
      this.#repository,
      regular.map(({ oid }) => oid),
      maxBytes,
      signal,
    )
    const files = new Map<string, Uint8Array>()
    for (const { path, oid } of regular) {
      const content = blobs.get(oid)
      if (content) files.set(path, content)
      else {
        const message = `the file has more than the ${maxBytes} bytes that it may have`
        problems.push(problem('DocumentTooLarge', message, { where: { file: path } }))
      }
    }
    const read = readManifests(files, { repository: this.#source, commit })
    return { resources: read.resources, problems: [...problems, ...read.problems] }
  }
}

export function readManifests(
  files: ReadonlyMap<string, Uint8Array>,
  from: { repository: string; commit: Oid },
): ReadResult {
  const problems: Problem[] = []
  const resources = new Map<string, Read>()
  const claims: Claim[] = []
  for (const [file, content] of files) {
    if (isLfsPointer(content)) {
      const detail = { where: { file, line: 1, column: 1 }, todo: lfsTodo }
      problems.push(
        problem('DocumentInvalid', `${file} is a Git LFS pointer; what it points to is never fetched`, detail),
      )
      continue
    }
    const parsed = parseYaml(content, file)
    problems.push(...parsed.problems)
    const broken = parsed.problems.find(({ code }) => code === 'YamlInvalid')
    if (broken && saysFreezeAnyhow(content)) {
      const freeze = freezeOfErrors('of-errors', `${file} says so, and has errors`, broken.where ?? { file }, from)
      resources.set(`Freeze ${freeze.name}`, freeze)
    }
    for (const document of parsed.documents) {
      if (document.value === null || document.value === undefined) continue
      const read = readManifest(document, from)
      problems.push(...read.problems)
      if (!read.resource) {
        if (saysFreeze(document.value)) {
          const reason = 'a manifest says so that has errors'
          resources.set('Freeze of errors', freezeOfErrors('unreadable', reason, document.at([]), from))
        }
        continue
      }
      const key = `${read.resource.type.kind} ${read.resource.name}`
      if (resources.has(key))
        problems.push(
          problem('DuplicateResource', `${key} is declared a second time`, { where: read.resource.origin.where }),
        )
      else {
        resources.set(key, read.resource)
        claims.push(...claimsOf(read.resource, document))
      }
    }
  }
  const unique = refuseShared([...resources.values()], claims)
  return { resources: unique.resources, problems: [...problems, ...unique.problems] }
}

function readManifest(
  document: SourceDocument,
  from: { repository: string; commit: Oid },
): { resource?: Read; problems: Problem[] } {
  const envelope = validate<Manifest>('Manifest', document)
  if (!envelope.value) return { problems: [...envelope.problems] }
  const { kind, apiVersion, metadata } = envelope.value
  const known = platformKinds.find(({ type }) => type.kind === kind)
  if (!known) {
    const kinds = platformKinds.map(({ type }) => type.kind).join(', ')
    return {
      problems: [
        ...envelope.problems,
        problem('KindUnknown', `kind ${kind} is not known here`, {
          where: document.at(['kind']),
          todo: `Use one of ${kinds}.`,
        }),
      ],
    }
  }
  const { group, version } = known.type
  if (apiVersion !== undefined && apiVersion !== `${group}/${version}`) {
    const todo = `Write \`apiVersion: ${group}/${version}\`, or leave it out.`
    return {
      problems: [
        ...envelope.problems,
        problem('KindUnknown', `${kind} has no apiVersion ${apiVersion}`, { where: document.at(['apiVersion']), todo }),
      ],
    }
  }
  const spec = validate<object>(known.specClass, document, ['spec'])
  const problems = [...envelope.problems, ...spec.problems, ...(spec.value ? badKeys(kind, document) : [])]
  const sound = problems.every(({ severity }) => severity !== 'error')
  if (!spec.value || !sound) return { problems }
  const origin = { ...from, where: document.at([]) }
  const suspended = metadata.annotations?.[suspendAnnotation]
  const warnings = [
    ...problems.filter(({ severity }) => severity === 'warning'),
    ...notProvided(kind, document),
    ...(suspended === undefined || kind === 'Repository' ? [] : [notSuspended(kind, document)]),
  ]
  return {
    resource: {
      type: known.type,
      namespace: '',
      name: metadata.name,
      spec: withDefaults(known.specClass, spec.value),
      ...(suspended === undefined ? {} : { suspended }),
      origin,
      problems: warnings,
    },
    problems: problems.filter(({ severity }) => severity === 'error'),
  }
}

/** A freeze is written in haste: one with errors freezes all the same. */
function saysFreeze(value: unknown): boolean {
  return (value as { kind?: unknown } | null)?.kind === freezeType.kind
}

/** The same of a file that is no YAML: an unclosed quote or a second colon in the reason must not let everything go on. */
function saysFreezeAnyhow(content: Uint8Array): boolean {
  return /^kind:\s*["']?Freeze\b/m.test(new TextDecoder().decode(content))
}

function freezeOfErrors(name: string, reason: string, where: Where, from: { repository: string; commit: Oid }): Read {
  return { type: freezeType, namespace: '', name, spec: { reason }, origin: { ...from, where }, problems: [] }
}

/** Fields that this version reads and does nothing with: a promise that is not kept has to be said. */
function notProvided(kind: string, document: SourceDocument): Problem[] {
  const { spec } = document.value as { spec: Record<string, unknown> }
  const warn = (path: string[], what: string) => [
    problem('FieldIgnored', `${what} is not provided yet, and has no effect`, {
      severity: 'warning',
      where: document.at(path),
    }),
  ]
  const list = (value: unknown) => (Array.isArray(value) ? value : [])
  const forge = (spec.forge as { type?: string } | undefined)?.type ?? 'none'
  if (kind === 'Repository') {
    return [
      ...(list(spec.manifests).length > 0
        ? warn(['spec', 'manifests'], 'reading manifests from a projects repository')
        : []),
      ...(list(spec.allows).length > 0 ? warn(['spec', 'allows'], 'allowing kinds in a projects repository') : []),
      ...(forge === 'none' ? [] : warn(['spec', 'forge'], `the forge ${forge}`)),
    ]
  }
  if (kind === 'ApproverGroup') {
    return [
      ...(spec.proof === 'attested' ? warn(['spec', 'proof'], 'attesting approvals by merging') : []),
      ...(list(spec.phases).includes('Confirm') ? warn(['spec', 'phases'], 'phase Confirm') : []),
    ]
  }
  return []
}

/** What acts on nothing cannot be halted; a Repository halts its requests. */
function notSuspended(kind: string, document: SourceDocument): Problem {
  return problem('FieldIgnored', `suspending a ${kind} has no effect: nothing is done for it`, {
    severity: 'warning',
    where: document.at(['metadata', 'annotations', suspendAnnotation]),
    todo: 'Suspend the requests that use it, their Repository, or freeze everything.',
  })
}

/** Keys that look like keys and cannot be read: they would be trusted to mean something. */
function badKeys(kind: string, document: SourceDocument): Problem[] {
  const { spec } = document.value as {
    spec: { keys?: string[]; records?: { signers?: { key: string }[] } }
  }
  const lines =
    kind === 'Person'
      ? (spec.keys ?? []).map((line, index) => ({ line, path: ['spec', 'keys', index] }))
      : (spec.records?.signers ?? []).map(({ key }, index) => ({
          line: key,
          path: ['spec', 'records', 'signers', index, 'key'],
        }))
  return lines.flatMap(({ line, path }) => {
    try {
      parsePublicKey(line)
      return []
    } catch (error) {
      return [problem('KeyInvalid', asCratewrightError(error).message, { where: document.at(path) })]
    }
  })
}
