/** Puts the rooms together, as the bootstrap file says. The only place that knows all of them. */

import { randomUUID } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openDirectoryStore } from '../data/directory-store.ts'
import { checkHost } from '../data/hosts.ts'
import { openPostgres } from '../data/postgres.ts'
import type { SourceTarget } from '../data/source.ts'
import type { FileStore } from '../data/store.ts'
import { Controller, type ControllerOptions } from '../engine/controller.ts'
import type { Kind, Resource } from '../engine/kind.ts'
import { GitSource } from '../engine/source.ts'
import { MemoryStore } from '../engine/store/memory.ts'
import type { Store } from '../engine/store/store.ts'
import { openRepository } from '../git/cli-repository.ts'
import { Committer } from '../git/committer.ts'
import type { Transport } from '../git/git-command.ts'
import type { GitRepository, Oid } from '../git/repository.ts'
import { ManifestReader } from '../kinds/platform/reader.ts'
import { allKinds, keepsMissing } from '../kinds/registry.ts'
import { readFolder } from '../kinds/requests/documents.ts'
import { RequestReader, type RequestSpec } from '../kinds/requests/reader.ts'
import { repositoryType } from '../kinds/types.ts'
import { RecordsBranch, type TipMemory } from '../records/branch.ts'
import { recordsIdentity, recordsRoot } from '../records/identity.ts'
import { GitRecorder, type RecordsSpace } from '../records/recorder.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import { writeFileWhole } from '../runtime/files.ts'
import type { Log } from '../runtime/log.ts'
import { environmentSecrets, fileSecrets, type Redactor, type SecretStore } from '../runtime/secrets.ts'
import { formatPublicKey, parsePrivateKey, parsePublicKey, type SshPrivateKey, type SshPublicKey } from '../runtime/ssh-key.ts'
import { signSsh } from '../runtime/sshsig.ts'
import type { FileStoreSpec, RepositoryCredential, RepositorySpec, SourceConnectionSpec } from '../../schemas/generated/types.ts'
import type { Bootstrap } from './bootstrap.ts'

export interface WireOptions
  extends Pick<ControllerOptions, 'maxRetries' | 'stopAfter' | 'onProgress' | 'onResult'> {
  readonly log: Log
  readonly redactor: Redactor
  readonly signal: AbortSignal
  /** Milliseconds; 0: one look only. */
  readonly resync: number
  /** Milliseconds between pushes of what nobody waits for. */
  readonly pushInterval: number
  readonly clock?: Clock
  readonly env?: Readonly<Record<string, string | undefined>>
}

export interface Wired {
  readonly controller: Controller
  readonly store: Store
  readonly recorder: GitRecorder
  readonly platform: GitSource
  /** Writes what is still to be written, and lets go of everything. */
  close(): Promise<void>
}

/** Milliseconds one run of git may take. */
const gitDeadline = 10 * 60_000

export async function wire(bootstrap: Bootstrap, options: WireOptions): Promise<Wired> {
  const { log, signal, clock = systemClock } = options
  await mkdir(bootstrap.folder, { recursive: true, mode: 0o700 })
  const key = await readKey(bootstrap.controller.key)
  const instance = await instanceOf(bootstrap.folder)
  const secrets = secretsOf(bootstrap, options)
  const repositories = new Repositories(bootstrap)
  const store = new MemoryStore(keepsMissing)

  const platformRepository = repositories.open(bootstrap.platform.url, credentialOf(bootstrap.platform.credential, secrets))
  const platform = new GitSource({
    name: 'platform', repository: platformRepository, ref: bootstrap.platform.ref ?? 'refs/heads/main', store, log,
    reader: new ManifestReader(platformRepository, 'platform'),
    accept: signedBy(platformRepository, bootstrap.platform.signers.map(line => parsePublicKey(line))),
    interval: (bootstrap.pollSeconds ?? 30) * 1000,
  })

  const projects = new Projects({ bootstrap, repositories, secrets, store, log, key, pushInterval: options.pushInterval })
  const kinds: Kind[] = allKinds({
    repositoryProblem: name => projects.problem(name),
    checkConnection: async connection => void (await targetOf(connection, '', secrets, bootstrap)),
    checkStore: async resource => void (await openStore(resource)),
    repositoryOf: name => projects.get(name).repository,
    documentsAt: (resource, commit, at) => documentsAt(projects, resource, commit, at),
    tre: bootstrap.controller.tre ?? { name: 'Trusted research environment' },
    openSource: openPostgres,
    targetOf: (connection, database) => targetOf(connection, database, secrets, bootstrap),
    storeOf: openStore,
    signer: { publicKey: formatPublicKey(key.public), sign: (data, namespace) => signSsh(key, namespace, data) },
  })
  const kindOf = (resource: Resource) => kinds.find(({ type }) => type.kind === resource.type.kind && type.group === resource.type.group)
  const recorder = new GitRecorder({
    spaceOf: name => projects.find(name)?.space,
    platformSpace: () => (bootstrap.records ? projects.find(bootstrap.records)?.space : undefined),
    kindOf,
    documentsAt: (resource, commit, at) => documentsAt(projects, resource as Resource<RequestSpec>, commit, at),
    actor: { type: 'controller', name: bootstrap.controller.name ?? 'cratewright', key: key.public.fingerprint },
    instance, clock, log,
  })
  const controller = new Controller({
    store, kinds, recorder, platform, clock, log, instance, signal, repositoryType,
    sourceOf: resource => projects.sourceOf(resource as Resource<RepositorySpec>),
    resync: options.resync,
    ...(options.maxRetries === undefined ? {} : { maxRetries: options.maxRetries }),
    ...(options.stopAfter ? { stopAfter: options.stopAfter } : {}),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    ...(options.onResult ? { onResult: options.onResult } : {}),
  })
  return {
    controller, store, recorder, platform,
    close: async () => {
      await controller.drained()
      await recorder.flush()
      await projects.close()
    },
  }
}

