import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StoredStatus } from '../../../controller/engine/store/store.ts'
import { startPostgres } from '../../support/postgres.ts'
import { type DatasetWish, patients, phaseOf, smallDatabase, World } from '../../support/world.ts'
import { approveAll, explained, type Gate, openGate, reasonsOf, recordsHold } from './helpers.ts'

const injection = "Robert'); DROP TABLE clinic.patients;--"
const outside = '../../escape'
const quoted = (name: string) => `"${name}"`

const database = `${smallDatabase}
  create table clinic.${quoted(injection)} as select 1 as id, 'x' as "select";
  create table clinic.${quoted(outside)} as select 2 as id;
`
const cohort: readonly DatasetWish[] = [{ name: 'cohort', tables: [patients] }]

interface BadMatch {
  readonly project: string
  readonly source?: object
  readonly destination?: object
  readonly waits: readonly (readonly [code: string, says: RegExp])[]
}

const rows: readonly BadMatch[] = [
  {
    project: 'r-database',
    source: { name: 'payroll' },
    waits: [['ConnectionNotMatched', /database payroll on 127\.0\.0\.1$/]],
  },
  {
    project: 'r-host',
    source: { url: 'elsewhere.example' },
    waits: [['ConnectionNotMatched', /on elsewhere\.example$/]],
  },
  { project: 'r-port', source: { port: 1 }, waits: [['ConnectionNotMatched', /on 127\.0\.0\.1:1$/]] },
  { project: 'r-port-in-url', source: { url: '127.0.0.1:1' }, waits: [['ConnectionNotMatched', /on 127\.0\.0\.1:1$/]] },
  { project: 'unlisted', waits: [['ConnectionNotMatched', /lets project unlisted read/]] },
  { project: 'twin', waits: [['ConnectionAmbiguous', /matches several SourceConnections: twin-a, twin-b$/]] },
  {
    project: 'r-store',
    destination: { name: 'attic' },
    waits: [['StoreNotMatched', /no FileStore attic \(there is: lsc, spare\)/]],
  },
  { project: 'r-no-store', destination: { name: undefined }, waits: [['StoreNotMatched', /names no FileStore/]] },
  {
    project: 'r-to-database',
    destination: { type: 'postgresql' },
    waits: [['DestinationNotSupported', /destination type postgresql is not supported yet/]],
  },
  {
    project: 'r-duckdb',
    destination: { format: 'duckdb' },
    waits: [['DestinationNotSupported', /format duckdb is not supported yet/]],
  },
  {
    project: 'r-everything',
    source: { type: 'mysql' },
    destination: { format: 'duckdb', name: 'attic' },
    waits: [
      ['SourceNotSupported', /type mysql/],
      ['DestinationNotSupported', /format duckdb/],
      ['ConnectionNotMatched', /mysql database/],
      ['StoreNotMatched', /attic/],
    ],
  },
]

