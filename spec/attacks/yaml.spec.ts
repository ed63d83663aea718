import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import { readManifests } from '../../controller/kinds/platform/reader.ts'
import { contentPaths } from '../../controller/kinds/requests/documents.ts'
import { run as runProgram } from '../../controller/runtime/process.ts'
import { parseToml } from '../../controller/schema/toml.ts'
import { parseYaml } from '../../controller/schema/yaml.ts'
import { checkout, run } from '../cli/command-line.ts'
import { governanceText, preparedStatement, requestDetail, signed } from '../kinds/requests/helpers.ts'
import { tempFolder } from '../support/temp.ts'
import { patients, phaseOf, World } from '../support/world.ts'
import { type HostileText, hostileToml, hostileYaml } from './hostile-documents.ts'
import type { Measured } from './parse-megabytes.ts'

const governanceFile = 'resources/governance/cr8-governance.yaml'
const never = new AbortController().signal
const datasets = [{ name: 'cohort', tables: [patients] }]

/** The project of its own that each text is pushed in. */
function projectOf(kind: 'yaml' | 'toml', { name }: HostileText): string {
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  return `${kind}-${slug}`.slice(0, 63).replace(/-$/, '')
}

const bad = [
  ...hostileYaml.map(row => ({ project: projectOf('yaml', row), file: governanceFile, ...row })),
  ...hostileToml.map(row => ({ project: projectOf('toml', row), file: 'config.toml', ...row })),
]

/** Odd, and right: what has to be let through. */
const odd: Readonly<Record<string, (project: string) => string>> = {
  'byte-order-mark': project => `\ufeff${governanceText(project)}`,
  'line-ends-of-windows': project => governanceText(project).replaceAll('\n', '\r\n'),
  'comment-of-a-megabyte': project => `# ${'x'.repeat(1_048_000)}\n${governanceText(project)}`,
  'as-json': project => JSON.stringify({ ...documentOf(project), purpose: 'a "\u2028" and a \u007f and a \u202e' }),
  'text-of-20000': project => governanceText(project, `purpose: ${'\u{1f600}'.repeat(9_999)}\u202eno\n`),
  'words-of-older-yaml': project => governanceText(project, 'purpose: yes\nagreement: 12:30:45\n'),
  'anchors-and-tags': project => governanceText(project, `purpose: &p !!str 12\nagreement: *p\n`),
}

function documentOf(project: string) {
  return { project: { name: project, description: 'd' }, users: [{ username: 'rob', email: 'rob@hospital.example' }] }
}

