/** Files that appear whole or not at all, also when the machine loses power. */

import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const temporaryName = /^\.cratewright-[0-9a-f]{16}\.tmp$/

/**
 * Replaces the file at `path`, whose folder exists, in one step. `mode` as for open(2), under the process's umask.
 * @throws the error of the file system; the old file is then unchanged, unless only the last fsync failed
 */
export async function writeFileWhole(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.cratewright-${randomBytes(8).toString('hex')}.tmp`)
  try {
    await using file = await open(temporary, 'wx', mode)
    await file.writeFile(content)
    await file.sync()
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(folder)
}

/** The first bytes of a file or pipe, at most so many. @throws the error of the file system */
export async function readStart(path: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of createReadStream(path)) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size >= maxBytes) break
  }
  return Buffer.concat(chunks).subarray(0, maxBytes)
}

/**
 * Removes what `writeFileWhole` left in this folder when it was killed. For whoever alone writes there; where others do too,
 * `olderThan` milliseconds spares what they are writing now.
 */
export async function removeLeftovers(folder: string, olderThan = 0): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  for (const name of names.filter(name => temporaryName.test(name))) {
    const path = join(folder, name)
    if (olderThan > 0 && Date.now() - ((await modified(path)) ?? 0) < olderThan) continue
    await rm(path, { force: true })
  }
}

/** Milliseconds since 1970; undefined where it is gone meanwhile. */
async function modified(path: string): Promise<number | undefined> {
  const stats = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return stats?.mtimeMs
}

/** A new name is on disk only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}
