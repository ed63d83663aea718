import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { RepositoryOptions } from '../../controller/git/cli-repository.ts'
import { type Authority, makeAuthority } from '../support/authority.ts'
import { type GitServer, git, startGitServer } from '../support/git-server.ts'
import { tempFolder } from '../support/temp.ts'
import { main, makeWorld, never, open, pushFiles, type World } from './world.ts'

describe('a repository over HTTPS with an authority of its own', () => {
  let world: World
  let authority: Authority
  let server: GitServer
  let tip: string
  before(async function () {
    const made = makeAuthority()
    if (!made) {
      console.log('      skipped: there is no openssl to make a certificate')
      return this.skip()
    }
    authority = made
    world = await makeWorld()
    tip = await pushFiles(world, { a: '1' })
    server = await startGitServer(world.root, undefined, authority.issue('127.0.0.1'))
  })
  after(() => server?.stop())

  const at = (options: Partial<RepositoryOptions> = {}) =>
    open(server.url('projects.git'), { transports: ['https'], ...options })

  it('is read, fetched and pushed to', async () => {
    const mirrorFolder = tempFolder()
    const repository = at({ ca: async () => authority.certificate, mirrorFolder })
    assert.equal(await repository.resolve(main, never), tip)
    await repository.fetch(main, tip, never)
    const blobs = [await git(world.clone, 'rev-parse', 'HEAD:a')]
    assert.equal((await repository.read(blobs, 10, never)).size, 1)
    assert.equal(await repository.push('refs/heads/new', undefined, tip, never), 'pushed')
    const [folder = ''] = readdirSync(mirrorFolder).filter(name => name.startsWith('ca-'))
    assert.equal(statSync(join(mirrorFolder, folder, 'ca.pem')).mode & 0o777, 0o600)
  })

  it('is not trusted without it, nor with another one, and says what to check', async () => {
    const untrusted = { code: 'GitUnreachable', message: /certificate/, todo: /authorities in `ca`/ }
    await assert.rejects(at().resolve(main, never), untrusted)
    await assert.rejects(at({ ca: async () => makeAuthority()?.certificate ?? '' }).resolve(main, never), untrusted)
  })

  it('is not trusted under a name that its certificate does not have', async () => {
    const other = await startGitServer(world.root, undefined, authority.issue('forge.example'))
    try {
      const url = other.url('projects.git')
      const repository = open(url, { transports: ['https'], ca: async () => authority.certificate })
      await assert.rejects(repository.resolve(main, never), { code: 'GitUnreachable', todo: /authorities in `ca`/ })
      // The name is known to no resolver: git is held to the address, and TLS to the name.
      const pinned = open(url.replace('127.0.0.1', 'forge.example'), {
        transports: ['https'],
        ca: async () => authority.certificate,
        resolve: async () => ['127.0.0.1'],
      })
      assert.equal(await pinned.resolve(main, never), tip)
    } finally {
      await other.stop()
    }
  })

  it('may change its authority: what is written is looked at again before each contact', async () => {
    let ca = makeAuthority()?.certificate ?? ''
    const repository = at({ ca: async () => ca })
    await assert.rejects(repository.resolve(main, never), { code: 'GitUnreachable' })
    ca = authority.certificate
    assert.equal(await repository.resolve(main, never), tip)
  })
})

