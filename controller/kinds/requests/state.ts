/** Where a request stands, folded from its log: nothing else decides a phase. */

import type { History, LogEntry } from '../../engine/kind.ts'
import type { Oid } from '../../git/repository.ts'
import type {
  Closing,
  CountedStatement,
  Decision,
  Finding,
  Phase,
  PublishedRelease,
  RequestState,
  ScopeTable,
  Staging,
  StatementPhase,
  Tre,
} from './state-types.ts'

export type * from './state-types.ts'

/** Nothing is checked, approved or extracted of the content yet: how a generation begins, and where a void scope leads back to. */
const unchecked = {
  validation: undefined,
  counted: [],
  signOff: undefined,
  staging: undefined,
  stagingVoid: undefined,
  disclosure: undefined,
  closing: undefined,
  halted: undefined,
  refused: new Map(),
} satisfies Partial<RequestState>

const nothing: RequestState = {
  phase: 'Requested',
  id: undefined,
  createdAt: '',
  tre: { name: 'Trusted research environment' },
  generation: 0,
  release: 1,
  requestDigest: '',
  content: '',
  folder: '',
  seen: '',
  since: 0,
  ...unchecked,
  closedRelease: 0,
  publishedRelease: 0,
  published: undefined,
  releases: [],
  staged: undefined,
  publishing: undefined,
  approved: undefined,
  approvedBefore: undefined,
  changed: [],
  from: undefined,
  until: undefined,
  end: undefined,
  removalsFailed: [],
}

export function stateOf(history: History): RequestState {
  return history.entries.reduce(fold, nothing)
}

type Shape = Record<string, never>

function facts<T>(entry: LogEntry): T {
  return (entry.facts ?? ({} as Shape)) as T
}

function fold(state: RequestState, entry: LogEntry): RequestState {
  if (entry.action === 'error' || entry.result === 'abandoned') return state
  const step = { started, noted, outcome: outcomes }[entry.event][entry.action]
  const next = step ? step(state, entry) : state
  return withPhase(next)
}

type Fold = (state: RequestState, entry: LogEntry) => RequestState

/** From here on something may lie in staging, however the step ends. */
const started: Record<string, Fold> = {
  'stage-transfer': (state, entry) => {
    const { store } = facts<{ store?: string }>(entry)
    return { ...state, staged: { release: state.release, generation: state.generation, store } }
  },
  publish: state => ({ ...state, publishing: { release: state.release, store: state.staged?.store } }),
}

const noted: Record<string, Fold> = {
  create: (state, entry) => {
    const { id, tre } = facts<{ id: string; tre: Tre }>(entry)
    return { ...renewed(state, entry), id, tre, createdAt: entry.time }
  },
  change: (state, entry) => renewed(state, entry),
  statement: (state, entry) => {
    const statement = { entry: entry.number, ...facts<Omit<CountedStatement, 'entry'>>(entry) }
    return takenBack({ ...state, counted: [...state.counted, statement] }, statement)
  },
  seen: (state, entry) => {
    const { statements } = facts<{ statements: { sha256: string; key: string; reason: string }[] }>(entry)
    const refused = statements.map(({ sha256, key, reason }) => [refusedKey(sha256, key), reason] as const)
    return { ...state, refused: new Map([...state.refused, ...refused]) }
  },
  'sign-off': (state, entry) => {
    const signOff = decisionOf(entry)
    if (signOff.decision !== 'approve') return { ...(state.signOff ? unapproved(state) : state), signOff }
    const { content: at, requestDigest: digest, folder, validation } = state
    const approved = { at, digest, folder, tables: validation?.tables ?? [] }
    return { ...state, signOff, approved, approvedBefore: state.approved }
  },
  disclosure: (state, entry) => ({ ...state, disclosure: decisionOf(entry) }),
  withdraw: (state, entry) => {
    const { by } = facts<{ by: 'statement' | 'platform' }>(entry)
    const ended = withEnd(state, entry, 'Withdrawn')
    // What was released of another generation is not the requester's of this one to take away; an admin ends all of it.
    return recalledBy(ended, entry, one => by === 'platform' || one.generation === state.generation)
  },
  expire: (state, entry) =>
    // Every other release has the end of its own agreement.
    recalledBy(withEnd(state, entry, 'Expired'), entry, one => one.generation === state.generation),
  recall: (state, entry) => withRelease(state, entry, { recalled: { entry: entry.number, message: messageOf(entry) } }),
}

