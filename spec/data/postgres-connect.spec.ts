import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPostgres } from '../../controller/data/postgres.ts'
import type { SourceTarget } from '../../controller/data/source.ts'
import { launchPostgres, type TestPostgres } from '../support/postgres.ts'
import { nastyDatabase, never, targetOf, until } from './nasty-database.ts'

describe('a connection to PostgreSQL', () => {
  let server: TestPostgres
  let reader: SourceTarget
  let folder: string
  before(async () => {
    ;({ server, reader } = await nastyDatabase())
  })
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cratewright-extract-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const describeNothing = (at: SourceTarget) => openPostgres(at).describe([], never)

  it('tells a wrong password, an unknown database and a closed port apart, and keeps the secrets', async () => {
    const password = 'a-wrong-secret'
    const secret = (error: Error) =>
      !JSON.stringify({ ...error, message: error.message, stack: error.stack }).includes(password)
    const rejects = (at: SourceTarget, code: string) =>
      assert.rejects(
        describeNothing({ ...at, password }),
        (error: Error & { code: string }) => error.code === code && secret(error),
      )
    await rejects(reader, 'SourceAuthFailed')
    await rejects({ ...reader, port: 1 }, 'SourceUnreachable')
    await rejects({ ...reader, host: 'no-such-host.invalid' }, 'SourceUnreachable')
    await assert.rejects(describeNothing({ ...reader, database: 'absent' }), {
      code: 'SourceFailed',
      message: /3D000/,
    })
    await assert.rejects(describeNothing({ ...reader, password: '' }), { code: 'SourceAuthFailed' })
    assert.doesNotMatch(readFileSync(server.logFile, 'utf8'), /a-wrong-secret|reader-password'?$/m)
  })

  it('gives up on a server that does not answer', async () => {
    await withSilentServer(async port => {
      const start = performance.now()
      await assert.rejects(describeNothing({ ...reader, port, connectTimeout: 200 }), {
        code: 'SourceTimeout',
        message: /200 ms/,
      })
      assert.ok(performance.now() - start < 1500)
    })
  })

  it('stops waiting for a server when it is told to', async () => {
    await withSilentServer(async port => {
      const signal = AbortSignal.timeout(200)
      await assert.rejects(openPostgres({ ...reader, port }).describe([], signal), { code: 'ExtractionCancelled' })
    })
  })

  it('is private and certain of the server, as far as asked for', async function () {
    const made = certificate(folder)
    if (!made) {
      console.log('      skipped: there is no openssl to make a certificate')
      return this.skip()
    }
    const own = await launchPostgres()
    try {
      for (const [name, text] of Object.entries({ 'server.key': made.key, 'server.crt': made.certificate })) {
        const lines = `SELECT regexp_split_to_table('${text.trim()}', '\\n')`
        await own.query('postgres', `COPY (${lines}) TO PROGRAM 'umask 077; cat > ${name}'`)
      }
      await own.query('postgres', 'ALTER SYSTEM SET ssl = on')
      await own.query('postgres', 'SELECT pg_reload_conf()')
      const at = targetOf(own, 'postgres')
      const ca = made.certificate
      await until(async () =>
        describeNothing({ ...at, tls: 'require' }).then(
          () => true,
          () => false,
        ),
      )
      await describeNothing({ ...at, tls: 'verify-full', ca, host: 'localhost' })
      await describeNothing({ ...at, tls: 'verify-ca', ca })
      // Held to an address, and still certain of the name.
      const pinned = { ...at, tls: 'verify-full', ca, addresses: ['127.0.0.1'] } as const
      await describeNothing({ ...pinned, host: 'warehouse.invalid' })
      const untrusted = { code: 'SourceUnreachable', message: /no trusted TLS/ }
      await assert.rejects(describeNothing({ ...at, tls: 'verify-full', ca }), untrusted)
      await assert.rejects(describeNothing({ ...at, tls: 'verify-full', host: 'localhost' }), untrusted)
      await assert.rejects(describeNothing({ ...at, tls: 'verify-ca' }), untrusted)
      await assert.rejects(describeNothing({ ...pinned, host: 'other.invalid' }), untrusted)
    } finally {
      await own.stop()
    }
  })

  it('goes to the addresses that were checked, whatever the name stands for by then', async () => {
    // No resolver knows the name, and nobody listens at the first address.
    const at = { ...reader, host: 'warehouse.invalid', addresses: ['127.0.0.9', '127.0.0.1'] }
    await describeNothing(at)
    await assert.rejects(describeNothing({ ...at, addresses: ['127.0.0.9'] }), {
      code: 'SourceUnreachable',
      message: /warehouse\.invalid:\d+\/data_spec cannot be reached/,
    })
    await assert.rejects(describeNothing({ ...at, host: 'localhost', addresses: ['127.0.0.9'] }), {
      code: 'SourceUnreachable',
    })
  })

  it('never falls back to plain text', async () => {
    for (const tls of ['require', 'verify-ca', 'verify-full'] as const) {
      await assert.rejects(describeNothing({ ...reader, tls }), {
        code: 'SourceUnreachable',
        message: /offers no TLS/,
      })
    }
  })
})

/** Self-signed, for `localhost` and `warehouse.invalid` alone. */
function certificate(folder: string): { key: string; certificate: string } | undefined {
  const key = join(folder, 'key.pem')
  const file = join(folder, 'certificate.pem')
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,DNS:warehouse.invalid']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-x509', '-days', '2']
  const { status } = spawnSync('openssl', ['req', ...kind, '-keyout', key, '-out', file, ...subject], {
    stdio: 'ignore',
  })
  return status === 0 ? { key: readFileSync(key, 'utf8'), certificate: readFileSync(file, 'utf8') } : undefined
}

async function withSilentServer(work: (port: number) => Promise<void>): Promise<void> {
  const sockets: Socket[] = []
  const silent: Server = createServer(socket => sockets.push(socket))
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  const address = silent.address()
  try {
    assert.ok(address !== null && typeof address === 'object')
    await work(address.port)
  } finally {
    for (const socket of sockets) socket.destroy()
    silent.close()
  }
}
