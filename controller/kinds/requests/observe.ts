/** What is known of a request before anything is decided: its log, its content, who wrote it, what was signed. */

import type {
  ApproverGroupSpec,
  Ending,
  FileStoreSpec,
  Governance,
  PersonSpec,
  RepositorySpec,
} from '../../../schemas/generated/types.ts'
import type { Context, History, Resource } from '../../engine/kind.ts'
import { readBounded } from '../../git/read-bounded.ts'
import type { GitRepository, Oid } from '../../git/repository.ts'
import type { Group } from '../../records/approval.ts'
import { maxStatementBytes, type PersonInfo, type StatementFile } from '../../records/statement.ts'
import { endOf, startOf } from '../../runtime/dates.ts'
import { CratewrightError, type Problem } from '../../runtime/errors.ts'
import { approverGroupType, fileStoreType, personType, repositoryType } from '../types.ts'
import {
  type Approval,
  type ApprovalRoom,
  approvalOf,
  barredFrom,
  type JudgedStatement,
  lateStatements,
  nobody,
  type Prospect,
  prospectsOf,
  type StatementFiles,
  waitingFor,
} from './approvals.ts'
import { type Authors, authorsOf, pathsIn } from './authors.ts'
import { parseRequest, type RequestDocuments, readFolder } from './documents.ts'
import { type RequestSpec, requestType } from './reader.ts'
import { type Resolved, resolveRequest } from './resolve.ts'
import { type RequestState, stateOf, type Tre } from './state.ts'

export interface ContentChange {
  readonly commit: Oid
  /** Undefined: the documents had errors there. */
  readonly digest: string | undefined
  readonly documents: RequestDocuments | undefined
  readonly release: number
  readonly because: 'request' | 'history'
}

/** Another request of the same name, in another Repository. */
export interface Rival {
  readonly repository: string
  /** It was recorded first, and keeps the name. */
  readonly holds: boolean
}

export interface RequestObserved {
  readonly state: RequestState
  readonly history: History
  readonly head: Oid
  /** Committer time of the head, seconds since 1970: only ids are made of it. */
  readonly headTime: number
  readonly documents: RequestDocuments | undefined
  readonly changes: readonly ContentChange[]
  readonly resolved: Resolved | undefined
  readonly resolveProblems: readonly Problem[]
  readonly authors: Authors | undefined
  /** The approval that the request waits for now. */
  readonly approval: Approval | undefined
  /** Statements that take back what was decided already, or the request itself. */
  readonly late: readonly JudgedStatement[]
  readonly prospects: readonly Prospect[]
  /** What an admin ended, of this request. */
  readonly ended: readonly Ending[]
  readonly stores: ReadonlyMap<string, Resource<FileStoreSpec>>
  /** The content that was last approved; undefined where nothing was, or where its commit is gone. */
  readonly approvedDocuments: RequestDocuments | undefined
  readonly rivals: readonly Rival[]
  readonly now: Date
  readonly persons: readonly PersonInfo[]
  readonly groups: readonly Group[]
  readonly platformProblems: readonly Problem[]
  readonly asked: boolean
  readonly tre: Tre
}

/** Statement files looked at in one request; more are not read, and said. */
const maxStatements = 50
/** With many people registered, as many as they may have. */
const maxExpected = 2_000

