import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RepositoryOptions } from '../../controller/git/cli-repository.ts'
import { parseHostKeys } from '../../controller/git/ssh-access.ts'
import { generateKey } from '../../controller/runtime/ssh-key.ts'
import { git } from '../support/git-server.ts'
import { type SshServer, startSshServer, whyNoSshd } from '../support/ssh-server.ts'
import { tempFolder } from '../support/temp.ts'
import { identity, main, makeWorld, never, open, pushFiles, sign, text, type World } from './world.ts'

describe('a repository over SSH', () => {
  let world: World
  let server: SshServer
  let tip: string
  before(async function () {
    const why = whyNoSshd()
    if (why !== undefined) {
      console.log(`      skipped: ${why}`)
      return this.skip()
    }
    world = await makeWorld()
    tip = await pushFiles(world, { a: '1' })
    server = await startSshServer({ settings: [`Banner ${banner()}`] })
  })
  after(() => server?.stop())

  const access = (key = server.clientKey, lines = [server.hostKeyLine]) => ({
    key: async () => key,
    hostKeys: parseHostKeys(lines),
  })
  const at = (url: string, options: Partial<RepositoryOptions> = {}) =>
    open(url, { transports: ['ssh'], ssh: access(), resolve: async () => ['127.0.0.1'], ...options })

  for (const [what, url] of [
    ['ssh://', () => server.url(world.bare)],
    ['a slash at the end', () => server.url(`${world.bare}/`)],
  ] as const) {
    it(`is read, fetched and pushed to: ${what}`, async () => {
      const repository = at(url())
      assert.equal(await repository.resolve(main, never), tip)
      await repository.fetch(main, tip, never)
      const blobs = [await git(world.clone, 'rev-parse', 'HEAD:a')]
      assert.equal((await repository.read(blobs, 10, never)).size, 1)
      const files = [{ path: 'x', content: text(what) }]
      const input = { parent: tip, files, message: 'M', time: new Date(0), identity, sign }
      const next = await repository.commit(input, never)
      const branch = `refs/heads/${what.replace(/\W/g, '')}`
      assert.equal(await repository.push(branch, undefined, next, never), 'pushed')
      assert.equal(await git(world.bare, 'rev-parse', branch), next)
    })
  }

  it('is taken as git@host:path too', async function () {
    // That spelling has no port: only root can serve it.
    const usual = process.getuid?.() === 0 ? await startSshServer({ port: 22 }).catch(() => undefined) : undefined
    if (!usual) {
      console.log('      skipped: port 22 is not ours to listen on')
      return this.skip()
    }
    try {
      const line = usual.hostKeyLine.replace('[127.0.0.1]:22', 'forge.invalid')
      const repository = at(`${usual.user}@Forge.invalid:${world.bare}`, { ssh: access(usual.clientKey, [line]) })
      assert.equal(repository.url, `${usual.user}@forge.invalid:${world.bare}`)
      assert.equal(await repository.resolve(main, never), tip)
      await repository.fetch(main, tip, never)
      const same = at(`ssh://${usual.user}@forge.invalid:22${world.bare}`, { ssh: access(usual.clientKey, [line]) })
      assert.equal(await same.resolve(main, never), tip)
    } finally {
      await usual.stop()
    }
  })

  it('is refused where its host has no key listed, before it is contacted', async () => {
    const said = server.log()
    const repository = at(`${server.user}@127.0.0.1:projects.git`)
    await assert.rejects(repository.resolve(main, never), {
      code: 'HostNotAllowed',
      message: 'cratewright.yaml lists no host key of 127.0.0.1',
      todo: /ssh-keyscan .* ssh\.hostKeys/,
    })
    const none = at(server.url(world.bare), { ssh: access(server.clientKey, []) })
    await assert.rejects(none.resolve(main, never), { code: 'HostNotAllowed' })
    assert.equal(server.log(), said)
  })

  it('is HostKeyMismatch where the server shows another key of the same type, or of another type', async () => {
    const other = (line: string) => at(server.url(world.bare), { ssh: access(server.clientKey, [line]) })
    const name = `[127.0.0.1]:${server.port}`
    const fingerprint = /^git ls-remote: the server shows the host key SHA256:\S{43} \(ED25519\) that is not listed/
    await assert.rejects(other(`${name} ${generateKey('x').public}`).resolve(main, never), {
      code: 'HostKeyMismatch',
      message: fingerprint,
      todo: /Ask the administrator/,
    })
    await assert.rejects(other(`${name} ${keygen('ecdsa').public}`).resolve(main, never), { code: 'HostKeyMismatch' })
    // A key that is listed for another port or host is not one of this server.
    const elsewhere = `[127.0.0.1]:${server.port + 1},[127.0.0.2]:${server.port} ${server.hostKeyLine.split(' ').slice(1).join(' ')}`
    await assert.rejects(other(elsewhere).resolve(main, never), { code: 'HostNotAllowed' })
  })

  it('is GitDenied for a key that the server does not know, whatever its banner says', async () => {
    const stranger = at(server.url(world.bare), { ssh: access(generateKey('stranger').private) })
    await assert.rejects(stranger.resolve(main, never), {
      code: 'GitDenied',
      message: /^(?!.*canary-banner).*Permission denied/,
    })
  })

  it('is GitUnreachable where nobody listens, and where there is no such repository', async () => {
    const line = server.hostKeyLine.replace(`:${server.port}`, ':1')
    const closed = server.url(world.bare).replace(`:${server.port}/`, ':1/')
    const nobody = at(closed, { ssh: access(server.clientKey, [line]) })
    await assert.rejects(nobody.resolve(main, never), { code: 'GitUnreachable' })
    const absent = at(server.url(`${world.root}/none.git`))
    await assert.rejects(absent.resolve(main, never), { code: 'GitUnreachable' })
    await assert.rejects(absent.fetch(main, tip, never), { code: 'GitUnreachable' })
  })

  it('goes to the next address after one where nobody listens', async () => {
    const repository = at(server.url(world.bare), { resolve: async () => ['127.0.0.9', '127.0.0.1'] })
    await assert.rejects(repository.resolve(main, never), { code: 'GitUnreachable' })
    assert.equal(await repository.resolve(main, never), tip)
  })

  it('goes to the address that was checked, not to what the name stands for by then', async () => {
    // The name is known to no resolver: only the address that is handed on can lead to the server.
    const url = server.url(world.bare, 'rebind.invalid')
    const line = server.hostKeyLine.replace('127.0.0.1', 'rebind.invalid')
    const answers = [['127.0.0.1'], []]
    const asked: string[] = []
    const repository = at(url, {
      ssh: access(server.clientKey, [line]),
      resolve: async host => {
        asked.push(host)
        return answers.shift() ?? []
      },
    })
    assert.equal(await repository.resolve(main, never), tip)
    await assert.rejects(repository.resolve(main, never), { code: 'GitUnreachable', message: /has no address/ })
    assert.deepEqual(asked, ['rebind.invalid', 'rebind.invalid'])
  })

  it('leaves no private key behind, and removes what a killed process left', async () => {
    const mirrorFolder = join(tempFolder(), `odd 'na"me % $x \\ here`)
    let during: (number | undefined)[] = []
    const ssh = access()
    const open = () => at(server.url(world.bare), { mirrorFolder, ssh })
    await open().fetch(main, tip, never)
    const [sessions = ''] = readdirSync(mirrorFolder).filter(name => name.endsWith('.ssh'))
    const folder = join(mirrorFolder, sessions)
    assert.deepEqual(readdirSync(folder), [])
    const left = join(folder, 'run-killed')
    writeFileSync(left, 'canary')
    await open().resolve(main, never)
    assert.deepEqual(readdirSync(folder), [])
    // Seen from outside while git runs: 0600 in 0700.
    const watched = open()
    const timer = setInterval(() => {
      for (const run of readdirSync(folder)) {
        const modes = [run, join(run, 'key')].map(path => statSync(join(folder, path), { throwIfNoEntry: false })?.mode)
        if (!modes.includes(undefined)) during = modes
      }
    }, 2)
    try {
      await watched.resolve(main, never)
    } finally {
      clearInterval(timer)
    }
    assert.deepEqual(during, [0o40700, 0o100600])
    const key = server.clientKey.split('\n')[2] ?? ''
    await assert.rejects(git(mirrorFolder, 'grep', '--no-index', '-F', '-e', key, '--', '.'))
  })

  it('wants a private key that can be read, and has no passphrase', async () => {
    const repository = (key: string) => at(server.url(world.bare), { ssh: access(key) })
    await assert.rejects(repository('hunter2').resolve(main, never), { code: 'KeyInvalid', message: /^(?!.*hunter2)/ })
    await assert.rejects(repository(keygen('ed25519', 'a passphrase').private).resolve(main, never), {
      code: 'KeyEncrypted',
    })
    // As secret stores hand it out.
    assert.equal(await repository(server.clientKey.trimEnd()).resolve(main, never), tip)
  })

  it('takes part in nothing of whoever runs it: agent, keys, known hosts, configuration', async () => {
    const home = tempFolder()
    const marker = join(home, 'ran')
    writeFileSync(join(home, 'ssh'), `#!/bin/sh\ntouch ${marker}\nexit 1\n`, { mode: 0o755 })
    const before = { ...process.env }
    Object.assign(process.env, {
      HOME: home,
      SSH_AUTH_SOCK: join(home, 'agent'),
      GIT_SSH: join(home, 'ssh'),
      GIT_SSH_COMMAND: join(home, 'ssh'),
      SSH_ASKPASS: join(home, 'ssh'),
      DISPLAY: ':0',
    })
    try {
      assert.equal(await at(server.url(world.bare)).resolve(main, never), tip)
      assert.deepEqual(readdirSync(home), ['ssh'])
    } finally {
      for (const name of ['HOME', 'SSH_AUTH_SOCK', 'GIT_SSH', 'GIT_SSH_COMMAND', 'SSH_ASKPASS', 'DISPLAY']) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
    }
  })

  function banner(): string {
    const path = join(tempFolder(), 'banner')
    writeFileSync(path, 'fatal: not a git repository canary-banner\n')
    return path
  }
})

