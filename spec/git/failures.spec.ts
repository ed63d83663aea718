import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openRepository } from '../../controller/git/cli-repository.ts'
import { type Fault, type GitServer, git, startGitServer } from '../support/git-server.ts'
import { tempFolder } from '../support/temp.ts'
import { identity, main, makeWorld, never, open, pushFiles, sign, text, type World } from './world.ts'

describe('a Git server that fails', () => {
  let world: World
  let server: GitServer
  let tip: string
  beforeEach(async () => {
    world = await makeWorld()
    server = await startGitServer(world.root)
    tip = await pushFiles(world, { a: '1' })
  })
  afterEach(() => server.stop())

  for (const fault of ['error', 'hang', 'cut'] satisfies Fault[]) {
    it(`is GitUnreachable in every method: ${fault}`, async () => {
      const unreachable = { code: 'GitUnreachable' }
      const url = server.url('projects.git')
      const repository = open(url, { deadline: 1500 })
      await repository.fetch(main, tip, never)
      const second = await pushFiles(world, { b: '2' })
      const blobs = [await git(world.clone, 'rev-parse', 'HEAD:b')]
      const files = [{ path: 'x', content: text('x') }]
      const next = await repository.commit(
        { parent: tip, files, message: 'M', time: new Date(0), identity, sign },
        never,
      )
      server.fault = fault
      await assert.rejects(repository.resolve(main, never), unreachable)
      await assert.rejects(repository.fetch(main, second, never), unreachable)
      await assert.rejects(repository.read(blobs, 10, never), unreachable)
      await assert.rejects(repository.push(main, tip, next, never), unreachable)
      server.fault = 'none'
      await repository.fetch(main, second, never)
      assert.equal((await repository.read(blobs, 10, never)).size, 1)
    })
  }

  it('is left within a second when the signal aborts, and leaves the mirror usable', async () => {
    const repository = open(server.url('projects.git'))
    await repository.fetch(main, tip, never)
    const second = await pushFiles(world, { b: '2' })
    server.fault = 'hang'
    const controller = new AbortController()
    const reason = new Error('enough')
    const fetching = repository.fetch(main, second, controller.signal)
    // Waits for the first, and is left as fast.
    const waiting = repository.fetch(main, second, controller.signal)
    const ended = Promise.allSettled([fetching, waiting])
    setTimeout(() => controller.abort(reason), 300)
    const start = performance.now()
    const outcomes = await ended
    assert.deepEqual(outcomes, [
      { status: 'rejected', reason },
      { status: 'rejected', reason },
    ])
    assert.ok(performance.now() - start < 1300)
    server.fault = 'none'
    await repository.fetch(main, second, never)
  })

  it('that is down, unknown or has no such repository is GitUnreachable', async () => {
    const url = server.url('none.git')
    await assert.rejects(open(url).resolve(main, never), { code: 'GitUnreachable' })
    await assert.rejects(open(`file://${world.root}/none.git`).resolve(main, never), { code: 'GitUnreachable' })
    await server.stop()
    await assert.rejects(open(url).resolve(main, never), { code: 'GitUnreachable' })
    server = await startGitServer(world.root)
  })

  it('may refuse every push: WriteBackBlocked', async () => {
    const repository = open(server.url('projects.git'))
    await repository.fetch(main, tip, never)
    server.fault = 'refuse-push'
    await assert.rejects(repository.push('refs/heads/new', undefined, tip, never), { code: 'WriteBackBlocked' })
  })
})

/** Writes down the arguments of every git that is started by name, as other users of the machine could read them. */
function spyOnGit(): { file: string; stop(): void } {
  const folder = tempFolder()
  const file = join(folder, 'log')
  const before = process.env.PATH
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim()
  writeFileSync(join(folder, 'git'), `#!/bin/sh\necho "$@" >>${file}\nexec ${real} "$@"\n`, { mode: 0o755 })
  process.env.PATH = `${folder}:${before}`
  return {
    file,
    stop() {
      process.env.PATH = before
    },
  }
}

describe('the credential of a repository', () => {
  it('opens the server, and is in no error, no argument and no file', async () => {
    const world = await makeWorld()
    const tip = await pushFiles(world, { a: '1' })
    const credential = { username: 'robot', password: 'pass/w0rd:ü' }
    const server = await startGitServer(world.root, credential)
    const mirrorFolder = tempFolder()
    const log = spyOnGit()
    try {
      const url = server.url('projects.git')
      const repository = open(url, { credential: async () => credential, mirrorFolder })
      await repository.fetch(main, tip, never)
      assert.equal(await repository.push('refs/heads/new', undefined, tip, never), 'pushed')
      const denied = { code: 'GitDenied', message: /^(?!.*(0rd|cm9ib3Q6)).*$/ }
      const other = open(url, { credential: async () => ({ ...credential, password: 'wr0rdng' }) })
      await assert.rejects(other.resolve(main, never), denied)
      await assert.rejects(open(url).resolve(main, never), { code: 'GitDenied' })
      const seen = readFileSync(log.file, 'utf8')
      assert.match(seen, /push --porcelain/)
      assert.doesNotMatch(seen, /0rd|cm9ib3Q6/)
      await assert.rejects(git(mirrorFolder, 'grep', '--no-index', '-e', 'robot', '-e', 'cm9ib3Q6', '--', '.'))
    } finally {
      log.stop()
      await server.stop()
    }
  })

  it('is never taken from the URL', () => {
    const url = 'https://robot:hunter2@forge.example/x.git'
    assert.throws(() => open(url, { transports: ['https'] }), { code: 'DocumentInvalid', message: /^(?!.*hunter2)/ })
  })
})

