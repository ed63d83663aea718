/** Judging a records branch: who wrote it, whether its logs are whole, and whether everything else on it follows from them. */

import type { History, RecordFile } from '../engine/kind.ts'
import type { GitRepository, Oid, TreeEntry } from '../git/repository.ts'
import { asCratewrightError } from '../runtime/errors.ts'
import type { SshPublicKey } from '../runtime/ssh-key.ts'
import { type BranchEntry, rotatedKey } from './branch-log.ts'
import {
  type DeclaredSigner,
  type ForeignCommit,
  judgeLine,
  type LineNode,
  signersAt,
  standsOnForeign,
} from './line.ts'
import { lineRoom, readLine } from './line-reader.ts'
import { maxEntryBytes, readLog } from './log.ts'

export interface Finding {
  /** `bad`: the evidence is wrong; `unchecked`: what is needed to judge is not here; `note`: worth knowing. */
  readonly level: 'bad' | 'unchecked' | 'note'
  /** The file, commit or entry it is about. */
  readonly where: string
  readonly message: string
}

export const bad = (where: string, message: string): Finding => ({ level: 'bad', where, message })
export const unchecked = (where: string, message: string): Finding => ({ level: 'unchecked', where, message })
export const note = (where: string, message: string): Finding => ({ level: 'note', where, message })

/**
 * What judging made of evidence that it could not read. A log that is a whole chain may still hold facts of any shape:
 * those are bad evidence, and no failure of ours. What may be otherwise at another time (a git that ran out of time, an
 * end by the person) is thrown on.
 */
export function unreadable(where: string, error: unknown): Finding {
  const known = asCratewrightError(error)
  const misshapen = error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError
  if (!misshapen && known.retryable) throw error
  return bad(where, `cannot be judged, since it does not say what such a log says (${known.message})`)
}

export interface CommitVerdict {
  readonly findings: readonly Finding[]
  readonly root: Oid | undefined
  readonly commits: number
  /** Every key that signs or signed here. Those of one list follow one from another by rotations. */
  readonly keys: readonly (readonly SshPublicKey[])[]
  /** Keys that could sign what a file of a log came with; the file's path on the branch. */
  signersOf(path: string): readonly SshPublicKey[]
}

/** Findings of one kind that are listed one by one. */
const maxListed = 100

/**
 * Which commits count, by the signers that are declared, or, where none is, by whoever signed the first and the keys it
 * rotated to; what was taken back, rotated and accepted.
 */
export async function verifyCommits(
  repository: GitRepository,
  tip: Oid,
  declared: readonly DeclaredSigner[],
  signal: AbortSignal,
): Promise<CommitVerdict> {
  const trust = { signers: declared, root: undefined }
  const commits = await readLine(repository, { tip, since: undefined }, signal)
  const { nodes, foreign } = await judgeLine(commits, undefined, trust, lineRoom(repository, signal))
  const unanswered = foreign.filter(({ answer }) => answer === undefined)
  // What only stands on a foreign commit is wrong because of that one.
  const first = unanswered.filter(({ reason }) => reason !== standsOnForeign)
  const findings = [
    ...first.slice(0, maxListed).map(({ oid, reason }) => bad(`commit ${oid}`, reason)),
    ...restOf(unanswered.length - Math.min(first.length, maxListed)),
    ...nodes.flatMap(node => notesOf(node, foreign)),
    ...declared.flatMap(({ key, from, until }) =>
      [from, until]
        .filter(oid => oid !== undefined && !nodes.some(node => node.oid === oid))
        .map(oid =>
          note(`signer ${key.fingerprint}`, `has a range that names ${oid}, which is no commit of the records`),
        ),
    ),
  ]
  const groups = new Map<string, readonly SshPublicKey[]>()
  const signing = [...declared.map(({ key }) => key), ...nodes.flatMap(({ signer }) => signer ?? [])]
  for (const key of signing) groups.set(key.fingerprint, groups.get(key.fingerprint) ?? [key])
  for (const { entry } of nodes) if (entry?.rotate) link(groups, entry)
  const added = await addedBy(repository, tip, nodes, signal)
  return {
    findings,
    root: commits[0]?.oid,
    commits: commits.length,
    keys: [...new Set(groups.values())],
    signersOf: path => {
      const node = added.get(path)
      // What came with a commit that does not count is bad because of that.
      return node ? signersAt(node, trust) : [...groups.values()].flat()
    },
  }
}

function restOf(count: number): Finding[] {
  return count > 0 ? [bad(`${count} more commit${count === 1 ? '' : 's'}`, 'stand on commits that do not count')] : []
}

