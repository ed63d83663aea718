/** What `--key` names: a private key file, with or without passphrase or security key, or a key in the person's agent. */

import { CratewrightError } from '../runtime/errors.ts'
import { readStart } from '../runtime/files.ts'
import { checkedSigner, keySigner, type Signer } from '../runtime/signer.ts'
import { type AgentKey, agentKeys, agentSigner } from '../runtime/ssh-agent.ts'
import {
  inspectPrivateKey,
  parsePrivateKey,
  parsePublicKey,
  type SshPrivateKey,
  type SshPublicKey,
} from '../runtime/ssh-key.ts'
import { isOnDevice } from '../runtime/ssh-key-blob.ts'
import { keygenSigner } from '../runtime/ssh-keygen.ts'
import type { Io, Option } from './command.ts'

export const keyOption = {
  type: 'string',
  value: '<path>',
  help: 'your private SSH key; a .pub file or SHA256:… takes it from your agent (default: the one in your agent)',
} as const satisfies Option

/**
 * Of a file with a passphrase or on a security key, the agent's copy is used where it has one. A passphrase is asked for when
 * something is signed.
 * @throws CratewrightError KeyInvalid, KeyEncrypted, KeyNotFound, AgentUnreachable
 */
export async function openSigner(key: string, io: Io): Promise<Signer> {
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(key)) return inAgent(key, await keysInAgent(io), io)
  const text = await readKeyFile(key)
  if (!text.trimStart().startsWith('-----BEGIN ')) {
    const { fingerprint } = parsePublicKey(text)
    return inAgent(fingerprint, await keysInAgent(io), io)
  }
  const { public: publicKey, encrypted } = inspectPrivateKey(text)
  const device = isOnDevice(publicKey.type)
  if (!device && !encrypted) return keySigner(parsePrivateKey(text))
  // An agent that is not there, or does not answer, is no reason to fail: the file is enough.
  const held = await keysInAgent(io).catch(() => [])
  if (held.some(({ public: { fingerprint } }) => fingerprint === publicKey.fingerprint))
    return inAgent(publicKey.fingerprint, held, io)
  if (device) return keygenSigner(publicKey, { file: key, env: io.env, signal: io.signal })
  if (!io.askSecret)
    throw new CratewrightError('KeyEncrypted', `${key} is protected by a passphrase, and nobody is there to type it`)
  return askingSigner(key, text, publicKey, io.askSecret)
}

/**
 * Without `--key`: the only key in the agent that counts.
 * @throws CratewrightError AgentUnreachable; KeyNotFound where none counts; UsageInvalid where several do
 */
export async function onlySigner(counts: (key: SshPublicKey) => boolean, io: Io): Promise<Signer> {
  const held = await keysInAgent(io)
  const fitting = held.filter(key => counts(key.public))
  const [only] = fitting
  if (only && fitting.length === 1) return inAgent(only.public.fingerprint, held, io)
  if (only)
    throw new CratewrightError('UsageInvalid', `your agent holds several keys that fit: ${list(fitting)}`, {
      todo: 'Say which one with --key SHA256:….',
    })
  throw new CratewrightError('KeyNotFound', `your agent holds no key that is registered here. It holds ${list(held)}`)
}

/** @throws UsageInvalid where neither `--key` nor an agent says whose signature it is to be */
export function requireKey(key: string | undefined, io: Io): void {
  if (key === undefined && !io.env.SSH_AUTH_SOCK)
    throw new CratewrightError('UsageInvalid', 'name your key with --key: there is no SSH agent to take it from')
}

async function keysInAgent(io: Io): Promise<readonly AgentKey[]> {
  return agentKeys(agentOptions(io))
}

function agentOptions({ env, signal }: Io) {
  const socket = env.SSH_AUTH_SOCK
  if (!socket) throw new CratewrightError('AgentUnreachable', 'there is no SSH agent: SSH_AUTH_SOCK is not set')
  return { socket, signal }
}

function inAgent(fingerprint: string, held: readonly AgentKey[], io: Io): Signer {
  const found = held.find(key => key.public.fingerprint === fingerprint)
  if (!found)
    throw new CratewrightError('KeyNotFound', `your agent does not hold the key ${fingerprint}. It holds ${list(held)}`)
  return agentSigner(found.public, agentOptions(io))
}

function list(keys: readonly AgentKey[]): string {
  if (keys.length === 0) return 'no key that can be used here'
  const shown = keys
    .slice(0, 20)
    .map(({ public: { fingerprint, type }, comment }) => `${fingerprint} (${type} ${comment})`)
  return [...shown, ...(keys.length > shown.length ? [`${keys.length - shown.length} more`] : [])].join(', ')
}

/** As ssh-keygen: three tries. */
function askingSigner(file: string, text: string, publicKey: SshPublicKey, ask: NonNullable<Io['askSecret']>): Signer {
  async function unlock(): Promise<SshPrivateKey> {
    for (let attempt = 1; ; attempt++) {
      const passphrase = await ask(attempt === 1 ? `Passphrase of ${file}: ` : 'That was not it. Passphrase: ')
      if (passphrase === undefined) throw new CratewrightError('KeyEncrypted', 'no passphrase was given')
      try {
        return parsePrivateKey(text, passphrase)
      } catch (error) {
        if (!(error instanceof CratewrightError) || error.code !== 'KeyEncrypted' || attempt === 3) throw error
      }
    }
  }
  let unlocked: Promise<SshPrivateKey> | undefined
  const signer: Signer = {
    public: publicKey,
    async sign(namespace, data) {
      unlocked ??= unlock()
      return keySigner(await unlocked).sign(namespace, data)
    },
  }
  // The file names its public key before anything proves it.
  return checkedSigner(signer, file)
}

const maxKeyFile = 65_536

async function readKeyFile(path: string): Promise<string> {
  // A longer one is refused by its length where it is parsed.
  const bytes = await readStart(path, maxKeyFile + 1).catch((error: NodeJS.ErrnoException) => {
    throw new CratewrightError('KeyInvalid', `the key ${path} cannot be read (${error.code})`, {
      todo: 'Name a key file, or SHA256:… for a key in your agent.',
    })
  })
  return bytes.toString()
}
