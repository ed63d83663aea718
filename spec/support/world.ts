/**
 * A whole small world for tests of the way through: a real PostgreSQL, real Git repositories, people with keys, a platform,
 * stores, and the controller run in process or as the command.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { readBootstrap } from '../../controller/cli/bootstrap.ts'
import { runCommand } from '../../controller/cli/run.ts'
import { type Wired, type WireOptions, wire } from '../../controller/cli/wire.ts'
import type { LogEntry } from '../../controller/engine/kind.ts'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import { rootCommit } from '../../controller/records/identity.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { Redactor } from '../../controller/runtime/secrets.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { cloneOf, commitAll, git, makeBare, makePerson, type PersonWithKey, push, writeTree } from './people.ts'
import { startPostgres, type TestPostgres } from './postgres.ts'
import { tempFolder } from './temp.ts'

export interface TableWish {
  readonly name: string
  readonly columns: Readonly<Record<string, string>>
}

export interface DatasetWish {
  readonly name: string
  readonly schema?: string
  readonly tables: readonly TableWish[]
}

export interface WorldOptions {
  /** SQL that makes the database; default: two small tables and a view in schema `clinic`. */
  readonly sql?: string
  /** The URL under which the controller sees a bare repository; default: `file://`. */
  readonly urlOf?: (path: string) => string
  /** Replaces or adds fields of the bootstrap file. */
  readonly config?: (world: World) => Readonly<Record<string, unknown>>
  /** Replaces or adds manifests of the platform repository. */
  readonly manifests?: (world: World) => Readonly<Record<string, unknown[]>>
}

export const smallDatabase = `
  create schema clinic;
  create table clinic.patients (id integer primary key, name text, born date);
  insert into clinic.patients select i, 'patient ' || i, date '1950-01-01' + i from generate_series(1, 200) i;
  create table clinic.visits (id bigint primary key, patient integer, cost numeric(12,4), note text);
  insert into clinic.visits select i, 1 + i % 200, i / 7.0, case i % 5 when 0 then null when 1 then '' else E'note "' || i || E'"\\nsecond line' end from generate_series(1, 1000) i;
  create table clinic.secret (id integer primary key, v text);
  create view clinic.costs as select patient, sum(cost) as total from clinic.visits group by patient;
`

export const patients: TableWish = { name: 'patients', columns: { id: 'integer', name: 'text', born: 'date' } }
export const visits: TableWish = {
  name: 'visits',
  columns: { id: 'bigint', patient: 'integer', cost: 'numeric(12,4)', note: 'text' },
}
export const costs: TableWish = { name: 'costs', columns: { patient: 'integer', total: 'numeric' } }

let worlds = 0

export interface CommandResult {
  readonly code: number
  readonly out: string
  readonly err: string
}

export class World {
  readonly folder: string
  readonly database: string
  readonly postgres: TestPostgres
  readonly people: Readonly<Record<'ada' | 'rob' | 'dana' | 'eve', PersonWithKey>>
  readonly controller: PersonWithKey
  readonly root: string
  readonly urlOf: (path: string) => string
  readonly #config: NonNullable<WorldOptions['config']>

  constructor(
    folder: string,
    postgres: TestPostgres,
    urlOf: (path: string) => string,
    config: NonNullable<WorldOptions['config']>,
  ) {
    this.folder = folder
    this.postgres = postgres
    this.urlOf = urlOf
    this.#config = config
    this.database = `world_${process.pid}_${++worlds}`
    const person = (name: string) => makePerson(name, join(folder, 'people', name))
    this.people = { ada: person('ada'), rob: person('rob'), dana: person('dana'), eve: person('eve') }
    this.controller = person('controller')
    this.root = rootCommit(payload => signSsh(this.controller.key, 'git', payload))
  }

  static async make({
    sql = smallDatabase,
    urlOf = path => `file://${path}`,
    config = () => ({}),
    manifests,
  }: WorldOptions = {}): Promise<World> {
    const world = new World(tempFolder(), await startPostgres(), urlOf, config)
    const { folder, postgres, database, people } = world
    await postgres.createDatabase(database)
    await postgres.load(database, sql)
    const reader = `reader_${database}`
    await postgres.load(
      database,
      `create role ${reader} login password 'canary-password-${database}';
       do $$ declare s text; begin for s in select nspname from pg_namespace where nspname !~ '^(pg_|information_schema)' loop
         execute format('grant usage on schema %I to ${reader}; grant select on all tables in schema %I to ${reader}', s, s);
       end loop; end $$;
       do $$ begin if to_regclass('clinic.secret') is not null then revoke all on clinic.secret from ${reader}; end if; end $$;`,
    )
    for (const name of ['staging', 'production']) mkdirSync(join(folder, name))
    writeTree(folder, { 'secrets/db-user': reader, 'secrets/db-password': `canary-password-${database}` })
    for (const name of ['platform', 'projects'] as const) await makeBare(world.bare(name))
    await cloneOf(world.bare('platform'), world.clone('ada', 'platform'), people.ada)
    await world.declare({ ...world.platform(), ...manifests?.(world) })
    await cloneOf(world.bare('projects'), world.clone('ada'), people.ada)
    writeTree(world.clone('ada'), { 'README.md': 'requests\n' })
    await commitAll(world.clone('ada'), 'Begin', people.ada)
    await push(world.clone('ada'))
    for (const name of ['rob', 'dana', 'eve'] as const)
      await cloneOf(world.bare('projects'), world.clone(name), people[name])
    world.writeConfig('work')
    return world
  }

