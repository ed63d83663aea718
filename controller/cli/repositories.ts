/** Git repositories as admins declare them: each is reached with what stands beside its URL, and with nothing else. */

import { join } from 'node:path'
import type { RepositoryCredential, RepositorySpec } from '../../schemas/generated/types.ts'
import { checkHost, type HostCheck } from '../data/hosts.ts'
import { checkAuthorities } from '../git/authorities.ts'
import { openRepository, type RepositoryOptions } from '../git/cli-repository.ts'
import { parseRemoteUrl, type RemoteUrl, type Transport } from '../git/remote-url.ts'
import type { GitRepository } from '../git/repository.ts'
import { type HostKey, parseHostKeys } from '../git/ssh-access.ts'
import { sha256Hex } from '../runtime/canonical.ts'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { type Bootstrap, readAuthorities } from './bootstrap.ts'
import type { SecretsByProvider } from './rooms.ts'

/** Milliseconds one run of git may take. */
const gitDeadline = 10 * 60_000

/** A URL of a Git repository, with what an admin declared beside it. */
export interface RepositoryPlace {
  readonly url: string
  readonly credential?: RepositoryCredential
  /** PEM. */
  readonly ca?: string
}

export interface RepositoriesOptions {
  readonly secrets: SecretsByProvider
  readonly log: Log
  /** Default: the resolver of the machine. */
  readonly lookup?: HostCheck['lookup']
}

/** One object for each place: a mirror has one user, and is read with one credential. */
export class Repositories {
  readonly #bootstrap: Bootstrap
  readonly #options: RepositoriesOptions
  readonly #hostKeys: readonly HostKey[]
  readonly #open = new Map<string, GitRepository>()
  readonly #said = new Set<string>()

  constructor(bootstrap: Bootstrap, options: RepositoriesOptions) {
    this.#bootstrap = bootstrap
    this.#options = options
    this.#hostKeys = parseHostKeys(bootstrap.ssh?.hostKeys ?? [])
  }

  /** @throws DocumentInvalid, HostNotAllowed */
  open({ url, credential, ca }: RepositoryPlace): GitRepository {
    const who = credential || ca ? JSON.stringify({ credential, ca }) : ''
    const name = `${who} ${url}`
    const present = this.#open.get(name)
    if (present) return present
    const { folder, tls } = this.#bootstrap
    const { transport } = this.#parse(url)
    if (ca !== undefined) checkAuthorities(ca)
    if (ca !== undefined && transport !== 'https') throw refuseBeside(url, '`ca` is for https only', 'Remove `ca`.')
    const caFile = tls?.ca
    const authorities =
      ca !== undefined ? async () => ca : caFile !== undefined ? () => readAuthorities(caFile) : undefined
    const repository = openRepository({
      url,
      mirrorFolder: join(folder, 'mirrors', ...(who === '' ? [] : [sha256Hex(who).slice(0, 16)])),
      transports: this.#transports,
      deadline: gitDeadline,
      ...this.#login(url, transport, credential),
      ...(authorities ? { ca: authorities } : {}),
      resolve: host => this.#resolve(host),
      warn: message => this.#warn(message),
    })
    this.#open.set(name, repository)
    return repository
  }

  /** Where `records.url` of a Repository leads. @throws DocumentInvalid, HostNotAllowed */
  openRecords({ url, credential, ca, records }: RepositorySpec): GitRepository {
    const place = records?.url === undefined || records.url === 'same' ? url : records.url
    const { transport, host, port } = this.#parse(place)
    const watched = this.#parse(url)
    const sameHost = transport === watched.transport && host === watched.host && port === watched.port
    if (!sameHost && credential && !records?.credential && transport !== 'file') {
      throw refuseBeside(
        place,
        'it is on another host than the watched repository, whose credential is not sent there',
        'Give `records.credential`.',
      )
    }
    const used = records?.credential ?? (sameHost ? credential : undefined)
    return this.open({
      url: place,
      ...(used ? { credential: used } : {}),
      ...(ca !== undefined && transport === 'https' ? { ca } : {}),
    })
  }

  get #transports(): readonly Transport[] {
    return this.#bootstrap.transports ?? ['https']
  }

  #parse(url: string): RemoteUrl {
    return parseRemoteUrl(url, this.#transports)
  }

  #login(
    url: string,
    transport: Transport,
    credential: RepositoryCredential | undefined,
  ): Pick<RepositoryOptions, 'credential' | 'ssh'> {
    const { secrets } = this.#options
    const { provider, username_key, password_key, private_key_key } = credential ?? {}
    if (transport === 'ssh') {
      if (!provider || !private_key_key || username_key || password_key) {
        throw refuseBeside(url, 'ssh wants a credential with `private_key_key` alone', 'Correct `credential`.')
      }
      return { ssh: { key: () => secrets(provider).read(private_key_key), hostKeys: this.#hostKeys } }
    }
    if (!provider) return {}
    if (!password_key || private_key_key) {
      throw refuseBeside(url, `${transport} wants a credential with \`password_key\``, 'Correct `credential`.')
    }
    return {
      credential: async () => ({
        // Forges that take tokens ignore the name beside them.
        username: username_key ? await secrets(provider).read(username_key) : 'git',
        password: await secrets(provider).read(password_key),
      }),
    }
  }

  async #resolve(host: string): Promise<readonly string[]> {
    const { lookup } = this.#options
    try {
      return await checkHost(host, { privateNetworks: this.#bootstrap.networks ?? [], ...(lookup ? { lookup } : {}) })
    } catch (error) {
      const { code, message } = asCratewrightError(error)
      throw code === 'SourceUnreachable' ? new CratewrightError('GitUnreachable', message) : error
    }
  }

  /** Once, for however many repositories. */
  #warn(message: string): void {
    if (this.#said.has(message)) return
    this.#said.add(message)
    this.#options.log.warn(message)
  }
}

function refuseBeside(url: string, why: string, todo: string): CratewrightError {
  return new CratewrightError('DocumentInvalid', `${url} cannot be used: ${why}`, { todo })
}
