import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bootstrap } from '../../controller/cli/bootstrap.ts'
import { Repositories } from '../../controller/cli/repositories.ts'
import { secretsOf } from '../../controller/cli/rooms.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { Redactor } from '../../controller/runtime/secrets.ts'
import { generateKey } from '../../controller/runtime/ssh-key.ts'
import { makeAuthority } from '../support/authority.ts'
import { type GitServer, git, startGitServer } from '../support/git-server.ts'
import { makeBare } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'

const never = new AbortController().signal
const main = 'refs/heads/main'

describe('the repositories that admins declare', () => {
  const folder = tempFolder()
  const roots = ['url', 'records'].map(name => join(folder, name))
  const credential = { username: 'robot', password: 'canary-password' }
  const servers: GitServer[] = []
  before(async () => {
    for (const root of roots) await makeBare(join(root, 'projects.git'))
    for (const name of ['token', 'other-token']) writeFileSync(join(folder, name), `canary-${name}\n`)
    writeFileSync(join(folder, 'robot'), credential.username)
    writeFileSync(join(folder, 'password'), credential.password)
  })
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop()
  })

  const declared = { provider: 'file', username_key: 'robot', password_key: 'password' } as const
  const start = async (root: string) => {
    const server = await startGitServer(root, credential)
    servers.push(server)
    return server
  }
  function repositories(change: Partial<Bootstrap> = {}, lookup?: (host: string) => Promise<never[]>): Repositories {
    const bootstrap: Bootstrap = {
      platform: { url: 'https://forge.example/platform.git', signers: [generateKey('ada').public] },
      controller: { name: 'test', key: '/nonexistent' },
      folder: join(tempFolder(), 'work'),
      transports: ['file', 'http', 'https', 'ssh'],
      networks: ['127.0.0.0/8'],
      secrets: { folder },
      ...change,
    }
    const secrets = secretsOf(bootstrap, new Redactor(), {})
    return new Repositories(bootstrap, { secrets, log: silentLog, ...(lookup ? { lookup } : {}) })
  }

  it('share a credential between `url` and `records.url` on one host', async () => {
    const url = (await start(roots[0]!)).url('projects.git')
    const records = { url: url.replace('projects.git', 'projects.git/') }
    const repository = repositories().openRecords({ url, credential: declared, records })
    assert.equal(await repository.resolve(main, never), undefined)
  })

  it('never send the credential of `url` to another host, port or transport: records.credential is wanted there', async () => {
    const [watched, other] = [await start(roots[0]!), await start(roots[1]!)]
    const spec = { url: watched.url('projects.git'), credential: declared }
    const records = { url: other.url('projects.git') }
    const refused = { code: 'DocumentInvalid', message: /another host/, todo: /records\.credential/ }
    assert.throws(() => repositories().openRecords({ ...spec, records }), refused)
    for (const url of [spec.url.replace('127.0.0.1', 'forge.example'), spec.url.replace('http:', 'https:')])
      assert.throws(() => repositories().openRecords({ ...spec, records: { url } }), refused)
    assert.deepEqual(other.requests, [])
    const repository = repositories().openRecords({ ...spec, records: { ...records, credential: declared } })
    assert.equal(await repository.resolve(main, never), undefined)
  })

  it('need no credential for records where they have none for `url`, nor for a folder of this machine', async () => {
    const url = `file://${roots[1]}/projects.git`
    const { url: place } = repositories().openRecords({
      url: 'https://forge.example/x.git',
      credential: declared,
      records: { url },
    })
    assert.equal(place, url)
    assert.ok(
      repositories().openRecords({
        url: 'https://forge.example/x.git',
        records: { url: 'https://other.example/x.git' },
      }),
    )
  })

  it('are the same object for records that lie in the watched repository, however that is written', () => {
    const opened = repositories()
    const spec = { url: 'https://forge.example/x.git', credential: declared }
    assert.equal(opened.openRecords(spec), opened.open(spec))
    assert.equal(opened.openRecords({ ...spec, records: { url: 'same' } }), opened.open(spec))
  })

  it('want the credential that their transport has', () => {
    const opened = repositories()
    const ssh = 'ssh://git@forge.example/x.git'
    const https = 'https://forge.example/x.git'
    const refused = { code: 'DocumentInvalid', todo: 'Correct `credential`.' }
    assert.throws(() => opened.open({ url: ssh }), refused)
    assert.throws(() => opened.open({ url: ssh, credential: declared }), refused)
    assert.throws(() => opened.open({ url: https, credential: { provider: 'file' } }), refused)
    assert.throws(() => opened.open({ url: https, credential: { provider: 'file', private_key_key: 'key' } }), refused)
    assert.ok(opened.open({ url: ssh, credential: { provider: 'file', private_key_key: 'key' } }))
  })

  it('take `ca` for https, and only certificates', function () {
    const pem = makeAuthority()?.certificate
    if (pem === undefined) {
      console.log('      skipped: there is no openssl to make a certificate')
      return this.skip()
    }
    const opened = repositories()
    assert.ok(opened.open({ url: 'https://forge.example/x.git', ca: pem }))
    assert.throws(() => opened.open({ url: 'http://forge.example/x.git', ca: pem }), { code: 'DocumentInvalid' })
    const cut = pem.replace(/\n.{20}/, '\n')
    assert.throws(() => opened.open({ url: 'https://forge.example/x.git', ca: `${pem}${cut}` }), {
      code: 'DocumentInvalid',
      message: /certificate 2/,
    })
  })

  it('are reached where their name was checked, and nowhere once it stands for something else', async () => {
    const server = await startGitServer(roots[0]!)
    servers.push(server)
    const answers = ['127.0.0.1', '10.1.2.3']
    let asked = 0
    const lookup = async (host: string) => {
      assert.equal(host, 'rebind.invalid')
      return [{ address: answers[asked++] ?? '', family: 4 }] as never[]
    }
    const url = server.url('projects.git').replace('127.0.0.1', 'rebind.invalid')
    const repository = repositories({}, lookup).open({ url })
    assert.equal(await repository.resolve(main, never), undefined)
    const requests = server.requests.length
    assert.ok(requests > 0)
    await assert.rejects(repository.resolve(main, never), { code: 'HostNotAllowed', message: /10\.1\.2\.3/ })
    assert.equal(asked, 2)
    assert.equal(server.requests.length, requests)
  })

  it('whose name is not known are GitUnreachable', async () => {
    const opened = repositories().open({ url: 'https://no-such-host.invalid/x.git' })
    await assert.rejects(opened.resolve(main, never), { code: 'GitUnreachable', message: /cannot be resolved/ })
  })

  it('give each credential a mirror of its own', async () => {
    const server = await start(roots[0]!)
    const opened = repositories()
    const url = server.url('projects.git')
    assert.notEqual(opened.open({ url }), opened.open({ url, credential: declared }))
    await assert.rejects(opened.open({ url }).resolve(main, never), { code: 'GitDenied' })
    assert.equal(await opened.open({ url, credential: declared }).resolve(main, never), undefined)
    assert.equal(await git(folder, 'ls-remote', join(roots[0]!, 'projects.git')), '')
  })
})
