/** Trees, as `git ls-tree -r -z` lists them and as objects. Names in them are whatever bytes their author chose. */

import { CratewrightError } from '../runtime/errors.ts'
import { decodePath } from './paths.ts'
import type { Oid, TreeEntry } from './repository.ts'

/** Files and folders in one listing, and folders in each other. */
const maxListed = 500_000
const maxDepth = 500

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

interface ListedItem extends TreeItem {
  readonly name: string
  /** As `git ls-tree` shows it: whatever a tool wrote, there are only these few (git, object.h, canon_mode). */
  readonly mode: string
}

/** The entries of one tree object in its order, a name that is there twice as often: `mode SP name NUL` and the bytes of the id. */
function* itemsOf(oid: Oid, content: Buffer): Generator<ListedItem> {
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at)
    const end = content.indexOf(0x00, space)
    const next = end + 1 + oid.length / 2
    // Git checks the bytes of an object against its id, and not that they are a tree: without this, there would be no end.
    if (space < at || end < space || next > content.length)
      throw new CratewrightError('GitFailed', `tree ${oid} is damaged: it ends within an entry`)
    const mode = canonicalMode(Number.parseInt(content.toString('latin1', at, space), 8))
    const name = decodePath(content.subarray(space + 1, end))
    yield { name, mode, oid: content.toString('hex', end + 1, next), isTree: mode === '040000' }
    at = next
  }
}

function canonicalMode(mode: number): string {
  const kind = mode & 0o170000
  if (kind === 0o100000) return mode & 0o100 ? '100755' : '100644'
  return kind === 0o120000 ? '120000' : kind === 0o040000 ? '040000' : '160000'
}

/**
 * The entries of one tree object by name. A name that is there twice, which git's own tools never write, stands for nothing:
 * readers would not agree on which of the two it is. It is there, and undefined.
 */
export function parseTree(oid: Oid, content: Buffer): Map<string, TreeItem | undefined> {
  const items = new Map<string, TreeItem | undefined>()
  for (const { name, oid: id, isTree } of itemsOf(oid, content))
    items.set(name, items.has(name) ? undefined : { oid: id, isTree })
  return items
}

/**
 * What `git ls-tree -r` lists below the folder `path`, from trees that are mostly in memory: a controller asks this of every
 * request again and again, and a process each time takes ten times as long.
 */
export async function listBelow(
  path: string,
  folder: Oid,
  read: (trees: readonly Oid[]) => Promise<ReadonlyMap<Oid, Buffer>>,
): Promise<TreeEntry[]> {
  const trees = new Map<Oid, readonly ListedItem[]>()
  let level = [folder]
  let count = 0
  for (let depth = 0; level.length > 0; depth++) {
    const unread = level.filter(oid => !trees.has(oid))
    for (const [oid, content] of await read(unread)) trees.set(oid, [...itemsOf(oid, content)])
    // A tree counts as often as it is there: a few small ones can stand for millions of files.
    count = level.reduce((sum, oid) => sum + (trees.get(oid)?.length ?? 0), count)
    if (count > maxListed || depth > maxDepth)
      throw new CratewrightError('TreeTooLarge', `${path} holds too many files or folders to be listed`)
    level = level.flatMap(oid => (trees.get(oid) ?? []).filter(({ isTree }) => isTree).map(item => item.oid))
  }
  function* entries(prefix: string, oid: Oid): Generator<TreeEntry> {
    for (const { name, mode, oid: id, isTree } of trees.get(oid) ?? []) {
      if (isTree) yield* entries(`${prefix}/${name}`, id)
      else yield { path: `${prefix}/${name}`, mode, oid: id }
    }
  }
  return [...entries(path, folder)]
}
