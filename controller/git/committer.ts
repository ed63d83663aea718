/**
 * The only writer of one ref. Everything submitted while a push is under way goes into the next commit; a lost race is
 * answered by building the same changes on the new tip; nothing is ever forced.
 */

import { sha256Hex } from '../runtime/canonical.ts'
import { delay } from '../runtime/clock.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { checkPath } from './paths.ts'
import type { Change, CommitIdentity, CommitSigner, GitRepository, Oid, Precondition } from './repository.ts'

export interface CommitterOptions {
  readonly repository: GitRepository
  readonly ref: string
  readonly identity: CommitIdentity
  readonly sign: CommitSigner
  /** The commit with an empty tree that starts the ref where it is absent; the same everywhere, so that it can be declared. */
  readonly root?: { readonly message: string; readonly time: Date }
  /** Called before anything is built on a tip (undefined: the ref is absent); what it throws rejects the changes. */
  readonly acceptTip: (tip: Oid | undefined, signal: AbortSignal) => Promise<void>
  readonly message: (changes: readonly Change[]) => string
  /** Milliseconds between the starts of two pushes; urgent changes do not wait. */
  readonly minInterval?: number
}

interface Waiting {
  readonly change: Change
  readonly resolve: (commit: Oid) => void
  readonly reject: (error: unknown) => void
}

const maxTries = 10
const minBackoffMs = 50
const maxBackoffMs = 1000

/** Bytes of a file that a precondition names; only its digest is wanted. */
const maxFile = 64 * 1024 * 1024

export class Committer {
  readonly #options: CommitterOptions
  readonly #stop = new AbortController()
  #waiting: Waiting[] = []
  /** Settles when nothing is waiting any more. */
  #working: Promise<void> | undefined
  #tip: Oid | undefined
  #lastStart = Number.NEGATIVE_INFINITY
  /** Ends the pause between two pushes. */
  #hurry = new AbortController()
  #hurrying = false

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  /** The last commit known to be at the ref. */
  tip(): Oid | undefined {
    return this.#tip
  }

