import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../../controller/cli/run.ts'
import { parsePublicKey } from '../../controller/runtime/ssh-key.ts'
import { verifySsh } from '../../controller/runtime/sshsig.ts'
import { makeAuthenticator } from '../runtime/authenticator.ts'
import { type Keygen, startKeygen } from '../runtime/ssh-keygen.ts'
import { cloneOf, git } from '../support/people.ts'
import { agentHolding, hasProgram, type OpenSshAgent, startAgent } from '../support/ssh-agent.ts'
import { tempFolder } from '../support/temp.ts'
import { type CommandResult, patients, World } from '../support/world.ts'

const passphrase = 'canary open sesame'

/** What a person has besides the command line: an agent, and somebody who types. */
interface Person {
  readonly agent?: { readonly socket: string } | undefined
  readonly types?: readonly (string | undefined)[]
}

describe('approving with keys as people have them', () => {
  let world: World
  let keygen: Keygen
  let agent: OpenSshAgent
  let clones = 0
  const device = makeAuthenticator('sk-ssh-ed25519@openssh.com')

  const projects = ['by-agent', 'by-passphrase', 'by-device', 'never']
  /** Dana's keys beside the plain one: with passphrase, in her agent. */
  let locked: { path: string; public: string }
  let held: { path: string; public: string }

  before(async function () {
    if (!['ssh-keygen', 'ssh-agent', 'ssh-add'].every(hasProgram)) {
      console.log('      there is no OpenSSH')
      this.skip()
    }
    keygen = startKeygen()
    agent = await startAgent()
    locked = keygen.make('ed25519', passphrase)
    held = keygen.make('ecdsa 256')
    agent.add(held.path)
    world = await World.make({
      manifests: made => {
        const people = made.platform()['people.yaml'] as { metadata: { name: string }; spec: { keys: string[] } }[]
        const more = [locked.public, held.public, device.line].map(line => line.trim())
        return {
          'people.yaml': people.map(one =>
            one.metadata.name === 'dana' ? { ...one, spec: { ...one.spec, keys: [...one.spec.keys, ...more] } } : one,
          ),
        }
      },
    })
    for (const project of projects) await world.ask(project, [{ name: 'cohort', tables: [patients] }])
    await world.run()
  })
  after(async () => {
    await agent?.stop()
    keygen?.remove()
  })

  async function fresh(): Promise<string> {
    const folder = join(world.folder, `clones/${++clones}`)
    await cloneOf(world.bare('projects'), folder, world.people.dana)
    return folder
  }

  /** The command as this person runs it, with what they were asked. */
  async function run(argv: readonly string[], { agent: held, types }: Person = {}) {
    const out: string[] = []
    const err: string[] = []
    const asked: string[] = []
    const answers = [...(types ?? [])]
    const code = await runCommand(argv, {
      out: text => void out.push(text),
      err: text => void err.push(text),
      interactive: false,
      env: { ...(held ? { SSH_AUTH_SOCK: held.socket } : {}), PATH: process.env.PATH },
      signal: new AbortController().signal,
      ...(types
        ? {
            askSecret: async (question: string) => {
              asked.push(question)
              return answers.shift()
            },
          }
        : {}),
    })
    const result: CommandResult = { code, out: out.join('\n'), err: err.join('\n') }
    assert.doesNotMatch(JSON.stringify(result), /canary/)
    return { ...result, asked }
  }

  const signOff = async (project: string, person: Person, ...more: string[]) =>
    run(['sign-off', project, '--clone', await fresh(), '--push', ...more], person)

  /** Counts, says the controller; and what lies on the branch is signed with this key, statement and commit. */
  async function counted(project: string, publicKey: string): Promise<void> {
    const { fingerprint } = parsePublicKey(publicKey)
    await world.run()
    assert.ok((await world.steps(project)).includes('sign-off noted'))
    const clone = await fresh()
    const [path = ''] = (await git(clone, 'ls-files', `projects/${project}/sign-offs/**/*.yaml`)).split('\n')
    const [text, signature] = [readFileSync(join(clone, path)), readFileSync(join(clone, `${path}.sig`), 'utf8')]
    assert.equal(verifySsh(signature, 'statement@cratewright.dev', text).fingerprint, fingerprint)
    const commit = await git(clone, 'log', '-1', '--format=%H', '--', path)
    const signers = join(tempFolder(), 'allowed')
    writeFileSync(signers, `${world.people.dana.email} ${publicKey}\n`)
    await git(clone, '-c', `gpg.ssh.allowedSignersFile=${signers}`, 'verify-commit', commit)
  }

  async function refused(result: Promise<CommandResult>, code: number, reason: RegExp): Promise<void> {
    const before = await git(world.bare('projects'), 'rev-parse', 'main')
    const { code: actual, out, err } = await result
    assert.equal(actual, code, err)
    assert.doesNotMatch(out, /^Signed by|^Committed|^Pushed/m)
    assert.match(err, reason)
    assert.match(err, /\n {2}\S/)
    assert.equal(await git(world.bare('projects'), 'rev-parse', 'main'), before)
  }

  it('takes the only key of an approver from the agent, without --key', async () => {
    const other = keygen.make('ed25519')
    agent.add(other.path)
    const { code, out, err } = await signOff('by-agent', { agent })
    assert.equal(code, 0, err)
    assert.match(out, /^Signed by dana \(SHA256:\S+\): approve\.$/m)
    await counted('by-agent', held.public)
  })

  it('asks for the passphrase of a key file, again when it was wrong, and once for both signatures', async () => {
    const { code, err, asked } = await signOff('by-passphrase', { types: ['wrong', passphrase] }, '--key', locked.path)
    assert.equal(code, 0, err)
    assert.equal(asked.length, 2)
    assert.ok(asked[0]?.includes(locked.path))
    await counted('by-passphrase', locked.public)
  })

  it('signs with a security key that the agent holds', async () => {
    const touched = await agentHolding([{ blob: device.blob, sign: data => device.sign(data) }])
    const { code, err } = await signOff('by-device', { agent: touched })
    await touched.stop()
    assert.equal(code, 0, err)
    await counted('by-device', device.line)
  })

  it('refuses what a security key signed without a touch, and writes nothing', async () => {
    const untouched = await agentHolding([{ blob: device.blob, sign: data => device.sign(data, { flags: 0 }) }])
    await refused(signOff('never', { agent: untouched }), 3, /without a touch.*\[SignatureInvalid\]/)
    await untouched.stop()
  })

  it('refuses an agent that signs with another key or something else, before anything is committed', async () => {
    const { key: mine } = world.people.dana
    const wrong = await agentHolding([{ blob: mine.public.blob, sign: data => world.people.eve.key.sign(data) }])
    const clone = await fresh()
    const head = await git(clone, 'rev-parse', 'HEAD')
    await refused(run(['sign-off', 'never', '--clone', clone], { agent: wrong }), 3, /\[SignatureInvalid\]/)
    await wrong.stop()
    assert.equal(await git(clone, 'rev-parse', 'HEAD'), head)
    assert.equal(await git(clone, 'status', '--porcelain'), '')
  })

  it('leaves the clone as it was when only the second signature, that of the commit, is refused', async () => {
    let signatures = 0
    const sign = (data: Uint8Array) => device.sign(data, { flags: ++signatures === 1 ? 1 : 0 })
    const tired = await agentHolding([{ blob: device.blob, sign }])
    const clone = await fresh()
    const head = await git(clone, 'rev-parse', 'HEAD')
    await refused(run(['sign-off', 'never', '--clone', clone], { agent: tired }), 3, /without a touch/)
    await tired.stop()
    assert.equal(signatures, 2)
    assert.equal(await git(clone, 'rev-parse', 'HEAD'), head)
    assert.equal(await git(clone, 'status', '--porcelain'), '')
  })

  it('takes a key from the agent by its .pub file or its fingerprint', async () => {
    const { fingerprint } = parsePublicKey(held.public)
    for (const key of [`${held.path}.pub`, fingerprint]) {
      const { code, out, err } = await run(['sign-off', 'never', '--clone', await fresh(), '--key', key], { agent })
      assert.equal(code, 0, err)
      assert.ok(out.includes(fingerprint))
    }
  })

  it('asks for no passphrase where the agent holds the key of the file', async () => {
    const open = join(keygen.folder, 'opened')
    writeFileSync(open, readFileSync(locked.path), { mode: 0o600 })
    keygen.run(['-q', '-p', '-P', passphrase, '-N', '', '-f', open])
    agent.add(open)
    const argv = ['sign-off', 'never', '--clone', await fresh(), '--key', locked.path]
    const { code, err, asked } = await run(argv, { agent, types: [] })
    assert.equal(code, 0, err)
    assert.deepEqual(asked, [])
    // Now two of the agent's keys are Dana's.
    await refused(
      signOff('never', { agent }),
      2,
      /several keys that fit: SHA256:.*, SHA256:.*\[UsageInvalid\]\n.*--key/,
    )
    agent.run('-q', '-d', `${locked.path}.pub`)
  })

  it('says what there is to do without an agent, without its key, or without anybody who types', async () => {
    await refused(signOff('never', {}), 2, /name your key with --key.*\[UsageInvalid\]/)
    await refused(
      signOff('never', {}, '--key', `${held.path}.pub`),
      3,
      /SSH_AUTH_SOCK.*\[AgentUnreachable\]\n.*ssh-add/,
    )
    const other = keygen.make('ed25519')
    const missing = /does not hold the key SHA256:.* It holds SHA256:.*\[KeyNotFound\]\n.*ssh-add/
    await refused(signOff('never', { agent }, '--key', `${other.path}.pub`), 2, missing)
    await refused(
      signOff('never', {}, '--key', locked.path),
      2,
      /nobody is there to type it \[KeyEncrypted\]\n.*ssh-add/,
    )
    const empty = await agentHolding([])
    await refused(signOff('never', { agent: empty }), 2, /holds no key that is registered here.*\[KeyNotFound\]/)
    await empty.stop()
  })

  it('gives up after three wrong passphrases, or none', async () => {
    const wrong = signOff('never', { types: ['one', 'two', 'three', passphrase] }, '--key', locked.path)
    await refused(wrong, 2, /not the passphrase.*\[KeyEncrypted\]/)
    await refused(signOff('never', { types: [undefined] }, '--key', locked.path), 2, /no passphrase was given/)
  })

  it('refuses a key in the agent that is nobody’s here, by name too', async () => {
    const stranger = keygen.make('ed25519')
    agent.add(stranger.path)
    const { fingerprint } = parsePublicKey(stranger.public)
    await refused(signOff('never', { agent }, '--key', fingerprint), 2, /not that of an approver of never/)
  })
})
