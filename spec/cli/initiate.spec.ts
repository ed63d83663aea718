import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { runCommand } from '../../controller/cli/run.ts'
import { sharedOrSkip } from '../support/oracles.ts'
import { writeTree } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { checkout, run } from './command-line.ts'

const everything = [
  ...['--description', 'Who comes back', '--requester', 'rob', '--purpose', 'To find out', '--reference', 'DAR-7'],
  ...[
    '--agreement',
    'https://hospital.example/a',
    '--user',
    'rob <rob@university.example>',
    '--user',
    'sue <s@u.example>',
  ],
  ...[
    '--organisation',
    `O'Brien "and" sons`,
    '--address',
    '1 Street',
    '--contact',
    'Team',
    '--contact-email',
    't@h.example',
  ],
  ...[
    '--source-host',
    'warehouse.hospital.example',
    '--database',
    'clinical',
    '--store',
    'lsc',
    '--environment',
    'tre',
  ],
  ...[
    '--dataset',
    'clinical.patients:patient_id:integer,born:date',
    '--dataset',
    'money=finance.costs:cost:numeric(38,10)',
  ],
  ...['--dataset', 'clinical.visits:at:timestamp with time zone'],
]
const governance = 'resources/governance/cr8-governance.yaml'
const ingress = 'resources/data/cr8-ingress.yaml'
const deployment = 'resources/deployment/cr8-deployment.yaml'

