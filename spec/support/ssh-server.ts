/** A real sshd on a free port of 127.0.0.1 that lets known keys run git and nothing else. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { generateKey } from '../../controller/runtime/ssh-key.ts'
import { tempFolder } from './temp.ts'

export interface SshServer {
  readonly port: number
  readonly user: string
  /** `[127.0.0.1]:port type key`, as ssh-keyscan prints it. */
  readonly hostKeyLine: string
  /** The key that may log in, as OpenSSH stores it. */
  readonly clientKey: string
  url(path: string, host?: string): string
  /** What sshd said so far. */
  log(): string
  stop(): Promise<void>
}

const program = ['/usr/sbin/sshd', '/usr/local/sbin/sshd'].find(path => existsSync(path))

/** Why no sshd can be started here; undefined where one can. */
export function whyNoSshd(): string | undefined {
  if (program === undefined) return 'there is no sshd on this machine (package openssh-server)'
  if (spawnSync('git-shell', ['-c', ''], { stdio: 'ignore' }).error) return 'there is no git-shell on this machine'
  return undefined
}

/** `settings`: further lines of sshd_config(5), before all others. */
export async function startSshServer({
  port,
  settings = [],
}: {
  readonly port?: number
  readonly settings?: readonly string[]
} = {}): Promise<SshServer> {
  const folder = tempFolder()
  const client = generateKey('client')
  const host = generateKey('host')
  const at = port ?? (await freePort())
  const path = (name: string) => join(folder, name)
  writeFileSync(path('host'), host.private, { mode: 0o600 })
  writeFileSync(path('authorized'), `restrict ${client.public}\n`)
  const shell = `#!/bin/sh
export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null PATH='${process.env.PATH}'
exec git-shell -c "$SSH_ORIGINAL_COMMAND"
`
  writeFileSync(path('shell'), shell, { mode: 0o755 })
  const lines = [
    ...settings,
    `Port ${at}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${path('host')}`,
    'PidFile none',
    `AuthorizedKeysFile ${path('authorized')}`,
    'AuthenticationMethods publickey',
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'AcceptEnv GIT_PROTOCOL',
    // The quickest one: a walk logs in about a hundred times.
    'KexAlgorithms curve25519-sha256',
    `ForceCommand ${path('shell')}`,
    'LogLevel VERBOSE',
    'MaxStartups 100',
  ]
  writeFileSync(path('config'), lines.map(line => `${line}\n`).join(''))
  // Where sshd is root, it locks its unprivileged part into this folder, which the machine makes when it starts.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const sshd = spawn(program ?? '', ['-D', '-e', '-f', path('config')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  sshd.stderr.on('data', chunk => {
    said += chunk
  })
  await listening(sshd, () => said)
  const { username } = userInfo()
  return {
    port: at,
    user: username,
    hostKeyLine: `[127.0.0.1]:${at} ${host.public}`,
    clientKey: client.private,
    url: (repository, name = '127.0.0.1') => `ssh://${username}@${name}:${at}${repository}`,
    log: () => said,
    async stop() {
      if (sshd.exitCode !== null || sshd.signalCode !== null) return
      sshd.kill()
      await once(sshd, 'close')
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function listening(sshd: ChildProcess, said: () => string): Promise<void> {
  const limit = performance.now() + 10_000
  while (!said().includes('Server listening')) {
    if (sshd.exitCode !== null || performance.now() > limit) throw new Error(`sshd does not start:\n${said()}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
