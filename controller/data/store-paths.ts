/** Paths of a directory store: confined to a root, and without symbolic links on the way. */

import { isUtf8 } from 'node:buffer'
import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import type { ReleaseKey } from './store.ts'
import { storeError } from './store-error.ts'

/** Files of one release; more are not listed. */
const maxFiles = 100_000
const folderMode = 0o750

/** Path parts of a project's folder and of a release in it; `suffix`: '', '.review' or '.work'. */
export function releaseParts({ project, release }: ReleaseKey, suffix = ''): [string, string] {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(project)) throw unsafe(`project name ${JSON.stringify(project)}`)
  if (!Number.isSafeInteger(release) || release < 1) throw unsafe(`release number ${release}`)
  return [project, `${release}${suffix}`]
}

/** The parts of a relative path. @throws CratewrightError UnsafePath */
export function pathParts(path: string): string[] {
  const parts = path.split('/')
  const bad = (part: string) => part === '' || part === '.' || part === '..' || Buffer.byteLength(part) > 255
  // Control characters and backslashes have no place in a bag's manifest.
  if (/[\0-\x1f\x7f\\]/.test(path) || !path.isWellFormed() || Buffer.byteLength(path) > 2048 || parts.some(bad)) {
    throw unsafe(`path ${JSON.stringify(path.slice(0, 200))}`)
  }
  return parts
}

/** The folder's path; undefined where it is absent. @throws CratewrightError UnsafePath, where a part of it is no folder */
export async function existingFolder(root: string, parts: readonly string[]): Promise<string | undefined> {
  let path = root
  for (const part of parts) {
    path = join(path, part)
    const state = await stateOf(path)
    if (state === 'absent') return undefined
    if (state !== 'folder') throw unsafe(`${path} is no folder`)
  }
  return path
}

/** As existingFolder; what is absent is made (mode 0750), and on disk afterwards. */
export async function makeFolder(root: string, parts: readonly string[]): Promise<string> {
  let path = root
  for (const part of parts) {
    const parent = path
    path = join(path, part)
    const state = await stateOf(path)
    if (state === 'other') throw unsafe(`${path} is no folder`)
    if (state === 'folder') continue
    await mkdir(path, { mode: folderMode }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw storeError(error, `making ${path}`)
    })
    await syncFolder(parent)
  }
  return path
}

/** What lies there, the last link not followed. */
export async function stateOf(path: string): Promise<'absent' | 'folder' | 'other'> {
  try {
    return (await lstat(path)).isDirectory() ? 'folder' : 'other'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent'
    throw storeError(error, `looking at ${path}`)
  }
}

/**
 * A regular file, opened for reading; undefined where absent. Neither a link put in its place nor a FIFO is followed or
 * waited for. @throws CratewrightError UnsafePath, StoreFailed
 */
export async function openRegular(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    // ELOOP: a symbolic link. ENXIO: a socket.
    if (code === 'ELOOP' || code === 'ENXIO') throw unsafe(`${path} is no regular file`)
    throw storeError(error, `opening ${path}`)
  }
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw unsafe(`${path} is no regular file`)
}

export interface Tree {
  /** Paths relative to the folder, sorted by their bytes. */
  readonly files: readonly { readonly path: string; readonly size: number }[]
  /** Relative, each after the folder that holds it; the first is ''. */
  readonly folders: readonly string[]
}

/** @throws CratewrightError UnsafePath for anything that is neither folder nor regular file; TreeTooLarge; StoreFailed */
export async function walk(root: string): Promise<Tree> {
  const files: { path: string; size: number }[] = []
  const folders = ['']
  // The list grows while it is gone through.
  for (const folder of folders) {
    for (const entry of await entriesOf(join(root, folder))) {
      const name = entry.toString()
      const path = folder === '' ? name : `${folder}/${name}`
      if (!isUtf8(entry)) throw unsafe(`a name in ${join(root, folder)} is not UTF-8`)
      const stats = await lstat(join(root, path)).catch(error => {
        throw storeError(error, `looking at ${path}`)
      })
      if (stats.isDirectory()) folders.push(path)
      else if (stats.isFile()) files.push({ path, size: stats.size })
      else throw unsafe(`${join(root, path)} is no regular file`)
      if (files.length + folders.length > maxFiles) {
        throw new CratewrightError('TreeTooLarge', `${root} holds more than ${maxFiles} files`)
      }
    }
  }
  files.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
  return { files, folders }
}

export async function namesIn(folder: string): Promise<string[]> {
  return (await entriesOf(folder)).map(entry => entry.toString())
}

async function entriesOf(folder: string): Promise<Buffer[]> {
  return readdir(folder, { encoding: 'buffer' }).catch(error => {
    throw storeError(error, `listing ${folder}`)
  })
}

/** A name is on disk only when its folder is. */
export async function syncFolder(path: string): Promise<void> {
  try {
    await using handle = await open(path, 'r')
    await handle.sync()
  } catch (error) {
    throw storeError(error, `syncing ${path}`)
  }
}

export function unsafe(what: string): CratewrightError {
  return new CratewrightError('UnsafePath', `not allowed in a file store: ${what}`)
}
