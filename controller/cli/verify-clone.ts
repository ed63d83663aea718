/** Judging a clone: the records branch, every project's log, and everything that follows from them. */

import { stat } from 'node:fs/promises'
import type { ApproverGroupSpec, Ending, PersonSpec, RepositorySpec } from '../../schemas/generated/types.ts'
import { memoryBag } from '../data/bag-reader.ts'
import type { Documents, History, Snapshot } from '../engine/kind.ts'
import type { GitRepository, Oid } from '../git/repository.ts'
import { runGit } from '../git/work-tree.ts'
import { auditRequest, type Evidence } from '../kinds/requests/audit.ts'
import { type Authors, authorsOf } from '../kinds/requests/authors.ts'
import { parseRequest } from '../kinds/requests/documents.ts'
import { projectRequest } from '../kinds/requests/project.ts'
import { contentsOf } from '../kinds/requests/request.ts'
import { resolveRequest } from '../kinds/requests/resolve.ts'
import { type RequestState, stateOf } from '../kinds/requests/state.ts'
import { approverGroupType, personType, repositoryType } from '../kinds/types.ts'
import { entryFile } from '../records/log.ts'
import { headOf } from '../records/recorder.ts'
import type { PersonInfo } from '../records/statement.ts'
import {
  bad,
  type CommitVerdict,
  type Finding,
  listProjects,
  type ProjectFiles,
  type ProjectListing,
  readProjectFiles,
  unchecked,
  unreadable,
  verifyCommits,
  verifyDerived,
  verifyLog,
} from '../records/verify.ts'
import { CratewrightError } from '../runtime/errors.ts'
import type { SshPublicKey } from '../runtime/ssh-key.ts'
import { type Clone, fetchRef, openClone } from './clone.ts'
import { declaredSigners, documentsIn } from './rooms.ts'
import type { Verdict } from './verify.ts'
import { judgeBag } from './verify-bag.ts'
import { judgeHistories, NamedCommits } from './verify-histories.ts'
import { judgePlatform, openTrust, type Trust } from './verify-platform.ts'

export interface CloneRoom {
  readonly trust: string
  readonly branch: string
  readonly roots: readonly string[]
  readonly tip?: Oid
  readonly signal: AbortSignal
}

export async function verifyClone(folder: string, room: CloneRoom): Promise<Verdict> {
  const { signal } = room
  const clone = await openClone(folder, signal)
  const hasTrust = await stat(room.trust).then(
    () => true,
    () => false,
  )
  const trust = hasTrust ? await openClone(room.trust, signal) : undefined
  try {
    return await judge(clone, trust, room)
  } finally {
    await clone.close()
    await trust?.close()
  }
}

/** Projects in memory at a time: while git is asked for one, another is computed. */
const abreast = 4

async function judge(clone: Clone, trust: Clone | undefined, room: CloneRoom): Promise<Verdict> {
  const { signal, branch, roots } = room
  const records = await clone.branch(branch, signal)
  if (!records)
    throw new CratewrightError('GitRefMissing', `the clone has no branch ${branch}`, {
      todo: 'Fetch it, or name it with --records.',
    })
  const { repository } = clone
  await repository.fetch(records.ref, records.oid, signal)
  for (const name of ['HEAD', 'refs/remotes/origin/HEAD']) await fetchRef(clone, name, signal)
  const findings: Finding[] = [...(await uncommitted(clone, records.oid, signal))]

  const platform = trust ? await openTrust(trust, signal) : undefined
  if (!platform)
    findings.push(
      unchecked(
        'trust',
        'there is no clone of the platform repository: who people are, and who may approve, cannot be seen',
      ),
    )
  const { projects, findings: strange } = await listProjects(repository, records.oid, signal)
  findings.push(...strange)
  const name = await repositoryName(repository, projects, signal)
  const declared = name === undefined ? undefined : platform?.tip.get<RepositorySpec>(repositoryType, name)
  if (platform && name !== undefined && !declared)
    findings.push(bad('records', `are of a Repository ${name}, which the platform does not declare`))
  const signers = declared ? declaredSigners(declared.spec) : []

  const commits = await verifyCommits(repository, records.oid, signers, signal)
  findings.push(...commits.findings)
  const root = declared?.spec.records?.root
  if (root !== undefined && commits.root !== root)
    findings.push(bad(`commit ${commits.root}`, `is the first of the records, and the platform declares ${root}`))
  // Whoever trusts a key trusts those that it rotated to, and those that were rotated to it.
  const untrusted = commits.keys.filter(keys => !keys.some(({ fingerprint }) => roots.includes(fingerprint)))
  for (const { fingerprint } of roots.length > 0 ? untrusted.flat() : [])
    findings.push(bad('records', `rest on the key ${fingerprint}, not on one that you trust`))
  if (room.tip !== undefined && !(await contains(repository, room.tip, records.oid, signal)))
    findings.push(
      bad(`commit ${records.oid}`, `does not descend from ${room.tip}: the branch was set back or rewritten`),
    )

  const keys = commits.keys.flat()
  const summary: string[] = []
  const named = new NamedCommits()
  const judgeOne = async (listing: ProjectListing) => {
    const project = await readProjectFiles(repository, listing, signal)
    const { history, findings: broken } = verifyLog(project)
    const projectRoom = { clone, platform, keys, commits, signal, whole: broken.length === 0 }
    const judged = await judgeProject(project, history, projectRoom)
    named.add(project.project, history)
    return { findings: [...broken, ...judged], lines: describe(project.project, history) }
  }
  for (let at = 0; at < projects.length; at += abreast) {
    for (const judged of await Promise.all(projects.slice(at, at + abreast).map(judgeOne))) {
      findings.push(...judged.findings)
      summary.push(...judged.lines)
    }
  }
  findings.push(...(await judgeHistories(named, { clone, trust, declared: declared?.spec, signal })))
  if (platform) findings.push(...(await judgePlatform(platform, named, declared, signal)))
  const count = `${projects.length} project${projects.length === 1 ? '' : 's'}`
  return {
    findings,
    roots: keys.map(({ fingerprint }) => fingerprint),
    summary: [`Records ${records.ref} at ${records.oid}: ${commits.commits} commits, ${count}.`, ...summary],
  }
}

