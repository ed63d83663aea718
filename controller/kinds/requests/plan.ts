/** What has to happen next for a request. Pure: the same observation, the same plan. */

import type { Plan, Resource, Wait } from '../../engine/kind.ts'
import { type Group, type GroupView, tally, unreachable } from '../../records/approval.ts'
import { addressesOf, keysOf, type PersonInfo } from '../../records/statement.ts'
import { derivedUuid, sha256Hex } from '../../runtime/canonical.ts'
import { catalogue, type ErrorCode, type Problem, showWhere } from '../../runtime/errors.ts'
import { formatPublicKey } from '../../runtime/ssh-key.ts'
import { type Approval, type JudgedStatement, standingVotes } from './approvals.ts'
import { changesBetween } from './changes.ts'
import { endingSteps, isUnapproved, removalOf } from './ending.ts'
import { periodOf, type RequestObserved } from './observe.ts'
import type { RequestSpec } from './reader.ts'
import { type RequestState, refusedKey, type UsedResource } from './state.ts'
import { type RequestStep, statementStep } from './steps.ts'

type RequestPlan = Plan<RequestStep>

/** What a UUID of version 7 can hold; a commit may claim any time. */
const latestIdTime = 2 ** 48 - 1

const life = [
  ['create', 'give the request an id and begin its log'],
  ['validate', 'compare what is asked for with the source’s catalogue'],
  ['sign-off', 'wait for the signed approval of what will be extracted'],
  ['stage-transfer', 'extract the data to staging, where no researcher reads'],
  ['disclosure', 'wait for the signed approval of what was extracted'],
  ['close', 'seal the release as a bag'],
  ['publish', 'move the release to production'],
] as const

export function planRequest(resource: Resource<RequestSpec>, observed: RequestObserved): RequestPlan {
  const planned = planLife(resource, observed)
  // Whoever holds up the life of a request holds up neither its end nor what is taken away with it.
  if (observed.history.open?.action === 'publish' && planned.steps.length > 0) return planned
  const ending = endingSteps(observed)
  if (ending.length > 0) return { steps: ending, waits: [], later: ['revoke: take away what was released'] }
  const removal = removalOf(observed)
  // What nobody approved is destroyed before anything is staged over it, or it would be forgotten.
  const left = observed.state.staged !== undefined && isUnapproved(observed.state)
  const life = left ? { ...planned, steps: planned.steps.filter(({ action }) => action !== 'stage-transfer') } : planned
  const steps = [...removal.steps, ...life.steps]
  return { ...life, steps, waits: [...life.waits, ...removal.waits] }
}

