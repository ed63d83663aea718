/** Publishing a release: everything that was approved is checked once more, then the bag is moved whole. */

import type { FileStore, ReleaseKey } from '../../data/store.ts'
import type { Progress } from '../../engine/kind.ts'
import { historyUpTo } from '../../records/log.ts'
import { sha512 } from './digests.ts'
import { renderRelease } from './release.ts'
import type { RequestState } from './state.ts'
import { approvalMoved, confirmScope, type Refusal, type StepTask } from './task.ts'

const manifestName = 'manifest-sha512.txt'

export const publishRelease: StepTask = async (at, signal, report) => {
  const { room, resolved, state, release, resource, context } = at
  const store = await room.storeOf(resolved.store)
  const { closing } = state
  // A killed publish had moved the bag, or was removing what it had copied. Whether it may be there was settled before.
  const where = (await isPublished(store, release, closing?.manifestSha512, signal)) ? 'production' : 'staging'
  if (where === 'staging') {
    const scope = await confirmScope(at, signal)
    if ('refused' in scope) return scope
  }
  const documents = await room.documentsAt(resource, state.content, state.folder, signal)
  const bag = renderRelease(historyUpTo(context.history, closing?.started ?? 0), documents, 'store')
  const changed = await changedBag(store, release, where, state, bag, signal, report)
  if (changed) return where === 'production' ? { ...changed, moved: true } : changed
  // The files took a while to read: what was approved is asked for once more, directly before it cannot be undone.
  const moved = where === 'staging' ? await approvalMoved(at) : undefined
  if (moved) return moved
  await store.publish(release, closing?.manifestSha512 ?? '', signal)
  return {
    digests: {
      request: state.requestDigest,
      scope: state.validation?.scope ?? '',
      outputs: state.staging?.outputs ?? '',
    },
    facts: { location: store.location(release, 'production'), manifestSha512: closing?.manifestSha512 ?? '' },
  }
}

async function isPublished(
  store: FileStore,
  release: ReleaseKey,
  manifestSha512: string | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const files = await store.list(release, 'production')
  if (!files?.some(({ path }) => path === manifestName)) return false
  const [manifest] = await store.hash(release, 'production', [manifestName], signal)
  return manifest?.sha512 === manifestSha512
}

/** The bag, file by file: outputs as approved, everything else as the log makes it. */
async function changedBag(
  store: FileStore,
  release: ReleaseKey,
  where: 'staging' | 'production',
  state: RequestState,
  bag: ReturnType<typeof renderRelease>,
  signal: AbortSignal,
  report: (progress: Progress) => void,
): Promise<Refusal | undefined> {
  const refuse = (message: string): Refusal => ({ refused: 'staged', message })
  const wanted = new Map<string, string>()
  for (const { path, sha512: digest } of state.staging?.files ?? []) wanted.set(path, digest)
  for (const { path, content } of bag.files) wanted.set(path, sha512(content))
  wanted.set('tagmanifest-sha512.txt.sig', sha512(Buffer.from(state.closing?.signature ?? '')))
  const present = (await store.list(release, where)) ?? []
  const extra = present.find(({ path }) => !wanted.has(path))
  if (extra) return refuse(`a file that is not part of the release lies in it: ${JSON.stringify(extra.path)}`)
  const missing = [...wanted.keys()].find(path => !present.some(file => file.path === path))
  if (missing) return refuse(`the file ${missing} of the closed release is gone`)
  const total = present.reduce((sum, { size }) => sum + size, 0)
  const hashed = await store.hash(
    release,
    where,
    present.map(({ path }) => path),
    signal,
    bytes =>
      report({
        message: 'checking the closed release',
        bytes,
        ...(total > 0 ? { fraction: Math.min(1, bytes / total) } : {}),
      }),
  )
  const changed = hashed.find(({ path, sha512: digest }) => wanted.get(path) !== digest)
  return changed ? refuse(`the file ${changed.path} is not the one that was approved and sealed`) : undefined
}
