/**
 * The one place that starts git: which binary, which environment, which configuration. Nothing of the machine's own
 * configuration counts, no hook, helper or prompt runs, and a local command can reach no network.
 */

import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { isIP } from 'node:net'
import { dirname } from 'node:path'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import { type RunOptions, type RunResult, run } from '../runtime/process.ts'
import { Redactor } from '../runtime/secrets.ts'
import { trustOnly } from './authorities.ts'
import { gitFailure, MirrorDamaged } from './git-failure.ts'
import { ObjectReader } from './object-reader.ts'
import type { RemoteUrl } from './remote-url.ts'
import { openSsh, type SshAccess } from './ssh-access.ts'

export interface Credential {
  readonly username: string
  readonly password: string
}

export interface GitCommandOptions {
  readonly remote: RemoteUrl
  readonly folder: string
  /** Milliseconds for one run of git. */
  readonly deadline: number
  /** For HTTP, read from its store before each contact; sent to the host of the URL and to no other. */
  readonly credential?: () => Promise<Credential>
  /** For SSH, which nothing of the machine's own configuration, keys or agent takes part in. */
  readonly ssh?: SshAccess
  /** Certificates (PEM) of the only authorities that count, for HTTPS; left out: those of the machine. */
  readonly ca?: () => Promise<string>
  /**
   * Called with the host before each contact: the addresses that git may connect to. Git is held to them, so that a name that
   * is answered differently a moment later leads nowhere else. @throws HostNotAllowed, GitUnreachable
   */
  readonly resolve?: (host: string) => Promise<readonly string[]>
  /** What an operator should know, and nothing fails for. */
  readonly warn?: (message: string) => void
}

interface CallOptions {
  readonly signal: AbortSignal
  readonly input?: Uint8Array | AsyncIterable<Uint8Array>
  readonly env?: Readonly<Record<string, string>>
  /** Bytes of output. */
  readonly maxOutput?: number
}

const maxOutput = 64 * 1024 * 1024

/** Where `--config-env` finds the Authorization header: argv can be read by every user of the machine. */
const headerVariable = 'CRATEWRIGHT_GIT_HEADER'

const environment = {
  HOME: '/nonexistent',
  LC_ALL: 'C.UTF-8',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '/bin/false',
  SSH_ASKPASS: '/bin/false',
  GIT_LFS_SKIP_SMUDGE: '1',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_LAZY_FETCH: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_LITERAL_PATHSPECS: '1',
}

const settings = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.protectHFS=true',
  'core.protectNTFS=true',
  'gc.auto=0',
  'maintenance.auto=false',
  'credential.helper=',
  // Else a Kerberos ticket of the machine's user would be offered to a server that asks for one.
  'http.emptyAuth=false',
  'http.followRedirects=false',
  'http.sslVerify=true',
  // A server that sends under 1 KB/s for a minute is given up before the deadline.
  'http.lowSpeedLimit=1000',
  'http.lowSpeedTime=60',
  // Names that would harm a checkout harm nobody here: trees are read, and each odd name is refused where it lies. With fsck one
  // of them would stop the fetch, and with it everybody else's request. Contents are checked against their ids all the same.
  'transfer.fsckObjects=false',
  'fetch.fsckObjects=false',
  'protocol.version=2',
  'submodule.recurse=false',
]

/**
 * Given to commands that talk to the server, and not kept in the mirror's configuration: to every other command the mirror
 * is an ordinary repository, in which a blob that was not fetched is missing. With a promisor remote configured, git would
 * fetch such blobs one by one, or die where GIT_NO_LAZY_FETCH forbids that (git 2.39.5, 2.45).
 */
const promisor = ['remote.origin.promisor=true', 'remote.origin.partialclonefilter=blob:none']

type Version = readonly [number, number]

const oldest: Version = [2, 36]
/** The first that knows http.curloptResolve. */
const oldestPinning: Version = [2, 37]

