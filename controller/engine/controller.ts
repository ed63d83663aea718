/** The loop: sources feed the store, changes feed the queue, workers run one resource at a time each. */

import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import {
  type Key,
  type Kind,
  keyOf,
  type PlanStep,
  type Progress,
  type Recorder,
  type Resource,
  type ResourceType,
} from './kind.ts'
import { KeyQueue, type Priority } from './queue.ts'
import { type ReconcileResult, type ReconcileRoom, reconcile } from './reconcile.ts'
import type { GitSource } from './source.ts'
import type { Store } from './store/store.ts'
import { TaskRunner } from './tasks.ts'

export interface ControllerOptions {
  readonly store: Store
  readonly kinds: readonly Kind[]
  readonly recorder: Recorder
  readonly platform: GitSource
  /** The source of a Repository resource; the same object while nothing about it changed. */
  readonly sourceOf: (resource: Resource) => GitSource | undefined
  /** Resources of this type make sources. */
  readonly repositoryType: ResourceType
  readonly clock: Clock
  readonly log: Log
  readonly instance: string
  readonly signal: AbortSignal
  readonly workers?: number
  /** Milliseconds after which everything is looked at again; 0: never (one-shot commands). */
  readonly resync: number
  /** How often a failing key is tried before it is given up; undefined: for ever. */
  readonly maxRetries?: number
  readonly stopAfter?: (resource: Resource, step: PlanStep) => boolean
  readonly stopBefore?: (resource: Resource, step: PlanStep) => boolean
  readonly suspensionOf?: ReconcileRoom['suspensionOf']
  /** Only these keys are worked on; undefined: all. */
  readonly only?: (key: Key) => boolean
  /** A person said that open steps of these resources are this controller's now. */
  readonly takesOver?: (resource: Resource) => boolean
  readonly onProgress?: (key: Key, progress: Progress) => void
  readonly onResult?: (key: Key, result: ReconcileResult) => void
}

export class Controller {
  readonly #options: ControllerOptions
  readonly #queue = new KeyQueue()
  readonly #tasks: TaskRunner
  readonly #sources = new Map<string, GitSource>()
  readonly #retries = new Map<Key, number>()
  readonly #stopped = new Set<Key>()
  /** Keys by what they refer to: a key, or `group/Kind` for all of a kind. */
  readonly #dependants = new Map<string, Set<Key>>()
  readonly #targets = new Map<Key, readonly string[]>()
  #busy = 0
  #watching = false
  #idleListeners: (() => void)[] = []