const outcomes: Record<string, Fold> = {
  validate: (state, entry) => {
    const {
      inputs,
      tables = [],
      findings,
    } = facts<{ inputs: string; tables?: ScopeTable[]; findings?: Finding[] }>(entry)
    const ok = entry.result === 'done'
    return {
      ...state,
      validation: {
        entry: entry.number,
        ok,
        inputs,
        scope: ok ? entry.digests?.scope : undefined,
        tables,
        findings: findings ?? (entry.error ? [entry.error] : []),
      },
    }
  },
  'stage-transfer': (state, entry) => {
    if (entry.result !== 'done') return voided(state, entry)
    const { files, summary, threshold, startedAt } = facts<Omit<Staging, 'entry' | 'outputs' | 'endedAt'>>(entry)
    const staging = {
      entry: entry.number,
      outputs: entry.digests?.outputs ?? '',
      files,
      summary,
      threshold,
      startedAt,
      endedAt: entry.time,
    }
    return { ...state, staging, stagingVoid: undefined, disclosure: undefined, halted: undefined }
  },
  close: (state, entry) => {
    if (entry.result !== 'done') return voided(state, entry)
    const closing = {
      ...facts<Omit<Closing, 'entry' | 'release' | 'started'>>(entry),
      entry: entry.number,
      release: state.release,
      started: entry.started ?? 0,
    }
    return { ...state, halted: undefined, closing, closedRelease: Math.max(state.closedRelease, state.release) }
  },
  publish: (state, entry) => {
    if (entry.result !== 'done') {
      const { publishing } = state
      return { ...voided(state, entry), publishing: facts<{ moved?: true }>(entry).moved ? publishing : undefined }
    }
    const { location } = facts<{ location: string }>(entry)
    const { release, generation, until, closing, staged } = state
    const published: PublishedRelease = {
      release,
      generation,
      entry: entry.number,
      store: staged?.store,
      location,
      manifestSha512: closing?.manifestSha512 ?? '',
      until,
      recalled: undefined,
      state: 'published',
      revokedAt: undefined,
    }
    return {
      ...state,
      published: { entry: entry.number, location },
      publishedRelease: Math.max(state.publishedRelease, release),
      releases: [...state.releases.filter(one => one.release !== release), published],
      staged: undefined,
      publishing: undefined,
    }
  },
  revoke: (state, entry) => {
    const next = { ...state, removalsFailed: removalsOf(state, entry) }
    if (entry.result !== 'done') return next
    const { release, store } = facts<{ release: number; store: string }>(entry)
    if (state.releases.some(one => one.release === release))
      return withRelease(next, entry, { state: 'revoked', revokedAt: entry.time })
    const leftOver: PublishedRelease = {
      ...{ release, store, generation: state.generation, entry: entry.number, location: '', manifestSha512: '' },
      until: undefined,
      recalled: { entry: entry.number, message: 'its publishing was broken off' },
      state: 'revoked',
      revokedAt: entry.time,
    }
    return { ...next, publishing: undefined, releases: [...state.releases, leftOver] }
  },
  destroy: (state, entry) => {
    const next = { ...state, removalsFailed: removalsOf(state, entry) }
    if (entry.result !== 'done') return next
    return facts<{ what: string }>(entry).what === 'staged'
      ? { ...next, staged: undefined }
      : withRelease(next, entry, { state: 'destroyed' })
  },
}

/** What a statement says can be foretold: who signs it first with a key of their own takes nothing from the one it is prepared for. */
export function refusedKey(sha256: string, fingerprint: string): string {
  return `${sha256} ${fingerprint}`
}

/** The last word of each person in a phase. */
export function votesOf(counted: readonly CountedStatement[], phase: StatementPhase): CountedStatement[] {
  const last = new Map<string, CountedStatement>()
  for (const statement of counted) if (statement.phase === phase) last.set(statement.person, statement)
  return [...last.values()]
}

/** An approval that was taken back undoes the decision that no longer has its quorum, and what was done on the strength of it. */
function takenBack(state: RequestState, { decision, phase }: CountedStatement): RequestState {
  if (decision !== 'withdraw' || phase === 'Request' || state.published) return state
  const decided = phase === 'SignOff' ? state.signOff : state.disclosure
  if (decided?.decision !== 'approve') return state
  const approving = new Set(
    votesOf(state.counted, phase)
      .filter(vote => vote.decision === 'approve')
      .map(({ person }) => person),
  )
  const stands = decided.groups.every(
    ({ approved, quorum }) => approved.filter(person => approving.has(person)).length >= quorum,
  )
  if (stands) return state
  return phase === 'SignOff' ? unapproved(state) : { ...state, disclosure: undefined, closing: undefined }
}

