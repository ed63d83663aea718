/** What is known of a request before anything is decided: its log, its content, who wrote it, what was signed. */

import type { ApproverGroupSpec, Governance, PersonSpec } from '../../../schemas/generated/types.ts'
import type { Context, History, Resource } from '../../engine/kind.ts'
import { readBounded } from '../../git/read-bounded.ts'
import type { GitRepository, Oid } from '../../git/repository.ts'
import { type Barred, type Group, type GroupView, groupsFor, viewOf, whyNot } from '../../records/approval.ts'
import {
  maxStatementBytes,
  type PersonInfo,
  type Reading,
  readStatement,
  type StatementFile,
  type Subject,
} from '../../records/statement.ts'
import { sha256Hex } from '../../runtime/canonical.ts'
import { CratewrightError, type Problem } from '../../runtime/errors.ts'
import { approverGroupType, personType } from '../types.ts'
import { type Authors, authorsOf, pathsIn } from './authors.ts'
import { parseRequest, type RequestDocuments, readFolder } from './documents.ts'
import type { RequestSpec } from './reader.ts'
import { type Resolved, resolveRequest } from './resolve.ts'
import type { Tre } from './state.ts'
import { type CountedStatement, type RequestState, stateOf } from './state.ts'

export interface ContentChange {
  readonly commit: Oid
  /** Undefined: the documents had errors there. */
  readonly digest: string | undefined
  readonly release: number
  readonly because: 'request' | 'history'
}

export interface JudgedStatement {
  readonly file: StatementFile
  readonly reading: Reading
  /** Why it does not count; undefined: it does. */
  readonly ignored: string | undefined
  /** It is in the log. */
  readonly counted: boolean
}

export interface Approval {
  readonly phase: 'SignOff' | 'Disclosure'
  readonly groups: readonly Group[]
  readonly views: readonly GroupView[]
  readonly barred: Barred
  readonly subject: Subject
  readonly statements: readonly JudgedStatement[]
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
  readonly persons: readonly PersonInfo[]
  readonly groups: readonly Group[]
  readonly platformProblems: readonly Problem[]
  readonly asked: boolean
  readonly tre: Tre
}

/** Statement files looked at in one request; more are not read, and said. */
const maxStatements = 50

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
  const known = { state, history, head, headTime: 0, documents, persons, groups, platformProblems, asked, tre }
  const nothing = { changes: [], resolved: undefined, resolveProblems: [], authors: undefined, approval: undefined }
  if (resource.missing || !documents) return { ...known, ...nothing }

  const [commit] = await repository.history({ tip: head, limit: 1 }, signal)
  const changes = await contentChanges(repository, state, head, resource, signal)
  const { resolved, problems } = resolveRequest(documents, resource.name, folder, snapshot)
  const settled = state.phase === 'Published' || state.phase === 'Rejected'
  const authors = settled ? undefined : await authorsOf(repository, head, state.approvedAt, folder, persons, signal)
  const phase = waitingFor(state)
  const approval =
    phase && authors && resolved
      ? await observeApproval(phase, {
          resource,
          context,
          repository,
          state,
          authors,
          persons,
          groups,
          documents,
          source: resolved.connection.name,
          head,
        })
      : undefined
  return { ...known, headTime: commit?.time ?? 0, changes, resolved, resolveProblems: problems, authors, approval }
}

export function waitingFor({ phase, signOff, disclosure }: RequestState): 'SignOff' | 'Disclosure' | undefined {
  if (phase === 'Validated' && !signOff) return 'SignOff'
  return phase === 'Staged' && !disclosure ? 'Disclosure' : undefined
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
  const now = { commit: head, digest: documents.digest, release: documents.governance.release ?? 1 }
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
    const parsed = parseRequest(files, folder).documents
    if (parsed?.digest !== before) {
      changes.push({
        commit: oid,
        digest: parsed?.digest,
        release: parsed?.governance.release ?? 1,
        because: 'request',
      })
    }
    before = parsed?.digest
  }
  if (before !== now.digest) changes.push({ ...now, because: 'request' })
  return changes
}

interface ApprovalRoom {
  readonly resource: Resource<RequestSpec>
  readonly context: Context
  readonly repository: GitRepository
  readonly state: RequestState
  readonly authors: Authors
  readonly persons: readonly PersonInfo[]
  readonly groups: readonly Group[]
  readonly documents: RequestDocuments
  readonly source: string
  readonly head: Oid
}

