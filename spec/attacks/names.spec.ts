import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import pg from 'pg'
import { datasetFolder, payloadName } from '../../controller/crate/payload-name.ts'
import { readManifests } from '../../controller/kinds/platform/reader.ts'
import { parseRequest, requestFiles } from '../../controller/kinds/requests/documents.ts'
import { yamlText } from '../../controller/schema/yaml-text.ts'
import { parseCsv } from '../data/csv.ts'
import { explained } from '../kinds/requests/helpers.ts'
import { phaseOf, World } from '../support/world.ts'

/** Every one of them is a name that PostgreSQL takes. */
const names: readonly string[] = [
  `it's`,
  'say "no"',
  'per%cent',
  '%',
  '_',
  '%_%',
  'line\nforged: line',
  'cr\r\nlf',
  'tab\there',
  'a'.repeat(63),
  `${'\u00e9'.repeat(31)}x`,
  '\u65e5\u672c\u8a9e',
  'select',
  'user',
  'CON',
  'con',
  'nul.csv',
  '../x',
  '../../../escape',
  '/etc',
  '/etc/passwd',
  '..',
  '.',
  '.git',
  '-rf',
  '--',
  'space behind ',
  'dot behind.',
  ' space before',
  '\u{1f469}\u{1f3fd}\u200d\u2695\ufe0f',
  '\u202egpj.exe',
  '\u2066isolated\u2069',
  '\u001b[2J',
  '\u009b2J',
  '\u007f',
  '\u0085',
  'line\u2028separator',
  'caf\u00e9',
  'cafe\u0301',
  'Asthma',
  'asthma',
  'back\\slash',
  '..\\x',
  'C:x',
  '~root',
  '$(id)',
  '`id`',
  "Robert'); DROP TABLE clinic.patients;--",
  '%2e%2e%2fx',
  '=1+1',
  'a,b',
  '\ufeffmark',
  '\ufffd',
  '\uffff',
  'NULL',
  'constructor',
  '__proto__',
  'toString',
  '{{x}}',
  '<script>',
  '#',
  '---',
  '*a',
  '&a',
  '!!str',
]

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

