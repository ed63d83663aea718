import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Problem } from '../../controller/runtime/errors.ts'
import { showWhere } from '../../controller/runtime/errors.ts'
import { nearest } from '../../controller/schema/nearest.ts'
import { parseToml } from '../../controller/schema/toml.ts'
import { validate, withDefaults } from '../../controller/schema/validate.ts'
import { parseYaml } from '../../controller/schema/yaml.ts'
import type { Bootstrap, Deployment, Governance, LogEntry } from '../../schemas/generated/types.ts'

function check<T = unknown>(
  className: string,
  text: string,
  path: (string | number)[] = [],
): { value?: T; problems: Problem[] } {
  const { documents, problems } = parseYaml(Buffer.from(text), 'f.yaml')
  deepEqual(problems, [])
  return validate<T>(className, documents[0]!, path)
}

/** `line:column message | todo` of every problem. */
function found(className: string, text: string, path: (string | number)[] = []): string[] {
  return check(className, text, path).problems.map(
    ({ where, message, todo }) => `${where?.line}:${where?.column} ${message} | ${todo}`,
  )
}

const governance = `project:
  name: lung-cohort
  description: Lungs
users:
- username: alice
  email: alice@example.org
`

const ingress = `source: {name: clinical, type: postgresql, url: warehouse.nhs.example}
destination: {type: filestore}
datasets:
- name: rentals
  schema_name: public
  tables:
  - name: actor
    columns:
    - {name: id, datatype: integer}
`

const connection = `type: postgresql
host: warehouse.nhs.example
port: 5432
databases: [clinical]
projects: ["*"]
credentials: {provider: file, username_key: u, password_key: p}
`

const digest = 'a'.repeat(64)

function entry(more: Partial<Record<keyof LogEntry, unknown>>): string {
  return JSON.stringify({
    log: 'cratewright.dev/log/v1',
    number: 1,
    previous: digest,
    time: '2026-09-30T17:00:00.000Z',
    event: 'noted',
    action: 'create',
    actor: { type: 'controller', name: 'c' },
    instance: 'i',
    repository: 'projects',
    project: 'lung-cohort',
    ...more,
  })
}

