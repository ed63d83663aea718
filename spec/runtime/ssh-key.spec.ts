import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { CratewrightError, type ErrorCode } from '../../controller/runtime/errors.ts'
import {
  formatPublicKey,
  generateKey,
  parsePrivateKey,
  parsePublicKey,
  publicKeyFromBlob,
  verifySignature,
} from '../../controller/runtime/ssh-key.ts'
import { armor, wirePositive, wireString, wireUint32 } from '../../controller/runtime/ssh-wire.ts'
import { type KeyFile, kinds, startKeygen } from './ssh-keygen.ts'

const keygen = startKeygen()
after(() => keygen.remove())

function fails(code: ErrorCode, reason: RegExp): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof CratewrightError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, reason)
    return true
  }
}

function unpack(file: string): Buffer {
  return Buffer.from(file.replace(/-----.*-----/g, ''), 'base64')
}

/** One byte changed, or the end cut off, or bytes added. */
function mutated(bytes: Uint8Array): fc.Arbitrary<Buffer> {
  const at = fc.nat(bytes.length - 1)
  const flipped = fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(([index, change]) => {
    const copy = Buffer.from(bytes)
    copy[index] = copy[index]! ^ change
    return copy
  })
  const cut = at.map(length => Buffer.from(bytes.subarray(0, length)))
  const longer = fc.uint8Array({ minLength: 1, maxLength: 8 }).map(more => Buffer.concat([bytes, more]))
  return fc.oneof({ weight: 4, arbitrary: flipped }, cut, longer)
}

