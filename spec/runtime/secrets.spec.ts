import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { environmentSecrets, fileSecrets, Redactor } from '../../controller/runtime/secrets.ts'

function notFound(reason: RegExp): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof CratewrightError, String(error))
    assert.equal(error.code, 'SecretNotFound')
    assert.match(error.message, reason)
    return true
  }
}

function redactorOf(...secrets: string[]): Redactor {
  const redactor = new Redactor()
  for (const secret of secrets) redactor.add(secret)
  return redactor
}

describe('the redactor', () => {
  it('takes out secrets as they are, in URLs, in JSON and in Basic authentication', () => {
    const secret = 'p@ss "w/rd"+é'
    const redactor = redactorOf(secret)
    const url = new URL('https://forge.example/')
    url.password = secret
    const forms = [
      secret,
      encodeURIComponent(secret),
      encodeURIComponent(secret).toLowerCase(),
      new URLSearchParams({ a: secret }).toString().slice(2),
      JSON.stringify(secret).slice(1, -1),
      Buffer.from(secret).toString('base64'),
      Buffer.from(secret).toString('base64url'),
    ]
    for (const form of forms) assert.equal(redactor.redact(`a ${form}, ${form}.`), 'a [redacted], [redacted].')
    for (const user of ['', 'a', 'ab', 'abc']) {
      const header = Buffer.from(`${user}:${secret}:x`).toString('base64')
      const [from, to] = [user.length + 1, user.length + 1 + Buffer.byteLength(secret)]
      const ofSecretAlone = header.slice(Math.ceil((from * 8) / 6), Math.floor((to * 8) / 6))
      assert.ok(ofSecretAlone.length > 15)
      assert.ok(!redactor.redact(header).includes(ofSecretAlone))
    }
  })

  it('leaves nothing of a secret that overlaps another or itself', () => {
    const redactor = redactorOf('abcd', 'cdefgh', 'abcdef-long', 'xyxyx')
    assert.equal(redactor.redact('1 abcdefgh 2'), '1 [redacted] 2')
    assert.equal(redactor.redact('1 abcdef-long 2'), '1 [redacted] 2')
    assert.equal(redactor.redact('1 xyxyxyx 2'), '1 [redacted] 2')
    assert.equal(redactor.redact('abcdabcd'), '[redacted][redacted]')
  })

  it('never lets a secret through, and changes nothing else', () => {
    const secret = fc.string({ minLength: 4, maxLength: 12, unit: 'binary' })
    fc.assert(
      fc.property(
        fc.array(secret, { minLength: 1, maxLength: 5 }),
        fc.string(),
        fc.string(),
        (secrets, before, after) => {
          const redactor = redactorOf(...secrets)
          const result = redactor.redact(before + secrets.join('') + after)
          for (const value of secrets) assert.ok('[redacted]'.includes(value) || !result.includes(value))
          const clean = '\u{10fffe}'.repeat(3)
          assert.equal(redactorOf('only this').redact(clean), clean)
        },
      ),
    )
  })

  it('ignores values so short that they are words', () => {
    assert.equal(redactorOf('', 'a', 'yes').redact('yes, a'), 'yes, a')
  })
})

describe('secrets in files', () => {
  let folder: string
  let redactor: Redactor
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cratewright-secrets-'))
    redactor = new Redactor()
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const read = (name: string) => fileSecrets(folder, redactor).read(name)

  it('are read without one newline at the end, and are redacted from then on', async () => {
    for (const [content, value] of [
      ['s3cret-é', 's3cret-é'],
      ['s3cret\n', 's3cret'],
      ['s3cret\r\n', 's3cret'],
      ['s3cret\n\n', 's3cret\n'],
      [' s3cret ', ' s3cret '],
    ] as const) {
      writeFileSync(join(folder, 'warehouse-password'), content)
      assert.equal(await read('warehouse-password'), value)
      assert.equal(redactor.redact(`<${value}>`), '<[redacted]>')
    }
  })

  it('are read through the symlinks that Kubernetes makes', async () => {
    mkdirSync(join(folder, '..2026_03_04'))
    writeFileSync(join(folder, '..2026_03_04', 'token'), 'value')
    symlinkSync('..2026_03_04', join(folder, '..data'))
    symlinkSync(join('..data', 'token'), join(folder, 'token'))
    assert.equal(await read('token'), 'value')
  })

  it('stay in their folder', async () => {
    for (const name of ['..', '.', '', '../x', 'a/b', '/etc/passwd', 'a..b', 'a\0b', 'ä', ' x', 'x'.repeat(254)]) {
      await assert.rejects(read(name), notFound(/a name holds only/), name)
    }
  })

  it('that cannot be used are reported by name, without a part of them', async () => {
    writeFileSync(join(folder, 'empty'), '\n')
    writeFileSync(join(folder, 'binary'), Buffer.from([0x73, 0x33, 0xff]))
    writeFileSync(join(folder, 'large'), 'x'.repeat(1_048_577))
    mkdirSync(join(folder, 'folder'))
    execFileSync('mkfifo', [join(folder, 'pipe')])
    await assert.rejects(read('absent'), notFound(/^the secret "absent" cannot be read: reading it gives ENOENT$/))
    await assert.rejects(read('empty'), notFound(/it is empty$/))
    await assert.rejects(read('binary'), notFound(/it is not UTF-8 text$/))
    await assert.rejects(read('large'), notFound(/larger than 1 MiB/))
    await assert.rejects(read('folder'), notFound(/not a file/))
    await assert.rejects(read('pipe'), notFound(/not a file/))
    writeFileSync(join(folder, 'most'), 'x'.repeat(1_048_576))
    assert.equal((await read('most')).length, 1_048_576)
  })
})

describe('secrets in the environment', () => {
  it('are found under the prefix, and are redacted from then on', async () => {
    const redactor = new Redactor()
    const env = { CRATEWRIGHT_SECRET_WAREHOUSE_PASSWORD_2: 's3cret', PATH: '/bin', CRATEWRIGHT_SECRET_EMPTY: '' }
    const store = environmentSecrets('CRATEWRIGHT_SECRET_', redactor, env)
    assert.equal(await store.read('warehouse-password.2'), 's3cret')
    assert.equal(redactor.redact('s3cret'), '[redacted]')
    await assert.rejects(store.read('path'), notFound(/CRATEWRIGHT_SECRET_PATH is not set/))
    await assert.rejects(store.read('empty'), notFound(/it is empty/))
    await assert.rejects(store.read('../x'), notFound(/a name holds only/))
  })
})