describe('validate', () => {
  it('returns the value itself where nothing is wrong', () => {
    const { value, problems } = check<Governance>('Governance', governance)
    deepEqual(problems, [])
    equal(value?.users[0]?.username, 'alice')
    equal(value?.release, undefined)
  })

  it('names the nearest field for an unknown one, at its place', () => {
    deepEqual(found('Governance', `${governance}  emial: b@example.org\n`), [
      '7:3 users[0].emial is not a known field | Write `email` if that is what is meant, or remove it.',
    ])
    match(
      found('Governance', `${governance}xyzzy: 1\n`)[0]!,
      /^7:1 xyzzy is not a known field \| Remove it, or use one of: agreement, end_date/,
    )
  })

  it('names what is missing, with what it is and an example', () => {
    deepEqual(found('Governance', 'project: {name: a}\nusers:\n- username: alice\n'), [
      '1:1 project.description is missing | Add `description: Why the data is needed` — What the project does.',
      "3:3 users[0].email is missing | Add `email: alice@example.org` — Where the user can be reached; one of a Person's addresses makes the user that Person.",
    ])
    match(
      found('ApproverGroupSpec', 'phases: [SignOff]\nprojects: ["*"]\nsources: ["*"]\n')[0]!,
      /members is missing \| Add the list `members` — Who is in the group/,
    )
    match(
      found('Ingress', ingress.replace('type: postgresql, ', ''))[0]!,
      /^1:1 source.type is missing \| Add `type: postgresql`/,
    )
  })

  it('lists what an enum allows, and the nearest of it', () => {
    deepEqual(found('Ingress', ingress.replace('type: postgresql', 'type: postgres')), [
      '1:26 source.type has to be one of postgresql, databricks, databrickssql, mysql, sqlserver, mssql | Write `postgresql` if that is what is meant.',
    ])
    match(
      found('Ingress', ingress.replace('type: postgresql', 'type: db2'))[0]!,
      /\| Use one of postgresql, databricks/,
    )
  })

  it('puts patterns into words', () => {
    deepEqual(found('Governance', governance.replace('lung-cohort', 'Lung Cohort')), [
      '2:3 project.name has to be 1 to 63 lower-case letters, digits and "-", not beginning with "-" | Write it like `lung-cohort`.',
    ])
    match(
      found('Governance', `${governance}start_date: 2026-02-30\n`)[0]!,
      /^7:1 start_date has to be a date such as 2026-09-30, or a date and time/,
    )
    equal(found('Governance', `${governance}start_date: 2026-02-30\n`).length, 1)
    for (const date of ['2026-09-30', '2026-09-30T17:00:00Z', '2026-09-30T17:00:00.5+01:00']) {
      deepEqual(found('Governance', `${governance}start_date: ${date}\nend_date: ${date}\n`), [])
    }
    for (const date of [
      '2026-9-30',
      '"2026-09-30 17:00:00Z"',
      '2026-09-30T17:00:00',
      '2026-09-30T25:00:00Z',
      '20260930',
    ]) {
      ok(found('Governance', `${governance}end_date: ${date}\n`).length > 0, date)
    }
  })

  it('names types, and what to write instead', () => {
    deepEqual(found('Governance', `${governance}release: "1"\npurpose: 5\nstart_date:\n`), [
      '7:1 release has to be a whole number, and is text | Write it without quotes.',
      '8:1 purpose has to be text, and is a whole number | Put it in quotes.',
      '9:1 start_date has to be text, and is empty | Give it a value, or remove the field.',
    ])
    match(found('Governance', 'just text')[0]!, /^1:1 the document has to be a mapping, and is text/)
    match(
      found('Governance', governance.replace(/users:[\s\S]*/, 'users: {}'))[0]!,
      /users has to be a list, and is a mapping/,
    )
  })

  it('holds ranges and the number of elements', () => {
    match(found('SourceConnectionSpec', connection.replace('5432', '70000'))[0]!, /port has to be 65535 or less/)
    match(found('Governance', `${governance}release: 0\n`)[0]!, /release has to be 1 or more/)
    match(found('Governance', governance.replace(/users:[\s\S]*/, 'users: []'))[0]!, /users needs 1 element or more/)
  })

  it('finds what is there twice', () => {
    deepEqual(found('Ingress', `${ingress}    - {name: id, datatype: text}\n`), [
      '10:8 datasets[0].tables[0].columns[1] has the same name as datasets[0].tables[0].columns[0] | Give one of them another, or remove it.',
    ])
    match(
      found('Governance', `${governance}- {username: alice, email: b@example.org}\n`)[0]!,
      /users\[1\] has the same username as users\[0\]/,
    )
    const accounts = (id: number) =>
      `displayName: D\naccounts:\n- {host: a.example, login: x, id: 1}\n- {host: a.example, login: y, id: ${id}}\n`
    match(found('PersonSpec', accounts(1))[0]!, /accounts\[1\] has the same host and id as accounts\[0\]/)
    deepEqual(found('PersonSpec', accounts(2)), [])
  })

  it('warns of fields without effect and still returns the value', () => {
    const { value, problems } = check(
      'Ingress',
      ingress.replace('url: w', 'credentials: {provider: AzureKeyVault, username_key: a, password_key: b}, url: w'),
    )
    ok(value)
    deepEqual(
      problems.map(({ code, severity, message }) => ({ code, severity, message })),
      [
        {
          code: 'FieldIgnored',
          severity: 'warning',
          message: "source.credentials has no effect: the SourceConnection's credentials decide",
        },
      ],
    )
  })

  it('refuses secrets without repeating them', () => {
    const { value, problems } = check('Governance', `${governance}  password: hunter2hunter2\n`)
    equal(value, undefined)
    equal(problems[0]?.code, 'SecretInRequest')
    ok(!JSON.stringify(problems).includes('hunter2'))
    const deployment =
      'environment: {name: dev}\nresources:\n- {resource_type: Keycloak, name: k, url: "https://k.example", enabled: true, clients: [{client_id: c, secret: hunter2hunter2}]}\n'
    deepEqual(
      check('Deployment', deployment).problems.map(({ code, message }) => `${code} ${message}`),
      ['SecretInRequest resources[0].clients[0].secret would put a secret into Git'],
    )
  })

  it('never repeats a value, in whichever wrong place it stands', () => {
    const secret = 'hunter2 hunter2\u0001'
    for (const className of [
      'Governance',
      'Ingress',
      'Deployment',
      'SourceConnectionSpec',
      'RepositorySpec',
      'Bootstrap',
      'Statement',
      'LogEntry',
      'PersonSpec',
      'Config',
    ]) {
      const { value } = { value: fill(className, secret) }
      const { problems } = validate(className, { value, at: () => ({ file: 'f' }) })
      ok(problems.length > 0, className)
      ok(!JSON.stringify(problems).includes('hunter2'), className)
    }
  })

  it('checks a resource by its resource_type, and says which there are', () => {
    const deployment = (resource: string) => `environment: {name: dev}\nresources:\n- ${resource}\n`
    deepEqual(found('Deployment', deployment('{resource_type: VDI, name: d, enabled: true, connection: vnc}')), [])
    deepEqual(found('Deployment', deployment('{name: d, enabled: true}')), [
      '3:3 resources[0].resource_type is missing | Add `resource_type` with one of DataSHIELD, Gitea, Jupyter, Keycloak, RStudio, VDI.',
    ])
    deepEqual(found('Deployment', deployment('{resource_type: Jupiter, name: d}')), [
      '3:4 resources[0].resource_type has to be one of DataSHIELD, Gitea, Jupyter, Keycloak, RStudio, VDI | Write `Jupyter` if that is what is meant.',
    ])
    match(
      found(
        'Deployment',
        deployment('{resource_type: Jupyter, name: d, enabled: true, url: "https://a.example", realm: x}'),
      )[0]!,
      /resources\[0\].realm is not a known field/,
    )
    match(
      found('Deployment', deployment('{resource_type: Jupyter, name: d, enabled: true}'))[0]!,
      /resources\[0\].url is missing/,
    )
    match(
      found('Deployment', deployment('{resource_type: Jupyter, name: d, enabled: true, url: nowhere}'))[0]!,
      /url has to be an address with its scheme/,
    )
  })

  it('applies rules, with their reason', () => {
    const repository = (forge: string) => `url: https://forge.example/a.git\nforge: ${forge}\n`
    deepEqual(found('RepositorySpec', repository('{type: none}')), [])
    deepEqual(found('RepositorySpec', repository('{type: gitea}')), [
      '2:1 forge.apiUrl is missing: a forge needs the address of its API | Add `apiUrl: https://forge.example/api/v1` — Where its API is.',
    ])
    deepEqual(found('LogEntry', entry({ event: 'started' })), [])
    match(
      found('LogEntry', entry({ event: 'outcome', result: 'done' }))[0]!,
      /started is missing: an outcome names what it closes/,
    )
  })

  it('lets free parts be free', () => {
    deepEqual(found('LogEntry', entry({ facts: { anything: [1, { at: null }] } })), [])
    deepEqual(found('Manifest', 'kind: X\nmetadata: {name: a, labels: {b/c: d}}\nspec: [1]\n'), [])
    match(
      found('Manifest', 'kind: X\nmetadata: {name: a, labels: {b/c: 1}}\nspec: {}\n')[0]!,
      /metadata.labels\["b\/c"\] has to be text/,
    )
  })

  it('checks a part of a document, with its place in the whole', () => {
    const text = `kind: SourceConnection\nmetadata: {name: a}\nspec:\n${connection.replace(/^/gm, '  ').replace('host', 'hots')}`
    deepEqual(found('SourceConnectionSpec', text.trimEnd(), ['spec']), [
      '3:1 spec.host is missing | Add `host: warehouse.nhs.example` — The host of the server.',
      '5:3 spec.hots is not a known field | Write `host` if that is what is meant, or remove it.',
    ])
    match(found('SourceConnectionSpec', 'kind: X', ['spec'])[0]!, /spec has to be a mapping, and is missing/)
  })

  it('takes a field that every object inherits for what it is', () => {
    match(found('Governance', `${governance}toString: 1\nconstructor: 2\n`)[0]!, /toString is not a known field/)
    throws(() => check('toString', 'a: 1'), { code: 'Internal' })
  })

  it('lists 50 problems at most, and takes no time for many', function () {
    this.timeout(60_000)
    const began = performance.now()
    const { problems } = check(
      'Governance',
      `${governance.replace(/users:[\s\S]*/, 'users:\n')}${'- {}\n'.repeat(150_000)}`,
    )
    equal(problems.length, 50)
    match(problems.at(-1)!.message, /more problems than are listed/)
    ok(performance.now() - began < 20_000)
  })

  it('holds what statements, connections, stores and the bootstrap file look like', () => {
    const key = `ssh-ed25519 ${'AAAAC3NzaC1lZDI1NTE5AAAAIGq8vUrYvZOmhyL9nJ4UR3A5TqD2rrzRkmbMeMeAwzqS'}`
    deepEqual(found('SourceConnectionSpec', connection), [])
    deepEqual(found('FileStoreSpec', 'type: directory\nstaging: /a\nproduction: /b\n'), [])
    deepEqual(
      found(
        'PersonSpec',
        `displayName: Dana\nemails: [dana@nhs.example]\nkeys: ["${key} dana"]\naccounts: [{host: github.com, login: dana-r, id: 5812}]\n`,
      ),
      [],
    )
    deepEqual(
      found(
        'RepositorySpec',
        `url: https://forge.example/tre/projects.git\nrequests: projects/*\nmanifests: []\nallows: []\nforge: {type: none}\nrecords: {url: same, signers: [{key: "${key}"}]}\n`,
      ),
      [],
    )
    deepEqual(
      found(
        'ApproverGroupSpec',
        'phases: [SignOff, Disclosure, Confirm]\nprojects: ["*"]\nsources: ["*"]\nmembers: [{person: dana, notAfter: 2027-01-01}]\n',
      ),
      [],
    )
    deepEqual(
      found(
        'Statement',
        JSON.stringify({
          statement: 'cratewright.dev/statement/v1',
          repository: 'projects',
          project: 'a',
          phase: 'SignOff',
          generation: 1,
          digests: { request: digest, scope: digest },
          log: { number: 3, sha256: digest },
          decision: 'approve',
          person: 'dana',
        }),
      ),
      [],
    )
    deepEqual(
      found(
        'Bootstrap',
        `platform: {url: "file:///srv/platform.git", signers: ["${key}"]}\ncontroller: {name: c, key: key}\nfolder: work\ntransports: [file]\n`,
      ),
      [],
    )
  })

  for (const [field, good, bad] of [
    ['requests', ['.', 'projects/*', 'a/b/*'], ['*', 'projects', '/a/*', 'a/../*', '../*', 'a//*', 'a/*/*', './*']],
    ['manifests', ['[.]', '[deploy/people]'], ['[/etc]', '[a/../b]', '["a//b"]', '[""]']],
    [
      'ref',
      ['refs/heads/main', 'refs/heads/a/b.c'],
      ['main', 'refs/heads/', 'refs/heads/a..b', 'refs/heads/a b', 'refs/heads/a~1', 'refs/tags/v1'],
    ],
  ] as const) {
    it(`knows which ${field} of a Repository are safe`, () => {
      const repository = (value: string) =>
        found(
          'RepositorySpec',
          `url: https://a.example/b.git\n${field}: ${value.startsWith('[') ? value : JSON.stringify(value)}\n`,
        )
      for (const value of good) deepEqual(repository(value), [], value)
      for (const value of bad) equal(repository(value).length, 1, value)
    })
  }
})