export async function observeRequest(
  resource: Resource<RequestSpec>,
  context: Context,
  repository: GitRepository,
  tre: Tre,
): Promise<RequestObserved> {
  const { snapshot, history, signal, asked } = context
  const { documents, folder } = resource.spec
  // The resource's own commit is where it last changed; what happened since to its folder and back shows only at the tip.
  const head = snapshot.commits.get(resource.origin.repository) ?? resource.origin.commit
  const state = stateOf(history)
  const persons = snapshot.list<PersonSpec>(personType).map(({ name, spec }) => ({ name, spec }))
  const groups = snapshot.list<ApproverGroupSpec>(approverGroupType).map(({ name, spec }) => ({ name, spec }))
  const platformProblems = (snapshot.problems.get('platform') ?? []).filter(({ severity }) => severity === 'error')
  const repositorySpec = snapshot.get<RepositorySpec>(repositoryType, resource.namespace)?.spec
  const known = {
    ...{ state, history, head, headTime: 0, documents, persons, groups, platformProblems, asked, tre },
    now: context.clock.now(),
    ended: (repositorySpec?.ended ?? []).filter(({ project }) => project === resource.name),
    stores: new Map(snapshot.list<FileStoreSpec>(fileStoreType).map(store => [store.name, store])),
    rivals: await rivalsOf(resource, context),
  }
  const nothing = {
    ...{ changes: [], resolved: undefined, resolveProblems: [], authors: undefined, approval: undefined },
    ...{ late: [], prospects: [], approvedDocuments: undefined },
  }
  if (resource.missing) return { ...known, ...nothing }
  const last = history.entries.at(-1)?.time
  const common = {
    ...{ resource, history, state, persons, groups },
    authorsEver: () => authorsEver(repository, state, persons, signal),
    // As the entry that counts it will be dated: an auditor judges membership by that.
    at: new Date(Math.max(known.now.getTime(), last ? Date.parse(last) : 0)),
    zone: state.tre.timeZone,
  }
  const phase = waitingFor(state)
  const expected = expectedNames(persons, groups, phase)
  const statements = await statementFiles(repository, head, folder, state.requestDigest, expected, signal)
  // What was decided is taken back by what was recorded then, whatever lies on the branch by now.
  const recorded =
    state.id === undefined || documents?.digest === state.requestDigest
      ? documents
      : await documentsAt(repository, state.content, state.folder, signal)
  const source = recorded && resolveRequest(recorded, resource.name, folder, snapshot).resolved?.connection.name
  const late = recorded ? await lateStatements(statements, { ...common, documents: recorded, source }) : []
  if (!documents) return { ...known, ...nothing, late }

  const [commit] = await repository.history({ tip: head, limit: 1 }, signal)
  const changes = await contentChanges(repository, state, head, resource, signal)
  const approvedDocuments =
    changes.length > 0 && state.approved
      ? await documentsAt(repository, state.approved.at, state.approved.folder, signal)
      : undefined
  const { resolved, problems } = resolveRequest(documents, resource.name, folder, snapshot)
  const settled = state.published !== undefined || state.phase === 'Rejected' || state.end !== undefined
  const authors = settled ? undefined : await authorsOf(repository, head, state.approved?.at, folder, persons, signal)
  const room: ApprovalRoom = { ...common, documents, source: resolved?.connection.name }
  const barred = authors && barredFrom(documents.governance, authors, persons)
  return {
    ...known,
    headTime: commit?.time ?? 0,
    changes,
    approvedDocuments,
    resolved,
    resolveProblems: problems,
    authors,
    approval: phase && barred && resolved ? approvalOf(phase, barred, statements, room) : undefined,
    late,
    prospects: barred && resolved ? prospectsOf(barred, room) : [],
  }
}

async function documentsAt(repository: GitRepository, commit: Oid, folder: string, signal: AbortSignal) {
  try {
    return parseRequest((await readFolder(repository, commit, folder, signal)).files, folder).documents
  } catch (error) {
    // Of a branch that was rewritten; what changed since then cannot be shown any more.
    if (error instanceof CratewrightError && error.code === 'GitObjectMissing') return undefined
    throw error
  }
}

/** Nobody, where the history that the log names is gone: a request can be ended all the same. */
async function authorsEver(
  repository: GitRepository,
  { content, folder }: RequestState,
  persons: readonly PersonInfo[],
  signal: AbortSignal,
): Promise<Authors> {
  try {
    return await authorsOf(repository, content, undefined, folder, persons, signal)
  } catch (error) {
    if (error instanceof CratewrightError && error.code === 'GitObjectMissing') return nobody
    throw error
  }
}

/** From when and until when data may be read, as a request says it. */
export function periodOf(
  { start_date, end_date }: Governance,
  zone: string | undefined,
): { from?: string; until?: string } {
  const from = start_date === undefined ? undefined : startOf(start_date, zone)
  const until = end_date === undefined ? undefined : endOf(end_date, zone)
  return { ...(from ? { from: from.toISOString() } : {}), ...(until ? { until: until.toISOString() } : {}) }
}

/** The request of a name that was recorded first keeps it; before anything is recorded, the first Repository by name does. */
async function rivalsOf(resource: Resource<RequestSpec>, { snapshot, history, historyOf }: Context): Promise<Rival[]> {
  const others = snapshot
    .list<RequestSpec>(requestType)
    .filter(({ name, namespace }) => name === resource.name && namespace !== resource.namespace)
  const rank = (namespace: string, first: string | undefined) => `${first ?? '~'} ${namespace}`
  const own = rank(resource.namespace, history.entries[0]?.time)
  return Promise.all(
    others.map(async other => {
      // One whose log cannot be read holds nothing: anybody could make such a one.
      const first = await historyOf(other).then(
        ({ entries }) => entries[0]?.time,
        () => undefined,
      )
      return { repository: other.namespace, holds: rank(other.namespace, first) < own }
    }),
  )
}