  constructor(options: ControllerOptions) {
    this.#options = options
    this.#tasks = new TaskRunner(options.signal, key => this.#queue.add(key, 'change'), options.onProgress)
    options.store.onChange((key, what) => this.#changed(key, what))
    this.#queue.onReady(() => this.#dispatch())
    options.signal.addEventListener('abort', () => this.#queue.close(), { once: true })
  }

  get sources(): ReadonlyMap<string, GitSource> {
    return this.#sources
  }

  /** Looks at every source once, the platform first; what changed is then on the queue. */
  async lookNow(): Promise<void> {
    const { platform, signal } = this.#options
    await platform.look(signal)
    await this.#eachSource(source => source.look(signal))
  }

  /** Looks at sources on their intervals until the signal is aborted. */
  watch(): void {
    const { platform, signal } = this.#options
    this.#watching = true
    platform.watch(signal, () => {})
    for (const [name, source] of this.#sources) this.#watch(name, source)
  }

  add(key: Key, priority: Priority): void {
    this.#retries.delete(key)
    this.#queue.forget(key)
    this.#queue.add(key, priority)
  }

  /** Resolves when nothing is ready, running or (without `retries: false`) waiting for its next try. */
  async settled(options: { retries: boolean }): Promise<void> {
    const isSettled = () =>
      this.#queue.ready === 0 &&
      this.#busy === 0 &&
      this.#tasks.running === 0 &&
      (!options.retries || this.#queue.delayed === 0)
    // Timers of the queue do not keep the process alive; somebody who waits here does.
    const keepAlive = setInterval(() => this.#tellIdle(), 1000)
    try {
      while (!this.#options.signal.aborted && !isSettled()) {
        await new Promise<void>(resolve => this.#idleListeners.push(resolve))
      }
    } finally {
      clearInterval(keepAlive)
    }
  }

  /** After the signal was aborted: resolves when workers and tasks have let go. */
  async drained(): Promise<void> {
    while (this.#busy > 0) await new Promise<void>(resolve => this.#idleListeners.push(resolve))
    await this.#tasks.idle()
  }

  #dispatch(): void {
    const { workers = 16, signal } = this.#options
    while (this.#busy < workers && !signal.aborted) {
      const next = this.#queue.take()
      if (!next) return
      this.#busy++
      void this.#work(next.key, next.priority === 'asked').finally(() => {
        this.#busy--
        this.#queue.done(next.key)
        this.#tellIdle()
        this.#dispatch()
      })
    }
  }

  async #work(key: Key, asked: boolean): Promise<void> {
    if (this.#stopped.has(key) || this.#options.only?.(key) === false) return
    const { store, kinds, recorder, clock, log, instance, signal, maxRetries, resync, onResult } = this.#options
    const { stopAfter, stopBefore, suspensionOf, takesOver } = this.#options
    const result = await reconcile(
      key,
      {
        store,
        // What was recorded is progress: what failed before it is over, and is not counted against what comes.
        recorder: {
          history: (resource, at) => recorder.history(resource, at),
          append: async (resource, drafts, at) => {
            const history = await recorder.append(resource, drafts, at)
            if (drafts.some(({ action }) => action !== 'error')) this.#retries.delete(key)
            return history
          },
          project: (resource, at) => recorder.project(resource, at),
          status: (resource, content) => recorder.status(resource, content),
        },
        clock,
        log,
        instance,
        signal,
        tasks: this.#tasks,
        kindOf: resource => kinds.find(kind => sameType(kind.type, resource.type)),
        confirm: resource => this.#confirm(resource),
        ...(stopAfter ? { stopAfter } : {}),
        ...(stopBefore ? { stopBefore } : {}),
        ...(suspensionOf ? { suspensionOf } : {}),
        ...(takesOver ? { takesOver } : {}),
      },
      asked,
    )
    onResult?.(key, result)
    if (result.state === 'stopped') this.#stopped.add(key)
    if (result.state === 'retry') {
      const retries = (this.#retries.get(key) ?? 0) + 1
      this.#retries.set(key, retries)
      if (maxRetries === undefined || retries <= maxRetries) this.#queue.retry(key)
      return
    }
    // Whether a task succeeds is known when it has ended: until then earlier failures are not forgotten.
    if (result.state === 'running') return
    this.#retries.delete(key)
    this.#queue.forget(key)
    if (resync <= 0) return
    const again = resync * (0.9 + 0.2 * Math.random())
    const due =
      result.state === 'settled' && result.wakeAt !== undefined ? result.wakeAt - clock.now().getTime() : again
    this.#queue.addAfter(key, Math.max(1000, Math.min(again, due)), 'resync')
  }

  async #confirm(resource: Resource): Promise<boolean> {
    const { platform, signal } = this.#options
    const sources = [platform, this.#sources.get(resource.origin.repository)].filter(source => source !== undefined)
    const unmoved = await Promise.all([...new Set(sources)].map(source => source.confirm(signal)))
    if (unmoved.every(Boolean)) return true
    await Promise.all(sources.map(source => source.look(signal)))
    // A source that moved and cannot be read stops its recorded steps: what the last look saw is no longer what is there.
    const problem = sources.map(source => source.unread).find(unread => unread !== undefined)
    if (problem) throw problem
    return false
  }

  #changed(key: Key, what: 'spec' | 'ready'): void {
    const { store, repositoryType } = this.#options
    const resource = store.get(key)
    const [group, kind, , name] = key.split('/')
    if (what === 'spec') {
      this.#index(key, resource)
      if (kind === repositoryType.kind && group === repositoryType.group) this.#repositoryChanged(name ?? '', resource)
      // Before what it declares, which would first be shown as blocked by a Repository that nobody has looked at.
      const declaring = resource && keyOf(repositoryType, resource.origin.repository)
      if (declaring && declaring !== key && store.status(declaring)?.report.ready === false)
        this.#queue.add(declaring, 'change')
      if (resource) this.#queue.add(key, 'change')
      // Selected references are woken by any of a kind.
      const type = { group: group ?? '', kind: kind ?? '' }
      for (const selected of [selection(type), selection(type, name)])
        for (const dependant of this.#dependants.get(selected) ?? [])
          if (dependant !== key) this.#queue.add(dependant, 'change')
    }
    for (const dependant of this.#dependants.get(key) ?? []) this.#queue.add(dependant, 'change')
  }

  /** Notes what a resource refers to, so that a change finds those who wait for it without asking all. */
  #index(key: Key, resource: Resource | undefined): void {
    for (const target of this.#targets.get(key) ?? []) this.#dependants.get(target)?.delete(key)
    const kind = resource && this.#options.kinds.find(candidate => sameType(candidate.type, resource.type))
    const targets = (resource && kind ? kind.references(resource) : []).map(reference =>
      reference.named
        ? keyOf(reference.type, reference.name, reference.namespace)
        : selection(reference.type, reference.name),
    )
    this.#targets.set(key, targets)
    for (const target of targets) {
      const dependants = this.#dependants.get(target) ?? new Set()
      this.#dependants.set(target, dependants.add(key))
    }
  }

  #repositoryChanged(name: string, resource: Resource | undefined): void {
    const { sourceOf, signal } = this.#options
    const source = resource?.problems.every(problem => problem.severity !== 'error') ? sourceOf(resource) : undefined
    const before = this.#sources.get(name)
    if (before === source) return
    before?.stop()
    if (!source) {
      this.#sources.delete(name)
      return
    }
    this.#sources.set(name, source)
    if (this.#watching) {
      this.#watch(name, source)
      void source.look(signal).then(() => resource && this.#queue.add(resource.key, 'change'))
    }
  }

  /** What cannot be read, and what can be read again, is news to the Repository and to whoever waits for it. */
  #watch(name: string, source: GitSource): void {
    let before = source.problem?.code
    source.watch(this.#options.signal, () => {
      if (source.problem?.code !== before) this.#queue.add(keyOf(this.#options.repositoryType, name), 'change')
      before = source.problem?.code
    })
  }

  async #eachSource(look: (source: GitSource) => Promise<boolean>): Promise<void> {
    await Promise.all(
      [...this.#sources].map(async ([name, source]) => {
        await look(source)
        this.#queue.add(keyOf(this.#options.repositoryType, name), 'change')
      }),
    )
  }

  #tellIdle(): void {
    const listeners = this.#idleListeners
    this.#idleListeners = []
    for (const listener of listeners) listener()
  }
}

/** What a selected reference is kept under. */
function selection({ group, kind }: Pick<ResourceType, 'group' | 'kind'>, name?: string): string {
  return name === undefined ? `${group}/${kind}` : `${group}/${kind}/*/${name}`
}

function sameType(a: ResourceType, b: ResourceType): boolean {
  return a.group === b.group && a.kind === b.kind
}
