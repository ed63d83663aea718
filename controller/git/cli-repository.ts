/** The `git` command as the engine behind GitRepository: plumbing only, on a bare mirror, never a checkout. */

import { createHash, randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import type { RunResult } from '../runtime/process.ts'
import { checkSignature, makeCommit, parseCommit } from './commit-object.ts'
import { GitCommand, type GitCommandOptions } from './git-command.ts'
import { visible } from './git-failure.ts'
import { Mirror, type ObjectFormat } from './mirror.ts'
import { checkPath } from './paths.ts'
import { normaliseUrl } from './remote-url.ts'
import type { Commit, CommitSignature, FileChange, GitRepository, Oid, TreeEntry } from './repository.ts'
import { parseListing, parseTree } from './tree-object.ts'

export interface RepositoryOptions extends Omit<GitCommandOptions, 'folder'> {
  /**
   * Holds a folder for each URL, for one opening of that URL at a time: who opens it twice (with another credential for
   * writing, say) gives each a mirrorFolder of its own, else one removes the other's unfinished files as leftovers.
   */
  readonly mirrorFolder: string
}

type CommitInput = Parameters<GitRepository['commit']>[0]
type HistoryQuery = Parameters<GitRepository['history']>[0]

interface ObjectInfo {
  readonly type: string
  readonly size: number
}

/** Bytes of contents that one call may bring into memory, of one commit object, and of one tree object. */
const maxContents = 256 * 1024 * 1024
const maxCommit = 1024 * 1024
const maxTree = 16 * 1024 * 1024

/** Opens nothing yet: the mirror is made when it is first needed. @throws DocumentInvalid, HostNotAllowed for the URL */
export function openRepository({ mirrorFolder, ...options }: RepositoryOptions): GitRepository {
  const url = normaliseUrl(options.url, options.transports)
  const folder = join(mirrorFolder, `${createHash('sha256').update(url).digest('hex').slice(0, 32)}.git`)
  const git = new GitCommand({ ...options, url, folder })
  return new CliRepository(url, new Mirror(git, folder, url))
}

class CliRepository implements GitRepository {
  readonly url: string
  readonly #mirror: Mirror
  readonly #git: GitCommand

  constructor(url: string, mirror: Mirror) {
    this.url = url
    this.#mirror = mirror
    this.#git = mirror.git
  }

  async resolve(ref: string, signal: AbortSignal): Promise<Oid | undefined> {
    checkRef(ref)
    // Only with one of these does ls-remote send a prefix, so that a forge with 100,000 pull refs answers with 500 bytes.
    const prefix = /^refs\/(heads|tags)\//.exec(ref)?.[1]
    const args = ['ls-remote', ...(prefix ? [`--${prefix}`] : []), this.url, ref, `${ref}^{}`]
    const { stdout } = await this.#git.remoteOrFail(args, { signal })
    const found = new Map<string, Oid>()
    for (const line of stdout.toString().split('\n')) {
      const [oid = '', name = ''] = line.split('\t')
      found.set(name, oid)
    }
    return found.get(`${ref}^{}`) ?? found.get(ref)
  }

  async fetch(ref: string, oid: Oid, signal: AbortSignal): Promise<void> {
    checkRef(ref)
    checkOids([oid])
    await this.#mirror.made(signal, oid)
    await this.#mirror.repairing(signal, () => this.#mirror.fetchCommit(ref, oid, signal))
  }

  async list(commit: Oid, path: string, signal: AbortSignal): Promise<readonly TreeEntry[]> {
    if (path !== '') checkPath(path)
    return await this.#reading([commit], signal, async () => {
      const args = ['ls-tree', '-r', '-z', '--full-tree', commit, ...(path === '' ? [] : ['--', path])]
      const entries = parseListing(await this.#git.localOrFail(args, { signal }))
      const blobs = entries.filter(({ mode }) => mode !== '160000').map(({ oid }) => oid)
      const infos = await this.#infos(blobs, signal)
      return entries
        .filter(entry => path === '' || entry.path.startsWith(`${path}/`))
        .map(entry => ({ ...entry, size: infos.get(entry.oid)?.size }))
    })
  }

  async ids(at: readonly { commit: Oid; path: string }[], signal: AbortSignal): Promise<readonly (Oid | undefined)[]> {
    const commits = [...new Set(at.map(({ commit }) => commit))]
    for (const { path } of at) if (path !== '') checkPath(path)
    return await this.#reading(commits, signal, async () => {
      const roots = new Map<Oid, Oid>()
      const rootNames = commits.map(commit => `${commit}^{tree}`)
      for (const [index, root] of (await this.#treeIds(rootNames, signal)).entries()) {
        if (root === undefined) throw noObject(commits[index]!)
        roots.set(commits[index]!, root)
      }
      // By the folder that holds it: git tells the id of a blob only where it has the blob.
      const folderNames = at.map(({ commit, path }) => `${commit}:${folderOf(path)}`)
      const folders = await this.#treeIds(folderNames, signal)
      const present = folders.filter(id => id !== undefined)
      const contents = await this.#contents(present, 'tree', maxTree, signal)
      const trees = new Map([...contents].map(([id, content]) => [id, parseTree(id, content)]))
      return at.map(({ commit, path }, index) => {
        if (path === '') return roots.get(commit)
        return trees.get(folders[index] ?? '')?.get(path.slice(path.lastIndexOf('/') + 1))
      })
    })
  }

  async read(blobs: readonly Oid[], maxBytes: number, signal: AbortSignal): Promise<ReadonlyMap<Oid, Uint8Array>> {
    return await this.#reading(blobs, signal, async () => {
      const known = await this.#infos(blobs, signal)
      if (blobs.some(oid => !known.has(oid))) {
        await this.#mirror.exclusive(signal, async () => {
          const here = await this.#infos(blobs, signal)
          const missing = [...new Set(blobs)].filter(oid => !here.has(oid))
          if (missing.length > 0) await this.#mirror.fetchBlobs(missing, signal)
        })
      }
      return await this.#contents(blobs, 'blob', maxBytes, signal)
    })
  }

  async history(query: HistoryQuery, signal: AbortSignal): Promise<readonly Commit[]> {
    const { tip, since, paths, firstParent, limit } = query
    for (const path of paths ?? []) if (path !== '') checkPath(path)
    if (paths?.length === 0) return []
    return await this.#reading(since === undefined ? [tip] : [tip, since], signal, async () => {
      const args = ['rev-list', '--topo-order', '--full-history']
      if (firstParent) args.push('--first-parent')
      if (limit !== undefined) args.push(`--max-count=${limit}`)
      args.push(tip)
      if (since !== undefined) args.push(`^${since}`)
      args.push('--', ...(paths ?? []).map(path => path || '.'))
      const oids = (await this.#git.localOrFail(args, { signal })).toString().split('\n').slice(0, -1)
      const contents = await this.#contents(oids, 'commit', maxCommit, signal)
      return oids.map(oid => parseCommit(oid, contents.get(oid)!))
    })
  }

  async isAncestor(ancestor: Oid, descendant: Oid, signal: AbortSignal): Promise<boolean> {
    return await this.#reading([ancestor, descendant], signal, async () => {
      const result = await this.#git.local(['merge-base', '--is-ancestor', ancestor, descendant], { signal })
      if (result.code > 1) throw this.#git.failure('merge-base', result)
      return result.code === 0
    })
  }

  async signatures(commits: readonly Oid[], signal: AbortSignal): Promise<readonly CommitSignature[]> {
    return await this.#reading(commits, signal, async () => {
      const contents = await this.#contents(commits, 'commit', maxCommit, signal)
      return commits.map(oid => checkSignature(oid, contents.get(oid)!))
    })
  }

  async commit(input: CommitInput, signal: AbortSignal): Promise<Oid> {
    const { parent, files } = input
    for (const { path } of files) checkPath(path)
    if (parent !== undefined) checkOids([parent])
    const format = await this.#mirror.made(signal)
    return await this.#mirror.repairing(signal, () =>
      this.#mirror.exclusive(signal, async () => {
        const tree = await this.#writeTree(parent, files, format, signal)
        if (parent !== undefined) {
          const before = await this.#git.localOrFail(['rev-parse', '--verify', `${parent}^{tree}`], { signal })
          if (before.toString().trim() === tree) return parent
        }
        const args = ['hash-object', '-t', 'commit', '-w', '--stdin']
        const written = await this.#git.localOrFail(args, { signal, input: makeCommit({ ...input, tree }) })
        return written.toString().trim()
      }),
    )
  }

  async push(ref: string, expected: Oid | undefined, next: Oid, signal: AbortSignal): Promise<'pushed' | 'moved'> {
    checkRef(ref)
    checkOids(expected === undefined ? [next] : [next, expected])
    if (expected !== undefined && !(await this.isAncestor(expected, next, signal))) {
      throw new CratewrightError('GitFailed', `${next} does not come after ${expected}: pushing it would drop commits`)
    }
    return await this.#mirror.exclusive(signal, async () => {
      const lease = `--force-with-lease=${ref}:${expected ?? ''}`
      const result = await this.#git.remote(['push', '--porcelain', lease, 'origin', `${next}:${ref}`], { signal })
      const outcome = this.#pushOutcome(ref, result)
      if (outcome === 'pushed') await this.#mirror.setTip(ref, next, signal)
      return outcome
    })
  }

  /** One line for the ref: flag, `from:to`, summary and reason in parentheses (`git help push`, OUTPUT). */
  #pushOutcome(ref: string, result: RunResult): 'pushed' | 'moved' {
    const line = result.stdout
      .toString()
      .split('\n')
      .find(text => text.split('\t')[1]?.endsWith(`:${ref}`))
    if (line === undefined) {
      const failure = this.#git.failure('push', result)
      throw failure.code === 'GitDenied' ? new CratewrightError('WriteBackBlocked', failure.message) : failure
    }
    // `=`: someone else brought it there, so the ref was not where it was expected.
    if (line.startsWith('=')) return 'moved'
    if (!line.startsWith('!')) return 'pushed'
    const [, , summary = ''] = line.split('\t')
    const lostRace =
      /stale info|fetch first|non-fast-forward|reference already exists|cannot lock ref|incorrect old value/
    // A server names the lost race in its reason, or only beside it: "failed to update ref".
    if (lostRace.test(summary)) return 'moved'
    if (/failed to update ref/.test(summary) && lostRace.test(result.stderr)) return 'moved'
    throw new CratewrightError('WriteBackBlocked', `the server refused the push to ${ref}: ${visible(summary)}`)
  }

  /** Checks the ids, and reads from a mirror that is open, and whole in the end. */
  async #reading<T>(oids: readonly Oid[], signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    checkOids(oids)
    await this.#mirror.opened(signal)
    return await this.#mirror.repairing(signal, work)
  }

  /** Ids of the trees that these names stand for; undefined for what is none. */
  async #treeIds(names: readonly string[], signal: AbortSignal): Promise<(Oid | undefined)[]> {
    const output = await this.#git.localOrFail(['cat-file', '--batch-check'], { signal, input: lines(names) })
    const answers = output.toString().split('\n')
    return names.map((_, index) => /^([0-9a-f]+) tree \d+$/.exec(answers[index]!)?.[1])
  }

  /** Types and sizes of the objects that are here. */
  async #infos(oids: readonly Oid[], signal: AbortSignal): Promise<Map<Oid, ObjectInfo>> {
    const infos = new Map<Oid, ObjectInfo>()
    if (oids.length === 0) return infos
    const input = lines([...new Set(oids)])
    for (const line of (await this.#git.localOrFail(['cat-file', '--batch-check'], { signal, input }))
      .toString()
      .split('\n')) {
      const [oid = '', type = '', size] = line.split(' ')
      if (size !== undefined) infos.set(oid, { type, size: Number(size) })
    }
    return infos
  }

  async #contents(
    oids: readonly Oid[],
    type: string,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<Map<Oid, Buffer>> {
    const unique = [...new Set(oids)]
    const infos = await this.#infos(unique, signal)
    let total = 0
    for (const oid of unique) {
      const info = infos.get(oid)
      if (info?.type !== type) throw noObject(oid, type)
      if (info.size > maxBytes) {
        throw new CratewrightError(
          'DocumentTooLarge',
          `${type} ${oid} has ${info.size} bytes, over the ${maxBytes} allowed`,
        )
      }
      total += info.size
    }
    if (total > maxContents) {
      throw new CratewrightError(
        'TreeTooLarge',
        `${unique.length} objects with ${total} bytes are too much for one read`,
      )
    }
    const contents = new Map<Oid, Buffer>()
    if (unique.length === 0) return contents
    // Each content stands between a line of at most 100 bytes and a line end.
    const options = { signal, input: lines(unique), maxOutput: total + unique.length * 101 }
    const output = await this.#git.localOrFail(['cat-file', '--batch'], options)
    let at = 0
    for (const oid of unique) {
      const start = output.indexOf(0x0a, at) + 1
      at = start + infos.get(oid)!.size
      contents.set(oid, output.subarray(start, at))
      at += 1
    }
    return contents
  }

  async #writeTree(parent: Oid | undefined, files: readonly FileChange[], format: ObjectFormat, signal: AbortSignal) {
    const index = join(this.#mirror.folder, `index-${randomUUID()}`)
    const options = { signal, env: { GIT_INDEX_FILE: index } }
    const nothing = '0'.repeat(format === 'sha256' ? 64 : 40)
    const removed = files.filter(({ content }) => content === undefined)
    const written = files.filter(({ content }) => content !== undefined)
    try {
      await this.#git.localOrFail(['read-tree', ...(parent === undefined ? ['--empty'] : [parent])], options)
      await this.#writeBlobs(written, signal)
      const entry = ({ path, content }: FileChange) =>
        content ? `100644 ${blobId(content, format)}\t${path}\0` : `0 ${nothing}\t${path}\0`
      const input = Buffer.from([...removed, ...written].map(entry).join(''))
      const update = await this.#git.local(['update-index', '-z', '--index-info'], { ...options, input })
      if (update.code !== 0) throw this.#git.failure('update-index', update)
      // A path that git takes for `.git` on some file system is left out, and the exit code is 0.
      if (/^Ignoring path/m.test(update.stderr)) throw new CratewrightError('UnsafePath', visible(update.stderr))
      if (parent !== undefined) await this.#checkRemoved(parent, new Set(removed.map(({ path }) => path)), options)
      return (await this.#git.localOrFail(['write-tree', '--missing-ok'], options)).toString().trim()
    } finally {
      await rm(index, { force: true })
    }
  }

  /** A file written where a folder is would take the whole folder away, and one below a file that file. */
  async #checkRemoved(
    parent: Oid,
    asked: ReadonlySet<string>,
    options: { readonly signal: AbortSignal; readonly env: Readonly<Record<string, string>> },
  ): Promise<void> {
    const args = ['diff-index', '--cached', '--no-renames', '--diff-filter=D', '--name-only', '-z', parent]
    const gone = (await this.#git.localOrFail(args, options)).toString().split('\0').slice(0, -1)
    const wrong = gone.find(path => !asked.has(path))
    if (wrong === undefined) return
    throw new CratewrightError(
      'UnsafePath',
      `writing these files would remove ${JSON.stringify(wrong)}, which is not among them`,
    )
  }

  /** All blobs in one process; their ids are known without it. */
  async #writeBlobs(files: readonly FileChange[], signal: AbortSignal): Promise<void> {
    const contents = files.flatMap(({ content }) => content ?? [])
    if (contents.length === 0) return
    async function* input() {
      for (const content of contents) {
        yield Buffer.from(`blob\ndata ${content.length}\n`)
        yield content
        yield Buffer.from('\n')
      }
      yield Buffer.from('done\n')
    }
    await this.#git.localOrFail(['fast-import', '--quiet', '--done'], { signal, input: input() })
  }
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function blobId(content: Uint8Array, format: ObjectFormat): Oid {
  return createHash(format).update(`blob ${content.length}\0`).update(content).digest('hex')
}

function lines(words: readonly string[]): Buffer {
  return Buffer.from(words.map(word => `${word}\n`).join(''))
}

function noObject(oid: Oid, type = 'commit'): CratewrightError {
  return new CratewrightError('GitObjectMissing', `there is no ${type} ${oid} here`)
}

function checkOids(oids: readonly Oid[]): void {
  const bad = oids.find(oid => !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(oid))
  if (bad !== undefined) throw new CratewrightError('GitObjectMissing', `${JSON.stringify(bad)} is no object id`)
}

/** The rules of git-check-ref-format(1), for full names only. */
function checkRef(ref: string): void {
  const bad = /[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|[/.]$/.test(ref) || !ref.isWellFormed()
  // HEAD is what a person's own clone has checked out.
  if (ref !== 'HEAD' && (bad || !ref.startsWith('refs/'))) {
    throw new CratewrightError(
      'GitRefMissing',
      `${JSON.stringify(ref)} is not the full name of a ref, as refs/heads/main is`,
    )
  }
}