function isBefore([major, minor]: Version, other: Version): boolean {
  return major < other[0] || (major === other[0] && minor < other[1])
}

export class GitCommand {
  readonly #options: GitCommandOptions
  readonly #redactor = new Redactor()
  /** How often ssh could not connect: it takes one address, so the next run takes the next one. */
  #misses = 0
  #swept: Promise<void> | undefined

  /** Reads the mirror's objects. */
  readonly objects: ObjectReader

  constructor(options: GitCommandOptions) {
    this.#options = options
    this.objects = new ObjectReader({
      deadline: options.deadline,
      failure: result => this.failure('cat-file', result),
      damage: stderr => {
        const failure =
          stderr === '' ? undefined : this.failure('cat-file', { code: 0, stdout: Buffer.alloc(0), stderr })
        return failure instanceof MirrorDamaged ? failure : undefined
      },
      start: () => {
        const args = [...settings.flatMap(setting => ['-c', setting]), 'cat-file', '--batch-command']
        const env = { ...baseEnvironment(), GIT_DIR: options.folder, GIT_ALLOW_PROTOCOL: 'none' }
        return spawn('git', args, { env, stdio: 'pipe' })
      },
    })
  }

  /** @throws GitNotFound where git is missing or too old */
  async check(signal: AbortSignal): Promise<void> {
    const { stdout } = await start(['version'], baseEnvironment(), { signal, deadline: 10_000, maxOutput: 4096 })
    const said = stdout.toString().trim()
    const [, major, minor] = /(\d+)\.(\d+)/.exec(said) ?? []
    const version: Version = [Number(major ?? 0), Number(minor ?? 0)]
    if (isBefore(version, oldest))
      throw new CratewrightError('GitNotFound', `${said} is older than ${oldest.join('.')}`)
    const { remote, resolve, warn } = this.#options
    if (resolve && remote.transport.startsWith('http') && isBefore(version, oldestPinning)) {
      warn?.(
        `${said} cannot be held to the addresses that were checked, and resolves names again; git ${oldestPinning.join('.')} can`,
      )
    }
  }

  /** A command on the mirror alone, whatever its exit code. */
  local(args: readonly string[], options: CallOptions): Promise<RunResult> {
    return this.#run(args, settings, { GIT_ALLOW_PROTOCOL: 'none', ...options.env }, options)
  }

  /** A command on the mirror alone that must end with 0. @throws GitFailed, GitObjectMissing, MirrorCorrupt */
  async localOrFail(args: readonly string[], options: CallOptions): Promise<Buffer> {
    const result = await this.local(args, options)
    const failure = this.failure(args[0]!, result)
    // cat-file tells of damage on standard error, calls the object missing, and ends with 0.
    if (result.code !== 0 || failure instanceof MirrorDamaged) throw failure
    return result.stdout
  }

  /** A command that may talk to the server, whatever its exit code. @throws GitUnreachable when the deadline passes */
  async remote(args: readonly string[], options: CallOptions): Promise<RunResult> {
    const { remote, resolve } = this.#options
    const addresses = remote.host === '' ? undefined : await resolve?.(remote.host)
    if (addresses?.length === 0) throw new CratewrightError('GitUnreachable', `${remote.host} has no address`)
    const env = { GIT_ALLOW_PROTOCOL: remote.transport, ...options.env }
    try {
      if (remote.transport === 'ssh') return await this.#overSsh(args, addresses, env, options)
      if (remote.transport === 'file') return await this.#run(args, [...settings, ...promisor], env, options)
      return await this.#overHttp(args, addresses, env, options)
    } catch (error) {
      if (!(error instanceof CratewrightError) || error.code !== 'ProgramTimeout') throw error
      throw new CratewrightError('GitUnreachable', `${remote.url} did not answer in time`, { cause: error })
    }
  }

