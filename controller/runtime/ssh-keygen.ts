/** Signing with a key that is kept on a security key and not in an agent: OpenSSH talks to the device, and to the person. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { CratewrightError } from './errors.ts'
import { checkedSigner, type Signer } from './signer.ts'
import type { SshPublicKey } from './ssh-key.ts'

/** What ssh-keygen needs to find the person and the device. */
const passedOn = ['PATH', 'HOME', 'LANG', 'TERM', 'DISPLAY', 'WAYLAND_DISPLAY', 'SSH_ASKPASS', 'SSH_SK_PROVIDER']

/** A signature is under 4 KiB. */
const maxOutput = 16_384

export interface KeygenOptions {
  /** The private key file, as ssh-keygen wrote it. */
  readonly file: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  /** Milliseconds for PIN and touch. Default: 60 s. */
  readonly deadline?: number
}

/** Runs `ssh-keygen -Y sign`, which asks on the terminal for PIN and touch. */
export function keygenSigner(key: SshPublicKey, options: KeygenOptions): Signer {
  return checkedSigner(
    { public: key, sign: (namespace, data) => signWithKeygen(namespace, data, options) },
    'ssh-keygen',
  )
}

/** Not by `run` of process.ts: a program in a group of its own cannot ask on the terminal. */
async function signWithKeygen(
  namespace: string,
  data: Uint8Array,
  { file, env, signal, deadline = 60_000 }: KeygenOptions,
): Promise<string> {
  const limit = AbortSignal.timeout(deadline)
  const clean = Object.fromEntries(passedOn.flatMap(name => (env[name] === undefined ? [] : [[name, env[name]]])))
  const child = spawn('ssh-keygen', ['-Y', 'sign', '-q', '-n', namespace, '-f', file], {
    env: clean,
    stdio: ['pipe', 'pipe', 'inherit'],
    signal: AbortSignal.any([signal, limit]),
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('latin1')
    if (output.length > maxOutput) child.kill()
  })
  // A program that ends before it has read everything says why by its exit code.
  child.stdin.on('error', () => {})
  child.stdin.end(data)
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    if (code === 0) return output
    throw new CratewrightError('SigningRefused', `ssh-keygen did not sign with ${file}: the reason stands above`)
  } catch (error) {
    signal.throwIfAborted()
    if (limit.aborted)
      throw new CratewrightError('SigningRefused', `ssh-keygen did not sign within ${deadline / 1000} s`)
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new CratewrightError('ProgramMissing', 'ssh-keygen is needed for a security key, and is not there')
    throw error
  }
}
