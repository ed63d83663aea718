/** What a forger can do to records, from one byte to a whole new history, with whatever key they have got hold of. */

import { cpSync } from 'node:fs'
import { join } from 'node:path'
import type { EntryDraft, History, LogEntry } from '../../controller/engine/kind.ts'
import { runGit } from '../../controller/git/work-tree.ts'
import { requestFiles } from '../../controller/kinds/requests/documents.ts'
import { projectRequest } from '../../controller/kinds/requests/project.ts'
import { contentsOf } from '../../controller/kinds/requests/request.ts'
import { appended, emptyHistory, encodeEntry, entryFile } from '../../controller/records/log.ts'
import { headOf } from '../../controller/records/recorder.ts'
import type { SshPrivateKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { git } from '../support/people.ts'
import type { World } from '../support/world.ts'

const branch = 'refs/remotes/origin/cratewright/records'

export interface Change {
  /** Undefined: the file is removed. */
  readonly content: string | Uint8Array | undefined
  /** Default: a regular file. */
  readonly mode?: string
}

export type Changes = Readonly<Record<string, Change | string | Uint8Array | undefined>>

interface Verdict {
  readonly code: number
  readonly verdict: string
  /** `where: message` of each finding. */
  readonly bad: readonly string[]
  readonly unchecked: readonly string[]
  readonly roots: readonly string[]
}

/** Judges a bag or a clone, with the controller's key as root unless told otherwise. */
export async function verdictOf(world: World, target: string, ...options: string[]): Promise<Verdict> {
  const root = options.includes('--root') || options.includes('--unpinned') ? [] : ['--root', rootOf(world)]
  const rest = options.filter(option => option !== '--unpinned')
  const { code, out, err } = await world.cratewright('verify', target, '--json', ...root, ...rest)
  if (out === '') throw new Error(`verify said nothing but: ${err}`)
  const { verdict, findings, roots } = JSON.parse(out) as {
    verdict: string
    roots: string[]
    findings: { level: string; where: string; message: string }[]
  }
  const of = (level: string) =>
    findings.filter(finding => finding.level === level).map(({ where, message }) => `${where}: ${message}`)
  return { code, verdict, bad: of('bad'), unchecked: of('unchecked'), roots }
}

export function rootOf(world: World): string {
  return world.controller.key.public.fingerprint
}

/** An auditor's clone in a forger's hands. */
export class Forgery {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static of(clone: string, name: string): Forgery {
    const folder = `${clone}-${name}`
    cpSync(clone, folder, { recursive: true })
    return new Forgery(folder)
  }

  tip(): Promise<string> {
    return git(this.folder, 'rev-parse', branch)
  }

  async paths(below: string, at = branch): Promise<string[]> {
    const listed = await git(this.folder, 'ls-tree', '-r', '-z', '--name-only', at, below)
    return listed.split('\0').filter(path => path !== '')
  }

  /** Commits of the records that changed something below a path, oldest first. */
  async commits(below: string): Promise<string[]> {
    return (await git(this.folder, 'rev-list', '--reverse', branch, '--', below)).split('\n')
  }

  async read(path: string, at = branch): Promise<Buffer> {
    const { code, stdout, stderr } = await runGit(this.folder, ['cat-file', 'blob', `${at}:${path}`], { signal })
    if (code !== 0) throw new Error(`${path}: ${stderr}`)
    return stdout
  }

  /** A commit on the records branch: with these changes, signed by this key or by none. */
  async commit(changes: Changes, key: SshPrivateKey | undefined): Promise<string> {
    const tip = await this.tip()
    return this.setTip(await this.write(await this.tree(tip, changes), [tip], key))
  }

  async tree(from: string, changes: Changes): Promise<string> {
    const indexFile = join(this.folder, '.git', 'forged-index')
    const run = async (args: string[], input?: Uint8Array) => {
      const { code, stdout, stderr } = await runGit(this.folder, args, {
        signal,
        indexFile,
        ...(input ? { input } : {}),
      })
      if (code !== 0) throw new Error(`git ${args[0]}: ${stderr}`)
      return stdout.toString().trim()
    }
    await run(['read-tree', from])
    for (const [path, change] of Object.entries(changes)) {
      const { content, mode = '100644' } =
        typeof change === 'object' && 'content' in change ? change : { content: change }
      if (content === undefined) await run(['update-index', '--force-remove', path])
      else {
        // A submodule's entry names a commit, whose id is the content.
        const oid =
          mode === '160000' ? String(content) : await run(['hash-object', '-w', '--stdin'], Buffer.from(content))
        await run(['update-index', '--add', '--cacheinfo', `${mode},${oid},${path}`])
      }
    }
    return run(['write-tree'])
  }

  async write(tree: string, parents: readonly string[], key: SshPrivateKey | undefined, message = 'Record\n') {
    const who = 'Cratewright <controller@cratewright.dev> 1800000000 +0000'
    const head = [`tree ${tree}`, ...parents.map(parent => `parent ${parent}`), `author ${who}`, `committer ${who}`]
    const payload = `${head.join('\n')}\n\n${message}`
    const armor = key && signSsh(key, 'git', Buffer.from(payload)).trimEnd().replaceAll('\n', '\n ')
    const bytes = armor ? `${head.join('\n')}\ngpgsig ${armor}\n\n${message}` : payload
    const input = Buffer.from(bytes)
    const { code, stdout, stderr } = await runGit(this.folder, ['hash-object', '-t', 'commit', '-w', '--stdin'], {
      signal,
      input,
    })
    if (code !== 0) throw new Error(stderr)
    return stdout.toString().trim()
  }

  async setTip(commit: string): Promise<string> {
    await git(this.folder, 'update-ref', branch, commit)
    return commit
  }

  /** Writes the records' whole history again, commit by commit, with other hands. */
  async sealAgain(key: SshPrivateKey): Promise<string> {
    const commits = (await git(this.folder, 'rev-list', '--reverse', branch)).split('\n')
    let parent: string | undefined
    for (const commit of commits)
      parent = await this.write(
        `${await git(this.folder, 'rev-parse', `${commit}^{tree}`)}`,
        parent ? [parent] : [],
        key,
      )
    return this.setTip(parent ?? '')
  }

  async log(project: string): Promise<LogEntry[]> {
    const paths = await this.paths(`projects/${project}/log/`)
    return Promise.all(paths.map(async path => JSON.parse((await this.read(path)).toString()) as LogEntry))
  }

  /** The changes that make this the log of the project: a whole chain, with everything that follows from it made again. */
  async chained(project: string, entries: readonly LogEntry[]): Promise<Changes> {
    const history = chain(entries)
    const documents = new Map<string, ReadonlyMap<string, Uint8Array>>()
    for (const { commit, folder } of contentsOf(history)) {
      const names = Object.values(requestFiles)
      const files = await Promise.all(
        names.map(async name => [name, await this.read(folder === '' ? name : `${folder}/${name}`, commit)] as const),
      )
      documents.set(commit, new Map(files))
    }
    const base = `projects/${project}`
    const gone = (await this.paths(`${base}/`)).map(path => [path, undefined] as const)
    const log = history.entries.map(entry => [`${base}/log/${entryFile(entry)}`, encodeEntry(entry)] as const)
    const derived = [...projectRequest(history, documents), headOf(history)].map(
      ({ path, content }) => [`${base}/${path}`, content] as const,
    )
    return Object.fromEntries([...gone, ...log, ...derived])
  }
}

/** Entries one behind the other, each naming the one before it, as if they had been written so. */
export function chain(entries: readonly LogEntry[]): History {
  const numbers = new Map(entries.map(({ number }, index) => [number, index + 1]))
  return entries.reduce((history, entry) => {
    const { started } = entry
    return appended(history, {
      ...entry,
      number: history.entries.length + 1,
      previous: history.head,
      ...(started === undefined ? {} : { started: numbers.get(started) ?? started }),
    })
  }, emptyHistory)
}

/** An entry behind the last of these, as the controller would have written it. */
export function behind(entries: readonly LogEntry[], draft: Omit<EntryDraft, 'commits'>): LogEntry {
  const last = entries.at(-1)
  if (!last) throw new Error('nothing to come behind')
  const { log, time, instance, actor, repository, project, commits } = last
  const number = last.number + 1
  const previous = chain(entries).head
  return {
    log,
    number,
    previous,
    time,
    instance,
    actor,
    repository,
    project,
    ...(commits ? { commits } : {}),
    ...draft,
  } as LogEntry
}

/** The content with one bit of one byte turned. */
export function flipped(content: Uint8Array, at = content.byteLength >> 1): Buffer {
  const changed = Buffer.from(content)
  changed[at] = (changed[at] ?? 0) ^ 1
  return changed
}

const signal = new AbortController().signal
