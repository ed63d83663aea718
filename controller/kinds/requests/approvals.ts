/** Statements about a request: which count, for what, and why the others do not. Pure but for who wrote it ever. */

import type { Governance } from '../../../schemas/generated/types.ts'
import type { History, Resource } from '../../engine/kind.ts'
import { type Barred, type Group, type GroupView, groupsFor, viewOf, whyNot } from '../../records/approval.ts'
import {
  addressDigest,
  addressesOf,
  keysOf,
  type PersonInfo,
  parseStatement,
  type Reading,
  readStatement,
  type Statement,
  type StatementFile,
  type Subject,
} from '../../records/statement.ts'
import { sha256Hex } from '../../runtime/canonical.ts'
import type { Authors } from './authors.ts'
import type { RequestDocuments } from './documents.ts'
import { type CountedStatement, type RequestState, refusedKey, type StatementPhase, votesOf } from './state.ts'

export interface JudgedStatement {
  readonly file: StatementFile
  readonly reading: Reading
  /** Why it does not count; undefined: it does. */
  readonly ignored: string | undefined
  /** It is in the log. */
  readonly counted: boolean
  /** It says what another one says already. */
  readonly repeats?: true
}

export interface Approval {
  readonly phase: 'SignOff' | 'Disclosure'
  readonly groups: readonly Group[]
  readonly views: readonly GroupView[]
  readonly barred: Barred
  readonly subject: Subject
  readonly statements: readonly JudgedStatement[]
}

/** Whose approval a phase will need, long before it waits for it. */
export interface Prospect {
  readonly phase: 'SignOff' | 'Disclosure'
  readonly groups: readonly Group[]
  readonly views: readonly GroupView[]
}

export function waitingFor({ phase, signOff, disclosure }: RequestState): 'SignOff' | 'Disclosure' | undefined {
  if (phase === 'Validated' && !signOff) return 'SignOff'
  return phase === 'Staged' && !disclosure ? 'Disclosure' : undefined
}

/** What statements are judged by. */
export interface ApprovalRoom {
  readonly resource: Pick<Resource, 'name' | 'namespace'>
  readonly history: History
  readonly state: RequestState
  readonly persons: readonly PersonInfo[]
  readonly groups: readonly Group[]
  readonly documents: RequestDocuments
  /** The name of the SourceConnection; undefined where none matches. */
  readonly source: string | undefined
  /** Whoever wrote the content of this generation, from its beginning on. */
  readonly authorsEver: () => Promise<Authors>
  readonly at: Date
  readonly zone: string | undefined
}

export const nobody: Authors = { persons: [], coAuthors: [], unattributed: [] }

export interface StatementFiles {
  readonly files: readonly StatementFile[]
  readonly unread: readonly { readonly path: string; readonly reason: string }[]
}

export function prospectsOf(
  barred: Barred,
  { resource, persons, groups, source = '', at, zone }: ApprovalRoom,
): Prospect[] {
  const names = new Set(persons.map(({ name }) => name))
  return (['SignOff', 'Disclosure'] as const).map(phase => {
    const matching = groupsFor(groups, { phase, project: resource.name, source })
    return { phase, groups: matching, views: matching.map(group => viewOf(group, at, barred, names, zone)) }
  })
}

export function approvalOf(
  phase: 'SignOff' | 'Disclosure',
  barred: Barred,
  { files, unread }: StatementFiles,
  room: ApprovalRoom,
): Approval | undefined {
  const { resource, state, history, persons } = room
  const prospect = prospectsOf(barred, room).find(one => one.phase === phase)
  if (!prospect) return undefined
  const { groups, views } = prospect
  const subject = subjectOf(phase, resource, state)
  const statements = files.map(file =>
    judged(file, readStatement(file, subject, history, persons), state, reading =>
      refusal(reading, phase, state, groups, views, barred),
    ),
  )
  const notRead = unread.map(
    ({ path, reason }): JudgedStatement => ({
      file: { path, text: new Uint8Array(), signature: undefined },
      reading: { state: 'ignored', reason },
      ignored: reason,
      counted: false,
    }),
  )
  const all = [...withoutRepeats(statements, standingVotes(state.counted, phase, persons)), ...notRead]
  return { phase, groups, views, barred, subject, statements: all }
}

