import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CratewrightError, type ErrorCode } from '../../controller/runtime/errors.ts'
import { inspectPrivateKey, parsePrivateKey, parsePublicKey } from '../../controller/runtime/ssh-key.ts'
import { keygenSigner } from '../../controller/runtime/ssh-keygen.ts'
import { inspectSsh, signSsh } from '../../controller/runtime/sshsig.ts'
import { run } from '../cli/command-line.ts'
import { hasProgram } from '../support/ssh-agent.ts'
import { tempFolder } from '../support/temp.ts'
import { startKeygen } from './ssh-keygen.ts'

const namespace = 'statement@cratewright.dev'
const content = Buffer.from('decision: approve\n')
const { signal } = new AbortController()
const { PATH } = process.env

function fails(code: ErrorCode, reason: RegExp): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof CratewrightError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, reason)
    return true
  }
}

describe('signing by ssh-keygen', () => {
  const keygen = startKeygen()
  after(() => keygen.remove())

  before(function () {
    if (!hasProgram('ssh-keygen')) {
      console.log('      there is no ssh-keygen')
      this.skip()
    }
  })

  it('gives the signature of the file’s key, byte for byte as in process', async () => {
    const file = keygen.make('ed25519')
    const key = parsePublicKey(file.public)
    const armored = await keygenSigner(key, { file: file.path, env: { PATH }, signal }).sign(namespace, content)
    assert.equal(armored, signSsh(parsePrivateKey(file.private), namespace, content))
  })

  it('is not believed where the file holds another key than it was opened for', async () => {
    const [mine, other] = [keygen.make('ed25519'), keygen.make('ed25519')]
    const signer = keygenSigner(parsePublicKey(mine.public), { file: other.path, env: { PATH }, signal })
    await assert.rejects(signer.sign(namespace, content), fails('SignatureInvalid', /it is of the key SHA256/))
  })

  it('fails with what to do where ssh-keygen is missing, refuses, or takes too long', async () => {
    const { path, public: line } = keygen.make('ed25519')
    const sign = (options: object) =>
      keygenSigner(parsePublicKey(line), { file: path, env: { PATH }, signal, ...options }).sign(namespace, content)
    await assert.rejects(sign({ env: { PATH: tempFolder() } }), fails('ProgramMissing', /ssh-keygen/))
    // What it says goes to the terminal, past this process: a program in its place is silent.
    const folder = tempFolder()
    const program = join(folder, 'ssh-keygen')
    writeFileSync(program, '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    await assert.rejects(sign({ env: { PATH: folder } }), fails('SigningRefused', /did not sign with/))
    writeFileSync(program, '#!/bin/sh\nexec /bin/sleep 60\n')
    await assert.rejects(sign({ env: { PATH: folder }, deadline: 200 }), fails('SigningRefused', /within 0\.2 s/))
    const stop = new AbortController()
    setTimeout(() => stop.abort(new Error('stopped')), 100)
    await assert.rejects(sign({ env: { PATH: folder }, signal: stop.signal }), /stopped/)
    writeFileSync(program, '#!/bin/sh\nwhile :; do echo garbage; done\n')
    await assert.rejects(sign({ env: { PATH: folder }, deadline: 20_000 }), fails('SigningRefused', /did not sign/))
  })

  it('gets none of the environment that it does not need', async () => {
    const folder = tempFolder()
    const seen = join(folder, 'seen')
    writeFileSync(join(folder, 'ssh-keygen'), `#!/bin/sh\n/usr/bin/env >${seen}\nexit 1\n`, { mode: 0o755 })
    const { path, public: line } = keygen.make('ed25519')
    const env = { PATH: folder, HOME: '/', CANARY: 'secret', SSH_SK_PROVIDER: '/lib/x.so', LD_PRELOAD: '/x' }
    await assert.rejects(keygenSigner(parsePublicKey(line), { file: path, env, signal }).sign(namespace, content))
    const names = keygen
      .read(seen)
      .split('\n')
      .map(line => line.split('=')[0] ?? '')
    assert.ok(names.includes('SSH_SK_PROVIDER'))
    assert.deepEqual(
      names.filter(name => ['CANARY', 'LD_PRELOAD'].includes(name)),
      [],
    )
  })
})

/** OpenSSH with a security key in software: its own key file, its own helper, its own signature. */
describe('a security key of OpenSSH', () => {
  const keygen = startKeygen()
  after(() => keygen.remove())
  const provider = join(keygen.folder, 'sk-provider.so')
  const path = join(keygen.folder, 'sk')

  before(function () {
    const source = join(import.meta.dirname, 'sk-provider.c')
    const works = (program: string, ...args: string[]) => spawnSync(program, args, { stdio: 'ignore' }).status === 0
    const compiled = works('cc', '-shared', '-fPIC', '-w', '-o', provider, source, '-lcrypto')
    if (!compiled || !works('ssh-keygen', '-q', '-t', 'ed25519-sk', '-w', provider, '-N', '', '-f', path)) {
      console.log('      there is no C compiler with OpenSSL’s headers, or no ssh-keygen with security keys')
      this.skip()
    }
  })

  it('has a key file whose public part is read, and which is not taken for a key', () => {
    const text = keygen.read(path)
    assert.deepEqual(inspectPrivateKey(text), { public: parsePublicKey(keygen.read(`${path}.pub`)), encrypted: false })
    assert.throws(() => parsePrivateKey(text), fails('KeyInvalid', /kept on a security key/))
  })

  it('signs what counts here, through ssh-keygen', async () => {
    const key = parsePublicKey(keygen.read(`${path}.pub`))
    const env = { PATH, SSH_SK_PROVIDER: provider }
    const armored = await keygenSigner(key, { file: path, env, signal }).sign(namespace, content)
    assert.deepEqual(inspectSsh(armored, namespace, content), { key, userVerified: false })
  })

  it('is used by a command that is given its file', async () => {
    const env = { PATH: PATH ?? '', SSH_SK_PROVIDER: provider }
    const made = await run(['keys', 'prove', '--person', 'dana', '--key', path], { env })
    assert.equal(made.code, 0, made.err)
    const proof = keygen.write('proof', made.out)
    const line = keygen.read(`${path}.pub`).trim()
    const checked = await run(['keys', 'check', proof, '--person', 'dana', '--key', line])
    assert.equal(checked.code, 0, checked.err)
    assert.match(checked.out, /was touched/)
  })

  it('that needs no touch is refused', async () => {
    const lazy = join(keygen.folder, 'lazy')
    const how = ['-O', 'no-touch-required', '-w', provider, '-N', '', '-f', lazy]
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519-sk', ...how], { stdio: 'ignore' })
    const key = parsePublicKey(keygen.read(`${lazy}.pub`))
    const env = { PATH, SSH_SK_PROVIDER: provider }
    const signing = keygenSigner(key, { file: lazy, env, signal }).sign(namespace, content)
    await assert.rejects(signing, fails('SignatureInvalid', /without a touch/))
  })
})