describe('what a request names', () => {
  let world: World
  let gate: Gate
  let statuses: Map<string, StoredStatus>

  const ask = (
    project: string,
    datasets: readonly DatasetWish[] = cohort,
    source: object = {},
    destination: object = {},
  ) =>
    world.requestFiles(project, datasets, {
      ingress: {
        source: { name: world.database, type: 'postgresql', url: '127.0.0.1', ...source },
        destination: { type: 'filestore', name: 'lsc', format: 'csv', ...destination },
      },
    })

  before(async () => {
    gate = await openGate((await startPostgres()).port)
    world = await World.make({ sql: database, manifests })
    const files = rows.map(({ project, source, destination }) => ask(project, cohort, source, destination))
    await world.commit(
      'rob',
      Object.assign({}, ...files, ask('r-good'), ask('r-good-port', cohort, { port: gate.port })),
    )
    statuses = await world.run()
  })

  after(() => gate.close())

  function manifests(made: World): Record<string, unknown[]> {
    const [source] = made.platform()['sources.yaml'] as { kind: string; metadata: object; spec: object }[]
    const [store] = made.platform()['stores.yaml'] as { kind: string; metadata: object; spec: object }[]
    const connection = (name: string, projects: string[], more: object = {}) => ({
      ...source,
      metadata: { name },
      spec: { ...source?.spec, projects, ...more },
    })
    return {
      'sources.yaml': [
        connection('warehouse', ['r-*']),
        connection('gated', ['r-good-port', 'down'], { port: gate.port }),
        connection('twin-a', ['twin']),
        connection('twin-b', ['twin'], { port: gate.port }),
        connection('locked', ['locked'], {
          credentials: { provider: 'file', username_key: 'db-user', password_key: 'locked-password' },
        }),
        connection('forbidden', ['forbidden'], { host: '10.255.255.1' }),
      ],
      'stores.yaml': [
        store,
        {
          ...(store as object),
          metadata: { name: 'spare' },
          spec: { type: 'directory', staging: '/srv/spare/staging', production: '/srv/spare/production' },
        },
      ],
    }
  }

  for (const { project, waits } of rows) {
    it(`is refused where it is not exactly one thing that an admin declared: ${project}`, async () => {
      const status = statuses.get(project)
      assert.deepEqual(
        reasonsOf(status),
        waits.map(([code]) => code),
      )
      const text = await explained(world, project)
      for (const [index, [code, says]] of waits.entries()) {
        const message = status?.waits[index]?.message ?? ''
        assert.match(message, says)
        assert.ok(message.startsWith(`projects/${project}/resources/data/cr8-ingress.yaml`), message)
        assert.ok(text.includes(`Waiting: ${message} [${code}]\n  To do: ${status?.waits[index]?.todo}`), text)
      }
      assert.deepEqual(await world.steps(project), ['create noted'])
    })
  }

  it('is taken where it is, with the port where that makes it one', () => {
    assert.equal(phaseOf(statuses.get('r-good')), 'Validated')
    assert.equal(phaseOf(statuses.get('r-good-port')), 'Validated')
  })

  it('goes on by itself once an admin declares it', async () => {
    const [database] = rows
    assert.ok(database)
    const declared = manifests(world)
    const sources = declared['sources.yaml'] as { metadata: { name: string }; spec: object }[]
    await world.declare({
      'sources.yaml': sources.map(one =>
        one.metadata.name === 'twin-b' ? { ...one, spec: { ...one.spec, projects: ['nobody'] } } : one,
      ),
    })
    assert.equal(phaseOf((await world.run()).get('twin')), 'Validated')
    await world.declare(declared)
  })

  describe('in the source', () => {
    it('is compared with the catalogue, and every finding is said at once', async () => {
      const columns = { id: 'bigint', born: 'date', weight: 'numeric', name: 'nonsense(((' }
      const tables = [
        { name: 'patients', columns },
        { name: 'secret', columns: { id: 'integer' } },
        { name: 'nowhere', columns: { id: 'integer' } },
        { name: `${injection}x`, columns: { id: 'integer' } },
      ]
      await world.commit('rob', {
        ...ask('r-findings', [{ name: 'cohort', tables }]),
        ...ask('r-no-schema', [{ name: 'cohort', schema: outside, tables: [patients] }]),
      })
      const after = await world.run()
      const findings: readonly (readonly [string, string])[] = [
        ['ColumnTypeDiffers', 'column "id" of "clinic"."patients" is not of the type "bigint"'],
        ['ColumnNotAvailable', 'column "weight" of "clinic"."patients": not found or not allowed'],
        ['ColumnTypeDiffers', 'column "name" of "clinic"."patients" is not of the type "nonsense((("'],
        ['TableNotAvailable', 'table "clinic"."secret": not found or not allowed'],
        ['TableNotAvailable', 'table "clinic"."nowhere": not found or not allowed'],
        ['TableNotAvailable', `table "clinic"."${injection}x": not found or not allowed`],
      ]
      const outcome = (await world.log('r-findings')).at(-1)
      assert.equal(outcome?.result, 'failed')
      assert.deepEqual(
        outcome?.facts?.findings,
        findings.map(([code, message]) => ({ code, message })),
      )
      const status = after.get('r-findings')
      assert.equal(phaseOf(status), 'Failed')
      assert.deepEqual(
        status?.waits.map(({ reason, message }) => [reason, message]),
        findings,
      )
      const text = await explained(world, 'r-findings')
      for (const [, message] of findings) assert.ok(text.includes(message), message)
      assert.deepEqual(reasonsOf(after.get('r-no-schema')), ['TableNotAvailable'])
      const [count] = await world.postgres.query(world.database, 'select count(*)::int as n from clinic.patients')
      assert.equal(count?.n, 200)
    })

    it('is not asked again until the request changes or somebody asks', async () => {
      const steps = await world.steps('r-findings')
      await world.run()
      assert.deepEqual(await world.steps('r-findings'), steps)
      const asked = await world.cratewright('reconcile', 'r-findings')
      assert.equal(asked.code, 2)
      assert.match(asked.out, /not found or not allowed/)
      assert.equal((await world.steps('r-findings')).length, steps.length + 2)
      await world.commit('rob', ask('r-findings'))
      assert.equal(phaseOf((await world.run()).get('r-findings')), 'Validated')
    })

    it('may have any name: it is quoted, mapped, and stays in the store', async () => {
      const datasets: DatasetWish[] = [
        {
          name: outside,
          tables: [
            { name: injection, columns: { id: 'integer', select: 'text' } },
            { name: outside, columns: { id: 'integer' } },
          ],
        },
        { name: 'CON', tables: [{ name: 'patients', columns: { id: 'integer' } }] },
      ]
      await world.commit('rob', ask('r-names', datasets))
      assert.equal(phaseOf((await world.run()).get('r-names')), 'Validated')
      await approveAll(world, ['r-names'], 'SignOff')
      await world.run()
      await approveAll(world, ['r-names'], 'Disclosure')
      const status = (await world.run()).get('r-names')
      assert.equal(phaseOf(status), 'Published', JSON.stringify(status?.waits))
      const outputs = join(world.release('r-names'), 'data/outputs')
      const files = readdirSync(outputs, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
      const paths = files.map(({ parentPath, name }) => join(parentPath, name).slice(outputs.length + 1)).sort()
      for (const path of paths) assert.match(path, /^[a-z0-9][a-z0-9_-]*-[0-9a-f]{8}\/[a-z0-9][a-z0-9_-]*\.csv$/)
      assert.equal(paths.length, 3)
      const read = (start: string) =>
        readFileSync(join(outputs, paths.find(path => path.includes(start)) ?? start), 'utf8')
      assert.equal(read('/robert-drop-table'), 'id,select\n1,x\n')
      assert.equal(read('/escape-'), 'id\n2\n')
      for (const root of [world.folder, join(world.folder, 'production'), join(world.folder, 'production/r-names')])
        assert.deepEqual(
          readdirSync(root).filter(name => name.includes('escape')),
          [],
        )
      assert.deepEqual(readdirSync(join(world.folder, 'production')), ['r-names'])
      const [count] = await world.postgres.query(world.database, 'select count(*)::int as n from clinic.patients')
      assert.equal(count?.n, 200)
    })
  })

  describe('on a host that does not let us in', () => {
    const failure = (code: string) => ['create noted', 'validate started', `error noted ${code}`]
    const short = async (project: string) =>
      (await world.log(project)).map(({ action, event, result, error }) =>
        [action, event === 'outcome' ? result : event, error?.code].filter(word => word !== undefined).join(' '),
      )

    it('is asked again without one more entry, however often, and goes on when the host is back', async () => {
      await gate.close()
      await world.commit('rob', ask('down'))
      for (let run = 0; run < 3; run++) {
        const status = (await world.run()).get('down')
        assert.equal(status?.report.reason, 'SourceUnreachable')
        assert.equal(status?.report.stalled, false)
      }
      assert.equal((await world.run({ retries: true, maxRetries: 2 })).get('down')?.report.reason, 'SourceUnreachable')
      assert.deepEqual(await short('down'), failure('SourceUnreachable'))
      assert.match(
        await explained(world, 'down'),
        /cannot be reached: ECONNREFUSED \[SourceUnreachable\]\n {2}To do: Check/,
      )
      await gate.open()
      assert.equal(phaseOf((await world.run()).get('down')), 'Validated')
      assert.deepEqual(await short('down'), [...failure('SourceUnreachable'), 'validate done'])
    })

    it('says that the password is wrong, and nothing of it', async () => {
      const password = 'canary-wrong-password'
      writeFileSync(join(world.folder, 'secrets/locked-password'), password)
      await world.commit('rob', ask('locked'))
      for (let run = 0; run < 2; run++)
        assert.equal((await world.run()).get('locked')?.report.reason, 'SourceAuthFailed')
      assert.deepEqual(await short('locked'), failure('SourceAuthFailed'))
      assert.match(await explained(world, 'locked'), /refuses the credential.*\[SourceAuthFailed\]/)
      for (const secret of [password, `canary-password-${world.database}`])
        assert.equal(await recordsHold(world, secret), false)
      const right = readFileSync(join(world.folder, 'secrets/db-password'))
      writeFileSync(join(world.folder, 'secrets/locked-password'), right)
      assert.equal(phaseOf((await world.run()).get('locked')), 'Validated')
      assert.deepEqual(await short('locked'), [...failure('SourceAuthFailed'), 'validate done'])
    })

    it('stops for good where the network is not listed, and says so once', async () => {
      await world.commit('rob', ask('forbidden', cohort, { url: '10.255.255.1' }))
      for (let run = 0; run < 2; run++) {
        const status = (await world.run()).get('forbidden')
        assert.deepEqual(reasonsOf(status), ['HostNotAllowed'])
        assert.equal(status?.report.stalled, true)
      }
      assert.deepEqual(await short('forbidden'), ['create noted', 'validate started', 'validate failed HostNotAllowed'])
    })
  })
})