describe('initiate', () => {
  let folder: string
  beforeEach(() => {
    folder = join(tempFolder(), 'projects')
  })

  const initiate = (...argv: string[]) => run(['initiate', ...argv, '--folder', folder])
  const textOf = (project: string, name: string) => readFileSync(join(folder, project, name), 'utf8')
  const contentOf = (project: string, name: string) => parse(textOf(project, name)) as unknown

  it('writes a request that is valid, from options, with the comments of the template', async () => {
    const { code, out, err } = await initiate('asthma', ...everything)
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    assert.doesNotMatch(out, /Still to fill in/)
    assert.deepEqual(contentOf('asthma', governance), {
      project: { name: 'asthma', description: 'Who comes back', reference: 'DAR-7' },
      release: 1,
      requester: 'rob',
      purpose: 'To find out',
      agreement: 'https://hospital.example/a',
      users: [
        { username: 'rob', email: 'rob@university.example' },
        { username: 'sue', email: 's@u.example' },
      ],
    })
    const { datasets, ...rest } = contentOf('asthma', ingress) as { datasets: unknown }
    assert.deepEqual(rest, {
      source: { type: 'postgresql', url: 'warehouse.hospital.example', name: 'clinical' },
      destination: { type: 'filestore', name: 'lsc', format: 'csv' },
    })
    assert.deepEqual(datasets, [
      {
        name: 'clinical',
        schema_name: 'clinical',
        tables: [
          {
            name: 'patients',
            columns: [
              { name: 'patient_id', datatype: 'integer' },
              { name: 'born', datatype: 'date' },
            ],
          },
          { name: 'visits', columns: [{ name: 'at', datatype: 'timestamp with time zone' }] },
        ],
      },
      {
        name: 'money',
        schema_name: 'finance',
        tables: [{ name: 'costs', columns: [{ name: 'cost', datatype: 'numeric(38,10)' }] }],
      },
    ])
    assert.match(textOf('asthma', governance), /^release: 1 # raise it/m)
    const planned = await run([
      'plan',
      '--folder',
      join(folder, 'asthma'),
      '--platform',
      join(checkout, 'examples/platform'),
    ])
    assert.doesNotMatch(planned.out, /\[(DocumentInvalid|DocumentMissing|YamlInvalid|TomlInvalid)\]/)
  })

  it('leaves open what it was not told, and names each with its place and what to write', async () => {
    const { code, out } = await initiate('asthma', '--database', 'clinical')
    assert.equal(code, 1)
    for (const field of [
      'project.description',
      'users',
      'source.url',
      'datasets',
      'environment.name',
      'bagit-info.Source-Organization',
      'bagit-info.Contact-Email',
    ])
      assert.match(out, new RegExp(`^ {2}\\S+:\\d+:\\d+: ${field.replace('.', '\\.')} .+\\n {4}\\S`, 'm'))
    assert.doesNotMatch(out, /source\.name|purpose|reference|requester/, 'what is there, and what may be left out')
    assert.match(out, /^Next: `cratewright plan --folder/m)
  })

  it('asks a person for what is needed and not given, several times where there may be several', async () => {
    const answers: Record<string, string[]> = {
      'what the project does': ['Who comes back'],
      'who will work with it': ['rob <rob@university.example>', ''],
      'the organisation': ['Hospital'],
      'its postal address': ['1 Street'],
      'whom to ask': ['Team'],
      'the e-mail': ['t@h.example'],
      'the host': ['warehouse.hospital.example'],
      'a table': ['clinical.patients:patient_id:integer', 'clinical.visits:at:date', ''],
      'the research environment': ['tre'],
    }
    const asked: string[] = []
    const out: string[] = []
    const code = await runCommand(['initiate', 'asthma', '--database', 'clinical', '--folder', folder], {
      out: text => void out.push(text),
      err: text => void out.push(text),
      interactive: false,
      env: {},
      signal: new AbortController().signal,
      prompt: async question => {
        asked.push(question)
        return (
          Object.entries(answers)
            .find(([begin]) => question.startsWith(begin))?.[1]
            .shift() ?? 'unexpected'
        )
      },
    })
    assert.equal(code, 0, out.join('\n'))
    assert.equal(asked.length, 12)
    assert.ok(!asked.some(question => question.startsWith('the database')), 'what was given is not asked for')
    assert.equal((contentOf('asthma', ingress) as { datasets: { tables: unknown[] }[] }).datasets[0]?.tables.length, 2)
  })

  it('never overwrites, not even an empty folder', async () => {
    mkdirSync(join(folder, 'asthma'), { recursive: true })
    const { code, err } = await initiate('asthma', ...everything)
    assert.equal(code, 2)
    assert.match(err, /exists; a request is never overwritten \[UsageInvalid\]/)
    assert.deepEqual(readdirSync(join(folder, 'asthma')), [])
  })

  const refused: readonly [string, readonly string[], RegExp][] = [
    ['no name', [], /name the project/],
    ['a name that is none', ['../asthma'], /name the project/],
    ['a name with capitals', ['Asthma'], /name the project/],
    ['a user that is none', ['asthma', '--user', 'rob'], /"rob" is no user/],
    ['a table without columns', ['asthma', '--dataset', 'clinical.patients'], /is no table/],
    ['a column without a type', ['asthma', '--dataset', 'clinical.patients:id'], /is no table/],
    ['one dataset of two schemas', ['asthma', '--dataset', 'd=a.b:c:d', '--dataset', 'd=e.f:g:h'], /two schemas/],
    ['a port that is none', ['asthma', '--source-port', 'http'], /is no port/],
    ['an old project that is none', ['asthma', '--from', '/nonexistent'], /holds no project/],
  ]
  for (const [what, argv, message] of refused) {
    it(`refuses ${what}, and writes nothing`, async () => {
      const { code, err } = await initiate(...argv)
      assert.equal(code, 2)
      assert.match(err, message)
      assert.ok(!existsSync(folder))
    })
  }

  it('needs to be told where the requests lie, unless there is a folder of that name', async () => {
    const { code, err } = await run(['initiate', 'asthma', ...everything])
    assert.equal(code, 2)
    assert.match(err, /there is no folder .*projects.*\n.*--folder/)
  })

  describe('--from a project of the tool before', () => {
    const old = {
      governance: `# password: in-a-comment
project:
  name: Old Name
  description: It goes on
  id: 15a23742
  start_time: '20260211_151442'
  actions: [{ id: Create-1, type: CreateAction }]
users:
  - username: alice
    email: alice@example.org
    password: canary-password
    initial_secret: canary-unknown
    groups: [{ value: researchers }]
`,
      ingress: `source:
  { name: clinical, type: postgresql, url: db.example, credentials: { provider: AzureKeyVault, password_key: canary-key, username_key: u } }
destination: { type: filestore, url: canary-url }
datasets:
  - name: one
    schema_name: public
    tables: [{ name: t, columns: [{ name: c, datatype: text }] }]
    locations: [{ path: canary-location }]
`,
      deployment: `environment: { name: dev }
resources:
  - { name: k, type: Keycloak, url: "https://k.example", enabled: true, clients: [{ client_id: c, secret: canary-client }] }
`,
    }

    it('takes over what is asked for; what the tool wrote and secrets stay behind, and each is named', async () => {
      const from = join(tempFolder(), 'old')
      writeTree(from, {
        [governance]: old.governance,
        [ingress]: old.ingress,
        [deployment]: old.deployment,
        'config.toml':
          "[bagit-info]\nSource-Organization = 'LTH'\nOrganization-Address = 'Street'\nContact-Name = 'Team'\nContact-Email = 't@lth.example'\n",
      })
      const { code, out } = await initiate('fresh', '--from', from, '--json')
      const { leftOut, notes, problems } = JSON.parse(out) as {
        leftOut: { field: string; why: string }[]
        notes: string[]
        problems: unknown[]
      }
      assert.deepEqual({ code, problems }, { code: 0, problems: [] })
      assert.deepEqual(leftOut.map(({ field }) => field).sort(), [
        'datasets[0].locations',
        'destination.url',
        'project.actions',
        'project.id',
        'project.start_time',
        'resources[0].clients[0].secret',
        'source.credentials',
        'users[0].groups',
        'users[0].initial_secret',
        'users[0].password',
      ])
      assert.match(leftOut.find(({ field }) => field === 'users[0].password')?.why ?? '', /never copied/)
      assert.deepEqual(notes, ['the project was called "Old Name"'])
      const written = [governance, ingress, deployment, 'config.toml'].map(name => textOf('fresh', name)).join('\n')
      assert.doesNotMatch(written, /canary|password/)
      assert.doesNotMatch(out, /canary/)
      assert.deepEqual((contentOf('fresh', governance) as { project: unknown }).project, {
        name: 'fresh',
        description: 'It goes on',
        reference: 'Old Name',
      })
      assert.deepEqual((contentOf('fresh', deployment) as { resources: unknown }).resources, [
        {
          resource_type: 'Keycloak',
          name: 'k',
          url: 'https://k.example',
          enabled: true,
          clients: [{ client_id: 'c' }],
        },
      ])
    })

    it('takes over the older layout in TOML, which `plan` names', async () => {
      const from = join(tempFolder(), 'old')
      writeTree(from, {
        'resources/governance/project.toml': `actions = []
[project]
description = 'Made before'
reference = 'cr8-p002'
name = 'P002'
id = '15a2'
[project.destination]
type = 'filestore'
name = 'LSC'
format = 'CSV'
[requesting_agent]
name = 'Mike Example Harding'
[requesting_agent.affiliation]
name = '{{ cookiecutter.requester_affiliation }}'
`,
        'resources/access/access.toml': `[source]
type = 'postgresql'
host_url = 'https://db.example/path'
database = 'clinical'
port = 5433
[credentials]
provider = 'AzureKeyVault'
password_key = 'canary-key'
`,
        'resources/metadata/dataset_1.toml': `name = 'one'
schema_name = 'public'
[[tables]]
name = 't'
[[tables.columns]]
name = 'c'
description = ''
datatype = 'STRING'
[[tables.columns]]
name = 'd'
[staging_path]
file_path = 'canary-path'
`,
      })
      const planned = await run(['plan', '--folder', from, '--platform', join(checkout, 'examples/platform')])
      assert.equal(planned.code, 2)
      assert.match(
        planned.out,
        /project\.toml is of the older layout, in TOML.*\n.*cratewright initiate <project> --from/,
      )
      assert.doesNotMatch(planned.out, /cr8-governance\.yaml is missing/)

      const { code, out } = await initiate('p002', '--from', from, '--environment', 'tre')
      assert.equal(code, 1)
      assert.deepEqual(contentOf('p002', ingress), {
        source: { type: 'postgresql', url: 'db.example', port: 5433, name: 'clinical' },
        destination: { type: 'filestore', name: 'LSC', format: 'csv' },
        datasets: [
          {
            name: 'one',
            schema_name: 'public',
            tables: [{ name: 't', columns: [{ name: 'c', datatype: 'STRING' }, { name: 'd' }] }],
          },
        ],
      })
      assert.deepEqual(contentOf('p002', governance), {
        project: { name: 'p002', description: 'Made before', reference: 'cr8-p002' },
        users: [{ given_name: 'Mike', family_name: 'Example Harding' }],
      })
      assert.match(out, /^Left out: staging_path of resources\/metadata\/dataset_1\.toml: /m)
      assert.match(
        out,
        /^Left out: requesting_agent\.affiliation\.name of .*: it is a placeholder that was never filled in\.$/m,
      )
      assert.match(out, /users\[0\]\.email is missing/)
      assert.match(out, /columns\[1\]\.datatype is missing/)
      assert.doesNotMatch(out, /canary/)
    })

    it('says what it cannot read, and takes over the rest', async () => {
      const from = join(tempFolder(), 'old')
      writeTree(from, { [governance]: 'project: [\n', [ingress]: old.ingress, 'config.toml': 'nonsense' })
      const { code, out } = await initiate('fresh', '--from', from)
      assert.equal(code, 1)
      assert.match(out, /cr8-governance\.yaml:\d+:\d+: /)
      assert.match(out, /config\.toml:1:\d+: /)
      assert.deepEqual((contentOf('fresh', ingress) as { source: unknown }).source, {
        name: 'clinical',
        type: 'postgresql',
        url: 'db.example',
      })
    })

    it('takes over each project that people really had', async function () {
      const examples = sharedOrSkip(this, 'data/01-cr8tor-projects')
      const names = readdirSync(examples, { withFileTypes: true }).filter(entry => entry.isDirectory())
      assert.ok(names.length >= 9)
      for (const [index, { name }] of names.entries()) {
        const { code, out } = await initiate(`p${index}`, '--from', join(examples, name), '--json')
        const { problems } = JSON.parse(out) as { problems: { code: string; message: string }[] }
        // What is left to do is to add what was never said, not to correct what was taken over.
        const wrong = problems.filter(
          ({ message }) => !/is missing|is empty|has to be (one line|an e-mail)/.test(message),
        )
        assert.deepEqual({ name, wrong }, { name, wrong: [] })
        assert.equal(code, problems.length === 0 ? 0 : 1, name)
      }
    })
  })
})