async function observeApproval(phase: 'SignOff' | 'Disclosure', room: ApprovalRoom): Promise<Approval> {
  const { resource, context, repository, state, authors, persons, documents, source } = room
  const groups = groupsFor(room.groups, { phase, project: resource.name, source })
  const barred = barredFrom(documents.governance, authors, persons)
  const names = new Set(persons.map(({ name }) => name))
  // As the entry that counts it will be dated: an auditor judges membership by that.
  const last = context.history.entries.at(-1)?.time
  const now = new Date(Math.max(context.clock.now().getTime(), last ? Date.parse(last) : 0))
  const views = groups.map(group => viewOf(group, now, barred, names))
  const subject = subjectOf(phase, resource, state)
  const { files, unread } = await statementFiles(
    repository,
    room.head,
    resource.spec.folder,
    state.requestDigest,
    context.signal,
  )
  const statements = files.map((file): JudgedStatement => {
    const reading = readStatement(file, subject, context.history, persons)
    const digest = sha256Hex(file.text)
    const counted = state.counted.some(({ sha256 }) => sha256 === digest)
    return {
      file,
      reading,
      counted,
      ignored: reading.state === 'ignored' ? reading.reason : refusal(reading, groups, views, barred),
    }
  })
  const notRead = unread.map(
    ({ path, reason }): JudgedStatement => ({
      file: { path, text: new Uint8Array(), signature: undefined },
      reading: { state: 'ignored', reason },
      ignored: reason,
      counted: false,
    }),
  )
  const all = [...withoutRepeats(statements, state, phase), ...notRead]
  return { phase, groups, views, barred, subject, statements: all }
}

/** One statement a person and decision; more of the same say nothing new. */
function withoutRepeats(
  statements: readonly JudgedStatement[],
  state: RequestState,
  phase: CountedStatement['phase'],
): JudgedStatement[] {
  const said = new Map(
    state.counted
      .filter(counted => counted.phase === phase)
      .map(({ person, decision, path }) => [`${person} ${decision}`, path]),
  )
  return statements.map(judged => {
    const { file, reading, ignored } = judged
    if (reading.state === 'ignored' || ignored !== undefined) return judged
    const what = `${reading.person.name} ${reading.statement.decision}`
    const before = said.get(what)
    said.set(what, before ?? file.path)
    if (before === undefined || before === file.path) return judged
    return { ...judged, counted: false, ignored: `it says what ${before} says already` }
  })
}

export function subjectOf(
  phase: 'SignOff' | 'Disclosure',
  resource: { namespace: string; name: string },
  state: RequestState,
): Subject {
  const scope = state.validation?.scope
  const outputs = phase === 'Disclosure' ? state.staging?.outputs : undefined
  return {
    repository: resource.namespace,
    project: resource.name,
    phase,
    release: state.release,
    generation: state.generation,
    digests: { request: state.requestDigest, ...(scope ? { scope } : {}), ...(outputs ? { outputs } : {}) },
    since: (phase === 'SignOff' ? state.validation?.entry : state.staging?.entry) ?? 0,
  }
}

function refusal(
  reading: Reading & { state: 'sound' },
  groups: readonly Group[],
  views: readonly GroupView[],
  barred: Barred,
): string | undefined {
  if (reading.statement.decision === 'withdraw') return 'withdrawing an approval is not provided yet; reject instead'
  return whyNot(reading.person.name, groups, views, barred)
}

/** The requester, the project's users, and whoever wrote the request since it was last approved. */
export function barredFrom(governance: Governance, authors: Authors, persons: readonly PersonInfo[]): Barred {
  const barred = new Map<string, string>()
  for (const person of persons) {
    const emails = new Set((person.spec.emails ?? []).map(email => email.toLowerCase()))
    const isOne = (user: { username: string; email?: string }) =>
      user.username === person.name || (user.email !== undefined && emails.has(user.email.toLowerCase()))
    if (authors.persons.includes(person.name)) barred.set(person.name, 'wrote this request')
    else if (authors.coAuthors.some(email => emails.has(email)))
      barred.set(person.name, 'is named as co-author of this request')
    else if (
      governance.requester !== undefined &&
      isOne({ username: governance.requester, email: governance.requester })
    )
      barred.set(person.name, 'asks for this data')
    else if (governance.users.some(isOne)) barred.set(person.name, 'is a user of this project')
  }
  return barred
}

async function statementFiles(
  repository: GitRepository,
  commit: Oid,
  folder: string,
  digest: string,
  signal: AbortSignal,
): Promise<{ files: StatementFile[]; unread: { path: string; reason: string }[] }> {
  const base = folder === '' ? 'sign-offs' : `${folder}/sign-offs`
  const entries = (await repository.list(commit, base, signal)).filter(
    ({ mode }) => mode === '100644' || mode === '100755',
  )
  // Those for the content as it is first: what lies there for other contents must not hide them.
  const rank = ({ path }: { path: string }) => (path.startsWith(`${base}/${digest.slice(0, 16)}/`) ? 0 : 1)
  const all = entries.filter(({ path }) => path.endsWith('.yaml')).sort((a, b) => rank(a) - rank(b))
  const wanted = all.slice(0, maxStatements)
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
    const signature = blobs.get(signatures.get(`${entry.path}.sig`)?.oid ?? '')
    if (text) files.push({ path, text, signature })
    else unread.push({ path, reason: `it has more than ${maxStatementBytes} bytes` })
  }
  if (all.length > wanted.length)
    unread.push({ path: 'sign-offs', reason: `only ${maxStatements} of its ${all.length} statements are looked at` })
  return { files, unread }
}