describe('the url of a repository', () => {
  const options = { mirrorFolder: '/nonexistent', deadline: 1000 }
  const refused = (url: string, code: string) =>
    assert.throws(() => openRepository({ url, transports: ['https', 'ssh'], ...options }), { code }, url)

  it('may use only the transports listed', () => {
    for (const url of ['file:///srv/x.git', 'http://forge.example/x.git', 'ext::sh', 'fd::7'])
      refused(url, 'HostNotAllowed')
  })

  it('is a URL and nothing else', () => {
    for (const url of [
      '--upload-pack=id',
      '',
      '/srv/x.git',
      'https://forge.example/x?y',
      'https://a/b\nc',
      'ssh://forge.example/x.git',
      'ssh://git:hunter2@forge.example/x.git',
      'ssh://git@/x.git',
      'ssh://git@forge.example',
      'git@forge.example:',
    ]) {
      refused(url, 'DocumentInvalid')
    }
  })

  it('never is an option of ssh, however it is written', () => {
    for (const url of [
      'ssh://-oProxyCommand=id@forge.example/x',
      'ssh://git@-oProxyCommand=id/x',
      'ssh://git@%2doProxyCommand=id/x',
      'ssh://%2dl@forge.example/x',
      'ssh://git@forge.example%0a/x',
      'ssh://git@forge.example%20-oProxyCommand=id/x',
      '-oProxyCommand=id@forge.example:x',
      'git@-oProxyCommand=id:x',
      'git@[-oProxyCommand=id]:x',
      'git@forge.example:-x',
      'git@forge;id:x',
      '$(id)@forge.example:x',
    ]) {
      refused(url, 'DocumentInvalid')
    }
  })

  it('has one spelling', () => {
    const url = (text: string) => openRepository({ url: text, transports: ['https', 'ssh'], ...options }).url
    assert.equal(url('HTTPS://Forge.Example:443/x.git/'), 'https://forge.example/x.git')
    assert.equal(url('ssh://git@Forge.example:22/x.git/'), 'ssh://git@forge.example/x.git')
    assert.equal(url('ssh://git@[::1]:2222/x.git'), 'ssh://git@[::1]:2222/x.git')
    assert.equal(url('git@Forge.example:tre/x.git'), 'git@forge.example:tre/x.git')
    assert.equal(url('git@[::1]:/srv/x.git'), 'git@[::1]:/srv/x.git')
  })
})

describe('the git command', () => {
  const before = process.env.PATH
  afterEach(() => {
    process.env.PATH = before
  })

  it('is GitNotFound where it is missing or too old', async () => {
    const folder = tempFolder()
    process.env.PATH = folder
    await assert.rejects(open('file:///srv/x.git').fetch(main, '1'.repeat(40), never), { code: 'GitNotFound' })
    writeFileSync(join(folder, 'git'), '#!/bin/sh\necho git version 2.35.9\n')
    chmodSync(join(folder, 'git'), 0o755)
    await assert.rejects(open('file:///srv/x.git').fetch(main, '1'.repeat(40), never), {
      code: 'GitNotFound',
      message: 'git version 2.35.9 is older than 2.36',
    })
  })

  it('does not read the configuration of the machine, nor run what it names', async () => {
    const world = await makeWorld()
    await pushFiles(world, { a: '1' })
    const home = tempFolder()
    mkdirSync(join(home, 'git'))
    const config = `[url "file:///nonexistent/"]\n\tinsteadOf = file://\n[core]\n\tsshCommand = touch ${home}/ran\n`
    writeFileSync(join(home, 'git/config'), config)
    const { HOME, XDG_CONFIG_HOME, GIT_CONFIG_GLOBAL } = process.env
    Object.assign(process.env, { HOME: home, XDG_CONFIG_HOME: home, GIT_CONFIG_GLOBAL: join(home, 'git/config') })
    try {
      assert.ok(await open(world.fileUrl).resolve(main, never))
    } finally {
      for (const [name, value] of Object.entries({ HOME, XDG_CONFIG_HOME, GIT_CONFIG_GLOBAL })) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
    }
  })
})
