import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { configPath, readBootstrap } from '../../controller/cli/bootstrap.ts'
import { makeAuthority } from '../support/authority.ts'
import { makePerson } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { run, spawned } from './command-line.ts'

const folder = tempFolder()
const { publicKey } = makePerson('ada', join(folder, 'ada'))
const sound = `platform:
  url: https://forge.example/platform.git
  signers: ["${publicKey}"]
controller:
  name: test
  key: keys/controller
folder: work
secrets:
  folder: secrets
`
let files = 0
function config(text: string): string {
  const path = join(folder, `config-${++files}.yaml`)
  writeFileSync(path, text)
  return path
}

describe('the bootstrap file', () => {
  it('is --config, then CRATEWRIGHT_CONFIG, then cratewright.yaml in the current folder', () => {
    assert.equal(configPath('/a/b.yaml', { CRATEWRIGHT_CONFIG: '/c.yaml' }), '/a/b.yaml')
    assert.equal(configPath('b.yaml', {}), resolve('b.yaml'))
    assert.equal(configPath(undefined, { CRATEWRIGHT_CONFIG: '/c.yaml' }), '/c.yaml')
    assert.equal(configPath(undefined, { CRATEWRIGHT_CONFIG: '' }), resolve('cratewright.yaml'))
    assert.equal(configPath(undefined, {}), resolve('cratewright.yaml'))
  })

  it('is found by the command in that order', async () => {
    const here = join(folder, 'here')
    mkdirSync(here)
    const named = async (argv: string[], env: Record<string, string>) =>
      /(\S+) cannot be read/.exec((await spawned(['get', ...argv], { cwd: here, env })).err)?.[1]
    assert.deepEqual(
      await Promise.all([
        named(['--config', '/no/first.yaml'], { CRATEWRIGHT_CONFIG: '/no/second.yaml' }),
        named([], { CRATEWRIGHT_CONFIG: '/no/second.yaml' }),
        named([], {}),
      ]),
      ['/no/first.yaml', '/no/second.yaml', join(here, 'cratewright.yaml')],
    )
  })

  it('takes its paths relative to itself, wherever the command runs, and leaves absolute ones alone', async () => {
    const bootstrap = await readBootstrap(config(sound))
    assert.equal(bootstrap.folder, join(folder, 'work'))
    assert.equal(bootstrap.controller.key, join(folder, 'keys/controller'))
    assert.equal(bootstrap.secrets?.folder, join(folder, 'secrets'))
    const absolute = await readBootstrap(config(sound.replace('folder: work', 'folder: /var/lib/cratewright')))
    assert.equal(absolute.folder, '/var/lib/cratewright')
  })

  it('has the defaults that its schema declares', async () => {
    const { pollSeconds, transports, platform } = await readBootstrap(config(sound))
    assert.deepEqual(
      { pollSeconds, transports, ref: platform.ref },
      { pollSeconds: 30, transports: ['https'], ref: 'refs/heads/main' },
    )
  })

  const broken: readonly [string, string, RegExp][] = [
    ['an unknown field', `${sound}polSeconds: 3\n`, /:10:1: polSeconds is not a known field.*\n.*`pollSeconds`/],
    ['a wrong type', `${sound}pollSeconds: often\n`, /:10:1: pollSeconds has to be .*number/],
    ['a missing field', sound.replace('folder: work\n', ''), /: folder is missing/],
    ['a value out of range', `${sound}pollSeconds: 0\n`, /:10:1: pollSeconds has to be 1 or more/],
    ['a store that there is not', `${sound}store: etcd\n`, /:10:1: store has to be one of memory, kubernetes/],
    ['a duplicate key', `${sound}folder: other\n`, /:10:1: /],
    ['no YAML', 'platform: [\n', /config-\d+\.yaml:\d+:\d+: /],
    ['nothing in it', '', /config-\d+\.yaml: the file is empty/],
    [
      'a host key that cannot be read',
      `${sound}ssh: {hostKeys: ["forge.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"]}\n`,
      /:10:\d+: ssh\.hostKeys\[0\] cannot be used/,
    ],
    ['a host key that is no line of one', `${sound}ssh: {hostKeys: ["forge.example"]}\n`, /:10:18: .*hostKeys\[0\]/],
    ['two documents', `${sound}---\nfolder: other\n`, /:11:1: the file holds more than one document/],
  ]
  for (const [what, text, message] of broken) {
    it(`with ${what} is refused with its place, said once, and exit code 2`, async () => {
      const path = config(text)
      const { code, out, err } = await run(['get', '--config', path])
      assert.deepEqual({ code, out }, { code: 2, out: '' })
      assert.match(err, message)
      assert.match(err, /\[ConfigInvalid\]\n {2}\S/)
      assert.equal(err.split(path).length - 1, 1, err)
    })
  }

  it('names certificates of authorities in a file beside it, and says where that cannot be used', async () => {
    const path = config(`${sound}tls: {ca: authorities.pem}\n`)
    const file = join(folder, 'authorities.pem')
    await assert.rejects(readBootstrap(path), {
      code: 'ConfigInvalid',
      message: `tls.ca, ${file}: it cannot be read (ENOENT)`,
    })
    writeFileSync(file, '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n')
    await assert.rejects(readBootstrap(path), { code: 'ConfigInvalid', message: /certificate 1 cannot be read/ })
    const { certificate } = makeAuthority() ?? {}
    if (certificate === undefined) return
    writeFileSync(file, certificate)
    assert.equal((await readBootstrap(path)).tls?.ca, file)
  })

  it('that is not there is refused with what to do', async () => {
    const { code, err } = await run(['get', '--config', join(folder, 'absent.yaml')])
    assert.equal(code, 2)
    assert.match(err, /absent\.yaml cannot be read \(ENOENT\) \[ConfigInvalid\]\n {2}Name the file with --config/)
  })

  it('never repeats a value that is wrong: one may be a password in the wrong place', async () => {
    const { err } = await run(['get', '--config', config(`${sound}pollSeconds: hunter2-canary\n`)])
    assert.doesNotMatch(err, /hunter2/)
  })

  it('names a controller key that cannot be read', async () => {
    const { code, err } = await run(['get', '--config', config(sound)])
    assert.equal(code, 2)
    assert.match(err, /keys\/controller cannot be read \(ENOENT\) \[KeyInvalid\]\n.*keys make/)
  })
})
