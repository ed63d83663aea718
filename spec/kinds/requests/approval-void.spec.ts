import assert from 'node:assert/strict'
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StoredStatus } from '../../../controller/engine/store/store.ts'
import { startPostgres } from '../../support/postgres.ts'
import { phaseOf, smallDatabase, type TableWish, World } from '../../support/world.ts'
import { approveAll, explained, type Gate, openGate, reasonsOf, requestDetail } from './helpers.ts'

const database = `${smallDatabase}
  create table clinic.base (id integer primary key, name text);
  insert into clinic.base select i, 'name ' || i from generate_series(1, 50) i;
  create table clinic.typed as select id from clinic.base;
  create view clinic.plain as select id, name from clinic.base;
  create view clinic.plain_late as select id, name from clinic.base;
  create function clinic.rise(integer) returns integer language sql immutable as 'select $1 + 1';
  create view clinic.risen as select id, clinic.rise(id) as name from clinic.base;
`
const base: TableWish = { name: 'base', columns: { id: 'integer', name: 'text' } }

/** When, after which recorded step, the world is changed. */
type Moment = 'SignedOff' | 'Staged' | 'Disclosed' | 'Sealed'

interface Row {
  readonly project: string
  readonly table?: TableWish
  readonly at: Moment
  readonly change: (world: World) => unknown
  /** Of the ApprovalVoid in the log. */
  readonly says: RegExp
  readonly generation: number
  /** What it waits for then. */
  readonly waits: string
  /** What `explain` says is to be done. */
  readonly todo: RegExp
  readonly heal: 'approve again' | 'correct the request' | 'reconcile' | 'new release'
}

const purpose = (world: World, project: string, text: string) =>
  world.commit('rob', request(world, project, { governance: { purpose: text } }))

const staged = (world: World, project: string, path = '') => join(world.folder, 'staging', project, '1', path)
const output = 'data/outputs/cohort/base.csv'

function flip(path: string): void {
  const content = readFileSync(path)
  content[content.length - 2]! ^= 1
  writeFileSync(path, content)
}

