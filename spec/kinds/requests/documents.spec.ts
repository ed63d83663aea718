import assert from 'node:assert/strict'
import { parse, stringify } from 'yaml'
import type { StoredStatus } from '../../../controller/engine/store/store.ts'
import { showWhere } from '../../../controller/runtime/errors.ts'
import { git } from '../../support/people.ts'
import { patients, phaseOf, World } from '../../support/world.ts'
import { explained, governanceText, recordsHold, requestDetail } from './helpers.ts'

const secret = 'canary-hunter2-canary'
const governanceFile = 'resources/governance/cr8-governance.yaml'
const ingressFile = 'resources/data/cr8-ingress.yaml'
const deploymentFile = 'resources/deployment/cr8-deployment.yaml'

interface BadDocument {
  readonly project: string
  readonly file: string
  /** Undefined: the file is not there. */
  readonly text: string | undefined
  readonly code: string
  /** `line:column`, where the error has a place in the file. */
  readonly at?: string
  readonly says: RegExp
  readonly todo: RegExp
}

const keycloak = `environment: {name: test}
resources:
- resource_type: Keycloak
  name: login
  url: https://login.example
  enabled: true
  clients:
  - client_id: web
    secret: ${secret}
`

const bomb = `a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
`

const rows: readonly BadDocument[] = [
  {
    project: 'malformed-yaml',
    file: governanceFile,
    text: 'project:\n  name: malformed-yaml\n  description: [About\nusers: []\n',
    code: 'YamlInvalid',
    at: '4:1',
    says: /./,
    todo: /./,
  },
  {
    project: 'wrong-type',
    file: governanceFile,
    text: governanceText('wrong-type', 'release: "2"\n'),
    code: 'DocumentInvalid',
    at: '8:1',
    says: /release has to be a whole number, and is text/,
    todo: /without quotes/,
  },
  {
    project: 'unknown-field',
    file: governanceFile,
    text: governanceText('unknown-field', 'relase: 2\n'),
    code: 'DocumentInvalid',
    at: '8:1',
    says: /relase is not a known field/,
    todo: /Write `release`/,
  },
  {
    project: 'missing-field',
    file: governanceFile,
    text: governanceText('missing-field').replace('  description: About it\n', ''),
    code: 'DocumentInvalid',
    at: '1:1',
    says: /project\.description is missing/,
    todo: /Add `description:/,
  },
  {
    project: 'wrong-name',
    file: governanceFile,
    text: governanceText('Wrong Name'),
    code: 'DocumentInvalid',
    at: '2:3',
    says: /project\.name has to be/,
    todo: /lung-cohort/,
  },
  {
    project: 'twice-one-key',
    file: governanceFile,
    text: governanceText('twice-one-key', 'requester: eve\n'),
    code: 'YamlInvalid',
    at: '8:1',
    says: /./,
    todo: /./,
  },
  {
    project: 'alias-bomb',
    file: ingressFile,
    text: bomb,
    code: 'DocumentTooLarge',
    at: '6:8',
    says: /with what its aliases repeat, the file has more than 200000 values/,
    todo: /fewer aliases/,
  },
  {
    project: 'merge-key',
    file: ingressFile,
    text: 'source: &s {name: a, type: postgresql, url: b}\ndestination:\n  <<: *s\n  type: filestore\n',
    code: 'YamlInvalid',
    at: '3:3',
    says: /merge/i,
    todo: /./,
  },
  {
    project: 'five-megabytes',
    file: ingressFile,
    text: `# ${'x'.repeat(5 * 1024 * 1024)}\n`,
    code: 'DocumentTooLarge',
    says: /more than the 1048576 bytes/,
    todo: /smaller/,
  },
  {
    project: 'twenty-megabytes',
    file: ingressFile,
    text: `# ${'y'.repeat(20 * 1024 * 1024)}\n`,
    code: 'DocumentTooLarge',
    says: /more than the 1048576 bytes/,
    todo: /smaller/,
  },
  {
    project: 'missing-file',
    file: deploymentFile,
    text: undefined,
    code: 'DocumentMissing',
    says: /cr8-deployment\.yaml is missing/,
    todo: /Add projects\/missing-file\/resources\/deployment\/cr8-deployment\.yaml/,
  },
  {
    project: 'broken-toml',
    file: 'config.toml',
    text: "[bagit-info]\nSource-Organization = 'Hospital\nContact-Name = 'Team'\n",
    code: 'TomlInvalid',
    at: '2:32',
    says: /./,
    todo: /./,
  },
  {
    project: 'toml-without-email',
    file: 'config.toml',
    text: "[bagit-info]\nSource-Organization = 'Hospital'\nOrganization-Address = 'Street 1'\nContact-Name = 'Team'\n",
    code: 'DocumentInvalid',
    at: '1:1',
    says: /Contact-Email"?\]? is missing/,
    todo: /Contact-Email/,
  },
  {
    project: 'two-documents',
    file: governanceFile,
    text: `${governanceText('two-documents')}---\n${governanceText('two-documents')}`,
    code: 'DocumentInvalid',
    at: '9:1',
    says: /more than one document/,
    todo: /first one only/,
  },
  {
    project: 'a-password',
    file: governanceFile,
    text: governanceText('a-password', `  password: ${secret}\n`),
    code: 'SecretInRequest',
    at: '8:3',
    says: /users\[0\]\.password would put a secret into Git/,
    todo: /change it where it was used/,
  },
  {
    project: 'a-client-secret',
    file: deploymentFile,
    text: keycloak,
    code: 'SecretInRequest',
    at: '9:5',
    says: /resources\[0\]\.clients\[0\]\.secret would put a secret into Git/,
    todo: /change it where it was used/,
  },
]