describe('hostile documents in a repository', () => {
  let world: World
  let statuses: Map<string, StoredStatus>

  before(async () => {
    world = await World.make()
    const files: Record<string, string | Uint8Array> = world.requestFiles('good', datasets)
    for (const { project, file, text } of bad)
      Object.assign(files, world.requestFiles(project, datasets), { [`projects/${project}/${file}`]: text })
    for (const [project, text] of Object.entries(odd))
      Object.assign(files, world.requestFiles(project, datasets), {
        [`projects/${project}/${governanceFile}`]: text(project),
      })
    await world.commit('rob', files)
    statuses = await world.run()
  })

  it('have each a project of its own', () => {
    assert.equal(new Set(bad.map(({ project }) => project)).size, bad.length)
  })

  for (const { project, file, code, at, says } of bad)
    it(`${project} is ${code} at ${at}`, () => {
      const [first, ...more] = statuses.get(project)?.problems.filter(({ severity }) => severity === 'error') ?? []
      assert.ok(first)
      const { where } = first
      assert.equal(`${first.code} ${where?.line}:${where?.column}`, `${code} ${at}`, first.message)
      assert.equal(where?.file, `projects/${project}/${file}`)
      assert.match(first.message, says)
      for (const problem of more) assert.equal(problem.where?.file, where?.file, problem.message)
      assert.equal(phaseOf(statuses.get(project)), 'Requested')
    })

  for (const project of Object.keys(odd))
    it(`${project} is odd, and let through`, () => {
      assert.deepEqual(statuses.get(project)?.problems, [])
      assert.equal(phaseOf(statuses.get(project)), 'Validated')
    })

  it('begin no log, and hold up no other project: it goes on to its next step', async () => {
    for (const { project } of bad) assert.deepEqual(await world.log(project), [], project)
    assert.equal(phaseOf(statuses.get('good')), 'Validated')
    assert.equal((await world.signOff('dana', 'good')).code, 0)
    assert.equal(phaseOf((await world.run()).get('good')), 'Staged')
  })

  it('are told by the command before they are merged', async () => {
    for (const { project, code, at, file } of bad.filter((_, index) => index % 25 === 0)) {
      const planned = await world.cratewright('plan', project)
      assert.equal(planned.code, 2)
      assert.ok(planned.out.includes(`error: projects/${project}/${file}:${at}: `), planned.out + planned.err)
      assert.ok(planned.out.includes(`[${code}]`), planned.out)
    }
  })

  it('as statements and signatures count for nothing, with the reason, and the real one counts', async () => {
    await world.ask('signed', datasets)
    await world.run()
    const honest = await preparedStatement(world, 'signed')
    const folder = `projects/signed/sign-offs/${honest.digests.request.slice(0, 16)}`
    const good = signed('signed', honest, world.people.dana.key, 'honest')
    const statement = good[`${folder}/honest.yaml`]!
    const signature = good[`${folder}/honest.yaml.sig`]!
    const texts = hostileYaml.filter(({ text }, index) => text.length < 16_384 && index % 3 === 0)
    const files: Record<string, string | Uint8Array> = {}
    for (const [index, { text }] of texts.entries()) files[`${folder}/y${index}.yaml`] = text
    const signatures: Record<string, string | Uint8Array> = {
      empty: '',
      nul: '\0',
      bytes: Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
      short: signature.slice(0, 100),
      swapped: signature.replace(/[A-Za-z]{8}/, part => [...part].reverse().join('')),
      nested: signature.replace('\n', `\n${signature}`),
      namespace: signature.replace('SSH SIGNATURE', 'PGP SIGNATURE'),
      long: `-----BEGIN SSH SIGNATURE-----\n${'A'.repeat(16_000)}\n-----END SSH SIGNATURE-----\n`,
      zeros: `-----BEGIN SSH SIGNATURE-----\n${Buffer.alloc(300).toString('base64')}\n-----END SSH SIGNATURE-----\n`,
      lengths: `-----BEGIN SSH SIGNATURE-----\n${Buffer.concat([Buffer.from('SSHSIG'), Buffer.alloc(200, 0xff)]).toString('base64')}\n-----END SSH SIGNATURE-----\n`,
    }
    for (const [name, text] of Object.entries(signatures))
      Object.assign(files, { [`${folder}/s-${name}.yaml`]: statement, [`${folder}/s-${name}.yaml.sig`]: text })
    await world.commit('eve', files, { sign: false })
    const status = (await world.run()).get('signed')
    assert.equal(phaseOf(status), 'Validated')
    const said = new Map(
      requestDetail(status).statements?.map(({ path, counts, reason }) => [path.split('/').at(-1), { counts, reason }]),
    )
    for (const [index, { name, at, code }] of texts.entries()) {
      const { counts, reason = '' } = said.get(`y${index}.yaml`) ?? {}
      assert.equal(counts, false, name)
      // What may be there depends on the size that a file may have, and a statement is small.
      const place =
        code === 'DocumentTooLarge'
          ? /\(line \d+, column \d+\)$/
          : new RegExp(`\\(line ${at.replace(':', ', column ')}\\)$`)
      assert.match(reason, /^it cannot be read: /, name)
      if (!/is not one YAML document$/.test(reason)) assert.match(reason, place, name)
    }
    for (const name of Object.keys(signatures)) {
      const { counts, reason = '' } = said.get(`s-${name}.yaml`) ?? {}
      assert.equal(counts, false, name)
      assert.match(reason, /its signature is not valid|there is no \.sig file/, name)
    }
    assert.equal((await world.signOff('dana', 'signed')).code, 0)
    assert.equal(phaseOf((await world.run()).get('signed')), 'Staged')
  })
})

