import assert from 'node:assert/strict'
import { readManifests } from '../../controller/kinds/platform/reader.ts'
import { parseRequest, requestFiles } from '../../controller/kinds/requests/documents.ts'
import { yamlText } from '../../controller/schema/yaml-text.ts'
import { names } from './hostile-names.ts'

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
