/** Turns the folders of a projects repository into DataAccessRequests. */

import type { Reader, ReadResult } from '../../engine/kind.ts'
import type { GitRepository, Oid, TreeEntry } from '../../git/repository.ts'
import { type Problem, problem } from '../../runtime/errors.ts'
import { oneLine } from '../../runtime/one-line.ts'
import { contentPaths, maxDocumentBytes, parseRequest, type RequestDocuments, readFolder } from './documents.ts'

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
/** Requests; with the largest documents there can be, they are what one read may bring into memory. */
const fetchedAtOnce = 50
/** Problems of names that are told of one repository, names told in one problem, and characters of each. */
const maxProblems = 100
const maxNamed = 10
const maxShown = 100

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
    const recorded = await this.#recorded(signal)
    const { folders, problems } = await this.#folders(commit, recorded, signal)
    const trees = await this.#repository.ids(
      folders.map(path => ({ commit, path })),
      signal,
    )
    const changed = folders.filter((folder, index) => this.#cache.get(folder)?.tree !== trees[index])
    await this.#fetchAhead(commit, changed, signal)
    const cache = new Map<string, ParsedFolder>()
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

  /** What is not here yet comes in a few fetches, not in one for each request. What goes wrong is said where it is read. */
  async #fetchAhead(commit: Oid, folders: readonly string[], signal: AbortSignal): Promise<void> {
    for (let at = 0; at < folders.length; at += fetchedAtOnce) {
      const paths = folders
        .slice(at, at + fetchedAtOnce)
        .flatMap(folder => contentPaths.map(name => ({ commit, path: folder === '' ? name : `${folder}/${name}` })))
      const oids = (await this.#repository.ids(paths, signal)).filter(oid => oid !== undefined)
      await this.#repository.read(oids, maxDocumentBytes, signal).catch(() => signal.throwIfAborted())
    }
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

  async #folders(
    commit: Oid,
    recorded: readonly string[],
    signal: AbortSignal,
  ): Promise<{ folders: string[]; problems: Problem[] }> {
    if (this.#pattern === '.') return { folders: [''], problems: [] }
    const base = this.#pattern.replace(/\/\*$/, '')
    let entries: readonly TreeEntry[] = []
    const parts = base.split('/')
    for (const [index] of parts.entries()) {
      const path = parts.slice(0, index + 1).join('/')
      entries = await this.#repository.entries(commit, path, signal)
      const [first] = entries
      if (first?.path === path) return { folders: [], problems: [noFolder(first)] }
    }
    const names = new Set<string>()
    const twice = new Set<string>()
    const seen = new Set<string>()
    const problems: Problem[] = []
    for (const entry of entries) {
      const name = entry.path.slice(base.length + 1)
      if (seen.has(name) && namePattern.test(name)) twice.add(name)
      seen.add(name)
      if (entry.mode === '120000' || entry.mode === '160000') problems.push(noFolder(entry))
      if (entry.mode !== '040000') continue
      if (namePattern.test(name)) names.add(name)
      else problems.push(noName(base, name))
    }
    for (const name of twice) problems.push(thereTwice(`${base}/${name}`))
    // Those that have a log go first: what somebody adds must not push out what is there.
    const known = new Set(recorded)
    const wanted = [...names.difference(twice)].sort()
    const ordered = [...wanted.filter(name => known.has(name)), ...wanted.filter(name => !known.has(name))]
    const left = ordered.slice(maxRequests)
    if (left.length > 0) problems.unshift(tooMany(base, ordered.length, left))
    const folders = ordered.slice(0, maxRequests).map(name => `${base}/${name}`)
    return { folders, problems: problems.slice(0, maxProblems) }
  }
}

function noFolder({ path, mode }: TreeEntry): Problem {
  const what =
    mode === '120000'
      ? 'a symbolic link; links are never followed'
      : mode === '160000'
        ? 'a submodule; submodules are never fetched'
        : 'a file, and has to be a folder'
  return problem('UnsafePath', `${path} is ${what}`, { where: { file: oneLine(path) } })
}

function noName(base: string, name: string): Problem {
  const shown = name.length > maxShown ? `${name.slice(0, maxShown)}…` : name
  return problem('UnsafePath', `${JSON.stringify(shown)} is no project name`, {
    where: { file: `${base}/${oneLine(shown)}` },
    todo: 'Use lower-case letters, digits and hyphens: at most 63, the first no hyphen.',
  })
}

function thereTwice(path: string): Problem {
  return problem('UnsafePath', `${path} is there twice in one tree; neither is read`, {
    where: { file: path },
    todo: 'Make the commit again with git itself, which writes each name once.',
  })
}

function tooMany(base: string, count: number, left: readonly string[]): Problem {
  const further = left.length > maxNamed ? ` and ${left.length - maxNamed} others` : ''
  const message = `${base} holds ${count} folders, and may hold ${maxRequests}: ${left.slice(0, maxNamed).join(', ')}${further} are not read`
  return problem('TreeTooLarge', message, { where: { file: base } })
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
