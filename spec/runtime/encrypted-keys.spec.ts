import assert from 'node:assert/strict'
import { bcryptPbkdf } from '../../controller/runtime/bcrypt-pbkdf.ts'
import { CratewrightError, type ErrorCode } from '../../controller/runtime/errors.ts'
import { inspectPrivateKey, parsePrivateKey, parsePublicKey } from '../../controller/runtime/ssh-key.ts'
import { armor, wireString, wireUint32 } from '../../controller/runtime/ssh-wire.ts'
import { deviceBlob, makeAuthenticator } from './authenticator.ts'
import { startKeygen } from './ssh-keygen.ts'

const keygen = startKeygen()
after(() => keygen.remove())

/** All that OpenSSH writes with `ssh-keygen -Z`. */
const ciphers = [
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
  'aes128-cbc',
  'aes192-cbc',
  'aes256-cbc',
  '3des-cbc',
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
]
const passphrase = 'canary offen Sesam ü 🔑'
let made = 0

function encrypted(type: string, cipher: string, rounds = '2'): { private: string; public: string } {
  const path = `${keygen.folder}/locked${++made}`
  const size = type === 'rsa' ? ['-b', '2048'] : []
  const how = ['-Z', cipher, '-a', rounds, '-N', passphrase]
  keygen.run(['-q', '-t', type, ...size, ...how, '-C', 'x'.repeat(made % 17), '-f', path])
  return { private: keygen.read(path), public: keygen.read(`${path}.pub`) }
}

function fails(code: ErrorCode, reason: RegExp): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof CratewrightError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, reason)
    assert.doesNotMatch(JSON.stringify(error), /canary/)
    return true
  }
}

/** A file that says of itself what a test wants. */
function container(fields: {
  cipher?: string
  kdf?: string
  options?: Buffer
  blob?: Buffer
  secret?: Buffer
}): string {
  const { cipher = 'aes256-ctr', kdf = 'bcrypt', blob = parsePublicKey(ordinary.public).blob } = fields
  const { options = Buffer.concat([wireString(Buffer.alloc(16)), wireUint32(2)]), secret = Buffer.alloc(64) } = fields
  const parts = [wireString(cipher), wireString(kdf), wireString(options), wireUint32(1), wireString(blob)]
  return armor('OPENSSH PRIVATE KEY', Buffer.concat([Buffer.from('openssh-key-v1\0'), ...parts, wireString(secret)]))
}

const ordinary = keygen.make('ed25519')

describe('bcrypt_pbkdf', () => {
  it('gives what OpenBSD’s gives', () => {
    // From the test vectors of OpenBSD's regress/lib/libutil/bcrypt_pbkdf.
    assert.equal(
      bcryptPbkdf(Buffer.from('password'), Buffer.from('salt'), 32, 4).toString('hex'),
      '5bbf0cc293587f1c3635555c27796598d47e579071bf427e9d8fbe842aba34d9',
    )
  })
})

