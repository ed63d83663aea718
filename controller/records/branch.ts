/** One records branch: which commits on it count, what is done about those that do not, and what lies on it. */

import type { CommitSigner, GitRepository, Oid, TreeEntry } from '../git/repository.ts'
import { digestOf } from '../runtime/canonical.ts'
import type { Clock } from '../runtime/clock.ts'
import { CratewrightError } from '../runtime/errors.ts'
import type { SshPublicKey } from '../runtime/ssh-key.ts'
import { type BranchDraft, type BranchEntry, type BranchFrame, branchEntryOf, readBranchLog } from './branch-log.ts'
import { recordsIdentity } from './identity.ts'
import { type DeclaredSigner, judgeLine, knownNode, type Line, type LineNode, signersAfter } from './line.ts'
import { branchLogAt, lineRoom, readLine } from './line-reader.ts'
import type { RecordsMemory, Remembered } from './memory.ts'
import { bringBlobs, described, forged, maxListed, noBeginning, rewritten, rotateAdvice } from './repair.ts'

export interface RecordsTrust {
  /** What an admin declared; empty: the own key, and whichever key's rotations lead to it. */
  readonly signers: readonly DeclaredSigner[]
  readonly own: SshPublicKey
  /** The declared first commit. */
  readonly root: Oid | undefined
  /** The tip that an admin accepts although the branch was rewritten, or the last good commit to go back to. Used once. */
  readonly accept: Oid | undefined
}

/** For who may answer foreign commits; who only looks has none, and fails instead. */
export interface RecordsWriter {
  readonly sign: CommitSigner
  readonly instance: string
  readonly actor: BranchFrame['actor']
  readonly clock: Clock
  /** The commit of the platform repository that trust was read at. */
  readonly platform: () => Oid | undefined
  /** Told when the branch was repaired, could not be trusted, or can be again. */
  readonly changed?: () => void
}

/** Answers to foreign commits in a minute: who pushes them in a loop shall not make the controller write in a loop. */
const maxAnswers = 5
const answersWithin = 60_000
const maxTries = 5

export class RecordsBranch {
  readonly repository: GitRepository
  readonly ref: string
  readonly #trust: RecordsTrust
  readonly #memory: RecordsMemory
  readonly #writer: RecordsWriter | undefined
  /** The newest commit whose whole history has been judged. */
  #good: LineNode | undefined
  #remembered: { readonly own: Remembered | undefined; readonly others: readonly Remembered[] } | undefined
  /** The newest commit that this process pushed and has not looked at since. */
  #ahead: Oid | undefined
  /** What was last remembered by this object. */
  #written: string | undefined
  #answers: readonly number[] = []
  #turn: Promise<unknown> = Promise.resolve()
  #epoch = 0
  #problem: CratewrightError | undefined

  constructor(
    repository: GitRepository,
    ref: string,
    trust: RecordsTrust,
    memory: RecordsMemory,
    writer?: RecordsWriter,
  ) {
    this.repository = repository
    this.ref = ref
    this.#trust = trust
    this.#memory = memory
    this.#writer = writer
  }

  /** Counts how often entries may have gone from the branch because an admin said so: what was read before is void. */
  get epoch(): number {
    return this.#epoch
  }

  /** Why the last look did not trust the branch. */
  get problem(): CratewrightError | undefined {
    return this.#problem
  }

  /** What the branch notes of itself, as of the last look. */
  get entries(): readonly BranchEntry[] {
    return this.#good?.history.entries ?? []
  }

  /** Keys that may sign the next commit, as of the last look. */
  get signers(): readonly SshPublicKey[] {
    return this.#good ? signersAfter(this.#good, this.#trust) : []
  }

