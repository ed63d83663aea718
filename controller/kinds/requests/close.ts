/** Closing a release: the bag's manifests and tag files are written beside the staged data, and signed. */

import type { FileStore } from '../../data/store.ts'
import type { Progress } from '../../engine/kind.ts'
import { historyUpTo } from '../../records/log.ts'
import { formatPublicKey, parsePublicKey } from '../../runtime/ssh-key.ts'
import { sha512 } from './digests.ts'
import { bagNamespace, renderRelease } from './release.ts'
import type { OutputFile } from './state.ts'
import { confirmScope, type Refusal, type StepContext, type StepTask } from './task.ts'

export const closeRelease: StepTask = async (at, signal, report) => {
  const { room, resolved, state, context, release, resource } = at
  const scope = await confirmScope(at, signal)
  if ('refused' in scope) return scope
  const store = await room.storeOf(resolved.store)
  const changed = await changedOutputs(store, at, state.staging?.files ?? [], signal, report)
  if (changed) return changed

  const documents = await room.documentsAt(resource, state.content, state.folder, signal)
  // Without what was noted since the start: the bag is the same, however often the closing was tried.
  const upToStart = historyUpTo(context.history, context.history.open?.number ?? 0)
  const inStore = renderRelease(upToStart, documents, 'store')
  const inGit = renderRelease(upToStart, documents, 'git')
  for (const { path, content } of inStore.files) await store.write(release, 'bag', path, content)
  const signature = room.signer.sign(inStore.tagManifest, bagNamespace)
  await store.write(release, 'bag', 'tagmanifest-sha512.txt.sig', Buffer.from(signature))
  return {
    digests: {
      request: state.requestDigest,
      scope: state.validation?.scope ?? '',
      outputs: state.staging?.outputs ?? '',
    },
    facts: {
      manifestSha512: sha512(inStore.manifest),
      tagmanifestSha512: sha512(inStore.tagManifest),
      signature,
      gitSignature: room.signer.sign(inGit.tagManifest, bagNamespace),
      key: formatPublicKey(parsePublicKey(room.signer.publicKey)),
    },
  }
}

/** Reads the staged outputs again: exactly the files that were approved, byte for byte, and no other. */
async function changedOutputs(
  store: FileStore,
  { release }: StepContext,
  files: readonly OutputFile[],
  signal: AbortSignal,
  report: (progress: Progress) => void,
): Promise<Refusal | undefined> {
  const refuse = (message: string): Refusal => ({ refused: 'staged', message })
  const present = (await store.list(release, 'staging'))?.filter(({ path }) => path.startsWith('data/outputs/')) ?? []
  const wanted = new Map(files.map(file => [file.path, file]))
  const extra = present.find(({ path }) => !wanted.has(path))
  if (extra) return refuse(`a file that was not extracted lies in staging: ${JSON.stringify(extra.path)}`)
  const missing = files.find(({ path }) => !present.some(file => file.path === path))
  if (missing) return refuse(`the staged file ${missing.path} is gone`)
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const hashed = await store.hash(
    release,
    'staging',
    files.map(({ path }) => path),
    signal,
    bytes =>
      report({
        message: 'reading the staged files again',
        bytes,
        ...(total > 0 ? { fraction: Math.min(1, bytes / total) } : {}),
      }),
  )
  const changed = hashed.find(
    ({ path, size, sha512 }) => wanted.get(path)?.sha512 !== sha512 || wanted.get(path)?.size !== size,
  )
  return changed ? refuse(`the staged file ${changed.path} is not the one that was approved`) : undefined
}