describe('SSH keys', () => {
  const files = new Map<string, KeyFile>()
  before(() => {
    for (const kind of kinds) files.set(kind, keygen.make(kind))
  })

  for (const kind of kinds) {
    describe(kind, () => {
      it('has the fingerprint that ssh-keygen prints, and is written back as it was', () => {
        const file = files.get(kind)!
        const key = parsePublicKey(file.public)
        assert.equal(key.fingerprint, keygen.run(['-l', '-f', file.path]).split(' ')[1])
        assert.equal(`${formatPublicKey(key, 'a comment')}\n`, file.public)
        assert.deepEqual(publicKeyFromBlob(key.blob), key)
      })

      it('is read from its private file, and signs what its public half accepts', () => {
        const file = files.get(kind)!
        const key = parsePrivateKey(file.private)
        assert.deepEqual(key.public, parsePublicKey(file.public))
        for (let round = 0; round < 8; round++) {
          const data = Buffer.from(`content ${round}`)
          const signature = key.sign(data)
          assert.equal(verifySignature(key.public, data, signature), true)
          assert.equal(verifySignature(key.public, Buffer.from('other content'), signature), false)
        }
      })

      it('never accepts a changed signature, and fails with nothing but a CratewrightError', () => {
        const key = parsePrivateKey(files.get(kind)!.private)
        const data = Buffer.from('content')
        const accepted = (signature: Uint8Array) => {
          try {
            return verifySignature(key.public, data, signature)
          } catch (error) {
            assert.ok(error instanceof CratewrightError, String(error))
            assert.equal(error.code, 'SignatureInvalid')
            return false
          }
        }
        fc.assert(
          fc.property(mutated(key.sign(data)), signature => accepted(signature) === false),
          { numRuns: 150 },
        )
      })

      it('survives a changed private file: the same key, or a CratewrightError', () => {
        const file = files.get(kind)!
        const { fingerprint } = parsePublicKey(file.public)
        fc.assert(
          fc.property(mutated(unpack(file.private)), bytes => {
            try {
              assert.equal(parsePrivateKey(armor('OPENSSH PRIVATE KEY', bytes)).public.fingerprint, fingerprint)
            } catch (error) {
              assert.ok(error instanceof CratewrightError, String(error))
              assert.ok(error.code === 'KeyInvalid' || error.code === 'KeyEncrypted', error.code)
            }
          }),
          { numRuns: 60 },
        )
      })

      it('survives a changed blob: another key, or KeyInvalid', () => {
        const { blob, fingerprint } = parsePublicKey(files.get(kind)!.public)
        fc.assert(
          fc.property(mutated(blob), bytes => {
            try {
              const key = publicKeyFromBlob(bytes)
              assert.deepEqual(key.blob, bytes)
              assert.notEqual(key.fingerprint, fingerprint)
            } catch (error) {
              assert.ok(error instanceof CratewrightError, String(error))
              assert.equal(error.code, 'KeyInvalid')
            }
          }),
          { numRuns: 150 },
        )
      })
    })
  }

  it('reads anything as a public key or refuses it with KeyInvalid', () => {
    const blob = fc.uint8Array({ maxLength: 80 }).map(bytes => Buffer.from(bytes).toString('base64'))
    const line = fc.oneof(
      fc.string(),
      blob.map(text => `ssh-ed25519 ${text}`),
    )
    fc.assert(
      fc.property(line, text => assert.throws(() => parsePublicKey(text), fails('KeyInvalid', /./)) === undefined),
    )
  })

  it('ignores comment and white space, and refuses what is not one plain key', () => {
    const line = files.get('ed25519')!.public.trim()
    const [type, base64] = line.split(' ') as [string, string]
    assert.deepEqual(parsePublicKey(`  ${type}\t${base64}  \r\n`), parsePublicKey(line))
    assert.throws(() => parsePublicKey(`${line}\n${line}`), fails('KeyInvalid', /more than one line/))
    assert.throws(() => parsePublicKey(`command="x" ${line}`), fails('KeyInvalid', /type followed by base64/))
    assert.throws(() => parsePublicKey(`ssh-rsa ${base64}`), fails('KeyInvalid', /not its type, ssh-ed25519/))
    assert.throws(() => parsePublicKey(`${type} ${base64.slice(0, -1)}`), fails('KeyInvalid', /./))
    assert.throws(() => parsePublicKey(''), fails('KeyInvalid', /./))
    assert.throws(() => parsePublicKey(files.get('ed25519')!.private), fails('KeyInvalid', /private key/))
    assert.throws(() => parsePublicKey(`${type} ${'A'.repeat(20_000)}`), fails('KeyInvalid', /too long/))
  })

  it('refuses types without support by name', () => {
    const blob = wireString('ssh-dss')
    const line = `ssh-dss ${blob.toString('base64')}`
    assert.throws(() => parsePublicKey(line), fails('KeyInvalid', /“ssh-dss” is not supported/))
    const inherited = Buffer.concat([wireString('ecdsa-sha2-constructor'), wireString('constructor'), wireString('')])
    assert.throws(() => publicKeyFromBlob(inherited), fails('KeyInvalid', /not supported/))
  })

  it('refuses Ed25519 keys for which anyone can sign', () => {
    const prime = 2n ** 255n - 19n
    const y8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n
    // Twice a point of order 8 has y = 0. With the formulas of RFC 8032 §5.1.4, that is 2y² = 1 − dy⁴, d = −121665/121666.
    assert.equal((121666n * (2n * y8 ** 2n - 1n) - 121665n * y8 ** 4n) % prime, 0n)
    for (const y of [0n, 1n, prime - 1n, prime, prime + 1n, y8, prime - y8]) {
      for (const sign of [0, 0x80]) {
        const point = Buffer.from(y.toString(16).padStart(64, '0'), 'hex').reverse()
        point[31] = point[31]! | sign
        const blob = Buffer.concat(['ssh-ed25519', point].map(wireString))
        assert.throws(() => publicKeyFromBlob(blob), fails('KeyInvalid', /anyone could sign/))
      }
    }
  })

  it('refuses RSA keys under 2048 bits', () => {
    const file = keygen.make('rsa 1024')
    assert.throws(() => parsePublicKey(file.public), fails('KeyInvalid', /under 2048 bits/))
    assert.throws(() => parsePrivateKey(file.private), fails('KeyInvalid', /under 2048 bits/))
    const modulus = Buffer.alloc(256, 0xff)
    modulus[0] = 0x7f
    const blob = Buffer.concat([wireString('ssh-rsa'), wirePositive(Buffer.of(1, 0, 1)), wirePositive(modulus)])
    assert.throws(() => publicKeyFromBlob(blob), fails('KeyInvalid', /under 2048 bits/), '2047 bits')
  })

  it('refuses a second encoding of the same key', () => {
    const e = wireString(Buffer.of(0, 1, 0, 1))
    const blob = Buffer.concat([wireString('ssh-rsa'), e, wirePositive(Buffer.alloc(256, 0xff))])
    assert.throws(() => publicKeyFromBlob(blob), fails('KeyInvalid', /shortest form/))
  })

  it('refuses a point that is not on its curve', () => {
    const point = Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])
    const blob = Buffer.concat(['ecdsa-sha2-nistp256', 'nistp256', point].map(wireString))
    assert.throws(() => publicKeyFromBlob(blob), fails('KeyInvalid', /no key/))
  })

  it('accepts an RSA signature with SHA-256 or SHA-512, never the SHA-1 of ssh-rsa', () => {
    const key = parsePrivateKey(files.get('rsa 2048')!.private)
    const data = Buffer.from('content')
    const signature = Buffer.from(key.sign(data))
    assert.equal(signature.subarray(4, 16).toString(), 'rsa-sha2-512')
    const sha1 = Buffer.concat([wireString('ssh-rsa'), signature.subarray(16)])
    assert.throws(() => verifySignature(key.public, data, sha1), fails('SignatureInvalid', /“ssh-rsa” is not accepted/))
    const other = Buffer.concat([wireString('rsa-sha2-256'), signature.subarray(16)])
    assert.equal(verifySignature(key.public, data, other), false)
  })

  it('asks for a key without passphrase', () => {
    const file = keygen.make('ed25519', 'open sesame')
    assert.throws(() => parsePrivateKey(file.private), fails('KeyEncrypted', /passphrase/))
    const pem = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n'
    assert.throws(() => parsePrivateKey(pem), fails('KeyEncrypted', /passphrase/))
  })

  it('refuses other formats, and never shows a part of the key', () => {
    const file = keygen.make('ecdsa 256')
    keygen.run(['-q', '-p', '-m', 'PEM', '-N', '', '-f', file.path])
    const pem = readFileSync(file.path, 'utf8')
    assert.match(pem, /BEGIN EC PRIVATE KEY/)
    const expected = /^this private key cannot be used: it does not begin with “-----BEGIN OPENSSH PRIVATE KEY-----”$/
    assert.throws(() => parsePrivateKey(pem), fails('KeyInvalid', expected))
    assert.throws(() => parsePrivateKey(file.public), fails('KeyInvalid', expected))
  })

  it('refuses a private part that is not that of its public part', () => {
    const [mine, other] = [unpack(generateKey('').private), unpack(generateKey('').private)]
    const seedAt = mine.lastIndexOf(wireUint32(64)) + 4
    other.copy(mine, seedAt, seedAt, seedAt + 32)
    assert.throws(() => parsePrivateKey(armor('OPENSSH PRIVATE KEY', mine)), fails('KeyInvalid', /./))
  })

  it('makes keys that ssh-keygen uses', () => {
    for (const comment of ['', 'a', 'controller@tre.example', 'ein Schlüssel']) {
      const made = generateKey(comment)
      const path = keygen.write('made', made.private)
      assert.equal(keygen.run(['-y', '-f', path]).trim(), made.public)
      const again = parsePrivateKey(made.private)
      assert.equal(formatPublicKey(again.public, comment), made.public)
      assert.ok(made.private.split('\n').every(line => line.length <= 70))
    }
    assert.notEqual(generateKey('').public, generateKey('').public)
    assert.throws(() => generateKey('two\nlines'), fails('UsageInvalid', /one line/))
  })
})