  async #overHttp(
    args: readonly string[],
    addresses: readonly string[] | undefined,
    env: Readonly<Record<string, string>>,
    options: CallOptions,
  ): Promise<RunResult> {
    const { remote, ca, folder } = this.#options
    const config = [...settings, ...promisor]
    if (addresses && isIP(remote.host) === 0) config.push(`http.curloptResolve=${pinned(remote, addresses)}`)
    if (ca && remote.transport === 'https') config.push(...(await trustOnly(await ca(), dirname(folder))))
    const credential = await this.#options.credential?.()
    if (!credential) return await this.#run(args, config, env, options)
    // A server or proxy may repeat them in its answer.
    this.#redactor.add(credential.password)
    this.#redactor.add(basic(credential))
    const header = `--config-env=http.${remote.url}.extraHeader=${headerVariable}`
    const full = { ...env, [headerVariable]: `Authorization: Basic ${basic(credential)}` }
    return await this.#run([header, ...args], config, full, options)
  }

  async #overSsh(
    args: readonly string[],
    addresses: readonly string[] | undefined,
    env: Readonly<Record<string, string>>,
    options: CallOptions,
  ): Promise<RunResult> {
    const { remote, ssh, folder } = this.#options
    if (!ssh) throw new CratewrightError('GitDenied', `${remote.url} has no private key to log in with`)
    const sessions = folder.replace(/\.git$/, '.ssh')
    // A process that was killed leaves a private key there.
    this.#swept ??= rm(sessions, { recursive: true, force: true })
    await this.#swept
    const address = addresses?.[this.#misses % addresses.length]
    await using session = await openSsh(remote, ssh, sessions, address)
    const result = await this.#run(args, [...settings, ...promisor], { ...env, ...session.env }, options)
    if (result.code !== 0) this.#misses += 1
    return result
  }

  /** @throws GitUnreachable, GitDenied, GitRefMissing, GitObjectMissing, GitFailed */
  async remoteOrFail(args: readonly string[], options: CallOptions): Promise<RunResult> {
    const result = await this.remote(args, options)
    if (result.code !== 0) throw this.failure(args[0]!, result)
    return result
  }

  /** What git said, as one of our errors. */
  failure(command: string, result: RunResult): CratewrightError {
    return gitFailure(command, result, this.#redactor)
  }

  async #run(
    args: readonly string[],
    config: readonly string[],
    env: Readonly<Record<string, string>>,
    { signal, input, maxOutput: limit = maxOutput }: CallOptions,
  ): Promise<RunResult> {
    const all = [...config.flatMap(setting => ['-c', setting]), ...args]
    const full = { ...baseEnvironment(), GIT_DIR: this.#options.folder, ...env }
    const { deadline } = this.#options
    return await start(all, full, { signal, deadline, maxOutput: limit, ...(input ? { input } : {}) })
  }
}

function baseEnvironment(): Record<string, string> {
  return { ...environment, PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin' }
}

async function start(
  args: readonly string[],
  env: Record<string, string>,
  options: Omit<RunOptions, 'env'>,
): Promise<RunResult> {
  try {
    return await run('git', args, { env, ...options })
  } catch (error) {
    if (options.signal.aborted) throw error
    const { code } = asCratewrightError(error)
    if (code === 'ProgramMissing') throw new CratewrightError('GitNotFound', 'there is no git on the PATH')
    if (code === 'ProgramOutputTooLarge') {
      throw new CratewrightError('TreeTooLarge', `git gave more than ${options.maxOutput} bytes of answer`)
    }
    throw error
  }
}

function basic({ username, password }: Credential): string {
  return Buffer.from(`${username}:${password}`).toString('base64')
}

/** `host:port:address,…` of CURLOPT_RESOLVE(3). */
function pinned({ host, port }: RemoteUrl, addresses: readonly string[]): string {
  return `${host}:${port}:${addresses.map(address => (isIP(address) === 6 ? `[${address}]` : address)).join(',')}`
}
