import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import pg from 'pg'
import { datasetFolder, payloadName } from '../../controller/crate/payload-name.ts'
import { requestFiles } from '../../controller/kinds/requests/documents.ts'
import { parseCsv } from '../data/csv.ts'
import { explained } from '../kinds/requests/helpers.ts'
import { phaseOf, World } from '../support/world.ts'
import { names } from './hostile-names.ts'

/** Text that would begin a line, steer a terminal, or turn the direction of reading. */
const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff\uffff]/

/** Where the controller keeps what is its own. */
const ownFolder = 'staging/.cratewright'

const project = 'p'.repeat(63)
const release = 2_147_483_648
const database = `odd "name" of it's %_ \u65e5\u672c ../x`

const id = (name: string) => pg.escapeIdentifier(name)
const text = (value: string) => pg.escapeLiteral(value)

/** Schemas and tables of each name, and one table with a column of each name; every value is the name of its column. */
const sql = [
  ...names.flatMap(name => [
    `create schema ${id(name)}`,
    `create table ${id(name)}.${id(name)} (${id(name)} text, k integer primary key)`,
    `insert into ${id(name)}.${id(name)} values (${text(name)}, 1)`,
  ]),
  'create schema every',
  `create table every.name (${names.map(name => `${id(name)} text`).join(', ')})`,
  `insert into every.name values (${names.map(text).join(', ')})`,
  ...names.map(name => `create table every.${id(short(name))} as select 1 as k`),
]

/** No more than the 63 bytes that PostgreSQL takes. */
function short(name: string): string {
  return `t ${name}`.slice(0, 22)
}

const column = (name: string, datatype = 'text') => ({ name, datatype })

const datasets = [
  ...names.map(name => ({
    name,
    schema_name: name,
    tables: [{ name, columns: [column(name), column('k', 'integer')] }],
  })),
  {
    name: 'every',
    schema_name: 'every',
    tables: [
      { name: 'name', columns: names.map(name => column(name)) },
      ...names.map(name => ({ name: short(name), columns: [column('k', 'integer')] })),
    ],
  },
]

const users = [
  'rob',
  "O'Brien %_",
  '\u65e5\u672c\u8a9e',
  '../x',
  '/etc/passwd',
  '-rf',
  'CON',
  '\u202eada',
  '\u{1f469}',
  'constructor',
].map((username, index) => ({ username, email: `user${index}@hospital.example`, affiliation: username }))