interface ProjectsRoom {
  readonly bootstrap: Bootstrap
  readonly repositories: Repositories
  readonly secrets: SecretsByProvider
  readonly store: Store
  readonly log: Log
  readonly key: SshPrivateKey
  readonly pushInterval: number
}

interface Project {
  readonly spec: string
  readonly repository: GitRepository
  readonly source: GitSource
  readonly space: RecordsSpace
}

/** What is open for each Repository that the platform declares. */
class Projects {
  readonly #room: ProjectsRoom
  readonly #open = new Map<string, Project>()
  readonly #problems = new Map<string, CratewrightError>()

  constructor(room: ProjectsRoom) {
    this.#room = room
  }

  find(name: string): Project | undefined {
    return this.#open.get(name)
  }

  get(name: string): Project {
    const project = this.#open.get(name)
    if (!project) throw this.#problems.get(name) ?? new CratewrightError('GitRefMissing', `Repository ${name} is not declared`)
    return project
  }

  problem(name: string): CratewrightError | undefined {
    const problem = this.#problems.get(name) ?? this.#open.get(name)?.source.problem
    if (problem) return problem
    return this.#open.get(name)?.source.commit === undefined ? new CratewrightError('GitRefMissing', 'it was not looked at yet') : undefined
  }

  sourceOf(resource: Resource<RepositorySpec>): GitSource | undefined {
    const { name, spec } = resource
    const present = this.#open.get(name)
    const fingerprint = JSON.stringify(spec)
    if (present?.spec === fingerprint) return present.source
    try {
      const project = this.#make(name, spec, fingerprint)
      this.#open.set(name, project)
      this.#problems.delete(name)
      return project.source
    } catch (error) {
      this.#open.delete(name)
      this.#problems.set(name, asCratewrightError(error))
      return undefined
    }
  }

  async close(): Promise<void> {
    for (const { space } of this.#open.values()) await space.committer.flush()
  }

  #make(name: string, spec: RepositorySpec, fingerprint: string): Project {
    const { bootstrap, repositories, store, log, key, secrets } = this.#room
    const credential = credentialOf(spec.credential, secrets)
    const repository = repositories.open(spec.url, credential)
    const recordsUrl = spec.records?.url ?? 'same'
    const recordsRepository = recordsUrl === 'same' ? repository : repositories.open(recordsUrl, credential)
    const ref = `refs/heads/${(spec.records?.branch ?? 'cratewright/records').replace(/^refs\/heads\//, '')}`
    const watched = spec.ref ?? 'refs/heads/main'
    if (recordsRepository === repository && ref === watched) {
      throw new CratewrightError('ConfigInvalid', 'the records branch is the watched branch', { todo: 'Give records.branch another name.' })
    }
    const signers = (spec.records?.signers ?? []).map(signer => parsePublicKey(signer.key))
    const branch = new RecordsBranch(
      recordsRepository, ref,
      { signers: signers.length > 0 ? signers : [key.public], root: spec.records?.root, accept: spec.records?.accept },
      tipMemory(join(bootstrap.folder, 'tips', `${name}.txt`)),
    )
    const committer = new Committer({
      repository: recordsRepository, ref, identity: recordsIdentity, root: recordsRoot, minInterval: this.#room.pushInterval,
      sign: payload => signSsh(key, 'git', payload),
      acceptTip: (tip, signal) => branch.check(tip, signal),
      message: changes => (changes.length === 1 ? `${changes[0]?.message}\n` : `Record ${changes.length} changes\n\n${changes.map(change => `- ${change.message}`).join('\n')}\n`),
    })
    const source = new GitSource({
      name, repository, ref: watched, store, log,
      reader: spec.requests ? new RequestReader(repository, name, spec.requests) : { read: async () => ({ resources: [], problems: [] }) },
      interval: (spec.pollSeconds ?? bootstrap.pollSeconds ?? 30) * 1000,
    })
    return { spec: fingerprint, repository, source, space: { branch, committer } }
  }
}

/** One object a URL: a mirror has one user. */
class Repositories {
  readonly #bootstrap: Bootstrap
  readonly #open = new Map<string, GitRepository>()

