/** What tests of crashes share: the command as a process of its own, a larger database, and what must hold in the end. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { LogEntry } from '../../controller/engine/kind.ts'
import { readLog } from '../../controller/records/log.ts'
import { type GitServer, startGitServer } from './git-server.ts'
import { git } from './people.ts'
import { startPostgres } from './postgres.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'
import { smallDatabase, World } from './world.ts'

/** 150,000 visits, some 10 MB as CSV; what has no primary key has an order all the same, so that runs can be compared. */
export const largeDatabase = `${smallDatabase}
  insert into clinic.visits select i, 1 + i % 200, i / 7.0, repeat('note ', 8) || i from generate_series(1001, 150000) i;
  create or replace view clinic.costs as
    select patient, sum(cost) as total from clinic.visits group by patient order by patient;
`

/** The log of a request that nothing went wrong with. */
export const calmLife = [
  'create noted',
  'validate started',
  'validate done',
  'statement noted',
  'sign-off noted',
  'stage-transfer started',
  'stage-transfer done',
  'statement noted',
  'disclosure noted',
  'close started',
  'close done',
  'publish started',
  'publish done',
] as const

export interface CommandProcess {
  readonly running: boolean
  readonly ended: Promise<{ code: number | null; out: string; err: string; ms: number }>
  /** To the whole process group. */
  kill(signal?: NodeJS.Signals): void
}

const processes = new Set<CommandProcess>()
process.on('exit', () => {
  for (const one of processes) one.kill()
})

/** `scripts/cratewright`, as a process group of its own. */
export function startCommand(config: string, ...args: string[]): CommandProcess {
  return startCommandIn({}, config, ...args)
}

/** The same, with more in its environment. */
export function startCommandIn(
  env: Readonly<Record<string, string>>,
  config: string,
  ...args: string[]
): CommandProcess {
  const begun = performance.now()
  const child = spawn(resolve(import.meta.dirname, '../../scripts/cratewright'), args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, CRATEWRIGHT_CONFIG: config, CRATEWRIGHT_DEBUG: '1', ...env },
  })
  const texts = { out: '', err: '' }
  child.stdout.on('data', chunk => {
    texts.out += chunk
  })
  child.stderr.on('data', chunk => {
    texts.err += chunk
  })
  const ended = new Promise<Awaited<CommandProcess['ended']>>((done, fail) => {
    child.once('error', fail)
    child.once('close', code => {
      processes.delete(running)
      done({ code, ...texts, ms: performance.now() - begun })
    })
  })
  const running: CommandProcess = {
    get running() {
      return child.exitCode === null && child.signalCode === null
    },
    ended,
    kill(signal = 'SIGKILL') {
      if (child.pid !== undefined && running.running) process.kill(-child.pid, signal)
    },
  }
  processes.add(running)
  return running
}

/** Waits until the process is where `place` tells; fails with its output where it ends before. */
export async function reaches(process: CommandProcess, place: Promise<unknown>): Promise<void> {
  const ended = process.ended.then(({ code, out, err }) => assert.fail(`ended with ${code}: ${out}${err}`))
  await Promise.race([place, ended, fails('the process does not get there', 30_000)])
}

async function fails(what: string, ms: number): Promise<never> {
  await setTimeout(ms, undefined, { ref: false })
  assert.fail(`${what}: not within ${ms / 1000} s`)
}

/** The world with its Git server on HTTP and a proxy in front of PostgreSQL, so that both can fail. */
export interface FragileWorld {
  readonly world: World
  readonly server: GitServer
  readonly proxy: TcpProxy
  stop(): Promise<void>
}

export async function makeFragileWorld({
  sql = smallDatabase,
  auth,
}: {
  readonly sql?: string
  readonly auth?: { readonly username: string; readonly password: string }
} = {}): Promise<FragileWorld> {
  const server = await startGitServer(tmpdir(), auth)
  const proxy = await startTcpProxy((await startPostgres()).port)
  const world = await World.make({
    sql,
    urlOf: path => server.url(relative(tmpdir(), path)),
    manifests: made => {
      const declared = made.platform()
      const [source] = declared['sources.yaml'] as { spec: object }[]
      const [repository] = declared['repositories.yaml'] as { spec: object }[]
      const credential = { provider: 'file', username_key: 'git-user', password_key: 'git-password' }
      return {
        'sources.yaml': [{ ...source, spec: { ...source?.spec, port: proxy.port } }],
        'repositories.yaml': [{ ...repository, spec: { ...repository?.spec, ...(auth ? { credential } : {}) } }],
      }
    },
  })
  return {
    world,
    server,
    proxy,
    async stop() {
      await proxy.stop()
      await server.stop()
    },
  }
}