function planLife(resource: Resource<RequestSpec>, observed: RequestObserved): RequestPlan {
  const { state, documents, changes, resolved, resolveProblems, authors } = observed
  if (resource.missing) return waiting(missing(resource, state))
  if (!documents) return waiting(...problemWaits(resource.problems))
  const rival = observed.rivals.find(({ holds }) => holds)
  if (rival) {
    return waiting({
      reason: 'NameTaken',
      message: `Repository ${rival.repository} has a request of this name, which was there first`,
      todo: 'Give this request another name.',
      on: [`Repository ${rival.repository}`],
    })
  }
  if (state.id === undefined) {
    const [ended] = observed.ended.filter(({ release }) => release === undefined)
    if (ended) return waiting(endedByAdmin(ended.reason))
    return { steps: [createStep(resource, observed)], waits: nobodyWaits(observed), later: thenFrom('validate') }
  }

  // What was begun is gone on with, whoever asked for it.
  const asked = observed.asked || observed.history.open !== undefined
  // The bag may already be in production: whatever was pushed since, this step is finished or refused before anything else.
  if (observed.history.open?.action === 'publish') {
    return resolved ? { steps: [publishStep(state)], waits: [], later: [] } : waiting(...problemWaits(resolveProblems))
  }
  const release = documents.governance.release ?? 1
  const taken = Math.max(state.closedRelease, state.publishedRelease)
  const ended = observed.ended.find(one => one.release === undefined)
  if (ended) return waiting(endedByAdmin(ended.reason))
  if (changes.length > 0) {
    // What is published stays so whatever is asked next; an approval of anything else is void, and that is recorded.
    if (taken >= release && state.published && !state.end) return waiting(releaseTaken(state, taken))
    return { steps: changeSteps(observed, resource.spec.folder), waits: [], later: thenFrom('validate') }
  }
  if (state.end) {
    const { how, message } = state.end
    return waiting({ reason: how, message, todo: 'Change the request to ask again.' })
  }
  if (state.phase === 'Published') return { steps: [], waits: [], later: [] }
  if (state.phase === 'Recalled') {
    const recalled = state.releases.find(one => one.release === state.release)?.recalled?.message
    return waiting({
      reason: 'Recalled',
      message: `release ${state.release} was called back: ${recalled ?? 'it is no longer in production'}`,
      todo: `Set \`release: ${taken + 1}\` in cr8-governance.yaml to ask again.`,
    })
  }
  if (state.phase === 'Rejected')
    return waiting({ reason: 'Rejected', message: rejectedBy(state), todo: 'Change the request to ask again.' })
  if (taken >= release && !state.closing) return waiting(releaseTaken(state, taken))
  if (resolveProblems.length > 0 || !resolved) return waiting(...problemWaits(resolveProblems))
  if (authors && authors.unattributed.length > 0) {
    const [first] = authors.unattributed
    const more = authors.unattributed.length > 1 ? ` (and ${authors.unattributed.length - 1} more)` : ''
    return waiting({
      reason: 'Unattributed',
      message: `commit ${first?.commit} ${first?.reason}${more}: nobody can tell who wrote this request`,
      todo: catalogue.Unattributed.todo,
    })
  }

  const base = { generation: state.generation, release: state.release }
  const request = { request: state.requestDigest }
  if (state.validation && state.validation.inputs !== resolved.inputs && (state.validation.ok || state.signOff)) {
    const voids = state.signOff !== undefined
    const step: RequestStep = {
      ...base,
      action: 'change',
      because: 'platform',
      record: 'noted',
      generation: state.generation + 1,
      digests: request,
      voids,
      period: periodOf(documents.governance, state.tre.timeZone),
      changed: [],
      folder: state.folder,
      content: state.content,
      seen: observed.head,
      summary: `note that the connection or the store of this request was changed${voids ? ', which voids its approvals' : ''}`,
    }
    return { steps: [step], waits: [], later: thenFrom('validate') }
  }
  if (!state.validation || (!state.validation.ok && (asked || state.validation.inputs !== resolved.inputs))) {
    const step: RequestStep = {
      ...base,
      action: 'validate',
      record: 'pair',
      digests: request,
      inputs: resolved.inputs,
      summary: 'compare tables, columns and types with the source’s catalogue',
    }
    return { steps: [step], waits: nobodyWaits(observed), later: thenFrom('sign-off') }
  }
  if (!state.validation.ok) {
    const todo = 'Correct the request, or ask for another look with `cratewright reconcile` once the source is right.'
    return waiting(...state.validation.findings.map(({ code, message }) => ({ reason: code, message, todo })))
  }
  const scope = { ...request, ...(state.validation.scope ? { scope: state.validation.scope } : {}) }
  if (!state.signOff) return approvalPlan(observed, 'sign-off')
  if (state.halted && !asked) {
    const { action, code, message } = state.halted
    return waiting({
      reason: code,
      message: `${action} failed: ${message}`,
      todo: `${todoOf(code)} Then ask for another try with \`cratewright reconcile\`.`,
    })
  }
  if (!state.staging) {
    if (state.stagingVoid !== undefined && !asked) {
      return waiting({
        reason: 'ApprovalVoid',
        message: state.stagingVoid,
        todo: 'Find out who changed the files, then stage again with `cratewright reconcile`.',
      })
    }
    const step: RequestStep = {
      ...base,
      action: 'stage-transfer',
      record: 'pair',
      store: resolved.store.name,
      digests: scope,
      summary: `extract ${state.validation.tables.length} tables to staging`,
      ...(state.stagingVoid === undefined ? {} : { destroys: 'what is staged for this release now' }),
    }
    return { steps: [step], waits: [], later: thenFrom('disclosure') }
  }
  if (!state.disclosure) return approvalPlan(observed, 'disclosure')
  const all = { ...scope, outputs: state.staging.outputs }
  if (!state.closing) {
    const step: RequestStep = {
      ...base,
      action: 'close',
      record: 'pair',
      digests: all,
      resources: usedSource(observed),
      summary: `seal release ${state.release} as a bag`,
    }
    return { steps: [step], waits: [], later: thenFrom('publish') }
  }
  if (state.from !== undefined && observed.now.getTime() < Date.parse(state.from)) {
    return waiting({
      reason: 'NotYet',
      message: `the data may be used from ${state.from} on, and is published then`,
      until: state.from,
    })
  }
  return { steps: [publishStep(state)], waits: [], later: [] }
}