describe('withDefaults', () => {
  it('fills in what is absent, at every depth, in a copy', () => {
    const bootstrap = check<Bootstrap>(
      'Bootstrap',
      'platform: {url: a, signers: []}\ncontroller: {name: c, key: k}\nfolder: f\nlog: {}\n',
    )
    const value = { platform: { url: 'a', signers: [] }, controller: { name: 'c', key: 'k' }, folder: 'f', log: {} }
    const filled = withDefaults('Bootstrap', value)
    equal(bootstrap.value, undefined)
    deepEqual(filled, {
      ...value,
      platform: { ...value.platform, ref: 'refs/heads/main' },
      log: { level: 'info', format: 'json' },
      store: 'memory',
      transports: ['https'],
      pollSeconds: 30,
    })
    deepEqual(value.log, {})
    equal(withDefaults('Bootstrap', { ...value, pollSeconds: 5 }).pollSeconds, 5)
  })

  it('follows lists and resource_type', () => {
    const value: Deployment = {
      environment: { name: 'dev' },
      resources: [
        { resource_type: 'VDI', name: 'd', enabled: true },
        { resource_type: 'RStudio', name: 'r', url: 'https://r.example', enabled: true },
      ],
    }
    const { resources } = withDefaults('Deployment', value)
    deepEqual(resources, [
      { ...value.resources![0], image: 'ghcr.io/karectl/vdi-mate:v1.0.0-light', connection: 'rdp' },
      value.resources![1],
    ])
  })
})

