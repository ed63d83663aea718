/** From staging to production: one rename, across file systems after a verified copy. Killed at any point, it goes on from there. */

import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import { storeError } from './store-error.ts'
import { openRegular, stateOf, syncFolder, walk } from './store-paths.ts'

const manifestName = 'manifest-sha512.txt'
const chunkSize = 1_048_576
/** Bytes; some 500 000 files. */
const maxManifest = 134_217_728

export interface Move {
  /** Folders of the release; that of `staged` may be absent, that of `target` must not hold another release. */
  readonly staged: string
  readonly target: string
  readonly manifestSha512: string
}

/** Both parents exist. @throws CratewrightError StorePathTaken, StagedDataChanged, UnsafePath, StoreFailed; the signal's reason */
export async function moveRelease({ staged, target, manifestSha512 }: Move, signal: AbortSignal): Promise<void> {
  const parent = join(target, '..')
  const name = target.slice(parent.length + 1)
  await removeCopies(parent, name)
  if ((await stateOf(target)) === 'absent') {
    if ((await stateOf(staged)) === 'absent') {
      throw new CratewrightError('StoreFailed', `nothing is staged at ${staged}`)
    }
    if ((await manifestDigest(staged)) !== manifestSha512) {
      throw new CratewrightError('StagedDataChanged', `${staged} does not hold the manifest that was closed`)
    }
    await syncTree(staged)
    signal.throwIfAborted()
    if (!(await renamed(staged, target))) {
      const copy = join(parent, `.${name}.${randomBytes(8).toString('hex')}.partial`)
      try {
        await copyRelease(staged, copy, manifestSha512, signal)
        await rename(copy, target)
      } catch (error) {
        await rm(copy, { recursive: true, force: true }).catch(() => undefined)
        throw storeError(error, `publishing to ${target}`)
      }
    }
    await syncFolder(parent)
  } else if ((await manifestDigest(target)) !== manifestSha512) {
    throw new CratewrightError('StorePathTaken', `${target} holds something else than this release`)
  }
  // Still there where it was copied, now or before a kill; in part, when the kill came while it was removed.
  await remove(staged)
}

export async function remove(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    throw storeError(error, `removing ${path}`)
  }
  const parent = join(path, '..')
  if ((await stateOf(parent)) === 'folder') await syncFolder(parent)
}

/** Reads a file in pieces, in one buffer: each piece is valid until the next. */
export async function* chunksOf(file: FileHandle, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(chunkSize)
  for (;;) {
    signal.throwIfAborted()
    const { bytesRead } = await file.read(buffer, 0, chunkSize).catch(error => {
      throw storeError(error, 'reading a file of the store')
    })
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}

/** False across file systems. */
async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EXDEV') return false
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') {
      throw new CratewrightError('StorePathTaken', `${to} appeared meanwhile`)
    }
    throw storeError(error, `publishing to ${to}`)
  }
}

/** SHA-512 of a bag's payload manifest; undefined where it has none. */
async function manifestDigest(bag: string): Promise<string | undefined> {
  if ((await stateOf(bag)) !== 'folder') return undefined
  await using file = await openRegular(join(bag, manifestName))
  if (!file) return undefined
  const hash = createHash('sha512')
  for await (const chunk of chunksOf(file, new AbortController().signal)) hash.update(chunk)
  return hash.digest('hex')
}

/** Copies of this release that a killed publish left. */
async function removeCopies(parent: string, name: string): Promise<void> {
  const own = new RegExp(`^\\.${name}\\.[0-9a-f]{16}\\.partial$`)
  const names = await readdir(parent).catch(error => {
    throw storeError(error, `listing ${parent}`)
  })
  for (const found of names) if (own.test(found)) await remove(join(parent, found))
}

async function syncTree(root: string): Promise<void> {
  const { files, folders } = await walk(root)
  for (const { path } of files) {
    await using file = await openRegular(join(root, path))
    await file?.sync().catch(error => {
      throw storeError(error, `syncing ${path}`)
    })
  }
  for (const folder of folders) await syncFolder(join(root, folder))
}

/** A file that came, went or changed since the caller looked is found here: what is copied is what is hashed. */
async function copyRelease(from: string, to: string, manifestSha512: string, signal: AbortSignal): Promise<void> {
  const expected = await readManifest(from, manifestSha512)
  const { files, folders } = await walk(from)
  for (const folder of folders) await mkdir(join(to, folder), { mode: 0o750 })
  for (const { path } of files) {
    const digest = await copyFile(join(from, path), join(to, path), signal)
    const right = path === manifestName ? manifestSha512 : expected.get(path)
    // Tag files are not in the payload manifest; the caller has judged them.
    if (right === undefined ? path.startsWith('data/') : digest !== right) throw changed(path)
    expected.delete(path)
  }
  for (const path of expected.keys()) throw changed(path)
  for (const folder of folders) await syncFolder(join(to, folder))
}

async function copyFile(from: string, to: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha512')
  await using source = await openRegular(from)
  if (!source) throw changed(from)
  await using target = await open(to, 'wx', 0o640)
  for await (const chunk of chunksOf(source, signal)) {
    hash.update(chunk)
    await target.writeFile(chunk)
  }
  await target.sync()
  return hash.digest('hex')
}

/** Path → digest. Lines as RFC 8493 §2.1.3: CR, LF and % in a path are percent-encoded. */
async function readManifest(bag: string, manifestSha512: string): Promise<Map<string, string>> {
  await using file = await openRegular(join(bag, manifestName))
  if (!file || (await file.stat()).size > maxManifest) throw changed(manifestName)
  const text = await file.readFile()
  if (createHash('sha512').update(text).digest('hex') !== manifestSha512) throw changed(manifestName)
  const entries = new Map<string, string>()
  for (const line of text.toString().split(/\r\n|\n|\r/)) {
    const match = /^([0-9a-f]{128})[ \t]+(.+)$/.exec(line)
    if (match) entries.set(decodePath(match[2]!), match[1]!)
    else if (line !== '') throw changed(manifestName)
  }
  return entries
}

function decodePath(path: string): string {
  return path.replace(/%(0A|0D|25)/gi, code => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
}

function changed(path: string): CratewrightError {
  return new CratewrightError('StagedDataChanged', `${path} is not what the manifest says`)
}
