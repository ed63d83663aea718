import assert from 'node:assert/strict'
import { join } from 'node:path'
import fc from 'fast-check'
import { CratewrightError, type ErrorCode } from '../../controller/runtime/errors.ts'
import { agentKeys, agentSigner } from '../../controller/runtime/ssh-agent.ts'
import { generateKey, parsePrivateKey, parsePublicKey } from '../../controller/runtime/ssh-key.ts'
import { wireString, wireUint32 } from '../../controller/runtime/ssh-wire.ts'
import { inspectSsh, verifySsh } from '../../controller/runtime/sshsig.ts'
import { agentHolding, fakeAgent, hasProgram, type OpenSshAgent, startAgent } from '../support/ssh-agent.ts'
import { tempFolder } from '../support/temp.ts'
import { deviceTypes, makeAuthenticator } from './authenticator.ts'
import { kinds, startKeygen } from './ssh-keygen.ts'

const namespace = 'statement@cratewright.dev'
const content = Buffer.from('decision: approve\n')
const { signal } = new AbortController()

function fails(code: ErrorCode, reason: RegExp): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof CratewrightError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, reason)
    return true
  }
}

describe('a real ssh-agent', () => {
  const keygen = startKeygen()
  let agent: OpenSshAgent

  before(async function () {
    if (!hasProgram('ssh-agent') || !hasProgram('ssh-add')) {
      console.log('      there is no ssh-agent')
      this.skip()
    }
    agent = await startAgent()
  })
  after(async () => {
    await agent?.stop()
    keygen.remove()
  })

  it('tells its keys with their comments, and none where it has none', async () => {
    assert.deepEqual(await agentKeys({ socket: agent.socket, signal }), [])
    const file = keygen.make('ed25519')
    agent.add(file.path)
    const [key, ...more] = await agentKeys({ socket: agent.socket, signal })
    assert.deepEqual(key, { public: parsePublicKey(file.public), comment: 'a comment' })
    assert.deepEqual(more, [])
  })

  for (const kind of kinds) {
    it(`signs what verifies here, where SHA-1 does not, and by ssh-keygen: ${kind}`, async () => {
      const file = keygen.make(kind)
      agent.add(file.path)
      const key = parsePublicKey(file.public)
      const armored = await agentSigner(key, { socket: agent.socket, signal }).sign(namespace, content)
      assert.equal(verifySsh(armored, namespace, content).fingerprint, key.fingerprint)
      const allowed = keygen.write('allowed', `dana ${file.public}`)
      const signature = keygen.write('agent.sig', armored)
      keygen.run(['-Y', 'verify', '-f', allowed, '-I', 'dana', '-n', namespace, '-s', signature], content)
    })
  }

  it('refuses to sign with a key that it does not hold, or no longer', async () => {
    const other = parsePublicKey(generateKey('').public)
    const sign = (key = other) => agentSigner(key, { socket: agent.socket, signal }).sign(namespace, content)
    await assert.rejects(sign(), fails('SigningRefused', /refused to sign/))
    const file = keygen.make('ed25519')
    agent.add(file.path)
    agent.run('-q', '-D')
    assert.deepEqual(await agentKeys({ socket: agent.socket, signal }), [])
    await assert.rejects(sign(parsePublicKey(file.public)), fails('SigningRefused', /refused to sign/))
  })

  it('leaves out certificates and what else nothing here can check', async () => {
    const [ca, user] = [keygen.make('ed25519'), keygen.make('ed25519')]
    keygen.run(['-q', '-s', ca.path, '-I', 'dana', '-n', 'dana', `${user.path}.pub`])
    agent.add(user.path)
    const fingerprints = (await agentKeys({ socket: agent.socket, signal })).map(({ public: { type } }) => type)
    assert.deepEqual(fingerprints, ['ssh-ed25519'])
  })
})

