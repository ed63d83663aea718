/** Statements that somebody would like to count, or not to count, told in beats: what is pushed, and what stands after it. */

import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { LogEntry } from '../../controller/engine/kind.ts'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import type { StatementPhase } from '../../controller/kinds/requests/state.ts'
import {
  formatStatement,
  maxStatementBytes,
  type Statement,
  signStatement,
} from '../../controller/records/statement.ts'
import { explained, record, requestDetail } from '../kinds/requests/helpers.ts'
import { commitAll, git, makePerson, type PersonWithKey, push, writeTree } from '../support/people.ts'
import { patients, phaseOf, World } from '../support/world.ts'

const cohort = [{ name: 'cohort', tables: [patients] }]
const date = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

/** Content by path in the request's folder; undefined: it is removed. */
type Files = Readonly<Record<string, string | undefined>>

type Member = { readonly who: 'a' | 'b'; readonly notBefore?: string }

interface Beat {
  /** The keys that a person has from here on. */
  readonly keys?: Partial<Record<'a' | 'b', readonly PersonWithKey[]>>
  readonly members?: readonly Member[]
  readonly request?: object
  readonly files?: Files
  /** The controller stops as soon as the first statement is in the log, and starts again. */
  readonly cut?: true
  readonly phase: string
  /** What is said of a file, by its name without `.yaml`: why it does not count, or that it does. */
  readonly says?: Readonly<Record<string, RegExp | 'counts'>>
  /** Who decided what so far, in the order of the log. */
  readonly votes?: readonly string[]
}

interface Row {
  readonly project: string
  readonly quorum?: 2
  readonly members?: readonly Member[]
  readonly coAuthor?: 'a'
  readonly beats: readonly ((on: Stage) => Promise<Beat>)[]
}

/** One project with two approvers of its own, who have a second key each. */
class Stage {
  readonly world: World
  readonly project: string
  readonly people: Readonly<Record<'a' | 'b' | 'a2' | 'eve' | 'rob', PersonWithKey>>

  constructor(world: World, project: string) {
    this.world = world
    this.project = project
    const own = (name: string) => makePerson(name, join(world.folder, 'people', `${name}-${project}`))
    this.people = { a: own('a'), b: own('b'), a2: own('a2'), eve: world.people.eve, rob: world.people.rob }
  }

  name(who: 'a' | 'b' | 'rob' | 'eve'): string {
    return who === 'a' || who === 'b' ? `${who}-${this.project}` : who
  }

  async prepared(name: string): Promise<Statement> {
    const text = await record(this.world, `projects/${this.project}/prepared/${name}.yaml`)
    assert.ok(text, `nothing is prepared as ${name} for ${this.project}`)
    return parse(text) as Statement
  }

  /** A statement and its signature; `by` is whose key signs it. */
  async sign(
    who: 'a' | 'b' | 'rob' | 'eve',
    decision: Statement['decision'],
    {
      prepared = 'sign-off',
      as = `${prepared}-${who}`,
      by = this.people[who],
      change = {},
    }: { prepared?: string; as?: string; by?: PersonWithKey; change?: Partial<Statement> } = {},
  ): Promise<Record<string, string>> {
    const statement = { ...(await this.prepared(prepared)), decision, person: this.name(who), ...change }
    return signedText(formatStatement(statement), by, as, statement.digests.request)
  }

  /** A statement with a reason that makes it exactly so many bytes. */
  async signOfSize(bytes: number): Promise<Record<string, string>> {
    const statement = { ...(await this.prepared('sign-off')), decision: 'approve' as const, person: this.name('a') }
    const rest = formatStatement({ ...statement, reason: 'x' }).length - 1
    const text = formatStatement({ ...statement, reason: 'x'.repeat(bytes - rest) })
    assert.equal(text.length, bytes)
    return signedText(text, this.people.a, 'sign-off-a', statement.digests.request)
  }
}

function signedText(text: string, { key }: PersonWithKey, as: string, digest: string): Record<string, string> {
  const path = `sign-offs/${digest.slice(0, 16)}/${as}.yaml`
  return { [path]: text, [`${path}.sig`]: signStatement(key, Buffer.from(text)) }
}

/** The same files under another name. */
function renamed(files: Files, from: string, to: string): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([path, text]) => [path.replace(from, to), text ?? '']))
}

