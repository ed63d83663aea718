/**
 * The bare, blob-less mirror of one remote repository: made when first needed, one writer at a time, cleared of what a
 * killed git left, and made again where it is damaged. Nothing in it is worth keeping: the server has it all.
 */

import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import type { GitCommand } from './git-command.ts'
import { MirrorDamaged } from './git-failure.ts'
import type { Oid } from './repository.ts'

export type ObjectFormat = 'sha1' | 'sha256'

/** Every fetch leaves a pack, and git looks through all of them for each object. */
const maxPacks = 50

const fetchOptions = [
  '--quiet',
  '--no-tags',
  '--no-write-fetch-head',
  '--no-auto-maintenance',
  '--no-recurse-submodules',
  // A server that has no filters says so in a warning and sends everything.
  '--filter=blob:none',
]

/** Milliseconds between two looks at what a fetch of blobs has brought, and bytes that a pack may have beside its contents. */
const watchMs = 50
const packSlack = 1024 * 1024

/** What git leaves behind where it is killed, and our own temporary index files. */
const leftover = /\.lock$|^tmp_|^incoming-|^index-|^fast_import_crash_/

export class Mirror {
  readonly git: GitCommand
  readonly folder: string
  readonly #url: string
  #format: ObjectFormat | undefined
  #writing: Promise<void> = Promise.resolve()
  /** How often the mirror was made again, so that of several who find it damaged only one does so. */
  #generation = 0
  readonly #fetched = new Map<string, Oid>()

  constructor(git: GitCommand, folder: string, url: string) {
    this.git = git
    this.folder = folder
    this.#url = url
  }

