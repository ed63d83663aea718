import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { git } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { World } from '../support/world.ts'
import { run } from './command-line.ts'

interface Made {
  readonly key: string
  readonly fingerprint: string
  readonly root: string
}

async function make(path: string, ...more: string[]): Promise<Made> {
  const { code, out, err } = await run(['keys', 'make', path, '--json', ...more])
  assert.deepEqual({ code, err }, { code: 0, err: '' })
  return JSON.parse(out) as Made
}

const mode = (path: string) => statSync(path).mode & 0o777

describe('keys make', () => {
  const folder = tempFolder()

  it('writes a private key that only its owner reads, and a public one beside it', async () => {
    const path = join(folder, 'modes')
    const before = process.umask(0)
    try {
      await make(path)
    } finally {
      process.umask(before)
    }
    assert.equal(mode(path), 0o600)
    assert.equal(mode(`${path}.pub`), 0o644)
    assert.match(readFileSync(path, 'utf8'), /^-----BEGIN OPENSSH PRIVATE KEY-----\n/)
  })

  it('prints key, fingerprint and root, as lines or as one JSON document', async () => {
    const path = join(folder, 'lines')
    const { out } = await run(['keys', 'make', path])
    assert.match(
      out,
      /^key {10}ssh-ed25519 \S+ cratewright\nfingerprint {2}SHA256:\S{43}\nroot {9}[0-9a-f]{40}\nDeclare them/,
    )
    const made = await make(join(folder, 'json'), '--comment', 'of the hospital')
    assert.deepEqual(Object.keys(made), ['key', 'fingerprint', 'root'])
    assert.equal(readFileSync(join(folder, 'json.pub'), 'utf8'), `${made.key}\n`)
    assert.match(made.key, / of the hospital$/)
  })

  it('makes a key that ssh-keygen reads, with the same fingerprint', async function () {
    const path = join(folder, 'other-tool')
    const { fingerprint, key } = await make(path)
    try {
      execFileSync('ssh-keygen', ['-?'], { stdio: 'ignore' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        console.log('      there is no ssh-keygen')
        this.skip()
      }
    }
    const keygen = (...args: string[]) => execFileSync('ssh-keygen', args, { encoding: 'utf8' })
    for (const file of [path, `${path}.pub`]) assert.equal(keygen('-lf', file).split(' ')[1], fingerprint)
    assert.equal(keygen('-yf', path).trim().split(' ')[1], key.split(' ')[1])
  })

  it('makes another key each time', async () => {
    const made = [await make(join(folder, 'one')), await make(join(folder, 'two'))]
    assert.equal(new Set(made.flatMap(({ key, fingerprint, root }) => [key, fingerprint, root])).size, 6)
  })

  const present: readonly [string, (path: string) => void, (path: string) => string][] = [
    ['a file', path => writeFileSync(path, 'mine'), path => path],
    ['an empty file', path => writeFileSync(path, ''), path => path],
    ['a folder', path => mkdirSync(path), path => path],
    ['a link that leads nowhere', path => symlinkSync(join(folder, 'nowhere'), path), path => path],
    ['a public key', path => writeFileSync(`${path}.pub`, 'mine'), path => `${path}.pub`],
  ]
  for (const [index, [what, put, where]] of present.entries()) {
    it(`never overwrites ${what}`, async () => {
      const path = join(folder, `present-${index}`)
      put(path)
      const { code, out, err } = await run(['keys', 'make', path])
      assert.deepEqual({ code, out }, { code: 2, out: '' })
      assert.ok(err.includes(`${where(path)} exists; a key is never overwritten`), err)
      if (where(path) !== path) {
        assert.equal(readFileSync(where(path), 'utf8'), 'mine')
        assert.throws(() => statSync(path), { code: 'ENOENT' })
      }
    })
  }

  it('says what is wrong with a folder that there is not', async () => {
    const { code, err } = await run(['keys', 'make', join(folder, 'absent/key')])
    assert.notEqual(code, 0)
    assert.match(err, /absent\/key cannot be written \(ENOENT\)/)
  })

  it('names the root commit that a first run makes', async () => {
    const world = await World.make()
    const path = join(world.folder, 'made-key')
    const { key, root } = await make(path)
    const platform = world.platform()
    const [repository] = platform['repositories.yaml'] as [{ spec: object }]
    await world.declare({
      'repositories.yaml': [{ ...repository, spec: { ...repository.spec, records: { root, signers: [{ key }] } } }],
    })
    const config = world.writeConfig('work')
    writeFileSync(config, readFileSync(config, 'utf8').replace('people/controller/key', 'made-key'))
    await world.ask('asthma')
    await world.run()
    const roots = await git(world.bare('projects'), 'rev-list', '--max-parents=0', 'refs/heads/cratewright/records')
    assert.equal(roots, root)
    assert.ok((await world.steps('asthma')).includes('validate done'))
  })
})