  bare(name: 'platform' | 'projects'): string {
    return join(this.folder, `${name}.git`)
  }

  clone(person: keyof World['people'], repository: 'platform' | 'projects' = 'projects'): string {
    return join(this.folder, 'people', person, repository)
  }

  get config(): string {
    return join(this.folder, 'cratewright.yaml')
  }

  /** A bootstrap file with a working folder of the given name: another folder is another controller. */
  writeConfig(work: string, path = this.config): string {
    writeFileSync(
      path,
      stringify({
        platform: { url: this.urlOf(this.bare('platform')), signers: [this.people.ada.publicKey] },
        controller: { key: 'people/controller/key', name: 'test', tre: { name: 'Test TRE' } },
        folder: work,
        transports: ['file', 'http'],
        networks: ['127.0.0.0/8', '::1/128'],
        secrets: { folder: 'secrets' },
        records: 'projects',
        ...this.#config(this),
      }),
    )
    return path
  }

  platform(): Record<string, unknown[]> {
    const { people, folder, postgres, database, controller, root } = this
    const person = ({ name, email, publicKey }: PersonWithKey) => ({
      kind: 'Person',
      metadata: { name },
      spec: { displayName: name, emails: [email], keys: [publicKey] },
    })
    return {
      'repositories.yaml': [
        {
          kind: 'Repository',
          metadata: { name: 'projects' },
          spec: {
            url: this.urlOf(this.bare('projects')),
            requests: 'projects/*',
            records: { root, signers: [{ key: controller.publicKey }] },
          },
        },
      ],
      'people.yaml': [people.ada, people.rob, people.dana].map(person),
      'approvers.yaml': [
        {
          kind: 'ApproverGroup',
          metadata: { name: 'governance' },
          spec: {
            phases: ['SignOff', 'Disclosure'],
            projects: ['*'],
            sources: ['*'],
            members: [{ person: 'dana' }, { person: 'rob' }],
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
            port: postgres.port,
            tls: 'disable',
            databases: [database],
            projects: ['*'],
            credentials: { provider: 'file', username_key: 'db-user', password_key: 'db-password' },
          },
        },
      ],
      'stores.yaml': [
        {
          kind: 'FileStore',
          metadata: { name: 'lsc' },
          spec: { type: 'directory', staging: join(folder, 'staging'), production: join(folder, 'production') },
        },
      ],
    }
  }

  /** Ada commits manifests to the platform repository. */
  async declare(files: Readonly<Record<string, unknown[]>>, { sign = true } = {}): Promise<string> {
    const clone = this.clone('ada', 'platform')
    const texts = Object.entries(files).map(([name, documents]) => [
      name,
      documents.map(one => stringify(one)).join('---\n'),
    ])
    writeTree(clone, Object.fromEntries(texts))
    const commit = await commitAll(clone, 'Declare', this.people.ada, sign ? {} : { sign: undefined })
    await push(clone)
    return commit
  }

  requestFiles(
    project: string,
    datasets: readonly DatasetWish[],
    change: { governance?: object; ingress?: object } = {},
  ): Record<string, string> {
    const governance = {
      project: { name: project, description: `About ${project}` },
      requester: 'rob',
      users: [
        {
          username: 'rob',
          given_name: 'Rob',
          family_name: 'R',
          affiliation: 'University',
          email: 'rob@hospital.example',
        },
      ],
      ...change.governance,
    }
    const ingress = {
      source: { name: this.database, type: 'postgresql', url: '127.0.0.1' },
      destination: { type: 'filestore', name: 'lsc', format: 'csv' },
      datasets: datasets.map(({ name, schema = 'clinic', tables }) => ({
        name,
        schema_name: schema,
        tables: tables.map(table => ({
          name: table.name,
          columns: Object.entries(table.columns).map(([column, datatype]) => ({ name: column, datatype })),
        })),
      })),
      ...change.ingress,
    }
    const base = `projects/${project}`
    return {
      [`${base}/config.toml`]: `[bagit-info]\nSource-Organization = 'Hospital'\nOrganization-Address = 'Street 1'\nContact-Name = 'Team'\nContact-Email = 'team@hospital.example'\n`,
      [`${base}/resources/governance/cr8-governance.yaml`]: stringify(governance),
      [`${base}/resources/data/cr8-ingress.yaml`]: stringify(ingress),
      [`${base}/resources/deployment/cr8-deployment.yaml`]: stringify({ environment: { name: 'test' } }),
    }
  }

