import assert from 'node:assert/strict'
import { Controller, type ControllerOptions } from '../../controller/engine/controller.ts'
import type { Kind, Outcome, Plan } from '../../controller/engine/kind.ts'
import type { ReconcileResult } from '../../controller/engine/reconcile.ts'
import type { GitSource } from '../../controller/engine/source.ts'
import { MemoryStore } from '../../controller/engine/store/memory.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { pushFiles } from '../git/world.ts'
import { type GitLab, json, makeSource, repositoryType } from './git-lab.ts'
import { Other, otherKey, otherType, step, Thing, thingKey, thingType, ticking } from './lab.ts'
import { inShort, MemoryRecorder, SharedLog } from './memory-recorder.ts'

const repositoryKind: Kind = {
  type: repositoryType,
  references: () => [],
  observe: async () => ({}),
  plan: (): Plan => ({ steps: [], waits: [], later: [] }),
  apply: async () => ({ state: 'done' }),
  report: () => ({ ready: true, progressing: false, stalled: false, reason: 'Declared', message: '', detail: {} }),
}

class Loop {
  readonly store = new MemoryStore(type => type.kind === thingType.kind)
  readonly thing = new Thing()
  readonly other = new Other()
  readonly shared = new SharedLog()
  readonly stop = new AbortController()
  readonly results: string[] = []
  readonly sources = new Map<string, GitSource>()
  platform!: GitLab
  controller!: Controller

  static async make(options: Partial<ControllerOptions> = {}): Promise<Loop> {
    const loop = new Loop()
    const { store, thing, other, shared, stop, results } = loop
    loop.platform = await makeSource(store, 'projects')
    const clock = ticking()
    loop.controller = new Controller({
      store,
      kinds: [thing as Kind, other, repositoryKind],
      recorder: new MemoryRecorder(shared, clock, 'one'),
      platform: loop.platform.source,
      sourceOf: ({ name }) => loop.sources.get(name),
      repositoryType,
      clock,
      log: silentLog,
      instance: 'one',
      signal: stop.signal,
      resync: 0,
      maxRetries: 0,
      onResult: (key, { state }: ReconcileResult) => void results.push(`${key.split('/').at(-1)} ${state}`),
      ...options,
    })
    return loop
  }

  /** Pushes things and lets the controller do what follows. */
  async push(files: Record<string, string | undefined>, retries = false): Promise<void> {
    await pushFiles(this.platform.world, files)
    await this.controller.lookNow()
    await this.controller.settled({ retries })
  }

  log(name: string): string[] {
    return inShort(this.shared.of(thingKey(name)))
  }

  reason(name: string): string | undefined {
    return this.store.status(thingKey(name))?.report.reason
  }
}