describe('a repository over HTTP whose name stands for another address a moment later', () => {
  it('is read where the address was checked; where the next answer is refused, nobody is contacted', async () => {
    const world = await makeWorld()
    const tip = await pushFiles(world, { a: '1' })
    const server = await startGitServer(world.root)
    try {
      const url = server.url('projects.git').replace('127.0.0.1', 'rebind.invalid')
      let asked = 0
      const refused = Object.assign(new Error('refused'), { code: 'HostNotAllowed' })
      const resolve = async () => {
        asked += 1
        if (asked > 2) throw refused
        return ['::1', '127.0.0.1']
      }
      const repository = open(url, { resolve })
      assert.equal(await repository.resolve(main, never), tip)
      await repository.fetch(main, tip, never)
      assert.equal(asked, 2)
      const requests = server.requests.length
      await assert.rejects(repository.resolve(main, never), { code: 'HostNotAllowed' })
      assert.equal(server.requests.length, requests)
    } finally {
      await server.stop()
    }
  })

  it('with a git that cannot be held to an address is read all the same, and the operator is told', async () => {
    const world = await makeWorld()
    const tip = await pushFiles(world, { a: '1' })
    const server = await startGitServer(world.root)
    const folder = tempFolder()
    const before = process.env.PATH
    const script = `#!/bin/sh\n[ "$1" = version ] && exec echo git version 2.36.6\nPATH='${before}' exec git "$@"\n`
    writeFileSync(join(folder, 'git'), script)
    chmodSync(join(folder, 'git'), 0o755)
    process.env.PATH = `${folder}:${before}`
    const warnings: string[] = []
    const options = { resolve: async () => ['127.0.0.1'], warn: (message: string) => void warnings.push(message) }
    try {
      await open(server.url('projects.git'), options).fetch(main, tip, never)
      await open(world.fileUrl, options).fetch(main, tip, never)
      process.env.PATH = before
      await open(server.url('projects.git'), options).fetch(main, tip, never)
    } finally {
      process.env.PATH = before
      await server.stop()
    }
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /git version 2\.36\.6 cannot be held/)
  })
})

describe('the credential of a repository', () => {
  const credential = { username: 'robot', password: 'canary-password' }

  it('does not follow a redirect to another host', async () => {
    const world = await makeWorld()
    await pushFiles(world, { a: '1' })
    const other = await startGitServer(world.root)
    const seen: string[] = []
    const first = createServer((request, response) => {
      seen.push(request.headers.authorization ?? '')
      response.writeHead(302, { location: `${other.url('')}${request.url?.slice(1)}` }).end()
    }).listen(0, '127.0.0.1')
    await once(first, 'listening')
    try {
      const url = `http://127.0.0.1:${(first.address() as AddressInfo).port}/projects.git`
      const repository = open(url, { credential: async () => credential })
      await assert.rejects(repository.resolve(main, never), { code: 'GitUnreachable', message: /^(?!.*canary)/ })
      assert.equal(seen.length, 1)
      assert.match(seen[0] ?? '', /^Basic /)
      assert.deepEqual(other.requests, [])
    } finally {
      first.close()
      await other.stop()
    }
  })

  it('is the one declared and no other: no helper, no askpass, no .netrc, no proxy of the machine', async () => {
    const world = await makeWorld()
    await pushFiles(world, { a: '1' })
    const server = await startGitServer(world.root, credential)
    const home = tempFolder()

    const helper = join(home, 'helper')
    writeFileSync(helper, `#!/bin/sh\necho username=${credential.username}\necho password=${credential.password}\n`)
    chmodSync(helper, 0o755)
    writeFileSync(
      join(home, '.netrc'),
      `machine 127.0.0.1\nlogin ${credential.username}\npassword ${credential.password}\n`,
      { mode: 0o600 },
    )
    const config = `[credential]\n\thelper = !${helper}\n[http]\n\tproxy = http://127.0.0.1:1\n`
    writeFileSync(join(home, '.gitconfig'), config)
    const names = ['HOME', 'GIT_ASKPASS', 'GIT_CONFIG_GLOBAL', 'http_proxy', 'https_proxy', 'ALL_PROXY'] as const
    const before = names.map(name => [name, process.env[name]] as const)
    Object.assign(process.env, {
      HOME: home,
      GIT_ASKPASS: helper,
      GIT_CONFIG_GLOBAL: join(home, '.gitconfig'),
      http_proxy: 'http://127.0.0.1:1',
      https_proxy: 'http://127.0.0.1:1',
      ALL_PROXY: 'http://127.0.0.1:1',
    })
    try {
      await assert.rejects(open(server.url('projects.git')).resolve(main, never), { code: 'GitDenied' })
      assert.ok(await open(server.url('projects.git'), { credential: async () => credential }).resolve(main, never))
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
      await server.stop()
    }
  })
})