function removed(files: Files): Files {
  return Object.fromEntries(Object.keys(files).map(path => [path, undefined]))
}

const unknown = /it is signed by a key that belongs to nobody registered/
const seenBefore = /it was refused when it was first seen: .*; sign again$/
const again = /it says what sign-offs\/[0-9a-f]{16}\/.* says already/

const quiet = (phase: string) => async (): Promise<Beat> => ({ phase })
const approves =
  (phase: string, who: 'a' | 'b' = 'a') =>
  async (on: Stage): Promise<Beat> => ({
    files: await on.sign(who, 'approve'),
    phase,
  })
const publishes = async (on: Stage): Promise<Beat> => ({
  files: await on.sign('a', 'approve', { prepared: 'disclosure' }),
  phase: 'Published',
})

/** Files of an earlier beat, by project. */
const kept = new Map<string, Record<string, string>>()
function keep(on: Stage, files: Record<string, string>): Record<string, string> {
  kept.set(on.project, files)
  return files
}
const keptBy = ({ project }: Stage) => kept.get(project) ?? {}

const rows: readonly Row[] = [
  {
    project: 'key-revoked-before',
    beats: [
      async on => ({
        keys: { a: [on.people.a2] },
        files: await on.sign('a', 'approve'),
        phase: 'Validated',
        says: { 'sign-off-a': unknown },
      }),
      async on => ({ files: await on.sign('a', 'approve', { by: on.people.a2 }), phase: 'Staged' }),
    ],
  },
  {
    project: 'key-added-later',
    beats: [
      async on => ({
        files: await on.sign('a', 'approve', { by: on.people.a2 }),
        phase: 'Validated',
        says: { 'sign-off-a': unknown },
      }),
      async on => ({
        keys: { a: [on.people.a, on.people.a2] },
        phase: 'Validated',
        says: { 'sign-off-a': seenBefore },
        votes: [],
      }),
      async on => ({ files: await on.sign('a', 'approve', { by: on.people.a2 }), phase: 'Staged' }),
    ],
  },
  {
    project: 'member-added-later',
    members: [{ who: 'b' }],
    beats: [
      async on => ({
        files: await on.sign('a', 'approve'),
        phase: 'Validated',
        says: { 'sign-off-a': /is in no group that may approve this$/ },
      }),
      async () => ({
        members: [{ who: 'a' }, { who: 'b' }],
        phase: 'Validated',
        says: { 'sign-off-a': seenBefore },
        votes: [],
      }),
      approves('Staged'),
    ],
  },
  {
    project: 'member-from-tomorrow',
    members: [{ who: 'a', notBefore: date(2) }],
    beats: [
      async on => ({
        files: await on.sign('a', 'approve'),
        phase: 'Validated',
        says: { 'sign-off-a': /is not a member of an approving group at this time$/ },
      }),
      async () => ({
        members: [{ who: 'a', notBefore: date(-1) }],
        phase: 'Validated',
        says: { 'sign-off-a': seenBefore },
        votes: [],
      }),
      approves('Staged'),
    ],
  },
  {
    project: 'key-revoked-before-quorum',
    quorum: 2,
    beats: [
      async on => ({ files: await on.sign('a', 'approve'), phase: 'Validated', says: { 'sign-off-a': 'counts' } }),
      async on => ({
        keys: { a: [on.people.a2] },
        files: await on.sign('b', 'approve'),
        phase: 'Validated',
        votes: ['a approve', 'b approve'],
      }),
      async on => ({
        files: await on.sign('a', 'approve', { by: on.people.a2 }),
        phase: 'Staged',
        votes: ['a approve', 'b approve', 'a approve'],
      }),
    ],
  },
  {
    project: 'key-revoked-after-decision',
    beats: [approves('Staged'), async on => ({ keys: { a: [on.people.a2] }, phase: 'Staged', votes: ['a approve'] })],
  },
  {
    project: 'two-keys-of-one-person',
    quorum: 2,
    beats: [
      async on => ({
        keys: { a: [on.people.a, on.people.a2] },
        files: {
          ...(await on.sign('a', 'approve')),
          ...(await on.sign('a', 'approve', { by: on.people.a2, as: 'with-another-key', change: { reason: 'again' } })),
        },
        phase: 'Validated',
        says: { 'sign-off-a': 'counts', 'with-another-key': again },
        votes: ['a approve'],
      }),
    ],
  },
  {
    project: 'signed-twice-then-withdrawn',
    quorum: 2,
    beats: [
      async on => ({
        files: {
          ...(await on.sign('a', 'approve')),
          ...(await on.sign('a', 'approve', { as: 'z-second', change: { reason: 'the same again' } })),
        },
        phase: 'Validated',
        says: { 'sign-off-a': 'counts', 'z-second': again },
      }),
      async on => ({
        files: await on.sign('a', 'withdraw', { as: 'withdraw-sign-off-a' }),
        phase: 'Validated',
        says: {
          'withdraw-sign-off-a': 'counts',
          'z-second': /it was prepared at log entry 3, and a-.* took the approval back at entry 5$/,
        },
        votes: ['a approve', 'a withdraw'],
      }),
      async on => ({ files: await on.sign('b', 'approve'), phase: 'Validated' }),
      async on => ({
        files: await on.sign('a', 'approve'),
        phase: 'Staged',
        votes: ['a approve', 'a withdraw', 'b approve', 'a approve'],
      }),
    ],
  },
  {
    project: 'withdrawn-given-withdrawn',
    quorum: 2,
    beats: [
      async on => ({ files: keep(on, await on.sign('a', 'approve')), phase: 'Validated', votes: ['a approve'] }),
      async on => ({ files: await on.sign('a', 'withdraw', { as: 'w' }), phase: 'Validated' }),
      async on => ({ files: await on.sign('a', 'approve'), phase: 'Validated', says: { 'sign-off-a': 'counts' } }),
      async on => ({
        files: await on.sign('a', 'withdraw', { as: 'w' }),
        phase: 'Validated',
        votes: ['a approve', 'a withdraw', 'a approve', 'a withdraw'],
      }),
      // What was approved at first is put back, under its old name and another.
      async on => ({
        files: {
          ...keptBy(on),
          ...renamed(keptBy(on), 'sign-off-a', 'replayed'),
          ...(await on.sign('b', 'approve')),
        },
        phase: 'Validated',
        says: { replayed: again, 'sign-off-b': 'counts' },
        votes: ['a approve', 'a withdraw', 'a approve', 'a withdraw', 'b approve'],
      }),
    ],
  },
  {
    project: 'deleted-after-use',
    quorum: 2,
    beats: [
      async on => ({ files: keep(on, await on.sign('a', 'approve')), phase: 'Validated' }),
      async on => ({
        files: { ...removed(keptBy(on)), ...(await on.sign('b', 'approve')) },
        phase: 'Staged',
        votes: ['a approve', 'b approve'],
      }),
    ],
  },
  {
    project: 'edited-after-use',
    quorum: 2,
    beats: [
      async on => ({ files: keep(on, await on.sign('a', 'approve')), phase: 'Validated' }),
      async on => ({
        files: Object.fromEntries(
          Object.entries(keptBy(on)).map(([path, text]) => [
            path,
            path.endsWith('.yaml') ? text.replace('approve', 'reject') : text,
          ]),
        ),
        phase: 'Validated',
        says: { 'sign-off-a': /its signature is not valid/ },
        votes: ['a approve'],
      }),
      approves('Staged', 'b'),
    ],
  },
  {
    project: 'copied-under-other-names',
    quorum: 2,
    beats: [
      async on => ({ files: keep(on, await on.sign('a', 'approve')), phase: 'Validated' }),
      async on => ({
        files: {
          ...removed(keptBy(on)),
          ...renamed(keptBy(on), 'sign-off-a', 'sign-off-b'),
          ...renamed(keptBy(on), 'sign-off-a', 'disclosure-a'),
        },
        phase: 'Validated',
        says: { 'sign-off-b': again, 'disclosure-a': again },
        votes: ['a approve'],
      }),
    ],
  },
  {
    project: 'foretold-by-a-vandal',
    beats: [
      async on => ({
        // What a will sign can be foretold to the byte; eve signs it first.
        files: keep(on, await on.sign('a', 'approve', { by: on.people.eve, as: 'first' })),
        phase: 'Validated',
        says: { first: unknown },
      }),
      async on => {
        const [[, text] = ['', '']] = Object.entries(keptBy(on))
        const { digests } = parse(text) as Statement
        return {
          files: signedText(text, on.people.a, 'sign-off-a', digests.request),
          phase: 'Staged',
          votes: ['a approve'],
        }
      },
    ],
  },
  {
    project: 'as-large-as-may-be',
    beats: [async on => ({ files: await on.signOfSize(maxStatementBytes), phase: 'Staged' })],
  },
  {
    project: 'one-byte-too-large',
    beats: [
      async on => ({
        files: await on.signOfSize(maxStatementBytes + 1),
        phase: 'Validated',
        says: { 'sign-off-a': /it has more than 16384 bytes$/ },
      }),
    ],
  },
  {
    project: 'signature-too-large',
    beats: [
      async on => ({
        files: Object.fromEntries(
          Object.entries(await on.sign('a', 'approve')).map(([path, text]) => [
            path,
            path.endsWith('.sig') ? text + '\n'.repeat(maxStatementBytes) : text,
          ]),
        ),
        phase: 'Validated',
        says: { 'sign-off-a': /its signature has more than 16384 bytes$/ },
      }),
    ],
  },
  {
    project: 'signature-of-another-file',
    beats: [
      async on => {
        const [mine, other] = [await on.sign('a', 'approve'), await on.sign('b', 'approve')]
        const swapped = renamed(other, 'sign-off-b', 'sign-off-a')
        const files = Object.keys(mine).map(path => [path, (path.endsWith('.sig') ? swapped : mine)[path]])
        return {
          files: Object.fromEntries(files),
          phase: 'Validated',
          says: { 'sign-off-a': /its signature is not valid/ },
        }
      },
    ],
  },
  {
    project: 'large-file-pointer',
    beats: [
      async on => {
        const files = await on.sign('a', 'approve')
        const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 300\n`
        return {
          files: Object.fromEntries(
            Object.entries(files).map(([path, text]) => [path, path.endsWith('.yaml') ? pointer : text]),
          ),
          phase: 'Validated',
          says: { 'sign-off-a': /it cannot be read: / },
        }
      },
    ],
  },
  {
    project: 'both-in-one-push',
    beats: [
      async on => ({
        files: { ...(await on.sign('a', 'approve')), ...(await on.sign('a', 'reject', { as: 'no' })) },
        phase: 'Rejected',
        votes: ['a approve', 'a reject'],
      }),
    ],
  },
  {
    project: 'given-and-withdrawn-in-one-push',
    beats: [
      async on => ({
        files: { ...(await on.sign('a', 'approve')), ...(await on.sign('a', 'withdraw', { as: 'no' })) },
        phase: 'Validated',
        votes: ['a approve', 'a withdraw'],
      }),
    ],
  },
  {
    project: 'rejected-when-complete',
    beats: [
      approves('Staged'),
      async on => ({
        files: await on.sign('b', 'reject', { prepared: 'withdraw-sign-off' }),
        cut: true,
        phase: 'Rejected',
        votes: ['a approve', 'b reject'],
      }),
    ],
  },
  {
    project: 'withdrawn-and-rejected-at-once',
    beats: [
      approves('Staged'),
      async on => ({
        files: {
          ...(await on.sign('a', 'withdraw', { prepared: 'withdraw-sign-off' })),
          ...(await on.sign('b', 'reject', { prepared: 'withdraw-sign-off' })),
        },
        phase: 'Rejected',
        votes: ['a approve', 'a withdraw', 'b reject'],
      }),
    ],
  },
  {
    project: 'withdrawn-by-who-gave-none',
    beats: [
      approves('Staged'),
      async on => ({
        files: await on.sign('b', 'withdraw', { prepared: 'withdraw-sign-off', as: 'w' }),
        phase: 'Staged',
        says: { w: /b-.* has given no approval that could be taken back$/ },
        votes: ['a approve'],
      }),
    ],
  },
  {
    project: 'taken-back-by-strangers',
    coAuthor: 'a',
    beats: [
      async on => ({
        files: {
          ...(await on.sign('rob', 'withdraw', { prepared: 'withdraw-request', as: 'by-eve', by: on.people.eve })),
          ...(await on.sign('a', 'withdraw', { prepared: 'withdraw-request', as: 'by-co-author' })),
          ...(await on.sign('b', 'withdraw', { prepared: 'withdraw-request', as: 'by-approver' })),
        },
        phase: 'Validated',
        says: {
          'by-eve': unknown,
          'by-co-author': /a-.* neither asks for this data nor wrote this request$/,
          'by-approver': /b-.* neither asks for this data nor wrote this request$/,
        },
        votes: [],
      }),
    ],
  },
  {
    project: 'taken-back-for-an-old-generation',
    beats: [
      async on => {
        keep(on, await on.sign('rob', 'withdraw', { prepared: 'withdraw-request', as: 'old' }))
        return { request: { purpose: 'another' }, phase: 'Validated' }
      },
      async on => ({
        files: keptBy(on),
        phase: 'Validated',
        says: { old: /it is for generation 1 of the request, which is now at 2/ },
      }),
      async on => ({
        files: await on.sign('rob', 'withdraw', { prepared: 'withdraw-request' }),
        cut: true,
        phase: 'Withdrawn',
        votes: ['rob withdraw'],
      }),
    ],
  },
  {
    project: 'recalled-late',
    beats: [
      approves('Staged'),
      publishes,
      async on => ({
        files: {
          ...(await on.sign('a', 'withdraw', { prepared: 'withdraw-disclosure', as: 'v', by: on.people.eve })),
          ...(await on.sign('b', 'withdraw', { prepared: 'withdraw-disclosure', as: 'w' })),
          ...(await on.sign('a', 'withdraw', { prepared: 'withdraw-disclosure', as: 'x', change: { generation: 2 } })),
        },
        phase: 'Published',
        says: {
          v: unknown,
          w: /b-.* has given no approval that could be taken back$/,
          x: /it is for generation 2 of the request, which is now at 1/,
        },
      }),
      async on => ({
        files: await on.sign('a', 'withdraw', { prepared: 'withdraw-disclosure', as: 'y' }),
        cut: true,
        phase: 'Recalled',
        votes: ['a approve', 'a approve', 'a withdraw'],
      }),
    ],
  },
  {
    project: 'recalled-by-a-reject',
    beats: [
      approves('Staged'),
      publishes,
      async on => ({
        files: await on.sign('b', 'reject', { prepared: 'withdraw-sign-off' }),
        phase: 'Recalled',
        votes: ['a approve', 'a approve', 'b reject'],
      }),
      quiet('Recalled'),
    ],
  },
]

describe('statements under attack', function () {
  this.timeout(180_000)
  let world: World
  const stages = new Map<string, Stage>()
  const keys = new Map<string, readonly PersonWithKey[]>()
  const members = new Map<string, readonly Member[]>()
  /** What stood after each beat. */
  const seen = new Map<string, { beat: Beat; status: StoredStatus | undefined; text: string; log: LogEntry[] }[]>()

  before(async () => {
    world = await World.make()
    for (const { project, members: first } of rows) {
      const stage = new Stage(world, project)
      stages.set(project, stage)
      members.set(project, first ?? [{ who: 'a' }, { who: 'b' }])
      for (const who of ['a', 'b'] as const) keys.set(stage.name(who), [stage.people[who]])
    }
    await declare()
    for (const { project, coAuthor } of rows) {
      const by = coAuthor ? `\n\nCo-authored-by: A <${coAuthor}-${project}@hospital.example>` : ''
      if (coAuthor) await world.commit('rob', world.requestFiles(project, cohort), { message: `Ask${by}` })
    }
    const plain = rows.filter(({ coAuthor }) => !coAuthor)
    await world.commit('rob', Object.assign({}, ...plain.map(({ project }) => world.requestFiles(project, cohort))))
    await world.run()
    const longest = Math.max(...rows.map(({ beats }) => beats.length))
    for (let number = 0; number < longest; number++) await play(number)
  })

  async function play(number: number): Promise<void> {
    const beats = new Map<string, Beat>()
    for (const { project, beats: all } of rows) {
      const [make, stage] = [all[number], stages.get(project)]
      if (make && stage) beats.set(project, await make(stage))
    }
    const cut = new Set<string>()
    const files: Record<string, string | undefined> = {}
    const requests: Record<string, string> = {}
    let declared = false
    for (const [project, beat] of beats) {
      const stage = stages.get(project)!
      for (const who of ['a', 'b'] as const) if (beat.keys?.[who]) keys.set(stage.name(who), beat.keys[who])
      if (beat.members) members.set(project, beat.members)
      if (beat.cut) cut.add(project)
      if (beat.request) Object.assign(requests, world.requestFiles(project, cohort, { governance: beat.request }))
      declared ||= beat.keys !== undefined || beat.members !== undefined
      for (const [path, content] of Object.entries(beat.files ?? {})) files[`projects/${project}/${path}`] = content
    }
    if (declared) await declare()
    if (Object.keys(requests).length > 0) await world.commit('rob', requests)
    await pushFiles(world, files)
    if (cut.size > 0) await world.run({ stopAfter: ({ name }, { action }) => cut.has(name) && action === 'statement' })
    const statuses = await world.run({ retries: true })
    for (const [project, beat] of beats) {
      const text = await explained(world, project)
      // Each entry is a process of git's.
      const log = beat.votes ? await world.log(project) : []
      seen.set(project, [...(seen.get(project) ?? []), { beat, status: statuses.get(project), text, log }])
    }
  }

  function declare(): Promise<string> {
    const person = ([name, own]: [string, readonly PersonWithKey[]]) => ({
      kind: 'Person',
      metadata: { name },
      spec: { displayName: name, emails: [`${name}@hospital.example`], keys: own.map(({ publicKey }) => publicKey) },
    })
    const group = ({ project, quorum }: Row) => ({
      kind: 'ApproverGroup',
      metadata: { name: project },
      spec: {
        phases: ['SignOff', 'Disclosure'],
        projects: [project],
        sources: ['*'],
        quorum: quorum ?? 1,
        members: members.get(project)?.map(({ who, ...range }) => ({ person: `${who}-${project}`, ...range })),
      },
    })
    return world.declare({ 'own-people.yaml': [...keys].map(person), 'approvers.yaml': rows.map(group) })
  }

  for (const { project, beats } of rows) {
    it(`count as they are meant to, and no other: ${project}`, () => {
      const played = seen.get(project) ?? []
      assert.equal(played.length, beats.length)
      for (const [number, { beat, status, text, log }] of played.entries()) {
        const where = `beat ${number}: ${text}`
        assert.equal(phaseOf(status), beat.phase, where)
        const { statements } = requestDetail(status)
        for (const [name, says] of Object.entries(beat.says ?? {})) {
          const about = statements.filter(({ path }) => path.endsWith(`/${name}.yaml`))
          assert.equal(about.length, 1, `${name} in ${where}`)
          const [{ path, counts, reason } = { path: '', counts: false, reason: '' }] = about
          assert.equal(counts, says === 'counts', `${name}: ${reason} in ${where}`)
          if (says === 'counts') continue
          assert.match(reason ?? '', says)
          assert.ok(text.includes(`does not count: ${path}\n  Because ${reason}.`), text)
        }
        if (beat.votes) assert.deepEqual(votesIn(log), beat.votes, where)
      }
    })
  }

  it('that did not count are in the log once, with the reason, and no file of others keeps theirs from counting', async () => {
    for (const { project } of rows) {
      const noted = (await world.log(project)).filter(({ action }) => action === 'seen')
      const digests = noted.flatMap(({ facts }) =>
        (facts as unknown as { statements: { sha256: string; key: string; reason: string }[] }).statements.map(
          ({ sha256, key }) => `${sha256} ${key}`,
        ),
      )
      assert.equal(new Set(digests).size, digests.length, project)
    }
  })

  it('are not heard again when nothing changes', async () => {
    const before = await git(world.bare('projects'), 'rev-parse', 'refs/heads/cratewright/records')
    await world.run()
    assert.equal(await git(world.bare('projects'), 'rev-parse', 'refs/heads/cratewright/records'), before)
  })

  it('are judged the same by an auditor', async () => {
    const { code, out, err } = await world.cratewright('verify', await world.auditor())
    assert.equal(code, 0, out + err)
  })

  it('prove nothing by a key that two people have, and both are told', async () => {
    const stage = stages.get('two-keys-of-one-person')!
    keys.set(stage.name('b'), [stage.people.b, stage.people.a])
    await declare()
    await pushFiles(world, inProject(stage.project, await stage.sign('b', 'approve', { by: stage.people.a })))
    const status = (await world.run()).get(stage.project)
    assert.equal(phaseOf(status), 'Validated')
    assert.deepEqual(votesIn(await world.log(stage.project)), ['a approve'])
    assert.match(status?.waits[0]?.message ?? '', /while the platform repository has errors/)
    const { statements } = requestDetail(status)
    assert.match(statements.find(({ path }) => path.endsWith('/sign-off-b.yaml'))?.reason ?? '', unknown)
  })
})

describe('files of a vandal among the sign-offs', function () {
  this.timeout(180_000)
  let world: World

  before(async () => {
    world = await World.make()
    await world.commit('rob', { ...world.requestFiles('calm', cohort), ...world.requestFiles('crowded', cohort) })
    await world.run()
  })

  it('do not hide what approvers sign, and cost little: ten thousand of them', async () => {
    const elapsed = async () => {
      const start = performance.now()
      await world.run()
      return performance.now() - start
    }
    const without = await elapsed()
    const { digests } = parse((await record(world, 'projects/crowded/prepared/sign-off.yaml')) ?? '') as Statement
    const junk: Record<string, string> = {}
    for (let number = 0; number < 10_000; number++)
      junk[`sign-offs/${digests.request.slice(0, 16)}/a${number}.yaml`] = `${number}`
    await pushFiles(world, inProject('crowded', junk))
    const before = (await world.log('crowded')).length
    const first = await elapsed()
    assert.equal((await world.log('crowded')).length, before, 'junk writes nothing into the log')
    assert.ok(first < without * 3 + 5_000, `${first} ms with ten thousand files, ${without} ms without`)
    await world.signOff('dana', 'crowded')
    const status = (await world.run()).get('crowded')
    assert.equal(phaseOf(status), 'Staged', status?.report.message ?? '')
    const { statements } = requestDetail(status)
    assert.ok(statements.length <= 51)
    assert.ok(statements.some(({ reason }) => reason === 'only 50 of its 10001 statements are looked at'))
  })

  it('fill the log with no more than a hundred notes, whatever they are signed with', async () => {
    const text = (await record(world, 'projects/calm/prepared/sign-off.yaml')) ?? ''
    const statement = { ...(parse(text) as Statement), decision: 'approve' as const, person: 'dana' }
    const many = Array.from({ length: 12 }, (_, at) => makePerson(`x${at}`, join(world.folder, 'people', `x${at}`)))
    let removal: Files = {}
    const lengths: number[] = []
    for (let wave = 0; wave < 6; wave++) {
      const files: Record<string, string> = {}
      for (let number = 0; number < 50; number++) {
        const own = formatStatement({ ...statement, reason: `wave ${wave}, ${number}` })
        Object.assign(files, signedText(own, many[number % many.length]!, `a${number}`, statement.digests.request))
      }
      await pushFiles(world, inProject('calm', { ...removal, ...files }))
      removal = removed(files)
      await world.run()
      lengths.push((await world.log('calm')).length)
    }
    const log = await world.log('calm')
    const noted = log
      .filter(({ action }) => action === 'seen')
      .flatMap(({ facts }) => (facts as unknown as { statements: unknown[] }).statements)
    assert.equal(noted.length, 100)
    assert.deepEqual(votesIn(log), [])
    // Once it is full, three hundred more cost no entry.
    assert.equal(lengths.at(-1), lengths[1])
    await world.signOff('dana', 'calm')
    assert.equal(phaseOf((await world.run()).get('calm')), 'Staged')
  })

  it('are nothing that an auditor minds', async () => {
    const { code, out, err } = await world.cratewright('verify', await world.auditor())
    assert.equal(code, 0, out + err)
  })
})

function inProject(project: string, files: Files): Files {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [`projects/${project}/${path}`, content]))
}

/** Whoever pushes a statement adds nothing to it: eve is nobody, and her commit is not signed. */
async function pushFiles(world: World, files: Files): Promise<void> {
  const clone = world.clone('eve')
  await git(clone, 'pull', '--quiet', '--rebase', 'origin', 'main')
  for (const [path, content] of Object.entries(files)) {
    if (content === undefined) rmSync(join(clone, path), { force: true })
    else writeTree(clone, { [path]: content })
  }
  await commitAll(clone, 'Statements', world.people.eve, { sign: undefined })
  await push(clone)
}

function votesIn(log: readonly LogEntry[]): string[] {
  return log
    .filter(({ action }) => action === 'statement')
    .map(({ facts }) => {
      const { person, decision } = facts as { person: string; decision: string; phase: StatementPhase }
      return `${person.replace(/^([ab])-.*/, '$1')} ${decision}`
    })
}
