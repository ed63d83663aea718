/** Turns the folders of a projects repository into DataAccessRequests. */

import type { Reader, ReadResult } from '../../engine/kind.ts'
import type { GitRepository, Oid, TreeEntry } from '../../git/repository.ts'
import { type Problem, problem } from '../../runtime/errors.ts'
import { parseRequest, type RequestDocuments, readFolder } from './documents.ts'

export const requestType = {
  group: 'requests.cratewright.dev',
  version: 'v1alpha1',
  kind: 'DataAccessRequest',
} as const

export interface RequestSpec {
  /** '' where the repository is one request. */
  readonly folder: string
  /** Id of the folder's tree: equal ids, equal content. */
  readonly tree: Oid
  /** Undefined where the documents have errors. */
  readonly documents: RequestDocuments | undefined
}

interface ParsedFolder {
  readonly tree: Oid
  readonly documents: RequestDocuments | undefined
  readonly problems: readonly Problem[]
}

/** Names of requests that have a log: one whose folder is gone is still known. */
export type Recorded = (signal: AbortSignal) => Promise<readonly string[]>

const namePattern = /^[a-z0-9][a-z0-9-]{0,62}$/
const maxRequests = 5_000

/** `pattern` is the Repository's `requests`: `.`, or a folder and `/*`. Requests whose folder did not change are not read again. */
export class RequestReader implements Reader {
  readonly #repository: GitRepository
  readonly #name: string
  readonly #pattern: string
  readonly #recorded: Recorded
  #cache = new Map<string, ParsedFolder>()

  constructor(repository: GitRepository, name: string, pattern: string, recorded: Recorded = async () => []) {
    this.#repository = repository
    this.#name = name
    this.#pattern = pattern
    this.#recorded = recorded
  }

  async read(commit: Oid, signal: AbortSignal): Promise<ReadResult> {
    const { folders, problems } = await this.#folders(commit, signal)
    const trees = await this.#repository.ids(
      folders.map(path => ({ commit, path })),
      signal,
    )
    const cache = new Map<string, ParsedFolder>()
    const recorded = await this.#recorded(signal)
    const resources = []
    for (const [index, folder] of folders.entries()) {
      const tree = trees[index]
      if (tree === undefined) continue
      const cached = this.#cache.get(folder)
      const parsed = cached?.tree === tree ? cached : { tree, ...(await this.#parse(commit, folder, signal)) }
      cache.set(folder, parsed)
      const last = folder.split('/').at(-1) ?? ''
      const name = folder === '' ? (parsed.documents?.governance.project.name ?? this.#nameOfWhole(recorded)) : last
      const spec: RequestSpec = { folder, tree, documents: parsed.documents }
      resources.push({
        type: requestType,
        namespace: this.#name,
        name,
        spec,
        problems: parsed.problems,
        origin: { repository: this.#name, commit, where: { file: folder || '.' } },
      })
    }
    this.#cache = cache
    const present = new Set(resources.map(({ name }) => name))
    const missing = recorded
      .filter(name => !present.has(name))
      .map(name => ({
        type: requestType,
        namespace: this.#name,
        name,
        spec: { folder: '', tree: '', documents: undefined } satisfies RequestSpec,
        problems: [],
        origin: { repository: this.#name, commit, where: { file: name } },
      }))
    return { resources, problems, missing }
  }

  /** Of a repository that is one request, and whose documents cannot be read: what it was called before. */
  #nameOfWhole(recorded: readonly string[]): string {
    return (
      this.#cache.get('')?.documents?.governance.project.name ??
      (recorded.length === 1 ? recorded[0] : undefined) ??
      this.#name
    )
  }

  async #parse(commit: Oid, folder: string, signal: AbortSignal) {
    const { files, problems } = await readFolder(this.#repository, commit, folder, signal)
    const parsed = parseRequest(files, folder)
    // What was refused is there: that it is missing would be the wrong thing to say.
    const refused = new Set(problems.map(({ where }) => where?.file))
    const further = parsed.problems.filter(({ code, where }) => code !== 'DocumentMissing' || !refused.has(where?.file))
    const all = [...problems, ...further, ...nameMismatch(folder, parsed.documents)]
    const sound = all.every(({ severity }) => severity !== 'error')
    return { documents: sound ? parsed.documents : undefined, problems: all }
  }

  async #folders(commit: Oid, signal: AbortSignal): Promise<{ folders: string[]; problems: Problem[] }> {
    if (this.#pattern === '.') return { folders: [''], problems: [] }
    const base = this.#pattern.replace(/\/\*$/, '')
    const entries = await this.#repository.list(commit, base, signal)
    const names = new Set<string>()
    const problems: Problem[] = []
    for (const entry of entries) {
      const [name, ...rest] = entry.path.slice(base.length + 1).split('/')
      if (name === undefined || names.has(name)) continue
      if (rest.length === 0) {
        if (entry.mode === '120000' || entry.mode === '160000') problems.push(notFollowed(entry))
        continue
      }
      if (!namePattern.test(name)) {
        problems.push(
          problem('UnsafePath', `${JSON.stringify(name)} is no project name`, {
            where: { file: `${base}/${JSON.stringify(name).slice(1, -1)}` },
            todo: 'Use lower-case letters, digits and hyphens: at most 63, the first no hyphen.',
          }),
        )
        names.add(name)
        continue
      }
      names.add(name)
    }
    const folders = [...names].filter(name => namePattern.test(name)).sort()
    if (folders.length > maxRequests) {
      problems.push(
        problem('TreeTooLarge', `${base} holds ${folders.length} folders, and may hold ${maxRequests}`, {
          where: { file: base },
        }),
      )
    }
    return { folders: folders.slice(0, maxRequests).map(name => `${base}/${name}`), problems }
  }
}

function notFollowed({ path, mode }: TreeEntry): Problem {
  const what =
    mode === '120000' ? 'a symbolic link; links are never followed' : 'a submodule; submodules are never fetched'
  return problem('UnsafePath', `${path} is ${what}`, { where: { file: path } })
}

function nameMismatch(folder: string, documents: RequestDocuments | undefined): Problem[] {
  const name = folder.split('/').at(-1)
  if (folder === '' || !documents || documents.governance.project.name === name) return []
  const where = { file: `${folder}/resources/governance/cr8-governance.yaml` }
  return [
    problem('ProjectNameMismatch', `the folder is ${name}, and project.name is ${documents.governance.project.name}`, {
      where,
    }),
  ]
}
