/** Puts the rooms together, as the bootstrap file says. The only place that knows all of them. */

import { mkdir } from 'node:fs/promises'
import type { RepositorySpec } from '../../schemas/generated/types.ts'
import { openPostgres } from '../data/postgres.ts'
import { Controller, type ControllerOptions } from '../engine/controller.ts'
import { type Kind, keyOf, type Resource } from '../engine/kind.ts'
import { GitSource } from '../engine/source.ts'
import { MemoryStore } from '../engine/store/memory.ts'
import type { Store } from '../engine/store/store.ts'
import { Committer } from '../git/committer.ts'
import type { GitRepository } from '../git/repository.ts'
import { ManifestReader } from '../kinds/platform/reader.ts'
import { allKinds, keepsMissing } from '../kinds/registry.ts'
import { RequestReader } from '../kinds/requests/reader.ts'
import { suspensionOf } from '../kinds/suspend.ts'
import { repositoryType } from '../kinds/types.ts'
import type { RecordsWriter } from '../records/branch.ts'
import { recordsIdentity, recordsRoot } from '../records/identity.ts'
import { GitRecorder, type RecordsSpace } from '../records/recorder.ts'
import { type Clock, delay, systemClock } from '../runtime/clock.ts'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Redactor } from '../runtime/secrets.ts'
import { formatPublicKey, parsePublicKey, type SshPrivateKey } from '../runtime/ssh-key.ts'
import { signSsh } from '../runtime/sshsig.ts'
import type { Bootstrap } from './bootstrap.ts'
import { type RepositoryFinding, recentIncident } from './incidents.ts'
import { Repositories } from './repositories.ts'
import {
  documentsIn,
  instanceOf,
  openStore,
  readKey,
  recordedIn,
  recordsBranch,
  secretsOf,
  signedBy,
  targetOf,
  tipMemory,
} from './rooms.ts'
import { recordsMemory, usableStores } from './tips.ts'