function missing({ name }: Resource<RequestSpec>, state: RequestState): Wait {
  const stands = state.end ? `; the request is ${state.end.how}` : ''
  return {
    reason: 'Missing',
    message: `the folder of ${name} is gone from the watched branch: work stops, nothing is withdrawn${stands}`,
    todo: 'Put the folder back to go on.',
  }
}

function endedByAdmin(reason: string): Wait {
  return {
    reason: 'Withdrawn',
    message: `an admin ended this request: ${reason}`,
    todo: 'Ask an admin: it is listed under `ended` of the Repository.',
  }
}

function publishStep(state: RequestState): RequestStep {
  const { generation, release, requestDigest, validation, staging } = state
  return {
    action: 'publish',
    record: 'pair',
    generation,
    release,
    digests: {
      request: requestDigest,
      ...(validation?.scope ? { scope: validation.scope } : {}),
      ...(staging ? { outputs: staging.outputs } : {}),
    },
    summary: `move release ${release} from staging to production`,
    destroys: 'the staged copy: it is moved',
  }
}

function createStep(resource: Resource<RequestSpec>, { documents, head, headTime, tre }: RequestObserved): RequestStep {
  const seed = [resource.namespace, head, resource.name].join('\0')
  return {
    action: 'create',
    record: 'noted',
    generation: 1,
    release: documents?.governance.release ?? 1,
    folder: resource.spec.folder,
    digests: { request: documents?.digest ?? '' },
    id: `urn:uuid:${derivedUuid(new Date(Math.min(Math.max(0, headTime * 1000), latestIdTime)), seed)}`,
    content: head,
    seen: head,
    tre,
    period: documents ? periodOf(documents.governance, tre.timeZone) : {},
    summary: 'give the request an id and begin its log',
  }
}

function changeSteps({ changes, state, head, approvedDocuments }: RequestObserved, folder: string): RequestStep[] {
  const sound = changes.flatMap(change =>
    change.digest === undefined || !change.documents
      ? []
      : [{ ...change, digest: change.digest, documents: change.documents }],
  )
  return sound.map((change, index) => {
    const voids = index === 0 && state.signOff !== undefined
    return {
      action: 'change',
      record: 'noted',
      because: change.because,
      generation: state.generation + index + 1,
      release: change.release,
      folder,
      period: periodOf(change.documents.governance, state.tre.timeZone),
      changed: approvedDocuments ? changesBetween(approvedDocuments, change.documents) : [],
      digests: { request: change.digest },
      content: change.commit,
      seen: index === sound.length - 1 ? head : change.commit,
      voids,
      summary: `note that the request was changed by commit ${change.commit.slice(0, 12)}${voids ? ', which voids its approvals' : ''}`,
    }
  })
}