describe('an agent', () => {
  it('that holds security keys signs with them', async () => {
    for (const type of deviceTypes) {
      const device = makeAuthenticator(type)
      const agent = await agentHolding([{ blob: device.blob, sign: data => device.sign(data, { flags: 5 }) }])
      const armored = await agentSigner(device.public, { socket: agent.socket, signal }).sign(namespace, content)
      assert.equal(inspectSsh(armored, namespace, content).userVerified, true)
      await agent.stop()
    }
  })

  it('that answers with anything but a signature of that key over that content is not believed', async () => {
    const [mine, other] = [parsePrivateKey(generateKey('').private), parsePrivateKey(generateKey('').private)]
    const device = makeAuthenticator('sk-ssh-ed25519@openssh.com')
    const held: readonly [Parameters<typeof agentHolding>[0][number], typeof mine.public, RegExp][] = [
      [{ blob: mine.public.blob, sign: data => other.sign(data) }, mine.public, /not what the key/],
      [
        { blob: mine.public.blob, sign: () => mine.sign(Buffer.from('another content')) },
        mine.public,
        /not what the key/,
      ],
      [{ blob: mine.public.blob, sign: () => Buffer.alloc(0) }, mine.public, /ends too early/],
      [{ blob: mine.public.blob, sign: () => Buffer.from('garbage') }, mine.public, /./],
      [{ blob: device.blob, sign: data => device.sign(data, { flags: 0 }) }, device.public, /without a touch/],
    ]
    for (const [key, publicKey, reason] of held) {
      const agent = await agentHolding([key])
      const signing = agentSigner(publicKey, { socket: agent.socket, signal }).sign(namespace, content)
      await assert.rejects(signing, fails('SignatureInvalid', reason))
      await agent.stop()
    }
  })

  it('that is not there is named', async () => {
    const socket = join(tempFolder(), 'absent')
    await assert.rejects(agentKeys({ socket, signal }), fails('AgentUnreachable', /ENOENT/))
    await assert.rejects(agentKeys({ socket: `/${'x'.repeat(200)}`, signal }), fails('AgentUnreachable', /./))
  })

  it('that does not answer is waited for no longer than was said, and an abort ends it', async () => {
    const agent = await fakeAgent(() => undefined)
    const { public: key } = parsePrivateKey(generateKey('').private)
    const started = performance.now()
    const late = agentSigner(key, { socket: agent.socket, signal, deadline: 200 }).sign(namespace, content)
    await assert.rejects(late, fails('SigningRefused', /did not answer within 0.2 s/))
    assert.ok(performance.now() - started < 5000)
    const stop = new AbortController()
    const waiting = agentSigner(key, { socket: agent.socket, signal: stop.signal }).sign(namespace, content)
    setTimeout(() => stop.abort(new Error('stopped')), 50)
    await assert.rejects(waiting, /stopped/)
    await agent.stop()
  })

  it('that sends too much, too little or nonsense is refused', async () => {
    const key = parsePublicKey(generateKey('').public)
    const listed = (count: number, ...parts: Buffer[]) =>
      wireString(Buffer.concat([Buffer.of(12), wireUint32(count), ...parts]))
    const answers: readonly [Buffer, RegExp][] = [
      [wireUint32(0xffffffff), /a message of 4294967295 bytes/],
      [wireUint32(0), /a message of 0 bytes/],
      [wireUint32(256 * 1024 + 1), /a message of/],
      [wireString(Buffer.of(5)), /does not tell its keys/],
      [listed(2049), /2049 keys/],
      [listed(1), /ends too early/],
      [listed(1, wireString(key.blob)), /ends too early/],
      [listed(0, Buffer.of(1)), /bytes follow/],
      [Buffer.concat([listed(0), Buffer.of(1)]), /more than it was asked for/],
    ]
    for (const [answer, reason] of answers) {
      const agent = await fakeAgent(() => answer)
      await assert.rejects(agentKeys({ socket: agent.socket, signal }), fails('AgentUnreachable', reason))
      await agent.stop()
    }
    const closing = await fakeAgent((_, socket) => void socket.end() as undefined)
    await assert.rejects(agentKeys({ socket: closing.socket, signal }), fails('AgentUnreachable', /closed/))
    await closing.stop()
  })

  it('that sends any bytes ends in keys or in an error of the catalogue', async () => {
    let bytes: Uint8Array = Buffer.alloc(0)
    const agent = await fakeAgent((_, socket) => {
      socket.end(bytes)
      return undefined
    })
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 120 }), fc.boolean(), async (sent, framed) => {
        bytes = framed ? wireString(Buffer.concat([Buffer.of(12), sent])) : sent
        try {
          await agentKeys({ socket: agent.socket, signal })
        } catch (error) {
          assert.ok(error instanceof CratewrightError && error.code === 'AgentUnreachable', String(error))
        }
      }),
      { numRuns: 200 },
    )
    await agent.stop()
  })

  it('gives comments that can be shown: no control characters, and not long', async () => {
    const key = parsePrivateKey(generateKey('').private)
    const comment = `dana\u001b[2J\u202e\n${'x'.repeat(1000)}`
    const agent = await agentHolding([{ blob: key.public.blob, comment, sign: data => key.sign(data) }])
    const [held] = await agentKeys({ socket: agent.socket, signal })
    assert.match(held?.comment ?? '', /^dana\[2Jx{70,}$/)
    assert.equal(held?.comment.length, 80)
    await agent.stop()
  })
})
