/** Judging a records branch: who wrote it, whether its logs are whole, and whether everything else on it follows from them. */

import type { History, RecordFile } from '../engine/kind.ts'
import type { GitRepository, Oid } from '../git/repository.ts'
import { asCratewrightError } from '../runtime/errors.ts'
import type { SshPublicKey } from '../runtime/ssh-key.ts'
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
  /** The first commit, and who signed it. */
  readonly root: { readonly oid: Oid; readonly signer: SshPublicKey | undefined } | undefined
  readonly commits: number
}

/** Every commit of the branch must be signed by a declared signer, or, where none is declared, by whoever signed the first. */
export async function verifyCommits(
  repository: GitRepository,
  tip: Oid,
  declared: readonly SshPublicKey[],
  signal: AbortSignal,
): Promise<CommitVerdict> {
  const commits = [...(await repository.history({ tip }, signal))].reverse()
  const signatures = await repository.signatures(
    commits.map(({ oid }) => oid),
    signal,
  )
  const findings: Finding[] = []
  const [first] = signatures
  const rootSigner = first?.state === 'good' ? first.key : undefined
  const signers = declared.length > 0 ? declared : rootSigner ? [rootSigner] : []
  for (const [index, commit] of commits.entries()) {
    const where = `commit ${commit.oid}`
    const signature = signatures[index]
    if (commit.parents.length > 1) findings.push(bad(where, 'is a merge; the controller makes none'))
    if (!signature || signature.state === 'none') findings.push(bad(where, 'is not signed'))
    else if (signature.state === 'bad') findings.push(bad(where, `has a bad signature: ${signature.reason}`))
    else if (signature.state === 'unsupported')
      findings.push(bad(where, `is signed with ${signature.format}, which no signer uses`))
    else if (!signers.some(({ fingerprint }) => fingerprint === signature.key.fingerprint)) {
      findings.push(bad(where, `is signed by ${signature.key.fingerprint}, which is no declared signer`))
    }
  }
  const [root] = commits
  return { findings, root: root && { oid: root.oid, signer: rootSigner }, commits: commits.length }
}

export interface ProjectFiles {
  readonly project: string
  /** Below the project's folder. */
  readonly files: ReadonlyMap<string, Uint8Array>
}

const knownFolders = new Set(['status', 'projects'])

/** The files of every project at a commit of the branch. */
export async function readProjects(
  repository: GitRepository,
  tip: Oid,
  signal: AbortSignal,
): Promise<{ projects: ProjectFiles[]; findings: Finding[] }> {
  const entries = await repository.list(tip, '', signal)
  const findings: Finding[] = []
  const projects = new Map<string, Map<string, Uint8Array>>()
  for (const { path, mode } of entries) {
    const [top = ''] = path.split('/')
    if (!knownFolders.has(top)) findings.push(bad(path, 'is nothing that the controller writes'))
    if (mode !== '100644') findings.push(bad(path, `has file mode ${mode}; the controller writes regular files only`))
  }
  const inProjects = entries.filter(({ path, mode }) => path.startsWith('projects/') && mode === '100644')
  const blobs = await repository.read(
    inProjects.map(({ oid }) => oid),
    maxEntryBytes,
    signal,
  )
  for (const { path, oid } of inProjects) {
    const [, project = '', ...rest] = path.split('/')
    const files = projects.get(project) ?? new Map<string, Uint8Array>()
    projects.set(project, files.set(rest.join('/'), blobs.get(oid) ?? new Uint8Array()))
  }
  return { projects: [...projects].map(([project, files]) => ({ project, files })), findings }
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