  constructor(bootstrap: Bootstrap) {
    this.#bootstrap = bootstrap
  }

  open(url: string, credential: Credential | undefined): GitRepository {
    const present = this.#open.get(url)
    if (present) return present
    const { folder, transports, networks } = this.#bootstrap
    const repository = openRepository({
      url,
      mirrorFolder: join(folder, 'mirrors'),
      transports: (transports ?? ['https']) as Transport[],
      deadline: gitDeadline,
      ...(credential ? { credential } : {}),
      checkHost: host => checkHost(host, { privateNetworks: networks ?? [] }).then(() => {}),
    })
    this.#open.set(url, repository)
    return repository
  }
}

type Credential = () => Promise<{ readonly username: string; readonly password: string }>

type SecretsByProvider = (provider: string) => SecretStore

function secretsOf(bootstrap: Bootstrap, { redactor, env = process.env }: WireOptions): SecretsByProvider {
  const { folder, environmentPrefix } = bootstrap.secrets ?? {}
  const missing = (what: string): SecretStore => ({
    read: async name => {
      throw new CratewrightError('SecretNotFound', `secret ${name} cannot be read: cratewright.yaml has no ${what}`)
    },
  })
  const file = folder ? fileSecrets(folder, redactor) : missing('secrets.folder')
  const environment = environmentPrefix ? environmentSecrets(environmentPrefix, redactor, env) : missing('secrets.environmentPrefix')
  return provider => (provider === 'file' ? file : provider === 'environment' ? environment : missing(`provider ${provider}`))
}

function credentialOf(credential: RepositoryCredential | undefined, secrets: SecretsByProvider): Credential | undefined {
  if (!credential) return undefined
  const { provider, username_key, password_key } = credential
  return async () => ({ username: await secrets(provider).read(username_key), password: await secrets(provider).read(password_key) })
}

/** The release's credential decides, never one in the request. */
async function targetOf(
  connection: Resource<SourceConnectionSpec>, database: string, secrets: SecretsByProvider, { networks }: Bootstrap,
): Promise<SourceTarget> {
  const { spec } = connection
  if (spec.type !== 'postgresql') throw new CratewrightError('SourceNotSupported', `sources of type ${spec.type} are not supported yet`)
  await checkHost(spec.host, { privateNetworks: networks ?? [] })
  const from = secrets(spec.credentials.provider)
  const [username, password] = await Promise.all([from.read(spec.credentials.username_key), from.read(spec.credentials.password_key)])
  return {
    type: 'postgresql', host: spec.host, port: spec.port, database, username, password,
    tls: spec.tls ?? 'verify-full',
    ...(spec.ca ? { ca: spec.ca } : {}),
    connectTimeout: (spec.connectTimeoutSeconds ?? 10) * 1000,
    statementTimeout: (spec.statementTimeoutSeconds ?? 3600) * 1000,
  }
}

async function openStore({ spec }: Resource<FileStoreSpec>): Promise<FileStore> {
  if (spec.type !== 'directory') throw new CratewrightError('StoreInvalid', `stores of type ${spec.type} are not supported yet`)
  return openDirectoryStore({ staging: spec.staging, production: spec.production })
}

async function documentsAt(projects: Projects, resource: Resource<RequestSpec>, commit: Oid, signal: AbortSignal) {
  const { files } = await readFolder(projects.get(resource.namespace).repository, commit, resource.spec.folder, signal)
  return files
}

/** A tip whose signer is not listed is not applied; what was applied before stays. */
function signedBy(repository: GitRepository, signers: readonly SshPublicKey[]) {
  return async (tip: Oid, signal: AbortSignal): Promise<Oid> => {
    const [signature] = await repository.signatures([tip], signal)
    if (signature?.state === 'good' && signers.some(({ fingerprint }) => fingerprint === signature.key.fingerprint)) return tip
    const why = signature?.state === 'good' ? `is signed by ${signature.key.fingerprint}, which cratewright.yaml does not list` : 'has no good signature'
    throw new CratewrightError('UntrustedCommit', `commit ${tip} of the platform repository ${why}; it is not applied`)
  }
}

export async function readKey(path: string): Promise<SshPrivateKey> {
  const text = await readFile(path, 'utf8').catch(error => {
    throw new CratewrightError('KeyInvalid', `the key ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      todo: 'Make one with `cratewright keys make`.',
    })
  })
  return parsePrivateKey(text)
}

/** Who this is, across restarts: only the same instance resumes a step that it began. */
async function instanceOf(folder: string): Promise<string> {
  const path = join(folder, 'instance')
  const present = await readFile(path, 'utf8').catch(() => '')
  if (present.trim() !== '') return present.trim()
  const made = randomUUID()
  await writeFileWhole(path, `${made}\n`, 0o600)
  return made
}

function tipMemory(path: string): TipMemory {
  return {
    read: async () => (await readFile(path, 'utf8').catch(() => '')).trim() || undefined,
    write: async tip => {
      await mkdir(join(path, '..'), { recursive: true })
      await writeFileWhole(path, `${tip}\n`, 0o600)
    },
  }
}
