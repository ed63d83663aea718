import assert from 'node:assert/strict'
import fc from 'fast-check'
import { checkSignature, makeCommit } from '../../controller/git/commit-object.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { judgeSignature, parsePublicKey, publicKeyFromBlob } from '../../controller/runtime/ssh-key.ts'
import { wireString } from '../../controller/runtime/ssh-wire.ts'
import { dataToSign, formatSsh, inspectSsh, verifySsh } from '../../controller/runtime/sshsig.ts'
import { type Authenticator, deviceBlob, deviceTypes, makeAuthenticator, type Touch } from './authenticator.ts'
import { startKeygen } from './ssh-keygen.ts'

const namespace = 'statement@cratewright.dev'
const content = Buffer.from('decision: approve\n')
const keygen = startKeygen()
after(() => keygen.remove())

function signedBy(device: Authenticator, touch?: Touch, purpose = namespace, data: Uint8Array = content): string {
  return formatSsh(device.public, purpose, device.sign(dataToSign(purpose, data), touch))
}

/** What OpenSSH says: it asks for no touch here, so only what is signed wrongly is refused. */
function keygenAccepts(device: Authenticator, armored: string): boolean {
  const signature = keygen.write('sk.sig', armored)
  const allowed = keygen.write('sk.allowed', `dana ${device.line}\n`)
  try {
    keygen.run(['-Y', 'check-novalidate', '-n', namespace, '-s', signature], content)
    keygen.run(['-Y', 'verify', '-f', allowed, '-I', 'dana', '-n', namespace, '-s', signature], content)
    return true
  } catch {
    return false
  }
}

const invalid = (reason: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CratewrightError, String(error))
  assert.equal(error.code, 'SignatureInvalid')
  assert.match(error.message, reason)
  return true
}

/** The signature with its last five bytes, flags and counter, changed. */
function withState(armored: string, change: (state: Buffer) => void): string {
  const bytes = Buffer.from(armored.replace(/-----.*-----/g, ''), 'base64')
  change(bytes.subarray(-5))
  const lines = bytes.toString('base64').match(/.{1,70}/g) ?? []
  return ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----', ''].join('\n')
}

