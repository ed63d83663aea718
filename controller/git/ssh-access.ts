/** How git reaches a server over SSH: with one key, to one address, and only where the server proves a host key that is listed. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import { formatPublicKey, inspectPrivateKey, parsePublicKey, type SshPublicKey } from '../runtime/ssh-key.ts'
import type { RemoteUrl } from './remote-url.ts'

export interface HostKey {
  /** In lower case; an IPv6 address without brackets. */
  readonly host: string
  readonly port: number
  readonly key: SshPublicKey
}

/**
 * Lines as ssh-keyscan prints them: `host type key` or `[host]:port type key`, several names with commas between them. Neither
 * hashed names, patterns nor markers: a reviewer has to see whose key it is. @throws ConfigInvalid
 */
export function parseHostKeys(lines: readonly string[]): HostKey[] {
  return lines.flatMap((line, index) => {
    const refuse = (why: string) =>
      new CratewrightError('ConfigInvalid', `ssh.hostKeys[${index}] cannot be used: ${why}`, {
        todo: 'Write the line that `ssh-keyscan <host>` prints, once the administrator of the host has confirmed the key.',
      })
    const [, names = '', type = '', rest = ''] = /^([^\s@|#][^\s]*)[ \t]+(\S+)[ \t]+(\S.*)$/.exec(line.trim()) ?? []
    if (names === '') throw refuse('it is not a host, a type and a key')
    const key = parseKey(`${type} ${rest}`, refuse)
    return names.split(',').map(name => {
      const [, inBrackets, port] = /^\[([^[\]]+)\]:(\d{1,5})$/.exec(name) ?? []
      const host = (inBrackets ?? name).toLowerCase()
      if (!/^[a-z0-9_:][a-z0-9._:-]*$/.test(host)) throw refuse('a name in it is not a host or [host]:port')
      return { host, port: port === undefined ? 22 : Number(port), key }
    })
  })
}

function parseKey(text: string, refuse: (why: string) => CratewrightError): SshPublicKey {
  try {
    return parsePublicKey(text)
  } catch (error) {
    throw refuse(error instanceof CratewrightError ? error.message : 'its key cannot be read')
  }
}

export interface SshAccess {
  /** Reads the private key, as OpenSSH stores it, without passphrase. */
  readonly key: () => Promise<string>
  readonly hostKeys: readonly HostKey[]
}

/** Until it is disposed of, the private key lies in a file that only we can read. */
export interface SshSession extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>
}

const connectTimeout = 30
const aliveInterval = 15

/** @throws HostNotAllowed where no host key is listed, before the server is contacted */
export function listedKeys({ host, port }: RemoteUrl, hostKeys: readonly HostKey[]): SshPublicKey[] {
  const keys = hostKeys.filter(one => one.host === host && one.port === port).map(({ key }) => key)
  if (keys.length === 0) {
    const name = knownName(host, port)
    throw new CratewrightError('HostNotAllowed', `cratewright.yaml lists no host key of ${name}`, {
      todo: `Add the line of ssh-keyscan for ${name} to ssh.hostKeys, once its administrator has confirmed the key.`,
    })
  }
  return keys
}

/** As known_hosts names it. */
export function knownName(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`
}

/**
 * Writes key and host keys to a new folder in `folder`, for one run of git. `address` is what the host was resolved to and
 * checked for; undefined: ssh resolves the name itself.
 * @throws HostNotAllowed, KeyInvalid, KeyEncrypted; SecretNotFound of the store
 */
export async function openSsh(
  remote: RemoteUrl,
  { key, hostKeys }: SshAccess,
  folder: string,
  address: string | undefined,
): Promise<SshSession> {
  const known = listedKeys(remote, hostKeys).map(one => `${remote.host} ${formatPublicKey(one)}\n`)
  const text = await key()
  if (inspectPrivateKey(text).encrypted) {
    throw new CratewrightError('KeyEncrypted', `the private key for ${remote.url} is protected by a passphrase`, {
      todo: 'Give the controller a key of its own without a passphrase, with rights to its repositories only.',
    })
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // mkdtemp(3): 0700.
  const own = await mkdtemp(join(folder, 'run-'))
  const remove = () => rm(own, { recursive: true, force: true })
  try {
    const keyFile = join(own, 'key')
    const knownHosts = join(own, 'known_hosts')
    // Secret stores cut the last line feed, without which OpenSSH reads no key.
    await writeFile(keyFile, `${text.trimEnd()}\n`, { mode: 0o600, flag: 'wx' })
    await writeFile(knownHosts, known.join(''), { mode: 0o600, flag: 'wx' })
    const args = ['ssh', ...sshOptions(remote, keyFile, knownHosts, address)]
    return {
      env: { GIT_SSH_COMMAND: args.map(quote).join(' '), GIT_SSH_VARIANT: 'ssh' },
      [Symbol.asyncDispose]: remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** ssh_config(5). Git adds port, user, host and command. */
function sshOptions(
  { host }: RemoteUrl,
  keyFile: string,
  knownHosts: string,
  address: string | undefined,
): readonly string[] {
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${configPath(knownHosts)}`,
    'GlobalKnownHostsFile=/dev/null',
    // Host keys are looked up by this name alone, whatever address is connected to, and without the port.
    `HostKeyAlias=${host}`,
    'UpdateHostKeys=no',
    'VerifyHostKeyDNS=no',
    `IdentityFile=${configPath(keyFile)}`,
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'CertificateFile=none',
    'PreferredAuthentications=publickey',
    'ForwardAgent=no',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    'ProxyCommand=none',
    'ControlPath=none',
    // A banner of the server would be taken for what ssh says.
    'LogLevel=ERROR',
    `ConnectTimeout=${connectTimeout}`,
    `ServerAliveInterval=${aliveInterval}`,
    'ServerAliveCountMax=4',
  ]
  if (address !== undefined) options.push(`HostName=${address.replaceAll('%', '%%')}`)
  // Without a file of its own, neither that of the user nor that of the machine is read.
  return ['-F', 'none', ...options.flatMap(option => ['-o', option])]
}

/** Spaces part values in ssh_config, and "%" begins a token. */
function configPath(path: string): string {
  return `"${path.replaceAll(/[\\"]/g, '\\$&').replaceAll('%', '%%')}"`
}

/** For the shell that git starts ssh with (git-config(1), core.sshCommand). */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
