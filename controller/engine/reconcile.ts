/** One run for one resource: observe, plan, apply, record, until there is nothing to do but wait. */

import { canonicalJson, digestOf } from '../runtime/canonical.ts'
import type { Clock } from '../runtime/clock.ts'
import { asCratewrightError, CratewrightError, problemOf } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { conditionsOf } from './conditions.ts'
import type {
  Context,
  EntryDraft,
  History,
  Key,
  Kind,
  LogEntry,
  Plan,
  PlanStep,
  Progress,
  Recorder,
  Resource,
  Snapshot,
  StatusReport,
  Wait,
} from './kind.ts'
import type { Store, StoredStatus } from './store/store.ts'
import { heldBack, heldReport, type Suspension } from './suspend.ts'
import type { TaskRunner } from './tasks.ts'

export interface ReconcileRoom {
  readonly store: Store
  readonly kindOf: (resource: Resource) => Kind | undefined
  readonly recorder: Recorder
  readonly tasks: TaskRunner
  readonly clock: Clock
  readonly log: Log
  readonly instance: string
  readonly signal: AbortSignal
  /** True when no source of the resource has moved since the snapshot; otherwise the sources were read again. */
  readonly confirm: (resource: Resource) => Promise<boolean>
  /** True where a person said that this controller goes on with what another began. */
  readonly takesOver?: (resource: Resource) => boolean
  /** True when the run should end once this step is recorded (`--until`). */
  readonly stopAfter?: (resource: Resource, step: PlanStep) => boolean
  /** True when the run should end without doing this step: a command does what it is named after, and nothing else. */
  readonly stopBefore?: (resource: Resource, step: PlanStep) => boolean
  /** Why nothing new is begun for a resource; undefined: it is. */
  readonly suspensionOf?: (resource: Resource, snapshot: Snapshot) => Suspension | undefined
}

export type ReconcileResult =
  /** Nothing to do now: done, or waiting for something that wakes the resource, at the latest `wakeAt` (milliseconds since 1970). */
  | { readonly state: 'settled'; readonly wakeAt?: number }
  /** A task runs; its end wakes the resource. */
  | { readonly state: 'running' }
  | { readonly state: 'stopped' }
  | { readonly state: 'retry'; readonly error: CratewrightError }

/** More rounds than the longest life of any kind has steps: reaching it means that a plan does not converge. */
const maxRounds = 50

export async function reconcile(key: Key, room: ReconcileRoom, asked: boolean): Promise<ReconcileResult> {
  let stillAsked = asked
  let moved: CratewrightError | undefined
  for (let round = 0; round < maxRounds; round++) {
    const resource = room.store.get(key)
    const kind = resource && room.kindOf(resource)
    if (!resource || !kind) return { state: 'settled' }
    try {
      moved = undefined
      const result = await runRound(resource, kind, room, stillAsked)
      if (typeof result === 'object') return result
      if (result === 'next') stillAsked = false
    } catch (error) {
      if (room.signal.aborted) return { state: 'stopped' }
      const failure = asCratewrightError(error)
      // Another controller was faster: what it has written is read, and decided on, in the next round.
      if (failure.code !== 'LogMoved') return failed(resource, room, failure)
      moved = failure
    }
  }
  // Somebody writes all the time: they are given time, and the key its turn later.
  if (moved) return { state: 'retry', error: moved }
  room.log.error('a plan does not converge', { key })
  return { state: 'settled' }
}

/** One observe, plan, apply. `next`: go round again; `anew`: the same, for nothing that was planned has been done. */
async function runRound(
  resource: Resource,
  kind: Kind,
  room: ReconcileRoom,
  asked: boolean,
): Promise<ReconcileResult | 'next' | 'anew'> {
  const { store, recorder, signal, tasks, clock, instance, log } = room
  const snapshot = store.snapshot()
  const history = (await recorder.history(resource, signal)) ?? noHistory
  const context: Context = {
    key: resource.key,
    snapshot,
    history,
    connect: true,
    asked,
    instance,
    tasks: tasks.for(resource.key),
    refresh: async () => {
      await room.confirm(resource)
      return store.snapshot()
    },
    historyOf: async other => (await recorder.history(other, signal)) ?? noHistory,
    clock,
    signal,
    log: log.child({ key: resource.key }),
  }
  const observed = await kind.observe(resource, context)
  const blocked = blockedBy(kind.references(resource), snapshot, store)
  const planned: Plan = blocked.length > 0 ? { steps: [], waits: blocked, later: [] } : kind.plan(resource, observed)
  const plan = decide(resource, kind, room, { observed, planned, snapshot, history })

  // What is no longer planned is no longer worked on: its request was withdrawn or broken meanwhile. Its end wakes the resource.
  if (blocked.length === 0 && plan.steps.length === 0 && tasks.cancel(resource.key)) return { state: 'running' }

  // What takes long is said while it runs; what is over at once is overwritten before it is written.
  if (plan.steps.length > 0) recorder.status(resource, publicStatus(resource, store.status(resource.key)))
  let written = history
  for (const step of plan.steps) {
    if (room.stopBefore?.(resource, step)) return { state: 'stopped' }
    // A decision that is recorded is made on what the servers have now, not on what the last look saw.
    if (step.record !== 'none' && !(await room.confirm(resource))) return written === history ? 'anew' : 'next'
    const begun = step.record === 'pair' ? await begin(step, kind, resource, room, written, snapshot) : written
    if ('state' in begun) return begun.state === 'again' ? 'anew' : begun
    written = begun
    const result = await perform(step, kind, resource, room, { ...context, history: written })
    if ('state' in result) return result
    written = result.history
    if (room.stopAfter?.(resource, step)) {
      await finish(resource, kind, room, context)
      return { state: 'stopped' }
    }
    if (!result.done) return 'next'
  }
  if (plan.steps.length > 0) return 'next'
  await recorder.project(resource, signal)
  recorder.status(resource, publicStatus(resource, store.status(resource.key)))
  const ends = plan.waits.flatMap(({ until }) => (until === undefined ? [] : [Date.parse(until)]))
  return { state: 'settled', ...(ends.length > 0 ? { wakeAt: Math.min(...ends) } : {}) }
}

