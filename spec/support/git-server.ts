/** Real repositories, real git, real HTTP: `git http-backend` (its manual has the CGI variables) behind a small server. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { run } from '../../controller/runtime/process.ts'
import { generateKey } from '../../controller/runtime/ssh-key.ts'
import { tempFolder } from './temp.ts'

/**
 * `cut`: the answer ends in its middle. `half`: the same, and the server says that this is all. `drip`: it comes byte by byte.
 * `lost`: the request is done, and its answer never sent. `deny`: no credential is good enough.
 */
export type Fault = 'none' | 'error' | 'hang' | 'cut' | 'half' | 'drip' | 'lost' | 'refuse-push' | 'deny'

export interface GitServer {
  url(name: string): string
  /** What the next requests meet. `lost` strikes once, at the next push. */
  fault: Fault
  /** Called with method and URL before a request is answered; may change `fault`. */
  before: (request: string) => void
  /** Method and URL of each request so far. */
  readonly requests: string[]
  /** Ends every connection, those that hang too. */
  cut(): void
  stop(): Promise<void>
}

/**
 * Serves the bare repositories below `root` on a free port of 127.0.0.1, to anyone or to whoever has the password; with a key
 * and certificate (PEM) over HTTPS.
 */
export async function startGitServer(
  root: string,
  auth?: { readonly username: string; readonly password: string },
  tls?: { readonly key: string; readonly cert: string },
): Promise<GitServer> {
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    gitServer.requests.push(`${request.method} ${request.url}`)
    gitServer.before(`${request.method} ${request.url}`)
    const expected = auth && `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`
    if (expected && request.headers.authorization !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end()
    } else answer(root, gitServer, request, response)
  }
  const server = tls ? createTlsServer(tls, serve) : createServer(serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const gitServer: GitServer = {
    url: name => `${tls ? 'https' : 'http'}://127.0.0.1:${port}/${name}`,
    fault: 'none',
    before: () => undefined,
    requests: [],
    cut: () => server.closeAllConnections(),
    async stop() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return gitServer
}

function answer(root: string, server: GitServer, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url!, 'http://localhost')
  const pushes = `${pathname}${search}`.endsWith('git-receive-pack')
  if (server.fault === 'hang') return
  if (server.fault === 'deny') return void response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end()
  if (server.fault === 'error') return void response.writeHead(500).end('out of order\n')
  if (server.fault === 'refuse-push' && pushes) return void response.writeHead(403).end('read only\n')
  const lost = server.fault === 'lost' && pushes && request.method === 'POST'
  if (lost) server.fault = 'none'
  const backend = spawn('git', ['http-backend'], {
    env: {
      ...cleanEnvironment(),
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method!,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      CONTENT_LENGTH: request.headers['content-length'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  backend.stdin.on('error', () => undefined)
  request.pipe(backend.stdin)
  const chunks: Buffer[] = []
  backend.stdout.on('data', chunk => chunks.push(chunk))
  backend.on('close', () => {
    const output = Buffer.concat(chunks)
    const end = output.indexOf('\r\n\r\n')
    if (lost || end < 0) return response.destroy()
    for (const line of output.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(': ')
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10)
      else response.setHeader(name, value)
    }
    const body = output.subarray(end + 4)
    if (server.fault === 'half') return response.end(body.subarray(0, body.length / 2))
    if (server.fault === 'drip') return drip(response, body)
    if (server.fault !== 'cut') return response.end(body)
    response.setHeader('content-length', body.length)
    response.write(body.subarray(0, body.length / 2), () => response.destroy())
  })
}

/** Ten bytes a second, until the client has had enough. */
function drip(response: ServerResponse, body: Buffer): void {
  response.flushHeaders()
  let sent = 0
  const timer = setInterval(() => {
    if (sent < body.length) response.write(body.subarray(sent, ++sent))
    else response.end()
  }, 100)
  response.on('close', () => clearInterval(timer))
}

/** `filter: false` is a server that can only send everything. */
export async function createBareRepository(
  path: string,
  options: { readonly filter?: boolean; readonly format?: 'sha1' | 'sha256' } = {},
): Promise<void> {
  const { filter = true, format = 'sha1' } = options
  mkdirSync(path, { recursive: true })
  await git(path, 'init', '--quiet', '--bare', '--initial-branch=main', `--object-format=${format}`)
  await git(path, 'config', 'uploadpack.allowFilter', String(filter))
  await git(path, 'config', 'http.receivepack', 'true')
}

/** Runs git as a user would, without the configuration of whoever runs the tests; returns trimmed output, throws what it said. */
export async function git(cwd: string, ...args: string[]): Promise<string> {
  const result = await run('git', args, {
    cwd,
    env: cleanEnvironment(),
    signal: new AbortController().signal,
    deadline: 60_000,
    maxOutput: 64 * 1024 * 1024,
  })
  if (result.code !== 0) throw new Error(`git ${args.join(' ')}: ${result.stderr}${result.stdout}`)
  return result.stdout.toString().trim()
}

export interface SigningKey {
  /** As OpenSSH stores it. */
  readonly private: string
  /** The line of the `.pub` file. */
  readonly public: string
  /** Options that make `git commit` sign with this key, and `git verify-commit` accept it for any name. */
  readonly options: readonly string[]
}

export function makeSigningKey(): SigningKey {
  const folder = tempFolder()
  const key = generateKey('test')
  const path = join(folder, 'key')
  const allowed = join(folder, 'allowed_signers')
  writeFileSync(path, key.private, { mode: 0o600 })
  writeFileSync(`${path}.pub`, `${key.public}\n`)
  writeFileSync(allowed, `* ${key.public}\n`)
  const settings = ['gpg.format=ssh', 'commit.gpgSign=true', `user.signingKey=${path}`]
  const options = [...settings, `gpg.ssh.allowedSignersFile=${allowed}`].flatMap(setting => ['-c', setting])
  return { ...key, options }
}

function cleanEnvironment(): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    HOME: '/nonexistent',
    LC_ALL: 'C.UTF-8',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'Rae Researcher',
    GIT_AUTHOR_EMAIL: 'rae@uni.example',
    GIT_COMMITTER_NAME: 'Rae Researcher',
    GIT_COMMITTER_EMAIL: 'rae@uni.example',
  }
}
