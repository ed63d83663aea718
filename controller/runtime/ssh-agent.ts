/** A client of ssh-agent: the two messages of draft-miller-ssh-agent that signing needs, over its Unix socket. */

import { createConnection } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { CratewrightError } from './errors.ts'
import { checkedSigner, type Signer } from './signer.ts'
import { publicKeyFromBlob, type SshPublicKey } from './ssh-key.ts'
import { WireReader, wireString, wireUint32 } from './ssh-wire.ts'
import { dataToSign, formatSsh } from './sshsig.ts'

export interface AgentKey {
  readonly public: SshPublicKey
  /** Printable, of at most 80 characters. */
  readonly comment: string
}

export interface AgentOptions {
  /** What SSH_AUTH_SOCK names. */
  readonly socket: string
  readonly signal: AbortSignal
  /** Milliseconds that a signature may take: a security key waits for a touch. Default: 60 s. */
  readonly deadline?: number
}

/** Message numbers of draft-miller-ssh-agent §5.1. */
const requestIdentities = 11
const identitiesAnswer = 12
const signRequest = 13
const signResponse = 14
/** §5.3: without it an agent signs with SHA-1 for RSA. Other keys ignore it. */
const rsaSha512 = 4

/** What OpenSSH's own agent sends at most. */
const maxMessage = 256 * 1024
const maxKeys = 2048
const listDeadline = 10_000

/**
 * The agent's keys, without those of types that nothing here can check (certificates, DSA).
 * @throws CratewrightError AgentUnreachable
 */
export async function agentKeys({ socket, signal }: AgentOptions): Promise<readonly AgentKey[]> {
  const reader = await ask(socket, requestIdentities, Buffer.alloc(0), identitiesAnswer, listDeadline, signal)
  const count = reader.uint32()
  if (count > maxKeys) throw unreachable(`it holds ${count} keys, and may hold ${maxKeys}`)
  const keys: AgentKey[] = []
  for (let index = 0; index < count; index++) {
    const key = readable(reader.string())
    const comment = reader
      .string()
      .toString()
      .replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '')
      .slice(0, 80)
    if (key) keys.push({ public: key, comment })
  }
  reader.end()
  return keys
}

/** Signs with a key that the agent holds; what it answers is checked. */
export function agentSigner(key: SshPublicKey, options: AgentOptions): Signer {
  const { socket, signal, deadline = 60_000 } = options
  const signer: Signer = {
    public: key,
    async sign(namespace, data) {
      const fields = [wireString(key.blob), wireString(dataToSign(namespace, data)), wireUint32(rsaSha512)]
      const reader = await ask(socket, signRequest, Buffer.concat(fields), signResponse, deadline, signal)
      const signature = reader.string()
      reader.end()
      return formatSsh(key, namespace, signature)
    },
  }
  return checkedSigner(signer, 'the agent')
}

/** One message and its answer, on a connection of its own. */
async function ask(
  path: string,
  request: number,
  content: Buffer,
  expected: number,
  deadline: number,
  signal: AbortSignal,
): Promise<WireReader> {
  const frame = wireString(Buffer.concat([Buffer.of(request), content]))
  const answer = await exchange(path, frame, deadline, signal)
  // Every number but the one expected is a refusal: §5.1 has SSH_AGENT_FAILURE, old agents had more.
  if (answer[0] !== expected) {
    if (request === signRequest) throw refused('the agent refused to sign with this key')
    throw unreachable('it does not tell its keys')
  }
  return new WireReader(answer.subarray(1), unreachable)
}

async function exchange(path: string, frame: Buffer, deadline: number, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted()
  const limit = AbortSignal.timeout(deadline)
  const socket = addAbortSignal(AbortSignal.any([signal, limit]), createConnection(path))
  try {
    socket.write(frame)
    let answer = Buffer.alloc(0)
    for await (const chunk of socket) {
      answer = Buffer.concat([answer, chunk as Buffer])
      if (answer.length < 4) continue
      const length = answer.readUInt32BE()
      if (length < 1 || length > maxMessage) throw unreachable(`it sends a message of ${length} bytes`)
      if (answer.length > 4 + length) throw unreachable('it sends more than it was asked for')
      if (answer.length === 4 + length) return answer.subarray(4)
    }
    throw unreachable('it closed the connection')
  } catch (error) {
    signal.throwIfAborted()
    if (limit.aborted) throw refused(`the agent did not answer within ${deadline / 1000} s`)
    if (error instanceof CratewrightError) throw error
    throw unreachable(String((error as NodeJS.ErrnoException).code))
  } finally {
    socket.destroy()
  }
}

function readable(blob: Buffer): SshPublicKey | undefined {
  try {
    return publicKeyFromBlob(blob)
  } catch {
    return undefined
  }
}

function unreachable(why: string): CratewrightError {
  return new CratewrightError('AgentUnreachable', `the SSH agent cannot be used: ${why}`)
}

function refused(message: string): CratewrightError {
  return new CratewrightError('SigningRefused', message)
}