describe('documents of a request that cannot be read', () => {
  let world: World
  let statuses: Map<string, StoredStatus>

  before(async () => {
    world = await World.make()
    const files: Record<string, string> = world.requestFiles('good', [{ name: 'cohort', tables: [patients] }])
    for (const { project, file, text } of rows) {
      Object.assign(files, world.requestFiles(project, [{ name: 'cohort', tables: [patients] }]))
      if (text === undefined) delete files[`projects/${project}/${file}`]
      else files[`projects/${project}/${file}`] = text
    }
    await world.commit('rob', files)
    statuses = await world.run()
  })

  for (const { project, file, code, at, says, todo } of rows) {
    it(`say ${code} at their place: ${project}`, async () => {
      const status = statuses.get(project)
      const errors = status?.problems.filter(({ severity }) => severity === 'error') ?? []
      const [first] = errors
      const place = `projects/${project}/${file}${at === undefined ? '' : `:${at}`}`
      assert.deepEqual(
        errors.map(({ code, where }) => `${code} ${where && showWhere(where)}`),
        [`${code} ${place}`],
      )
      assert.match(first?.message ?? '', says)
      assert.match(first?.todo ?? '', todo)
      const text = await explained(world, project)
      assert.ok(text.includes(`Waiting: ${place}: ${first?.message} [${code}]\n  To do: ${first?.todo}`), text)
    })
  }

  it('have no effect: no log is begun, and other projects go on', async () => {
    for (const { project } of rows) {
      assert.equal(phaseOf(statuses.get(project)), 'Requested', project)
      assert.deepEqual(await world.log(project), [], project)
    }
    assert.equal(phaseOf(statuses.get('good')), 'Validated')
  })

  it('are explained by the command, which has no secret either', async () => {
    const { code, out } = await world.cratewright('explain', 'a-password')
    assert.equal(code, 0)
    assert.match(out, /cr8-governance\.yaml:8:3: users\[0\]\.password would put a secret into Git/)
    assert.ok(!out.includes(secret))
    assert.equal(await recordsHold(world, 'would put a secret'), true)
    assert.equal(await recordsHold(world, secret), false)
  })

  it('go on once they are corrected', async () => {
    const fixed = rows.map(({ project }) => world.requestFiles(project, [{ name: 'cohort', tables: [patients] }]))
    await world.commit('rob', Object.assign({}, ...fixed))
    const after = await world.run()
    for (const { project } of rows) assert.equal(phaseOf(after.get(project)), 'Validated', project)
  })
})

describe('what the old tool wrote into a request', () => {
  it('is ignored with warnings, and changes nothing', async () => {
    const world = await World.make()
    await world.ask('asthma')
    const before = requestDetail((await world.run()).get('asthma'))
    const files = world.requestFiles('asthma', [])
    const path = (file: string) => `projects/asthma/${file}`
    const governance = parse(files[path(governanceFile)]!)
    Object.assign(governance.project, { id: 'a-b-c', start_time: '2025-01-01T00:00:00', actions: [{ agent: 'x' }] })
    const asked = await world.commit('rob', { [path(governanceFile)]: stringify(governance) })
    const ingress = parse(await git(world.bare('projects'), 'show', `${asked}:${path(ingressFile)}`))
    ingress.datasets[0].locations = [{ url: 'https://store.example/x' }]
    ingress.datasets[1].staging_path = '/somewhere'
    await world.commit('rob', { [path(ingressFile)]: stringify(ingress) })

    const status = (await world.run()).get('asthma')
    const after = requestDetail(status)
    assert.equal(after.phase, 'Validated')
    assert.equal(after.generation, 1)
    assert.deepEqual(after.digests, before.digests)
    assert.deepEqual(
      status?.problems.map(({ severity, code, message }) => `${severity} ${code} ${message.split(' ')[0]}`).sort(),
      [
        'warning FieldIgnored datasets[0].locations',
        'warning FieldIgnored datasets[1].staging_path',
        'warning FieldIgnored project.actions',
        'warning FieldIgnored project.id',
        'warning FieldIgnored project.start_time',
      ],
    )
    assert.match(await explained(world, 'asthma'), /^Warning: projects\/asthma\/.*:\d+:\d+: project\.id has no effect/m)

    // Any other field does change it.
    governance.project.description = 'Something else'
    await world.commit('rob', { [path(governanceFile)]: stringify(governance) })
    assert.equal(requestDetail((await world.run()).get('asthma')).generation, 2)
  })
})
