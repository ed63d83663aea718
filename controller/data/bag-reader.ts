/** A bag in a folder, as the validator reads it: nothing is followed, files of any size stream. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readdir, readFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BagReader } from '../crate/bag-check.ts'
import { CratewrightError } from '../runtime/errors.ts'

export function folderBag(folder: string): BagReader {
  return {
    async list() {
      const found = []
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (entry.isDirectory()) continue
        const path = join(entry.parentPath, entry.name)
        const { size } = await lstat(path)
        const kind = entry.isFile()
          ? ('file' as const)
          : entry.isSymbolicLink()
            ? ('symlink' as const)
            : ('other' as const)
        found.push({ path: relative(folder, path).split(sep).join('/'), kind, size })
      }
      return found
    },
    async read(path, maxBytes) {
      const { size } = await lstat(join(folder, path))
      if (size > maxBytes)
        throw new CratewrightError('DocumentTooLarge', `${path} has ${size} bytes, and may have ${maxBytes}`)
      return readFile(join(folder, path))
    },
    async hash(path, algorithms) {
      const hashes = algorithms.map(name => [name, createHash(name)] as const)
      await pipeline(createReadStream(join(folder, path), { highWaterMark: 256 * 1024 }), async chunks => {
        for await (const chunk of chunks) for (const [, hash] of hashes) hash.update(chunk as Uint8Array)
      })
      return Object.fromEntries(hashes.map(([name, hash]) => [name, hash.digest('hex')]))
    },
  }
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