  /**
   * The commit that has the change, once it is on the server. Of two changes to one path the later wins; its preconditions
   * are checked after the earlier.
   * @throws UnsafePath; LogMoved where a precondition does not hold, or others were faster ten times; WriteBackBlocked,
   * GitUnreachable, GitDenied, GitFailed, and what acceptTip throws. After GitUnreachable the change may be there all the same.
   */
  submit(change: Change, { urgent = false } = {}): Promise<Oid> {
    return new Promise((resolve, reject) => {
      for (const { path } of [...change.files, ...change.preconditions]) checkPath(path)
      if (this.#stop.signal.aborted) throw closed()
      this.#waiting.push({ change, resolve, reject })
      if (urgent) this.#hurry.abort()
      this.#working ??= this.#work()
    })
  }

  /** From now on no push waits for its turn: for the end of a process. */
  hurry(): void {
    this.#hurrying = true
    this.#hurry.abort()
  }

  /** Resolves when everything submitted has landed or failed. */
  async flush(): Promise<void> {
    this.#hurry.abort()
    await this.#working
  }

  /** Stops at once; what has not landed is rejected. */
  async close(): Promise<void> {
    this.#stop.abort(closed())
    await this.flush()
  }

  async #work(): Promise<void> {
    // Lets everything submitted in the same turn into the same commit.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      await this.#pause()
      const batch = this.#waiting
      this.#waiting = []
      await this.#landOrReject(batch)
    }
    this.#working = undefined
  }

  async #pause(): Promise<void> {
    const interval = this.#hurrying ? 0 : (this.#options.minInterval ?? 0)
    const wait = this.#lastStart + interval - performance.now()
    if (wait > 0) await delay(wait, this.#hurry.signal).catch(() => undefined)
    this.#hurry = new AbortController()
    this.#lastStart = performance.now()
  }

  async #landOrReject(batch: readonly Waiting[]): Promise<void> {
    try {
      await this.#land(batch)
    } catch (error) {
      // To a promise that has settled already this is nothing.
      for (const { reject } of batch) reject(error)
    }
  }

  async #land(batch: readonly Waiting[]): Promise<void> {
    const { repository, ref, acceptTip } = this.#options
    const { signal } = this.#stop
    let attempted: Oid | undefined
    let left = batch
    for (let tries = 0; tries < maxTries; tries++) {
      if (tries > 0) await backoff(tries, signal)
      const tip = await repository.resolve(ref, signal)
      if (tip !== undefined) await repository.fetch(ref, tip, signal)
      // The answer to a push may be lost after the server has done it.
      if (tip !== undefined && attempted !== undefined && (await repository.isAncestor(attempted, tip, signal))) {
        return this.#landed(left, attempted, tip)
      }
      await acceptTip(tip, signal)
      this.#tip = tip
      let next: Oid
      try {
        left = await this.#dropFailing(tip, left)
        if (left.length === 0) return
        next = await this.#build(
          tip,
          left.map(({ change }) => change),
        )
      } catch (error) {
        if (left.length === 1 || signal.aborted) throw error
        // One change that can never be written must not take the others with it.
        for (const one of left) await this.#landOrReject([one])
        return
      }
      if (next === tip) return this.#landed(left, next, next)
      const outcome = await this.#push(tip, next, attempted === undefined)
      if (outcome === 'pushed') return this.#landed(left, next, next)
      attempted = next
    }
    throw new CratewrightError('LogMoved', `others wrote to ${ref} first, ${maxTries} times`)
  }

  #landed(batch: readonly Waiting[], commit: Oid, tip: Oid): void {
    this.#tip = tip
    for (const { resolve } of batch) resolve(commit)
  }

  /** A connection that breaks leaves open whether the ref was moved: the next try finds out; a second break is an error. */
  async #push(tip: Oid | undefined, next: Oid, first: boolean): Promise<'pushed' | 'moved' | 'unknown'> {
    const { repository, ref } = this.#options
    try {
      return await repository.push(ref, tip, next, this.#stop.signal)
    } catch (error) {
      if (first && error instanceof CratewrightError && error.code === 'GitUnreachable') return 'unknown'
      throw error
    }
  }

  async #build(tip: Oid | undefined, changes: readonly Change[]): Promise<Oid> {
    const { repository, identity, sign, root, message } = this.#options
    const { signal } = this.#stop
    const common = { identity, sign }
    const parent =
      tip ?? (root && (await repository.commit({ ...common, ...root, parent: undefined, files: [] }, signal)))
    const files = new Map(changes.flatMap(({ files }) => files).map(file => [file.path, file]))
    const time = new Date(Math.max(...changes.map(change => change.time.getTime())))
    const input = { ...common, parent, files: [...files.values()], message: message(changes), time }
    return await repository.commit(input, signal)
  }

  /** Rejects the changes whose preconditions do not hold at the tip, after the changes before them; returns the others. */
  async #dropFailing(tip: Oid | undefined, batch: readonly Waiting[]): Promise<readonly Waiting[]> {
    const conditions = batch.flatMap(({ change }) => change.preconditions)
    const digests = await this.#digestsAt(tip, conditions)
    return batch.filter(({ change, reject }) => {
      const broken = change.preconditions.find(condition => digests.get(condition.path) !== wanted(condition))
      if (broken) {
        const found = digests.get(broken.path) === undefined ? 'nothing' : 'a file'
        const asked = 'absent' in broken ? 'nothing' : `a file with SHA-256 ${broken.sha256}`
        reject(new CratewrightError('LogMoved', `${broken.path}: ${asked} was expected, and ${found} is there now`))
        return false
      }
      for (const { path, content } of change.files) digests.set(path, content && sha256Hex(content))
      return true
    })
  }

  /** SHA-256 of the file at each path; undefined where there is nothing. */
  async #digestsAt(
    tip: Oid | undefined,
    conditions: readonly Precondition[],
  ): Promise<Map<string, string | undefined>> {
    const digests = new Map<string, string | undefined>()
    if (tip === undefined || conditions.length === 0) return digests
    const { repository } = this.#options
    const { signal } = this.#stop
    const at = conditions.map(({ path }) => ({ commit: tip, path }))
    const ids = await repository.ids(at, signal)
    const asked = conditions.flatMap((condition, index) => ('sha256' in condition ? (ids[index] ?? []) : []))
    const contents = await repository.read(asked, maxFile, signal)
    for (const [index, { path }] of conditions.entries()) {
      const id = ids[index]
      if (id === undefined) continue
      const content = contents.get(id)
      // To be told from nothing is enough where only absence is asked for: no read, and a folder will do.
      digests.set(path, content ? sha256Hex(content) : id)
    }
    return digests
  }
}

function wanted(condition: Precondition): string | undefined {
  return 'absent' in condition ? undefined : condition.sha256
}

function closed(): CratewrightError {
  return new CratewrightError('GitFailed', 'the writer of this ref was closed before the change was on the server')
}

/** Full jitter: those who lost the same race do not meet again. */
async function backoff(tries: number, signal: AbortSignal): Promise<void> {
  const ceiling = Math.min(maxBackoffMs, minBackoffMs * 2 ** tries)
  await delay(minBackoffMs + Math.random() * (ceiling - minBackoffMs), signal)
}