/** After a stop: the status says where it stopped, without doing what would come next. */
async function finish(resource: Resource, kind: Kind, room: ReconcileRoom, context: Context): Promise<void> {
  const history = (await room.recorder.history(resource, room.signal)) ?? noHistory
  const observed = await kind.observe(resource, { ...context, history, asked: false })
  const planned = kind.plan(resource, observed)
  decide(resource, kind, room, { observed, planned, snapshot: context.snapshot, history })
  room.recorder.status(resource, publicStatus(resource, room.store.status(resource.key)))
}

/** What of the plan is done now; the status says all of it, and why not all of it is done. */
function decide(
  resource: Resource,
  kind: Kind,
  room: ReconcileRoom,
  {
    observed,
    planned,
    snapshot,
    history,
  }: { readonly observed: unknown; readonly planned: Plan; readonly snapshot: Snapshot; readonly history: History },
): Plan {
  const report = kind.report(resource, observed, planned)
  const suspension = room.suspensionOf?.(resource, snapshot)
  if (!suspension) {
    setStatus(resource, room, report, planned)
    return planned
  }
  const done = heldBack(planned, suspension, step => isOpen(history.open, step, kind))
  setStatus(resource, room, heldReport(report, suspension, { planned, done }), { ...planned, waits: done.waits })
  return done
}

/** True where the open *started* is that of this very step. */
function isOpen(open: LogEntry | undefined, step: PlanStep, kind: Kind): boolean {
  if (!open || step.record !== 'pair' || open.action !== step.action) return false
  return canonicalJson(sameness(open)) === canonicalJson(sameness(kind.intent?.(step) ?? {}))
}

/** The history with an open *started* for this step; one that is open for something else is closed first. */
async function begin(
  step: PlanStep,
  kind: Kind,
  resource: Resource,
  room: ReconcileRoom,
  history: History,
  snapshot: Snapshot,
): Promise<History | ReconcileResult | { state: 'again' }> {
  const commits = commitsOf(snapshot, resource)
  const intent = kind.intent?.(step) ?? {}
  const { open } = history
  if (!open) {
    return room.recorder.append(resource, [{ ...intent, action: step.action, event: 'started', commits }], room.signal)
  }
  if (history.holder !== room.instance) {
    const from = history.holder ?? open.instance
    if (!room.takesOver?.(resource)) {
      throw new CratewrightError(
        'HeldByOther',
        `step ${open.action} was started by another controller (${from}) on ${open.time}`,
      )
    }
    const facts = { from, to: room.instance }
    const draft: EntryDraft = { action: 'take-over', event: 'noted', started: open.number, commits, facts }
    await room.recorder.append(resource, [{ ...draft, ...sameness(open) }], room.signal)
    return { state: 'again' }
  }
  if (isOpen(open, step, kind)) return history
  // The work of the open step must have ended before its successor touches the same files.
  if (room.tasks.cancel(resource.key)) return { state: 'running' }
  await room.recorder.append(
    resource,
    [{ action: open.action, event: 'outcome', started: open.number, result: 'abandoned', commits, ...sameness(open) }],
    room.signal,
  )
  return { state: 'again' }
}

function sameness({ digests, generation, release }: Pick<EntryDraft, 'digests' | 'generation' | 'release'>) {
  return { ...(digests ? { digests } : {}), ...(generation ? { generation } : {}), ...(release ? { release } : {}) }
}

