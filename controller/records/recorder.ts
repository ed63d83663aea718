/** Writes the log and what follows from it. The engine's Recorder, on records branches in Git. */

import type { Condition } from '../engine/conditions.ts'
import type { Documents, EntryDraft, History, Kind, Recorder, RecordFile, Resource } from '../engine/kind.ts'
import type { Committer } from '../git/committer.ts'
import type { FileChange, Oid, Precondition } from '../git/repository.ts'
import { canonicalJson, sha256Hex } from '../runtime/canonical.ts'
import type { Clock } from '../runtime/clock.ts'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { RecordsBranch } from './branch.ts'
import {
  appended,
  emptyHistory,
  encodeEntry,
  entryFile,
  entryOf,
  maxEntryBytes,
  readLog,
  whyUnreadable,
} from './log.ts'

export interface RecordsSpace {
  readonly branch: RecordsBranch
  readonly committer: Committer
}

export interface RecorderOptions {
  /** The records branch of a Repository by its name; undefined where it has none (yet). */
  readonly spaceOf: (repository: string) => RecordsSpace | undefined
  /** Whose branch takes the status of platform kinds; undefined: it is written nowhere. */
  readonly platformSpace: () => RecordsSpace | undefined
  readonly kindOf: (resource: Resource) => Kind | undefined
  /** The files of a resource at a commit, for projections. */
  readonly documentsAt: (
    resource: Resource,
    commit: Oid,
    folder: string,
    signal: AbortSignal,
  ) => Promise<ReadonlyMap<string, Uint8Array>>
  /** Takes secrets out of what people are shown: errors and statuses. */
  readonly redact: (text: string) => string
  readonly actor: { readonly type: 'controller'; readonly name: string; readonly key: string }
  readonly instance: string
  readonly clock: Clock
  readonly log: Log
}

interface PublicStatus {
  readonly conditions: readonly Condition[]
  readonly problems?: readonly unknown[]
  readonly waits?: readonly unknown[]
  readonly detail?: { readonly phase?: string; readonly release?: number; readonly generation?: number }
}

interface Held {
  history: History
  /** Derived files as the branch has them: path below the project's folder → SHA-256; undefined until they were compared. */
  files: Map<string, string>
  /** The newest tip that was looked at for entries which are not in `history`. */
  seen?: Oid | undefined
  /** The branch's epoch when it was read: in another, entries may have gone. */
  epoch?: number
}

/** Files that name the whole state, so that two writers of different entries with one number collide on it. */
const headFile = 'head.json'
/** Milliseconds that a status waits for a newer one before it is written. */
const statusDelay = 2_000
/** Milliseconds after which one that could not be written is tried again. */
const statusRetry = 30_000
const statusBatch = 50
/** Bytes of a status. */
const maxStatus = 64 * 1024
/** Milliseconds after which a cached tip is looked at again. */
const staleAfter = 5_000

