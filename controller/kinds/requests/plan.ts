/** What has to happen next for a request. Pure: the same observation, the same plan. */

import type { Plan, Resource, Wait } from '../../engine/kind.ts'
import { tally, unreachable } from '../../records/approval.ts'
import { derivedUuid } from '../../runtime/canonical.ts'
import { catalogue, type ErrorCode, type Problem, showWhere } from '../../runtime/errors.ts'
import type { Approval, JudgedStatement, RequestObserved } from './observe.ts'
import type { RequestSpec } from './reader.ts'
import type { RequestState, UsedResource } from './state.ts'
import type { RequestStep } from './steps.ts'

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
  const { state, documents, changes, resolved, resolveProblems, authors } = observed
  if (resource.missing)
    return waiting({
      reason: 'Missing',
      message: `the folder of ${resource.name} is gone from the watched branch: work stops, nothing is withdrawn`,
      todo: 'Put the folder back to go on.',
    })
  if (!documents) return waiting(...problemWaits(resource.problems))
  if (state.id === undefined) return { steps: [createStep(resource, observed)], waits: [], later: thenFrom('validate') }

  // What was begun is gone on with, whoever asked for it.
  const asked = observed.asked || observed.history.open !== undefined
  // The bag may already be in production: whatever was pushed since, this step is finished or refused before anything else.
  if (observed.history.open?.action === 'publish') {
    return resolved ? { steps: [publishStep(state)], waits: [], later: [] } : waiting(...problemWaits(resolveProblems))
  }
  const release = documents.governance.release ?? 1
  const taken = Math.max(state.closedRelease, state.publishedRelease)
  if (changes.length > 0) {
    // What is published stays so whatever is asked next; an approval of anything else is void, and that is recorded.
    if (taken >= release && state.phase === 'Published') return waiting(releaseTaken(state, taken))
    return { steps: changeSteps(observed, resource.spec.folder), waits: [], later: thenFrom('validate') }
  }
  if (state.phase === 'Published') return { steps: [], waits: [], later: [] }
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
    return { steps: [step], waits: [], later: thenFrom('sign-off') }
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
  return { steps: [publishStep(state)], waits: [], later: [] }
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
    summary: 'give the request an id and begin its log',
  }
}

function changeSteps({ changes, state, head }: RequestObserved, folder: string): RequestStep[] {
  const sound = changes.flatMap(change => (change.digest === undefined ? [] : [{ ...change, digest: change.digest }]))
  return sound.map((change, index) => {
    const voids = index === 0 && state.signOff !== undefined
    return {
      action: 'change',
      record: 'noted',
      because: change.because,
      generation: state.generation + index + 1,
      release: change.release,
      folder,
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
  const fresh = firstOfEach(
    approval.statements.filter(({ ignored, counted }) => ignored === undefined && !counted),
    state,
    approval,
  )
  const steps = fresh.map((judged): RequestStep => {
    const { reading, file } = judged
    return {
      ...base,
      action: 'statement',
      record: 'noted',
      summary: `count the statement ${file.path}`,
      statement: {
        phase: approval.phase,
        person: reading.person.name,
        decision: reading.statement.decision,
        path: file.path,
        sha256: reading.sha256,
        fingerprint: reading.fingerprint,
        text: Buffer.from(file.text).toString('utf8'),
        signature: Buffer.from(file.signature ?? []).toString('latin1'),
      },
    }
  })
  const counted = state.counted.filter(({ phase }) => phase === approval.phase)
  const votes = [
    ...counted,
    ...fresh.map(({ reading }) => ({ person: reading.person.name, decision: reading.statement.decision })),
  ]
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
    waits: approvalWaits(approval, groups, action),
    later: thenFrom(action === 'sign-off' ? 'stage-transfer' : 'close'),
  }
}

type Sound = JudgedStatement & { readonly reading: Extract<JudgedStatement['reading'], { state: 'sound' }> }

/** One statement a person and decision; more of the same say nothing new. */
function firstOfEach(statements: readonly JudgedStatement[], state: RequestState, approval: Approval): Sound[] {
  const seen = new Set(
    state.counted
      .filter(({ phase }) => phase === approval.phase)
      .map(({ person, decision }) => `${person} ${decision}`),
  )
  return statements.filter((judged): judged is Sound => {
    if (judged.reading.state !== 'sound') return false
    const key = `${judged.reading.person.name} ${judged.reading.statement.decision}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

function approvalWaits(approval: Approval, groups: ReturnType<typeof tally>['groups'], action: string): Wait[] {
  if (groups.length === 0) {
    return [
      {
        reason: 'NobodyCanApprove',
        message: `no ApproverGroup covers the ${action} of this project and source`,
        todo: 'Ask an admin to declare one.',
      },
    ]
  }
  const stuck = unreachable(approval.views)
  if (stuck.length > 0) {
    const [group] = stuck
    return [
      {
        reason: 'NobodyCanApprove',
        message: `group ${group?.name} needs ${group?.quorum} approvers and has ${group?.eligible.length} who may approve this request`,
        todo: catalogue.NobodyCanApprove.todo,
      },
    ]
  }
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
    ...voted.toSorted(byName).map(({ name, spec }) => ({ kind: 'Person', name, spec })),
  ]
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
