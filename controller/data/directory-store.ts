/** Releases in two folders of a file system. The roots are an admin's; everything below staging is taken for hostile. */

import { createHash, randomBytes } from 'node:crypto'
import { realpathSync, statSync } from 'node:fs'
import { chmod, rename } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import { removeLeftovers, writeFileWhole } from '../runtime/files.ts'
import { chunksOf, moveRelease, remove } from './directory-publish.ts'
import type { FileStore, ReleaseKey, StoredFile } from './store.ts'
import { storeError } from './store-error.ts'
import {
  existingFolder,
  makeFolder,
  namesIn,
  openRegular,
  pathParts,
  releaseParts,
  stateOf,
  syncFolder,
  unsafe,
  walk,
} from './store-paths.ts'

/** In a project's staging folder: whose it is. */
const ownerFile = 'owner'
/** In production, mode 0700: what was released and may no longer be read. No project can have this name. */
const revokedFolder = '.revoked'
/** In staging: what the controller notes for itself. No project can have this name. */
const notesFolder = '.cratewright'
/** Bytes of a note. */
const maxNote = 65_536
const suffixes = { bag: '', review: '.review', work: '.work' } as const
/** Milliseconds after which a half-written file is nobody's, in a folder that other controllers write to as well. */
const staleAfter = 60_000
/** Bytes of a file that is read into memory. */
const maxRead = 67_108_864

/** @throws CratewrightError StoreInvalid: a root is absent or no folder, or the two are not apart */
export function openDirectoryStore(roots: { readonly staging: string; readonly production: string }): FileStore {
  const staging = rootOf(roots.staging, 'staging')
  const production = rootOf(roots.production, 'production')
  const same = statSync(staging).ino === statSync(production).ino && statSync(staging).dev === statSync(production).dev
  if (same || within(staging, production) || within(production, staging)) {
    throw new CratewrightError('StoreInvalid', `staging ${staging} and production ${production} overlap`)
  }
  const at = { staging, production }

  /** The folder where a file of `path` lies in staging, and its name; undefined where the folder is absent. */
  async function placeOf(key: ReleaseKey, area: keyof typeof suffixes, path: string): Promise<string | undefined> {
    const parts = [...releaseParts(key, suffixes[area]), ...pathParts(path)]
    const folder = await existingFolder(staging, parts.slice(0, -1))
    return folder && join(folder, parts.at(-1)!)
  }

  /** As placeOf, with its folder made. */
  async function makePlace(key: ReleaseKey, area: keyof typeof suffixes, path: string): Promise<string> {
    const parts = [...releaseParts(key, suffixes[area]), ...pathParts(path)]
    const file = join(await makeFolder(staging, parts.slice(0, -1)), parts.at(-1)!)
    if ((await stateOf(file)) === 'folder') throw unsafe(`${file} is a folder`)
    return file
  }

  return {
    async claim(project, owner) {
      const [name] = releaseParts({ project, release: 1 })
      const file = join(await makeFolder(staging, [name]), ownerFile)
      await using present = await openRegular(file)
      const found = present ? (await present.readFile('utf8')).trim() : ''
      if (found === owner) return
      if (found !== '') throw new CratewrightError('StorePathTaken', `the folders of ${name} are taken by ${found}`)
      try {
        await removeLeftovers(dirname(file))
        await writeFileWhole(file, `${owner}\n`, 0o640)
      } catch (error) {
        throw storeError(error, `claiming the folders of ${name}`)
      }
    },

    prepare: (key, path) => makePlace(key, 'bag', path),

    async write(key, area, path, content) {
      const file = await makePlace(key, area, path)
      try {
        // In a bag, what a killed write has left would be taken for part of the release.
        await removeLeftovers(dirname(file))
        // A link in the file's place is replaced, not followed: rename(2).
        await writeFileWhole(file, content, 0o640)
      } catch (error) {
        throw storeError(error, `writing ${path}`)
      }
    },

    async read(key, area, path) {
      const place = await placeOf(key, area, path)
      await using file = place === undefined ? undefined : await openRegular(place)
      if (!file) return undefined
      if ((await file.stat()).size > maxRead) {
        throw new CratewrightError('DocumentTooLarge', `${path} has more than ${maxRead} bytes`)
      }
      return await file.readFile().catch(error => {
        throw storeError(error, `reading ${path}`)
      })
    },

    async list(key, where) {
      const folder = await existingFolder(at[where], releaseParts(key))
      return folder === undefined ? undefined : (await walk(folder)).files
    },

    async hash(key, where, paths, signal, onProgress) {
      const stored: StoredFile[] = []
      let done = 0
      for (const path of paths) {
        const parts = [...releaseParts(key), ...pathParts(path)]
        const folder = await existingFolder(at[where], parts.slice(0, -1))
        await using file = folder === undefined ? undefined : await openRegular(join(folder, parts.at(-1)!))
        if (!file) throw new CratewrightError('StagedDataChanged', `${path} is gone`)
        const hash = createHash('sha512')
        let size = 0
        for await (const chunk of chunksOf(file, signal)) {
          hash.update(chunk)
          size += chunk.length
          done += chunk.length
          onProgress?.(done)
        }
        stored.push({ path, size, sha512: hash.digest('hex') })
      }
      return stored
    },

    async publish(key, manifestSha512, signal) {
      const [project, release] = releaseParts(key)
      // Checked part by part, so that no link leads elsewhere; absent only where nothing was ever staged.
      const from = (await existingFolder(staging, [project])) ?? join(staging, project)
      const to = await makeFolder(production, [project])
      await moveRelease({ staged: join(from, release), target: join(to, release), manifestSha512 }, signal)
      await remove(join(from, `${release}${suffixes.work}`))
    },

    async discard(key) {
      const [project] = releaseParts(key)
      const folder = await existingFolder(staging, [project])
      if (folder === undefined) return
      for (const suffix of Object.values(suffixes)) await remove(join(folder, releaseParts(key, suffix)[1]))
    },

    async revoke(key) {
      const [project, release] = releaseParts(key)
      const folder = await existingFolder(production, [project])
      if (folder === undefined || (await stateOf(join(folder, release))) === 'absent')
        return (await revokedOf(production, key)).names.length > 0
      await moveAway(join(folder, release), production, key)
      await syncFolder(folder)
      return true
    },

    async destroy(key) {
      const { folders, names } = await revokedOf(production, key)
      if (folders.length === 0)
        throw new CratewrightError(
          'StoreFailed',
          `${join(production, revokedFolder)} holds nothing of ${key.project}`,
          {
            todo: 'Check that the store is mounted.',
          },
        )
      for (const name of names) await remove(name)
    },

    async readNote(path) {
      const parts = [notesFolder, ...pathParts(path)]
      const folder = await existingFolder(staging, parts.slice(0, -1))
      await using file = folder === undefined ? undefined : await openRegular(join(folder, parts.at(-1)!))
      if (!file || (await file.stat()).size > maxNote) return undefined
      return await file.readFile().catch(error => {
        throw storeError(error, `reading ${path}`)
      })
    },

    async writeNote(path, content) {
      const parts = [notesFolder, ...pathParts(path)]
      const folder = await makeFolder(staging, parts.slice(0, -1))
      try {
        await removeLeftovers(folder, staleAfter)
        await writeFileWhole(join(folder, parts.at(-1)!), content, 0o640)
      } catch (error) {
        throw storeError(error, `writing ${path}`)
      }
    },

    location: (key, where) => join(at[where], ...releaseParts(key)),
  }
}