/** Counts what was signed; decides when every group has its quorum, or one member rejects. */
function approvalPlan(observed: RequestObserved, action: 'sign-off' | 'disclosure'): RequestPlan {
  const { state, approval, platformProblems } = observed
  if (!approval) return waiting({ reason: 'Waiting', message: 'who may approve is not known yet' })
  const [broken] = platformProblems
  if (broken) {
    const where = broken.where ? `${showWhere(broken.where)}: ` : ''
    return waiting({
      reason: 'PlatformInvalid',
      message: `it is not known who may approve while the platform repository has errors (${where}${broken.message})`,
      todo: 'Ask an admin to correct it.',
    })
  }
  const base = { generation: state.generation, release: state.release, digests: approval.subject.digests }
  const fresh = freshOf(approval)
  const { phase } = approval
  const steps = [
    ...seenSteps(approval, state, base),
    ...fresh.map((judged): RequestStep => statementStep(base, phase, judged)),
  ]
  const said = fresh.map(({ reading }) => ({
    entry: 0,
    phase,
    person: reading.person.name,
    decision: reading.statement.decision,
    fingerprint: reading.fingerprint,
  }))
  const votes = standingVotes([...state.counted, ...said], phase, observed.persons)
  const { decision, groups } = tally(approval.views, votes)
  if (decision) {
    const summary =
      decision === 'approve' ? `note that the ${action} is complete` : `note that the ${action} was rejected`
    const resources = decidedBy(approval, observed.persons, new Set(votes.map(({ person }) => person)))
    const step: RequestStep = { ...base, action, record: 'noted', decision, groups, resources, summary }
    return { steps: [...steps, step], waits: [], later: thenFrom(action === 'sign-off' ? 'stage-transfer' : 'close') }
  }
  return {
    steps,
    waits: [
      ...approvalWaits(approval, groups, action),
      ...(action === 'sign-off'
        ? nobodyWaits({ prospects: observed.prospects.filter(({ phase: later }) => later !== phase) })
        : []),
    ],
    later: thenFrom(action === 'sign-off' ? 'stage-transfer' : 'close'),
  }
}

type Sound = JudgedStatement & { readonly reading: Extract<JudgedStatement['reading'], { state: 'sound' }> }

/** What counts now and is not in the log yet. Said at once, the more careful word is the last. */
function freshOf({ statements }: Approval): Sound[] {
  const care = { approve: 0, withdraw: 1, reject: 2 }
  return statements
    .filter((one): one is Sound => one.reading.state === 'sound' && one.ignored === undefined && !one.counted)
    .toSorted((a, b) => care[a.reading.statement.decision] - care[b.reading.statement.decision])
}

/** Statements that nobody registered signed and that are noted of one generation; anybody who can push can make more. */
const maxRefused = 100

/** What is refused for its signer is noted when it is first seen: a key or a member added later does not make it count. */
function seenSteps(
  { statements }: Approval,
  state: RequestState,
  base: Pick<RequestStep, 'generation' | 'release' | 'digests'>,
): RequestStep[] {
  const refused = statements.flatMap(({ file, reading, ignored, counted, repeats }) => {
    if (counted || ignored === undefined || repeats) return []
    const taken = reading.statement?.decision === 'withdraw'
    const key = reading.state === 'ignored' ? reading.signer : taken ? undefined : reading.fingerprint
    if (key === undefined) return []
    const sha256 = sha256Hex(file.text)
    return state.refused.has(refusedKey(sha256, key)) ? [] : [{ path: file.path, sha256, key, reason: ignored }]
  })
  const room = Math.max(0, maxRefused - state.refused.size)
  const noted = refused.slice(0, room)
  if (noted.length === 0) return []
  const summary = `note ${noted.length} statement${noted.length === 1 ? '' : 's'} that do${noted.length === 1 ? 'es' : ''} not count`
  return [{ ...base, action: 'seen', record: 'noted', statements: noted, summary }]
}

/** Before a request is checked, and long before it waits: whether anybody is there who could approve it at all. */
function nobodyWaits({ prospects }: Pick<RequestObserved, 'prospects'>): Wait[] {
  return prospects.flatMap(({ phase, groups, views }) =>
    nobody(phase === 'SignOff' ? 'sign-off' : 'disclosure', groups, views),
  )
}