describe('a line of ssh.hostKeys', () => {
  const { public: key } = generateKey('host')

  it('names a host, one with a port, or several', () => {
    const names = (line: string) => parseHostKeys([line]).map(({ host, port }) => `${host} ${port}`)
    assert.deepEqual(names(`Forge.Example ${key}`), ['forge.example 22'])
    assert.deepEqual(names(`[forge.example]:2222 ${key}`), ['forge.example 2222'])
    assert.deepEqual(names(`forge.example,10.0.0.5,[::1]:2222 ${key}`), ['forge.example 22', '10.0.0.5 22', '::1 2222'])
  })

  for (const [what, line] of [
    ['a hashed name', `|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ${key}`],
    ['a pattern', `*.example ${key}`],
    ['a negated name', `!forge.example ${key}`],
    ['a marker', `@cert-authority forge.example ${key}`],
    ['an option', `-oProxyCommand=id ${key}`],
    ['no key', 'forge.example ssh-ed25519'],
    ['a key that is cut', `forge.example ${key.split(' ').slice(0, 2).join(' ').slice(0, -8)}`],
    ['another type than the key has', `forge.example ${key.replace('ssh-ed25519', 'ssh-rsa')}`],
    ['nothing', ''],
  ] as const) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => parseHostKeys([`ok.example ${key}`, line]), {
        code: 'ConfigInvalid',
        message: /ssh\.hostKeys\[1\]/,
      })
    })
  }
})

/** As ssh-keygen makes it; it is on every machine that has sshd. */
function keygen(type: 'ed25519' | 'ecdsa', passphrase = ''): { private: string; public: string } {
  const file = join(tempFolder(), 'key')
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-C', '', '-f', file])
  return { private: readFileSync(file, 'utf8'), public: readFileSync(`${file}.pub`, 'utf8').trim() }
}
