/** The quickstart: one request, from a push to a published release, with every step shown and three forbidden things tried. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { stringify } from 'yaml'
import {
  cloneOf,
  commitAll,
  git,
  makeBare,
  makePerson,
  type PersonWithKey,
  push,
  writeTree,
} from '../spec/support/people.ts'
import { launchPostgres, type TestPostgres } from '../spec/support/postgres.ts'

const root = resolve(import.meta.dirname, '..')
const home = join(root, '.quickstart')
const keep = process.argv.includes('--keep')
const project = 'asthma-outcomes'
const second = 'asthma-wards'
const config = join(home, 'cratewright.yaml')
const started = performance.now()
let running: ChildProcess | undefined
let postgres: TestPostgres | undefined
let stepNumber = 0
let stopping = false

const bold = process.stdout.isTTY ? (text: string) => `\u001b[1m${text}\u001b[0m` : (text: string) => text
const say = (text = '') => console.log(text)
function step(title: string): void {
  stepNumber++
  say(`\n${bold(`[${stepNumber}] ${title}`)}`)
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stopping = true
    const child = running
    // Ctrl-C reaches what runs by itself; a second signal would take its orderly end from it.
    if (signal === 'SIGTERM') child?.kill('SIGTERM')
    const ended = child && new Promise(done => child.once('close', done))
    void Promise.resolve(ended)
      .then(() => postgres?.stop())
      .finally(() => process.exit(130))
    setTimeout(() => {
      child?.kill('SIGKILL')
      process.exit(130)
    }, 5000).unref()
  })
}

interface Result {
  readonly code: number
  readonly out: string
}

/** Runs `cratewright` as a person would, and shows what they see. */
function cratewright(
  args: readonly string[],
  { show = true, expect = [0] }: { show?: boolean; expect?: readonly number[] } = {},
): Promise<Result> {
  if (show)
    say(`  $ cratewright ${args.map(arg => (arg.startsWith(root) ? relative(root, arg) || '.' : arg)).join(' ')}`)
  return new Promise((done, fail) => {
    const child = spawn(join(root, 'scripts/cratewright'), [...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', process.stderr.isTTY ? 'inherit' : 'pipe'],
    })
    running = child
    let out = ''
    let line = ''
    const take = (chunk: Buffer) => {
      out += chunk.toString()
      if (!show) return
      line += chunk.toString()
      const lines = line.split('\n')
      line = lines.pop() ?? ''
      for (const one of lines) say(`    ${one}`)
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
    child.once('error', fail)
    child.once('close', code => {
      running = undefined
      if (expect.includes(code ?? -1)) done({ code: code ?? -1, out })
      else fail(new Error(`cratewright ${args.join(' ')} ended with ${code}, not with ${expect.join(' or ')}:\n${out}`))
    })
  })
}

function request(name: string, description: string, datasets: unknown): Record<string, string> {
  const governance = {
    project: { name, description, reference: 'QS-001' },
    requester: 'rob',
    purpose: 'To learn which patients come back to hospital.',
    agreement: 'https://hospital.example/agreements/qs-001',
    users: [
      {
        username: 'rob',
        given_name: 'Rob',
        family_name: 'Researcher',
        affiliation: 'Example University',
        email: 'rob@hospital.example',
      },
    ],
  }
  const ingress = {
    source: { name: 'warehouse', type: 'postgresql', url: '127.0.0.1' },
    destination: { type: 'filestore', name: 'lsc', format: 'csv' },
    datasets,
  }
  const deployment = { environment: { name: 'quickstart' }, resources: [] }
  const config = [
    '[bagit-info]',
    "Source-Organization = 'Example Hospital'",
    "Organization-Address = '1 Example Street'",
    "Contact-Name = 'Data team'",
    "Contact-Email = 'data@hospital.example'",
    '',
  ]
  const base = `projects/${name}`
  return {
    [`${base}/config.toml`]: config.join('\n'),
    [`${base}/resources/governance/cr8-governance.yaml`]: stringify(governance),
    [`${base}/resources/data/cr8-ingress.yaml`]: stringify(ingress),
    [`${base}/resources/deployment/cr8-deployment.yaml`]: stringify(deployment),
  }
}

const table = (name: string, columns: Record<string, string>) => ({
  name,
  columns: Object.entries(columns).map(([column, datatype]) => ({ name: column, datatype })),
})
const patients = table('patients', {
  patient_id: 'integer',
  'Family Name': 'text',
  sex: 'clinical.sex',
  born: 'date',
  languages: 'text[]',
  order: 'integer',
  gp_note: 'text',
  record: 'jsonb',
  photo: 'bytea',
  registered: 'timestamptz',
})
const admissions = table('admissions', {
  admission_id: 'bigint',
  patient_id: 'integer',
  admitted: 'timestamptz',
  discharged: 'timestamptz',
  ward: 'text',
  cost: 'numeric(38,10)',
  Codes: 'text[]',
  letter: 'text',
})
const observations = table('observations', {
  observation_id: 'bigint',
  patient_id: 'integer',
  taken: 'timestamptz',
  kind: 'text',
  value: 'double precision',
  unit: 'text',
})
const asthma = table('asthma_admissions', {
  admission_id: 'bigint',
  patient_id: 'integer',
  admitted: 'timestamptz',
  ward: 'text',
})

function platform(
  people: readonly PersonWithKey[],
  controller: { key: string; root: string },
  port: number,
): Record<string, string> {
  const person = ({ name, email, publicKey }: PersonWithKey) => ({
    kind: 'Person',
    metadata: { name },
    spec: { displayName: `${name[0]?.toUpperCase()}${name.slice(1)}`, emails: [email], keys: [publicKey] },
  })
  const documents = {
    'repositories.yaml': [
      {
        kind: 'Repository',
        metadata: { name: 'projects' },
        spec: {
          url: `file://${join(home, 'projects.git')}`,
          requests: 'projects/*',
          records: { root: controller.root, signers: [{ key: controller.key }] },
        },
      },
    ],
    'people.yaml': people.map(person),
    'approvers.yaml': [
      {
        kind: 'ApproverGroup',
        metadata: { name: 'data-governance' },
        spec: {
          phases: ['SignOff', 'Disclosure'],
          projects: ['*'],
          sources: ['*'],
          members: [{ person: 'dana' }, { person: 'rob' }],
          quorum: 1,
        },
      },
    ],
    'sources.yaml': [
      {
        kind: 'SourceConnection',
        metadata: { name: 'warehouse' },
        spec: {
          type: 'postgresql',
          host: '127.0.0.1',
          port,
          tls: 'disable',
          databases: ['warehouse'],
          projects: ['*'],
          credentials: { provider: 'file', username_key: 'warehouse-user', password_key: 'warehouse-password' },
        },
      },
    ],
    'stores.yaml': [
      {
        kind: 'FileStore',
        metadata: { name: 'lsc' },
        spec: { type: 'directory', staging: join(home, 'staging'), production: join(home, 'production') },
      },
    ],
  }
  return Object.fromEntries(
    Object.entries(documents).map(([name, resources]) => [
      name,
      resources.map(resource => stringify(resource)).join('---\n'),
    ]),
  )
}

async function main(): Promise<void> {
  say(bold('Cratewright quickstart: one data access request, from a push to a published, provable release.'))
  if (existsSync(home)) {
    say('An earlier quickstart lies in .quickstart/; this one starts afresh.')
    rmSync(home, { recursive: true, force: true })
  }
  mkdirSync(home, { recursive: true })

  step('A hospital’s database: a real PostgreSQL, with 312,000 rows about people who do not exist')
  // As root the server runs as another user, whose files are not kept in the checkout.
  postgres = await launchPostgres(
    process.getuid?.() === 0 ? {} : { folder: join(home, 'postgres'), settings: { fsync: 'off' } },
  )
  await postgres.createDatabase('warehouse')
  await postgres.load('warehouse', readFileSync(join(root, 'spec/support/clinical.sql'), 'utf8'))
  const password = createHash('sha256').update(String(Math.random())).digest('hex')
  await postgres.load(
    'warehouse',
    `create role reader login password '${password}'; grant usage on schema clinical to reader; grant select on all tables in schema clinical to reader;`,
  )
  say(
    '  Patients, admissions, observations: with quotes, newlines, infinities, arrays and emoji, as real data has them.',
  )

  step('Three people, each with a key of their own, and two repositories')
  const people = ['ada', 'rob', 'dana'].map(name => makePerson(name, join(home, 'people', name)))
  const [ada, rob, dana] = people as [PersonWithKey, PersonWithKey, PersonWithKey]
  const made = JSON.parse((await cratewright(['keys', 'make', join(home, 'controller-key'), '--json'])).out) as {
    key: string
    fingerprint: string
    root: string
  }
  for (const folder of ['staging', 'production']) mkdirSync(join(home, folder))
  writeTree(home, { 'secrets/warehouse-user': 'reader\n', 'secrets/warehouse-password': `${password}\n` })
  for (const name of ['platform', 'projects']) await makeBare(join(home, `${name}.git`))
  await cloneOf(join(home, 'platform.git'), join(home, 'people/ada/platform'), ada)
  writeTree(join(home, 'people/ada/platform'), platform(people, made, postgres.port))
  await commitAll(join(home, 'people/ada/platform'), 'Declare people, approvers, the warehouse and the store', ada)
  await push(join(home, 'people/ada/platform'))
  await cloneOf(join(home, 'projects.git'), join(home, 'people/ada/projects'), ada)
  writeTree(join(home, 'people/ada/projects'), {
    'README.md': 'Data access requests, one folder each in `projects/`.\n',
  })
  await commitAll(join(home, 'people/ada/projects'), 'Begin', ada)
  await push(join(home, 'people/ada/projects'))
  for (const person of [rob, dana])
    await cloneOf(join(home, 'projects.git'), join(home, `people/${person.name}/projects`), person)
  writeFileSync(
    config,
    stringify({
      platform: { url: `file://${join(home, 'platform.git')}`, signers: [ada.publicKey] },
      controller: { key: 'controller-key', name: 'quickstart', tre: { name: 'Example TRE' } },
      folder: 'work',
      transports: ['file'],
      networks: ['127.0.0.0/8'],
      secrets: { folder: 'secrets' },
      records: 'projects',
    }),
  )
  say(
    '  Ada is the admin: she declared people, approvers, the database and the store in platform.git, and signed the commit.',
  )
  say('  Rob is a researcher. Dana approves. Nobody has a password; each has a key.')

  step('Rob asks for data: he pushes a request on a branch, and sees what a merge would do')
  const robs = join(home, 'people/rob/projects')
  await git(robs, 'checkout', '--quiet', '-b', 'asthma')
  writeTree(
    robs,
    request(project, 'Outcomes of people with asthma', [
      { name: 'cohort', schema_name: 'clinical', tables: [patients, admissions] },
      { name: 'measurements', schema_name: 'clinical', tables: [observations, asthma] },
    ]),
  )
  await commitAll(robs, 'Ask for admissions of people with asthma', rob)
  await push(robs, 'asthma')
  await cratewright(['plan', '--ref', 'asthma', '--config', config])

  step('The request is merged: the controller gives it an id, and compares it with the database')
  await git(robs, 'checkout', '--quiet', 'main')
  await git(robs, 'merge', '--quiet', '--ff-only', 'asthma')
  await push(robs)
  await cratewright(['reconcile', project, '--config', config, '--until', 'validate'])

  step('Dana signs off: what she signs names the content by its digest')
  const danas = join(home, 'people/dana/projects')
  await git(danas, 'pull', '--quiet', 'origin', 'main')
  await cratewright([
    'sign-off',
    project,
    '--clone',
    danas,
    '--key',
    dana.keyFile,
    '--reason',
    'Approved by the data access committee',
    '--push',
  ])

  step('The data is extracted to staging, in one snapshot a dataset, hashed while it is written')
  await cratewright(['reconcile', project, '--config', config, '--until', 'stage-transfer'])
  for (const line of filesBelow(join(home, 'staging', project))) say(`    ${line}`)

  step('Dana reads the disclosure report, and signs that these very files may leave')
  say(
    readFileSync(join(home, 'staging', project, '1.review/report.md'), 'utf8')
      .split('\n')
      .slice(0, 14)
      .map(line => `    ${line}`)
      .join('\n'),
  )
  await cratewright(['disclosure', 'approve', project, '--clone', danas, '--key', dana.keyFile, '--push'])

  step('The release is sealed as a bag, checked once more, and moved to production')
  await cratewright(['reconcile', project, '--config', config])
  await cratewright(['explain', project, '--config', config])

  step('Forbidden: Rob signs off his own request')
  await git(robs, 'pull', '--quiet', 'origin', 'main')
  writeTree(
    robs,
    request(second, 'Wards that people with asthma come to', [
      { name: 'wards', schema_name: 'clinical', tables: [asthma] },
    ]),
  )
  await commitAll(robs, 'Ask for wards', rob)
  await push(robs)
  await cratewright(['reconcile', second, '--config', config, '--until', 'validate'], { show: false })
  await cratewright(['sign-off', second, '--clone', robs, '--key', rob.keyFile, '--as', 'rob', '--push'], {
    show: false,
  })
  await cratewright(['reconcile', second, '--config', config], { expect: [1], show: false })
  const refused = await cratewright(['explain', second, '--config', config])
  must(refused.out.includes('nobody approves their own request'), 'a sign-off by the researcher was not refused')

  step('Forbidden: Rob adds a table after Dana has signed off')
  await git(danas, 'pull', '--quiet', 'origin', 'main')
  await cratewright(['sign-off', second, '--clone', danas, '--key', dana.keyFile, '--push'], { show: false })
  await cratewright(['reconcile', second, '--config', config, '--until', 'sign-off'], { show: false })
  await git(robs, 'pull', '--quiet', 'origin', 'main')
  writeTree(
    robs,
    request(second, 'Wards that people with asthma come to', [
      { name: 'wards', schema_name: 'clinical', tables: [asthma, patients] },
    ]),
  )
  await commitAll(robs, 'Ask for a little more', rob)
  await push(robs)
  const voided = await cratewright(['reconcile', second, '--config', config], { expect: [1] })
  must(
    !existsSync(join(home, 'production', second)) && voided.out.includes('more approval'),
    'a table added after the sign-off was not refused',
  )
  const why = await cratewright(['explain', second, '--config', config])
  must(why.out.includes('what was approved has changed since'), 'the void approval is not explained')
  say('    The approval was for other content: it is void, and nothing was extracted.')

  step('Forbidden: somebody changes one byte of the released data')
  const bag = join(home, 'production', project, '1')
  const victim = join(bag, 'data/outputs/cohort/admissions.csv')
  const original = readFileSync(victim)
  const changed = Buffer.from(original)
  changed[changed.length - 20] = (changed[changed.length - 20] ?? 0) ^ 1
  writeFileSync(victim, changed)
  const tampered = await cratewright(['verify', bag, '--root', made.fingerprint], { expect: [2] })
  must(tampered.out.includes('admissions.csv'), 'a changed byte was not found')
  writeFileSync(victim, original)

  step('An auditor, with a clone, the fingerprint of one key, and no network')
  const auditor = join(home, 'auditor')
  await git(home, 'clone', '--quiet', join(home, 'projects.git'), auditor)
  await git(home, 'clone', '--quiet', join(home, 'platform.git'), join(auditor, 'trust'))
  writeFileSync(join(auditor, '.git/info/exclude'), 'trust/\n')
  say('    The records branch:')
  const tree = (
    await git(auditor, 'ls-tree', '-r', '--name-only', 'origin/cratewright/records', '--', `projects/${project}`)
  ).split('\n')
  for (const line of tree) say(`      ${line}`)
  await cratewright(['verify', auditor, '--root', made.fingerprint])
  await cratewright(['verify', bag, '--root', made.fingerprint])

  say(
    `\n${bold('Done')} in ${Math.round((performance.now() - started) / 1000)} s. Released data: ${relative(root, bag)}. Staging: .quickstart/staging.`,
  )
  say('Try next:')
  say('  scripts/cratewright get all --config .quickstart/cratewright.yaml')
  say(`  scripts/cratewright explain ${second} --config .quickstart/cratewright.yaml`)
  say(`  git -C .quickstart/auditor log --oneline --show-signature origin/cratewright/records`)
  if (keep) {
    say('\nThe controller and the database go on until Ctrl-C. Push to .quickstart/projects.git and watch.')
    await cratewright(['serve', '--config', config], { expect: [0, 130] })
  }
}

function must(holds: boolean, message: string): void {
  if (!holds) throw new Error(`The quickstart found a defect: ${message}.`)
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
    .map(path => `${relative(root, path)}  ${statSync(path).size.toLocaleString('en-GB')} bytes`)
}

try {
  await main()
} catch (error) {
  // A signal that ended what was run is heard a moment later than the end.
  await pause(50)
  if (!stopping) console.error(`\n${(error as Error).message}`)
  process.exitCode = stopping ? 130 : 1
} finally {
  await postgres?.stop()
}
