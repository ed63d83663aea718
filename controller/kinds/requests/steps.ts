/** The steps of a request's life, as plain data. */

import type { EntryDetail, LogEntry, PlanStep } from '../../engine/kind.ts'
import type { Oid } from '../../git/repository.ts'
import type { Tally } from '../../records/approval.ts'
import type { CountedStatement, Tre, UsedResource } from './state.ts'

interface Base extends PlanStep {
  readonly generation: number
  readonly release: number
  readonly digests: NonNullable<LogEntry['digests']>
}

export interface CreateStep extends Base {
  readonly action: 'create'
  readonly id: string
  readonly folder: string
  readonly content: Oid
  readonly seen: Oid
  readonly tre: Tre
}

export interface ChangeStep extends Base {
  readonly action: 'change'
  readonly because: 'request' | 'history' | 'platform'
  readonly folder: string
  readonly content: Oid
  readonly seen: Oid
  /** Set where something approved is void by it. */
  readonly voids: boolean
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

export interface StageStep extends Base {
  readonly action: 'stage-transfer'
}

export interface CloseStep extends Base {
  readonly action: 'close'
  readonly resources: readonly UsedResource[]
}

export interface PublishStep extends Base {
  readonly action: 'publish'
}

export type RequestStep =
  | CreateStep
  | ChangeStep
  | ValidateStep
  | StatementStep
  | DecisionStep
  | StageStep
  | CloseStep
  | PublishStep

/** What the entry of a step holds before anything is done. */
export function detailOf(step: RequestStep): EntryDetail {
  const { generation, release, digests } = step
  return { generation, release, digests, ...factsOf(step) }
}

function factsOf(step: RequestStep): Pick<EntryDetail, 'facts'> {
  switch (step.action) {
    case 'create':
      return { facts: { id: step.id, folder: step.folder, content: step.content, seen: step.seen, tre: step.tre } }
    case 'change':
      return { facts: { because: step.because, folder: step.folder, content: step.content, seen: step.seen } }
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
