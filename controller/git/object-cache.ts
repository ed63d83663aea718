/** Objects of one repository that were read lately. An id names its content for ever, so nothing here can be out of date. */

import type { Oid } from './repository.ts'

interface Entry {
  readonly type: string
  readonly content: Buffer
}

export class ObjectCache {
  readonly #entries = new Map<Oid, Entry>()
  readonly #maxBytes: number
  #bytes = 0

  /** `maxBytes`: of contents held at once; the ones not read for longest go first. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get(oid: Oid): Entry | undefined {
    const entry = this.#entries.get(oid)
    if (entry) {
      this.#entries.delete(oid)
      this.#entries.set(oid, entry)
    }
    return entry
  }

  /** One that would fill much of the cache is not kept. */
  add(oid: Oid, type: string, content: Buffer): void {
    if (this.#entries.has(oid) || content.length > this.#maxBytes / 16) return
    // A copy: the given one is a window on the whole answer of git.
    this.#entries.set(oid, { type, content: Buffer.from(content) })
    this.#bytes += content.length
    for (const [oldest, { content: dropped }] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break
      this.#entries.delete(oldest)
      this.#bytes -= dropped.length
    }
  }
}

/** Answers that follow from ids alone, and so never change; forgotten all at once when there are too many. */
export class AnswerCache<T> {
  readonly #answers = new Map<string, T>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  async get(question: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(question)
    if (known !== undefined) return known
    const answer = await ask()
    if (this.#answers.size >= this.#most) this.#answers.clear()
    this.#answers.set(question, answer)
    return answer
  }
}
