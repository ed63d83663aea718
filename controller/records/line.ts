/**
 * Which commits of a records branch count. A commit counts where it stands on one that counts, one of the keys that sign at
 * this place signed it, and it takes nothing away from a log. What does not count is foreign; a commit that counts may take
 * foreign ones back. The controller and `verify` judge with the same function.
 */

import type { CommitSignature, Oid } from '../git/repository.ts'
import type { SshPublicKey } from '../runtime/ssh-key.ts'
import { type BranchEntry, type BranchHistory, emptyBranchHistory, readBranchLog, rotatedKey } from './branch-log.ts'

export interface DeclaredSigner {
  readonly key: SshPublicKey
  /** The first and the last commit it signs for; absent: from the beginning, for ever. */
  readonly from?: Oid
  readonly until?: Oid
}

export interface LineTrust {
  /** What an admin declared; empty: whoever signed the first commit, and the keys it rotated to. */
  readonly signers: readonly DeclaredSigner[]
  /** The declared first commit. */
  readonly root: Oid | undefined
}

export interface LineCommit {
  readonly oid: Oid
  readonly parents: readonly Oid[]
  readonly signature: CommitSignature
  /** The id of the folder `log` at the commit. */
  readonly log: Oid | undefined
  /** Entries of logs that it changed or removed, against its parent. */
  readonly altered: readonly string[]
}

export interface LineRoom {
  /** The files of the branch's own log at a commit, by name. */
  logAt(commit: Oid): Promise<ReadonlyMap<string, Uint8Array>>
  changed(from: Oid, to: Oid): Promise<readonly string[]>
}

/** Why a commit does not count with which nothing else is wrong. */
export const standsOnForeign = 'stands on a commit that does not count'

/** Who signs, behind a commit. */
interface Signing {
  /** Keys that others rotated to, by fingerprint. */
  readonly added: ReadonlyMap<string, SshPublicKey>
  readonly retired: ReadonlySet<string>
  /** Of the commits that ranges name, those that lie at or before this one. */
  readonly passed: ReadonlySet<Oid>
}

/** A commit that counts. */
export interface LineNode {
  readonly oid: Oid
  readonly parents: readonly Oid[]
  readonly depth: number
  /** The commit that counts before it: its parent, or the one whose tree it restored. */
  readonly before: LineNode | undefined
  readonly signer: SshPublicKey | undefined
  readonly log: Oid | undefined
  readonly history: BranchHistory
  readonly signing: Signing
  /** What it notes about the branch. */
  readonly entry: BranchEntry | undefined
}

export interface ForeignCommit {
  readonly oid: Oid
  readonly reason: string
  /** A key made a good signature over it: that of somebody else, or one that did not sign then. */
  readonly key: SshPublicKey | undefined
  /** The commit that took it back; undefined: none did. */
  readonly answer: Oid | undefined
}

export interface Line {
  /** The last commit that counts; undefined where not even the first does. */
  readonly good: LineNode | undefined
  /** From the beginning, or behind where it was begun, to the last that counts. */
  readonly nodes: readonly LineNode[]
  /** Oldest first. */
  readonly foreign: readonly ForeignCommit[]
}

/** A commit that is known to count, with what lies there: where a later look begins. */
export function knownNode(
  commit: { oid: Oid; log: Oid | undefined; history: BranchHistory; passed: ReadonlySet<Oid> },
  { signers }: LineTrust,
  own: SshPublicKey,
): LineNode {
  const start: Signing = { added: new Map(), retired: new Set(), passed: commit.passed }
  const rotated = commit.history.entries.reduce(rotatedBy, start)
  // Without declared signers and rotations, the first commit's signer is the own key: it was checked before.
  const added = rotated.added.size === 0 && signers.length === 0 ? new Map([[own.fingerprint, own]]) : rotated.added
  const { oid, log, history } = commit
  return {
    oid,
    parents: [],
    depth: 0,
    before: undefined,
    signer: undefined,
    log,
    history,
    signing: { ...rotated, added },
    entry: undefined,
  }
}