describe('hostile names in the documents of a request', () => {
  /** Each name has a line of its own; `line` counts from 1. */
  const governance = (change: Partial<Record<'project' | 'username' | 'email' | 'release', string>>) =>
    [
      'project:',
      `  name: ${change.project ?? 'asthma'}`,
      '  description: About it',
      'users:',
      `- username: ${change.username ?? 'rob'}`,
      `  email: ${change.email ?? 'rob@hospital.example'}`,
      `release: ${change.release ?? '1'}`,
      '',
    ].join('\n')
  const ingress = (
    change: Partial<
      Record<'database' | 'url' | 'port' | 'store' | 'dataset' | 'schema' | 'table' | 'column' | 'datatype', string>
    >,
  ) =>
    [
      'source:',
      `  name: ${change.database ?? 'clinical'}`,
      '  type: postgresql',
      `  url: ${change.url ?? 'warehouse'}`,
      `  port: ${change.port ?? '5432'}`,
      'destination:',
      '  type: filestore',
      `  name: ${change.store ?? 'lsc'}`,
      'datasets:',
      `- name: ${change.dataset ?? 'd'}`,
      `  schema_name: ${change.schema ?? 's'}`,
      '  tables:',
      `  - name: ${change.table ?? 't'}`,
      '    columns:',
      `    - name: ${change.column ?? 'c'}`,
      `      datatype: ${change.datatype ?? 'text'}`,
      '',
    ].join('\n')

  function problemsOf(governanceText: string, ingressText: string): string[] {
    const config = `[bagit-info]\nSource-Organization = 'H'\nOrganization-Address = 'S'\nContact-Name = 'T'\nContact-Email = 'team@hospital.example'\n`
    const files = {
      config,
      governance: governanceText,
      ingress: ingressText,
      deployment: 'environment: {name: test}\n',
    }
    const { documents, problems } = parseRequest(
      new Map(
        Object.entries(files).map(([name, content]) => [
          requestFiles[name as keyof typeof files],
          Buffer.from(content),
        ]),
      ),
      '',
    )
    assert.equal(documents === undefined, problems.length > 0)
    return problems.map(({ code, where }) => `${code} ${where?.file.split('/').at(-1)}:${where?.line}:${where?.column}`)
  }

  const quoted = (values: readonly string[]) => values.map(value => JSON.stringify(value))
  const strict = quoted([
    '',
    ' ',
    'A',
    'a b',
    '-x',
    'x ',
    'x.',
    'a'.repeat(64),
    'a'.repeat(300),
    '../x',
    '/etc',
    '.',
    '..',
    'a/b',
    'a\\b',
    '%',
    '_x',
    '\u00e9',
    'e\u0301',
    '\u{1f469}',
    '\u202ex',
    'x\n',
    'a\nb',
    'x\u0007',
    'CON',
  ])
  const emptyOrLong = quoted(['', 'x'.repeat(301)])
  const lines = quoted(['', 'a\nb', 'a\rb', 'a\tb', '\u001b[2J', '\u007f', 'x'.repeat(301)])
  const notText = ['1', 'true', '~', '[a]', '{a: b}', '1.5']
  const nul = quoted(['a\u0000b', '\u0000'])
  const surrogate = ['"\\ud800"', '"a\\udfff"']

  type Field = readonly [
    file: string,
    place: string,
    make: (value: string) => [string, string],
    refused: readonly string[],
  ]
  const inGovernance =
    (field: Parameters<typeof governance>[0] extends infer T ? keyof T : never) =>
    (value: string): [string, string] => [governance({ [field]: value }), ingress({})]
  const inIngress =
    (field: keyof Parameters<typeof ingress>[0]) =>
    (value: string): [string, string] => [governance({}), ingress({ [field]: value })]

  const fields: readonly Field[] = [
    ['cr8-governance.yaml', '2:3', inGovernance('project'), [...strict, ...notText]],
    ['cr8-governance.yaml', '5:3', inGovernance('username'), [...lines, ...notText]],
    [
      'cr8-governance.yaml',
      '6:3',
      inGovernance('email'),
      [...quoted(['', 'x', '@', 'a@', '@b', 'a@b@c', 'a b@c', 'a@b/c', 'a\n@b', `${'a'.repeat(65)}@b`]), ...notText],
    ],
    ['cr8-governance.yaml', '7:1', inGovernance('release'), ['0', '-1', '1.5', '"1"', '~', '[1]', 'one', 'true']],
    ['cr8-ingress.yaml', '2:3', inIngress('database'), [...emptyOrLong, ...notText]],
    ['cr8-ingress.yaml', '4:3', inIngress('url'), [...lines, ...notText]],
    ['cr8-ingress.yaml', '5:3', inIngress('port'), ['0', '-1', '65536', '"5432"', '1.5', '~']],
    [
      'cr8-ingress.yaml',
      '8:3',
      inIngress('store'),
      [...strict.filter(value => !/^"(A|CON)"$/.test(value)), ...notText],
    ],
    ['cr8-ingress.yaml', '10:3', inIngress('dataset'), [...emptyOrLong, ...notText]],
    ['cr8-ingress.yaml', '11:3', inIngress('schema'), [...emptyOrLong, ...notText]],
    ['cr8-ingress.yaml', '13:5', inIngress('table'), [...emptyOrLong, ...notText]],
    ['cr8-ingress.yaml', '15:7', inIngress('column'), [...emptyOrLong, ...notText]],
    ['cr8-ingress.yaml', '16:7', inIngress('datatype'), [...lines, ...notText]],
  ]

  it('are let through as they are in what the tests change', () => {
    assert.deepEqual(problemsOf(governance({}), ingress({})), [])
  })

  for (const [file, place, make, refused] of fields) {
    it(`are refused at ${file}:${place} where they cannot be one`, () => {
      for (const value of refused)
        assert.deepEqual(problemsOf(...make(value)), [`DocumentInvalid ${file}:${place}`], value)
    })

    it(`are no YAML in ${file}:${place} with NUL, half a character, or more than a number holds`, () => {
      const [line = '', column = ''] = place.split(':')
      const name =
        make('?')
          .join('')
          .split('\n')
          .find(text => text.endsWith(': ?')) ?? ''
      const at = `YamlInvalid ${file}:${line}:${name.length}`
      assert.ok(Number(column) < name.length)
      for (const value of [...nul, ...surrogate, '9007199254740993'])
        assert.deepEqual(problemsOf(...make(value)), [at], value)
    })
  }

  it('of a database are let through where the source may have them', () => {
    for (const name of names) {
      const value = JSON.stringify(name)
      const change = { database: value, dataset: value, schema: value, table: value, column: value }
      assert.deepEqual(problemsOf(governance({}), ingress(change)), [], value)
    }
    for (const number of ['1', '1000000000', '2147483648', '9007199254740991', '0x2', '1e3'])
      assert.deepEqual(problemsOf(governance({ release: number }), ingress({})), [], number)
  })
})