async function perform(
  step: PlanStep,
  kind: Kind,
  resource: Resource,
  room: ReconcileRoom,
  context: Context,
): Promise<ReconcileResult | { history: History; done: boolean }> {
  const { recorder, signal } = room
  const outcome = await kind
    .apply(step, context)
    .catch(error => ({ state: 'failed' as const, error: asCratewrightError(error) }))
  if (signal.aborted) return { state: 'stopped' }
  const open = context.history.open
  const commits = commitsOf(context.snapshot, resource)
  if (outcome.state === 'running') {
    showProgress(resource, room, step, outcome.progress)
    return { state: 'running' }
  }
  if (outcome.state === 'failed' && outcome.error.retryable) {
    const { code, message } = outcome.error
    const known = context.history.entries.some(entry => entry.started === open?.number && entry.error?.code === code)
    if (step.record === 'pair' && open && !known) {
      await recorder.append(
        resource,
        [
          {
            action: 'error',
            event: 'noted',
            started: open.number,
            commits,
            error: { code, message },
            ...sameness(open),
          },
        ],
        signal,
      )
    }
    return failed(resource, room, outcome.error)
  }
  const { state: _, ...detail } = outcome
  const error =
    outcome.state === 'failed' ? { error: { code: outcome.error.code, message: outcome.error.message } } : {}
  const result = outcome.state
  if (step.record === 'none') {
    return outcome.state === 'failed' ? failed(resource, room, outcome.error) : { history: context.history, done: true }
  }
  const draft: EntryDraft =
    step.record === 'noted'
      ? {
          ...detail,
          ...error,
          action: step.action,
          event: 'noted',
          commits,
          ...(result === 'failed' ? { result } : {}),
        }
      : {
          ...(open ? sameness(open) : {}),
          ...detail,
          ...error,
          action: step.action,
          event: 'outcome',
          commits,
          result,
          ...(open ? { started: open.number } : {}),
        }
  return { history: await recorder.append(resource, [draft], signal), done: result === 'done' }
}

function commitsOf(snapshot: Snapshot, resource: Resource): EntryDraft['commits'] {
  const platform = snapshot.commits.get('platform')
  const projects = snapshot.commits.get(resource.origin.repository)
  return { ...(platform ? { platform } : {}), ...(projects ? { projects } : {}) }
}

/** Named references that are absent or not Ready. */
function blockedBy(references: ReturnType<Kind['references']>, snapshot: Snapshot, store: Store): Wait[] {
  return references.flatMap(reference => {
    if (!reference.named) return []
    const target = snapshot.get(reference.type, reference.name, reference.namespace)
    const name = `${reference.type.kind} ${reference.name}`
    if (!target) return [{ reason: 'DependencyNotFound', message: `${name} is not declared`, on: [name] }]
    const report = store.status(target.key)?.report
    if (report?.ready) return []
    return [
      {
        reason: 'DependencyNotReady',
        message: `${name} is not ready: ${report?.message ?? 'not looked at yet'}`,
        on: [name],
      },
    ]
  })
}

function failed(resource: Resource, room: ReconcileRoom, error: CratewrightError): ReconcileResult {
  const level = error.code === 'Internal' ? 'error' : 'warn'
  room.log[level]('a run failed', {
    key: resource.key,
    code: error.code,
    error: error.message,
    cause: error.code === 'Internal' ? String((error.cause as Error)?.stack ?? error.cause) : undefined,
  })
  const { message, todo } = problemOf(error)
  setStatus(
    resource,
    room,
    {
      ready: false,
      progressing: error.retryable,
      stalled: !error.retryable,
      reason: error.code,
      message,
      detail: room.store.status(resource.key)?.report.detail ?? {},
    },
    { steps: [], waits: [{ reason: error.code, message, todo }], later: [] },
  )
  room.recorder.status(resource, publicStatus(resource, room.store.status(resource.key)))
  return error.retryable ? { state: 'retry', error } : { state: 'settled' }
}

function showProgress(resource: Resource, room: ReconcileRoom, step: PlanStep, progress: Progress): void {
  const before = room.store.status(resource.key)
  if (!before) return
  const message = `${step.summary}: ${progress.message}`
  room.store.setStatus(resource.key, { ...before, report: { ...before.report, progressing: true, message } })
}

function setStatus(resource: Resource, room: ReconcileRoom, report: StatusReport, plan: Plan): void {
  const before = room.store.status(resource.key)
  room.store.setStatus(resource.key, {
    conditions: conditionsOf(report, before?.conditions ?? [], room.clock.now()),
    observedGeneration: resource.generation,
    observedRevision: resource.origin.commit,
    problems: resource.problems,
    report,
    next: plan.steps.map(step => step.summary),
    ...(plan.steps.length > 0 ? { planDigest: digestOf(plan.steps) } : {}),
    waits: plan.waits,
    later: plan.later,
  })
}

/** What `status/` on the records branch holds. */
function publicStatus(resource: Resource, status: StoredStatus | undefined): unknown {
  if (!status) return undefined
  const { report, ...rest } = status
  return {
    kind: resource.type.kind,
    name: resource.name,
    ...(resource.namespace ? { namespace: resource.namespace } : {}),
    origin: { repository: resource.origin.repository, file: resource.origin.where.file },
    ...rest,
    // With the longest messages there are, a status stays below 64 KiB.
    problems: rest.problems.slice(0, 20),
    detail: report.detail,
  }
}

const noHistory: History = { entries: [], head: '0'.repeat(64), open: undefined, holder: undefined }
