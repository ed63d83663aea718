/** Long work outside the workers, at most so many at once per target: one slow database server cannot hold up another. */

import PQueue from 'p-queue'
import type { Key, Progress, Tasks } from './kind.ts'

interface Running {
  readonly key: Key
  readonly abort: AbortController
  progress: Progress
  settled: boolean
  value?: unknown
  error?: unknown
}

/**
 * A task's result is handed out once, to the run that asks for it after its end; asking again starts it anew, which is right
 * because every task does nothing that was done already. A task belongs to one key, which `onEnd` is called with.
 */
export class TaskRunner {
  readonly #tasks = new Map<string, Running>()
  readonly #targets = new Map<string, PQueue>()
  readonly #signal: AbortSignal
  readonly #onEnd: (key: Key) => void
  readonly #onProgress: (key: Key, progress: Progress) => void

  constructor(
    signal: AbortSignal,
    onEnd: (key: Key) => void,
    onProgress: (key: Key, progress: Progress) => void = () => {},
  ) {
    this.#signal = signal
    this.#onEnd = onEnd
    this.#onProgress = onProgress
  }

  get running(): number {
    let count = 0
    for (const task of this.#tasks.values()) if (!task.settled) count++
    return count
  }

  /** Cancels the tasks of a key. True while one is still ending; its end wakes the key. Results nobody asked for are dropped. */
  cancel(key: Key): boolean {
    let ending = false
    for (const [id, task] of this.#tasks) {
      if (task.key !== key) continue
      if (task.settled) this.#tasks.delete(id)
      else {
        task.abort.abort()
        ending = true
      }
    }
    return ending
  }

  /** Resolves when no task is running any more. */
  async idle(): Promise<void> {
    await Promise.all([...this.#targets.values()].map(target => target.onIdle()))
  }

  for(key: Key): Tasks {
    return { run: (id, target, work) => this.#run(key, `${key}#${id}`, target, work) }
  }

  #run<T>(
    key: Key,
    id: string,
    target: { readonly name: string; readonly limit: number },
    work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<T>,
  ): { state: 'running'; progress: Progress } | { state: 'ended'; value: T } {
    const present = this.#tasks.get(id)
    if (present?.settled) {
      this.#tasks.delete(id)
      if (present.error !== undefined) throw present.error
      return { state: 'ended', value: present.value as T }
    }
    if (present) return { state: 'running', progress: present.progress }

    const task: Running = {
      key,
      abort: new AbortController(),
      progress: { message: `waiting for ${target.name}` },
      settled: false,
    }
    this.#tasks.set(id, task)
    const report = (progress: Progress) => {
      task.progress = progress
      this.#onProgress(key, progress)
    }
    void this.#target(target).add(async () => {
      try {
        const signal = AbortSignal.any([this.#signal, task.abort.signal])
        signal.throwIfAborted()
        task.value = await work(signal, report)
      } catch (error) {
        task.error = error ?? new Error('a task failed without an error')
      } finally {
        task.settled = true
        this.#onEnd(key)
      }
    })
    return { state: 'running', progress: task.progress }
  }

  #target({ name, limit }: { name: string; limit: number }): PQueue {
    const queue = this.#targets.get(name) ?? new PQueue({ concurrency: limit })
    queue.concurrency = limit
    this.#targets.set(name, queue)
    return queue
  }
}