/**
 * Each content that the watched ref has had since the log last looked, oldest first: a request that was changed and changed
 * back is another generation than one that never changed.
 */
async function contentChanges(
  repository: GitRepository,
  state: RequestState,
  head: Oid,
  resource: Resource<RequestSpec>,
  signal: AbortSignal,
): Promise<ContentChange[]> {
  const { documents, folder } = resource.spec
  if (state.id === undefined || head === state.seen || !documents) return []
  const now = { commit: head, digest: documents.digest, documents, release: documents.governance.release ?? 1 }
  const grown = await repository.isAncestor(state.seen, head, signal).catch(error => {
    if (error instanceof CratewrightError && error.code === 'GitObjectMissing') return false
    throw error
  })
  if (!grown) return [{ ...now, because: 'history' }]
  const commits = await repository.history(
    { tip: head, since: state.seen, paths: pathsIn(folder), firstParent: true, limit: 100 },
    signal,
  )
  const changes: ContentChange[] = []
  let before: string | undefined = state.requestDigest
  for (const { oid } of [...commits].reverse()) {
    const { files } = await readFolder(repository, oid, folder, signal)
    // A folder that went and came back as it was is no other content: it was only missing.
    if (files.size === 0) continue
    const parsed = parseRequest(files, folder).documents
    if (parsed?.digest !== before) {
      changes.push({
        commit: oid,
        digest: parsed?.digest,
        documents: parsed,
        release: parsed?.governance.release ?? 1,
        because: 'request',
      })
    }
    before = parsed?.digest
  }
  if (before !== now.digest) changes.push({ ...now, because: 'request' })
  return changes
}

/** Names that the statements of registered people have, by how much they are waited for: other files must not hide them. */
function expectedNames(
  persons: readonly PersonInfo[],
  groups: readonly Group[],
  phase: 'SignOff' | 'Disclosure' | undefined,
): ReadonlyMap<string, number> {
  const words = ['sign-off', 'disclosure', 'withdraw-sign-off', 'withdraw-disclosure', 'withdraw-request']
  const waited = { SignOff: 'sign-off', Disclosure: 'disclosure', none: '' }[phase ?? 'none']
  const members = new Set(groups.flatMap(({ spec }) => spec.members.map(({ person }) => person)))
  return new Map(
    persons.flatMap(({ name }) =>
      words.map(word => [`${word}-${name}.yaml`, (word === waited ? 0 : 1) + (members.has(name) ? 0 : 2)] as const),
    ),
  )
}

async function statementFiles(
  repository: GitRepository,
  commit: Oid,
  folder: string,
  digest: string,
  expected: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<StatementFiles> {
  const base = folder === '' ? 'sign-offs' : `${folder}/sign-offs`
  const entries = (await repository.list(commit, base, signal)).filter(
    ({ mode }) => mode === '100644' || mode === '100755',
  )
  const current = `${base}/${digest.slice(0, 16)}/`
  // Those of registered people for the content as it is come first: what anybody else puts there must not hide them.
  const rank = ({ path }: { path: string }) =>
    path.startsWith(current) ? (expected.get(path.slice(current.length)) ?? 4) : 5
  const all = entries.filter(({ path }) => path.endsWith('.yaml')).sort((a, b) => rank(a) - rank(b))
  const most = Math.max(maxStatements, Math.min(maxExpected, expected.size))
  const wanted = all.slice(0, most)
  const signatures = new Map(entries.filter(({ path }) => path.endsWith('.yaml.sig')).map(entry => [entry.path, entry]))
  const oids = wanted
    .flatMap(({ oid, path }) => [oid, signatures.get(`${path}.sig`)?.oid])
    .filter(oid => oid !== undefined)
  const blobs = await readBounded(repository, oids, maxStatementBytes, signal)
  const files: StatementFile[] = []
  const unread: { path: string; reason: string }[] = []
  for (const entry of wanted) {
    const path = folder === '' ? entry.path : entry.path.slice(folder.length + 1)
    const text = blobs.get(entry.oid)
    const beside = signatures.get(`${entry.path}.sig`)
    const signature = beside && blobs.get(beside.oid)
    if (text && (signature || !beside)) files.push({ path, text, signature })
    else if (text) unread.push({ path, reason: `its signature has more than ${maxStatementBytes} bytes` })
    else unread.push({ path, reason: `it has more than ${maxStatementBytes} bytes` })
  }
  if (all.length > wanted.length)
    unread.push({ path: 'sign-offs', reason: `only ${most} of its ${all.length} statements are looked at` })
  return { files, unread }
}