const approveAgain = { waits: 'WaitingForSignOff', todo: /runs `cratewright sign-off/, heal: 'approve again' } as const
const stageAgain = {
  generation: 1,
  waits: 'ApprovalVoid',
  todo: /stage again with `cratewright reconcile`/,
  heal: 'reconcile',
} as const
const releaseAgain = {
  waits: 'ReleaseTaken',
  todo: /Set `release: 2` in cr8-governance\.yaml/,
  heal: 'new release',
} as const

const rows: readonly Row[] = [
  {
    project: 'changed-signed-off',
    at: 'SignedOff',
    change: world => purpose(world, 'changed-signed-off', 'another'),
    says: /the request was changed by commit [0-9a-f]{12}, which voids its approvals/,
    generation: 2,
    ...approveAgain,
  },
  {
    project: 'changed-staged',
    at: 'Staged',
    change: world => purpose(world, 'changed-staged', 'another'),
    says: /the request was changed by commit/,
    generation: 2,
    ...approveAgain,
  },
  {
    project: 'changed-disclosed',
    at: 'Disclosed',
    change: world => purpose(world, 'changed-disclosed', 'another'),
    says: /the request was changed by commit/,
    generation: 2,
    ...approveAgain,
  },
  {
    project: 'there-and-back',
    at: 'Disclosed',
    change: async world => {
      await purpose(world, 'there-and-back', 'another')
      await world.commit('rob', request(world, 'there-and-back'))
    },
    says: /the request was changed by commit/,
    generation: 3,
    ...approveAgain,
  },
  {
    project: 'view-changed',
    table: { name: 'plain', columns: { id: 'integer', name: 'text' } },
    at: 'Disclosed',
    change: world =>
      world.postgres.load(
        world.database,
        'create or replace view clinic.plain as select id, upper(name) as name from clinic.base',
      ),
    says: /tables, views or columns of the source changed/,
    generation: 1,
    ...approveAgain,
  },
  {
    project: 'function-changed',
    table: { name: 'risen', columns: { id: 'integer', name: 'integer' } },
    at: 'Disclosed',
    change: world =>
      world.postgres.load(
        world.database,
        "create or replace function clinic.rise(integer) returns integer language sql immutable as 'select $1 * 100'",
      ),
    says: /tables, views or columns of the source changed/,
    generation: 1,
    ...approveAgain,
  },
  {
    project: 'column-changed',
    table: { name: 'typed', columns: { id: 'integer' } },
    at: 'Disclosed',
    change: world => world.postgres.load(world.database, 'alter table clinic.typed alter id type bigint'),
    says: /the source changed since the sign-off: column "id"/,
    generation: 1,
    waits: 'ColumnTypeDiffers',
    todo: /Correct the request/,
    heal: 'correct the request',
  },
  {
    project: 'connection-changed',
    at: 'Disclosed',
    change: world =>
      world.declare({ 'own.yaml': [connection(world, 'own', ['connection-changed'], world.postgres.port)] }),
    says: /the connection or the store of this request was changed, which voids its approvals/,
    generation: 2,
    ...approveAgain,
  },
  {
    project: 'byte-flipped',
    at: 'Disclosed',
    change: world => flip(staged(world, 'byte-flipped', output)),
    says: /the staged file data\/outputs\/cohort\/base\.csv is not the one that was approved/,
    ...stageAgain,
  },
  {
    project: 'line-added',
    at: 'Staged',
    change: world => appendFileSync(staged(world, 'line-added', output), '51,smuggled\n'),
    says: /the staged file data\/outputs\/cohort\/base\.csv is not the one that was approved/,
    ...stageAgain,
  },
  {
    project: 'file-added',
    at: 'Disclosed',
    change: world => writeFileSync(staged(world, 'file-added', 'data/outputs/cohort/more.csv'), 'id\n1\n'),
    says: /a file that was not extracted lies in staging: "data\/outputs\/cohort\/more\.csv"/,
    ...stageAgain,
  },
  {
    project: 'file-removed',
    at: 'Disclosed',
    change: world => rmSync(staged(world, 'file-removed', output)),
    says: /the staged file data\/outputs\/cohort\/base\.csv is gone/,
    ...stageAgain,
  },
  {
    project: 'sealed-changed',
    at: 'Sealed',
    change: world => purpose(world, 'sealed-changed', 'another'),
    says: /the request was changed by commit/,
    generation: 2,
    ...releaseAgain,
  },
  {
    project: 'sealed-there-and-back',
    at: 'Sealed',
    change: async world => {
      await purpose(world, 'sealed-there-and-back', 'another')
      await world.commit('rob', request(world, 'sealed-there-and-back'))
    },
    says: /the request was changed by commit/,
    generation: 3,
    ...releaseAgain,
  },
  {
    project: 'sealed-byte-flipped',
    at: 'Sealed',
    change: world => flip(staged(world, 'sealed-byte-flipped', output)),
    says: /the file data\/outputs\/cohort\/base\.csv is not the one that was approved and sealed/,
    generation: 1,
    ...releaseAgain,
  },
  {
    project: 'sealed-file-added',
    at: 'Sealed',
    change: world => writeFileSync(staged(world, 'sealed-file-added', 'notes.txt'), 'x'),
    says: /a file that is not part of the release lies in it: "notes\.txt"/,
    generation: 1,
    ...releaseAgain,
  },
  {
    project: 'sealed-tag-changed',
    at: 'Sealed',
    change: world => appendFileSync(staged(world, 'sealed-tag-changed', 'bag-info.txt'), 'Contact-Phone: 1\n'),
    says: /the file bag-info\.txt is not the one that was approved and sealed/,
    generation: 1,
    ...releaseAgain,
  },
  {
    project: 'sealed-view-changed',
    table: { name: 'plain_late', columns: { id: 'integer', name: 'text' } },
    at: 'Sealed',
    change: world =>
      world.postgres.load(
        world.database,
        'create or replace view clinic.plain_late as select id, lower(name) as name from clinic.base',
      ),
    says: /tables, views or columns of the source changed/,
    generation: 1,
    ...releaseAgain,
  },
]

const projects = rows.map(({ project }) => project)

function request(world: World, project: string, change: { governance?: object } = {}, table?: TableWish) {
  const wanted = table ?? rows.find(row => row.project === project)?.table ?? base
  return world.requestFiles(project, [{ name: 'cohort', tables: [wanted] }], change)
}

function connection(world: World, name: string, allowed: readonly string[], port: number): object {
  const [source] = world.platform()['sources.yaml'] as { kind: string; metadata: object; spec: object }[]
  return { ...source, metadata: { name }, spec: { ...source?.spec, projects: allowed, port } }
}

describe('an approval', () => {
  let world: World
  let gate: Gate
  let broken: Map<string, StoredStatus>

  /** All go the same way at once, each stopped behind the step at which its world is changed. */
  before(async () => {
    gate = await openGate((await startPostgres()).port)
    world = await World.make({
      sql: database,
      manifests: made => ({
        'sources.yaml': [
          connection(
            made,
            'warehouse',
            [...projects.filter(name => name !== 'connection-changed'), 'untouched'],
            made.postgres.port,
          ),
        ],
        'own.yaml': [connection(made, 'own', ['connection-changed'], gate.port)],
      }),
    })
    const all = [...projects, 'untouched']
    await world.commit('rob', Object.assign({}, ...all.map(project => request(world, project))))
    const at = (...moments: Moment[]) => rows.filter(row => moments.includes(row.at)).map(({ project }) => project)
    const change = async (moment: Moment) => {
      for (const row of rows) if (row.at === moment) await row.change(world)
    }
    phases(await world.run(), all, 'Validated')
    await approveAll(world, all, 'SignOff')
    phases(await stopping(at('SignedOff'), 'sign-off'), at('SignedOff'), 'SignedOff')
    const approved = all.filter(project => !at('SignedOff').includes(project))
    await approveAll(world, approved, 'Disclosure')
    await change('SignedOff')
    await change('Staged')
    const disclosed = await stopping([...at('Disclosed'), ...at('Sealed'), 'untouched'], 'disclosure')
    phases(disclosed, [...at('Disclosed'), ...at('Sealed'), 'untouched'], 'Disclosed')
    await change('Disclosed')
    await stopping(at('Sealed'), 'close')
    for (const project of at('Sealed')) assert.ok((await world.steps(project)).includes('close done'), project)
    await change('Sealed')
    broken = await world.run()
  })

  after(() => gate.close())

  /** A run in which these stop behind a step. */
  function stopping(these: readonly string[], action: string) {
    return world.run({ stopAfter: ({ name }, step) => these.includes(name) && step.action === action })
  }

  function phases(statuses: Map<string, StoredStatus>, of: readonly string[], phase: string): void {
    for (const project of of) assert.equal(phaseOf(statuses.get(project)), phase, project)
  }

  it('publishes what nobody touched', () => {
    assert.equal(phaseOf(broken.get('untouched')), 'Published')
  })

  for (const { project, at, says, generation, waits, todo } of rows) {
    it(`is void, and nothing is published: ${project}, ${at}`, async () => {
      const log = await world.log(project)
      const voids = log.filter(({ error }) => error?.code === 'ApprovalVoid')
      assert.equal(voids.length, 1, JSON.stringify(await world.steps(project)))
      assert.match(voids[0]?.error?.message ?? '', says)
      assert.ok(log.every(({ action, result }) => action !== 'publish' || result !== 'done'))
      assert.equal(existsSync(join(world.folder, 'production', project, '1')), false)
      const status = broken.get(project)
      assert.deepEqual(reasonsOf(status), [waits])
      assert.equal(requestDetail(status).generation, generation)
      const text = await explained(world, project)
      assert.match(text, todo)
      assert.match(text, new RegExp(`\\[${waits}\\]`))
    })
  }

  it('stays void however often it is looked at', async () => {
    const before = await Promise.all(projects.map(project => world.steps(project)))
    await world.run()
    assert.deepEqual(await Promise.all(projects.map(project => world.steps(project))), before)
  })

  it('is given again the way that explain says, and then publishes', async () => {
    const to = (...heals: Row['heal'][]) => rows.filter(row => heals.includes(row.heal)).map(({ project }) => project)
    const corrected = request(world, 'column-changed', {}, { name: 'typed', columns: { id: 'bigint' } })
    const next = to('new release').map(project => request(world, project, { governance: { release: 2 } }))
    await world.commit('rob', Object.assign({}, corrected, ...next))
    for (const project of to('reconcile')) {
      const { code, out, err } = await world.cratewright('reconcile', project)
      assert.equal(code, 1, out + err)
      assert.match(out, /: Staged\./)
    }
    await world.run()
    await approveAll(world, to('approve again', 'correct the request', 'new release'), 'SignOff')
    phases(await world.run(), projects, 'Staged')
    await approveAll(world, projects, 'Disclosure')
    phases(await world.run(), projects, 'Published')
    for (const { project, heal, table } of rows) {
      const release = heal === 'new release' ? 2 : 1
      assert.deepEqual(readdirSync(join(world.folder, 'production', project)), [String(release)])
      const path = `data/outputs/cohort/${table?.name ?? 'base'}.csv`
      const lines = readFileSync(join(world.release(project, release), path), 'utf8').split('\n')
      assert.equal(lines.length, 52, project)
    }
    const verdict = await world.cratewright(
      'verify',
      await world.auditor(),
      '--root',
      world.controller.key.public.fingerprint,
    )
    assert.equal(verdict.code, 0, verdict.out + verdict.err)
  })
})
