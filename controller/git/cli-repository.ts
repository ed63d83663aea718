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
import { AnswerCache, ObjectCache } from './object-cache.ts'
import type { ObjectInfo } from './object-reader.ts'
import { checkPath, decodePath } from './paths.ts'
import { parseRemoteUrl, type Transport } from './remote-url.ts'
import type { Commit, CommitSignature, FileChange, GitRepository, Oid, TreeEntry } from './repository.ts'
import { listBelow, parseListing, parseTree, type TreeItem } from './tree-object.ts'

export interface RepositoryOptions extends Omit<GitCommandOptions, 'remote' | 'folder'> {
  /** Without a credential in it. */
  readonly url: string
  readonly transports: readonly Transport[]
  /**
   * Holds a folder for each URL, for one opening of that URL at a time: who opens it twice (with another credential for
   * writing, say) gives each a mirrorFolder of its own, else one removes the other's unfinished files as leftovers.
   */
  readonly mirrorFolder: string
}

type CommitInput = Parameters<GitRepository['commit']>[0]
type TouchedQuery = Parameters<GitRepository['touched']>[0]
type HistoryQuery = Parameters<GitRepository['history']>[0]

/** Bytes of contents that one call may bring into memory, of one commit object, and of one tree object. */
const maxContents = 256 * 1024 * 1024
const maxCommit = 1024 * 1024

/** Bytes of objects kept in memory, for each repository. */
const maxCached = 16 * 1024 * 1024
const maxAnswers = 5_000
const maxTree = 16 * 1024 * 1024

/** Opens nothing yet: the mirror is made when it is first needed. @throws DocumentInvalid, HostNotAllowed for the URL */
export function openRepository({ mirrorFolder, transports, ...options }: RepositoryOptions): GitRepository {
  const remote = parseRemoteUrl(options.url, transports)
  const { url } = remote
  const folder = join(mirrorFolder, `${createHash('sha256').update(url).digest('hex').slice(0, 32)}.git`)
  const git = new GitCommand({ ...options, remote, folder })
  return new CliRepository(url, new Mirror(git, folder, url))
}

/** On the way down to a path. */
interface Walk {
  /** Where it has come to; undefined: there is nothing. */
  readonly item: TreeItem | undefined
  readonly left: readonly string[]
  /** There is a name twice. */
  readonly twice: boolean
}

