/**
 * Where the tip of a records branch is remembered: in the working folder, and in every directory store that can be used, so
 * that a working folder which was lost, or came back from an old backup, does not make the controller forget.
 */

import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FileStoreSpec } from '../../schemas/generated/types.ts'
import type { FileStore } from '../data/store.ts'
import type { Store } from '../engine/store/store.ts'
import { fileStoreType } from '../kinds/types.ts'
import type { RecordsMemory, Remembered } from '../records/memory.ts'
import { asCratewrightError } from '../runtime/errors.ts'
import { writeFileWhole } from '../runtime/files.ts'
import type { Log } from '../runtime/log.ts'
import { openStore, readIfThere } from './rooms.ts'

export interface NamedStore {
  readonly name: string
  open(): Promise<FileStore>
}

export interface TipsRoom {
  /** The working folder. */
  readonly folder: string
  /** The name of the Repository. */
  readonly repository: string
  /** Stores that are declared now. */
  readonly stores: () => readonly NamedStore[]
  readonly log: Log
}

/** Bytes of a note; anything longer is none of ours. */
const maxNote = 4096

export function recordsMemory({ folder, repository, stores, log }: TipsRoom): RecordsMemory {
  const path = join(folder, 'tips', `${repository}.json`)
  const note = `tips/${repository}.json`
  const unusable = new Set<string>()

  /** A store that cannot be used is skipped: it is a second memory, not the first. Said once, until it can be used again. */
  async function withEach<T>(work: (store: FileStore) => Promise<T>): Promise<T[]> {
    const results: T[] = []
    for (const { name, open } of stores()) {
      try {
        results.push(await work(await open()))
        unusable.delete(name)
      } catch (error) {
        const { code, message } = asCratewrightError(error)
        if (!unusable.has(name))
          log.warn('a store cannot remember the tip of the records', { store: name, repository, code, error: message })
        unusable.add(name)
      }
    }
    return results
  }

  return {
    read: async () => {
      const own = parse(await readIfThere(path))
      const notes = await withEach(store => store.readNote(note))
      const others = notes.map(found =>
        parse(found && found.byteLength <= maxNote ? Buffer.from(found).toString() : ''),
      )
      return { own, others: others.filter(one => one !== undefined) }
    },
    write: async remembered => {
      const text = `${JSON.stringify(remembered)}\n`
      await mkdir(dirname(path), { recursive: true })
      await writeFileWhole(path, text, 0o600)
      await withEach(store => store.writeNote(note, Buffer.from(text)))
    },
  }
}

/** Stores of a kind that is there; whether they can be used shows when they are. */
export function usableStores(store: Pick<Store, 'snapshot'>): NamedStore[] {
  return store
    .snapshot()
    .list<FileStoreSpec>(fileStoreType)
    .filter(({ spec, problems }) => spec.type === 'directory' && problems.every(({ severity }) => severity !== 'error'))
    .map(resource => ({ name: resource.name, open: () => openStore(resource) }))
}

/** What is no note of ours is as good as none. */
function parse(text: string): Remembered | undefined {
  try {
    const { tip, accepted, trust } = JSON.parse(text) as Record<string, unknown>
    if (!isOid(tip)) return undefined
    return { tip, ...(isOid(accepted) ? { accepted } : {}), ...(typeof trust === 'string' ? { trust } : {}) }
  } catch {
    return undefined
  }
}

function isOid(value: unknown): value is string {
  return typeof value === 'string' && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(value)
}
