/** Where a request stands, folded from its log: nothing else decides a phase. */

import type { History, LogEntry } from '../../engine/kind.ts'
import type { Oid } from '../../git/repository.ts'
import type { Tally } from '../../records/approval.ts'

export type Phase =
  | 'Requested'
  | 'Created'
  | 'Failed'
  | 'Validated'
  | 'SignedOff'
  | 'Staged'
  | 'Disclosed'
  | 'Published'
  | 'Rejected'

/** The research environment, as records name it. */
export interface Tre {
  readonly name: string
  readonly url?: string
}

/** A Person, ApproverGroup or SourceConnection as it was used; a bag carries them, so that it can be judged alone. */
export interface UsedResource {
  readonly kind: string
  readonly name: string
  readonly spec: unknown
}

export interface CountedStatement {
  readonly entry: number
  readonly phase: 'SignOff' | 'Disclosure'
  readonly person: string
  readonly decision: 'approve' | 'reject' | 'withdraw'
  readonly path: string
  readonly sha256: string
  readonly fingerprint: string
  readonly text: string
  readonly signature: string
}

export interface OutputFile {
  /** `data/outputs/<dataset>/<table>.csv`. */
  readonly path: string
  readonly dataset: string
  readonly schema: string
  readonly table: string
  readonly size: number
  readonly sha256: string
  readonly sha512: string
}

/** What approvers see of a table in Git: counts below the threshold are not shown. */
export interface OutputSummary {
  readonly path: string
  readonly rows: number | 'fewer than the threshold'
  readonly columns: number
  readonly smallCells: number
}

export interface ScopeTable {
  readonly dataset: string
  readonly schema: string
  readonly table: string
  readonly kind: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
}

export interface Decision {
  readonly entry: number
  readonly time: string
  readonly decision: 'approve' | 'reject'
  readonly groups: Tally['groups']
  readonly resources: readonly UsedResource[]
}

export interface Validation {
  readonly entry: number
  readonly ok: boolean
  /** Digest of all that the outcome depends on and that Git holds: a new one asks for a new validation. */
  readonly inputs: string
  readonly scope: string | undefined
  readonly tables: readonly ScopeTable[]
  readonly findings: readonly Finding[]
}

/** Why a validation failed. */
export interface Finding {
  readonly code: string
  readonly message: string
}

export interface Staging {
  readonly entry: number
  readonly outputs: string
  readonly files: readonly OutputFile[]
  readonly summary: readonly OutputSummary[]
  readonly threshold: number
  readonly startedAt: string
  readonly endedAt: string
}

export interface Closing {
  readonly entry: number
  readonly release: number
  readonly started: number
  readonly manifestSha512: string
  readonly tagmanifestSha512: string
  readonly signature: string
  readonly gitSignature: string
  readonly key: string
}

export interface RequestState {
  readonly phase: Phase
  /** `urn:uuid:` of the request; undefined before it was created. */
  readonly id: string | undefined
  readonly createdAt: string
  readonly tre: Tre
  readonly generation: number
  readonly release: number
  readonly requestDigest: string
  /** The commit at which the content of this generation was read. */
  readonly content: Oid
  /** Where the request's folder lay at that commit. */
  readonly folder: string
  /** The newest commit whose changes are in the log. */
  readonly seen: Oid
  /** The entry that began this generation. */
  readonly since: number
  readonly validation: Validation | undefined
  readonly counted: readonly CountedStatement[]
  readonly signOff: Decision | undefined
  readonly staging: Staging | undefined
  /** Why staged data is not what was approved; a person has to ask before it is staged again. */
  readonly stagingVoid: string | undefined
  readonly disclosure: Decision | undefined
  readonly closing: Closing | undefined
  /** The newest release that was closed in any generation: its bag is never written again. */
  readonly closedRelease: number
  readonly publishedRelease: number
  readonly published: { readonly entry: number; readonly location: string } | undefined
  /** The commit at which content was last approved for staging, in any generation. */
  readonly approvedAt: Oid | undefined
  /** The request digest that was last approved. */
  readonly approvedDigest: string | undefined
  /** A step that failed for a reason that only new input or a person can remove. */
  readonly halted: { readonly action: LogEntry['action']; readonly code: string; readonly message: string } | undefined
}

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
  approvedAt: undefined,
  approvedDigest: undefined,
}

export function stateOf(history: History): RequestState {
  return history.entries.reduce(fold, nothing)
}

type Shape = Record<string, never>

function facts<T>(entry: LogEntry): T {
  return (entry.facts ?? ({} as Shape)) as T
}

function fold(state: RequestState, entry: LogEntry): RequestState {
  if (entry.event === 'started' || entry.action === 'error' || entry.result === 'abandoned') return state
  const step = entry.event === 'noted' ? noted[entry.action] : outcomes[entry.action]
  const next = step ? step(state, entry) : state
  return withPhase(next)
}

type Fold = (state: RequestState, entry: LogEntry) => RequestState

const noted: Record<string, Fold> = {
  create: (state, entry) => {
    const { id, tre } = facts<{ id: string; tre: Tre }>(entry)
    return { ...renewed(state, entry), id, tre, createdAt: entry.time }
  },
  change: (state, entry) => renewed(state, entry),
  statement: (state, entry) => ({
    ...state,
    counted: [...state.counted, { entry: entry.number, ...facts<Omit<CountedStatement, 'entry'>>(entry) }],
  }),
  'sign-off': (state, entry) => {
    const signOff = decisionOf(entry)
    const approved = signOff.decision === 'approve'
    return {
      ...state,
      signOff,
      ...(approved ? { approvedAt: state.content, approvedDigest: state.requestDigest } : {}),
    }
  },
  disclosure: (state, entry) => ({ ...state, disclosure: decisionOf(entry) }),
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
    if (entry.result !== 'done') return voided(state, entry)
    return {
      ...state,
      published: { entry: entry.number, location: facts<{ location: string }>(entry).location },
      publishedRelease: Math.max(state.publishedRelease, state.release),
    }
  },
}

/** A new generation: whatever was approved, staged or disclosed was so for other content. */
function renewed(state: RequestState, entry: LogEntry): RequestState {
  const { content, seen, folder } = facts<{ content: Oid; seen: Oid; folder: string }>(entry)
  return {
    ...nothing,
    id: state.id,
    createdAt: state.createdAt,
    tre: state.tre,
    closedRelease: state.closedRelease,
    publishedRelease: state.publishedRelease,
    approvedAt: state.approvedAt,
    approvedDigest: state.approvedDigest,
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
  const { code, message } = entry.error ?? { code: 'Internal', message: '' }
  return { ...state, halted: { action: entry.action, code, message } }
}

function withPhase(state: RequestState): RequestState {
  return { ...state, phase: phaseOf(state) }
}

function phaseOf(state: RequestState): Phase {
  if (state.id === undefined) return 'Requested'
  if (state.published) return 'Published'
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
