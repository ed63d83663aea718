/** Other programs: an argument array, exactly the environment given, a deadline, bounded output, and nothing left behind. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CratewrightError } from './errors.ts'

export interface RunOptions {
  /** Written to standard input, which is then closed. A program that stops reading early is no error. */
  readonly input?: Uint8Array | AsyncIterable<Uint8Array>
  /** All of the program's environment; PATH finds the program too. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly signal: AbortSignal
  /** Milliseconds from start to the end of output. */
  readonly deadline: number
  /** Bytes of standard output. Of standard error the last 64 KiB are kept. */
  readonly maxOutput: number
}

export interface RunResult {
  /** The exit code; 128 + n where signal n ended the program, as in a shell. */
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: string
}

const graceMs = 2000
const maxStderr = 65_536

/** Groups that would outlive this process, because a group of its own gets no Ctrl-C from the terminal. */
const running = new Set<number>()
process.on('exit', () => {
  for (const group of running) killGroup(group, 'SIGKILL')
})

/**
 * Runs a program to its end; any exit code is a result. When the signal aborts, the deadline passes or the output is too long,
 * its whole process group gets SIGTERM, after 2 s SIGKILL, and the call fails once it is gone.
 * @throws the signal's reason; CratewrightError ProgramMissing, ProgramTimeout, ProgramOutputTooLarge; the error of `input`
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const { input = new Uint8Array(), env, cwd, signal, deadline, maxOutput } = options
  signal.throwIfAborted()
  const child = spawn(command, args, { env, ...(cwd === undefined ? {} : { cwd }), detached: true, stdio: 'pipe' })
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const group = child.pid
  if (group === undefined)
    throw await ended.then(
      () => undefined,
      error => cannotStart(command, error),
    )
  running.add(group)

  let failure: { readonly error: unknown } | undefined
  let kill: NodeJS.Timeout | undefined
  function stop(error: unknown): void {
    if (failure !== undefined) return
    failure = { error }
    killGroup(group!, 'SIGTERM')
    kill = setTimeout(() => killForGood(child, group!), graceMs).unref()
  }
  const onAbort = () => stop(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => stop(timedOut(command, deadline)), deadline).unref()

  const chunks: Buffer[] = []
  let size = 0
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (failure !== undefined) return
    if (size > maxOutput)
      stop(new CratewrightError('ProgramOutputTooLarge', `${command} wrote over ${maxOutput} bytes`))
    else chunks.push(chunk)
  })
  let stderr = Buffer.alloc(0)
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = Buffer.concat([stderr, chunk]).subarray(-maxStderr)
  })
  const source = input instanceof Uint8Array ? [input] : input
  pipeline(Readable.from(source), child.stdin).catch(error => {
    if (!earlyEnd.has(error?.code)) stop(error)
  })

  try {
    const [code, killedBy] = await ended
    if (failure !== undefined) {
      // Its children may have ignored SIGTERM, or have been started since.
      killGroup(group, 'SIGKILL')
      throw failure.error
    }
    const number = killedBy === null ? 0 : constants.signals[killedBy]
    return { code: code ?? 128 + number, stdout: Buffer.concat(chunks), stderr: stderr.toString() }
  } finally {
    running.delete(group)
    clearTimeout(timer)
    clearTimeout(kill)
    signal.removeEventListener('abort', onAbort)
  }
}

/** What writing gives where the program has closed its input, or has ended. */
const earlyEnd: ReadonlySet<unknown> = new Set([
  'EPIPE',
  'ECONNRESET',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_DESTROYED',
])

function killGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch (error) {
    // ESRCH: already gone. EPERM: macOS says so of a group of zombies.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}

/** A grandchild in a session of its own may still hold the pipes: without closing them, the end would never come. */
function killForGood(child: ChildProcess, group: number): void {
  killGroup(group, 'SIGKILL')
  for (const stream of child.stdio) stream?.destroy()
}

function cannotStart(command: string, error: unknown): CratewrightError {
  const { code } = error as NodeJS.ErrnoException
  const missing = code === 'ENOENT' || code === 'EACCES'
  return new CratewrightError(missing ? 'ProgramMissing' : 'Internal', `${command} cannot be started: ${code}`)
}

function timedOut(command: string, deadline: number): CratewrightError {
  return new CratewrightError('ProgramTimeout', `${command} did not end within ${deadline / 1000} s`)
}
