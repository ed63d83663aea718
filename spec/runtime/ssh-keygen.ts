/** Real ssh-keygen in a folder of its own: the other side of every test of keys and signatures. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface KeyFile {
  readonly path: string
  readonly private: string
  readonly public: string
}

export interface Keygen {
  readonly folder: string
  run(args: readonly string[], input?: string | Uint8Array): string
  /** `kind`: the arguments for `-t` and, where it has one, `-b`. */
  make(kind: string, passphrase?: string): KeyFile
  write(name: string, content: string | Uint8Array): string
  read(path: string): string
  remove(): void
}

export const kinds = ['ed25519', 'rsa 2048', 'rsa 3072', 'ecdsa 256', 'ecdsa 384', 'ecdsa 521'] as const

export function startKeygen(): Keygen {
  const folder = mkdtempSync(join(tmpdir(), 'cratewright-keys-'))
  let count = 0
  function run(args: readonly string[], input: string | Uint8Array = ''): string {
    return execFileSync('ssh-keygen', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
  }
  return {
    folder,
    run,
    make(kind, passphrase = '') {
      const [type = '', bits] = kind.split(' ')
      count += 1
      const path = join(folder, `key${count}`)
      run(['-q', '-t', type, ...(bits ? ['-b', bits] : []), '-N', passphrase, '-C', 'a comment', '-f', path])
      return { path, private: readFileSync(path, 'utf8'), public: readFileSync(`${path}.pub`, 'utf8') }
    },
    write(name, content) {
      const path = join(folder, name)
      writeFileSync(path, content, { mode: 0o600 })
      return path
    },
    read: path => readFileSync(path, 'utf8'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