function nobody(action: string, groups: readonly Group[], views: readonly GroupView[]): Wait[] {
  if (groups.length === 0) {
    return [
      {
        reason: 'NobodyCanApprove',
        message: `no ApproverGroup covers the ${action} of this project and source`,
        todo: 'Ask an admin to declare one.',
      },
    ]
  }
  return unreachable(views).map(({ name, quorum, eligible }) => ({
    reason: 'NobodyCanApprove',
    message: `group ${name} needs ${quorum} approvers for the ${action} and has ${eligible.length} who may approve this request`,
    todo: catalogue.NobodyCanApprove.todo,
  }))
}

function approvalWaits(approval: Approval, groups: ReturnType<typeof tally>['groups'], action: string): Wait[] {
  const stuck = nobody(action, approval.groups, approval.views)
  if (stuck.length > 0) return stuck
  return groups
    .filter(({ missing }) => missing > 0)
    .map(({ name, missing, approved }) => {
      const view = approval.views.find(candidate => candidate.name === name)
      const who = (view?.eligible ?? []).filter(person => !approved.includes(person))
      const verb = action === 'sign-off' ? 'sign-off' : 'disclosure approve'
      return {
        reason: action === 'sign-off' ? 'WaitingForSignOff' : 'WaitingForDisclosure',
        message: `group ${name}: ${missing} more approval${missing === 1 ? '' : 's'} needed, from ${who.join(' or ')}`,
        todo: `An approver runs \`cratewright ${verb} ${approval.subject.project}\` in a clone of the projects repository, and pushes.`,
        on: who,
      }
    })
}

/** Who decided, as the bag carries it: sorted, so that it is the same bytes wherever it is made. */
function decidedBy(
  approval: Approval,
  persons: RequestObserved['persons'],
  voters: ReadonlySet<string>,
): UsedResource[] {
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
  const voted = persons.filter(({ name }) => voters.has(name))
  return [
    ...approval.groups.toSorted(byName).map(({ name, spec }) => ({ kind: 'ApproverGroup', name, spec })),
    ...voted.toSorted(byName).map(person => ({ kind: 'Person', name: person.name, spec: onRecord(person) })),
  ]
}

/** Records name people by their id in the platform repository, which alone says who they are. */
function onRecord(person: PersonInfo) {
  const emailDigests = [...addressesOf(person)].sort()
  // Without comments: they say whose machine it is.
  return { keys: keysOf(person).map(key => formatPublicKey(key)), ...(emailDigests.length > 0 ? { emailDigests } : {}) }
}

/** What was read, as the bag carries it. */
function usedSource({ resolved }: RequestObserved): UsedResource[] {
  if (!resolved) return []
  const { name, spec } = resolved.connection
  return [{ kind: 'SourceConnection', name, spec: withoutCredentials(spec) }]
}

/** Names of secrets are no secrets, and nobody who reads a bag has a use for them. */
function withoutCredentials<T extends { credentials?: unknown }>(spec: T): Omit<T, 'credentials'> {
  const { credentials: _, ...rest } = spec
  return rest
}

function releaseTaken(state: RequestState, taken: number): Wait {
  const what = state.publishedRelease >= taken ? 'published' : 'sealed, and then what was approved changed'
  return {
    reason: 'ReleaseTaken',
    message: `release ${taken} is ${what}; it stays as it is`,
    todo: `Set \`release: ${taken + 1}\` in cr8-governance.yaml to ask again.`,
  }
}

function rejectedBy(state: RequestState): string {
  const people = state.counted.filter(({ decision }) => decision === 'reject').map(({ person }) => person)
  return `${[...new Set(people)].join(', ')} rejected this request`
}

function todoOf(code: string): string {
  return code in catalogue ? catalogue[code as ErrorCode].todo : ''
}

function problemWaits(problems: readonly Problem[]): Wait[] {
  return problems
    .filter(({ severity }) => severity === 'error')
    .map(({ code, message, where, todo }) => ({
      reason: code,
      message: where ? `${showWhere(where)}: ${message}` : message,
      todo,
    }))
}

function waiting(...waits: Wait[]): RequestPlan {
  return { steps: [], waits, later: [] }
}

function thenFrom(action: (typeof life)[number][0]): string[] {
  return life.slice(life.findIndex(([name]) => name === action)).map(([name, words]) => `${name}: ${words}`)
}
