/** A work queue of keys: newest state wins, one worker a key, asked-for work first. */

export type Priority = 'asked' | 'change' | 'resync'

const rank: Record<Priority, number> = { asked: 0, change: 1, resync: 2 }

interface Waiting {
  priority: Priority
  sequence: number
}

interface BackoffOptions {
  /** Milliseconds of the first retry. */
  readonly first: number
  /** Milliseconds no retry waits longer than. */
  readonly longest: number
}

/**
 * Adding a key twice runs it once; adding one that is being worked on runs it once more afterwards (it is never on two
 * workers). Among ready keys the higher priority goes first, then the one that waited longest. The maps keep insertion
 * order, so both `take` and `add` cost O(1).
 */
export class KeyQueue {
  readonly #ready: readonly Map<string, Waiting>[] = [new Map(), new Map(), new Map()]
  readonly #working = new Set<string>()
  readonly #again = new Map<string, Priority>()
  readonly #later = new Map<string, { timer: NodeJS.Timeout; due: number; priority: Priority }>()
  readonly #failures = new Map<string, number>()
  readonly #backoff: BackoffOptions
  readonly #random: () => number
  #sequence = 0
  #wake: () => void = () => {}

  constructor(backoff: BackoffOptions = { first: 750, longest: 15 * 60_000 }, random: () => number = Math.random) {
    this.#backoff = backoff
    this.#random = random
  }

  /** Called whenever a key becomes ready. */
  onReady(wake: () => void): void {
    this.#wake = wake
  }

  add(key: string, priority: Priority = 'change'): void {
    if (this.#working.has(key)) {
      this.#again.set(key, higher(this.#again.get(key), priority))
      return
    }
    this.#cancelLater(key)
    let highest = priority
    for (const [index, waiting] of this.#ready.entries()) {
      const found = waiting.get(key)
      if (!found) continue
      if (index <= rank[priority]) return
      highest = higher(found.priority, priority)
      waiting.delete(key)
    }
    this.#ready[rank[highest]]?.set(key, { priority: highest, sequence: this.#sequence++ })
    this.#wake()
  }

  /** Adds the key after `delay` milliseconds; an earlier time already set stays. */
  addAfter(key: string, delay: number, priority: Priority = 'resync'): void {
    const due = Date.now() + delay
    const present = this.#later.get(key)
    if (present && present.due <= due) return
    this.#cancelLater(key)
    const timer = setTimeout(() => {
      this.#later.delete(key)
      this.add(key, priority)
    }, delay)
    timer.unref()
    this.#later.set(key, { timer, due, priority })
  }

  /** The next key and what it was added for, or undefined. The caller ends it with `done`. */
  take(): { key: string; priority: Priority } | undefined {
    for (const waiting of this.#ready) {
      const next = waiting.entries().next()
      if (next.done) continue
      const [key, { priority }] = next.value
      waiting.delete(key)
      this.#working.add(key)
      return { key, priority }
    }
    return undefined
  }

  done(key: string): void {
    this.#working.delete(key)
    const again = this.#again.get(key)
    this.#again.delete(key)
    if (again) this.add(key, again)
  }

  /** Runs the key again after its backoff: doubling, ±20 % jitter, so that a target that comes back is not met by all at once. */
  retry(key: string): number {
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    const delay = Math.min(this.#backoff.first * 2 ** failures, this.#backoff.longest) * (0.8 + 0.4 * this.#random())
    this.addAfter(key, delay, 'change')
    return delay
  }

  forget(key: string): void {
    this.#failures.delete(key)
  }

  get ready(): number {
    return this.#ready.reduce((sum, waiting) => sum + waiting.size, 0)
  }

  get working(): number {
    return this.#working.size
  }

  /** Keys that wait for a time. */
  get delayed(): number {
    return this.#later.size
  }

  close(): void {
    for (const { timer } of this.#later.values()) clearTimeout(timer)
    this.#later.clear()
    for (const waiting of this.#ready) waiting.clear()
    this.#again.clear()
  }

  #cancelLater(key: string): void {
    const present = this.#later.get(key)
    if (!present) return
    clearTimeout(present.timer)
    this.#later.delete(key)
  }
}

function higher(a: Priority | undefined, b: Priority): Priority {
  return a !== undefined && rank[a] <= rank[b] ? a : b
}