describe('private keys with a passphrase', () => {
  for (const cipher of ciphers) {
    it(`are opened with it, and with no other: ${cipher}`, () => {
      for (const type of ['ed25519', 'ecdsa', 'rsa']) {
        const file = encrypted(type, cipher)
        const key = parsePrivateKey(file.private, passphrase)
        assert.deepEqual(key.public, parsePublicKey(file.public))
        assert.deepEqual(inspectPrivateKey(file.private), { public: key.public, encrypted: true })
        for (const wrong of ['', `${passphrase} `, 'x'])
          assert.throws(() => parsePrivateKey(file.private, wrong), fails('KeyEncrypted', /not the passphrase/))
        assert.throws(() => parsePrivateKey(file.private), fails('KeyEncrypted', /protected by a passphrase/))
      }
    })

    it(`are refused when a byte of them changed: ${cipher}`, () => {
      const bytes = Buffer.from(encrypted('ed25519', cipher).private.replace(/-----.*-----/g, ''), 'base64')
      for (let index = bytes.length - 1; index > 15; index -= 11) {
        const changed = Buffer.from(bytes)
        changed[index] = changed[index]! ^ 1
        try {
          parsePrivateKey(armor('OPENSSH PRIVATE KEY', changed), passphrase)
          // Only the comment, which nobody reads, is not proven by a cipher without a tag.
          assert.ok(/ctr$|cbc$/.test(cipher), `byte ${index}`)
        } catch (error) {
          assert.ok(error instanceof CratewrightError, String(error))
          assert.match(error.code, /^Key(Invalid|Encrypted)$/)
        }
      }
    })
  }

  it('are opened with the rounds that ssh-keygen takes by itself, and with many', () => {
    for (const rounds of ['16', '40']) {
      const file = encrypted('ed25519', 'aes256-ctr', rounds)
      assert.equal(parsePrivateKey(file.private, passphrase).public.type, 'ssh-ed25519')
    }
  })

  it('are refused at once when they ask for days of work', () => {
    const started = performance.now()
    for (const rounds of [0, 2001, 0xffffffff]) {
      const options = Buffer.concat([wireString(Buffer.alloc(16)), wireUint32(rounds)])
      assert.throws(() => parsePrivateKey(container({ options }), 'x'), fails('KeyInvalid', /rounds/))
    }
    assert.ok(performance.now() - started < 1000)
  })

  it('are refused with a reason where the container makes no sense', () => {
    const cases: readonly [Parameters<typeof container>[0], RegExp][] = [
      [{ cipher: 'rot13' }, /cipher “rot13” is not supported/],
      [{ cipher: 'constructor' }, /not supported/],
      [{ kdf: 'scrypt' }, /“scrypt”, is not supported/],
      [{ kdf: 'none' }, /“none”, is not supported/],
      [{ cipher: 'none' }, /options for a cipher/],
      [{ options: Buffer.alloc(0) }, /ends too early/],
      [{ options: Buffer.concat([wireString(''), wireUint32(2)]) }, /no salt/],
      [{ options: Buffer.concat([wireString('s'), wireUint32(2), Buffer.of(0)]) }, /bytes follow/],
      [{ secret: Buffer.alloc(17) }, /wrong length/],
      [{ secret: Buffer.alloc(0) }, /wrong length/],
    ]
    for (const [change, reason] of cases)
      assert.throws(() => parsePrivateKey(container(change), 'x'), fails('KeyInvalid', reason))
  })

  it('take no notice of a passphrase that they do not need', () => {
    assert.deepEqual(parsePrivateKey(ordinary.private, 'x').public, parsePublicKey(ordinary.public))
    assert.equal(inspectPrivateKey(ordinary.private).encrypted, false)
  })

  it('are never opened in process where a security key holds them', () => {
    const device = makeAuthenticator('sk-ssh-ed25519@openssh.com')
    const text = container({ cipher: 'none', kdf: 'none', options: Buffer.alloc(0), blob: device.blob })
    assert.deepEqual(inspectPrivateKey(text), { public: device.public, encrypted: false })
    assert.throws(() => parsePrivateKey(text), fails('KeyInvalid', /kept on a security key/))
    const weak = deviceBlob('sk-ssh-ed25519@openssh.com', Buffer.alloc(32), 'ssh:')
    assert.throws(() => inspectPrivateKey(container({ blob: weak })), fails('KeyInvalid', /anyone could sign/))
  })

  it('are named with the way out in the older PEM form', () => {
    const path = `${keygen.folder}/pem`
    keygen.run(['-q', '-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', passphrase, '-f', path])
    assert.throws(
      () => parsePrivateKey(keygen.read(path), passphrase),
      error => fails('KeyEncrypted', /older PEM/)(error) && /ssh-keygen -p/.test((error as CratewrightError).todo),
    )
    keygen.run(['-q', '-p', '-P', passphrase, '-N', passphrase, '-f', path])
    assert.equal(parsePrivateKey(keygen.read(path), passphrase).public.type, 'ssh-rsa')
  })
})
