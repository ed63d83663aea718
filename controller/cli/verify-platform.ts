/** What the platform repository's history tells beside the records: who was made an approver when, and by whom. */

import type { ApproverGroupSpec, PersonSpec, RepositorySpec } from '../../schemas/generated/types.ts'
import type { Resource, Snapshot } from '../engine/kind.ts'
import { MemoryStore } from '../engine/store/memory.ts'
import type { CommitSignature, GitRepository, Oid } from '../git/repository.ts'
import { readManifests } from '../kinds/platform/reader.ts'
import { approverGroupType, personType, repositoryType } from '../kinds/types.ts'
import { keysOf, personOfKey } from '../records/statement.ts'
import { bad, type Finding, note } from '../records/verify.ts'
import { canonicalJson } from '../runtime/canonical.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { type Clone, fetchRef } from './clone.ts'
import type { NamedCommits } from './verify-histories.ts'

export interface Trust {
  readonly tip: Snapshot
  readonly head: Oid
  readonly repository: GitRepository
  /** The platform at a commit; undefined: it is not in the clone. Without a commit: at the tip. */
  at(commit: Oid | undefined): Promise<Snapshot | undefined>
}

/** Commits of the platform that are looked at; older ones are counted as long ago. */
const maxCommits = 20_000
/** Commits before an approval within which it is told that the right to give it was new. */
const recent = 50
/** Findings of one kind. */
const maxListed = 50

export async function openTrust(trust: Clone, signal: AbortSignal): Promise<Trust> {
  const head = await fetchRef(trust, 'HEAD', signal)
  if (head === undefined) throw new CratewrightError('GitRefMissing', `${trust.folder} has no commit checked out`)
  const seen = new Map<Oid, Promise<Snapshot | undefined>>()
  const at = (commit: Oid): Promise<Snapshot | undefined> => {
    const snapshot = seen.get(commit) ?? snapshotAt(trust.repository, commit, signal).catch(() => undefined)
    seen.set(commit, snapshot)
    return snapshot
  }
  const tip = await at(head)
  if (!tip) throw new CratewrightError('GitObjectMissing', `the platform at ${head} cannot be read`)
  const { repository } = trust
  return { tip, head, repository, at: commit => (commit === undefined ? Promise.resolve(tip) : at(commit)) }
}

async function snapshotAt(repository: GitRepository, commit: Oid, signal: AbortSignal): Promise<Snapshot> {
  const entries = (await repository.list(commit, '', signal)).filter(
    ({ path, mode }) => /\.ya?ml$/.test(path) && mode.startsWith('100'),
  )
  const blobs = await repository.read(
    entries.map(({ oid }) => oid),
    1024 * 1024,
    signal,
  )
  const store = new MemoryStore(() => false)
  store.replace(
    'platform',
    commit,
    readManifests(new Map(entries.map(({ path, oid }) => [path, blobs.get(oid) ?? new Uint8Array()])), {
      repository: 'platform',
      commit,
    }),
  )
  return store.snapshot()
}

export async function judgePlatform(
  trust: Trust,
  named: NamedCommits,
  declared: Resource<RepositorySpec> | undefined,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { repository, head } = trust
  const all = await repository.history({ tip: head, limit: maxCommits }, signal)
  const oids = all.map(({ oid }) => oid)
  const signatures = new Map((await repository.signatures(oids, signal)).map((one, index) => [oids[index] ?? '', one]))
  const line = await repository.history({ tip: head, firstParent: true, limit: maxCommits }, signal)
  const room: PlatformRoom = { trust, signatures, line: line.map(({ oid }) => oid).reverse() }
  const members = await approversOf(named, room)
  return [...unsigned(named, room), ...(await signerEdits(declared, room, signal)), ...members]
}

interface PlatformRoom {
  readonly trust: Trust
  readonly signatures: ReadonlyMap<Oid, CommitSignature>
  /** The branch's own commits, oldest first. */
  readonly line: readonly Oid[]
}

/** What nobody signed is not applied; records that were decided at such a commit were not decided by our rules. */
function unsigned(named: NamedCommits, { signatures }: PlatformRoom): Finding[] {
  const without = [...signatures].filter(([, { state }]) => state !== 'good').map(([oid]) => oid)
  return without.slice(0, maxListed).map(oid => {
    const where = named.platform.get(oid)
    return where === undefined
      ? note(`platform commit ${oid}`, 'has no good SSH signature: the controller does not apply it')
      : bad(where, `was decided at platform commit ${oid}, which has no good SSH signature`)
  })
}