const thing = (...steps: ReturnType<typeof step>[]) => json('Thing', { steps })
const create = thing(step('create', 'noted'))
const until = async (holds: () => boolean) => {
  const deadline = Date.now() + 10_000
  while (!holds()) {
    assert.ok(Date.now() < deadline, 'it never came')
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

describe('the loop', () => {
  const loops: Loop[] = []
  const makeLoop = async (options: Partial<ControllerOptions> = {}) => {
    const loop = await Loop.make(options)
    loops.push(loop)
    return loop
  }
  afterEach(() => {
    for (const { stop } of loops.splice(0)) stop.abort()
  })

  it('does what was pushed, and settles', async () => {
    const loop = await makeLoop()
    await loop.push({ 'a.json': create, 'b.json': thing(step('validate')) })
    assert.deepEqual([loop.log('a'), loop.log('b')], [['create noted'], ['validate started', 'validate done']])
    loop.results.length = 0
    await loop.push({ 'a.json': thing(step('create', 'noted'), step('publish', 'noted')) })
    assert.deepEqual(loop.results, ['a settled'], 'only what changed is looked at')
  })

  it('goes on with others when one of them panics', async () => {
    const loop = await makeLoop()
    loop.thing.behaviour.observe = ({ name }) => {
      if (name === 'bad') throw new TypeError('undefined is not a function')
    }
    await loop.push({ 'a.json': create, 'bad.json': create, 'c.json': create })
    assert.deepEqual([loop.log('a'), loop.log('bad'), loop.log('c')], [['create noted'], [], ['create noted']])
    assert.equal(loop.reason('bad'), 'Internal')
  })

  it('blocks what names something that is not Ready, and wakes it when that is', async () => {
    const loop = await makeLoop()
    loop.thing.behaviour.references = () => [{ named: true, type: otherType, name: 'o' }]
    await loop.push({ 'a.json': create })
    assert.equal(loop.reason('a'), 'DependencyNotFound')
    await loop.push({ 'o.json': json('Other') })
    assert.equal(loop.reason('a'), 'DependencyNotReady')
    loop.other.ready = true
    loop.controller.add(otherKey('o'), 'asked')
    await loop.controller.settled({ retries: false })
    assert.deepEqual(loop.log('a'), ['create noted'])
    await loop.push({ 'o.json': undefined })
    assert.equal(loop.reason('a'), 'DependencyNotFound', 'what goes away wakes as well')
  })

  it('wakes what selects a kind when any of it changes, and nobody else', async () => {
    const loop = await makeLoop()
    loop.thing.behaviour.references = ({ name }) => (name === 'a' ? [{ named: false, type: otherType }] : [])
    await loop.push({ 'a.json': create, 'b.json': create })
    loop.results.length = 0
    await loop.push({ 'o.json': json('Other', { n: 1 }) })
    assert.deepEqual([...new Set(loop.results)].sort(), ['a settled', 'o settled'])
  })

  it('is settled only when tasks have ended and what they wake is done', async () => {
    const loop = await makeLoop()
    loop.thing.behaviour.apply = async (_, { tasks }) => {
      const task = tasks.run('x', { name: 't', limit: 1 }, async () => {
        await new Promise(resolve => setTimeout(resolve, 100))
        return { state: 'done' } as Outcome
      })
      return task.state === 'running' ? task : task.value
    }
    await loop.push({ 'a.json': thing(step('stage-transfer')) })
    assert.deepEqual(loop.log('a'), ['stage-transfer started', 'stage-transfer done'])
    assert.deepEqual(loop.results, ['a running', 'a settled'])
  })

  it('is settled before the next try, or after the last, as asked', async () => {
    const loop = await makeLoop({ maxRetries: 1 })
    let tries = 0
    loop.thing.behaviour.apply = async () => {
      tries++
      return { state: 'failed', error: new CratewrightError('SourceUnreachable', 'down') }
    }
    await loop.push({ 'a.json': thing(step('validate')) })
    assert.equal(tries, 1)
    await loop.controller.settled({ retries: true })
    assert.equal(tries, 2, 'one more try, and no third')
    assert.deepEqual(loop.log('a'), ['validate started', 'error noted SourceUnreachable'])
    loop.controller.add(thingKey('a'), 'asked')
    await loop.controller.settled({ retries: false })
    assert.equal(tries, 3, 'being asked begins anew')
  })

  it('does not try a permanent error again', async () => {
    const loop = await makeLoop({ maxRetries: 5 })
    loop.thing.behaviour.observe = () => {
      throw new CratewrightError('RecordInvalid', 'the log is not whole')
    }
    await loop.push({ 'a.json': create }, true)
    assert.deepEqual(loop.results, ['a settled'])
  })

  it('looks again after a while where it is told to', async () => {
    const loop = await makeLoop({ resync: 30 })
    await loop.push({ 'a.json': create })
    await until(() => loop.results.length >= 3)
    assert.deepEqual(loop.log('a'), ['create noted'])
  })

  it('has at most so many workers, and never two on one key', async () => {
    const loop = await makeLoop({ workers: 3 })
    const busy = new Map<string, number>()
    let most = 0
    loop.thing.behaviour.apply = async (_, { key }) => {
      busy.set(key, (busy.get(key) ?? 0) + 1)
      assert.equal(busy.get(key), 1)
      most = Math.max(
        most,
        [...busy.values()].reduce((sum, one) => sum + one, 0),
      )
      loop.controller.add(key, 'change')
      await new Promise(resolve => setTimeout(resolve, 10))
      busy.set(key, 0)
      return { state: 'done' }
    }
    const files = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`t${index}.json`, create]))
    await loop.push(files)
    assert.equal(most, 3)
    assert.equal(loop.results.length, 16)
  })

  it('leaves a key alone that was stopped', async () => {
    const loop = await makeLoop({ stopAfter: (_, { action }) => action === 'create' })
    await loop.push({ 'a.json': thing(step('create', 'noted'), step('publish')) })
    loop.controller.add(thingKey('a'), 'asked')
    await loop.controller.settled({ retries: false })
    assert.deepEqual(loop.log('a'), ['create noted'])
    assert.deepEqual(loop.results, ['a stopped'])
  })

  it('does not do what was asked for at a commit that the server no longer has', async () => {
    const loop = await makeLoop()
    let pushed = false
    const applied: (number | undefined)[] = []
    loop.thing.behaviour.apply = async ({ generation }) => {
      applied.push(generation)
      return { state: 'done' }
    }
    const { world, source } = loop.platform
    await pushFiles(world, { 'a.json': thing(step('publish', 'pair', 1)) })
    const late = pushFilesOnce()
    loop.controller.add(thingKey('a'), 'change')
    await source.look(loop.stop.signal)
    await late
    await loop.controller.settled({ retries: false })
    assert.deepEqual(applied, [2])

    /** Somebody pushes after the content was read, and before anything is done. */
    async function pushFilesOnce() {
      const waiting = Promise.withResolvers<void>()
      loop.store.onChange(() => {
        if (pushed) return
        pushed = true
        waiting.resolve()
      })
      const confirm = source.confirm.bind(source)
      source.confirm = async signal => {
        source.confirm = confirm
        await pushFiles(world, { 'a.json': thing(step('publish', 'pair', 2)) })
        return confirm(signal)
      }
      await waiting.promise
    }
  })

  it('stops recorded steps, and says why, while the newest content cannot be read', async () => {
    const loop = await makeLoop()
    await loop.push({ 'a.json': thing(step('create', 'noted')) })
    await pushFiles(loop.platform.world, { 'huge.json': '' })
    loop.thing.behaviour.stubborn = true
    loop.thing.observations = 0
    loop.controller.add(thingKey('a'), 'asked')
    await loop.controller.settled({ retries: false })
    assert.deepEqual(loop.log('a'), ['create noted'])
    assert.equal(loop.reason('a'), 'TreeTooLarge')
    assert.ok(loop.thing.observations <= 2, `looked ${loop.thing.observations} times`)
  })

  it('watches the repositories that are declared, and no longer those that are not', async () => {
    const loop = await makeLoop()
    const second = await makeSource(loop.store, 'second')
    await pushFiles(second.world, { 'x.json': create })
    loop.sources.set('second', second.source)
    await loop.push({ 'second.json': json('Repository') })
    assert.deepEqual([...loop.controller.sources.keys()], ['second'])
    assert.ok(loop.store.get(thingKey('x')))
    await loop.push({ 'second.json': undefined })
    assert.deepEqual([...loop.controller.sources.keys()], [])
    await pushFiles(second.world, { 'y.json': create })
    await loop.controller.lookNow()
    assert.equal(loop.store.get(thingKey('y')), undefined)

    loop.controller.watch()
    await loop.push({ 'second.json': json('Repository') })
    assert.ok(loop.store.get(thingKey('y')))
    await pushFiles(second.world, { 'z.json': create })
    await until(() => loop.store.get(thingKey('z')) !== undefined)
    await loop.push({ 'second.json': undefined })
    const { commit } = second.source
    await pushFiles(second.world, { 'later.json': create })
    await new Promise(resolve => setTimeout(resolve, 200))
    assert.equal(second.source.commit, commit)
  })

  it('lets go when the process ends, without outcomes', async () => {
    const loop = await makeLoop()
    const started = Promise.withResolvers<void>()
    loop.thing.behaviour.apply = async (_, { tasks }) =>
      tasks.run('x', { name: 't', limit: 1 }, signal => {
        started.resolve()
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      }) as Outcome
    await pushFiles(loop.platform.world, { 'a.json': thing(step('stage-transfer')) })
    await loop.controller.lookNow()
    await started.promise
    loop.stop.abort()
    await loop.controller.drained()
    await loop.controller.settled({ retries: true })
    assert.deepEqual(loop.log('a'), ['stage-transfer started'])
  })
})