describe('hostile manifests of the platform', () => {
  const from = { repository: 'platform', commit: 'a'.repeat(40) }
  const store = (name: string) =>
    stringify({ kind: 'FileStore', metadata: { name }, spec: { type: 'directory', staging: '/s', production: '/p' } })

  for (const { name, text, code, at } of hostileYaml)
    it(`say ${code} at ${at}, and the others count: ${name}`, () => {
      const files = new Map([
        ['a.yaml', Buffer.from(store('a'))],
        ['bad.yaml', Buffer.from(text)],
        ['z.yaml', Buffer.from(store('z'))],
      ])
      const { resources, problems } = readManifests(files, from)
      assert.deepEqual(
        resources.map(resource => resource.name),
        ['a', 'z'],
      )
      const places = problems.map(({ code, where }) => `${code} ${where?.file}:${where?.line}:${where?.column}`)
      // A file without a manifest declares nothing, which is no mistake here.
      if (/^(nothing|null|.* only)$/.test(name)) assert.deepEqual(places, [])
      else assert.equal(places[0], `${code} bad.yaml:${at}`)
      assert.ok(problems.every(({ where }) => where?.file === 'bad.yaml'))
    })
})

describe('hostile bootstrap files', () => {
  it('are ConfigInvalid at their place, for every command', async () => {
    const folder = tempFolder()
    for (const [index, { name, text, at, says }] of hostileYaml.entries()) {
      const path = join(folder, `${index}.yaml`)
      writeFileSync(path, text)
      const { code, err } = await run([index % 2 === 0 ? 'reconcile' : 'get', '--config', path])
      assert.equal(code, 2, name)
      assert.match(err, /\[ConfigInvalid\]/, name)
      if (/^(nothing|.* only)$/.test(name)) assert.match(err, /the file is empty/)
      else if (!/pointer/.test(name)) {
        assert.ok(err.startsWith(`${path}:${at}: `), `${name}: ${err}`)
        assert.match(err, says)
      }
    }
  })
})

describe('text that readers of YAML disagree about', () => {
  const value = (text: string) => {
    const { documents, problems } = parseYaml(Buffer.from(text), 'f.yaml')
    assert.deepEqual(problems, [])
    return documents.map(document => document.value)
  }

  for (const [text, expected] of [
    ['yes', 'yes'],
    ['no', 'no'],
    ['on', 'on'],
    ['off', 'off'],
    ['y', 'y'],
    ['True', true],
    ['NULL', null],
    ['0x1F', 31],
    ['0o17', 15],
    ['017', 17],
    ['0b11', '0b11'],
    ['190:20:30', '190:20:30'],
    ['1_000', '1_000'],
    ['+12', 12],
    ['1e3', 1000],
    ['2020-01-01', '2020-01-01'],
    ['2001-12-14t21:59:43.10-05:00', '2001-12-14t21:59:43.10-05:00'],
    ['"\\ud83d\\ude00"', '\u{1f600}'],
    ['\u202eabc', '\u202eabc'],
    ['x\u2028y', 'x\u2028y'],
    ['=', '='],
  ] as const)
    it(`${JSON.stringify(text)} is ${JSON.stringify(expected)}`, () =>
      assert.deepEqual(value(`a: ${text}\n`), [{ a: expected }]))

  it('is a field of its own where it is named like what every object has', () => {
    const text = 'constructor: {prototype: {a: 1}}\ntoString: 1\nhasOwnProperty: 2\nprototype: 3\n'
    assert.deepEqual(value(text), [
      { constructor: { prototype: { a: 1 } }, toString: 1, hasOwnProperty: 2, prototype: 3 },
    ])
    const toml = parseToml(Buffer.from('constructor = 1\ntoString = 2\n[prototype]\na = 1\n'), 'f.toml')
    assert.deepEqual(toml.document?.value, { constructor: 1, toString: 2, prototype: { a: 1 } })
    assert.equal(({} as { a?: number }).a, undefined)
  })
})

describe('a megabyte of anything', () => {
  it('takes seconds at most, and less than half a gigabyte', async function () {
    this.timeout(180_000)
    const { code, stdout, stderr } = await runProgram(
      process.execPath,
      ['--max-old-space-size=400', join(checkout, 'spec/attacks/parse-megabytes.ts')],
      { env: { PATH: process.env.PATH ?? '' }, signal: never, deadline: 150_000, maxOutput: 1_000_000 },
    )
    assert.equal(code, 0, stderr)
    const { rows, maxRss } = JSON.parse(stdout.toString()) as { rows: Measured[]; maxRss: number }
    assert.ok(rows.length > 20)
    for (const { name, ms, problems, expected } of rows) {
      assert.ok(ms < 20_000, `${name} took ${ms} ms`)
      if (expected === '') assert.deepEqual(problems, [], name)
      else assert.equal(problems[0], expected, name)
    }
    assert.ok(maxRss < 700, `${maxRss} MiB`)
  })
})

