/**
 * The one place that starts git: which binary, which environment, which configuration. Nothing of the machine's own
 * configuration counts, no hook, helper or prompt runs, and a local command can reach no network.
 */

import { spawn } from 'node:child_process'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import { type RunOptions, type RunResult, run } from '../runtime/process.ts'
import { Redactor } from '../runtime/secrets.ts'
import { gitFailure, MirrorDamaged } from './git-failure.ts'
import { ObjectReader } from './object-reader.ts'

export interface Credential {
  readonly username: string
  readonly password: string
}

/** Paths of the private key and of the known_hosts file; no other key, host or configuration of ssh counts. */
export interface SshAccess {
  readonly keyFile: string
  readonly knownHostsFile: string
}

export type Transport = 'file' | 'http' | 'https' | 'ssh'

export interface GitCommandOptions {
  /** Without user-info in it; see `credential`. */
  readonly url: string
  readonly folder: string
  readonly transports: readonly Transport[]
  /** Milliseconds for one run of git. */
  readonly deadline: number
  /** Read from its store when it is first needed. */
  readonly credential?: () => Promise<Credential>
  readonly ssh?: SshAccess
  /** Called with the host before each contact. @throws HostNotAllowed */
  readonly checkHost?: (host: string) => Promise<void>
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
  'http.followRedirects=false',
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

const oldest = [2, 36] as const

/** @throws GitNotFound */
export async function checkGit(signal: AbortSignal): Promise<void> {
  const { stdout } = await start(['version'], baseEnvironment(), { signal, deadline: 10_000, maxOutput: 4096 })
  const [, major, minor] = /(\d+)\.(\d+)/.exec(stdout.toString()) ?? []
  if (!(Number(major) > oldest[0] || (Number(major) === oldest[0] && Number(minor) >= oldest[1]))) {
    throw new CratewrightError('GitNotFound', `${stdout.toString().trim()} is older than ${oldest.join('.')}`)
  }
}

export class GitCommand {
  readonly #options: GitCommandOptions
  readonly #redactor = new Redactor()

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
    const { url, transports, ssh, checkHost } = this.#options
    const { hostname } = new URL(url)
    if (hostname !== '') await checkHost?.(hostname)
    const credential = await this.#options.credential?.()
    const env: Record<string, string> = { GIT_ALLOW_PROTOCOL: transports.join(':'), ...options.env }
    if (transports.includes('ssh')) env.GIT_SSH_COMMAND = sshCommand(ssh)
    const before: string[] = []
    if (credential) {
      // A server or proxy may repeat them in its answer.
      this.#redactor.add(credential.password)
      this.#redactor.add(basic(credential))
      env[headerVariable] = `Authorization: Basic ${basic(credential)}`
      before.push(`--config-env=http.${url}.extraHeader=${headerVariable}`)
    }
    try {
      return await this.#run([...before, ...args], [...settings, ...promisor], env, options)
    } catch (error) {
      if (!(error instanceof CratewrightError) || error.code !== 'ProgramTimeout') throw error
      throw new CratewrightError('GitUnreachable', `${url} did not answer in time`, { cause: error })
    }
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

function sshCommand(access: SshAccess | undefined): string {
  const options = ['-F /dev/null', '-o BatchMode=yes', '-o StrictHostKeyChecking=yes', '-o IdentitiesOnly=yes']
  if (access) options.push(`-i ${quote(access.keyFile)}`, `-o UserKnownHostsFile=${quote(access.knownHostsFile)}`)
  return `ssh ${options.join(' ')}`
}

/** For the shell that git starts ssh with (git-config(1), core.sshCommand). */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
