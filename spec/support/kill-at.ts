/**
 * Preloaded into the command (`node --import`) by tests of crashes. It stops the clock at CRATEWRIGHT_NOW, so that two runs give
 * the same bytes; writes the name of every operation that changes a disk or a server into CRATEWRIGHT_TRACE; and ends the
 * process with SIGKILL at CRATEWRIGHT_KILL, `<operation>:<which one, from 1>:<before | within | after>`.
 */

import childProcess, { type ChildProcess } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import files, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'

const { CRATEWRIGHT_NOW, CRATEWRIGHT_TRACE, CRATEWRIGHT_KILL = '' } = process.env
const [wanted, number, moment] = CRATEWRIGHT_KILL.split(':')
const counts = new Map<string, number>()

/** Counts an operation. When in it the process has to end; undefined: not in this one. */
function met(operation: string): string | undefined {
  const count = (counts.get(operation) ?? 0) + 1
  counts.set(operation, count)
  if (CRATEWRIGHT_TRACE) appendFileSync(CRATEWRIGHT_TRACE, `${operation}\n`)
  return operation === wanted && count === Number(number) ? moment : undefined
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  // The signal is there before kill(2) returns; nothing after it may run.
  for (;;);
}

// biome-ignore lint/suspicious/noExplicitAny: functions of any shape are wrapped.
type Anything = any

/** `half` does what is on the disk when the machine stops in the middle. */
function wrap(
  owner: Anything,
  name: string,
  {
    as = name,
    counted = () => true,
    half = async () => undefined,
  }: {
    as?: string
    counted?: (args: readonly Anything[]) => boolean
    half?: (self: Anything, args: readonly Anything[], original: Anything) => Promise<unknown>
  } = {},
): void {
  const original = owner[name]
  owner[name] = async function (this: Anything, ...args: Anything[]) {
    const end = counted(args) ? met(as) : undefined
    if (end === 'before') die()
    if (end === 'within') {
      await half(this, args, original)
      die()
    }
    const result = await original.apply(this, args)
    if (end === 'after') die()
    return result
  }
}

async function halfTree(_: Anything, [path]: readonly Anything[], rm: Anything): Promise<void> {
  const entries = await files.readdir(path, { recursive: true, withFileTypes: true }).catch(() => [])
  const found = entries.filter(entry => entry.isFile())
  for (const { parentPath, name } of found.slice(0, Math.ceil(found.length / 2))) await rm(join(parentPath, name))
}

const handle = await files.open(process.execPath, 'r')
const fileHandle = Object.getPrototypeOf(handle) as FileHandle
await handle.close()
wrap(fileHandle, 'writeFile', {
  as: 'write',
  half: (self, [content], original) => {
    const bytes = Buffer.from(content)
    return original.call(self, bytes.subarray(0, bytes.length >> 1))
  },
})
wrap(fileHandle, 'sync')
wrap(files, 'open', { as: 'create', counted: ([, flags]) => flags === 'wx' })
wrap(files, 'rm', { half: halfTree })
for (const name of ['mkdir', 'rename', 'copyFile', 'chmod']) wrap(files, name)

const spawn = childProcess.spawn as Anything
childProcess.spawn = ((...all: Anything[]): ChildProcess => {
  const [command, args] = all
  const verb = command === 'git' ? ['push', 'fetch'].find(name => args.includes(name)) : undefined
  const end = verb && met(verb)
  if (end === 'before') die()
  const child: ChildProcess = spawn(...all)
  // A push that was begun goes on without us.
  if (end === 'within') setTimeout(die, 10)
  if (end === 'after') child.prependListener('exit', die)
  return child
}) as Anything

syncBuiltinESMExports()

if (CRATEWRIGHT_NOW) {
  const now = Number(CRATEWRIGHT_NOW)
  const Real = Date
  globalThis.Date = class extends Real {
    constructor(...args: Anything[]) {
      super(...((args.length === 0 ? [now] : args) as [number]))
    }
    static override now(): number {
      return now
    }
  } as DateConstructor
}
