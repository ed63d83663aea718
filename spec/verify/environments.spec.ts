/** What follows from a log, and what `verify` says of it, depend on nothing of the machine that the work is done on. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { git } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { World } from '../support/world.ts'

const program = resolve(import.meta.dirname, '../../controller/main.ts')
const records = 'refs/heads/cratewright/records'

interface Environment {
  readonly env?: Readonly<Record<string, string>>
  readonly umask?: string
  readonly flags?: readonly string[]
  readonly cwd?: string
}

const environments: Readonly<Record<string, Environment>> = {
  'far east of Greenwich, in Turkish': {
    env: { TZ: 'Pacific/Kiritimati', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' },
  },
  'on the other side of the date line, in German': {
    env: { TZ: 'Pacific/Niue', LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE' },
  },
  'without a locale, rights for nobody else': { env: { TZ: 'UTC', LANG: 'C', LC_ALL: 'C' }, umask: '077' },
  'with rights for everybody, in little memory': { umask: '000', flags: ['--max-old-space-size=96'] },
  'in another folder': { cwd: tempFolder() },
}

describe('on another machine', () => {
  let world: World
  let auditor: string
  let expected: { build: Said; verify: Said }
  before(async () => {
    world = await World.make()
    await world.walk('asthma')
    await world.walk('second', 'Validated')
    auditor = await world.auditor()
    expected = await both({}, world.config, auditor)
    assert.deepEqual([expected.build.code, expected.verify.code], [0, 0], JSON.stringify(expected))
    assert.match(expected.build.out, /"checked": 2/)
  })

  interface Said {
    readonly code: number
    readonly out: string
    readonly err: string
  }

  async function say(
    { env = {}, umask = '022', flags = [], cwd = '/' }: Environment,
    ...args: string[]
  ): Promise<Said> {
    const words = ['-c', `umask ${umask}; exec "$@"`, 'sh', process.execPath, ...flags, program, ...args]
    const run = promisify(execFile)('/bin/sh', words, { cwd, env: { PATH: process.env.PATH, ...env } })
    return run.then(
      ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
      ({ code, stdout, stderr }) => ({ code, out: stdout, err: stderr }),
    )
  }

  async function both(environment: Environment, config: string, clone: string): Promise<{ build: Said; verify: Said }> {
    const [build, verify] = await Promise.all([
      say(environment, 'build', '--check', '--json', '--config', config),
      say(environment, 'verify', clone, '--json'),
    ])
    return { build, verify }
  }

  for (const [name, environment] of Object.entries(environments)) {
    it(`${name}, the same follows from the log, and verify says the same`, async () => {
      // A working folder of its own: nothing is known from before.
      const work = `work-${Object.keys(environments).indexOf(name)}`
      const config = world.writeConfig(work, join(world.folder, `${work}.yaml`))
      assert.deepEqual(await both(environment, config, auditor), expected)
    })
  }

  it('where commits came one by one, or every object lies in a file of its own, verify says the same', async () => {
    const piecemeal = join(world.folder, 'piecemeal')
    await git(world.folder, 'clone', '--quiet', '--single-branch', world.bare('projects'), piecemeal)
    await git(world.folder, 'clone', '--quiet', world.bare('platform'), join(piecemeal, 'trust'))
    await git(world.bare('projects'), 'config', 'uploadpack.allowAnySHA1InWant', 'true')
    const commits = (await git(world.bare('projects'), 'rev-list', '--reverse', records)).split('\n')
    assert.ok(commits.length > 10)
    const target = 'refs/remotes/origin/cratewright/records'
    for (const commit of commits) await git(piecemeal, 'fetch', '--quiet', 'origin', `${commit}:${target}`)
    const said = await say({}, 'verify', piecemeal, '--json')
    const here = (text: string) => text.replaceAll(piecemeal, auditor)
    assert.deepEqual({ ...said, out: here(said.out), err: here(said.err) }, expected.verify)

    const loose = join(world.folder, 'loose')
    mkdirSync(loose)
    await git(loose, 'init', '--quiet')
    await git(loose, 'config', 'fetch.unpackLimit', '1000000')
    await git(loose, 'remote', 'add', 'origin', world.bare('projects'))
    await git(loose, 'fetch', '--quiet', 'origin')
    await git(loose, 'checkout', '--quiet', 'main')
    await git(world.folder, 'clone', '--quiet', world.bare('platform'), join(loose, 'trust'))
    const again = await say({}, 'verify', loose, '--json')
    const there = (text: string) => text.replaceAll(loose, auditor)
    assert.deepEqual({ ...again, out: there(again.out), err: there(again.err) }, expected.verify)
  })
})
