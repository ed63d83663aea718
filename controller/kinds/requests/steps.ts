/** The steps of a request's life, as plain data. */

import type { EntryDetail, LogEntry, PlanStep } from '../../engine/kind.ts'
import type { Oid } from '../../git/repository.ts'
import type { Tally } from '../../records/approval.ts'
import type { JudgedStatement } from './approvals.ts'
import type { CountedStatement, StatementPhase, Tre, UsedResource } from './state.ts'

interface Base extends PlanStep {
  readonly generation: number
  readonly release: number
  readonly digests: NonNullable<LogEntry['digests']>
}

/** From when and until when the data may be read (ISO 8601). */
export interface Period {
  readonly from?: string
  readonly until?: string
}

export interface CreateStep extends Base {
  readonly action: 'create'
  readonly id: string
  readonly folder: string
  readonly content: Oid
  readonly seen: Oid
  readonly tre: Tre
  readonly period: Period
}

export interface ChangeStep extends Base {
  readonly action: 'change'
  readonly because: 'request' | 'history' | 'platform'
  readonly folder: string
  readonly content: Oid
  readonly seen: Oid
  /** Set where something approved is void by it. */
  readonly voids: boolean
  readonly period: Period
  /** What changed since content was last approved. */
  readonly changed: readonly string[]
}

export interface ValidateStep extends Base {
  readonly action: 'validate'
  readonly inputs: string
}

export interface StatementStep extends Base {
  readonly action: 'statement'
  readonly statement: Omit<CountedStatement, 'entry'>
}

export interface DecisionStep extends Base {
  readonly action: 'sign-off' | 'disclosure'
  readonly decision: 'approve' | 'reject'
  readonly groups: Tally['groups']
  /** The groups and the people that decided, as they were then: until the release is closed they may change. */
  readonly resources: readonly UsedResource[]
}

/** Statements that do not count for who signed them, noted when they are first seen. */
export interface SeenStep extends Base {
  readonly action: 'seen'
  readonly statements: readonly {
    readonly path: string
    readonly sha256: string
    /** Fingerprint of the key that signed it. */
    readonly key: string
    readonly reason: string
  }[]
}

export interface StageStep extends Base {
  readonly action: 'stage-transfer'
  /** The name of the FileStore. */
  readonly store: string
}

export interface CloseStep extends Base {
  readonly action: 'close'
  readonly resources: readonly UsedResource[]
}

export interface PublishStep extends Base {
  readonly action: 'publish'
}

export interface WithdrawStep extends Base {
  readonly action: 'withdraw'
  readonly by: 'statement' | 'platform'
  readonly message: string
}

export interface ExpireStep extends Base {
  readonly action: 'expire'
  readonly message: string
}

/** `release` is the one that is called back. */
export interface RecallStep extends Base {
  readonly action: 'recall'
  readonly message: string
}

export interface RevokeStep extends Base {
  readonly action: 'revoke'
  readonly store: string
  /** Of a publish that was broken off: there may be nothing. */
  readonly leftOver?: true
}

export interface DestroyStep extends Base {
  readonly action: 'destroy'
  readonly store: string
  readonly what: 'staged' | 'released'
}

export type RequestStep =
  | CreateStep
  | ChangeStep
  | ValidateStep
  | StatementStep
  | SeenStep
  | WithdrawStep
  | ExpireStep
  | RecallStep
  | RevokeStep
  | DestroyStep
  | DecisionStep
  | StageStep
  | CloseStep
  | PublishStep

/** Counting a statement that is sound. */
export function statementStep(
  base: Pick<Base, 'generation' | 'release' | 'digests'>,
  phase: StatementPhase | 'Confirm',
  { reading, file }: Pick<JudgedStatement, 'reading' | 'file'>,
): StatementStep {
  if (reading.state !== 'sound' || phase === 'Confirm')
    throw new TypeError('only sound statements about requests count')
  return {
    ...base,
    action: 'statement',
    record: 'noted',
    summary: `count the statement ${file.path}`,
    statement: {
      phase,
      person: reading.person.name,
      decision: reading.statement.decision,
      path: file.path,
      sha256: reading.sha256,
      fingerprint: reading.fingerprint,
      text: Buffer.from(file.text).toString('utf8'),
      signature: Buffer.from(file.signature ?? []).toString('latin1'),
    },
  }
}

/** What the entry of a step holds before anything is done. */
export function detailOf(step: RequestStep): EntryDetail {
  const { generation, release, digests } = step
  return { generation, release, digests, ...factsOf(step) }
}

function factsOf(step: RequestStep): Pick<EntryDetail, 'facts'> {
  switch (step.action) {
    case 'create':
      return {
        facts: { id: step.id, ...contentOf(step), tre: step.tre, ...step.period },
      }
    case 'change':
      return {
        facts: {
          because: step.because,
          ...contentOf(step),
          ...step.period,
          ...(step.changed.length > 0 ? { changed: step.changed } : {}),
        },
      }
    case 'seen':
      return { facts: { statements: step.statements } }
    case 'withdraw':
      return { facts: { by: step.by, message: step.message } }
    case 'expire':
      return { facts: { message: step.message } }
    case 'recall':
      return { facts: { release: step.release, message: step.message } }
    case 'stage-transfer':
      return { facts: { store: step.store } }
    case 'revoke':
      return { facts: { release: step.release, store: step.store } }
    case 'destroy':
      return { facts: { release: step.release, store: step.store, what: step.what } }
    case 'statement':
      return { facts: { ...step.statement } }
    case 'sign-off':
    case 'disclosure':
      return { facts: { decision: step.decision, groups: step.groups, resources: step.resources } }
    case 'close':
      return { facts: { resources: step.resources } }
    default:
      return {}
  }
}

function contentOf({ folder, content, seen }: CreateStep | ChangeStep) {
  return { folder, content, seen }
}