/** What was approved no longer is: nothing was staged or disclosed on the strength of it. */
function unapproved(state: RequestState): RequestState {
  return {
    ...state,
    signOff: undefined,
    // What was said about outputs was said about those that are gone.
    counted: state.counted.filter(({ phase }) => phase !== 'Disclosure'),
    staging: undefined,
    stagingVoid: undefined,
    disclosure: undefined,
    closing: undefined,
    halted: undefined,
    approved: state.approvedBefore,
    approvedBefore: undefined,
  }
}

function withRelease(state: RequestState, entry: LogEntry, change: Partial<PublishedRelease>): RequestState {
  const { release } = facts<{ release: number }>(entry)
  return {
    ...state,
    releases: state.releases.map(one => (one.release === release ? { ...one, ...change } : one)),
  }
}

function withEnd(state: RequestState, entry: LogEntry, how: 'Withdrawn' | 'Expired'): RequestState {
  return { ...state, end: { entry: entry.number, how, message: messageOf(entry) } }
}

/** Noted at the releases themselves: whatever is asked for later, they stay called back. */
function recalledBy(state: RequestState, entry: LogEntry, which: (one: PublishedRelease) => boolean): RequestState {
  const recalled = { entry: entry.number, message: messageOf(entry) }
  const { releases } = state
  return {
    ...state,
    releases: releases.map(one =>
      one.state === 'published' && !one.recalled && which(one) ? { ...one, recalled } : one,
    ),
  }
}

function messageOf(entry: LogEntry): string {
  return facts<{ message?: string }>(entry).message ?? ''
}

function failureOf({ action, error }: LogEntry) {
  return { action, code: error?.code ?? 'Internal', message: error?.message ?? '' }
}

/** Which removals have failed for good: one that is done again, or fails again, takes the place of its last failure. */
function removalsOf(state: RequestState, entry: LogEntry): RequestState['removalsFailed'] {
  const { release = 1 } = facts<{ release?: number }>(entry)
  const at = { release: entry.release ?? release }
  const others = state.removalsFailed.filter(one => one.action !== entry.action || one.release !== at.release)
  return entry.result === 'done' ? others : [...others, { ...failureOf(entry), ...at }]
}

/** A new generation: whatever was approved, staged or disclosed was so for other content. */
function renewed(state: RequestState, entry: LogEntry): RequestState {
  const { content, seen, folder, changed, from, until } = facts<{
    content: Oid
    seen: Oid
    folder: string
    changed?: string[]
    from?: string
    until?: string
  }>(entry)
  return {
    ...nothing,
    id: state.id,
    createdAt: state.createdAt,
    tre: state.tre,
    closedRelease: state.closedRelease,
    publishedRelease: state.publishedRelease,
    releases: state.releases,
    staged: state.staged,
    publishing: state.publishing,
    approved: state.approved,
    approvedBefore: state.approvedBefore,
    removalsFailed: state.removalsFailed,
    changed: changed ?? [],
    from,
    until,
    generation: entry.generation ?? 0,
    release: entry.release ?? 1,
    requestDigest: entry.digests?.request ?? '',
    content,
    seen,
    folder,
    since: entry.number,
  }
}

/** A step refused to go on. What it found decides how far back the request goes. */
function voided(state: RequestState, entry: LogEntry): RequestState {
  const what = facts<{ void?: 'scope' | 'staged' }>(entry).void
  if (what === 'scope') return { ...state, ...unchecked }
  if (what === 'staged') {
    const counted = state.counted.filter(({ phase }) => phase === 'SignOff')
    return {
      ...state,
      counted,
      staging: undefined,
      disclosure: undefined,
      closing: undefined,
      halted: undefined,
      stagingVoid: entry.error?.message ?? 'the staged files changed',
    }
  }
  return { ...state, halted: failureOf(entry) }
}

function withPhase(state: RequestState): RequestState {
  return { ...state, phase: phaseOf(state) }
}

function phaseOf(state: RequestState): Phase {
  if (state.id === undefined) return 'Requested'
  if (state.end) return state.end.how
  if (state.published) {
    const current = state.releases.find(({ release }) => release === state.release)
    return current?.recalled || current?.state !== 'published' ? 'Recalled' : 'Published'
  }
  if (state.signOff?.decision === 'reject' || state.disclosure?.decision === 'reject') return 'Rejected'
  if (state.disclosure) return 'Disclosed'
  if (state.staging) return 'Staged'
  if (state.signOff) return 'SignedOff'
  if (state.validation) return state.validation.ok ? 'Validated' : 'Failed'
  return 'Created'
}

function decisionOf(entry: LogEntry): Decision {
  const { decision, groups, resources } = facts<Omit<Decision, 'entry' | 'time'>>(entry)
  return { entry: entry.number, time: entry.time, decision, groups, resources }
}
