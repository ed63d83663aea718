/** Connections to PostgreSQL: settings, limits, the end of them, and errors without the server's own words. */

import { isIP, type LookupFunction, Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import type { SourceTarget } from './source.ts'

/** Milliseconds in which the server is asked to cancel; then the connection is cut in any case. */
const cancelTimeout = 1200
/** Milliseconds a transaction may wait for us, while a file is synced for instance. */
const idleTimeout = 600_000
const keepAliveDelay = 30_000

/**
 * Text of values must not depend on the server's, database's or role's configuration: the same rows give the same bytes.
 * With row_security off, a row policy is an error instead of fewer rows. pg_temp last: unlisted, it would be searched first.
 */
function settings(target: SourceTarget): readonly (readonly [string, string])[] {
  return [
    ['client_encoding', 'UTF8'],
    ['TimeZone', 'UTC'],
    ['DateStyle', 'ISO, MDY'],
    ['IntervalStyle', 'postgres'],
    ['bytea_output', 'hex'],
    ['extra_float_digits', '1'],
    ['lc_monetary', 'C'],
    ['row_security', 'off'],
    ['search_path', 'pg_catalog, pg_temp'],
    ['statement_timeout', String(target.statementTimeout)],
    ['idle_in_transaction_session_timeout', String(idleTimeout)],
    ['default_transaction_read_only', 'on'],
  ]
}

interface Connection {
  readonly client: pg.Client
  readonly socket: Socket
}

/**
 * Runs `work` on a connection of its own. When the signal aborts, the server is asked from a second connection to cancel, and
 * the connection is cut: after a COPY that was left unfinished, it would hang (pg-copy-streams).
 * @throws CratewrightError ExtractionCancelled within 2 s of the abort; SourceUnreachable, SourceAuthFailed, SourceTimeout,
 * SourceFailed; a CratewrightError of `work` unchanged
 */
export async function withSession<T>(
  target: SourceTarget,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  let stopping: Promise<void> | undefined
  let connection: Connection | undefined
  try {
    if (signal.aborted) throw cancelled(target)
    connection = await connect(target, target.connectTimeout, signal)
    const { client, socket } = connection
    // Not the id of the handshake: a connection pooler makes that one up.
    const { rows } = await client.query<{ id: number }>('SELECT pg_backend_pid() AS id')
    const stop = () => {
      stopping = cancel(target, rows[0]?.id).finally(() => socket.destroy())
    }
    if (signal.aborted) throw cancelled(target)
    signal.addEventListener('abort', stop, { once: true })
    try {
      const result = await work(client)
      await client.end()
      return result
    } finally {
      signal.removeEventListener('abort', stop)
    }
  } catch (error) {
    if (signal.aborted) throw cancelled(target)
    throw error instanceof CratewrightError ? error : sourceError(error, target)
  } finally {
    await stopping
    connection?.socket.destroy()
  }
}

async function connect(target: SourceTarget, timeout: number, signal?: AbortSignal): Promise<Connection> {
  const socket = target.addresses ? new PinnedSocket(target.addresses) : new Socket()
  // Everything is given, so that nothing is taken from PG* variables of the environment; the password by a function, which
  // keeps the empty one from being looked up there.
  const client = new pg.Client({
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.username,
    password: () => target.password,
    ssl: tlsOptions(target),
    application_name: 'cratewright',
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelay,
    stream: () => socket,
  })
  // Every query in flight reports a lost connection itself.
  client.on('error', () => undefined)
  let late = false
  const timer = setTimeout(() => {
    late = true
    socket.destroy()
  }, timeout)
  const onAbort = () => socket.destroy()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await client.connect()
    const list = settings(target)
    const calls = list.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, false)`)
    await client.query(`SELECT ${calls.join(', ')}`, list.flat())
    return { client, socket }
  } catch (error) {
    socket.destroy()
    if (late) throw new CratewrightError('SourceTimeout', `${at(target)} did not answer within ${timeout} ms`)
    throw error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** Connects to one of the addresses given, whatever name it is told; TLS goes on looking for the name. */
class PinnedSocket extends Socket {
  readonly #lookup: LookupFunction

  constructor(addresses: readonly string[]) {
    super()
    const found = addresses.map(address => ({ address, family: isIP(address) }))
    this.#lookup = (_, { all }, done) => {
      const [first = { address: '', family: 4 }] = found
      if (all) done(null, found)
      else done(null, first.address, first.family)
    }
  }

  /** As pg calls it. */
  override connect(port: unknown, host?: unknown): this {
    return super.connect({ port: port as number, host: host as string, lookup: this.#lookup })
  }
}

/** The modes of libpq (PostgreSQL documentation §32.19.1), none of which falls back to plain text. */
function tlsOptions({ tls, ca, host }: SourceTarget): false | ConnectionOptions {
  const trusted = ca === undefined ? {} : { ca }
  switch (tls) {
    case 'disable':
      return false
    case 'require':
      return { rejectUnauthorized: false }
    case 'verify-ca':
      return { ...trusted, rejectUnauthorized: true, checkServerIdentity: () => undefined }
    case 'verify-full':
      return { ...trusted, host, rejectUnauthorized: true }
  }
}

/** Best effort: where the server does not let us in again, cutting the connection is what is left. */
async function cancel(target: SourceTarget, backend: number | undefined): Promise<void> {
  if (backend === undefined) return
  const limit = AbortSignal.timeout(cancelTimeout)
  let connection: Connection | undefined
  try {
    connection = await connect(target, cancelTimeout, limit)
    const cut = connection.socket
    limit.addEventListener('abort', () => cut.destroy())
    await connection.client.query('SELECT pg_cancel_backend($1)', [backend])
  } catch {
    // The caller cuts the connection.
  } finally {
    connection?.socket.destroy()
  }
}

function cancelled(target: SourceTarget): CratewrightError {
  return new CratewrightError('ExtractionCancelled', `reading from ${at(target)} was stopped`)
}

function at({ host, port, database }: SourceTarget): string {
  return `${host}:${port}/${database}`
}

/** The server's message and detail can hold row values (`Key (nhs_number)=(…)`): only the SQLSTATE is kept, and no cause. */
export function sourceError(error: unknown, target: SourceTarget): CratewrightError {
  const { code, message } = error as { code?: unknown; message?: unknown }
  const place = at(target)
  if (error instanceof pg.DatabaseError && typeof code === 'string') return ofSqlState(code, place)
  if (typeof code === 'string' && /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_|EPROTO)/.test(code)) {
    return new CratewrightError('SourceUnreachable', `no trusted TLS connection to ${place}: ${code}`, {
      todo: 'Check the server’s certificate, and `tls` and the CA of the SourceConnection.',
    })
  }
  if (typeof code === 'string' && /^E[A-Z_]+$/.test(code)) {
    return new CratewrightError('SourceUnreachable', `${place} cannot be reached: ${code}`)
  }
  if (typeof message === 'string') {
    // pg gives these no code.
    if (message.startsWith('SASL'))
      return new CratewrightError('SourceAuthFailed', `${place} refuses the credential: SASL`)
    if (/\bSSL\b/.test(message)) return new CratewrightError('SourceUnreachable', `${place} offers no TLS`)
    if (message.startsWith('Connection terminated') || message.includes('not queryable')) {
      return new CratewrightError('SourceUnreachable', `${place} ended the connection`)
    }
  }
  return asCratewrightError(error)
}

/** PostgreSQL documentation, appendix A. */
function ofSqlState(state: string, place: string): CratewrightError {
  const inBrackets = `(SQLSTATE ${state})`
  if (state === '53300') {
    return new CratewrightError('SourceUnreachable', `${place} has no connection to spare ${inBrackets}`, {
      todo: 'Raise the connection limit of the server or of the reader, or lower maxConnections of the SourceConnection.',
    })
  }
  if (/^(08|57P0)/.test(state)) {
    return new CratewrightError('SourceUnreachable', `${place} takes no connection or ended it ${inBrackets}`)
  }
  if (state.startsWith('28')) {
    return new CratewrightError('SourceAuthFailed', `${place} refuses the credential ${inBrackets}`)
  }
  if (/^(57014|55P03|25P03|25P04)$/.test(state)) {
    return new CratewrightError('SourceTimeout', `${place} stopped what took too long ${inBrackets}`)
  }
  if (state === '3D000')
    return new CratewrightError('SourceFailed', `${place}: there is no such database ${inBrackets}`)
  if (state === '42501') {
    return new CratewrightError('SourceFailed', `${place} refuses to read this ${inBrackets}`, {
      todo: 'Ask the owner of the data for the right to read it.',
    })
  }
  return new CratewrightError('SourceFailed', `${place} failed ${inBrackets}`)
}
