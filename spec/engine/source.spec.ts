import assert from 'node:assert/strict'
import { renameSync } from 'node:fs'
import { mock } from 'node:test'
import { MemoryStore } from '../../controller/engine/store/memory.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { never, pushFiles } from '../git/world.ts'
import { git } from '../support/git-server.ts'
import { type GitLab, json, makeSource } from './git-lab.ts'
import { otherKey } from './lab.ts'

describe('a source', () => {
  let store: MemoryStore
  let lab: GitLab
  const refused = new Set<string>()

  const names = () => store.keys().map(key => key.split('/').at(-1) ?? '')

  beforeEach(async () => {
    refused.clear()
    store = new MemoryStore(() => false)
    lab = await makeSource(store, 'platform', {
      accept: async tip => {
        if (refused.has(tip)) throw new CratewrightError('UntrustedCommit', `commit ${tip} is not signed`)
        return tip
      },
    })
  })

  it('puts what is at the tip into the store, and nothing while the tip stays', async () => {
    const { world, source, reader } = lab
    const first = await pushFiles(world, { 'a.json': json('Other') })
    assert.equal(await source.look(never), true)
    assert.deepEqual([names(), source.commit, source.problem], [['a'], first, undefined])
    assert.equal(store.snapshot().commits.get('platform'), first)
    assert.equal(await source.look(never), false)
    assert.deepEqual(reader.reads, [first])
    const second = await pushFiles(world, { 'a.json': undefined, 'b.json': json('Other') })
    assert.equal(await source.look(never), true)
    assert.deepEqual([names(), source.commit], [['b'], second])
  })

  it('looks once at a time', async () => {
    const { world, source, reader } = lab
    await pushFiles(world, { 'a.json': json('Other') })
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => source.look(never))), [true, true, true])
    assert.equal(reader.reads.length, 1)
  })

  it('keeps what it has while the server cannot be reached, says why, and forgets it afterwards', async () => {
    const { world, source } = lab
    await pushFiles(world, { 'a.json': json('Other') })
    await source.look(never)
    renameSync(world.bare, `${world.bare}.away`)
    assert.equal(await source.look(never), false)
    assert.equal(source.problem?.retryable, true)
    assert.deepEqual(names(), ['a'])
    await assert.rejects(source.confirm(never))
    renameSync(`${world.bare}.away`, world.bare)
    assert.equal(await source.look(never), false)
    assert.equal(source.problem, undefined)
  })

  it('says that its ref is missing', async () => {
    assert.equal(await lab.source.look(never), false)
    assert.equal(lab.source.problem?.code, 'GitRefMissing')
    await pushFiles(lab.world, { 'a.json': json('Other') })
    assert.equal(await lab.source.look(never), true)
    assert.equal(lab.source.problem, undefined)
  })

  it('keeps the old content where a tip is refused, and goes on with the next that is not', async () => {
    const { world, source } = lab
    const good = await pushFiles(world, { 'a.json': json('Other') })
    await source.look(never)
    refused.add(await pushFiles(world, { 'b.json': json('Other') }))
    assert.equal(await source.look(never), false)
    assert.deepEqual([names(), source.commit, source.problem?.code], [['a'], good, 'UntrustedCommit'])
    assert.equal(await source.confirm(never), false)
    await pushFiles(world, { 'c.json': json('Other') })
    assert.equal(await source.look(never), true)
    assert.deepEqual([names(), source.problem], [['a', 'b', 'c'], undefined])
  })

  it('applies the commit that may be applied of a tip that may not, and says what is wrong with the tip', async () => {
    const problem = new CratewrightError('UntrustedCommit', 'the tip is not signed')
    let first = ''
    const { source, reader, world } = await makeSource(store, 'other', {
      accept: async tip => (tip === first ? tip : { commit: first, problem }),
    })
    first = await pushFiles(world, { 'a.json': json('Other') })
    await source.look(never)
    await pushFiles(world, { 'b.json': json('Other') })
    assert.equal(await source.look(never), false)
    assert.deepEqual([source.commit, source.problem, reader.reads.length], [first, problem, 1])
    assert.equal(await source.confirm(never), true, 'the store has what may be applied of what is at the server')
  })

  it('keeps the old content of a tree that cannot be read, and does not read it again and again', async () => {
    const { world, source, reader } = lab
    const good = await pushFiles(world, { 'a.json': json('Other') })
    await source.look(never)
    await pushFiles(world, { 'huge.json': '' })
    for (let looks = 0; looks < 3; looks++) assert.equal(await source.look(never), false)
    assert.deepEqual([source.commit, source.problem?.code, reader.reads.length], [good, 'TreeTooLarge', 2])
    assert.ok(store.get(otherKey('a')))
  })

  it('has no problem any more once the branch is set back to what could be read', async () => {
    const { world, source } = lab
    const good = await pushFiles(world, { 'a.json': json('Other') })
    await source.look(never)
    await pushFiles(world, { 'huge.json': '' })
    await source.look(never)
    await git(world.clone, 'push', '--quiet', '--force', 'origin', `${good}:refs/heads/main`)
    await source.look(never)
    assert.deepEqual([source.problem, source.commit], [undefined, good])
    assert.equal(await source.confirm(never), true)
  })

  it('confirms what it read only while the server still has it', async () => {
    const { world, source } = lab
    await pushFiles(world, { 'a.json': json('Other') })
    await source.look(never)
    assert.equal(await source.confirm(never), true)
    await pushFiles(world, { 'a.json': json('Other', { n: 2 }) })
    assert.equal(await source.confirm(never), false)
    await source.look(never)
    assert.equal(await source.confirm(never), true)
  })

  it('asks the server once for all who want to know at the same time, and anew for who asks later', async () => {
    const { world, source } = lab
    await pushFiles(world, { 'a.json': json('Other') })
    await source.look(never)
    const asking = mock.method(source.repository, 'resolve')
    const first = source.confirm(never)
    await Promise.resolve()
    await new Promise(resolve => setTimeout(resolve, 1))
    // The first question is under way: what it finds may be older than the others' asking.
    const others = Array.from({ length: 20 }, () => source.confirm(never))
    assert.deepEqual(await Promise.all([first, ...others]), Array(21).fill(true))
    assert.equal(asking.mock.callCount(), 2)
    await pushFiles(world, { 'a.json': json('Other', { n: 2 }) })
    assert.equal(await source.confirm(never), false)
    assert.equal(asking.mock.callCount(), 3)
    asking.mock.restore()
  })

  it('is watched until it is told to stop', async () => {
    const { world, source } = lab
    const stop = new AbortController()
    let looks = 0
    const alive = setInterval(() => {}, 1000)
    try {
      await new Promise<void>(resolve => {
        source.watch(stop.signal, () => {
          looks++
          if (looks === 1) void pushFiles(world, { 'a.json': json('Other') })
          if (source.commit) resolve()
        })
      })
      assert.ok(looks >= 2)
      stop.abort()
      const before = looks
      await new Promise(resolve => setTimeout(resolve, 200))
      assert.ok(looks <= before + 1, 'one look may have been under way')
    } finally {
      clearInterval(alive)
    }
  })

  it('is watched once, however often that is asked for', async () => {
    const { source } = lab
    let looks = 0
    for (let times = 0; times < 3; times++) source.watch(never, () => looks++)
    source.stop()
    await new Promise(resolve => setTimeout(resolve, 300))
    assert.equal(looks, 0)
  })

  it('is not looked at on the beat of the others', async () => {
    const delays: number[] = []
    const timer = mock.method(globalThis, 'setTimeout', ((_: () => void, delay: number) => {
      delays.push(delay)
      return { unref() {} }
    }) as unknown as typeof setTimeout)
    try {
      const { source } = lab
      for (let at = 0; at < 30; at++) source.watch(never, () => {})
    } finally {
      timer.mock.restore()
    }
    assert.equal(delays.length, 30)
    assert.ok(
      delays.every(delay => delay >= 45 && delay <= 55),
      `${delays}`,
    )
    assert.ok(new Set(delays).size > 20)
  })
})
