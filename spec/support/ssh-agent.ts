/** Agents for tests: OpenSSH's own, and one that answers as a test says. */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { WireReader, wireString, wireUint32 } from '../../controller/runtime/ssh-wire.ts'
import { tempFolder } from './temp.ts'

export interface TestAgent {
  readonly socket: string
  stop(): Promise<void>
}

export interface OpenSshAgent extends TestAgent {
  /** Puts a key file without passphrase into the agent. */
  add(file: string, ...options: string[]): void
  run(...options: string[]): void
}

export function hasProgram(name: string): boolean {
  return (spawnSync(name, ['-?'], { stdio: 'ignore' }).error as NodeJS.ErrnoException | undefined)?.code !== 'ENOENT'
}

/** `ssh-agent` in the foreground, on a socket of its own; nothing of the person's agent is touched. */
export async function startAgent(): Promise<OpenSshAgent> {
  const socket = join(tempFolder(), 'agent')
  const child: ChildProcess = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] })
  const kill = () => child.kill()
  process.once('exit', kill)
  // It prints its variables once it listens.
  await once(child.stdout!, 'data')
  const run = (...args: string[]) => {
    execFileSync('ssh-add', args, {
      env: { PATH: process.env.PATH, HOME: tempFolder(), SSH_AUTH_SOCK: socket },
      stdio: 'pipe',
      input: '',
    })
  }
  return {
    socket,
    run,
    add: (file, ...options) => run('-q', ...options, file),
    async stop() {
      process.removeListener('exit', kill)
      child.kill()
      await once(child, 'close')
    },
  }
}

/** Answers every message as `answer` says: with bytes as they are, or not at all. */
export async function fakeAgent(answer: (message: Buffer, socket: Socket) => Buffer | undefined): Promise<TestAgent> {
  const path = join(tempFolder(), 'fake')
  const open = new Set<Socket>()
  const server = createServer(socket => {
    open.add(socket)
    let received = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 4 || received.length < 4 + received.readUInt32BE()) return
      const reply = answer(received.subarray(4), socket)
      if (reply) socket.write(reply)
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    socket: path,
    async stop() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

export interface HeldKey {
  readonly blob: Uint8Array
  readonly comment?: string
  sign(data: Uint8Array, flags: number): Uint8Array
}

/** An agent that holds what OpenSSH's cannot without hardware: keys of security keys, or keys that answer wrongly. */
export function agentHolding(keys: readonly HeldKey[]): Promise<TestAgent> {
  return fakeAgent(message => {
    const reader = new WireReader(message, reason => new Error(reason) as never)
    const [type] = reader.raw(1)
    if (type === 11) {
      const listed = keys.flatMap(({ blob, comment = 'held' }) => [wireString(blob), wireString(comment)])
      return wireString(Buffer.concat([Buffer.of(12), wireUint32(keys.length), ...listed]))
    }
    const blob = reader.string()
    const data = reader.string()
    const key = keys.find(held => blob.equals(held.blob))
    if (type !== 13 || !key) return wireString(Buffer.of(5))
    return wireString(Buffer.concat([Buffer.of(14), wireString(key.sign(data, reader.uint32()))]))
  })
}