/** Where revoked releases of a project lie, and which of it are this one. */
async function revokedOf(production: string, key: ReleaseKey): Promise<{ folders: string[]; names: string[] }> {
  const [project, release] = releaseParts(key)
  const folders: string[] = []
  const names: string[] = []
  for (const parts of [[revokedFolder], [project, revokedFolder]]) {
    const folder = await existingFolder(production, [...parts, project])
    if (folder === undefined) continue
    folders.push(folder)
    for (const name of await namesIn(folder))
      if (name === release || name.startsWith(`${release}.`)) names.push(join(folder, name))
  }
  return { folders, names }
}

/** To a place with a name of its own: what lies there from before is not mixed with it. */
async function moveAway(from: string, production: string, key: ReleaseKey): Promise<void> {
  const [project, release] = releaseParts(key)
  const to = async (root: string) => {
    const folder = await makeFolder(root, [revokedFolder, project])
    await chmod(join(root, revokedFolder), 0o700)
    const taken = (await stateOf(join(folder, release))) !== 'absent'
    return join(folder, taken ? `${release}.${randomBytes(4).toString('hex')}` : release)
  }
  try {
    try {
      await rename(from, await to(production))
    } catch (error) {
      // A project's folder that is a file system of its own: what is taken away stays on it.
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
      await rename(from, await to(dirname(from)))
    }
  } catch (error) {
    throw storeError(error, `taking ${from} out of production`)
  }
}

function rootOf(path: string, name: string): string {
  try {
    if (!isAbsolute(path)) throw new CratewrightError('StoreInvalid', `${name} is no absolute path: ${path}`)
    const real = realpathSync(path)
    if (!statSync(real).isDirectory()) throw new CratewrightError('StoreInvalid', `${name} is no folder: ${path}`)
    return real
  } catch (error) {
    if (error instanceof CratewrightError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new CratewrightError('StoreInvalid', `${name} ${path} cannot be used: ${code}`, { cause: error })
  }
}

function within(outer: string, inner: string): boolean {
  const path = relative(outer, inner)
  return path !== '..' && !path.startsWith('../') && !isAbsolute(path)
}