/** Who changed which keys sign the records. */
async function signerEdits(
  declared: Resource<RepositorySpec> | undefined,
  room: PlatformRoom,
  signal: AbortSignal,
): Promise<Finding[]> {
  if (!declared) return []
  const { repository, head } = room.trust
  const paths = [declared.origin.where.file]
  const commits = await repository.history({ tip: head, paths, firstParent: true, limit: maxListed }, signal)
  const signersAt = async (commit: Oid | undefined) => {
    const found = commit && (await room.trust.at(commit))?.get<RepositorySpec>(repositoryType, declared.name)
    return found && canonicalJson(found.spec.records?.signers ?? [])
  }
  const findings: Finding[] = []
  for (const { oid, parents } of commits) {
    const [now, before] = [await signersAt(oid), await signersAt(parents[0])]
    if (now === undefined || before === undefined || now === before) continue
    findings.push(
      note(
        `platform commit ${oid}`,
        `changed records.signers of ${declared.name}; signed by ${await signerOf(oid, room)}`,
      ),
    )
  }
  return findings
}

/**
 * Rights to approve that were there when an approval was counted, and are not there any more: an admin who lists himself,
 * approves, and takes himself out again shows here, and an honest leaver too.
 */
async function approversOf(named: NamedCommits, room: PlatformRoom): Promise<Finding[]> {
  const { trust, line } = room
  const findings: Finding[] = []
  const told = new Set<string>()
  for (const { where, person, phase, platform } of named.approvals) {
    const index = line.indexOf(platform)
    const at = await trust.at(platform)
    if (index < 0 || !at) continue
    const now = new Set(rightsOf(trust.tip, person, phase))
    for (const right of rightsOf(at, person, phase)) {
      const once = `${platform} ${person} ${right}`
      if (now.has(right) || told.has(once) || told.size >= maxListed) continue
      told.add(once)
      const holds = async (place: number) =>
        rightsOf((await trust.at(line[place])) ?? nothing, person, phase).includes(right)
      const from = Math.max(0, index - recent)
      const added = (await holds(from)) ? undefined : await firstWhere(from, index, holds)
      const removed = await firstWhere(index, line.length - 1, async one => !(await holds(one)))
      findings.push(note(where, await tell({ person, right, added, removed }, room)))
    }
  }
  return findings
}

/** A platform without anything: a commit that cannot be read gives nobody a right. */
const nothing: Snapshot = new MemoryStore(() => false).snapshot()

function rightsOf(snapshot: Snapshot, person: string, phase: string): string[] {
  const groups = snapshot
    .list<ApproverGroupSpec>(approverGroupType)
    .filter(({ spec }) => (spec.phases as readonly string[]).includes(phase))
    .filter(({ spec }) => spec.members.some(member => member.person === person))
  const found = snapshot.get<PersonSpec>(personType, person)
  const keys = found ? keysOf({ name: person, spec: found.spec }) : []
  return [...groups.map(({ name }) => `member of ${name}`), ...keys.map(({ fingerprint }) => `key ${fingerprint}`)]
}

/** The first place behind `from`, up to `to`, where it holds: it does not hold at `from`, and does at `to`. */
async function firstWhere(from: number, to: number, holds: (at: number) => Promise<boolean>): Promise<number> {
  let [low, high] = [from, to]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (await holds(middle)) high = middle
    else low = middle
  }
  return high
}

async function tell(
  { person, right, added, removed }: { person: string; right: string; added: number | undefined; removed: number },
  room: PlatformRoom,
): Promise<string> {
  const by = async (at: number) =>
    `platform commit ${room.line[at]}, signed by ${await signerOf(room.line[at] ?? '', room)}`
  const given = added === undefined ? '' : `, given shortly before by ${await by(added)}`
  return `${person} approved with a right that is gone since: ${right}${given}; taken away by ${await by(removed)}`
}

/** The person whose key it was then, or the key. */
async function signerOf(commit: Oid, { signatures, trust }: PlatformRoom): Promise<string> {
  const signature = signatures.get(commit)
  if (signature?.state !== 'good') return 'nobody'
  const persons = ((await trust.at(commit)) ?? trust.tip).list<PersonSpec>(personType)
  const person = personOfKey(
    signature.key,
    persons.map(({ name, spec }) => ({ name, spec })),
  )
  return person ? `${person.name} (${signature.key.fingerprint})` : signature.key.fingerprint
}
