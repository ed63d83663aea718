/** What the records branches say, read without the working folder: `get` and `explain` work while `serve` runs, and elsewhere. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RepositorySpec } from '../../schemas/generated/types.ts'
import type { Condition } from '../engine/conditions.ts'
import type { Resource, Wait } from '../engine/kind.ts'
import { repositoryType } from '../kinds/types.ts'
import { CratewrightError } from '../runtime/errors.ts'
import type { Io } from './command.ts'
import { openPlatform } from './platform.ts'
import type { Session } from './session.ts'

export interface StatusView {
  readonly kind: string
  readonly name: string
  readonly namespace?: string
  readonly origin: { readonly repository: string; readonly file: string }
  readonly conditions: readonly Condition[]
  readonly observedRevision: string
  readonly problems: readonly {
    readonly code: string
    readonly severity: string
    readonly message: string
    readonly todo: string
    readonly where?: { readonly file: string; readonly line?: number; readonly column?: number }
  }[]
  readonly next: readonly string[]
  readonly waits: readonly Wait[]
  readonly later: readonly string[]
  readonly detail: {
    readonly phase?: string
    readonly release?: number
    readonly generation?: number
    readonly statements?: readonly {
      readonly path: string
      readonly person?: string
      readonly counts: boolean
      readonly reason?: string
    }[]
    readonly release_location?: string
    readonly notes?: readonly string[]
  }
}

/** All statuses on all records branches, checked to be written by declared signers. */
export async function readStatuses(session: Session, { signal, err }: Io): Promise<StatusView[]> {
  const folder = await mkdtemp(join(tmpdir(), 'cratewright-view-'))
  try {
    const platform = await openPlatform({ ...session, bootstrap: { ...session.bootstrap, folder } }, signal)
    const { problem } = platform
    if (problem) err(`platform: ${problem.message} [${problem.code}]`)
    const statuses: StatusView[] = []
    for (const resource of platform.snapshot.list<RepositorySpec>(repositoryType)) {
      statuses.push(...(await statusesOf(platform.recordsOf(resource as Resource<RepositorySpec>), signal)))
    }
    return statuses.sort((a, b) => (`${a.kind} ${a.name}` < `${b.kind} ${b.name}` ? -1 : 1))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function statusesOf(
  branch: ReturnType<Awaited<ReturnType<typeof openPlatform>>['recordsOf']>,
  signal: AbortSignal,
): Promise<StatusView[]> {
  const tip = await branch.tip(signal)
  if (tip === undefined) return []
  const entries = await branch.list(tip, 'status', signal)
  const blobs = await branch.repository.read(
    entries.map(({ oid }) => oid),
    256 * 1024,
    signal,
  )
  return entries.flatMap(({ oid, path }) => {
    const content = blobs.get(oid)
    if (!content) return []
    try {
      return [JSON.parse(Buffer.from(content).toString('utf8')) as StatusView]
    } catch {
      throw new CratewrightError('RecordInvalid', `${path} on ${branch.ref} is not JSON`)
    }
  })
}
