/** A small kind whose world is a plain object, and around it the real store, tasks and loop. */

import type {
  Context,
  Kind,
  Outcome,
  Plan,
  PlanStep,
  ReadResult,
  Reference,
  Resource,
} from '../../controller/engine/kind.ts'
import { keyOf } from '../../controller/engine/kind.ts'
import { type ReconcileResult, type ReconcileRoom, reconcile } from '../../controller/engine/reconcile.ts'
import { MemoryStore } from '../../controller/engine/store/memory.ts'
import { TaskRunner } from '../../controller/engine/tasks.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { MemoryRecorder, SharedLog } from './memory-recorder.ts'

export const thingType = { group: 'requests.cratewright.dev', version: 'v1', kind: 'DataAccessRequest' } as const
export const otherType = { group: 'test.cratewright.dev', version: 'v1', kind: 'Other' } as const

export const commitA = 'a'.repeat(40)
export const commitB = 'b'.repeat(40)

/** Entries keep to the actions of the log's schema. */
export interface ThingStep extends PlanStep {
  readonly action: 'create' | 'validate' | 'stage-transfer' | 'publish'
  readonly generation?: number
}

export interface ThingSpec {
  /** What to do, in order; each is done once, as the log says. */
  readonly steps: readonly ThingStep[]
  readonly generation?: number
}

export function step(action: ThingStep['action'], record: PlanStep['record'] = 'pair', generation = 1): ThingStep {
  return { action, record, summary: `do ${action}`, generation }
}

interface ThingObserved {
  readonly doneSteps: ReadonlySet<string>
}

export interface Behaviour {
  apply: (step: ThingStep, context: Context) => Promise<Outcome>
  observe?: (resource: Resource<ThingSpec>, context: Context) => void
  references?: (resource: Resource<ThingSpec>) => readonly Reference[]
  /** Steps planned whatever the log says. */
  stubborn?: boolean
}

/** Steps without a record are done when `applied` has them; the others when the log says so, well or badly. */
export class Thing implements Kind<ThingSpec, ThingObserved, ThingStep, object> {
  readonly type = thingType
  readonly applied: string[] = []
  readonly behaviour: Behaviour = { apply: async () => ({ state: 'done' }) }
  observations = 0

  references(resource: Resource<ThingSpec>): readonly Reference[] {
    return this.behaviour.references?.(resource) ?? []
  }

  async observe(resource: Resource<ThingSpec>, context: Context): Promise<ThingObserved> {
    this.observations++
    this.behaviour.observe?.(resource, context)
    const recorded = context.history.entries
      .filter(({ event, action, result }) => action !== 'error' && event !== 'started' && result !== 'abandoned')
      .map(({ action, generation }) => `${action} ${generation ?? 1}`)
    return { doneSteps: new Set([...recorded, ...this.applied]) }
  }

  plan({ spec }: Resource<ThingSpec>, { doneSteps }: ThingObserved): Plan<ThingStep> {
    const steps = spec.steps.filter(
      ({ action, generation = 1 }) => this.behaviour.stubborn || !doneSteps.has(`${action} ${generation}`),
    )
    return { steps, waits: [], later: [] }
  }

  intent({ generation = 1 }: ThingStep) {
    return { generation }
  }

  async apply(step: ThingStep, context: Context): Promise<Outcome> {
    const outcome = await this.behaviour.apply(step, context)
    if (step.record === 'none' && outcome.state === 'done') this.applied.push(`${step.action} ${step.generation ?? 1}`)
    return outcome.state === 'done' ? { ...outcome, generation: step.generation ?? 1 } : outcome
  }

  report(_: Resource<ThingSpec>, __: ThingObserved, { steps, waits }: Plan<ThingStep>) {
    const ready = steps.length === 0 && waits.length === 0
    return {
      ready,
      progressing: steps.length > 0,
      stalled: waits.length > 0,
      reason: ready ? 'Done' : (waits[0]?.reason ?? 'Progressing'),
      message: waits[0]?.message ?? steps[0]?.summary ?? 'done',
      detail: {},
    }
  }
}

/** Something that is Ready when told so. */
export class Other implements Kind {
  readonly type = otherType
  ready = false
  references = () => []
  observe = async () => ({})
  plan = (): Plan => ({ steps: [], waits: [], later: [] })
  apply = async (): Promise<Outcome> => ({ state: 'done' })
  report = () => ({
    ready: this.ready,
    progressing: false,
    stalled: false,
    reason: 'Told',
    message: this.ready ? 'is ready' : 'is not ready',
    detail: {},
  })
}

export function declare(
  ...resources: { name: string; spec: unknown; type?: typeof thingType | typeof otherType; namespace?: string }[]
): ReadResult {
  return {
    resources: resources.map(({ name, spec, type = thingType, namespace = type === thingType ? 'projects' : '' }) => ({
      type,
      namespace,
      name,
      spec,
      problems: [],
      origin: { repository: 'projects', commit: commitA, where: { file: `${name}.yaml` } },
    })),
    problems: [],
  }
}

export const thingKey = (name: string) => keyOf(thingType, name, 'projects')
export const otherKey = (name: string) => keyOf(otherType, name)

/** A clock that goes on by a second whenever it is read. */
export function ticking(start = Date.UTC(2026, 0, 1)) {
  let now = start
  return {
    now: () => {
      now += 1000
      return new Date(now)
    },
  }
}

export interface LabOptions {
  readonly shared?: SharedLog
  readonly instance?: string
}

export class Lab {
  readonly shared: SharedLog
  readonly instance: string
  readonly clock = ticking()
  readonly stop = new AbortController()
  readonly store = new MemoryStore(type => type.kind === thingType.kind)
  readonly thing = new Thing()
  readonly other = new Other()
  readonly recorder: MemoryRecorder
  readonly woken: string[] = []
  readonly tasks = new TaskRunner(this.stop.signal, key => void this.woken.push(key))
  confirm: ReconcileRoom['confirm'] = async () => true
  stopAfter: ReconcileRoom['stopAfter']
  stopBefore: ReconcileRoom['stopBefore']
  suspensionOf: ReconcileRoom['suspensionOf']

  constructor({ shared = new SharedLog(), instance = 'one' }: LabOptions = {}) {
    this.shared = shared
    this.instance = instance
    this.recorder = new MemoryRecorder(shared, this.clock, instance)
  }

  declare(steps: readonly ThingStep[], name = 'asthma', commit = commitA): string {
    this.store.replace('projects', commit, declare({ name, spec: { steps } }))
    return thingKey(name)
  }

  run(key = thingKey('asthma'), asked = false): Promise<ReconcileResult> {
    return reconcile(
      key,
      {
        store: this.store,
        kindOf: ({ type }) => [this.thing as Kind, this.other].find(kind => kind.type.kind === type.kind),
        recorder: this.recorder,
        tasks: this.tasks,
        clock: this.clock,
        log: silentLog,
        instance: this.instance,
        signal: this.stop.signal,
        confirm: resource => this.confirm(resource),
        ...(this.stopAfter ? { stopAfter: this.stopAfter } : {}),
        ...(this.stopBefore ? { stopBefore: this.stopBefore } : {}),
        ...(this.suspensionOf ? { suspensionOf: this.suspensionOf } : {}),
      },
      asked,
    )
  }

  history(name = 'asthma') {
    return this.shared.of(thingKey(name))
  }

  status(name = 'asthma') {
    return this.store.status(thingKey(name))
  }
}