function notesOf({ oid, entry }: LineNode, foreign: readonly ForeignCommit[]): Finding[] {
  if (!entry) return []
  const { restore, rotate, accept, time } = entry
  if (restore) {
    return foreign
      .filter(({ answer }) => answer === oid)
      .slice(-maxListed)
      .map(one => note(`commit ${one.oid}`, `${one.reason}: it was undone by ${oid} at ${time}`))
  }
  if (rotate) {
    const key = rotatedKey(entry).key?.fingerprint
    return [note(`commit ${oid}`, `the key ${rotate.old} was rotated to ${key} at ${time}`)]
  }
  if (!accept) return []
  const lost = (accept.lost ?? []).join(', ') || 'commits that nobody knew'
  const by = accept.platform ? `, as the platform at ${accept.platform} says` : ''
  return [note(`commit ${oid}`, `the branch had lost ${lost}, and was accepted at ${accept.commit} at ${time}${by}`)]
}

/** Puts the old and the new key of a rotation into one list. */
function link(groups: Map<string, readonly SshPublicKey[]>, entry: BranchEntry): void {
  const { key } = rotatedKey(entry)
  if (!key || !entry.rotate) return
  const both = [...new Set([groups.get(entry.rotate.old) ?? [], groups.get(key.fingerprint) ?? [key]])].flat()
  for (const one of both) groups.set(one.fingerprint, both)
}

/** The commit that brought each file of a log, of those that count. */
async function addedBy(
  repository: GitRepository,
  tip: Oid,
  nodes: readonly LineNode[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, LineNode>> {
  const touched = await repository.touched({ tip, globs: ['projects/*/log/*'], how: 'added' }, signal)
  const added = new Map<string, LineNode>()
  for (const node of nodes) for (const path of touched.get(node.oid) ?? []) if (!added.has(path)) added.set(path, node)
  return added
}

export interface ProjectFiles {
  readonly project: string
  /** Below the project's folder. */
  readonly files: ReadonlyMap<string, Uint8Array>
}

const knownFolders = new Set(['status', 'projects', 'log'])

export interface ProjectListing {
  readonly project: string
  readonly entries: readonly TreeEntry[]
}

/** What lies on the branch, by project: to be read one after the other, so that memory does not grow with their number. */
export async function listProjects(
  repository: GitRepository,
  tip: Oid,
  signal: AbortSignal,
): Promise<{ projects: ProjectListing[]; findings: Finding[] }> {
  const entries = await repository.list(tip, '', signal)
  const findings: Finding[] = []
  const projects = new Map<string, TreeEntry[]>()
  for (const entry of entries) {
    const { path, mode } = entry
    const [top = '', project = '', ...rest] = path.split('/')
    if (!knownFolders.has(top)) findings.push(bad(path, 'is nothing that the controller writes'))
    if (mode !== '100644') findings.push(bad(path, `has file mode ${mode}; the controller writes regular files only`))
    if (top !== 'projects' || mode !== '100644') continue
    const list = projects.get(project)
    const below = { ...entry, path: rest.join('/') }
    if (list) list.push(below)
    else projects.set(project, [below])
  }
  return { projects: [...projects].map(([project, list]) => ({ project, entries: list })), findings }
}

/** The files of one project. */
export async function readProjectFiles(
  repository: GitRepository,
  { project, entries }: ProjectListing,
  signal: AbortSignal,
): Promise<ProjectFiles> {
  const blobs = await repository.read(
    entries.map(({ oid }) => oid),
    maxEntryBytes,
    signal,
  )
  return { project, files: new Map(entries.map(({ path, oid }) => [path, blobs.get(oid) ?? new Uint8Array()])) }
}

/** The log of a project, with everything that makes it no log. */
export function verifyLog({ project, files }: ProjectFiles): { history: History; findings: Finding[] } {
  const log = new Map(
    [...files].filter(([path]) => path.startsWith('log/')).map(([path, content]) => [path.slice(4), content]),
  )
  const { history, problems } = readLog(log)
  const findings = problems.map(problem => bad(`projects/${project}/log`, problem))
  const [first] = history.entries
  if (first && first.project !== project)
    findings.push(bad(`projects/${project}/log`, `is the log of another project, ${first.project}`))
  return { history, findings }
}

/** Everything but the log, compared byte for byte with what the log makes. */
export function verifyDerived({ project, files }: ProjectFiles, expected: readonly RecordFile[]): Finding[] {
  const findings: Finding[] = []
  const wanted = new Map(expected.map(({ path, content }) => [path, content]))
  for (const [path, content] of files) {
    if (path.startsWith('log/')) continue
    const made = wanted.get(path)
    const where = `projects/${project}/${path}`
    if (!made) findings.push(bad(where, 'does not follow from the log'))
    else if (!Buffer.from(made).equals(content)) findings.push(bad(where, 'is not what the log makes: it was changed'))
  }
  for (const path of wanted.keys())
    if (!files.has(path)) findings.push(bad(`projects/${project}/${path}`, 'follows from the log and is missing'))
  return findings
}
