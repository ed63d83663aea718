/** Statements that somebody would like to count, or not to count, told in beats: what is pushed, and what stands after it. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { parse } from 'yaml'
import {
  formatStatement,
  maxStatementBytes,
  type Statement,
  signStatement,
} from '../../controller/records/statement.ts'
import { record } from '../kinds/requests/helpers.ts'
import { makePerson, type PersonWithKey } from '../support/people.ts'
import { patients, type World } from '../support/world.ts'

export const cohort = [{ name: 'cohort', tables: [patients] }]
const date = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

/** Content by path in the request's folder; undefined: it is removed. */
export type Files = Readonly<Record<string, string | undefined>>

export type Member = { readonly who: 'a' | 'b'; readonly notBefore?: string }

export interface Beat {
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

export interface Row {
  readonly project: string
  readonly quorum?: 2
  readonly members?: readonly Member[]
  readonly coAuthor?: 'a'
  readonly beats: readonly ((on: Stage) => Promise<Beat>)[]
}

/** One project with two approvers of its own, who have a second key each. */
export class Stage {
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

export function signedText(text: string, { key }: PersonWithKey, as: string, digest: string): Record<string, string> {
  const path = `sign-offs/${digest.slice(0, 16)}/${as}.yaml`
  return { [path]: text, [`${path}.sig`]: signStatement(key, Buffer.from(text)) }
}

/** The same files under another name. */
function renamed(files: Files, from: string, to: string): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([path, text]) => [path.replace(from, to), text ?? '']))
}

export function removed(files: Files): Files {
  return Object.fromEntries(Object.keys(files).map(path => [path, undefined]))
}

export const unknown = /it is signed by a key that belongs to nobody registered/
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

export const rows: readonly Row[] = [
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
