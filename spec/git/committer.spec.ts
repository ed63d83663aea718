import assert from 'node:assert/strict'
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Committer, type CommitterOptions } from '../../controller/git/committer.ts'
import type { Change } from '../../controller/git/repository.ts'
import { sha256Hex } from '../../controller/runtime/canonical.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { type GitServer, git, startGitServer } from '../support/git-server.ts'
import { controllerKey, identity, makeWorld, never, open, sign, text, type World } from './world.ts'

const records = 'refs/heads/cratewright/records'
const root = { message: 'Start the records', time: new Date('2026-01-01T00:00:00Z') }

function change(path: string, content: string | undefined, more: Partial<Change> = {}): Change {
  return {
    files: [{ path, content: content === undefined ? undefined : text(content) }],
    preconditions: [],
    message: `Write ${path}`,
    time: new Date('2026-02-01T00:00:00Z'),
    ...more,
  }
}

const absent = (path: string) => ({ preconditions: [{ path, absent: true as const }] })
const digest = (path: string, content: string) => ({ preconditions: [{ path, sha256: sha256Hex(content) }] })

describe('the committer', () => {
  let world: World
  let server: GitServer
  const committers: Committer[] = []

  beforeEach(async () => {
    world = await makeWorld()
    server = await startGitServer(world.root)
  })
  afterEach(async () => {
    for (const committer of committers.splice(0)) await committer.close()
    await server.stop()
  })

  function committer(options: Partial<CommitterOptions> = {}): Committer {
    const made = new Committer({
      repository: open(server.url('projects.git'), { deadline: 5000 }),
      ref: records,
      identity,
      sign,
      root,
      acceptTip: async () => undefined,
      message: changes => changes.map(({ message }) => message).join('\n'),
      ...options,
    })
    committers.push(made)
    return made
  }
  const atServer = (...args: string[]) => git(world.bare, ...args)
  const commits = async () => (await atServer('rev-list', '--reverse', records)).split('\n')

  it('starts the ref with the root commit, the same on every machine, and everything submitted at once in one commit', async () => {
    const one = committer()
    assert.equal(one.tip(), undefined)
    const oids = await Promise.all(['a', 'b', 'c'].map(name => one.submit(change(name, name))))
    assert.equal(new Set(oids).size, 1)
    const [first, second, ...more] = await commits()
    assert.deepEqual([second, more], [oids[0], []])
    assert.equal(one.tip(), second)
    assert.equal(await atServer('log', '-1', '--format=%B%ct', second!), 'Write a\nWrite b\nWrite c\n1769904000')
    for (const oid of [first!, second!]) await atServer(...controllerKey.options, 'verify-commit', oid)
    assert.equal(await atServer('ls-tree', first!), '')
    await atServer('update-ref', '-d', records)
    assert.equal(
      await committer()
        .submit(change('a', 'a'))
        .then(commits)
        .then(all => all[0]),
      first,
    )
  })

  it('makes no commit where the tree would not change', async () => {
    const one = committer()
    const oid = await one.submit(change('a', 'a'))
    assert.equal(await one.submit(change('a', 'a')), oid)
    assert.equal(await one.submit(change('none', undefined)), oid)
    assert.equal((await commits()).length, 2)
  })

  it('brings all changes of two writers to the ref, each exactly once', async () => {
    const writers = [committer(), committer()]
    await Promise.all(
      writers.flatMap((writer, w) =>
        [...Array(30).keys()].map(async n => {
          // Some together, some while pushes are under way.
          await new Promise(resolve => setTimeout(resolve, (n % 6) * 40))
          const path = `log/${w}-${n}.json`
          await writer.submit(change(path, String(n), absent(path)))
        }),
      ),
    )
    assert.equal((await atServer('ls-tree', '-r', '--name-only', records)).split('\n').length, 60)
    const added = (await atServer('log', '--format=', '--name-status', records)).split('\n').sort()
    assert.equal(added.length, 60)
    assert.equal(new Set(added).size, 60)
    assert.equal((await atServer('rev-list', '--min-parents=2', records)).length, 0)
  })

  it('elects one of many through a precondition', async () => {
    const writers = [committer(), committer(), committer()]
    const claims = writers.map((writer, n) =>
      writer.submit(change('log/000001.json', `writer ${n}`, absent('log/000001.json'))),
    )
    const outcomes = await Promise.allSettled(claims)
    const lost = outcomes.filter(outcome => outcome.status === 'rejected')
    assert.equal(lost.length, 2)
    for (const { reason } of lost) assert.equal(reason.code, 'LogMoved')
    const winner = outcomes.findIndex(outcome => outcome.status === 'fulfilled')
    assert.equal(await atServer('cat-file', 'blob', `${records}:log/000001.json`), `writer ${winner}`)
  })

  it('drops only the change whose precondition fails, seen after the changes before it', async () => {
    const one = committer()
    await one.submit(change('old', 'old'))
    const outcomes = await Promise.allSettled([
      one.submit(change('new', '1', digest('old', 'old'))),
      one.submit(change('new', '2', absent('new'))),
      one.submit(change('new', '3', digest('new', '1'))),
      one.submit(change('x', 'x', digest('old', 'other'))),
      one.submit(change('y', 'y', digest('none', ''))),
      one.submit(change('old', undefined, digest('new', '3'))),
      one.submit(change('z', 'z', absent('old'))),
    ])
    assert.deepEqual(
      outcomes.map(outcome => (outcome.status === 'fulfilled' ? 'done' : outcome.reason.code)),
      ['done', 'LogMoved', 'done', 'LogMoved', 'LogMoved', 'done', 'done'],
    )
    assert.equal(await atServer('ls-tree', '-r', '--name-only', records), 'new\nz')
    assert.equal(await atServer('cat-file', 'blob', `${records}:new`), '3')
    assert.equal((await commits()).length, 3)
  })

  it('lets a change that cannot be written fail alone', async () => {
    const one = committer()
    await one.submit(change('d/file', '1'))
    const outcomes = await Promise.allSettled([
      one.submit(change('a', 'a')),
      one.submit(change('d', 'in the way')),
      one.submit(change('.git/config', 'x')),
      one.submit(change('e', 'e', digest('d', 'a folder has no digest'))),
      one.submit(change('b', 'b')),
    ])
    assert.deepEqual(
      outcomes.map(outcome => outcome.status),
      ['fulfilled', 'rejected', 'rejected', 'rejected', 'fulfilled'],
    )
    assert.equal(await atServer('ls-tree', '-r', '--name-only', records), 'a\nb\nd/file')
  })

  it('builds on no tip that is not accepted', async () => {
    await committer().submit(change('a', 'a'))
    const tips: (string | undefined)[] = []
    const refusing = committer({
      acceptTip: async tip => {
        tips.push(tip)
        throw new CratewrightError('RecordForged', 'not ours')
      },
    })
    const outcomes = await Promise.allSettled([refusing.submit(change('b', 'b')), refusing.submit(change('c', 'c'))])
    assert.deepEqual(
      outcomes.map(outcome => outcome.status === 'rejected' && outcome.reason.code),
      ['RecordForged', 'RecordForged'],
    )
    assert.deepEqual(tips, [await atServer('rev-parse', records)])
    assert.equal(refusing.tip(), undefined)
  })

  it('finds out that a push whose answer was lost has landed', async () => {
    const one = committer()
    await one.submit(change('a', 'a'))
    server.fault = 'lost'
    const oid = await one.submit(change('b', 'b', absent('b')))
    assert.equal(server.fault, 'none')
    assert.equal(await atServer('rev-parse', records), oid)
    assert.equal((await commits()).length, 3)
  })

  it('rejects with the reason of the server, and works again when it does', async () => {
    const one = committer()
    await one.submit(change('a', 'a'))
    server.fault = 'refuse-push'
    await assert.rejects(one.submit(change('b', 'b')), { code: 'WriteBackBlocked' })
    server.fault = 'error'
    await assert.rejects(one.submit(change('b', 'b')), { code: 'GitUnreachable' })
    server.fault = 'none'
    const hook = join(world.bare, 'hooks/update')
    writeFileSync(hook, '#!/bin/sh\nexit 1\n')
    chmodSync(hook, 0o755)
    await assert.rejects(one.submit(change('b', 'b')), { code: 'WriteBackBlocked' })
    rmSync(hook)
    assert.equal(await one.submit(change('b', 'b')), await atServer('rev-parse', records))
  })

  it('gives up retryably when others are always faster', async function () {
    this.timeout(30_000)
    let n = 0
    const one = committer({
      // Whoever writes between the check and the push wins.
      acceptTip: async () => {
        const tree = await atServer('write-tree')
        const oid = await atServer('commit-tree', tree, '-m', String(n++))
        await atServer('update-ref', records, oid)
      },
    })
    await assert.rejects(one.submit(change('b', 'b')), { code: 'LogMoved', retryable: true })
    assert.equal(n, 10)
  })

  it('waits between pushes, except for what is urgent and at a flush', async () => {
    const one = committer({ minInterval: 60_000 })
    await one.submit(change('a', 'a'))
    const slow = one.submit(change('b', 'b'))
    const start = performance.now()
    await new Promise(resolve => setTimeout(resolve, 200))
    assert.equal((await commits()).length, 2)
    const urgent = one.submit(change('c', 'c'), { urgent: true })
    assert.equal(await slow, await urgent)
    const last = one.submit(change('d', 'd'))
    await one.flush()
    await last
    assert.ok(performance.now() - start < 10_000)
    assert.equal((await commits()).length, 4)
  })

  it('rejects what has not landed when it is closed', async () => {
    const one = committer()
    server.fault = 'hang'
    const stuck = assert.rejects(one.submit(change('a', 'a')), { code: 'GitFailed', retryable: true })
    await new Promise(resolve => setTimeout(resolve, 100))
    const later = assert.rejects(one.submit(change('b', 'b')), { code: 'GitFailed' })
    const start = performance.now()
    await one.close()
    assert.ok(performance.now() - start < 1000)
    await Promise.all([stuck, later, assert.rejects(one.submit(change('c', 'c')), { code: 'GitFailed' })])
  })

  it('is not stopped by a ref that was deleted', async () => {
    const one = committer()
    await one.submit(change('a', 'a'))
    const repository = open(world.fileUrl)
    await atServer('update-ref', '-d', records)
    const oid = await one.submit(change('b', 'b'))
    assert.equal(await repository.resolve(records, never), oid)
    assert.equal(await atServer('ls-tree', '-r', '--name-only', records), 'b')
  })
})
