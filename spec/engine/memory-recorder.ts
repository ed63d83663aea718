/** The Recorder's contract kept in memory: one shared log, writers that each remember what they last saw of it. */

import type { EntryDraft, History, LogEntry, Recorder, Resource } from '../../controller/engine/kind.ts'
import { appended, emptyHistory, encodeEntry, entryFile, entryOf } from '../../controller/records/log.ts'
import type { Clock } from '../../controller/runtime/clock.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'

/** What the server has. */
export class SharedLog {
  readonly #histories = new Map<string, History>()
  /** Set: the server refuses to be written. */
  blocked: CratewrightError | undefined

  of(key: string): History {
    return this.#histories.get(key) ?? emptyHistory
  }

  /** Elects one writer: whoever saw another head is refused. */
  push(key: string, seen: History, next: History): void {
    if (this.blocked) throw this.blocked
    if (this.of(key).head !== seen.head)
      throw new CratewrightError('LogMoved', `the log of ${key} was moved by another`)
    this.#histories.set(key, next)
  }

  files(key: string): Map<string, Uint8Array> {
    return new Map(this.of(key).entries.map(entry => [entryFile(entry), encodeEntry(entry)]))
  }
}

export class MemoryRecorder implements Recorder {
  readonly #shared: SharedLog
  readonly #clock: Clock
  readonly #instance: string
  readonly #seen = new Map<string, History>()
  readonly statuses = new Map<string, unknown>()
  /** `append`, `project` and `status` calls, in order, in short. */
  readonly calls: string[] = []

  constructor(shared: SharedLog, clock: Clock, instance: string) {
    this.#shared = shared
    this.#clock = clock
    this.#instance = instance
  }

  async history(resource: Resource): Promise<History> {
    const seen = this.#seen.get(resource.key) ?? this.#shared.of(resource.key)
    this.#seen.set(resource.key, seen)
    return seen
  }

  async append(resource: Resource, drafts: readonly EntryDraft[]): Promise<History> {
    const seen = await this.history(resource)
    const frame = {
      time: this.#clock.now(),
      instance: this.#instance,
      actor: { type: 'controller', name: 'test' } satisfies LogEntry['actor'],
      repository: resource.namespace,
      project: resource.name,
    }
    const next = drafts.reduce((history, draft) => appended(history, entryOf(history, draft, frame)), seen)
    this.calls.push(
      `append ${drafts.map(({ action, event, result }) => [action, result ?? event].join(' ')).join(', ')}`,
    )
    try {
      this.#shared.push(resource.key, seen, next)
    } catch (error) {
      this.#seen.delete(resource.key)
      throw error
    }
    this.#seen.set(resource.key, next)
    return next
  }

  /** Reads the shared log anew, as a cached tip does after a while. */
  forget(): void {
    this.#seen.clear()
  }

  async project(): Promise<void> {
    this.calls.push('project')
  }

  status(resource: Resource, content: unknown): void {
    this.statuses.set(resource.key, content)
    this.calls.push('status')
  }
}

/** `create noted, validate started, validate done`: a log in short. */
export function inShort({ entries }: History): string[] {
  return entries.map(({ action, event, result, error }) =>
    [action, event === 'outcome' ? result : event, action === 'error' ? error?.code : undefined]
      .filter(word => word !== undefined)
      .join(' '),
  )
}
