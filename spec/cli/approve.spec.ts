import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { cloneOf, commitAll, git, push, writeTree } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { type CommandResult, costs, patients, World } from '../support/world.ts'

function hasSshKeygen(): boolean {
  try {
    execFileSync('ssh-keygen', ['-?'], { stdio: 'ignore' })
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
  return true
}

/** What only a decision that was made says. */
const signed = /^Signed by|^Committed|^Pushed/m

describe('sign-off', () => {
  let world: World
  let clones = 0

  before(async () => {
    world = await World.make()
    for (const project of ['asthma', 'wards', 'stale'])
      await world.ask(project, [{ name: 'cohort', tables: [patients] }])
    await world.run()
  })

  /** A fresh clone of the projects repository, Dana's unless told otherwise. */
  async function fresh(person: 'dana' | 'rob' | 'eve' = 'dana'): Promise<string> {
    const folder = join(world.folder, `clones/${++clones}`)
    await cloneOf(world.bare('projects'), folder, world.people[person])
    return folder
  }
  const main = () => git(world.bare('projects'), 'rev-parse', 'main')
  const signOff = (clone: string, ...more: string[]): Promise<CommandResult> =>
    world.cratewright('sign-off', 'asthma', '--clone', clone, '--key', world.people.dana.keyFile, ...more)
  const changed = async (clone: string) =>
    (await git(clone, 'show', '--name-status', '--format=', 'HEAD')).split('\n').sort()

  /** Refused: the exit code, a reason and what to do, and a clone that is as it was. */
  async function refused(clone: string, result: Promise<CommandResult>, code: number, reason: RegExp): Promise<void> {
    const state = async () => [
      await git(clone, 'rev-parse', 'HEAD'),
      await git(clone, 'status', '--porcelain'),
      await main(),
    ]
    const before = await state()
    const { out, err, code: actual } = await result
    assert.equal(actual, code, err)
    assert.doesNotMatch(out, signed)
    assert.match(err, reason)
    assert.match(err, /\n {2}\S/)
    assert.deepEqual(await state(), before)
  }

  it('commits exactly the statement and its signature, and leaves the push to the person', async () => {
    const clone = await fresh()
    const [before, head] = [await main(), await git(clone, 'rev-parse', 'HEAD')]
    const { code, out, err } = await signOff(clone, '--reason', 'Approved by the committee')
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    assert.match(out, /Committed\. Push it/)
    assert.match(out, /Signed by dana \(SHA256:\S+\): approve\./)
    const path = /^ {2}(projects\/asthma\/sign-offs\/[0-9a-f]{16}\/sign-off-dana\.yaml)$/m.exec(out)?.[1] ?? ''
    assert.deepEqual(await changed(clone), [`A\t${path}`, `A\t${path}.sig`])
    assert.equal(await git(clone, 'rev-parse', 'HEAD^'), head)
    assert.equal(await git(clone, 'status', '--porcelain'), '')
    assert.equal(await main(), before)
    const { person, decision, reason, phase, project } = parse(readFileSync(join(clone, path), 'utf8')) as Record<
      string,
      unknown
    >
    assert.deepEqual(
      { person, decision, reason, phase, project },
      { person: 'dana', decision: 'approve', reason: 'Approved by the committee', phase: 'SignOff', project: 'asthma' },
    )
  })

  it('says what is signed: the tables, by the digest', async () => {
    const { out } = await signOff(await fresh())
    assert.match(out, /clinic/)
    assert.match(out, /patients/)
  })

  it('shows a request’s own words as one line each: they neither move the cursor nor pass for ours', async () => {
    const description = 'Harmless\nPrepared by the key SHA256:forged.\u001b[2J\u009b2J\u202e'
    const change = { governance: { project: { name: 'evil', description } } }
    await world.commit('rob', world.requestFiles('evil', [{ name: 'cohort', tables: [patients] }], change))
    await world.run()
    const clone = await fresh()
    const { out } = await world.cratewright('sign-off', 'evil', '--clone', clone, '--key', world.people.dana.keyFile)
    assert.match(out, /Harmless/)
    assert.doesNotMatch(out, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
    assert.doesNotMatch(out, /^\s*Prepared by the key SHA256:forged/m)
  })

  it('refuses what another key prepared than the one that --root names', async () => {
    const clone = await fresh()
    const { fingerprint } = world.controller.key.public
    assert.equal((await signOff(clone, '--root', fingerprint)).code, 0)
    const other = world.people.eve.key.public.fingerprint
    const forged = await fresh()
    await refused(forged, signOff(forged, '--root', other), 3, /not by SHA256:.*\[RecordForged\]/)
  })

  it('leaves what else is staged, changed and untracked to the person, and out of the commit', async () => {
    const clone = await fresh()
    writeTree(clone, { 'a.txt': 'one\n', 'b.txt': 'one\n', 'c.txt': 'one\n' })
    await commitAll(clone, 'Mine', world.people.dana)
    writeTree(clone, { 'a.txt': 'staged\n', 'new.txt': 'staged\n', 'projects/asthma/note.txt': 'staged\n' })
    await git(clone, 'add', 'a.txt', 'new.txt', 'projects/asthma/note.txt')
    await git(clone, 'rm', '--quiet', '--cached', 'c.txt')
    writeTree(clone, { 'a.txt': 'staged, then changed\n', 'b.txt': 'changed\n', 'untracked.txt': 'x\n' })
    const state = async () => [
      await git(clone, 'status', '--porcelain'),
      await git(clone, 'diff', '--cached'),
      await git(clone, 'diff'),
    ]
    const before = await state()
    assert.equal((await signOff(clone)).code, 0)
    assert.deepEqual(await state(), before)
    assert.equal((await changed(clone)).length, 2)
  })

  it('works from a folder inside the clone', async () => {
    const clone = await fresh()
    assert.equal((await signOff(join(clone, 'projects'))).code, 0)
    assert.equal(
      (await changed(clone)).every(line => line.startsWith('A\tprojects/asthma/sign-offs/')),
      true,
    )
    assert.equal(await git(clone, 'status', '--porcelain'), '')
  })

  it('is one JSON document with --json', async () => {
    const clone = await fresh()
    const { out, err } = await signOff(clone, '--json')
    assert.equal(err, '')
    const { path, commit, ...rest } = JSON.parse(out) as Record<string, unknown>
    assert.deepEqual(rest, { project: 'asthma', phase: 'SignOff', decision: 'approve', person: 'dana', pushed: false })
    assert.equal(commit, await git(clone, 'rev-parse', 'HEAD'))
    assert.ok(existsSync(join(clone, String(path))))
  })

  it('makes a commit and a statement that git and ssh-keygen verify', async function () {
    if (!hasSshKeygen()) {
      console.log('      there is no ssh-keygen')
      this.skip()
    }
    const clone = await fresh()
    const { path } = JSON.parse((await signOff(clone, '--json')).out) as { path: string }
    const { email, publicKey } = world.people.dana
    const signers = join(tempFolder(), 'allowed')
    writeFileSync(signers, `${email} ${publicKey}\n`)
    const verify = (file: string) =>
      execFileSync('git', ['-C', clone, '-c', `gpg.ssh.allowedSignersFile=${file}`, 'verify-commit', 'HEAD'], {
        stdio: 'pipe',
      })
    verify(signers)
    const others = join(tempFolder(), 'others')
    writeFileSync(others, `${email} ${world.people.rob.publicKey}\n`)
    assert.throws(() => verify(others))
    execFileSync(
      'ssh-keygen',
      ['-Y', 'verify', '-f', signers, '-I', email, '-n', 'statement@cratewright.dev', '-s', join(clone, `${path}.sig`)],
      { input: readFileSync(join(clone, path)), stdio: ['pipe', 'pipe', 'pipe'] },
    )
  })

  it('runs no hook of the clone', async () => {
    const clone = await fresh()
    const trace = join(world.folder, `hook-${clones}`)
    for (const hook of ['pre-commit', 'post-commit', 'reference-transaction', 'pre-push', 'post-index-change']) {
      const path = join(clone, '.git/hooks', hook)
      mkdirSync(join(clone, '.git/hooks'), { recursive: true })
      writeFileSync(path, `#!/bin/sh\necho ${hook} >>${trace}\n`)
      chmodSync(path, 0o755)
    }
    assert.equal((await signOff(clone)).code, 0)
    assert.equal(existsSync(trace), false)
  })

  it('rejects with the reason that the researcher needs', async () => {
    const clone = await fresh()
    const { code, out } = await signOff(clone, '--reject', '--reason', 'Too many: "columns"\nask for fewer')
    assert.equal(code, 0)
    assert.match(out, /: reject\.$/m)
    const [file = ''] = (await changed(clone)).map(line => line.slice(2))
    const { decision, reason } = parse(readFileSync(join(clone, file), 'utf8')) as Record<string, unknown>
    assert.deepEqual({ decision, reason }, { decision: 'reject', reason: 'Too many: "columns"\nask for fewer' })
  })

  it('refuses a key that belongs to nobody who may approve, and says whose', async () => {
    for (const person of ['eve', 'rob'] as const) {
      const clone = await fresh(person)
      const { keyFile, key } = world.people[person]
      await refused(
        clone,
        signOff(clone, '--key', keyFile),
        2,
        new RegExp(`${key.public.fingerprint.replaceAll('+', '\\+')} is not that of an approver of asthma`),
      )
    }
  })

  it('takes --as for the name, which decides nothing: the key has to be that person’s', async () => {
    const clone = await fresh('rob')
    const { code, out } = await signOff(clone, '--key', world.people.rob.keyFile, '--as', 'rob')
    assert.equal(code, 0)
    assert.match(out, /Signed by rob/)
  })

  it('refuses a name that could not be a person’s, and writes nowhere else', async () => {
    for (const name of ['../../../escaped', 'a/b', '-x', 'Dana Reviewer', '\u001b[2J']) {
      const clone = await fresh()
      await refused(clone, signOff(clone, `--as=${name}`), 2, /--as.*\[UsageInvalid\]/)
    }
    assert.deepEqual(
      readdirSync(join(world.folder, 'clones')).filter(name => name.includes('escaped')),
      [],
    )
  })

  it('refuses a key with a passphrase, by name', async function () {
    if (!hasSshKeygen()) {
      console.log('      there is no ssh-keygen')
      this.skip()
    }
    const path = join(tempFolder(), 'locked')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'canary passphrase', '-f', path])
    const clone = await fresh()
    await refused(clone, signOff(clone, '--key', path), 2, /\[KeyEncrypted\]/)
  })

  it('refuses a key that is none', async () => {
    const clone = await fresh()
    await refused(clone, signOff(clone, '--key', world.config), 2, /\[KeyInvalid\]/)
    await refused(clone, signOff(clone, '--key', '/absent'), 2, /\/absent cannot be read \(ENOENT\) \[KeyInvalid\]/)
  })

  it('ends with 1 where nothing waits for this decision', async () => {
    const clone = await fresh()
    const { keyFile } = world.people.dana
    const disclosure = world.cratewright('disclosure', 'approve', 'asthma', '--clone', clone, '--key', keyFile)
    await refused(clone, disclosure, 1, /no disclosure to decide for asthma now/)
    await refused(
      clone,
      world.cratewright('sign-off', 'absent', '--clone', clone, '--key', keyFile),
      1,
      /no sign-off to decide for absent now/,
    )
  })

  it('refuses a clone that has not got what the statement is about', async () => {
    const { keyFile } = world.people.dana
    const behind = await fresh()
    await world.ask('stale', [{ name: 'cohort', tables: [patients, costs] }])
    const ahead = await fresh()
    const stale = (clone: string) => world.cratewright('sign-off', 'stale', '--clone', clone, '--key', keyFile)
    // The controller has not seen the change yet: what is prepared is about the old content.
    await refused(
      ahead,
      stale(ahead),
      2,
      /the request stale in this clone is not the one .*\[StatementInvalid\]\n.*Pull/,
    )
    await world.run()
    await refused(behind, stale(behind), 2, /\[StatementInvalid\]/)
    assert.equal((await stale(ahead)).code, 0)
  })

  it('refuses a clone without a branch, before it writes anything', async () => {
    const clone = await fresh()
    await git(clone, 'checkout', '--quiet', '--detach')
    await refused(clone, signOff(clone), 2, /not on a branch.*\[UsageInvalid\]/)
  })

  it('refuses a bare repository and a folder that is none', async () => {
    const bare = join(world.folder, `bare-${++clones}.git`)
    await git(world.folder, 'clone', '--quiet', '--bare', world.bare('projects'), bare)
    for (const folder of [bare, tempFolder(), '/absent']) {
      const { code, out, err } = await signOff(folder)
      assert.equal(code, 2, err)
      assert.doesNotMatch(out, signed)
      assert.match(err, /\[UsageInvalid\]/)
    }
    assert.equal(existsSync(join(bare, 'projects')), false)
  })

  it('follows no link out of the clone', async () => {
    const outside = tempFolder()
    const clone = await fresh()
    symlinkSync(outside, join(clone, 'projects/asthma/sign-offs'))
    const { code, err } = await signOff(clone)
    assert.equal(code, 2, err)
    assert.match(err, /projects\/asthma\/sign-offs is a symbolic link.*\[UnsafePath\]/)
    assert.deepEqual(readdirSync(outside), [])
  })

  it('decides about what it has when the server is gone, and says that it could not push', async () => {
    const clone = await fresh()
    await git(clone, 'fetch', '--quiet', 'origin')
    await git(clone, 'remote', 'set-url', 'origin', join(world.folder, 'gone.git'))
    const { code, out } = await signOff(clone)
    assert.equal(code, 0)
    assert.match(out, /Committed\./)
    const pushed = await signOff(clone, '--push')
    assert.equal(pushed.code, 3)
    assert.doesNotMatch(pushed.out, signed)
    assert.match(pushed.err, /the push was refused: .*\[GitDenied\]/)
    assert.equal((await changed(clone)).length, 2, 'what was signed stays committed, once')
  })

  it('does not push over what others have pushed, and keeps the commit', async () => {
    const clone = await fresh()
    await world.commit('rob', { 'README.md': 'newer\n' })
    const before = await main()
    const { code, err } = await signOff(clone, '--push')
    assert.equal(code, 3)
    assert.match(err, /the push was refused/)
    assert.equal(await main(), before)
    await git(clone, 'pull', '--quiet', '--rebase', 'origin', 'main')
    await push(clone)
  })

  it('pushes with --push, and then it counts', async () => {
    const clone = await fresh()
    const result = await world.cratewright(
      'sign-off',
      'wards',
      '--clone',
      clone,
      '--key',
      world.people.dana.keyFile,
      '--push',
    )
    assert.equal(result.code, 0, result.err)
    assert.match(result.out, /^Pushed\.$/m)
    assert.equal(await main(), await git(clone, 'rev-parse', 'HEAD'))
    await world.run()
    assert.ok((await world.steps('wards')).includes('sign-off noted'))

    await git(clone, 'fetch', '--quiet', 'origin')
    const { keyFile } = world.people.dana
    const again = world.cratewright('sign-off', 'wards', '--clone', clone, '--key', keyFile)
    await refused(clone, again, 1, /no sign-off to decide for wards now/)
    const decided = await world.cratewright(
      'disclosure',
      'reject',
      'wards',
      '--clone',
      clone,
      '--key',
      keyFile,
      '--reason',
      'Names',
      '--push',
      '--json',
    )
    assert.equal(decided.code, 0, decided.err)
    const { phase, decision, path } = JSON.parse(decided.out) as Record<string, string>
    assert.deepEqual([phase, decision], ['Disclosure', 'reject'])
    assert.match(path ?? '', /\/disclosure-dana\.yaml$/)
    await world.run()
    assert.ok(!existsSync(world.release('wards')))
  })

  after(() => rmSync(join(world.folder, 'clones'), { recursive: true, force: true }))
})
