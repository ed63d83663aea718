/** A bag in a folder, as the validator reads it: nothing is followed, nothing is waited for, files of any size stream. */

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type BagReader, maxFiles } from '../crate/bag-check.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { storeError } from './store-error.ts'
import { openRegular } from './store-paths.ts'

type Listed = Awaited<ReturnType<BagReader['list']>>[number]

export function folderBag(folder: string): BagReader {
  return {
    list: () => listBag(folder),
    async read(path, maxBytes) {
      await using file = await opened(folder, path)
      const parts: Buffer[] = []
      let size = 0
      // No further than allowed, however the file grows meanwhile.
      for await (const chunk of file.createReadStream({ autoClose: false, end: maxBytes })) {
        parts.push(chunk as Buffer)
        size += (chunk as Buffer).length
      }
      if (size > maxBytes)
        throw new CratewrightError('DocumentTooLarge', `${path} has more than the ${maxBytes} bytes that it may have`)
      return Buffer.concat(parts)
    },
    async hash(path, algorithms) {
      await using file = await opened(folder, path)
      const hashes = algorithms.map(name => [name, createHash(name)] as const)
      for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 }))
        for (const [, hash] of hashes) hash.update(chunk as Buffer)
      return Object.fromEntries(hashes.map(([name, hash]) => [name, hash.digest('hex')]))
    },
  }
}

async function opened(folder: string, path: string) {
  const file = await openRegular(join(folder, path))
  if (!file) throw new CratewrightError('BagInvalid', `${path} was removed while the bag was read`)
  return file
}

/**
 * Everything but folders. A name that is not UTF-8 cannot be in a manifest, nor be opened by what Node makes of it: it is listed
 * as what is no file, and a folder of such a name is not entered.
 */
async function listBag(root: string): Promise<Listed[]> {
  const found: Listed[] = []
  const folders = ['']
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await entriesOf(join(root, folder))) {
      const path = `${folder}${entry.name.toString()}`
      if (!isUtf8(entry.name)) found.push({ path, kind: 'other', size: 0 })
      else if (entry.isDirectory()) folders.push(`${path}/`)
      else if (!entry.isFile()) found.push({ path, kind: entry.isSymbolicLink() ? 'symlink' : 'other', size: 0 })
      else found.push({ path, kind: 'file', size: await sizeOf(join(root, path)) })
    }
    // The validator says that there are too many; there is no need to know how many.
    if (found.length > maxFiles) break
    if (folders.length > maxFiles)
      throw new CratewrightError('TreeTooLarge', `the bag holds more than ${maxFiles} folders`)
  }
  return found
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true, encoding: 'buffer' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENAMETOOLONG')
      throw new CratewrightError('BagInvalid', 'the bag has folders in each other deeper than can be read')
    throw storeError(error, 'listing the bag')
  }
}

/** Of one that is gone already: nothing; the validator misses it. */
async function sizeOf(path: string): Promise<number> {
  return lstat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

/** A bag whose files are in memory. */
export function memoryBag(files: ReadonlyMap<string, Uint8Array>): BagReader {
  const get = (path: string) => files.get(path) ?? new Uint8Array()
  return {
    list: async () => [...files].map(([path, content]) => ({ path, kind: 'file' as const, size: content.byteLength })),
    read: async path => get(path),
    hash: async (path, algorithms) =>
      Object.fromEntries(algorithms.map(name => [name, createHash(name).update(get(path)).digest('hex')])),
  }
}
