/** URLs of repositories: which ones are taken, and one spelling for each. */

import { isIPv6 } from 'node:net'
import { CratewrightError } from '../runtime/errors.ts'

export type Transport = 'file' | 'http' | 'https' | 'ssh'

export interface RemoteUrl {
  /** What the mirror is named after, and what git is given. */
  readonly url: string
  readonly transport: Transport
  /** In lower case, an IPv6 address without brackets; '' for a file. */
  readonly host: string
  /** 0 for a file. */
  readonly port: number
}

const ports: Readonly<Record<Transport, number>> = { file: 0, http: 80, https: 443, ssh: 22 }

/**
 * One spelling for one repository. Credentials have no place in it, because URLs are shown.
 * @throws DocumentInvalid; HostNotAllowed for a transport that the bootstrap file does not list
 */
export function parseRemoteUrl(text: string, transports: readonly Transport[]): RemoteUrl {
  if (/[\s\x00-\x1f\x7f]/.test(text)) throw invalid('it holds a space or a control character')
  const short = /^([^@:/]+)@(\[[^\]]*\]|[^:/]+):(.+)$/.exec(text)
  if (short) {
    allow('ssh', transports)
    const [, user = '', host = '', path = ''] = short
    return sshUrl(user, host, '', path, (named, _, place) => `${user}@${named}:${place}`)
  }
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url) throw invalid('it is not a URL such as https://forge.example/tre/projects.git')
  // `ext::sh -c …` ends here too.
  const transport = allow(url.protocol.slice(0, -1), transports)
  if (url.password !== '' || (url.username !== '' && transport !== 'ssh')) throw invalid('it holds a credential')
  if (url.search !== '' || url.hash !== '') throw invalid('it has a query or a fragment')
  if (transport === 'file' && url.host !== '') throw invalid('a file URL has three slashes and an absolute path')
  if (transport === 'ssh') {
    const { username: user, hostname, port, pathname } = url
    return sshUrl(user, hostname, port, pathname, (host, at, path) => `ssh://${user}@${host}${at}${path}`)
  }
  return {
    url: url.href.replace(/\/+$/, ''),
    transport,
    host: bare(url.hostname),
    port: url.port === '' ? ports[transport] : Number(url.port),
  }
}

function allow(name: string, transports: readonly Transport[]): Transport {
  const transport = transports.find(allowed => allowed === name)
  if (transport === undefined) {
    throw new CratewrightError('HostNotAllowed', `the transport ${name} is not allowed for repositories`, {
      todo: 'List the transport under `transports` in cratewright.yaml, or use another URL.',
    })
  }
  return transport
}

/**
 * Git decodes what is percent-encoded, and ssh takes what begins with "-" for an option: names that could be read in two ways
 * are refused. The path of `git@host:path` begins at the home folder, that of `ssh://` at the root, so both spellings stay.
 */
function sshUrl(
  user: string,
  writtenHost: string,
  writtenPort: string,
  writtenPath: string,
  spelled: (host: string, port: string, path: string) => string,
): RemoteUrl {
  if (user === '') throw invalid('it names no user, as in ssh://git@forge.example/tre/projects.git')
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(user)) throw invalid('it has no plain user name before "@"')
  const host = bare(writtenHost.toLowerCase())
  if (!isIPv6(host) && !/^[a-z0-9_][a-z0-9._-]{0,252}$/.test(host)) throw invalid('it has no plain host name')
  const path = writtenPath.replace(/\/+$/, '')
  if (path === '' || path.startsWith('-')) throw invalid('it has no path that git can be given')
  const port = writtenPort === '' ? ports.ssh : Number(writtenPort)
  const named = isIPv6(host) ? `[${host}]` : host
  return { url: spelled(named, port === ports.ssh ? '' : `:${port}`, path), transport: 'ssh', host, port }
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1')
}

function invalid(reason: string): CratewrightError {
  return new CratewrightError('DocumentInvalid', `the url of the repository cannot be used: ${reason}`)
}
