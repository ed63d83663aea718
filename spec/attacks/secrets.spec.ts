/**
 * A whole life with failures, run by the command as an operator runs it. Every credential and every row holds a canary; after
 * it, whatever was written, said, passed to other programs or kept by the database server's log is searched for them.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parse, stringify } from 'yaml'
import { type CommandProcess, startCommandIn, until } from '../support/crash.ts'
import { type GitServer, startGitServer } from '../support/git-server.ts'
import { git } from '../support/people.ts'
import { patients, visits, World } from '../support/world.ts'

/** Odd characters: in a URL, JSON and base64 they look different. */
const secrets = {
  platformPassword: 'canary-1 pass/word+"ä"',
  projectsPassword: 'canary-2 pass%2Fword\\é',
  wrongDatabase: 'canary-3-wrong-database',
  wrongGit: 'canary-4-wrong-git',
} as const
const platformAuth = { username: 'canary-5-user', password: secrets.platformPassword }
const projectsAuth = { username: 'canary-6-user', password: secrets.projectsPassword }

const sql = `
  create schema clinic;
  create table clinic.patients (id integer primary key, name text, born date);
  insert into clinic.patients select i, 'canary-row name ' || i, date '1950-01-01' + i from generate_series(1, 60) i;
  create table clinic.visits (id bigint primary key, patient integer, cost numeric(12,4), note text);
  insert into clinic.visits select i, 1 + i % 60, i / 7.0, E'canary-row "note"\\n' || i from generate_series(1, 200) i;
  create table clinic.secret (id integer primary key, v text);
  insert into clinic.secret values (1, 'canary-row nobody may read');
  create view clinic.broken as
    select id, (case when id = 40 then 'canary-cast ' || id else '1' end)::integer as n from clinic.patients;
`
const good = [{ name: 'cohort', tables: [patients, visits] }]
const broken = [{ name: 'cohort', tables: [{ name: 'broken', columns: { id: 'integer', n: 'integer' } }] }]
const forbidden = [{ name: 'cohort', tables: [{ name: 'secret', columns: { id: 'integer', v: 'text' } }] }]

