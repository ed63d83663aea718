import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { generateKey, parsePrivateKey } from '../../controller/runtime/ssh-key.ts'
import { armor, unarmor, wireString, wireUint32 } from '../../controller/runtime/ssh-wire.ts'
import { signSsh, verifySsh } from '../../controller/runtime/sshsig.ts'
import { kinds, startKeygen } from './ssh-keygen.ts'

const namespace = 'statement@cratewright.dev'
const content = Buffer.from('decision: approve\n')
const keygen = startKeygen()
after(() => keygen.remove())

function signedBy(keyPath: string, options: readonly string[]): string {
  return keygen.run(['-Y', 'sign', '-q', ...options, '-f', keyPath, '-n', namespace, '-'], content)
}

function refuses(signature: string, reason: RegExp, data = content, purpose = namespace): void {
  assert.throws(
    () => verifySsh(signature, purpose, data),
    error => {
      assert.ok(error instanceof CratewrightError, String(error))
      assert.equal(error.code, 'SignatureInvalid')
      assert.match(error.message, reason)
      return true
    },
  )
}

describe('SSH signatures', () => {
  for (const kind of kinds) {
    it(`are checked by ssh-keygen when made here, and here when made by ssh-keygen: ${kind}`, () => {
      const file = keygen.make(kind)
      const key = parsePrivateKey(file.private)
      const ours = signSsh(key, namespace, content)
      const allowed = keygen.write('allowed', `dana ${file.public}`)
      const signature = keygen.write('ours.sig', ours)
      const verify = ['-Y', 'verify', '-f', allowed, '-I', 'dana', '-n', namespace, '-s', signature]
      assert.match(keygen.run(verify, content), /^Good "statement@cratewright.dev" signature for dana/)
      assert.throws(() => keygen.run(verify, 'decision: reject\n'), 'ssh-keygen accepts anything')

      const theirs = signedBy(file.path, [])
      assert.deepEqual(verifySsh(theirs, namespace, content), key.public)
      // ECDSA takes a new random number each time.
      if (!kind.startsWith('ecdsa')) assert.equal(ours, theirs)
      assert.deepEqual(verifySsh(signedBy(file.path, ['-O', 'hashalg=sha256']), namespace, content), key.public)
    })
  }

  const key = parsePrivateKey(generateKey('').private)
  const good = signSsh(key, namespace, content)
  const bytes = unarmor('SSH SIGNATURE', good, reason => new CratewrightError('Internal', reason))

  function made(change: {
    version?: number
    namespace?: string
    reserved?: string
    hash?: string
    extra?: Uint8Array
  }): string {
    const {
      version = 1,
      namespace: purpose = namespace,
      reserved = '',
      hash = 'sha512',
      extra = Buffer.alloc(0),
    } = change
    const fields = [key.public.blob, purpose, reserved, hash, key.sign(content)].map(wireString)
    return armor('SSH SIGNATURE', Buffer.concat([Buffer.from('SSHSIG'), wireUint32(version), ...fields, extra]))
  }

  it('say what is wrong', () => {
    refuses(good, /content is not what the key SHA256:\S+ signed/, Buffer.from('decision: reject\n'))
    refuses(good, /another purpose \(namespace\) than “git”/, content, 'git')
    refuses(good, /namespace/, content, '')
    refuses(made({ namespace: 'file' }), /namespace/)
    refuses(made({ version: 2 }), /version is 2/)
    refuses(made({ hash: 'sha1' }), /hash algorithm “sha1”/)
    refuses(made({ reserved: 'x' }), /reserved/)
    refuses(made({ extra: Buffer.of(0) }), /bytes follow/)
    refuses(made({}), /content is not what/)
    refuses(good.replace('BEGIN SSH SIG', 'BEGIN PGP SIG'), /does not begin/)
    refuses(good.replace('-----END', '----END'), /does not end/)
    refuses(good.replace(/\n[^\n]/, '\n!'), /not base64/)
    refuses(`${good}${good}`, /not base64/)
    refuses('x'.repeat(100_000), /64 KiB/)
    refuses('', /does not begin/)
    refuses('-----BEGIN SSH SIGNATURE-----', /./)
  })

  it('are read with any line length and with the line ends of Windows', () => {
    const oneLine = `-----BEGIN SSH SIGNATURE-----\n${bytes.toString('base64')}\n-----END SSH SIGNATURE-----`
    for (const text of [oneLine, good.replaceAll('\n', '\r\n'), `\n${good}\n`]) {
      assert.equal(verifySsh(text, namespace, content).fingerprint, key.public.fingerprint)
    }
  })

  it('cannot be made without a namespace', () => {
    assert.throws(() => signSsh(key, '', content), CratewrightError)
  })

  it('are never accepted when a byte is changed, missing or added', () => {
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes)
      changed[index] = changed[index]! ^ 1
      refuses(armor('SSH SIGNATURE', changed), /./)
      refuses(armor('SSH SIGNATURE', bytes.subarray(0, index)), /./)
    }
    fc.assert(
      fc.property(fc.nat(bytes.length), fc.uint8Array({ minLength: 1, maxLength: 9 }), (index, more) => {
        const longer = Buffer.concat([bytes.subarray(0, index), more, bytes.subarray(index)])
        refuses(armor('SSH SIGNATURE', longer), /./)
      }),
    )
  })

  it('bind content and namespace', () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.string({ minLength: 1 }).filter(text => text.isWellFormed()),
        (data, purpose) => {
          const signature = signSsh(key, purpose, data)
          assert.equal(verifySsh(signature, purpose, data).fingerprint, key.public.fingerprint)
          refuses(signature, /namespace/, Buffer.from(data), `${purpose}.`)
          refuses(signature, /content is not/, Buffer.concat([data, Buffer.of(0)]), purpose)
        },
      ),
      { numRuns: 50 },
    )
  })
})