describe('hostile names in a source', () => {
  let world: World
  let untouched: readonly string[]

  const places = () =>
    ['.', 'staging', 'production', 'people/rob', 'secrets'].flatMap(name =>
      readdirSync(join(world.folder, name)).map(entry => join(name, entry)),
    )

  before(async function () {
    this.timeout(180_000)
    world = await World.make({
      manifests: made => {
        const manifests = made.platform()
        const [source] = manifests['sources.yaml'] as [{ spec: { databases: string[] } }]
        source.spec.databases.push(database)
        return manifests
      },
    })
    const { postgres } = world
    const reader = `reader_${world.database}`
    await postgres.query('postgres', `create database ${id(database)}`)
    const grants = [...names, 'every'].map(
      name =>
        `grant usage on schema ${id(name)} to ${reader}; grant select on all tables in schema ${id(name)} to ${reader}`,
    )
    await postgres.query(database, [...sql, ...grants].join(';\n'))
    untouched = places()
    const source = { name: database, type: 'postgresql', url: '127.0.0.1' }
    const change = {
      governance: {
        release,
        users,
        agreement: '\ufeffsigned \u009b2J \u202e',
        purpose: 'It says "\u001b[2J" and \u202e and\nforged: line',
        project: { name: project, description: 'Odd\nforged: line' },
      },
    }
    const nearly = [
      ...[
        'a'.repeat(64),
        'Select',
        'cafe',
        'space behind',
        'dot behind',
        'line',
        'percent',
        '%sname',
        'ASTHMA',
        '',
        'X',
      ].filter(name => name !== ''),
    ].map(name => ({
      name: `ds-${name}`,
      schema_name: 'every',
      tables: [{ name, columns: [column('k', 'integer')] }],
    }))
    await world.commit('rob', {
      ...world.requestFiles(project, [], change),
      [`projects/${project}/${requestFiles.ingress}`]: JSON.stringify({
        source,
        destination: { type: 'filestore', name: 'lsc', format: 'csv' },
        datasets,
      }),
      ...world.requestFiles('nearly', [], { ingress: { source, datasets: nearly } }),
    })
  })

  let shown = ''
  async function command(...argv: string[]): Promise<string> {
    const { code, out, err } = await world.cratewright(...argv)
    assert.equal(code, 0, err || out)
    shown += `${out}\n${err}\n`
    return out
  }

  it('are extracted, disclosed and published where they exist', async function () {
    this.timeout(180_000)
    await command('plan', project)
    const validated = (await world.run()).get(project)
    assert.equal(phaseOf(validated), 'Validated', JSON.stringify(validated?.waits))
    const { code, out, err } = await world.signOff('dana', project)
    assert.equal(code, 0, err)
    shown += out + err
    const staged = (await world.run()).get(project)
    assert.equal(phaseOf(staged), 'Staged', JSON.stringify(staged?.waits))
    const disclosed = await world.disclose('dana', project)
    assert.equal(disclosed.code, 0, disclosed.err)
    shown += disclosed.out + disclosed.err
    assert.equal(phaseOf((await world.run()).get(project)), 'Published')
  })

  it('have the bytes that the source has, in files that every file system takes', () => {
    const outputs = join(world.release(project, release), 'data/outputs')
    const read = (dataset: string, schema: string, table: string) =>
      parseCsv(readFileSync(join(outputs, datasetFolder(dataset), `${payloadName(schema, table)}.csv`), 'utf8'))
    for (const name of names) {
      assert.deepEqual(read(name, name, name), [
        [name, 'k'],
        [name, '1'],
      ])
      assert.deepEqual(read('every', 'every', short(name)), [['k'], ['1']])
    }
    assert.deepEqual(read('every', 'every', 'name'), [names, names])
    const files = readdirSync(outputs, { recursive: true, withFileTypes: true })
    for (const { name } of files) assert.match(name, /^[a-z0-9][a-z0-9_-]{0,99}(\.csv)?$/)
    const folded = files.map(({ parentPath, name }) => join(parentPath, name).toLowerCase())
    assert.equal(new Set(folded).size, folded.length)
    assert.equal(files.filter(entry => entry.isFile()).length, 2 * names.length + 1)
  })

  it('write nothing outside of the folders of the release', () => {
    const now = places()
    const added = now.filter(place => !untouched.includes(place) && place !== ownFolder).sort()
    assert.deepEqual(added, [`production/${project}`, `staging/${project}`, 'work'].sort())
    assert.deepEqual(readdirSync(join(world.folder, 'production', project)), [String(release)])
    for (const store of ['staging', 'production'])
      for (const entry of readdirSync(join(world.folder, store), { recursive: true, withFileTypes: true })) {
        if (join(entry.parentPath, entry.name).startsWith(join(world.folder, ownFolder))) continue
        assert.ok(entry.isFile() || entry.isDirectory())
        assert.match(
          relative(join(world.folder, store), join(entry.parentPath, entry.name)),
          new RegExp(`^${project}(/|$)`),
        )
      }
  })

  it('are in a release that verifies, as a clone and as a bag', async () => {
    const root = world.controller.key.public.fingerprint
    await command('verify', await world.auditor(), '--root', root)
    await command('verify', world.release(project, release), '--root', root)
  })

  it('never begin a line of what is printed, nor steer the terminal', async () => {
    await command('explain', project)
    await command('get', '--json')
    await command('reconcile', project)
    assert.doesNotMatch(shown, unseen)
    assert.doesNotMatch(shown, /^\W*forged: line/m)
    assert.ok(shown.includes('line\\nforged: line'))
    assert.ok(shown.includes('\\u202egpj.exe'))
  })

  it('are not found by names that are cut, folded or mended', async () => {
    const status = (await world.run()).get('nearly')
    assert.deepEqual(new Set(status?.waits.map(({ reason }) => reason)), new Set(['TableNotAvailable']))
    const said = await explained(world, 'nearly')
    for (const name of ['a'.repeat(64), 'Select', 'cafe', 'space behind', 'ASTHMA', '%sname'])
      assert.ok(said.includes(`table "every"."${name}": not found or not allowed`), name)
  })
})
