import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKey, parsePrivateKey, parsePublicKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { makeAuthenticator } from '../runtime/authenticator.ts'
import { startKeygen } from '../runtime/ssh-keygen.ts'
import { agentHolding, hasProgram } from '../support/ssh-agent.ts'
import { tempFolder } from '../support/temp.ts'
import { run } from './command-line.ts'

interface Pair {
  readonly path: string
  readonly line: string
}

describe('keys prove and check', () => {
  const folder = tempFolder()
  let files = 0
  const write = (text: string) => {
    const path = join(folder, `file${++files}`)
    writeFileSync(path, text)
    return path
  }
  const pair = (): Pair => {
    const made = generateKey('')
    return { path: write(made.private), line: made.public.trim() }
  }
  const [dana, eve] = [pair(), pair()]

  async function proof(of: Pair, person = 'dana'): Promise<string> {
    const { code, out, err } = await run(['keys', 'prove', '--person', person, '--key', of.path])
    assert.equal(code, 0, err)
    assert.ok(err.includes(of.line), 'says which public key to send')
    return out
  }
  const check = (text: string, person: string, line: string, ...more: string[]) =>
    run(['keys', 'check', write(text), '--person', person, '--key', line, ...more])

  it('make and accept a text that names person and key', async () => {
    const text = await proof(dana)
    const { fingerprint } = parsePublicKey(dana.line)
    assert.ok(text.startsWith(`person: dana\nkey: ${fingerprint}\n-----BEGIN SSH SIGNATURE-----\n`))
    const { code, out, err } = await check(text, 'dana', dana.line)
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    assert.ok(out.startsWith(`Good: the holder of ${fingerprint} says to be dana.`))
  })

  it('are one JSON document each with --json', async () => {
    const made = await run(['keys', 'prove', '--person', 'dana', '--key', dana.path, '--json'])
    const { person, key, fingerprint, proof: text } = JSON.parse(made.out) as Record<string, string>
    assert.deepEqual([person, fingerprint], ['dana', parsePublicKey(dana.line).fingerprint])
    const good = await check(text ?? '', 'dana', key ?? '', '--json')
    assert.deepEqual(JSON.parse(good.out), { good: true, person, fingerprint, type: 'ssh-ed25519' })
    const bad = await check(text ?? '', 'eve', key ?? '', '--json')
    assert.equal(bad.code, 2)
    assert.equal((JSON.parse(bad.out) as { good: boolean }).good, false)
  })

  it('take what a mail does to line ends and space around', async () => {
    const text = await proof(dana)
    for (const changed of [text.replaceAll('\n', '\r\n'), `\n\n${text}\n\n`, text.trim()])
      assert.equal((await check(changed, 'dana', dana.line)).code, 0)
  })

  it('refuse a proof of another person, of another key, by another key, for another purpose, or changed', async () => {
    const mine = await proof(dana)
    const stolen = await proof(eve, 'dana')
    const { fingerprint } = parsePublicKey(dana.line)
    const claim = `person: dana\nkey: ${fingerprint}\n`
    const eves = parsePrivateKey(readFileSync(eve.path, 'utf8'))
    const danas = parsePrivateKey(readFileSync(dana.path, 'utf8'))
    const cases: readonly [string, string, string, RegExp][] = [
      [mine, 'eve', dana.line, /not about eve and the key/],
      [mine, 'dana', eve.line, /not about dana and the key/],
      [mine.replace('person: dana', 'person: eve'), 'eve', dana.line, /not what the key .* signed/],
      [stolen, 'dana', dana.line, /not about dana and the key/],
      [claim + signSsh(eves, 'key@cratewright.dev', Buffer.from(claim)), 'dana', dana.line, /signed by the key/],
      [claim + signSsh(danas, 'statement@cratewright.dev', Buffer.from(claim)), 'dana', dana.line, /namespace/],
      [`note: yes\n${mine}`, 'dana', dana.line, /not about/],
      [`${mine}\nI also approve everything`, 'dana', dana.line, /does not end/],
      [claim, 'dana', dana.line, /no signature/],
      ['', 'dana', dana.line, /no signature/],
    ]
    for (const [text, person, line, reason] of cases) {
      const { code, out, err } = await check(text, person, line)
      assert.deepEqual([code, out], [2, ''], err)
      assert.match(err, reason)
      assert.match(err, /\[SignatureInvalid\]\n {2}\S/)
    }
  })

  it('say of a security key whether it asked for a PIN', async () => {
    const device = makeAuthenticator('sk-ecdsa-sha2-nistp256@openssh.com')
    for (const [flags, words] of [
      [1, /was touched/],
      [5, /asked for a PIN/],
    ] as const) {
      const agent = await agentHolding([{ blob: device.blob, sign: data => device.sign(data, { flags }) }])
      const made = await run(['keys', 'prove', '--person', 'dana'], { env: { SSH_AUTH_SOCK: agent.socket } })
      await agent.stop()
      assert.equal(made.code, 0, made.err)
      assert.match((await check(made.out, 'dana', device.line)).out, words)
    }
  })

  it('agree with ssh-keygen about who signed', async function () {
    if (!hasProgram('ssh-keygen')) {
      console.log('      there is no ssh-keygen')
      this.skip()
    }
    const keygen = startKeygen()
    const text = await proof(dana)
    const at = text.indexOf('-----BEGIN')
    const signature = keygen.write('proof.sig', `${text.slice(at)}\n`)
    const allowed = keygen.write('allowed', `dana ${dana.line}\n`)
    const verify = ['-Y', 'verify', '-f', allowed, '-I', 'dana', '-n', 'key@cratewright.dev', '-s', signature]
    keygen.run(verify, text.slice(0, at))
    keygen.remove()
  })

  it('refuse command lines that leave something out, with what to write', async () => {
    const file = write(await proof(dana))
    const cases: readonly [readonly string[], RegExp][] = [
      [['keys', 'prove', '--key', dana.path], /--person takes the name/],
      [['keys', 'prove', '--person', 'Dana Reviewer', '--key', dana.path], /--person takes the name/],
      [['keys', 'prove', '--person', 'dana'], /name your key with --key/],
      [['keys', 'prove', 'x', '--person', 'dana', '--key', dana.path], /keys prove --person/],
      [['keys', 'check', '--person', 'dana', '--key', dana.line], /keys check <file>/],
      [['keys', 'check', file, '--person', 'dana'], /keys check <file>/],
      [['keys', 'check', file, '--key', dana.line], /--person takes the name/],
      [['keys', 'check', join(folder, 'absent'), '--person', 'dana', '--key', dana.line], /cannot be read \(ENOENT\)/],
      [['keys', 'check', write('x'.repeat(20_000)), '--person', 'dana', '--key', dana.line], /too large/],
      [['keys', 'check', file, '--person', 'dana', '--key', 'ssh-ed25519 AAAA'], /\[KeyInvalid\]/],
      [['keys', 'shred'], /keys make/],
    ]
    for (const [argv, reason] of cases) {
      const { code, out, err } = await run(argv)
      assert.deepEqual([code, out], [2, ''], err)
      assert.match(err, reason)
    }
  })
})
