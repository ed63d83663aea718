/** No folder of one FileStore lies in a folder of another: what is staged in one would be read in the other. */

import { resolve, sep } from 'node:path'
import type { FileStoreSpec } from '../../schemas/generated/types.ts'
import type { Resource } from '../engine/kind.ts'

/** Names of the stores whose folders meet those of this one. */
export function overlappedBy(
  { name, spec }: Pick<Resource<FileStoreSpec>, 'name' | 'spec'>,
  stores: readonly Pick<Resource<FileStoreSpec>, 'name' | 'spec'>[],
): string[] {
  const others = stores.filter(
    other => other.name !== name && other.spec.type === spec.type && spec.type === 'directory',
  )
  return others
    .filter(other =>
      foldersOf(spec).some(own => foldersOf(other.spec).some(their => within(own, their) || within(their, own))),
    )
    .map(other => other.name)
}

function foldersOf({ staging, production }: FileStoreSpec): string[] {
  return [resolve(staging), resolve(production)]
}

function within(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(`${outer}${sep}`)
}