/** A small fast generator (mulberry32), so that a run can be repeated from its seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export async function until(what: string, holds: () => Promise<boolean> | boolean, ms = 20_000): Promise<void> {
  for (const end = performance.now() + ms; !(await holds()); await setTimeout(25)) {
    if (performance.now() > end) assert.fail(`${what}: not within ${ms / 1000} s`)
  }
}

const records = 'refs/heads/cratewright/records'

/** Names of the log's files on the server, `000003-validate-outcome.json`. */
export async function logFiles(world: World, project: string): Promise<string[]> {
  const folder = `projects/${project}/log/`
  const listed = await git(world.bare('projects'), 'ls-tree', '--name-only', records, folder).catch(() => '')
  return listed
    .split('\n')
    .filter(path => path !== '')
    .map(path => path.slice(folder.length))
}

/** Backends of the source's database that serve the controller, by their statement's first word. */
export async function backends(world: World, statement = ''): Promise<number[]> {
  const rows = await world.postgres.query(
    world.database,
    `select pid from pg_stat_activity where datname = $1 and application_name = 'cratewright' and query like $2`,
    [world.database, `${statement}%`],
  )
  return rows.map(({ pid }) => Number(pid))
}

/** Files of a store or of a working folder that have not their final name. */
export function leftovers(...folders: readonly string[]): string[] {
  const unfinished = /\.partial$|\.tmp$|\.lock$|^tmp_|^index-|^incoming-|^controller\.sock\./
  return folders
    .filter(folder => existsSync(folder))
    .flatMap(folder =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter(({ name }) => unfinished.test(name))
        .map(({ parentPath, name }) => join(parentPath, name)),
    )
}

/** Bytes of every output of a release by path, in the store. */
export function outputsOf(world: World, project: string): Map<string, string> {
  const folder = join(world.release(project), 'data/outputs')
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name)
      return [relative(folder, path), readFileSync(path, 'latin1')] as const
    }),
  )
}

/** The manifest's lines of the outputs. What else it names tells times and ids, and differs between requests. */
export function outputLines(world: World, project: string): string[] {
  const manifest = readFileSync(join(world.release(project), 'manifest-sha512.txt'), 'utf8')
  return manifest.split('\n').filter(line => line.includes(' data/outputs/'))
}

/** The log is gapless, nothing is open, and every step that was begun ended once. Returns its entries. */
export async function assertSoundLog(world: World, project: string): Promise<readonly LogEntry[]> {
  const files = new Map<string, Uint8Array>()
  for (const name of await logFiles(world, project)) {
    const text = await git(world.bare('projects'), 'show', `${records}:projects/${project}/log/${name}`)
    files.set(name, Buffer.from(`${text}\n`))
  }
  const { history, problems } = readLog(files)
  assert.deepEqual(problems, [])
  assert.equal(history.open, undefined, 'a step is open')
  for (const { number, action, event } of history.entries) {
    const outcomes = history.entries.filter(entry => entry.event === 'outcome' && entry.started === number)
    assert.equal(outcomes.length, event === 'started' ? 1 : 0, `outcomes of ${action} ${number}`)
  }
  for (const action of ['stage-transfer', 'close', 'publish']) {
    const done = history.entries.filter(entry => entry.action === action && entry.result === 'done')
    assert.ok(done.length <= 1, `${action} is done ${done.length} times`)
  }
  return history.entries
}

/** Published once, nothing unfinished left anywhere, and the bag proves itself. */
export async function assertPublished(world: World, project: string): Promise<readonly LogEntry[]> {
  const entries = await assertSoundLog(world, project)
  assert.equal(entries.filter(({ action, result }) => action === 'publish' && result === 'done').length, 1)
  const works = readdirSync(world.folder).filter(name => name.startsWith('work'))
  const folders = ['staging', 'production', ...works].map(name => join(world.folder, name))
  assert.deepEqual(leftovers(...folders), [])
  const ofRelease = (root: string) => readdirSync(join(world.folder, root, project)).filter(name => /^\.?1/.test(name))
  assert.deepEqual(ofRelease('staging'), ['1.review'])
  assert.deepEqual(ofRelease('production'), ['1'])
  await assertVerifies(world, world.release(project))
  return entries
}

/** `verify` of a bag or a clone, with the root pinned. */
export async function assertVerifies(world: World, target: string): Promise<void> {
  const { code, out, err } = await world.cratewright(
    'verify',
    target,
    '--root',
    world.controller.key.public.fingerprint,
  )
  assert.equal(code, 0, `${target}: ${out}${err}`)
}
