/** How a request ends: who or what ends it, and what is then taken away and destroyed. Pure. Access goes first, whatever else stands in the way. */

import type { Wait } from '../../engine/kind.ts'
import { parseStatement } from '../../records/statement.ts'
import type { JudgedStatement } from './approvals.ts'
import type { RequestObserved } from './observe.ts'
import type { CountedStatement, PublishedRelease, RequestState } from './state.ts'
import { type RequestStep, statementStep } from './steps.ts'

const day = 86_400_000

export interface Removal {
  readonly steps: readonly RequestStep[]
  readonly waits: readonly Wait[]
}

/** Entries that end the request, or call a release back: each once, when its cause is first seen. */
export function endingSteps(observed: RequestObserved): RequestStep[] {
  const { state, ended, now, late } = observed
  if (state.id === undefined) return []
  const base = { generation: state.generation, release: state.release, digests: { request: state.requestDigest } }
  const noted = { ...base, record: 'noted' } as const
  const steps: RequestStep[] = []
  const heard = soundOf(late)
  for (const { reading, file } of heard) steps.push(statementStep(base, reading.statement.phase, { reading, file }))

  const byAdmin = ended.find(({ release }) => release === undefined)
  const said = saidOf(state, heard)
  const byRequester = said.find(({ phase, decision }) => phase === 'Request' && decision === 'withdraw')
  if (!state.end && (byAdmin || byRequester)) {
    const message = byAdmin
      ? `an admin ended this request: ${byAdmin.reason}`
      : `${byRequester?.person} took this request back${reasonOf(byRequester)}`
    const by = byAdmin ? ('platform' as const) : ('statement' as const)
    steps.push({ ...noted, action: 'withdraw', by, message, summary: `note that ${message}` })
  } else if (!state.end && state.until !== undefined && now.getTime() > Date.parse(state.until)) {
    const message = `the time for which the data may be used ended on ${state.until}`
    steps.push({ ...noted, action: 'expire', message, summary: `note that ${message}` })
  }

  // Taking an approval back is judged by the fold: others may still make the quorum.
  const rejected = said.find(({ phase, decision, entry }) => {
    const decided = phase === 'SignOff' ? state.signOff : phase === 'Disclosure' ? state.disclosure : undefined
    return decision === 'reject' && decided?.decision === 'approve' && entry > decided.entry
  })
  if (rejected && !state.published) {
    const action = rejected.phase === 'SignOff' ? ('sign-off' as const) : ('disclosure' as const)
    const decided = rejected.phase === 'SignOff' ? state.signOff : state.disclosure
    steps.push({
      ...noted,
      action,
      decision: 'reject',
      groups: decided?.groups ?? [],
      resources: decided?.resources ?? [],
      summary: `note that the ${action} was rejected after all`,
    })
  }
  const answer = said.find(
    ({ phase, decision, entry }) =>
      phase !== 'Request' && decision !== 'approve' && entry > (state.published?.entry ?? 0),
  )
  for (const release of state.releases) {
    if (release.state !== 'published' || release.recalled) continue
    const message = recallOf(release, state, observed, answer)
    if (message === undefined) continue
    const summary = `note that release ${release.release} is called back: ${message}`
    steps.push({ ...noted, action: 'recall', release: release.release, message, summary })
  }
  // Access is taken away only after these: no suspension holds them back either.
  return steps.map(step => ({ ...step, removesAccess: true }))
}

function recallOf(
  { release, generation, until }: PublishedRelease,
  state: RequestState,
  { ended, now }: RequestObserved,
  answer: Said | undefined,
): string | undefined {
  const admin = ended.find(one => one.release === release)
  if (admin) return `an admin called it back: ${admin.reason}`
  if (answer && state.published && generation === state.generation) {
    const verb = answer.decision === 'reject' ? 'rejected it after all' : 'took the approval back'
    return `${answer.person} ${verb}${reasonOf(answer)}`
  }
  // The release of another generation ends when its own agreement does; that of this one with the request.
  if (generation !== state.generation && until !== undefined && now.getTime() > Date.parse(until))
    return `the time for which it may be used ended on ${until}`
  return undefined
}