export interface WireOptions
  extends Pick<
    ControllerOptions,
    'maxRetries' | 'stopAfter' | 'stopBefore' | 'takesOver' | 'only' | 'onProgress' | 'onResult'
  > {
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

/** Milliseconds for writing the last statuses: when told to stop, and at the end of a command's work. */
const hurriedClose = 3_000
const calmClose = 60_000

export async function wire(bootstrap: Bootstrap, options: WireOptions): Promise<Wired> {
  const { log, signal, clock = systemClock } = options
  await mkdir(bootstrap.folder, { recursive: true, mode: 0o700 })
  const key = await readKey(bootstrap.controller.key)
  const instance = await instanceOf(bootstrap.folder)
  const actor = {
    type: 'controller',
    name: bootstrap.controller.name ?? 'cratewright',
    key: key.public.fingerprint,
  } as const
  const secrets = secretsOf(bootstrap, options.redactor, options.env ?? process.env)
  const repositories = new Repositories(bootstrap, { secrets, log })
  const store = new MemoryStore(keepsMissing)

  const platformRepository = repositories.open(bootstrap.platform)
  const platform = new GitSource({
    name: 'platform',
    repository: platformRepository,
    ref: bootstrap.platform.ref ?? 'refs/heads/main',
    store,
    log,
    reader: new ManifestReader(platformRepository, 'platform'),
    accept: signedBy(
      platformRepository,
      bootstrap.platform.signers.map(line => parsePublicKey(line)),
      // No Repository can have this name.
      tipMemory(bootstrap.folder, '_platform'),
    ),
    interval: (bootstrap.pollSeconds ?? 30) * 1000,
  })

  const projects = new Projects({
    bootstrap,
    repositories,
    store,
    log,
    key,
    pushInterval: options.pushInterval,
    writerFor: name => ({
      sign: payload => signSsh(key, 'git', payload),
      instance,
      actor,
      clock,
      platform: () => platform.commit,
      changed: () => controller.add(keyOf(repositoryType, name), 'change'),
    }),
  })
  const kinds: Kind[] = allKinds({
    repositoryFindings: name => projects.findings(name, clock.now()),
    checkConnection: async connection => void (await targetOf(connection, '', secrets, bootstrap)),
    checkStore: async resource => void (await openStore(resource)),
    repositoryOf: name => projects.get(name).repository,
    documentsAt: (resource, commit, folder, at) =>
      documentsIn(projects.get(resource.namespace).repository, folder, commit, at),
    tre: bootstrap.controller.tre ?? { name: 'Trusted research environment' },
    openSource: openPostgres,
    targetOf: (connection, database) => targetOf(connection, database, secrets, bootstrap),
    storeOf: openStore,
    signer: { publicKey: formatPublicKey(key.public), sign: (data, namespace) => signSsh(key, namespace, data) },
  })
  const kindOf = (resource: Resource) =>
    kinds.find(({ type }) => type.kind === resource.type.kind && type.group === resource.type.group)
  const recorder = new GitRecorder({
    spaceOf: name => projects.find(name)?.space,
    platformSpace: () => (bootstrap.records ? projects.find(bootstrap.records)?.space : undefined),
    kindOf,
    documentsAt: (resource, commit, folder, at) =>
      documentsIn(projects.get(resource.namespace).repository, folder, commit, at),
    actor,
    redact: text => options.redactor.redact(text),
    instance,
    clock,
    log,
  })
  const controller = new Controller({
    store,
    kinds,
    recorder,
    platform,
    clock,
    log,
    instance,
    signal,
    repositoryType,
    sourceOf: resource => projects.sourceOf(resource as Resource<RepositorySpec>),
    resync: options.resync,
    ...(options.maxRetries === undefined ? {} : { maxRetries: options.maxRetries }),
    suspensionOf,
    ...(options.stopAfter ? { stopAfter: options.stopAfter } : {}),
    ...(options.stopBefore ? { stopBefore: options.stopBefore } : {}),
    ...(options.takesOver ? { takesOver: options.takesOver } : {}),
    ...(options.only ? { only: options.only } : {}),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    ...(options.onResult ? { onResult: options.onResult } : {}),
  })
  return {
    controller,
    store,
    recorder,
    platform,
    close: async () => {
      // Timers do not keep the process alive, and it must not end before what is waited for here.
      const alive = setInterval(() => {}, 1000)
      try {
        await controller.drained()
        projects.hurry()
        // A server that does not answer must not hold up the end: what is not written now is written at the next start.
        await Promise.race([
          recorder.flush().then(() => projects.close()),
          delay(signal.aborted ? hurriedClose : calmClose, new AbortController().signal),
        ])
      } finally {
        clearInterval(alive)
      }
    },
  }
}

interface ProjectsRoom {
  readonly bootstrap: Bootstrap
  readonly repositories: Repositories
  readonly store: Store
  readonly log: Log
  readonly key: SshPrivateKey
  readonly pushInterval: number
  readonly writerFor: (repository: string) => RecordsWriter
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
    if (!project)
      throw this.#problems.get(name) ?? new CratewrightError('GitRefMissing', `Repository ${name} is not declared`)
    return project
  }

  /** What the Repository's status says. */
  findings(name: string, now: Date): readonly RepositoryFinding[] {
    const project = this.#open.get(name)
    const problem = this.#problems.get(name) ?? project?.source.problem ?? project?.space.branch.problem
    if (problem) return [problem]
    if (project?.source.commit === undefined) return [new CratewrightError('GitRefMissing', 'it was not looked at yet')]
    return recentIncident(project.space.branch, now)
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

  hurry(): void {
    for (const { space } of this.#open.values()) space.committer.hurry()
  }

  async close(): Promise<void> {
    for (const { space } of this.#open.values()) await space.committer.flush()
  }

  #make(name: string, spec: RepositorySpec, fingerprint: string): Project {
    const { bootstrap, repositories, store, log, key } = this.#room
    const repository = repositories.open(spec)
    const watched = spec.ref ?? 'refs/heads/main'
    const branch = recordsBranch(
      spec,
      repository,
      () => repositories.openRecords(spec),
      key.public,
      recordsMemory({ folder: bootstrap.folder, repository: name, stores: () => usableStores(store), log }),
      this.#room.writerFor(name),
    )
    if (branch.repository.url === repository.url && branch.ref === watched) {
      throw new CratewrightError('ConfigInvalid', 'the records branch is the watched branch', {
        todo: 'Give records.branch another name.',
      })
    }
    const committer = new Committer({
      repository: branch.repository,
      ref: branch.ref,
      identity: recordsIdentity,
      root: recordsRoot,
      minInterval: this.#room.pushInterval,
      sign: payload => signSsh(key, 'git', payload),
      acceptTip: (tip, signal) => branch.check(tip, signal),
      message: changes =>
        changes.length === 1
          ? `${changes[0]?.message}\n`
          : `Record ${changes.length} changes\n\n${changes.map(change => `- ${change.message}`).join('\n')}\n`,
    })
    const source = new GitSource({
      name,
      repository,
      ref: watched,
      store,
      log,
      reader: spec.requests
        ? new RequestReader(repository, name, spec.requests, signal => recordedIn(branch, signal))
        : { read: async () => ({ resources: [], problems: [] }) },
      interval: (spec.pollSeconds ?? bootstrap.pollSeconds ?? 30) * 1000,
    })
    return { spec: fingerprint, repository, source, space: { branch, committer } }
  }
}