describe('hostile names on the platform', () => {
  const from = { repository: 'platform', commit: 'a'.repeat(40) }
  const specs = {
    Person: { displayName: 'Dana' },
    Repository: { url: 'https://forge.example/tre/projects.git' },
    ApproverGroup: { phases: ['SignOff'], projects: ['*'], sources: ['*'], members: [{ person: 'dana' }] },
    SourceConnection: {
      type: 'postgresql',
      host: 'warehouse.example',
      port: 5432,
      databases: ['clinical'],
      projects: ['*'],
      credentials: { provider: 'file', username_key: 'user', password_key: 'password' },
    },
    FileStore: { type: 'directory', staging: '/s', production: '/p' },
  }
  type Kind = keyof typeof specs

  function read(kind: Kind, name: unknown, change: object = {}): { found: number; places: string[] } {
    const manifest = yamlText({ kind, metadata: { name }, spec: { ...specs[kind], ...change } })
    const { resources, problems } = readManifests(new Map([['m.yaml', Buffer.from(manifest)]]), from)
    const lines = manifest.split('\n')
    return {
      found: resources.length,
      places: problems.map(({ code, where }) => `${code} ${lines[(where?.line ?? 0) - 1]?.trim().split(':')[0]}`),
    }
  }

  for (const kind of Object.keys(specs) as Kind[])
    it(`are refused, by the line they are on, as the name of a ${kind}`, () => {
      assert.deepEqual(read(kind, 'plain-1'), { found: 1, places: [] })
      const bad = [
        ...names.filter(name => !/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)),
        '',
        'a'.repeat(64),
        'x'.repeat(300),
        1,
        true,
      ]
      for (const name of bad)
        assert.deepEqual(read(kind, name), { found: 0, places: ['DocumentInvalid name'] }, String(name))
    })

  for (const [kind, field, values] of [
    [
      'SourceConnection',
      'host',
      [
        '',
        '-x',
        'a b',
        'a/b',
        '../x',
        'a\nb',
        'a;b',
        'h\u00f6st',
        '\u202ea',
        'host:1',
        'http://a',
        'a'.repeat(254),
        '[::1]',
        'a@b',
      ],
    ],
    ['Repository', 'url', ['', '-x', '--upload-pack=id', ' x', 'a\nb', 'x'.repeat(2002)]],
    [
      'Repository',
      'ref',
      [
        '',
        'main',
        'refs/tags/x',
        'refs/heads/',
        'refs/heads/../x',
        'refs/heads/a b',
        'refs/heads/a..b',
        'refs/heads/.x',
        'refs/heads/x.',
        'refs/heads/a*',
        'refs/heads/a\n',
        'refs/heads/a^{}',
        'refs/heads/a:b',
      ],
    ],
    [
      'Repository',
      'requests',
      [
        '',
        '*',
        '../*',
        '/etc/*',
        'projects/../*',
        'projects//*',
        'projects',
        'projects/**',
        'a\\b/*',
        '.git/*',
        'a\n/*',
        './*',
      ],
    ],
    ['FileStore', 'staging', ['', 'a\nb', 'a\u0000b', '\u001b[2J', 'x'.repeat(4001)]],
  ] as const)
    it(`are refused, by the line they are on, as the ${field} of a ${kind}`, () => {
      for (const value of values) {
        const { found, places } = read(kind, 'plain', { [field]: value })
        const code = value.includes('\u0000') ? 'YamlInvalid' : 'DocumentInvalid'
        assert.deepEqual({ found, places }, { found: 0, places: [`${code} ${field}`] }, JSON.stringify(value))
      }
    })
})
