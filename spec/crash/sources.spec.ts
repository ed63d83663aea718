import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import {
  assertPublished,
  assertSoundLog,
  backends,
  type FragileWorld,
  largeDatabase,
  leftovers,
  makeFragileWorld,
  until,
} from '../support/crash.ts'
import { patients, phaseOf, visits, type World } from '../support/world.ts'

const cohort = [{ name: 'cohort', tables: [visits, patients] }]

describe('a source that changes under a request', function () {
  this.timeout(120_000)
  let fragile: FragileWorld
  let world: World
  before(async () => {
    fragile = await makeFragileWorld({ sql: largeDatabase })
    world = fragile.world
  })
  after(() => fragile.stop())
  afterEach(() => fragile.proxy.mend())

  const sql = (text: string) => world.postgres.load(world.database, text)
  const reader = () => `reader_${world.database}`
  const staged = (project: string, path = '') => join(world.folder, 'staging', project, path)
  const errorsOf = async (project: string) =>
    (await world.log(project)).flatMap(({ action, error }) => (error ? [`${action} ${error.code}`] : []))

  async function signedOff(project: string): Promise<void> {
    await world.ask(project, cohort)
    await world.run()
    assert.equal((await world.signOff('dana', project)).code, 0)
    await world.run({ stopAfter: ({ name }, { action }) => name === project && action === 'sign-off' })
  }

  /** Two more runs of what cannot be done: nothing is left of them, and what people read says what to do. */
  async function stuck(project: string, reason: string, todo: RegExp): Promise<StoredStatus> {
    let status: StoredStatus | undefined
    for (const _ of [1, 2]) status = (await world.run()).get(project)
    assert.ok(status)
    assert.equal(status.report.reason, reason)
    assert.match(status.waits[0]?.todo ?? '', todo)
    assert.deepEqual(leftovers(staged(project)), [])
    return status
  }

  it('by a right that is revoked after validation: nothing is read, and it is approved anew', async () => {
    await signedOff('revoked')
    await sql(`revoke select on clinic.visits from ${reader()}`)
    try {
      const status = await stuck('revoked', 'TableNotAvailable', /ask for another look with `cratewright reconcile`/)
      assert.match(status.report.message, /"clinic"\."visits"/)
      assert.equal(existsSync(staged('revoked', '1')), false)
    } finally {
      await sql(`grant select on clinic.visits to ${reader()}`)
    }
    assert.deepEqual(await errorsOf('revoked'), ['stage-transfer ApprovalVoid', 'validate TableNotAvailable'])
    const { code, out } = await world.cratewright('reconcile', 'revoked')
    assert.equal(code, 1)
    assert.match(out, /^revoked: Validated\..*1 more approval needed/)
    await world.signOff('dana', 'revoked')
    assert.equal(phaseOf((await world.run()).get('revoked')), 'Staged')
    await world.disclose('dana', 'revoked')
    assert.equal(phaseOf((await world.run()).get('revoked')), 'Published')
    await assertPublished(world, 'revoked')
  })

  it('by a right that is revoked between two tables: the dataset is not half there', async () => {
    await signedOff('between')
    fragile.proxy.stallAfter = 500_000
    const running = world.run()
    await fragile.proxy.stalled()
    await sql(`revoke select on clinic.patients from ${reader()}`)
    fragile.proxy.mend()
    try {
      const status = (await running).get('between')
      assert.equal(status?.report.reason, 'SourceFailed')
      assert.match(status?.report.message ?? '', /refuses to read this \(SQLSTATE 42501\)/)
      // What was extracted before is in no note of a finished dataset.
      assert.equal(existsSync(staged('between', '1.work/cohort.json')), false)
      await stuck('between', 'TableNotAvailable', /ask for another look/)
      assert.equal(existsSync(staged('between', '1')), false, 'what was extracted is destroyed')
    } finally {
      await sql(`grant select on clinic.patients to ${reader()}`)
    }
    assert.deepEqual(await errorsOf('between'), [
      'error SourceFailed',
      'stage-transfer ApprovalVoid',
      'validate TableNotAvailable',
    ])
    await assertSoundLog(world, 'between')
  })

  it('by a type that is changed while the transfer waits for the table: nothing of the new shape is staged', async () => {
    await signedOff('reshaped')
    const { port, password } = world.postgres
    const admin = new pg.Client({
      ...{ host: '127.0.0.1', port, user: 'postgres', password, database: world.database, ssl: false },
    })
    await admin.connect()
    await admin.query('begin; lock table clinic.patients in access exclusive mode')
    const running = world.run()
    await until('the transfer waits', async () => (await backends(world, 'LOCK TABLE')).length === 1)
    // A table that is rewritten looks empty to a snapshot taken before.
    await admin.query('alter table clinic.patients alter column name type varchar(50); commit')
    await admin.end()
    const status = (await running).get('reshaped')
    assert.match(status?.report.message ?? '', /columns of table "clinic"\."patients" changed since the approval/)
    await stuck('reshaped', 'ApprovalVoid', /approve again/)
    assert.deepEqual(await errorsOf('reshaped'), ['stage-transfer ApprovalVoid'])
    assert.deepEqual(leftovers(staged('reshaped')), [])
    assert.equal(existsSync(staged('reshaped', '1/data/outputs/cohort/patients.csv')), false)
    await sql('alter table clinic.patients alter column name type text')
    const { out } = await world.cratewright('reconcile', 'reshaped')
    assert.match(out, /^reshaped: Staged\./)
    await assertSoundLog(world, 'reshaped')
  })

  it('by a limit on connections, or a closed door, is noted once and got over', async () => {
    await signedOff('crowded')
    await sql(`alter role ${reader()} connection limit 0`)
    try {
      await stuck('crowded', 'SourceUnreachable', /^Raise the connection limit/)
    } finally {
      await sql(`alter role ${reader()} connection limit -1`)
    }
    await world.postgres.load('postgres', `alter database ${world.database} allow_connections false`)
    try {
      await stuck('crowded', 'SourceFailed', /log of the database server/)
    } finally {
      await world.postgres.load('postgres', `alter database ${world.database} allow_connections true`)
    }
    assert.deepEqual(await errorsOf('crowded'), ['error SourceUnreachable', 'error SourceFailed'])
    assert.equal(phaseOf((await world.run()).get('crowded')), 'Staged')
    await assertSoundLog(world, 'crowded')
  })

  it('by being slower than its time limit says so once, and is read in full when the limit is raised', async () => {
    await sql(`create table clinic.slow (id integer primary key); insert into clinic.slow select generate_series(1, 3);
      create view clinic.slowly as select id from clinic.slow where pg_sleep(0.5) is not null order by id;
      grant select on clinic.slowly to ${reader()}`)
    const [source] = fragile.world.platform()['sources.yaml'] as { spec: object }[]
    const limited = (seconds: number) =>
      world.declare({
        'sources.yaml': [
          { ...source, spec: { ...source?.spec, port: fragile.proxy.port, statementTimeoutSeconds: seconds } },
        ],
      })
    await limited(1)
    await world.ask('slow', [{ name: 'slow', tables: [{ name: 'slowly', columns: { id: 'integer' } }] }])
    await world.run()
    assert.equal((await world.signOff('dana', 'slow')).code, 0)
    await stuck('slow', 'SourceTimeout', /^Raise the time limit/)
    assert.deepEqual(await errorsOf('slow'), ['error SourceTimeout'])
    assert.deepEqual(leftovers(staged('slow')), [])
    await limited(30)
    // What was validated was another connection: it is validated and approved anew, or goes on where the limit is no part of it.
    if (phaseOf((await world.run()).get('slow')) === 'Validated') {
      assert.equal((await world.signOff('dana', 'slow')).code, 0)
      await world.run()
    }
    assert.equal(phaseOf((await world.run()).get('slow')), 'Staged')
    await assertSoundLog(world, 'slow')
  })
})
