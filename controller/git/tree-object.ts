/** Trees, as `git ls-tree -r -z` lists them and as objects. Names in them are whatever bytes their author chose. */

import { decodePath } from './paths.ts'
import type { Oid, TreeEntry } from './repository.ts'

/** `mode SP type SP id TAB path NUL`. Sizes are not asked for: git knows none of blobs that were not fetched. */
export function parseListing(output: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = []
  for (let at = 0; at < output.length; ) {
    const tab = output.indexOf(0x09, at)
    const end = output.indexOf(0x00, tab)
    const [mode = '', , oid = ''] = output.toString('latin1', at, tab).split(' ')
    entries.push({ path: decodePath(output.subarray(tab + 1, end)), mode, oid, size: undefined })
    at = end + 1
  }
  return entries
}

/** Ids by name of the entries of one tree object: `mode SP name NUL` and the bytes of the id. */
export function parseTree(oid: Oid, content: Buffer): Map<string, Oid> {
  const ids = new Map<string, Oid>()
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at)
    const end = content.indexOf(0x00, space)
    const next = end + 1 + oid.length / 2
    ids.set(decodePath(content.subarray(space + 1, end)), content.toString('hex', end + 1, next))
    at = next
  }
  return ids
}