  /** Runs `work` when no other writer does. */
  async exclusive<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#writing
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#writing = promise
    try {
      await orAborted(before, signal)
      return await work()
    } finally {
      void before.then(resolve)
    }
  }

  /** Runs `work`; where it finds the mirror damaged, once more on a new one. */
  async repairing<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const generation = this.#generation
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof MirrorDamaged)) throw error
    }
    await this.exclusive(signal, async () => {
      if (generation === this.#generation) await this.#makeAgain(signal)
    })
    return await work()
  }

  /** The mirror as earlier fetches left it. @throws GitObjectMissing where there were none */
  async opened(signal: AbortSignal): Promise<ObjectFormat> {
    if (this.#format === undefined) await this.exclusive(signal, () => this.#open(signal))
    if (this.#format === undefined) {
      throw new CratewrightError('GitObjectMissing', `nothing of ${this.#url} was fetched yet`)
    }
    return this.#format
  }

  /** Opens the mirror, and makes it where it is missing; for `oid` also where it has the other object format. */
  async made(signal: AbortSignal, oid?: Oid): Promise<ObjectFormat> {
    const wanted = oid === undefined ? undefined : formatOf(oid)
    if (this.#format === undefined || (wanted !== undefined && wanted !== this.#format)) {
      await this.exclusive(signal, async () => {
        if (this.#format === undefined) await this.#open(signal)
        if (this.#format !== undefined && (wanted === undefined || wanted === this.#format)) return
        await this.#make(wanted ?? (await this.#formatOfServer(signal)), signal)
      })
    }
    return this.#format!
  }

  async has(commit: Oid, signal: AbortSignal): Promise<boolean> {
    const [info] = await this.git.objects.infos([commit], signal)
    return info?.type === 'commit'
  }

  /** @throws GitObjectMissing where the server does not have the commit */
  async fetchCommit(ref: string, commit: Oid, signal: AbortSignal): Promise<void> {
    await this.exclusive(signal, async () => {
      if (!(await this.has(commit, signal))) await this.#fetchCommit(ref, commit, signal)
      this.#fetched.set(ref, commit)
    })
  }

  /**
   * Fetches blobs in one round trip. Only within `exclusive`. A server sends what is asked for by its id whatever its size, and
   * tells no sizes beforehand: what arrives is watched. @throws DocumentTooLarge: one of them has more than `maxBytes`
   */
  async fetchBlobs(blobs: readonly Oid[], maxBytes: number, signal: AbortSignal): Promise<void> {
    // No negotiation: the server is asked for these objects, whatever the mirror has (48 ms instead of 1.4 s for 40 blobs).
    const args = ['-c', 'fetch.negotiationAlgorithm=noop', 'fetch', ...fetchOptions, '--stdin', 'origin']
    const packs = join(this.folder, 'objects/pack')
    const most = blobs.length * maxBytes + packSlack
    const tooMuch = new AbortController()
    const watch = setInterval(async () => {
      if ((await bytesArriving(packs)) <= most) return
      const message = `more than ${most} bytes came for ${blobs.length} files of ${maxBytes} bytes at most`
      tooMuch.abort(new CratewrightError('DocumentTooLarge', message))
    }, watchMs)
    try {
      const input = Buffer.from(blobs.map(oid => `${oid}\n`).join(''))
      await this.git.remoteOrFail(args, { signal: AbortSignal.any([signal, tooMuch.signal]), input })
    } catch (error) {
      if (tooMuch.signal.aborted) await removeLeftovers(packs)
      throw error
    } finally {
      clearInterval(watch)
    }
    await this.#repack(signal)
  }

  /** Notes what the server has at a ref, so that the next fetch need not bring it. Only within `exclusive`. */
  async setTip(ref: string, commit: Oid, signal: AbortSignal): Promise<void> {
    await this.git.localOrFail(['update-ref', localRef(ref), commit], { signal })
    this.#fetched.set(ref, commit)
  }

  async #fetchCommit(ref: string, commit: Oid, signal: AbortSignal): Promise<void> {
    const fetch = (what: string) => this.git.remote(['fetch', ...fetchOptions, 'origin', what], { signal })
    const byRef = await fetch(`+${ref}:${localRef(ref)}`)
    if (byRef.code !== 0) {
      const failure = this.git.failure('fetch', byRef)
      if (failure.code !== 'GitRefMissing') throw failure
    }
    if (!(await this.has(commit, signal))) {
      // The ref has moved on, and not forwards. Servers of protocol v2 give any commit they have.
      const byId = await fetch(`+${commit}:${localRef(ref)}`)
      if (byId.code !== 0) throw this.git.failure('fetch', byId)
    }
    await this.#repack(signal)
  }

  async #repack(signal: AbortSignal): Promise<void> {
    const names = await readdir(join(this.folder, 'objects/pack'))
    if (names.filter(name => name.endsWith('.pack')).length <= maxPacks) return
    // With the promisor remote configured, blobs that were not fetched are no damage; nothing is asked of the server.
    const args = ['-c', 'repack.writeBitmaps=false', 'repack', '-a', '-d', '-q']
    await this.git.remoteOrFail(args, { signal })
  }

  async #open(signal: AbortSignal): Promise<void> {
    await this.git.check(signal)
    await mkdir(this.folder, { recursive: true })
    await removeLeftovers(this.folder)
    // The URL is what `#make` writes last: with it, the mirror is whole.
    const url = await this.git.local(['config', '--get', 'remote.origin.url'], { signal })
    if (url.stdout.toString().trimEnd() !== this.#url) return
    const format = await this.git.local(['rev-parse', '--show-object-format'], { signal })
    if (format.code === 0) this.#format = format.stdout.toString().trim() === 'sha256' ? 'sha256' : 'sha1'
  }

  async #make(format: ObjectFormat, signal: AbortSignal): Promise<void> {
    this.#format = undefined
    this.#generation += 1
    this.git.objects.reset()
    await rm(this.folder, { recursive: true, force: true })
    await mkdir(this.folder, { recursive: true })
    const init = ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, this.folder]
    await this.git.localOrFail(init, { signal })
    await this.git.localOrFail(['config', 'remote.origin.url', this.#url], { signal })
    this.#format = format
  }

  async #makeAgain(signal: AbortSignal): Promise<void> {
    const [known] = this.#fetched.values()
    const format = this.#format ?? (known === undefined ? await this.#formatOfServer(signal) : formatOf(known))
    await this.#make(format, signal)
    for (const [ref, commit] of this.#fetched) {
      try {
        if (formatOf(commit) === format) await this.#fetchCommit(ref, commit, signal)
      } catch (error) {
        if (!(error instanceof CratewrightError) || error.code !== 'GitObjectMissing') throw error
        this.#fetched.delete(ref)
      }
    }
  }

  /** An empty repository tells its format only in the capabilities of the protocol, which git shows only in its trace. */
  async #formatOfServer(signal: AbortSignal): Promise<ObjectFormat> {
    const env = { GIT_TRACE_PACKET: '1' }
    const { stdout, stderr } = await this.git.remoteOrFail(['ls-remote', '--heads', this.#url], { signal, env })
    if (stdout.length > 0) return formatOf(stdout.toString('latin1', 0, stdout.indexOf('\t')))
    return stderr.includes('object-format=sha256') ? 'sha256' : 'sha1'
  }
}

/** Our own namespace, one flat name a ref: a branch `a` that became `a/b` must not stop a fetch. */
function localRef(ref: string): string {
  return `refs/cratewright/${createHash('sha256').update(ref).digest('hex').slice(0, 32)}`
}

function formatOf(oid: Oid): ObjectFormat {
  return oid.length === 64 ? 'sha256' : 'sha1'
}

/** Bytes of packs that are not whole yet: index-pack names them so. */
async function bytesArriving(packs: string): Promise<number> {
  const names = (await readdir(packs).catch(() => [])).filter(name => name.startsWith('tmp_pack_'))
  // One that is whole by now has another name.
  const sizes = await Promise.all(
    names.map(name =>
      stat(join(packs, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

async function removeLeftovers(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (leftover.test(entry.name)) await rm(join(entry.parentPath, entry.name), { recursive: true, force: true })
  }
}

async function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