describe('secrets and row values', () => {
  const servers: GitServer[] = []
  let world: World
  let env: Record<string, string>
  let databasePassword: string
  let logged: number
  /** What each process said, by its arguments. */
  const said: string[] = []
  let serve: CommandProcess
  /** `name` of what is looked for → the bytes. */
  let canaries: Map<string, Buffer>
  const at = (...path: string[]) => join(world.folder, ...path)

  before(async function () {
    this.timeout(240_000)
    await makeWorld()
    await live()
    canaries = allCanaries()
  })
  after(async () => {
    serve?.kill()
    for (const server of servers) await server.stop()
  })

  async function makeWorld(): Promise<void> {
    servers.push(await startGitServer(tmpdir(), platformAuth), await startGitServer(tmpdir(), projectsAuth))
    const [platform, projects] = servers
    const credential = (provider: string, name: string) => ({
      provider,
      username_key: `${name}-user`,
      password_key: `${name}-password`,
    })
    world = await World.make({
      sql,
      urlOf: path => (path.endsWith('platform.git') ? platform : projects)?.url(relative(tmpdir(), path)) ?? '',
      manifests: made => {
        const declared = made.platform()
        const [source] = declared['sources.yaml'] as { spec: object }[]
        const [repository] = declared['repositories.yaml'] as { spec: object }[]
        return {
          'sources.yaml': [{ ...source, spec: { ...source?.spec, credentials: credential('environment', 'db') } }],
          'repositories.yaml': [
            { ...repository, spec: { ...repository?.spec, credential: credential('environment', 'git') } },
          ],
        }
      },
    })
    const bootstrap = parse(readFileSync(world.config, 'utf8'))
    writeFileSync(
      world.config,
      stringify({
        ...bootstrap,
        platform: { ...bootstrap.platform, credential: credential('file', 'platform') },
        secrets: { folder: 'secrets', environmentPrefix: 'CW_' },
        log: { level: 'debug', format: 'json' },
      }),
    )
    databasePassword = `canary-password-${world.database}`
    writeFileSync(at('secrets/platform-user'), platformAuth.username)
    writeFileSync(at('secrets/platform-password'), platformAuth.password)
    for (const folder of ['tmp', 'bin', 'runs']) mkdirSync(at(folder))
    await logEverything()
    env = {
      PATH: `${watchedGit()}:${process.env.PATH}`,
      TMPDIR: at('tmp'),
      CW_DB_USER: `reader_${world.database}`,
      CW_DB_PASSWORD: databasePassword,
      CW_GIT_USER: projectsAuth.username,
      CW_GIT_PASSWORD: projectsAuth.password,
    }
  }

  /** The server writes down each statement of this database with its parameters, from here on. */
  async function logEverything(): Promise<void> {
    const settings = {
      log_statement: 'all',
      log_min_duration_statement: '0',
      log_min_error_statement: 'debug5',
      log_parameter_max_length: '-1',
      log_parameter_max_length_on_error: '-1',
      log_error_verbosity: 'verbose',
    }
    for (const [name, value] of Object.entries(settings))
      await world.postgres.query('postgres', `alter database ${world.database} set ${name} = '${value}'`)
    logged = readFileSync(world.postgres.logFile).byteLength
  }

  /** A git in front of git that keeps its own arguments and environment. */
  function watchedGit(): string {
    const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim()
    const path = at('bin/git')
    const keep = ['environ', 'cmdline'].map(what => `cat /proc/$$/${what} > '${at('runs')}'/$$.${what}`).join('\n')
    writeFileSync(path, `#!/bin/sh\n${keep}\nexec '${real}' "$@"\n`)
    chmodSync(path, 0o755)
    return at('bin')
  }

  async function command(more: Record<string, string>, ...args: string[]) {
    const ended = await startCommandIn({ ...env, ...more }, world.config, ...args).ended
    said.push(`${args.join(' ')}\n${ended.out}${ended.err}`)
    return ended
  }

  async function sign(verb: 'sign-off' | 'disclosure', project: string, ...more: string[]): Promise<void> {
    // Who may sign is read from the status, which comes a little later than the entry.
    const waits = verb === 'sign-off' ? 'WaitingForSignOff' : 'WaitingForDisclosure'
    if (more.length === 0) await until(`${project}: ${waits}`, async () => (await status(project)).includes(waits))
    await git(world.clone('dana'), 'pull', '--quiet', '--rebase', 'origin', 'main')
    const decision = verb === 'disclosure' && more.length === 0 ? ['approve'] : more
    const options = ['--clone', world.clone('dana'), '--key', world.people.dana.keyFile, '--push']
    const words = verb === 'disclosure' ? [decision[0] ?? '', project, ...decision.slice(1)] : [project]
    const { code, err } = await command({}, verb, ...words, ...options)
    assert.equal(code, 0, err)
  }

  async function status(project: string): Promise<string> {
    const path = `status/requests.cratewright.dev/DataAccessRequest/projects/${project}.json`
    return git(world.bare('projects'), 'show', `refs/heads/cratewright/records:${path}`).catch(() => '')
  }

  async function reaches(project: string, step: string): Promise<void> {
    await command({}, 'reconcile', project)
    await until(`${project}: ${step}`, async () => (await world.steps(project)).includes(step))
  }

  async function live(): Promise<void> {
    await world.ask('asthma', good)
    const locked = await command({ CW_DB_PASSWORD: secrets.wrongDatabase }, 'reconcile', 'asthma')
    assert.match(locked.out, /refuses the credential/)
    const denied = await command({ CW_GIT_PASSWORD: secrets.wrongGit }, 'reconcile', 'asthma')
    assert.match(denied.out + denied.err, /denied|GitDenied|refuses/i)
    serve = startCommandIn(env, world.config, 'serve')
    await until('serve holds the folder', async () => existsSync(at('work/controller.sock')))
    await reaches('asthma', 'validate done')
    await world.ask('broken', broken)
    await world.ask('forbidden', forbidden)
    await reaches('broken', 'validate done')
    for (const args of [['plan', 'asthma'], ['plan', 'forbidden'], ['explain', 'forbidden', '--json'], ['get']])
      await command({}, ...args)
    await sign('sign-off', 'asthma')
    await sign('sign-off', 'broken')
    await reaches('asthma', 'stage-transfer done')
    await reaches('broken', 'error noted')
    await command({}, 'explain', 'broken')
    await sign('disclosure', 'asthma')
    await reaches('asthma', 'publish done')
    const bag = await command({}, 'verify', world.release('asthma'))
    assert.equal(bag.code, 0, bag.err)
    await world.ask('second', good)
    await reaches('second', 'validate done')
    await sign('sign-off', 'second')
    await reaches('second', 'stage-transfer done')
    await sign('disclosure', 'second')
    await reaches('second', 'publish done')
    const clone = await command({}, 'verify', await world.auditor(), '--json')
    assert.equal(clone.code, 0, clone.err)
    await sign('disclosure', 'asthma', 'withdraw', '--reason', 'a name slipped through')
    await reaches('asthma', 'recall noted')
    serve.kill('SIGTERM')
    const { code, out, err } = await serve.ended
    said.push(`serve\n${out}${err}`)
    assert.equal(code, 0, err)
    assert.match(err, /"message":"a run failed"/)
  }

  /** As they are, and as URLs, JSON, and headers show them. */
  function allCanaries(): Map<string, Buffer> {
    const texts = new Map<string, string>()
    const values = { ...secrets, databasePassword, databaseUser: env.CW_DB_USER ?? '' }
    const users = { platformUser: platformAuth.username, projectsUser: projectsAuth.username }
    for (const [name, value] of Object.entries({ ...values, ...users })) {
      texts.set(name, value)
      texts.set(`${name} in a URL`, encodeURIComponent(value))
      texts.set(`${name} in JSON`, JSON.stringify(value).slice(1, -1))
      texts.set(`${name} in base64`, Buffer.from(value).toString('base64').replace(/=+$/, '').slice(0, -1))
    }
    for (const [name, { username, password }] of Object.entries({ platformAuth, projectsAuth }))
      texts.set(name, Buffer.from(`${username}:${password}`).toString('base64'))
    // Lines 3 and 4 of 7 hold the private half.
    for (const person of [...Object.values(world.people), world.controller])
      texts.set(`key of ${person.name}`, readFileSync(person.keyFile, 'utf8').split('\n')[4] ?? '')
    texts.set('a row', 'canary-row')
    texts.set('a row in an error', 'canary-cast')
    return new Map([...texts].map(([name, value]) => [name, Buffer.from(value)]))
  }

  /** Names of the canaries in some bytes. */
  function found(content: Uint8Array | string, except: RegExp = /^$/): string[] {
    const bytes = Buffer.from(content as Uint8Array)
    return [...canaries].filter(([name, value]) => !except.test(name) && bytes.includes(value)).map(([name]) => name)
  }

  it('are in no object of any repository', () => {
    const repositories = globSync(['**/*.git/HEAD', '**/.git/HEAD'], { cwd: world.folder }).map(path => at(path, '..'))
    assert.ok(repositories.length >= 7, String(repositories))
    for (const folder of repositories) {
      const options = { env: { PATH: process.env.PATH, GIT_DIR: folder, GIT_NO_LAZY_FETCH: '1' }, maxBuffer: 2 ** 28 }
      const objects = execFileSync('git', ['cat-file', '--batch-all-objects', '--batch'], options)
      assert.ok(objects.byteLength > 0)
      assert.deepEqual(found(objects), [], folder)
      assert.deepEqual(found(execFileSync('git', ['for-each-ref'], options)), [], folder)
    }
  })

  it('are in nothing that a command said: results, errors, statuses, the whole log', () => {
    assert.ok(said.length > 15)
    for (const text of said) assert.deepEqual(found(text), [], text.slice(0, 80))
  })

  it('are in no argument of another program, and in its environment only where it logs in with them', () => {
    const runs = readdirSync(at('runs'))
    assert.ok(runs.length > 100)
    const withSecret = new Set<string>()
    for (const name of runs) {
      const content = readFileSync(at('runs', name))
      if (name.endsWith('.cmdline')) {
        assert.deepEqual(found(content), [], content.toString().replaceAll('\0', ' '))
        continue
      }
      const [own, other] = readFileSync(at('runs', name.replace('environ', 'cmdline'))).includes('platform.git')
        ? ['platformAuth', 'projectsAuth']
        : ['projectsAuth', 'platformAuth']
      const secret = found(content, / in base64$/)
      assert.ok(!secret.includes(other), `${name} has the credential of another repository`)
      const wrong = secret.filter(one => one !== own)
      assert.deepEqual(wrong, [], name)
      for (const one of secret) withSecret.add(one)
      const variables = content.toString().split('\0')
      assert.deepEqual(
        variables.filter(one => /^(CW_|CRATEWRIGHT_(?!GIT_HEADER))/.test(one)),
        [],
        name,
      )
    }
    assert.deepEqual([...withSecret].sort(), ['platformAuth', 'projectsAuth'], 'what is looked for can be found')
  })

  it('are in no file but where secrets and released rows lie', () => {
    const files = globSync('**/*', { cwd: world.folder, withFileTypes: true }).filter(entry => entry.isFile())
    const held = new Set<string>()
    for (const entry of files) {
      const path = join(entry.parentPath, entry.name)
      const name = relative(world.folder, path)
      // Objects are compressed, and were looked through above; what the watched git kept is of this test.
      if (/(^|\/)objects\/|^runs\/|^secrets\/|^people\/\w+\/key$/.test(name)) continue
      const isRows = /^(production|staging)\/.*\/outputs\/.*\.csv$/.test(name)
      const there = found(readFileSync(path), isRows ? /^a row$/ : undefined)
      assert.deepEqual(there, [], name)
      if (isRows) held.add(name)
    }
    assert.ok(held.has('production/second/1/data/outputs/cohort/patients.csv'), 'released rows are where they belong')
  })

  it('are in no folder for temporary files, and no core lies anywhere', () => {
    assert.deepEqual(readdirSync(at('tmp')), [])
    assert.deepEqual(globSync('**/core{,.[0-9]*}', { cwd: at('work') }), [])
  })

  it('are not in the log of the database server, though that keeps every statement with its parameters', () => {
    const log = readFileSync(world.postgres.logFile).subarray(logged)
    assert.ok(log.includes('COPY'), 'statements are logged')
    assert.match(log.toString(), /set_config[\s\S]*?parameters: /i, 'with their parameters')
    // The server itself names the role and the value that it could not convert; neither comes from us.
    assert.deepEqual(found(log, /^(databaseUser|a row in an error)/), [])
  })
})
