/**
 * One `git cat-file --batch-command` that answers question after question: a spawned git costs 2 to 5 ms each time, and a
 * reconcile asks hundreds. It ends by itself when idle, and with this process, whose end closes its input.
 */

import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import type { Socket } from 'node:net'
import { CratewrightError } from '../runtime/errors.ts'
import type { RunResult } from '../runtime/process.ts'

export interface ObjectInfo {
  readonly oid: string
  readonly type: string
  /** Bytes. */
  readonly size: number
}

interface ReaderOptions {
  readonly start: () => ChildProcessWithoutNullStreams
  /** What an end of the program means. */
  readonly failure: (result: RunResult) => Error
  /** What complaints on standard error say of the repository, where they say that it is damaged. */
  readonly damage: (stderr: string) => Error | undefined
  /** Milliseconds for one question or list of them. */
  readonly deadline: number
}

/** Milliseconds without a question after which the program is ended. */
const idleMs = 5_000
const maxStderr = 16_384

export class ObjectReader {
  readonly #options: ReaderOptions
  #running: Conversation | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #idle: NodeJS.Timeout | undefined

  constructor(options: ReaderOptions) {
    this.#options = options
  }

  /** Types and sizes, in the order asked; undefined for what is not here. Names are ids, or anything that git takes for one. */
  infos(names: readonly string[], signal: AbortSignal): Promise<(ObjectInfo | undefined)[]> {
    return this.#ask('info', names, signal, async conversation => parseInfo(await conversation.line()))
  }

  /** Contents, in the order asked. What is asked for must be here, and small enough for memory: see `infos`. */
  contents(oids: readonly string[], signal: AbortSignal): Promise<Buffer[]> {
    return this.#ask('contents', oids, signal, async conversation => {
      const info = parseInfo(await conversation.line())
      if (!info) throw new CratewrightError('GitObjectMissing', 'an object was removed while it was read')
      const content = await conversation.bytes(info.size + 1)
      return content.subarray(0, info.size)
    })
  }

  /** Ends the program, for instance before its repository is removed; the next question starts another. */
  reset(): void {
    clearTimeout(this.#idle)
    this.#running?.end()
    this.#running = undefined
  }

  async #ask<T>(
    command: string,
    names: readonly string[],
    signal: AbortSignal,
    read: (conversation: Conversation) => Promise<T>,
  ): Promise<T[]> {
    if (names.length === 0) return []
    const before = this.#turn
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#turn = before.then(() => promise)
    await before
    let whole = false
    try {
      signal.throwIfAborted()
      clearTimeout(this.#idle)
      this.#running ??= new Conversation(this.#options)
      const conversation = this.#running
      conversation.begin(signal, this.#options.deadline)
      conversation.write(names.map(name => `${command} ${name}\n`).join(''))
      const answers: T[] = []
      for (let index = 0; index < names.length; index++) answers.push(await read(conversation))
      // A damaged object is answered like one that is not here, with the truth on standard error only.
      const damage = this.#options.damage(conversation.stderr)
      if (damage) throw damage
      conversation.pause()
      whole = true
      return answers
    } finally {
      // Half an answer would be taken for the next one's.
      if (!whole) this.reset()
      else this.#idle = setTimeout(() => this.reset(), idleMs).unref()
      resolve()
    }
  }
}

function parseInfo(line: string): ObjectInfo | undefined {
  const [oid = '', type = '', size] = line.split(' ')
  return size === undefined ? undefined : { oid, type, size: Number(size) }
}

class Conversation {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #failure: (result: RunResult) => Error
  #chunks: Buffer[] = []
  #length = 0
  #stderr = ''
  #ended: Error | undefined
  #wake: () => void = () => {}
  #endTurn: () => void = () => {}

  constructor({ start, failure }: ReaderOptions) {
    this.#child = start()
    this.#failure = failure
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#length += chunk.length
      this.#wake()
    })
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-maxStderr)
    })
    this.#child.stdin.on('error', () => {})
    this.#child.once('error', error => this.#stop(error))
    this.#child.once('close', code =>
      this.#stop(this.#failure({ code: code ?? 128, stdout: Buffer.alloc(0), stderr: this.#stderr })),
    )
  }

  /** Holds this process open until `pause`, and ends the program when the signal or the clock says so. */
  begin(signal: AbortSignal, deadline: number): void {
    this.#hold(true)
    const onAbort = () => this.#stop(signal.reason)
    const timer = setTimeout(() => {
      this.#stop(new CratewrightError('GitFailed', `git cat-file did not answer within ${deadline / 1000} s`))
    }, deadline)
    signal.addEventListener('abort', onAbort, { once: true })
    this.#endTurn = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  get stderr(): string {
    return this.#stderr
  }

  pause(): void {
    this.#endTurn()
    this.#hold(false)
  }

  write(text: string): void {
    this.#child.stdin.write(text)
  }

  async line(): Promise<string> {
    for (;;) {
      const [head] = this.#chunks
      const end = head?.indexOf(0x0a) ?? -1
      if (head && end >= 0) return this.#take(end + 1).toString('utf8', 0, end)
      if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
      else await this.#more()
    }
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.#length < count) await this.#more()
    return this.#take(count)
  }

  end(): void {
    this.#endTurn()
    this.#child.kill('SIGKILL')
  }

  #take(count: number): Buffer {
    const [head = Buffer.alloc(0)] = this.#chunks
    const whole = head.length >= count ? head : Buffer.concat(this.#chunks)
    if (whole !== head) this.#chunks = [whole]
    this.#chunks[0] = whole.subarray(count)
    if (whole.length === count) this.#chunks.shift()
    this.#length -= count
    return whole.subarray(0, count)
  }

  async #more(): Promise<void> {
    if (this.#ended) throw this.#ended
    await new Promise<void>(resolve => {
      this.#wake = resolve
    })
    if (this.#ended && this.#length === 0) throw this.#ended
  }

  #stop(error: Error): void {
    this.#ended ??= error
    this.end()
    this.#wake()
  }

  #hold(held: boolean): void {
    const how = held ? 'ref' : 'unref'
    this.#child[how]()
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr])
      (stream as unknown as Socket)[how]()
  }
}