class CliRepository implements GitRepository {
  readonly url: string
  readonly #mirror: Mirror
  readonly #git: GitCommand
  readonly #objects = new ObjectCache(maxCached)
  readonly #ancestry = new AnswerCache<boolean>(maxAnswers)
  readonly #lists = new AnswerCache<readonly Oid[]>(maxAnswers)

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
      const [found] = path === '' ? [] : await this.#walk([{ commit, path }], signal)
      if (found?.item?.isTree)
        return await listBelow(path, found.item.oid, oids => this.#contents(oids, 'tree', maxTree, signal))
      if (found && !found.twice) return []
      const args = ['ls-tree', '-r', '-z', '--full-tree', commit, ...(path === '' ? [] : ['--', path])]
      const entries = parseListing(await this.#git.localOrFail(args, { signal }))
      return entries.filter(entry => path === '' || entry.path.startsWith(`${path}/`))
    })
  }

  async entries(commit: Oid, path: string, signal: AbortSignal): Promise<readonly TreeEntry[]> {
    checkPath(path)
    return await this.#reading([commit], signal, async () => {
      // With a slash git shows what is in the folder, without one what is no folder (git-ls-tree(1)).
      const args = ['ls-tree', '-z', '--full-tree', commit, '--', path, `${path}/`]
      return parseListing(await this.#git.localOrFail(args, { signal }))
    })
  }

  async ids(at: readonly { commit: Oid; path: string }[], signal: AbortSignal): Promise<readonly (Oid | undefined)[]> {
    const commits = [...new Set(at.map(({ commit }) => commit))]
    for (const { path } of at) if (path !== '') checkPath(path)
    return await this.#reading(commits, signal, async () => (await this.#walk(at, signal)).map(({ item }) => item?.oid))
  }

  async prefetch(blobs: readonly Oid[], maxBytes: number, signal: AbortSignal): Promise<void> {
    await this.#reading(blobs, signal, () => this.#fetchMissing(blobs, maxBytes, signal))
  }

  async read(blobs: readonly Oid[], maxBytes: number, signal: AbortSignal): Promise<ReadonlyMap<Oid, Uint8Array>> {
    return await this.#reading(blobs, signal, async () => {
      await this.#fetchMissing(blobs, maxBytes, signal)
      return await this.#contents(blobs, 'blob', maxBytes, signal)
    })
  }

  async #fetchMissing(blobs: readonly Oid[], maxBytes: number, signal: AbortSignal): Promise<void> {
    const known = await this.#infos(blobs, signal)
    if (blobs.every(oid => known.has(oid))) return
    await this.#mirror.exclusive(signal, async () => {
      const here = await this.#infos(blobs, signal)
      const missing = [...new Set(blobs)].filter(oid => !here.has(oid))
      if (missing.length > 0) await this.#mirror.fetchBlobs(missing, maxBytes, signal)
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
      const oids = await this.#lists.get(args.join('\0'), async () =>
        (await this.#git.localOrFail(args, { signal })).toString().split('\n').slice(0, -1),
      )
      const { contents } = await this.#commits(oids, signal)
      return oids.map(oid => parseCommit(oid, contents.get(oid)!))
    })
  }

  async changed(from: Oid, to: Oid, signal: AbortSignal): Promise<readonly string[]> {
    return await this.#reading([from, to], signal, async () => {
      const args = ['diff-tree', '-r', '-z', '--no-renames', '--name-only', from, to]
      return pathsIn(await this.#git.localOrFail(args, { signal }))
    })
  }

  async touched(query: TouchedQuery, signal: AbortSignal): Promise<ReadonlyMap<Oid, readonly string[]>> {
    const { tip, since, globs, how } = query
    return await this.#reading(since === undefined ? [tip] : [tip, since], signal, async () => {
      const filter = `--diff-filter=${how === 'added' ? 'A' : 'MDT'}`
      const args = [
        'log',
        '--full-history',
        '--no-renames',
        '--root',
        filter,
        '--name-only',
        '-z',
        '--format=%x01%H',
        tip,
      ]
      if (since !== undefined) args.push(`^${since}`)
      args.push('--', ...globs.map(glob => `:(glob)${glob}`))
      const output = await this.#git.localOrFail(args, { signal, env: { GIT_LITERAL_PATHSPECS: '0' } })
      const touched = new Map<Oid, string[]>()
      let paths: string[] = []
      for (const token of pathsIn(output)) {
        // Git puts a line feed before the first path of a commit.
        if (!token.startsWith('\x01')) {
          paths.push(token.replace(/^\n/, ''))
          continue
        }
        paths = []
        touched.set(token.slice(1), paths)
      }
      return touched
    })
  }

  async mergeBase(a: Oid, b: Oid, signal: AbortSignal): Promise<Oid | undefined> {
    return await this.#reading([a, b], signal, async () => {
      const [base] = await this.#lists.get(`merge-base ${a} ${b}`, async () => {
        const result = await this.#git.local(['merge-base', a, b], { signal })
        if (result.code > 1) throw this.#git.failure('merge-base', result)
        return result.stdout.toString().split('\n').slice(0, -1)
      })
      return base
    })
  }

  async isAncestor(ancestor: Oid, descendant: Oid, signal: AbortSignal): Promise<boolean> {
    return await this.#reading([ancestor, descendant], signal, async () => {
      return await this.#ancestry.get(`${ancestor} ${descendant}`, async () => {
        const result = await this.#git.local(['merge-base', '--is-ancestor', ancestor, descendant], { signal })
        if (result.code > 1) throw this.#git.failure('merge-base', result)
        return result.code === 0
      })
    })
  }

  async signatures(commits: readonly Oid[], signal: AbortSignal): Promise<readonly CommitSignature[]> {
    return await this.#reading(commits, signal, async () => {
      const { contents, large } = await this.#commits(commits, signal)
      const reason = `the commit has more than the ${maxCommit} bytes that are read; write a shorter message`
      return commits.map(oid => (large.has(oid) ? { state: 'bad', reason } : checkSignature(oid, contents.get(oid)!)))
    })
  }

  async commit(input: CommitInput, signal: AbortSignal): Promise<Oid> {
    const { parent, base = parent, files } = input
    for (const { path } of files) checkPath(path)
    checkOids([parent, base].filter(oid => oid !== undefined))
    const format = await this.#mirror.made(signal)
    return await this.#mirror.repairing(signal, () =>
      this.#mirror.exclusive(signal, async () => {
        const tree = await this.#writeTree(base, files, format, signal)
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
      // Without a window no pack is thin: made of differences to the parent's blobs, which this mirror need not have. Over
      // HTTP, git does not pass `--no-thin` on (remote-curl.c, 2.39).
      const args = ['-c', 'pack.window=0', 'push', '--porcelain', lease, 'origin', `${next}:${ref}`]
      const result = await this.#git.remote(args, { signal })
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

  /** What is at each path. All go down together, one folder at a time: git is asked once a level, and not for what was read before. */
  async #walk(at: readonly { commit: Oid; path: string }[], signal: AbortSignal): Promise<readonly Walk[]> {
    const commits = [...new Set(at.map(({ commit }) => commit))]
    const { contents } = await this.#commits(commits, signal)
    const roots = new Map(commits.map(commit => [commit, parseCommit(commit, contents.get(commit)!).tree]))
    let walks: Walk[] = at.map(({ commit, path }) => ({
      item: { oid: roots.get(commit)!, isTree: true },
      left: path === '' ? [] : path.split('/'),
      twice: false,
    }))
    while (walks.some(({ item, left }) => item && left.length > 0)) {
      const folders = walks.flatMap(({ item, left }) => (item && left.length > 0 ? item.oid : []))
      const trees = await this.#contents(folders, 'tree', maxTree, signal)
      const parsed = new Map([...trees].map(([oid, content]) => [oid, parseTree(oid, content)]))
      walks = walks.map(walk => {
        const [name, ...left] = walk.left
        if (!walk.item || name === undefined) return walk
        const items = parsed.get(walk.item.oid)
        const item = items?.get(name)
        const twice = item === undefined && items?.has(name) === true
        return { item: item?.isTree || left.length === 0 ? item : undefined, left, twice }
      })
    }
    return walks
  }

  /** Types and sizes of the objects that are here. */
  async #infos(oids: readonly Oid[], signal: AbortSignal): Promise<Map<Oid, Pick<ObjectInfo, 'type' | 'size'>>> {
    const infos = new Map<Oid, Pick<ObjectInfo, 'type' | 'size'>>()
    for (const oid of oids) {
      const cached = this.#objects.get(oid)
      if (cached) infos.set(oid, { type: cached.type, size: cached.content.length })
    }
    const asked = [...new Set(oids)].filter(oid => !infos.has(oid))
    for (const info of await this.#git.objects.infos(asked, signal)) if (info) infos.set(info.oid, info)
    return infos
  }

  /**
   * The bytes of commits. Anybody can push a `large` one, and it must not stop those who push beside it: of it there is only
   * what git says of its place, and who wrote it is unknown.
   */
  async #commits(oids: readonly Oid[], signal: AbortSignal): Promise<{ contents: Map<Oid, Buffer>; large: Set<Oid> }> {
    const infos = await this.#infos(oids, signal)
    const large = new Set(
      [...infos].flatMap(([oid, { type, size }]) => (type === 'commit' && size > maxCommit ? oid : [])),
    )
    const small = oids.filter(oid => !large.has(oid))
    const contents = await this.#contents(small, 'commit', maxCommit, signal)
    if (large.size > 0) {
      const args = ['rev-list', '--no-walk=unsorted', '--no-commit-header', '--format=%H %T %ct %P', '--stdin']
      const listed = await this.#git.localOrFail(args, { signal, input: Buffer.from(`${[...large].join('\n')}\n`) })
      for (const line of listed.toString().split('\n').slice(0, -1)) {
        const [oid = '', tree, time, ...parents] = line.split(' ')
        const headers = [`tree ${tree}`, ...parents.filter(Boolean).map(parent => `parent ${parent}`)]
        contents.set(oid, Buffer.from(`${headers.join('\n')}\ncommitter  <> ${time} +0000\n\n`))
      }
    }
    return { contents, large }
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
    for (const oid of unique) {
      const cached = this.#objects.get(oid)
      if (cached) contents.set(oid, cached.content)
    }
    const asked = unique.filter(oid => !contents.has(oid))
    for (const [index, content] of (await this.#git.objects.contents(asked, signal)).entries()) {
      const oid = asked[index]!
      contents.set(oid, content)
      this.#objects.add(oid, type, content)
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

function pathsIn(output: Buffer): string[] {
  const paths: string[] = []
  for (let at = 0; at < output.length; ) {
    const end = output.indexOf(0, at)
    paths.push(decodePath(output.subarray(at, end)))
    at = end + 1
  }
  return paths
}

function blobId(content: Uint8Array, format: ObjectFormat): Oid {
  return createHash(format).update(`blob ${content.length}\0`).update(content).digest('hex')
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