  /** Someone commits files to the projects repository's main branch, signed unless told otherwise. */
  async commit(
    person: keyof World['people'],
    files: Readonly<Record<string, string | Uint8Array>>,
    { message = 'Change', sign = true, branch = 'main' } = {},
  ): Promise<string> {
    const clone = this.clone(person)
    await git(clone, 'pull', '--quiet', '--rebase', 'origin', 'main')
    writeTree(clone, files)
    const commit = await commitAll(clone, message, this.people[person], sign ? {} : { sign: undefined })
    await push(clone, branch)
    return commit
  }

  /** Rob asks for two datasets. */
  async ask(
    project: string,
    datasets: readonly DatasetWish[] = [
      { name: 'cohort', tables: [patients, visits] },
      { name: 'money', tables: [costs] },
    ],
  ): Promise<string> {
    return this.commit('rob', this.requestFiles(project, datasets), { message: `Ask for ${project}` })
  }

  /** The command, in process. */
  async cratewright(...argv: string[]): Promise<CommandResult> {
    const out: string[] = []
    const err: string[] = []
    const code = await runCommand(argv, {
      out: text => void out.push(text),
      err: text => void err.push(text),
      interactive: false,
      env: { CRATEWRIGHT_CONFIG: this.config, CRATEWRIGHT_DEBUG: '1' },
      signal: new AbortController().signal,
    })
    return { code, out: out.join('\n'), err: err.join('\n') }
  }

  async signOff(person: keyof World['people'], project: string, ...more: string[]): Promise<CommandResult> {
    await git(this.clone(person), 'pull', '--quiet', '--rebase', 'origin', 'main')
    return this.cratewright(
      'sign-off',
      project,
      '--clone',
      this.clone(person),
      '--key',
      this.people[person].keyFile,
      '--push',
      ...more,
    )
  }

  async disclose(
    person: keyof World['people'],
    project: string,
    decision = 'approve',
    ...more: string[]
  ): Promise<CommandResult> {
    await git(this.clone(person), 'pull', '--quiet', '--rebase', 'origin', 'main')
    return this.cratewright(
      'disclosure',
      decision,
      project,
      '--clone',
      this.clone(person),
      '--key',
      this.people[person].keyFile,
      '--push',
      ...more,
    )
  }

  /** One run of the controller in process, until nothing is due. The world can be looked into before it is closed. */
  async run({
    config = this.config,
    retries = false,
    inspect,
    ...options
  }: Partial<WireOptions> & {
    config?: string
    retries?: boolean
    inspect?: (wired: Wired) => Promise<void>
  } = {}): Promise<Map<string, StoredStatus>> {
    const bootstrap = await readBootstrap(config)
    const stop = new AbortController()
    const wired = await wire(bootstrap, {
      log: silentLog,
      redactor: new Redactor(),
      signal: stop.signal,
      resync: 0,
      pushInterval: 0,
      maxRetries: retries ? 4 : 0,
      ...options,
    })
    try {
      await wired.controller.lookNow()
      await wired.controller.settled({ retries })
      await inspect?.(wired)
      const statuses = wired.store.keys().map(key => [key.split('/').at(-1) ?? key, wired.store.status(key)] as const)
      return new Map(statuses.flatMap(([name, status]) => (status ? [[name, status] as const] : [])))
    } finally {
      stop.abort()
      await wired.close().catch(() => {})
    }
  }

  /** The whole life of a request, to the phase given. */
  async walk(project: string, to: 'Validated' | 'SignedOff' | 'Staged' | 'Published' = 'Published'): Promise<void> {
    await this.ask(project)
    await this.run()
    if (to === 'Validated') return
    await this.signOff('dana', project)
    if (to === 'SignedOff') {
      await this.run({ stopAfter: (resource, step) => resource.name === project && step.action === 'sign-off' })
      return
    }
    await this.run()
    if (to === 'Staged') return
    await this.disclose('dana', project)
    await this.run()
  }

  /** The log of a project as it lies on the records branch. */
  async log(project: string): Promise<LogEntry[]> {
    const names = await git(
      this.bare('projects'),
      'ls-tree',
      '--name-only',
      'refs/heads/cratewright/records',
      `projects/${project}/log/`,
    ).catch(() => '')
    const entries: LogEntry[] = []
    for (const name of names.split('\n').filter(line => line !== '')) {
      entries.push(
        JSON.parse(await git(this.bare('projects'), 'show', `refs/heads/cratewright/records:${name}`)) as LogEntry,
      )
    }
    return entries
  }

  /** `create noted, validate started, …`: the log in short. */
  async steps(project: string): Promise<string[]> {
    return (await this.log(project)).map(
      ({ action, event, result }) => `${action} ${event === 'outcome' ? result : event}`,
    )
  }

  /** A plain clone of the projects repository with its records branch, and the platform in `trust/`. */
  async auditor(name = 'auditor'): Promise<string> {
    const folder = join(this.folder, name)
    await git(this.folder, 'clone', '--quiet', this.bare('projects'), folder)
    await git(this.folder, 'clone', '--quiet', this.bare('platform'), join(folder, 'trust'))
    return folder
  }

  release(project: string, release = 1): string {
    return join(this.folder, 'production', project, String(release))
  }
}

export function phaseOf(status: StoredStatus | undefined): string {
  return (status?.report.detail as { phase?: string } | undefined)?.phase ?? 'unknown'
}