/** A statement that was refused for its signer stays refused: the time that counts is when it was first seen. */
function judged(
  file: StatementFile,
  reading: Reading,
  state: RequestState,
  refuse: (reading: Reading & { state: 'sound' }) => string | undefined,
): JudgedStatement {
  const digest = sha256Hex(file.text)
  const same = state.counted.find(({ sha256 }) => sha256 === digest)
  if (same) {
    const copy = { ignored: `it says what ${same.path} says already`, repeats: true } as const
    return {
      file,
      reading,
      ...(same.path === file.path ? { counted: true, ignored: undefined } : { counted: false, ...copy }),
    }
  }
  const key = reading.state === 'ignored' ? reading.signer : reading.fingerprint
  const before = key === undefined ? undefined : state.refused.get(refusedKey(digest, key))
  const ignored = reading.state === 'ignored' ? reading.reason : refuse(reading)
  const first = before && `it was refused when it was first seen: ${before}; sign again`
  return { file, reading, counted: false, ignored: ignored ?? first }
}

/**
 * What is said about decisions that were made: rejecting or taking back an approval, and taking back the request. Nobody is
 * heard twice, and an approval is late for nothing.
 */
export async function lateStatements({ files }: StatementFiles, room: ApprovalRoom): Promise<JudgedStatement[]> {
  const { state, persons, history, resource, documents, authorsEver } = room
  if (state.id === undefined || state.end) return []
  const decided = [
    ...(state.signOff?.decision === 'approve' ? (['SignOff'] as const) : []),
    ...(state.disclosure?.decision === 'approve' ? (['Disclosure'] as const) : []),
  ]
  const sound = (phase: StatementPhase) =>
    files.flatMap(file => {
      const reading = readStatement(file, subjectOf(phase, resource, state), history, persons)
      return reading.state === 'sound' && reading.statement.decision !== 'approve' ? [{ file, reading }] : []
    })
  const answers = decided.flatMap(phase => sound(phase).map(found => ({ ...found, phase })))
  const withdrawals = sound('Request').filter(({ reading }) => reading.statement.decision === 'withdraw')
  const heard = new Set([...answers, ...withdrawals].map(({ file }) => file.path))
  // While an approval is waited for, that says of each statement in its phase whether it counts.
  const open = waitingFor(state)
  const told = (phase: Statement['phase']) =>
    open !== undefined && phase !== 'Request' && !decided.some(one => one === phase)
  const unheard = files
    .filter(({ path }) => !heard.has(path))
    .flatMap(file => unheardOf(file, room))
    .filter(({ reading }) => reading.statement && !told(reading.statement.phase))
  if (heard.size === 0) return unheard
  const all = await authorsEver()
  const requesters = requestersOf(documents.governance, all, persons)
  // Whoever wrote what was approved may say no to it; who asks for the data or works with it has another way.
  const bars = barredFrom(documents.governance, nobody, persons)
  const prospects = prospectsOf(bars, room)
  return [
    ...withoutRepeats(
      withdrawals.map(({ file, reading }) =>
        judged(file, reading, state, ({ person }) =>
          requesters.has(person.name) ? undefined : `${person.name} neither asks for this data nor wrote this request`,
        ),
      ),
      votesOf(state.counted, 'Request'),
    ),
    ...decided.flatMap(phase => {
      const { groups = [], views = [] } = prospects.find(one => one.phase === phase) ?? {}
      const said = answers
        .filter(answer => answer.phase === phase)
        .map(({ file, reading }) =>
          judged(file, reading, state, found => refusal(found, phase, state, groups, views, bars)),
        )
      return withoutRepeats(said, votesOf(state.counted, phase))
    }),
    ...unheard,
  ]
}

/** A statement that would take something back, and does not. */
function unheardOf(file: StatementFile, { state, persons, history, resource }: ApprovalRoom): JudgedStatement[] {
  const { statement } = parseStatement(file.text, file.path)
  if (!statement || statement.decision === 'approve' || statement.phase === 'Confirm') return []
  const reading = readStatement(file, subjectOf(statement.phase, resource, state), history, persons)
  const one = judged(file, reading, state, () => 'what it takes back was not decided')
  return one.counted ? [] : [one]
}