/** @param commits all that are reachable from the tip and not from `start`, parents before children */
export async function judgeLine(
  commits: readonly LineCommit[],
  start: LineNode | undefined,
  trust: LineTrust,
  room: LineRoom,
): Promise<Line> {
  const nodes = new Map<Oid, LineNode>(start ? [[start.oid, start]] : [])
  const behind = new Map<Oid, LineNode>(nodes)
  const ever = new Set([...trust.signers.map(({ key }) => key.fingerprint), ...(start?.signing.added.keys() ?? [])])
  const defects = new Map<Oid, string>()
  let good = start
  for (const commit of commits) {
    const found = commit.parents
      .flatMap(parent => behind.get(parent) ?? [])
      .reduce<LineNode | undefined>((best, node) => (best && !isBetter(node, best, trust) ? best : node), undefined)
    const judged = await judgeCommit(commit, nodes, ever, { trust, room, begins: start === undefined, found })
    const last = typeof judged === 'string' ? found : judged
    if (last) behind.set(commit.oid, last)
    if (typeof judged === 'string') defects.set(commit.oid, judged)
    else {
      nodes.set(commit.oid, judged)
      for (const fingerprint of judged.signing.added.keys()) ever.add(fingerprint)
      // Of two lines that both count, one was left behind: an old one that an admin gave up, and somebody merged in again.
      if (!good || judged.before === good || isBetter(judged, good, trust)) good = judged
    }
  }
  const line: LineNode[] = []
  for (let node = good; node && node !== start; node = node.before) line.unshift(node)
  return { good, nodes: line, foreign: foreignOf(commits, line, start, defects) }
}

interface JudgeRoom {
  readonly trust: LineTrust
  readonly room: LineRoom
  readonly begins: boolean
  /** The last that counts of what the commit stands on, with foreign ones between or without. */
  readonly found: LineNode | undefined
}

/** The commit as one that counts, or why it does not. */
async function judgeCommit(
  commit: LineCommit,
  nodes: ReadonlyMap<Oid, LineNode>,
  ever: ReadonlySet<string>,
  { trust, room, begins, found }: JudgeRoom,
): Promise<LineNode | string> {
  const { oid, parents, signature, log } = commit
  if (parents.length > 1) return 'is a merge; the controller makes none'
  if (signature.state === 'none') return 'is not signed'
  if (signature.state === 'bad') return `has a bad signature (${signature.reason})`
  if (signature.state === 'unsupported') return `is signed with ${signature.format}, which no signer uses`
  const { key } = signature
  const [parent] = parents
  if (parent === undefined) {
    if (!begins || (trust.root !== undefined && oid !== trust.root)) return 'is another first commit'
    const first = {
      added: new Map(trust.signers.length === 0 ? [[key.fingerprint, key]] : []),
      retired: new Set<string>(),
    }
    const signing = { ...first, passed: passedBy(new Set(), oid, trust) }
    if (!signs(key, oid, { ...signing, passed: new Set() }, trust)) return notSigner(key, signing)
    if (log !== undefined) return 'is a first commit with a log'
    return {
      oid,
      parents,
      depth: 1,
      before: undefined,
      signer: key,
      log,
      history: emptyBranchHistory,
      signing,
      entry: undefined,
    }
  }
  const above = nodes.get(parent)
  const unchangedLog = above !== undefined && above.log === log
  // Only somebody who has signed here makes it worth reading what the branch says of itself.
  if (!unchangedLog && !ever.has(key.fingerprint)) return notSigner(key, above?.signing)
  const noted = unchangedLog ? undefined : readBranchLog(await room.logAt(oid))
  const entry = noted?.history.entries.at(-1)
  const before = entry?.restore ? nodes.get(entry.restore.good) : above
  if (!before) return standsOnForeign
  if (!signs(key, oid, before.signing, trust)) return notSigner(key, before.signing)
  // Who goes back to a time at which a key still signed does not make it sign again.
  if (found && isOver(key, found, trust)) return notSigner(key, found.signing)
  if (commit.altered.length > 0 && !entry?.restore) return `changes or removes a log entry, ${commit.altered[0]}`
  const reason = noted && (await noteDefect(noted, before, key, oid, room))
  if (reason) return reason
  const rotated = entry ? rotatedBy(before.signing, entry) : before.signing
  const signing = { ...rotated, passed: passedBy(rotated.passed, oid, trust) }
  return {
    oid,
    parents,
    depth: before.depth + 1,
    before,
    signer: key,
    log,
    history: noted?.history ?? before.history,
    signing,
    entry,
  }
}

/** Why what a commit notes about the branch cannot be so. */
async function noteDefect(
  { history, reason }: { history: BranchHistory; reason?: string },
  before: LineNode,
  key: SshPublicKey,
  oid: Oid,
  room: LineRoom,
): Promise<string | undefined> {
  if (reason) return reason
  const entry = history.entries.at(-1)
  if (!entry || history.entries.length !== before.history.entries.length + 1 || entry.previous !== before.history.head)
    return 'does not continue the log of the branch'
  if (entry.action === 'restore') {
    const other = (await room.changed(before.oid, oid)).find(path => !path.startsWith('log/'))
    if (other !== undefined) return `says that it restores ${before.oid}, and ${other} is another`
  }
  if (entry.action === 'rotate') {
    if (entry.rotate?.old !== key.fingerprint) return 'rotates a key that did not sign it'
    const rotated = rotatedKey(entry)
    if (rotated.reason) return `rotates the key, and ${rotated.reason}`
    if (rotated.key?.fingerprint === key.fingerprint) return 'rotates a key to itself'
  }
  return undefined
}