  /**
   * The tip at the server now, judged; undefined where the branch does not exist yet. Foreign commits on top are taken back by
   * a commit of our own. Errors: RecordForged, RecordsRewritten, and those of Git.
   */
  async tip(signal: AbortSignal): Promise<Oid | undefined> {
    return this.#inTurn(async () => {
      const tip = await this.#resolve(signal)
      return this.#settle(tip, signal)
    })
  }

  /** Before something is built on `tip`. @throws LogMoved where it was not fit, and is repaired now; and as `tip()` */
  async check(tip: Oid | undefined, signal: AbortSignal): Promise<void> {
    const settled = await this.#inTurn(() => this.#settle(tip, signal))
    if (settled !== tip) throw new CratewrightError('LogMoved', `${this.ref} has moved on from ${tip} to ${settled}`)
  }

  /** Notes that this process has pushed `commit`, on a tip that was checked: a branch without it was set back. */
  async wrote(commit: Oid, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#good && (await this.#descends(commit, this.#good.oid, signal))) return
      this.#ahead = commit
      const { own } = await this.#memoryRead()
      await this.#write({ ...own, tip: commit, trust: this.#trustDigest() })
    })
  }

  /** Writes an entry of the branch's own log, on whatever the tip is by then. `draftOf`: undefined where it is there already. */
  async note(
    draftOf: (branch: RecordsBranch) => BranchDraft | undefined,
    signal: AbortSignal,
  ): Promise<Oid | undefined> {
    return this.#inTurn(async () => {
      for (let tries = 0; tries < maxTries; tries++) {
        const tip = await this.#settle(await this.#resolve(signal), signal)
        const draft = tip === undefined ? undefined : draftOf(this)
        if (tip === undefined || !draft || !this.#good) return tip
        const next = await this.#push(tip, this.#good, draft, signal)
        if (next === undefined) continue
        return next
      }
      throw new CratewrightError('LogMoved', `others wrote to ${this.ref} first, ${maxTries} times`)
    })
  }

  async list(tip: Oid, folder: string, signal: AbortSignal): Promise<readonly TreeEntry[]> {
    return this.repository.list(tip, folder, signal)
  }

  /** SHA-256 of the branch's own log, which its next entry names. */
  get head(): string | undefined {
    return this.#good?.history.head
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.then(
      () => this.#found(undefined),
      error => {
        const distrust = error instanceof CratewrightError && /^Record(Forged|sRewritten)$/.test(error.code)
        if (distrust) this.#found(error)
      },
    )
    return mine
  }

  #found(problem: CratewrightError | undefined): void {
    const isNews = this.#problem?.message !== problem?.message
    this.#problem = problem
    if (isNews) this.#writer?.changed?.()
  }

  async #resolve(signal: AbortSignal): Promise<Oid | undefined> {
    const tip = await this.repository.resolve(this.ref, signal)
    if (tip !== undefined && tip !== this.#good?.oid) await this.repository.fetch(this.ref, tip, signal)
    return tip
  }

  /** The commit to build on: `found`, or what was made of it. */
  async #settle(found: Oid | undefined, signal: AbortSignal): Promise<Oid | undefined> {
    let tip = found
    for (let tries = 0; tries < maxTries; tries++) {
      if (tip !== undefined && tip === this.#good?.oid && this.#ahead === undefined) return tip
      const known = await this.#known()
      if (tip === undefined) {
        // A root may be declared before the first run: only who has seen the branch can miss it.
        if (known.length === 0) return undefined
        throw new CratewrightError('RecordsRewritten', `${this.ref} is gone, and it was there before`, {
          todo: 'Find out who removed the branch, and push it again from a good clone.',
        })
      }
      const lost = await this.#notIn(tip, known, signal)
      // Somebody may have pushed, and remembered, after the tip was asked for.
      const now = lost.length > 0 ? await this.#resolve(signal) : tip
      if (now !== tip) {
        tip = now
        continue
      }
      const line = await this.#judge(tip, lost, signal)
      const settled = await this.#answer(tip, line, lost, signal)
      if (settled) return settled.oid
      tip = await this.#resolve(signal)
    }
    throw new CratewrightError('LogMoved', `others wrote to ${this.ref} first, ${maxTries} times`)
  }

  /** What is done about a tip: nothing where it counts. Undefined: it is to be looked at again. */
  async #answer(tip: Oid, line: Line, lost: readonly Oid[], signal: AbortSignal): Promise<LineNode | undefined> {
    const { good } = line
    const usable = await this.#acceptance()
    if (lost.length > 0 && good?.oid !== tip && usable !== tip) throw rewritten(this.ref, tip, lost, this.#trust.accept)
    if (!good) throw noBeginning(this.ref, line, this.#trust.root)
    if (good.oid !== tip) {
      if (lost.length > 0) throw forged(this.ref, line, good)
      await this.#restore(tip, line, good, usable, signal)
      return undefined
    }
    this.#checkOwn(good)
    if (lost.length > 0) {
      const noted = line.nodes.some(({ entry }) => entry?.accept?.commit === usable)
      if (usable === undefined || (tip !== usable && !noted)) throw rewritten(this.ref, tip, lost, this.#trust.accept)
      if (this.#writer && !noted) {
        const platform = this.#writer.platform()
        const accept = { commit: usable, lost: lost.slice(0, maxListed), ...(platform ? { platform } : {}) }
        // Nothing is remembered until the entry is there: killed in between, the same is done again.
        await this.#push(tip, good, { action: 'accept', accept }, signal)
        return undefined
      }
      this.#epoch++
      await this.#remember(good, usable)
      return good
    }
    await this.#remember(good, undefined)
    return good
  }

  /** Puts the tree of the last commit that counts on top of what does not. */
  async #restore(tip: Oid, line: Line, good: LineNode, usable: Oid | undefined, signal: AbortSignal): Promise<void> {
    const { foreign } = line
    const writer = this.#writer
    if (!writer) throw forged(this.ref, line, good)
    this.#checkOwn(good)
    const known = await this.#known()
    const behind = await this.#notIn(good.oid, known, signal)
    const ever = new Set([...this.#trust.signers.map(({ key }) => key.fingerprint), this.#trust.own.fingerprint])
    const ours = foreign.some(({ key, answer }) => answer === undefined && key && ever.has(key.fingerprint))
    // What counted before and does not now was not written by a stranger: an admin has changed who signs, and says from where.
    const named = usable === good.oid
    if (!named && (behind.length > 0 || (known.length === 0 && ours))) {
      throw forged(this.ref, line, good, {
        todo: `Check \`records.signers\`. To take back everything behind the last commit that counts, declare records.accept: ${good.oid}.`,
      })
    }
    const now = writer.clock.now().getTime()
    this.#answers = this.#answers.filter(at => now - at < answersWithin && at <= now)
    if (this.#answers.length >= maxAnswers) {
      throw new CratewrightError('WriteBackBlocked', `somebody keeps pushing foreign commits to ${this.ref}`, {
        todo: 'Find out who can push to the records branch, and allow only the controller to.',
      })
    }
    const unanswered = foreign.filter(({ answer }) => answer === undefined)
    await bringBlobs(this.repository, good.oid, tip, signal)
    const restore = { good: good.oid, ...(await described(this.repository, good.oid, tip, unanswered, signal)) }
    const next = await this.#push(tip, good, { action: 'restore', restore }, signal)
    if (next === undefined) return
    this.#answers = [...this.#answers, now]
    if (behind.length > 0) {
      this.#epoch++
      await this.#remember({ ...good, oid: next }, usable)
      // The entry is judged like any other when it is looked at.
      this.#good = undefined
    }
    writer.changed?.()
  }

  /** A commit on `tip` with the tree of `base` and one more entry; undefined where somebody else was faster. */
  async #push(tip: Oid, base: LineNode, draft: BranchDraft, signal: AbortSignal): Promise<Oid | undefined> {
    const writer = this.#writer
    if (!writer) throw new CratewrightError('WriteBackBlocked', `${this.ref} is only read here`)
    const { instance, actor, clock, sign } = writer
    const { entry, path, content } = branchEntryOf(base.history, draft, { time: clock.now(), instance, actor })
    const next = await this.repository.commit(
      {
        parent: tip,
        base: base.oid,
        files: [{ path, content }],
        message: `Note ${entry.action} in the log of the records\n`,
        time: new Date(entry.time),
        identity: recordsIdentity,
        sign,
      },
      signal,
    )
    return (await this.repository.push(this.ref, tip, next, signal)) === 'pushed' ? next : undefined
  }

  async #judge(tip: Oid, lost: readonly Oid[], signal: AbortSignal): Promise<Line> {
    const start = lost.length > 0 ? undefined : await this.#start(tip, signal)
    const commits = await readLine(this.repository, { tip, since: start?.oid }, signal)
    return judgeLine(commits, start, this.#trust, lineRoom(this.repository, signal))
  }

  /** Where judging begins: what this process or this folder has judged before, under the same declarations. */
  async #start(tip: Oid, signal: AbortSignal): Promise<LineNode | undefined> {
    if (this.#good) return this.#good
    const own = (await this.#memoryRead()).own
    if (!own || own.trust !== this.#trustDigest() || !(await this.#descends(own.tip, tip, signal))) return undefined
    const passed = new Set<Oid>()
    for (const oid of this.#trust.signers.flatMap(({ from, until }) => [from, until]))
      if (oid !== undefined && (await this.#descends(oid, own.tip, signal))) passed.add(oid)
    const { history } = readBranchLog(await branchLogAt(this.repository, own.tip, signal))
    const [log] = await this.repository.ids([{ commit: own.tip, path: 'log' }], signal)
    return knownNode({ oid: own.tip, log, history, passed }, this.#trust, this.#trust.own)
  }

  /** Commits that the branch must have. */
  async #known(): Promise<readonly Oid[]> {
    if (this.#good) return this.#ahead === undefined ? [this.#good.oid] : [this.#good.oid, this.#ahead]
    const { own, others } = await this.#memoryRead()
    return [...new Set([...(own ? [own] : []), ...others].map(({ tip }) => tip))]
  }

  async #notIn(tip: Oid, known: readonly Oid[], signal: AbortSignal): Promise<readonly Oid[]> {
    const lost: Oid[] = []
    for (const oid of known) if (!(await this.#descends(oid, tip, signal))) lost.push(oid)
    return lost
  }

  /** The commit in `records.accept`, unless it was used already. */
  async #acceptance(): Promise<Oid | undefined> {
    const { accept } = this.#trust
    const { own, others } = await this.#memoryRead()
    const used = own ? own.accepted === accept : others.some(({ accepted }) => accepted === accept)
    return used ? undefined : accept
  }

  async #memoryRead() {
    this.#remembered ??= await this.#memory.read()
    return this.#remembered
  }

  /** `accepted`: an acceptance that was used just now. One that is no longer declared may be declared again. */
  async #remember(good: LineNode, accepted: Oid | undefined): Promise<void> {
    const { own, others } = await this.#memoryRead()
    const before = own ? own.accepted : others.find(one => one.accepted === this.#trust.accept)?.accepted
    const used = accepted ?? (before !== undefined && before === this.#trust.accept ? before : undefined)
    await this.#write({ tip: good.oid, ...(used ? { accepted: used } : {}), trust: this.#trustDigest() })
    this.#ahead = undefined
    // Without what came before it: a process that runs for months must not hold a commit for each of its pushes.
    this.#good = { ...good, before: undefined }
  }

  async #write(remembered: Remembered): Promise<void> {
    const text = JSON.stringify(remembered)
    if (this.#written !== text) await this.#memory.write(remembered)
    this.#written = text
    this.#remembered = { own: remembered, others: [] }
  }

  #trustDigest(): string {
    const { signers, own, root } = this.#trust
    return digestOf({
      signers: signers.map(({ key, from = '', until = '' }) => [key.fingerprint, from, until]),
      own: own.fingerprint,
      root: root ?? '',
    })
  }

  /** What this controller signs must count. */
  #checkOwn(good: LineNode): void {
    const keys = signersAfter(good, this.#trust)
    const { fingerprint } = this.#trust.own
    const undeclared = this.#trust.signers.length === 0
    if ((!this.#writer && !undeclared) || keys.some(key => key.fingerprint === fingerprint)) return
    const now = keys.map(key => key.fingerprint).join(', ') || 'no key'
    throw new CratewrightError(
      'RecordForged',
      `${this.ref} is signed by ${now} now, and the key given is ${fingerprint}, which is no declared signer`,
      { todo: rotateAdvice },
    )
  }

  async #descends(ancestor: Oid, descendant: Oid, signal: AbortSignal): Promise<boolean> {
    if (ancestor === descendant) return true
    return this.repository.isAncestor(ancestor, descendant, signal).catch(error => {
      // A commit that the server no longer has cannot be an ancestor.
      if (error instanceof CratewrightError && error.code === 'GitObjectMissing') return false
      throw error
    })
  }
}