/** Who may take a request back: who asks; where it names nobody known, whoever wrote it. */
export function requestersOf(
  governance: Governance,
  authors: Authors,
  persons: readonly PersonInfo[],
): ReadonlySet<string> {
  const { requester } = governance
  const asking = persons.filter(
    person => requester !== undefined && isUser(person, { username: requester, email: requester }),
  )
  return new Set(asking.length > 0 ? asking.map(({ name }) => name) : authors.persons)
}

/** The last word of each person, where its key still is that person's: a key that was taken away answers for nothing more. */
export function standingVotes<Vote extends Pick<CountedStatement, 'phase' | 'person' | 'decision' | 'fingerprint'>>(
  counted: readonly Vote[],
  phase: StatementPhase,
  persons: readonly PersonInfo[],
): Vote[] {
  const keys = new Map(persons.map(person => [person.name, new Set(keysOf(person).map(key => key.fingerprint))]))
  const last = new Map(counted.filter(vote => vote.phase === phase).map(vote => [vote.person, vote]))
  return [...last.values()].filter(({ person, fingerprint }) => keys.get(person)?.has(fingerprint))
}

/** One statement a person and decision; more of the same say nothing new. */
function withoutRepeats(
  statements: readonly JudgedStatement[],
  standing: readonly CountedStatement[],
): JudgedStatement[] {
  const said = new Map(standing.map(({ person, decision, path }) => [`${person} ${decision}`, path]))
  return statements.map(one => {
    const { file, reading, ignored, counted } = one
    if (reading.state === 'ignored' || ignored !== undefined || counted) return one
    const what = `${reading.person.name} ${reading.statement.decision}`
    const before = said.get(what)
    said.set(what, before ?? file.path)
    return before === undefined ? one : { ...one, ignored: `it says what ${before} says already`, repeats: true }
  })
}

export function subjectOf(
  phase: StatementPhase,
  resource: { namespace: string; name: string },
  state: RequestState,
): Subject {
  const scope = phase === 'Request' ? undefined : state.validation?.scope
  const outputs = phase === 'Disclosure' ? state.staging?.outputs : undefined
  return {
    repository: resource.namespace,
    project: resource.name,
    phase,
    release: state.release,
    generation: state.generation,
    digests: { request: state.requestDigest, ...(scope ? { scope } : {}), ...(outputs ? { outputs } : {}) },
    since: { SignOff: state.validation?.entry, Disclosure: state.staging?.entry, Request: state.since }[phase] ?? 0,
  }
}

function refusal(
  reading: Reading & { state: 'sound' },
  phase: StatementPhase,
  state: RequestState,
  groups: readonly Group[],
  views: readonly GroupView[],
  barred: Barred,
): string | undefined {
  const { person, statement } = reading
  const vote = votesOf(state.counted, phase).find(one => one.person === person.name)
  if (statement.decision !== 'withdraw')
    return whyNot(person.name, groups, views, barred) ?? whyTakenBack(statement, vote)
  return vote?.decision === 'approve' ? undefined : `${person.name} has given no approval that could be taken back`
}

/** Who takes an approval back takes all of them back: others that were signed before lie ready for whoever finds them. */
export function whyTakenBack(
  { decision, person, log }: Pick<Statement, 'decision' | 'person' | 'log'>,
  vote: Pick<CountedStatement, 'decision' | 'entry'> | undefined,
): string | undefined {
  if (decision !== 'approve' || vote?.decision !== 'withdraw' || log.number >= vote.entry) return undefined
  return `it was prepared at log entry ${log.number}, and ${person} took the approval back at entry ${vote.entry}`
}

/** The requester, the project's users, and whoever wrote the request since it was last approved. */
export function barredFrom(governance: Governance, authors: Authors, persons: readonly PersonInfo[]): Barred {
  const barred = new Map<string, string>()
  for (const person of persons) {
    const isOne = (user: { username: string; email?: string }) => isUser(person, user)
    if (authors.persons.includes(person.name)) barred.set(person.name, 'wrote this request')
    else if (authors.coAuthors.some(email => isUser(person, { username: '', email })))
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

/** A user is a Person by name, or by one of the Person's addresses. */
export function isUser(person: PersonInfo, { username, email }: { username: string; email?: string }): boolean {
  return username === person.name || (email !== undefined && addressesOf(person).has(addressDigest(email)))
}