describe('nearest', () => {
  it('forgives a few letters and no more', () => {
    equal(nearest('emial', ['username', 'email']), 'email')
    equal(nearest('Email', ['username', 'email']), 'email')
    equal(nearest('schema', ['schema_name', 'name']), undefined)
    equal(nearest('xy', ['id', 'ab']), undefined)
    equal(nearest('a'.repeat(1000), ['a']), undefined)
  })
})

describe('projects of existing users', () => {
  const folder = resolve(import.meta.dirname, '../../../shared/data/01-cr8tor-projects')
  const documents = {
    Config: 'config.toml',
    Governance: 'resources/governance/cr8-governance.yaml',
    Ingress: 'resources/data/cr8-ingress.yaml',
    Deployment: 'resources/deployment/cr8-deployment.yaml',
  }

  function read(project: string, className: keyof typeof documents): Problem[] {
    const file = documents[className]
    const bytes = readFileSync(resolve(folder, project, file))
    const parsed = file.endsWith('.toml') ? parseToml(bytes, file) : parseYaml(bytes, file)
    deepEqual(parsed.problems, [])
    const document = 'documents' in parsed ? parsed.documents[0] : parsed.document
    return validate(className, document!).problems
  }

  before(function () {
    if (existsSync(folder)) return
    console.log(`      skipped: ${folder} is not there`)
    this.skip()
  })

  for (const project of ['request-sakila', 'request-omop-two-datasets', 'request-nasty', 'karectl-linkml-project']) {
    it(`accepts ${project}`, () => {
      for (const className of Object.keys(documents) as (keyof typeof documents)[]) {
        deepEqual(
          read(project, className).filter(({ severity }) => severity === 'error'),
          [],
        )
      }
    })
  }

  it('warns of what the old tool wrote into governance', () => {
    const problems = read('karectl-linkml-project-with-generated-crs', 'Governance')
    deepEqual(
      problems.map(({ severity, where }) => `${severity} ${showWhere(where!).split(':')[1]}`),
      ['warning 5', 'warning 6', 'warning 7', 'warning 73'],
    )
  })

  it('says which field an older deployment lacks', () => {
    const problems = read('karectl-linkml-project-with-generated-crs', 'Deployment')
    deepEqual(
      problems.map(({ message }) => message),
      ['resources[0].resource_type is missing', 'resources[1].resource_type is missing'],
    )
  })
})

/** A document of a class with a wrong value in every field. */
function fill(className: string, value: string): Record<string, unknown> {
  const fields: Record<string, readonly string[]> = {
    Governance: ['project', 'users', 'release', 'requester', 'start_date'],
    Ingress: ['source', 'destination', 'datasets'],
    Deployment: ['environment', 'resources', 'limit_range'],
    SourceConnectionSpec: ['type', 'host', 'port', 'tls', 'ca', 'databases', 'credentials'],
    RepositorySpec: ['url', 'ref', 'requests', 'manifests', 'forge', 'records', 'credential'],
    Bootstrap: ['platform', 'controller', 'store', 'networks', 'transports'],
    Statement: ['statement', 'phase', 'digests', 'decision', 'person'],
    LogEntry: ['log', 'number', 'time', 'event', 'action', 'actor'],
    PersonSpec: ['displayName', 'emails', 'keys', 'accounts'],
    Config: ['bagit-info'],
  }
  return Object.fromEntries(fields[className]!.flatMap(field => [[field, field.endsWith('s') ? [value] : value]]))
}