/** The Repository that the records say they are of. */
async function repositoryName(
  repository: GitRepository,
  projects: readonly ProjectListing[],
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const listing of projects) {
    const logs = listing.entries.filter(({ path }) => path.startsWith('log/'))
    const { history } = verifyLog(await readProjectFiles(repository, { ...listing, entries: logs }, signal))
    const [first] = history.entries
    if (first) return first.repository
  }
  return undefined
}

interface ProjectRoom {
  readonly clone: Clone
  readonly platform: Trust | undefined
  readonly keys: readonly SshPublicKey[]
  readonly commits: CommitVerdict
  readonly signal: AbortSignal
  readonly whole: boolean
}

async function judgeProject(project: ProjectFiles, history: History, room: ProjectRoom): Promise<Finding[]> {
  const { clone, keys, signal, whole } = room
  const findings: Finding[] = []
  const where = `projects/${project.project}`
  const documentsAt = documentsOnce(clone, signal)
  const evidence = cloneEvidence(project.project, history, room, documentsAt)
  findings.push(
    ...(await auditRequest(history, evidence)).map(finding => ({ ...finding, where: `${where}/log/${finding.where}` })),
  )
  for (const { path, files } of bagsOf(project)) {
    const verdict = await judgeBag(memoryBag(files), {
      roots: keys.map(({ fingerprint }) => fingerprint),
      place: 'git',
      signature: files.get('tagmanifest-sha512.txt.sig'),
      signal,
    })
    findings.push(
      ...verdict.findings
        .filter(({ level }) => level === 'bad')
        .map(finding => ({ ...finding, where: `${where}/${path}/${finding.where}` })),
    )
  }
  if (!whole) return findings
  try {
    return [...findings, ...(await judgeDerived(project, history, documentsAt))]
  } catch (error) {
    return [...findings, unreadable(`${where}/log`, error)]
  }
}

/** Everything on the branch that follows from the log, made again. */
async function judgeDerived(project: ProjectFiles, history: History, documentsAt: DocumentsAt) {
  const documents = new Map<Oid, ReadonlyMap<string, Uint8Array>>()
  for (const { commit, folder } of contentsOf(history)) {
    const files = await documentsAt(commit, folder)
    if (!files) {
      const why = `the request at commit ${commit} is not here: what follows from the log cannot be made`
      return [unchecked(`projects/${project.project}`, why)]
    }
    documents.set(commit, files)
  }
  return verifyDerived(project, [...projectRequest(history, documents as Documents), headOf(history)])
}

function bagsOf({ files }: ProjectFiles): { path: string; files: Map<string, Uint8Array> }[] {
  const bags = new Map<string, Map<string, Uint8Array>>()
  for (const [path, content] of files) {
    const match = /^(releases\/[^/]+\/bag)\/(.+)$/.exec(path)
    if (!match?.[1] || !match[2]) continue
    const bag = bags.get(match[1]) ?? new Map<string, Uint8Array>()
    bags.set(match[1], bag.set(match[2], content))
  }
  return [...bags].map(([path, content]) => ({ path, files: content }))
}

type DocumentsAt = (commit: Oid, folder: string) => ReturnType<typeof documentsHere>

/** Judging a request asks for the same content at each of its steps. */
function documentsOnce(clone: Clone, signal: AbortSignal): DocumentsAt {
  return once((commit, folder) => documentsHere(clone, commit, folder, signal))
}

