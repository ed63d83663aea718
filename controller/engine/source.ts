/** A Git ref that is watched: looks at it when told or when its time has come, and puts what it declares into the store. */

import type { GitRepository, Oid } from '../git/repository.ts'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Reader } from './kind.ts'
import type { Store } from './store/store.ts'

export interface GitSourceOptions {
  readonly name: string
  readonly repository: GitRepository
  /** A full ref; the only one whose content is desired state. */
  readonly ref: string
  readonly reader: Reader
  /** The commit to apply for a tip: itself, or an older one with the reason why not; throws where there is none. */
  readonly accept?: (tip: Oid, signal: AbortSignal) => Promise<Oid | { commit: Oid; problem: CratewrightError }>
  readonly store: Store
  readonly log: Log
  /** Milliseconds between looks; ±10 % jitter, so that many sources do not look at once. */
  readonly interval: number
}

export class GitSource {
  readonly #options: GitSourceOptions
  #looking: Promise<boolean> | undefined
  #timer: NodeJS.Timeout | undefined
  #watching: AbortController | undefined
  #tip: Oid | undefined
  /** The tip that was looked at last, whether it could be read or not; undefined where the server did not say. */
  #looked: Oid | undefined
  #commit: Oid | undefined
  #problem: CratewrightError | undefined
  #unread: CratewrightError | undefined
  /** Where the server has the ref: the question under way, and the one after it. */
  #answer: Promise<Oid | undefined> | undefined
  #nextAnswer: Promise<Oid | undefined> | undefined

  constructor(options: GitSourceOptions) {
    this.#options = options
  }

  get name(): string {
    return this.#options.name
  }

  get repository(): GitRepository {
    return this.#options.repository
  }

  /** The commit whose content is in the store. */
  get commit(): Oid | undefined {
    return this.#commit
  }

  /** Why the last look failed; what was read before stays. */
  get problem(): CratewrightError | undefined {
    return this.#problem
  }

  /** Why the store does not have what the server has now; undefined where it has all that may be applied of it. */
  get unread(): CratewrightError | undefined {
    return this.#unread
  }

  /** Looks once; one look at a time. True when the store was changed. Errors are kept in `problem`, not thrown. */
  look(signal: AbortSignal): Promise<boolean> {
    this.#looking ??= this.#look(signal).finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  /** True when the server still has the ref where the store's content was read. Errors are thrown. */
  async confirm(signal: AbortSignal): Promise<boolean> {
    // Who asks while the server is being asked shares the next answer: one that began before the question would prove nothing.
    this.#nextAnswer ??= (this.#answer ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        this.#answer = this.#nextAnswer
        this.#nextAnswer = undefined
        return this.#options.repository.resolve(this.#options.ref, signal)
      })
    return (await this.#nextAnswer) === this.#tip
  }

  /** Looks again and again until it is stopped or the signal is aborted. */
  watch(signal: AbortSignal, onLooked: () => void): void {
    this.stop()
    const watching = new AbortController()
    this.#watching = watching
    const again = () => {
      if (signal.aborted || watching.signal.aborted) return
      this.#timer = setTimeout(
        () => void this.look(signal).then(onLooked).finally(again),
        this.#options.interval * (0.9 + 0.2 * Math.random()),
      )
      this.#timer.unref()
    }
    signal.addEventListener('abort', () => this.stop(), { once: true })
    again()
  }

  /** Ends watching, which may begin again; what was read stays in the store. */
  stop(): void {
    this.#watching?.abort()
    clearTimeout(this.#timer)
  }

  async #look(signal: AbortSignal): Promise<boolean> {
    const { name, repository, ref, reader, accept, store, log } = this.#options
    const looked = this.#looked
    this.#looked = undefined
    try {
      const tip = await repository.resolve(ref, signal)
      if (tip === undefined) throw new CratewrightError('GitRefMissing', `${name}: the server has no ${ref}`)
      this.#looked = tip
      if (tip === looked && !this.#problem?.retryable) return false
      await repository.fetch(ref, tip, signal)
      const accepted = accept ? await accept(tip, signal) : tip
      const { commit, problem } = typeof accepted === 'string' ? { commit: accepted, problem: undefined } : accepted
      const read = commit === this.#commit ? undefined : await reader.read(commit, signal)
      if (read) store.replace(name, commit, read)
      this.#tip = tip
      this.#commit = commit
      this.#unread = undefined
      this.#report(problem)
      if (read)
        log.info('read a new commit', {
          source: name,
          commit,
          resources: read.resources.length,
          problems: read.problems.length,
        })
      return read !== undefined
    } catch (error) {
      if (signal.aborted) return false
      this.#unread = asCratewrightError(error)
      this.#report(this.#unread)
      return false
    }
  }

  #report(problem: CratewrightError | undefined): void {
    if (problem && problem.message !== this.#problem?.message) {
      const { name, log } = this.#options
      log.warn('a source is not read to its tip', { source: name, code: problem.code, error: problem.message })
    }
    this.#problem = problem
  }
}