describe('regular expressions', () => {
  const folder = join(checkout, 'schemas/generated')
  const schemas = readdirSync(folder).filter(name => name.endsWith('.schema.json'))
  const patterns = new Map<string, readonly string[]>()
  const collect = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { pattern, examples = [] } = node as { pattern?: unknown; examples?: unknown }
    if (typeof pattern === 'string') patterns.set(pattern, examples as string[])
    for (const child of Object.values(node)) collect(child)
  }
  for (const name of schemas) collect(JSON.parse(readFileSync(join(folder, name), 'utf8')))

  /** Made of what the pattern repeats, with an end that it cannot have. */
  function adversaries(examples: readonly string[], length: number): string[] {
    const pumps = [
      'a',
      'A',
      '0',
      '-',
      '.',
      '/',
      ':',
      '*',
      '@',
      ' ',
      '=',
      '+',
      'a.',
      'a/',
      'a-',
      '0.',
      'a@',
      '\r',
      '\u{1f600}',
    ]
    const heads = ['', 'refs/heads/', 'https://', 'a@', 'ssh-ed25519 AAAA', '-----BEGIN CERTIFICATE-----\n']
    const whole = examples.map(String)
    return [
      ...heads.flatMap(head => pumps.map(pump => head + pump.repeat(length / pump.length))),
      ...whole.flatMap(example => [
        example.repeat(length / example.length),
        ...[...example].map((char, at) => example.slice(0, at) + char.repeat(length) + example.slice(at)).slice(0, 12),
      ]),
    ].flatMap(text => [`${text}\0`])
  }

  it('of our schemas are linear: 300,000 characters take no longer than a fraction of a second', function () {
    this.timeout(120_000)
    assert.ok(patterns.size > 20)
    for (const [pattern, examples] of patterns) {
      const expression = new RegExp(pattern, 'u')
      for (const text of adversaries(examples, 300_000)) {
        const began = performance.now()
        expression.test(text)
        const first = performance.now() - began
        if (first < 100) continue
        // Once more, since something else may have had the processor.
        const again = performance.now()
        expression.test(text)
        const ms = performance.now() - again
        assert.ok(ms < 300, `${pattern} took ${ms} ms for ${JSON.stringify(text.slice(0, 40))}…`)
      }
    }
  })

  it('of strangers are never compiled: nothing that a repository holds is a schema', async () => {
    const evil = { type: 'object', properties: { purpose: { type: 'string', pattern: '^(a+)+$' } } }
    const world = await World.make()
    const base = 'projects/evil'
    const attack = `${'a'.repeat(5_000)}!`
    await world.commit('rob', {
      ...world.requestFiles('evil', datasets, { governance: { purpose: attack } }),
      ...world.requestFiles('named', datasets, { governance: { $schema: './evil.schema.json', pattern: '^(a+)+$' } }),
      ...Object.fromEntries(contentPaths.map(path => [`${base}/${path}.schema.json`, JSON.stringify(evil)])),
      [`${base}/schemas/request.linkml.yaml`]: stringify({ classes: { Governance: evil } }),
      'schemas/generated/request.schema.json': JSON.stringify({ $defs: { Governance: evil } }),
      '.cratewright/schema.json': JSON.stringify(evil),
    })
    const statuses = await world.run()
    assert.equal(phaseOf(statuses.get('evil')), 'Validated')
    assert.deepEqual(
      statuses.get('named')?.problems.map(({ code, message }) => `${code} ${message}`),
      ['DocumentInvalid $schema is not a known field', 'DocumentInvalid pattern is not a known field'].map(text =>
        text.replace('$schema', '["$schema"]'),
      ),
    )
    // The only place where a schema becomes a program takes its schemas from the package.
    const sources = readdirSync(join(checkout, 'controller'), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .filter(name => /\.compile\(|new Ajv/.test(readFileSync(join(checkout, 'controller', name), 'utf8')))
    assert.deepEqual(sources, ['schema/validate.ts'])
  })
})