/** Asks once for each list of arguments. */
function once<Args extends readonly (string | undefined)[], Result>(ask: (...args: Args) => Result) {
  const known = new Map<string, Result>()
  return (...args: Args): Result => {
    const key = args.join('\0')
    const result = known.get(key) ?? ask(...args)
    known.set(key, result)
    return result
  }
}

function cloneEvidence(project: string, history: History, room: ProjectRoom, documentsAt: DocumentsAt): Evidence {
  const { clone, platform, commits, signal } = room
  const platformAt = once(async (commit: Oid | undefined) => {
    const snapshot = await platform?.at(commit)
    if (!snapshot) return undefined
    return {
      persons: snapshot.list<PersonSpec>(personType).map(({ name, spec }) => ({ name, spec })),
      groups: snapshot.list<ApproverGroupSpec>(approverGroupType).map(({ name, spec }) => ({ name, spec })),
      ended: endedOf(snapshot, history),
    }
  })
  // With the people of one platform commit, who wrote a content is always the same.
  const authors = new Map<readonly PersonInfo[], (...at: (string | undefined)[]) => Promise<Authors | undefined>>()
  const authorsOfWith = (persons: readonly PersonInfo[]) => {
    const known =
      authors.get(persons) ??
      once(async (tip = '', since, folder = '') =>
        authorsOf(clone.repository, tip, since, folder, persons, signal).catch(() => undefined),
      )
    authors.set(persons, known)
    return known
  }
  const folderAt = new Map(contentsAt(history).map(({ commit, folder }) => [commit, folder]))
  return {
    judges: () => true,
    signersAt: entry => commits.signersOf(`projects/${project}/log/${entryFile(entry)}`),
    documentsAt: commit => documentsAt(commit, folderAt.get(commit) ?? ''),
    platformAt: ({ commits }) => platformAt(commits?.platform),
    authorsAt: async (state, projects, persons) =>
      projects === undefined ? undefined : authorsOfWith(persons)(projects, state.approved?.at, state.folder),
    sourceAt: async (state, commit) => {
      const snapshot = await platform?.at(commit)
      const files = await documentsAt(state.content, state.folder)
      const documents = files && parseRequest(files, '').documents
      const project = history.entries[0]?.project ?? ''
      return snapshot && documents
        ? resolveRequest(documents, project, state.folder, snapshot).resolved?.connection.name
        : undefined
    },
  }
}

/** What admins ended, of the request of this log. */
function endedOf(snapshot: Snapshot, { entries: [first] }: History): readonly Ending[] {
  const declared = snapshot.get<RepositorySpec>(repositoryType, first?.repository ?? '')
  return (declared?.spec.ended ?? []).filter(({ project }) => project === first?.project)
}

function contentsAt(history: History): { commit: Oid; folder: string }[] {
  return history.entries
    .filter(({ event, action }) => event === 'noted' && (action === 'create' || action === 'change'))
    .map(({ facts }) => {
      const { content = '', folder = '' } = (facts ?? {}) as { content?: Oid; folder?: string }
      return { commit: content, folder }
    })
}

async function documentsHere(
  clone: Clone,
  commit: Oid,
  folder: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array> | undefined> {
  return documentsIn(clone.repository, folder, commit, signal).catch(() => undefined)
}

async function contains(repository: GitRepository, ancestor: Oid, tip: Oid, signal: AbortSignal): Promise<boolean> {
  return ancestor === tip || repository.isAncestor(ancestor, tip, signal).catch(() => false)
}

/** Files that were changed where the records branch is checked out: they are not evidence, and somebody should know. */
async function uncommitted(clone: Clone, records: Oid, signal: AbortSignal): Promise<Finding[]> {
  const head = await runGit(clone.folder, ['rev-parse', '--verify', '--quiet', 'HEAD'], { signal })
  if (head.stdout.toString().trim() !== records) return []
  const { stdout } = await runGit(clone.folder, ['status', '--porcelain', '-z', '--untracked-files=no'], { signal })
  return stdout
    .toString()
    .split('\0')
    .filter(line => line.length > 3)
    .map(line => bad(line.slice(3), 'was changed in the checked-out records, without a commit'))
}

function describe(project: string, history: History): string[] {
  let state: RequestState
  try {
    state = stateOf(history)
  } catch {
    return [`${project}: ${history.entries.length} log entries.`]
  }
  return [
    `${project}: ${state.phase}, release ${state.release}, ${history.entries.length} log entries.`,
    ...state.counted.map(
      ({ phase, person, decision }) =>
        `  ${phase}: ${person} ${decision === 'approve' ? 'approved' : decision}, with their own signature.`,
    ),
    ...(state.published ? [`  Published at ${state.published.location}.`] : []),
  ]
}
