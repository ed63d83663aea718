/** Trees, as `git ls-tree -r -z` lists them and as objects. Names in them are whatever bytes their author chose. */

import { decodePath } from './paths.ts'
import type { Oid, TreeEntry } from './repository.ts'

/** `mode SP type SP id TAB path NUL`. */
export function parseListing(output: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = []
  for (let at = 0; at < output.length; ) {
    const tab = output.indexOf(0x09, at)
    const end = output.indexOf(0x00, tab)
    const [mode = '', , oid = ''] = output.toString('latin1', at, tab).split(' ')
    entries.push({ path: decodePath(output.subarray(tab + 1, end)), mode, oid })
    at = end + 1
  }
  return entries
}

export interface TreeItem {
  readonly oid: Oid
  readonly isTree: boolean
}

/** The entries of one tree object by name: `mode SP name NUL` and the bytes of the id. */
export function parseTree(oid: Oid, content: Buffer): Map<string, TreeItem> {
  const items = new Map<string, TreeItem>()
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at)
    const end = content.indexOf(0x00, space)
    const next = end + 1 + oid.length / 2
    const isTree = content.toString('latin1', at, space) === '40000'
    items.set(decodePath(content.subarray(space + 1, end)), { oid: content.toString('hex', end + 1, next), isTree })
    at = next
  }
  return items
}
