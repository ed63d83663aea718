/** What a request's status says: where it stands, what it waits for, who has to act, which statements do not count and why. */

import type { Plan, Resource, StatusReport } from '../../engine/kind.ts'
import { keysOf } from '../../records/statement.ts'
import { formatPublicKey } from '../../runtime/ssh-key.ts'
import { isUser, type JudgedStatement } from './approvals.ts'
import type { RequestObserved } from './observe.ts'
import type { RequestSpec } from './reader.ts'
import type { Phase } from './state.ts'
import type { RequestStep } from './steps.ts'

export interface RequestStatus {
  readonly phase: Phase | 'Missing'
  readonly generation: number
  readonly release: number
  readonly id?: string
  readonly digests?: { readonly request: string; readonly scope?: string; readonly outputs?: string }
  /** The entry at which the request entered its phase. */
  readonly entries: number
  readonly approvals?: {
    readonly phase: string
    readonly groups: readonly { readonly name: string; readonly quorum: number; readonly eligible: readonly string[] }[]
    readonly keys: readonly { readonly person: string; readonly key: string }[]
  }
  readonly keys?: readonly { readonly person: string; readonly key: string }[]
  readonly statements: readonly {
    readonly path: string
    readonly person?: string
    readonly counts: boolean
    readonly reason?: string
  }[]
  readonly release_location?: string
  /** Every release that was published, and what became of it. */
  readonly releases?: readonly { readonly release: number; readonly state: string; readonly location: string }[]
  /** What else a person should know. */
  readonly notes?: readonly string[]
}

/** People wait for these; nothing is wrong. */
const waitsForPeople = new Set([
  'WaitingForSignOff',
  'WaitingForDisclosure',
  'NotYet',
  'WaitingForDestruction',
  'Retained',
  'Withdrawn',
  'Expired',
  'Recalled',
])

export function reportRequest(
  resource: Resource<RequestSpec>,
  observed: RequestObserved,
  plan: Plan<RequestStep>,
): StatusReport<RequestStatus> {
  const { state, approval, persons } = observed
  const phase = resource.missing ? 'Missing' : state.phase
  const [next] = plan.steps
  const [wait] = plan.waits
  // Older releases may still wait for their day: that takes nothing from the one that stands.
  const hindrance = plan.waits.some(({ reason }) => reason !== 'WaitingForDestruction' && reason !== 'Retained')
  const ready = state.phase === 'Published' && !resource.missing && !hindrance
  const approvers = new Set(approval?.views.flatMap(({ eligible }) => eligible))
  const detail: RequestStatus = {
    phase,
    generation: state.generation,
    release: state.release,
    ...(state.id ? { id: state.id } : {}),
    ...(state.requestDigest
      ? {
          digests: {
            request: state.requestDigest,
            ...(state.validation?.scope ? { scope: state.validation.scope } : {}),
            ...(state.staging ? { outputs: state.staging.outputs } : {}),
          },
        }
      : {}),
    entries: observed.history.entries.length,
    ...(approval
      ? {
          approvals: {
            phase: approval.phase,
            groups: approval.views.map(({ name, quorum, eligible }) => ({ name, quorum, eligible })),
            keys: persons
              .filter(({ name }) => approvers.has(name))
              .flatMap(person => keysOf(person).map(key => ({ person: person.name, key: formatPublicKey(key) }))),
          },
        }
      : {}),
    ...(keysOfWho(observed).length > 0 ? { keys: keysOfWho(observed) } : {}),
    statements: statementsOf(observed).map(statementStatus),
    ...(state.published && state.phase === 'Published' ? { release_location: state.published.location } : {}),
    ...(state.releases.length > 0
      ? { releases: state.releases.map(({ release, state: now, location }) => ({ release, state: now, location })) }
      : {}),
    ...(observed.rivals.length > 0
      ? {
          notes: observed.rivals.map(
            ({ repository, holds }) =>
              `Repository ${repository} has a request of this name as well; ${holds ? 'it was first, and this one waits' : 'it waits'}`,
          ),
        }
      : {}),
  }
  const stalled = wait !== undefined && !waitsForPeople.has(wait.reason)
  if (next)
    return { ready: false, progressing: true, stalled: false, reason: 'Progressing', message: next.summary, detail }
  if (wait) return { ready, progressing: false, stalled, reason: wait.reason, message: wait.message, detail }
  const message = state.published ? `release ${state.release} is published` : `the request is ${phase}`
  return { ready, progressing: false, stalled: false, reason: phase, message, detail }
}

/** What is said of a statement as an answer to a decision says more than that it is no approval. */
function statementsOf({ approval, late }: RequestObserved): JudgedStatement[] {
  const answers = new Set(late.map(({ file }) => file.path))
  return [...(approval?.statements ?? []).filter(({ file }) => !answers.has(file.path)), ...late]
}

/** Keys of people who have said something about this request, or ask for it: who takes something back is found by them. */
function keysOfWho({ state, documents, persons }: RequestObserved) {
  const said = new Set(state.counted.map(({ person }) => person))
  const requester = documents?.governance.requester
  return persons
    .filter(
      person =>
        said.has(person.name) || (requester !== undefined && isUser(person, { username: requester, email: requester })),
    )
    .flatMap(person => keysOf(person).map(key => ({ person: person.name, key: formatPublicKey(key) })))
}

function statementStatus({ file, reading, ignored, counted }: JudgedStatement) {
  const person = reading.state === 'sound' ? reading.person.name : reading.statement?.person
  return {
    path: file.path,
    ...(person ? { person } : {}),
    counts: counted || ignored === undefined,
    ...(!counted && ignored !== undefined ? { reason: ignored } : {}),
  }
}
