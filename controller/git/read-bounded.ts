/** Reading files of strangers: one that is too large is nobody else's problem. */

import { CratewrightError } from '../runtime/errors.ts'
import type { GitRepository, Oid } from './repository.ts'

/** One that is larger is left out, and does not spoil the others. */
export async function readBounded(
  repository: GitRepository,
  oids: readonly Oid[],
  maxBytes: number,
  signal: AbortSignal,
): Promise<ReadonlyMap<Oid, Uint8Array>> {
  try {
    return await repository.read(oids, maxBytes, signal)
  } catch (error) {
    if (!(error instanceof CratewrightError) || error.code !== 'DocumentTooLarge') throw error
    if (oids.length === 1) return new Map()
  }
  const found = new Map<Oid, Uint8Array>()
  for (const oid of oids)
    for (const [id, content] of await readBounded(repository, [oid], maxBytes, signal)) found.set(id, content)
  return found
}