describe('keys on security keys', () => {
  for (const type of deviceTypes) {
    describe(type, () => {
      const device = makeAuthenticator(type)

      it('are read from their line, with the fingerprint that ssh-keygen prints', () => {
        const key = parsePublicKey(device.line)
        assert.equal(key.type, type)
        const path = keygen.write('sk.pub', `${device.line}\n`)
        assert.equal(key.fingerprint, keygen.run(['-l', '-f', path]).split(' ')[1])
      })

      it('sign what both sides accept: here and ssh-keygen', () => {
        const armored = signedBy(device)
        assert.equal(verifySsh(armored, namespace, content).fingerprint, device.public.fingerprint)
        assert.equal(keygenAccepts(device, armored), true)
      })

      it('are bound to the application that they were made for, where that is not the usual one', () => {
        const named = makeAuthenticator(type, 'ssh:hospital')
        const armored = signedBy(named)
        assert.equal(verifySsh(armored, namespace, content).fingerprint, named.public.fingerprint)
        assert.equal(keygenAccepts(named, armored), true)
        const usual = signedBy(named, { application: 'ssh:' })
        assert.throws(() => verifySsh(usual, namespace, content), invalid(/not what the key .* signed/))
        assert.equal(keygenAccepts(named, usual), false)
      })

      it('sign nothing that either side accepts once flags, counter, application or content differ', () => {
        const good = signedBy(device)
        const changed: readonly [string, string][] = [
          ['the touch taken away', withState(good, state => state.fill(0, 0, 1))],
          ['a PIN added', withState(good, state => state.fill(5, 0, 1))],
          ['another counter', withState(good, state => state.fill(9, 4, 5))],
          ['another application', signedBy(device, { application: 'ssh:other' })],
          ['a website’s login', signedBy(device, { application: 'bank.example' })],
          ['another content', signedBy(device, {}, namespace, Buffer.from('decision: reject\n'))],
          ['another purpose', formatSsh(device.public, namespace, device.sign(dataToSign('git', content)))],
        ]
        for (const [what, armored] of changed) {
          assert.throws(() => verifySsh(armored, namespace, content), invalid(/not what the key .* signed/), what)
          assert.equal(keygenAccepts(device, armored), false, what)
        }
      })

      it('count only with a touch, although ssh-keygen takes what was honestly signed without', () => {
        const untouched = signedBy(device, { flags: 0 })
        assert.equal(keygenAccepts(device, untouched), true)
        assert.throws(() => verifySsh(untouched, namespace, content), invalid(/without a touch/))
        assert.throws(() => verifySsh(signedBy(device, { flags: 4 }), namespace, content), invalid(/without a touch/))
      })

      it('tell whether a PIN or a fingerprint was asked for', () => {
        assert.equal(inspectSsh(signedBy(device), namespace, content).userVerified, false)
        assert.equal(inspectSsh(signedBy(device, { flags: 5 }), namespace, content).userVerified, true)
      })

      it('sign commits', () => {
        const identity = { name: 'Dana', email: 'dana@hospital.example' }
        const tree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
        const commit = { tree, parent: undefined, message: 'M', time: new Date(0), identity }
        const bytes = makeCommit({ ...commit, sign: payload => signedBy(device, {}, 'git', payload) })
        const found = checkSignature(tree, bytes)
        assert.ok(found.state === 'good')
        assert.equal(found.key.fingerprint, device.public.fingerprint)
      })

      it('never accept a changed signature, and fail with nothing but a CratewrightError', () => {
        const good = device.sign(content)
        const at = fc.nat(good.length - 1)
        const flipped = fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(([index, change]) => {
          const copy = Buffer.from(good)
          copy[index] = copy[index]! ^ change
          return copy
        })
        const cut = at.map(length => good.subarray(0, length))
        const longer = fc.uint8Array({ minLength: 1, maxLength: 8 }).map(more => Buffer.concat([good, more]))
        fc.assert(
          fc.property(fc.oneof(flipped, cut, longer), signature => {
            try {
              return !judgeSignature(device.public, content, signature).good
            } catch (error) {
              return error instanceof CratewrightError && error.code === 'SignatureInvalid'
            }
          }),
          { numRuns: 150 },
        )
      })

      it('are refused where they are for something else than SSH, or no key', () => {
        const refused = (blob: Buffer, reason: RegExp) =>
          assert.throws(
            () => publicKeyFromBlob(blob),
            error => error instanceof CratewrightError && error.code === 'KeyInvalid' && reason.test(error.message),
          )
        for (const application of ['', 'bank.example', 'https://bank.example', 'SSH:', 'ssh:\u001b[2J'])
          assert.throws(() => makeAuthenticator(type, application), /cannot be used/, application)
        refused(device.blob.subarray(0, -4), /ends too early/)
        refused(Buffer.concat([device.blob, wireString('x')]), /bytes follow/)
        const weak = type.startsWith('sk-ssh') ? Buffer.alloc(32) : Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])
        refused(deviceBlob(type, weak, 'ssh:'), /anyone could sign|no key/)
      })

      it('never pass for an ordinary key of the same numbers, nor the other way', () => {
        const signature = device.sign(content)
        const ordinary = type.replace(/^sk-/, '').replace('@openssh.com', '')
        const renamed = Buffer.concat([wireString(ordinary), signature.subarray(4 + type.length)])
        assert.throws(
          () => judgeSignature(device.public, content, renamed),
          invalid(/not accepted for a key of type sk-/),
        )
        const blob = Buffer.concat([wireString(ordinary), device.blob.subarray(4 + type.length, -8)])
        assert.throws(() => judgeSignature(publicKeyFromBlob(blob), content, signature), invalid(/./))
      })
    })
  }
})