export class GitRecorder implements Recorder {
  readonly #options: RecorderOptions
  readonly #held = new Map<string, Held>()
  readonly #tips = new Map<RecordsBranch, { tip: Promise<Oid | undefined>; at: number }>()
  readonly #statuses = new Map<string, string>()
  readonly #unwritten = new Map<string, () => Promise<void>>()
  #flushing: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  async history(resource: Resource, signal: AbortSignal): Promise<History | undefined> {
    if (!this.#hasLog(resource)) return undefined
    return (await this.#load(resource, signal)).history
  }

  async append(resource: Resource, drafts: readonly EntryDraft[], signal: AbortSignal): Promise<History> {
    const { instance, actor, clock } = this.#options
    const held = await this.#load(resource, signal)
    const folder = folderOf(resource)
    const frame = { time: clock.now(), instance, actor, repository: resource.namespace, project: resource.name }
    const files: FileChange[] = []
    let history = held.history
    for (const draft of drafts) {
      const entry = entryOf(history, this.#redacted(draft), frame)
      const content = encodeEntry(entry)
      if (content.byteLength > maxEntryBytes) {
        throw new CratewrightError('TreeTooLarge', `an entry of ${content.byteLength} bytes is too large for the log`)
      }
      const reason = whyUnreadable(history, entry)
      // It would stop the request for good: what is in the log is never taken out again.
      if (reason)
        throw new CratewrightError('RecordInvalid', `an entry is not written, for no one could read it: ${reason}`)
      files.push({ path: `${folder}/log/${entryFile(entry)}`, content })
      history = appended(history, entry)
    }
    const projected = await this.#projection(resource, history, signal)
    const derived = projected ? differences(projected, held.files) : [headOf(history)]
    const preconditions = headCondition(folder, held)
    const message = drafts.map(({ action, event }) => `${action} ${event}`).join(', ')
    const { branch, committer } = this.#space(resource)
    try {
      const commit = await committer.submit(
        {
          files: [...files, ...derived.map(file => ({ ...file, path: `${folder}/${file.path}` }))],
          preconditions,
          message: `Record ${message} of ${resource.name}`,
          time: new Date(history.entries.at(-1)?.time ?? 0),
        },
        { urgent: true },
      )
      await branch.wrote(commit, signal)
    } catch (error) {
      // What the branch has now is not known any more: read it again before anything is decided.
      this.#forget(resource)
      throw error
    }
    const present = projected ? digestsOf(projected) : new Map([...held.files, ...digestsOf([headOf(history)])])
    this.#held.set(resource.key, { history, files: present, ...epochOf(held) })
    return history
  }

  async project(resource: Resource, signal: AbortSignal): Promise<void> {
    if (!this.#hasLog(resource)) return
    const held = await this.#load(resource, signal)
    if (held.history.entries.length === 0) return
    const projected = await this.#projection(resource, held.history, signal)
    if (!projected) return
    const derived = differences(projected, held.files)
    if (derived.length === 0) return
    const folder = folderOf(resource)
    const { branch, committer } = this.#space(resource)
    const commit = await committer.submit({
      files: derived.map(file => ({ ...file, path: `${folder}/${file.path}` })),
      preconditions: headCondition(folder, held),
      message: `Bring what follows from the log of ${resource.name} up to date`,
      time: new Date(held.history.entries.at(-1)?.time ?? 0),
    })
    await branch.wrote(commit, signal)
    this.#held.set(resource.key, { history: held.history, files: digestsOf(projected), ...epochOf(held) })
  }

  status(resource: Resource, content: unknown): void {
    const { spaceOf, platformSpace } = this.#options
    const space = this.#hasLog(resource) ? spaceOf(resource.namespace) : platformSpace()
    if (!space || content === undefined) return
    const text = this.#options.redact(canonicalJson(content))
    if (this.#statuses.get(resource.key) === text) return
    this.#statuses.set(resource.key, text)
    this.#unwritten.set(resource.key, () => this.#writeStatus(resource, space, JSON.parse(text) as PublicStatus))
    // What is passed through quickly (a start that finds its dependencies one after the other) is nobody's news.
    this.#timer ??= setTimeout(() => void this.flush(), statusDelay).unref()
  }

  /** Writes every status handed in so far; resolves when they are written or have failed. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const writes = [...this.#unwritten]
    this.#unwritten.clear()
    const before = this.#flushing
    const inTurns = async () => {
      await before
      // So many at once go into one commit; more would only lie in memory.
      for (let at = 0; at < writes.length; at += statusBatch) {
        await Promise.all(writes.slice(at, at + statusBatch).map(([key, write]) => this.#settle(key, write)))
      }
    }
    this.#flushing = inTurns()
    await this.#flushing
  }

  async #settle(key: string, write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      this.#statuses.delete(key)
      const { code, message } = asCratewrightError(error)
      this.#options.log.warn('a status could not be written', { key, code, error: message })
      // Approvers read from it who may sign: it is tried again, unless a newer one is there by then.
      if (!this.#unwritten.has(key)) this.#unwritten.set(key, write)
      this.#timer ??= setTimeout(() => void this.flush(), statusRetry).unref()
    }
  }

  async #writeStatus(resource: Resource, { branch, committer }: RecordsSpace, content: PublicStatus): Promise<void> {
    const { type, namespace, name } = resource
    const path = `status/${type.group}/${type.kind}/${namespace || '_'}/${name}.json`
    const signal = AbortSignal.timeout(60_000)
    const tip = committer.tip() ?? (await branch.tip(signal))
    const [oid] = tip === undefined ? [] : await branch.repository.ids([{ commit: tip, path }], signal)
    const present =
      oid === undefined ? undefined : (await branch.repository.read([oid], maxEntryBytes, signal)).get(oid)
    const before = present ? (JSON.parse(Buffer.from(present).toString('utf8')) as PublicStatus) : undefined
    // A restart sees the same again: what has not changed keeps the time at which it became so.
    const conditions = content.conditions.map(condition => {
      const same = before?.conditions.find(({ type, status }) => type === condition.type && status === condition.status)
      return same ? { ...condition, lastTransitionTime: same.lastTransitionTime } : condition
    })
    const whole = Buffer.from(`${canonicalJson({ ...content, conditions })}\n`)
    const bytes =
      whole.byteLength <= maxStatus ? whole : Buffer.from(`${canonicalJson({ ...cut(content), conditions })}\n`)
    if (present && Buffer.from(present).equals(bytes)) return
    const change = {
      files: [{ path, content: bytes }],
      preconditions: [],
      message: `Show the status of ${type.kind} ${name}`,
      time: this.#options.clock.now(),
    }
    // Somebody waits for what a request says of itself.
    await branch.wrote(await committer.submit(change, { urgent: this.#hasLog(resource) }), signal)
  }

  #redacted(draft: EntryDraft): EntryDraft {
    const { error } = draft
    return error ? { ...draft, error: { ...error, message: this.#options.redact(error.message) } } : draft
  }

  #hasLog(resource: Resource): boolean {
    return this.#options.kindOf(resource)?.project !== undefined
  }

  #space(resource: Resource): RecordsSpace {
    const space = this.#options.spaceOf(resource.namespace)
    if (!space) throw new CratewrightError('GitRefMissing', `Repository ${resource.namespace} has no records branch`)
    return space
  }

  async #load(resource: Resource, signal: AbortSignal): Promise<Held> {
    const { branch } = this.#space(resource)
    const now = performance.now()
    let known = this.#tips.get(branch)
    if (!known || now - known.at > staleAfter) {
      // All who ask meanwhile share the answer; an error is nobody's answer.
      const asked = { tip: branch.tip(signal), at: now }
      asked.tip.catch(() => this.#tips.get(branch) === asked && this.#tips.delete(branch))
      this.#tips.set(branch, asked)
      known = asked
    }
    const tip = await known.tip
    const held = this.#held.get(resource.key)
    if (held && !(await this.#movedUnderUs(resource, held, tip, signal))) return held
    const fresh = await readProject(branch, tip, resource.name, signal)
    const owner = fresh.history.entries[0]?.repository
    if (owner !== undefined && owner !== resource.namespace) {
      throw new CratewrightError('RecordInvalid', `the log of ${resource.name} is that of Repository ${owner}`, {
        todo: 'Give each Repository a records branch of its own.',
      })
    }
    fresh.seen = tip
    fresh.epoch = branch.epoch
    this.#held.set(resource.key, fresh)
    return fresh
  }

  /** Somebody else appended to this log: what is held is older than the branch. */
  async #movedUnderUs(resource: Resource, held: Held, tip: Oid | undefined, signal: AbortSignal): Promise<boolean> {
    const { branch } = this.#space(resource)
    if (held.epoch !== branch.epoch) return true
    if (tip === undefined || tip === held.seen) return false
    const [head] = await branch.repository.ids([{ commit: tip, path: `${folderOf(resource)}/${headFile}` }], signal)
    const content = head && (await branch.repository.read([head], 4096, signal)).get(head)
    held.seen = tip
    const entries = content
      ? (JSON.parse(Buffer.from(content).toString('utf8')) as { entries?: number }).entries
      : undefined
    // Our own newer entries may not be in a tip that was looked at before they were pushed.
    return typeof entries === 'number' && entries > held.history.entries.length
  }

  /** Undefined where documents are gone that the log names: what was derived stays as it is, and the log goes on. */
  async #projection(
    resource: Resource,
    history: History,
    signal: AbortSignal,
  ): Promise<readonly RecordFile[] | undefined> {
    const kind = this.#options.kindOf(resource)
    const documents = new Map<Oid, ReadonlyMap<string, Uint8Array>>()
    try {
      for (const { commit, folder } of kind?.documents?.(history) ?? []) {
        documents.set(commit, await this.#options.documentsAt(resource, commit, folder, signal))
      }
    } catch (error) {
      // Of a history that was erased. A request must still come to its end, which takes access away.
      if (!(error instanceof CratewrightError && error.code === 'GitObjectMissing')) throw error
      const { code, message } = error
      const said = 'what follows from a log is left as it is'
      this.#options.log.warn(said, { key: resource.key, code, error: message })
      return undefined
    }
    return [...(kind?.project?.(history, documents as Documents) ?? []), headOf(history)]
  }

  #forget(resource: Resource): void {
    this.#held.delete(resource.key)
    this.#tips.delete(this.#space(resource).branch)
  }
}

/** The log of a project, and its derived files by digest. @throws RecordInvalid where the log is not whole */
export async function readProject(
  branch: RecordsBranch,
  tip: Oid | undefined,
  project: string,
  signal: AbortSignal,
): Promise<Held> {
  // Of a repository of its own that holds nothing yet, nothing can be read either.
  if (tip === undefined) return { history: emptyHistory, files: new Map() }
  const folder = folderOf({ name: project })
  const listed = await branch.list(tip, folder, signal)
  const blobs = await branch.repository.read(
    listed.map(({ oid }) => oid),
    maxEntryBytes,
    signal,
  )
  const log = new Map<string, Uint8Array>()
  const files = new Map<string, string>()
  for (const { path, oid } of listed) {
    const content = blobs.get(oid) ?? new Uint8Array()
    const name = path.slice(folder.length + 1)
    if (name.startsWith('log/')) log.set(name.slice(4), content)
    else files.set(name, sha256Hex(content))
  }
  const { history, problems } = readLog(log)
  if (problems.length > 0)
    throw new CratewrightError('RecordInvalid', `the log of ${project} is not whole: ${problems[0]}`)
  return { history, files }
}

export function folderOf(resource: { readonly name: string }): string {
  return `projects/${resource.name}`
}

/** The derived file that names the last entry. */
export function headOf(history: History): RecordFile {
  return {
    path: headFile,
    content: Buffer.from(`${canonicalJson({ entries: history.entries.length, sha256: history.head })}\n`),
  }
}

/** What is left of a status that would be too large: where it stands, without the lists that people can make long. */
function cut(content: PublicStatus): PublicStatus {
  const { phase, release, generation } = content.detail ?? {}
  return {
    ...content,
    problems: [],
    waits: [],
    detail: { ...(phase ? { phase } : {}), ...(release ? { release } : {}), ...(generation ? { generation } : {}) },
  }
}

function epochOf({ epoch }: Held): { epoch?: number } {
  return epoch === undefined ? {} : { epoch }
}

/** The branch still has the entry that is built on, and none behind it. */
function headCondition(folder: string, { files }: Held): Precondition[] {
  const path = `${folder}/${headFile}`
  const sha256 = files.get(headFile)
  return [sha256 === undefined ? { path, absent: true } : { path, sha256 }]
}

function differences(projected: readonly RecordFile[], present: ReadonlyMap<string, string>): FileChange[] {
  const wanted = new Set(projected.map(({ path }) => path))
  return [
    ...projected.filter(({ path, content }) => present.get(path) !== sha256Hex(content)),
    ...[...present.keys()].filter(path => !wanted.has(path)).map(path => ({ path, content: undefined })),
  ]
}

function digestsOf(files: readonly RecordFile[]): Map<string, string> {
  return new Map(files.map(({ path, content }) => [path, sha256Hex(content)]))
}
