/** The platform as commands see it that only read: its resources at the tip, and the branches that they name. */

import type { RepositorySpec } from '../../schemas/generated/types.ts'
import type { Resource, Snapshot } from '../engine/kind.ts'
import { GitSource } from '../engine/source.ts'
import { MemoryStore } from '../engine/store/memory.ts'
import type { GitRepository } from '../git/repository.ts'
import { ManifestReader } from '../kinds/platform/reader.ts'
import { keepsMissing } from '../kinds/registry.ts'
import type { RecordsBranch } from '../records/branch.ts'
import { noRecordsMemory } from '../records/memory.ts'
import type { CratewrightError } from '../runtime/errors.ts'
import { parsePublicKey } from '../runtime/ssh-key.ts'
import { Repositories } from './repositories.ts'
import { readKey, recordsBranch, type SecretsByProvider, secretsOf, signedBy } from './rooms.ts'
import type { Session } from './session.ts'

export interface PlatformView {
  readonly store: MemoryStore
  readonly snapshot: Snapshot
  /** Why the newest commit is not the one that was read. */
  readonly problem: CratewrightError | undefined
  readonly secrets: SecretsByProvider
  repositoryOf(resource: Resource<RepositorySpec>): GitRepository
  recordsOf(resource: Resource<RepositorySpec>): RecordsBranch
}

/** Reads the platform repository once. @throws what the look failed with */
export async function openPlatform({ bootstrap, redactor, log }: Session, signal: AbortSignal): Promise<PlatformView> {
  const secrets = secretsOf(bootstrap, redactor, process.env)
  const repositories = new Repositories(bootstrap, { secrets, log })
  const own = (await readKey(bootstrap.controller.key)).public
  const store = new MemoryStore(keepsMissing)
  const repository = repositories.open(bootstrap.platform)
  const source = new GitSource({
    name: 'platform',
    repository,
    ref: bootstrap.platform.ref ?? 'refs/heads/main',
    store,
    log,
    interval: 0,
    reader: new ManifestReader(repository, 'platform'),
    accept: signedBy(
      repository,
      bootstrap.platform.signers.map(line => parsePublicKey(line)),
    ),
  })
  await source.look(signal)
  if (source.problem && source.commit === undefined) throw source.problem
  const open = (resource: Resource<RepositorySpec>) => repositories.open(resource.spec)
  return {
    store,
    problem: source.problem,
    snapshot: store.snapshot(),
    secrets,
    repositoryOf: open,
    recordsOf: resource =>
      recordsBranch(resource.spec, open(resource), () => repositories.openRecords(resource.spec), own, noRecordsMemory),
  }
}