/** What has to be taken away now, and what waits for its day. Needs no documents: a folder that is gone holds back nothing. */
export function removalOf(observed: RequestObserved): Removal {
  const { state, stores, now } = observed
  const steps: RequestStep[] = []
  const waits: Wait[] = []
  if (state.id === undefined) return { steps, waits }
  const base = { generation: state.generation, digests: { request: state.requestDigest }, record: 'pair' } as const
  const only = stores.size === 1 ? [...stores.keys()][0] : undefined
  const storeOf = (name: string | undefined, what: string) => {
    const store = name ?? only
    if (store !== undefined && stores.has(store)) return store
    waits.push({
      reason: 'StoreNotMatched',
      message: `${what} cannot be removed: FileStore ${store ?? '(not recorded)'} is not declared`,
      todo: 'Declare the FileStore again until it is done.',
    })
    return undefined
  }
  for (const one of state.releases) {
    const { release } = one
    if (one.state === 'published' && one.recalled) {
      const store = storeOf(one.store, `release ${release}`)
      const summary = `take release ${release} out of production`
      if (store) steps.push({ ...base, action: 'revoke', release, store, removesAccess: true, summary })
    }
    if (one.state === 'revoked') {
      const store = storeOf(one.store, `release ${release}`)
      const { policy = 'Delete', afterDays = 7 } = (store && stores.get(store)?.spec.deletion) || {}
      const due = Date.parse(one.revokedAt ?? '') + afterDays * day
      if (!store) continue
      if (policy === 'Retain') {
        waits.push({
          reason: 'Retained',
          message: `release ${release} is out of production, and FileStore ${store} keeps what is revoked`,
          todo: 'Set `deletion.policy: Delete` on the FileStore to have it destroyed.',
        })
      } else if (now.getTime() < due) {
        const until = new Date(due).toISOString()
        waits.push({ reason: 'WaitingForDestruction', message: `release ${release} is destroyed on ${until}`, until })
      } else {
        const summary = `destroy release ${release}, which was revoked on ${one.revokedAt}`
        const destroys = `the data of release ${release}`
        steps.push({ ...base, action: 'destroy', release, store, what: 'released', summary, destroys })
      }
    }
  }
  const { staged, publishing } = state
  // A publish that was killed and is not gone on with: what it has moved is nobody's release.
  if (publishing && (observed.history.open?.action !== 'publish' || state.end)) {
    const { release } = publishing
    const store = storeOf(publishing.store, `release ${release}`)
    const summary = `take what a broken-off publish has left of release ${release} out of production`
    if (store) steps.push({ ...base, action: 'revoke', release, store, leftOver: true, removesAccess: true, summary })
  }
  if (staged && isUnapproved(state)) {
    const store = storeOf(staged.store, 'staged data')
    const summary = `destroy what is staged of release ${staged.release}: it is not approved`
    const destroys = `what is staged of release ${staged.release}`
    if (store)
      steps.push({ ...base, action: 'destroy', release: staged.release, store, what: 'staged', summary, destroys })
  }
  const failed = observed.asked ? [] : state.removalsFailed
  const failureOf = (step: RequestStep) =>
    failed.find(({ action, release }) => action === step.action && release === step.release)
  for (const { code, action, message } of steps.flatMap(step => failureOf(step) ?? [])) {
    const todo = 'Remove the cause, then ask for another try with `cratewright reconcile`.'
    waits.push({ reason: code, message: `${action} failed: ${message}`, todo })
  }
  // Access goes first: a store that is down must not keep another release readable.
  const due = steps.filter(step => !failureOf(step))
  return { steps: [...due.filter(step => step.removesAccess), ...due.filter(step => !step.removesAccess)], waits }
}

/** Extracted data that nobody's approval stands for. Files that somebody changed stay, as evidence, until a person asks. */
export function isUnapproved(state: RequestState): boolean {
  const { staged, signOff, disclosure, end, generation } = state
  if (staged?.generation !== generation) return true
  return end !== undefined || signOff?.decision !== 'approve' || disclosure?.decision === 'reject'
}

type Sound = JudgedStatement & { readonly reading: Extract<JudgedStatement['reading'], { state: 'sound' }> }

function soundOf(late: readonly JudgedStatement[]): Sound[] {
  return late.filter((one): one is Sound => one.reading.state === 'sound' && one.ignored === undefined && !one.counted)
}

/** A statement that is in the log, or about to be. */
interface Said extends Pick<CountedStatement, 'phase' | 'person' | 'decision'> {
  readonly entry: number
  readonly reason: string | undefined
}

/** What follows from a statement may not be in the log though the statement is: the controller stopped between the two. */
function saidOf({ counted }: RequestState, heard: readonly Sound[]): Said[] {
  return [
    ...counted.map(({ phase, person, decision, entry, text, path }) => {
      const reason = decision === 'approve' ? undefined : parseStatement(Buffer.from(text), path).statement?.reason
      return { phase, person, decision, entry, reason }
    }),
    ...heard.flatMap(({ reading: { statement, person } }) => {
      const { phase, decision, reason } = statement
      return phase === 'Confirm' ? [] : [{ phase, person: person.name, decision, entry: Infinity, reason }]
    }),
  ]
}

function reasonOf(said: Said | undefined): string {
  return said?.reason ? `: ${said.reason}` : ''
}