/** Does this key sign at this commit, behind what `signing` says? */
function signs(
  { fingerprint }: SshPublicKey,
  oid: Oid,
  { added, retired, passed }: Signing,
  trust: LineTrust,
): boolean {
  if (retired.has(fingerprint)) return false
  const declared = trust.signers.filter(({ key }) => key.fingerprint === fingerprint)
  if (declared.length === 0) return added.has(fingerprint)
  return declared.some(
    ({ from, until }) =>
      (from === undefined || from === oid || passed.has(from)) && (until === undefined || !passed.has(until)),
  )
}

/** Was the key rotated to another before here, or did it sign its last commit? */
function isOver({ fingerprint }: SshPublicKey, { signing }: LineNode, { signers }: LineTrust): boolean {
  if (signing.retired.has(fingerprint)) return true
  const declared = signers.filter(({ key }) => key.fingerprint === fingerprint)
  return declared.length > 0 && declared.every(({ until }) => until !== undefined && signing.passed.has(until))
}

/** Of two commits that count, neither on the line of the other: depth is had for nothing, so keys decide first. */
function isBetter(one: LineNode, other: LineNode, trust: LineTrust): boolean {
  const over = (a: LineNode, b: LineNode) => a.signer !== undefined && isOver(a.signer, b, trust)
  const [isOut, otherIsOut] = [over(one, other), over(other, one)]
  if (isOut !== otherIsOut) return otherIsOut
  // A retired key can rotate a second time, at its old place, and to whom it likes.
  const isDeclared = ({ signer }: LineNode) => trust.signers.some(({ key }) => key.fingerprint === signer?.fingerprint)
  if (isDeclared(one) !== isDeclared(other)) return isDeclared(one)
  return one.depth > other.depth
}

/** Keys that could sign the commit, and what lies in it. */
export function signersAt({ oid, before, signing }: LineNode, trust: LineTrust): readonly SshPublicKey[] {
  return keysBehind(before?.signing ?? { ...signing, passed: new Set() }, oid, trust)
}

/** Keys that may sign the next commit. */
export function signersAfter({ signing }: LineNode, trust: LineTrust): readonly SshPublicKey[] {
  return keysBehind(signing, '', trust)
}

function keysBehind(signing: Signing, oid: Oid, trust: LineTrust): readonly SshPublicKey[] {
  const all = new Map([...trust.signers.map(({ key }) => [key.fingerprint, key] as const), ...signing.added])
  return [...all.values()].filter(key => signs(key, oid, signing, trust))
}

function rotatedBy(signing: Signing, entry: BranchEntry): Signing {
  const { key } = entry.rotate ? rotatedKey(entry) : {}
  if (!entry.rotate || !key) return signing
  const added = new Map(signing.added).set(key.fingerprint, key)
  added.delete(entry.rotate.old)
  const retired = new Set(signing.retired).add(entry.rotate.old)
  retired.delete(key.fingerprint)
  return { ...signing, added, retired }
}

function passedBy(passed: ReadonlySet<Oid>, oid: Oid, { signers }: LineTrust): ReadonlySet<Oid> {
  return signers.some(({ from, until }) => from === oid || until === oid) ? new Set([...passed, oid]) : passed
}

function notSigner({ fingerprint }: SshPublicKey, signing: Signing | undefined): string {
  return signing?.retired.has(fingerprint)
    ? `is signed by ${fingerprint}, which was rotated to another key before`
    : `is signed by ${fingerprint}, which is no declared signer`
}

/** Everything that is not on the line, and who took it back. */
function foreignOf(
  commits: readonly LineCommit[],
  line: readonly LineNode[],
  start: LineNode | undefined,
  defects: ReadonlyMap<Oid, string>,
): ForeignCommit[] {
  const parentsOf = new Map(commits.map(({ oid, parents }) => [oid, parents]))
  const settled = new Set([...line.map(({ oid }) => oid), ...(start ? [start.oid] : [])])
  const answers = new Map<Oid, Oid>()
  for (const { oid, parents, entry } of line) {
    if (!entry?.restore) continue
    const left = [...parents]
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      if (settled.has(next) || answers.has(next)) continue
      answers.set(next, oid)
      left.push(...(parentsOf.get(next) ?? []))
    }
  }
  return commits
    .filter(({ oid }) => !settled.has(oid))
    .map(({ oid, signature }) => ({
      oid,
      reason: defects.get(oid) ?? 'was left behind',
      key: signature.state === 'good' ? signature.key : undefined,
      answer: answers.get(oid),
    }))
}
