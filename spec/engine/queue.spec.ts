import assert from 'node:assert/strict'
import { mock } from 'node:test'
import fc from 'fast-check'
import { KeyQueue, type Priority } from '../../controller/engine/queue.ts'

const rank: Record<Priority, number> = { asked: 0, change: 1, resync: 2 }
const higher = (a: Priority, b: Priority) => (rank[a] <= rank[b] ? a : b)

/** What the queue has to be, without any of its cleverness. Times in milliseconds. */
class Model {
  ready: { key: string; priority: Priority }[] = []
  readonly working = new Set<string>()
  readonly again = new Map<string, Priority>()
  readonly later = new Map<string, { due: number; priority: Priority }>()
  now = 0

  add(key: string, priority: Priority): void {
    if (this.working.has(key)) {
      this.again.set(key, higher(this.again.get(key) ?? priority, priority))
      return
    }
    this.later.delete(key)
    const present = this.ready.find(entry => entry.key === key)
    if (present && rank[present.priority] <= rank[priority]) return
    this.ready = [...this.ready.filter(entry => entry !== present), { key, priority }]
  }

  addAfter(key: string, delay: number, priority: Priority): void {
    const due = this.now + delay
    if ((this.later.get(key)?.due ?? Number.POSITIVE_INFINITY) <= due) return
    // Of two that are due at once the timer that was set first goes first.
    this.later.delete(key)
    this.later.set(key, { due, priority })
  }

  /** The highest priority first, then whoever waited longest. */
  take(): { key: string; priority: Priority } | undefined {
    const next = this.ready.toSorted((a, b) => rank[a.priority] - rank[b.priority])[0]
    if (!next) return undefined
    this.ready = this.ready.filter(entry => entry !== next)
    this.working.add(next.key)
    return next
  }

  done(key: string): void {
    this.working.delete(key)
    const again = this.again.get(key)
    this.again.delete(key)
    if (again) this.add(key, again)
  }

  pass(milliseconds: number): void {
    this.now += milliseconds
    for (const [key, { due, priority }] of [...this.later].sort(([, a], [, b]) => a.due - b.due)) {
      if (due > this.now) continue
      this.later.delete(key)
      this.add(key, priority)
    }
  }
}

type Real = KeyQueue
type Command = fc.Command<Model, Real>

function same(model: Model, real: Real): void {
  assert.deepEqual(
    [real.ready, real.working, real.delayed],
    [model.ready.length, model.working.size, model.later.size],
    'ready, working, delayed',
  )
}

function command(name: string, run: (model: Model, real: Real) => void, check = (_: Model) => true): Command {
  return {
    check,
    run(model, real) {
      run(model, real)
      same(model, real)
    },
    toString: () => name,
  }
}

const keys = fc.constantFrom('a', 'b', 'c', 'd')
const priorities = fc.constantFrom<Priority>('asked', 'change', 'resync')
const delays = fc.integer({ min: 1, max: 50_000 })

const commands = [
  fc.tuple(keys, priorities).map(([key, priority]) =>
    command(`add ${key} ${priority}`, (model, real) => {
      model.add(key, priority)
      real.add(key, priority)
    }),
  ),
  fc.tuple(keys, delays, priorities).map(([key, delay, priority]) =>
    command(`addAfter ${key} ${delay} ${priority}`, (model, real) => {
      model.addAfter(key, delay, priority)
      real.addAfter(key, delay, priority)
    }),
  ),
  fc.constant(
    command('take', (model, real) => {
      const taken = real.take()
      assert.deepEqual(taken, model.take())
      if (taken) assert.equal(model.working.size, real.working)
    }),
  ),
  keys.map(key =>
    command(
      `done ${key}`,
      (model, real) => {
        model.done(key)
        real.done(key)
      },
      model => model.working.has(key),
    ),
  ),
  fc.integer({ min: 1, max: 30_000 }).map(time =>
    command(`pass ${time}`, (model, real) => {
      model.pass(time)
      mock.timers.tick(time)
      assert.ok(real.ready + real.working <= 4)
    }),
  ),
]

describe('the queue', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'] }))
  afterEach(() => mock.timers.reset())

  it('does what its model does, whatever is asked of it', () => {
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: 60 }), script => {
        const real = new KeyQueue()
        try {
          fc.modelRun(() => ({ model: new Model(), real }), script)
        } finally {
          real.close()
        }
      }),
      { numRuns: 300 },
    )
  })

  it('runs a key once for all it was added before, and once more for all it was added meanwhile', () => {
    const queue = new KeyQueue()
    for (let index = 0; index < 5; index++) queue.add('a')
    assert.equal(queue.take()?.key, 'a')
    assert.equal(queue.take(), undefined)
    for (const priority of ['resync', 'asked', 'change'] as const) queue.add('a', priority)
    assert.equal(queue.take(), undefined, 'a key is never on two workers')
    queue.done('a')
    assert.deepEqual(queue.take(), { key: 'a', priority: 'asked' })
    queue.done('a')
    assert.equal(queue.take(), undefined)
  })

  it('takes what a person asked for first, then changes, and the longest waiting of each', () => {
    const queue = new KeyQueue()
    queue.add('r1', 'resync')
    queue.add('c1', 'change')
    queue.add('a1', 'asked')
    queue.add('c2', 'change')
    queue.add('r1', 'asked')
    queue.add('c1', 'resync')
    assert.deepEqual(
      [queue.take(), queue.take(), queue.take(), queue.take(), queue.take()],
      [
        { key: 'a1', priority: 'asked' },
        { key: 'r1', priority: 'asked' },
        { key: 'c1', priority: 'change' },
        { key: 'c2', priority: 'change' },
        undefined,
      ],
    )
  })

  it('wakes when a key becomes ready: added, its time come, or added while it was worked on', () => {
    const queue = new KeyQueue()
    let woken = 0
    queue.onReady(() => woken++)
    queue.add('a')
    assert.equal(woken, 1)
    queue.take()
    queue.add('a')
    assert.equal(woken, 1)
    queue.done('a')
    assert.equal(woken, 2)
    queue.addAfter('b', 1000)
    assert.equal(woken, 2)
    mock.timers.tick(1000)
    assert.equal(woken, 3)
  })

  it('keeps the earlier of two times, and no time for a key that is added now', () => {
    const queue = new KeyQueue()
    queue.addAfter('a', 5000, 'change')
    queue.addAfter('a', 60_000)
    mock.timers.tick(5000)
    assert.deepEqual(queue.take(), { key: 'a', priority: 'change' })
    queue.done('a')
    queue.addAfter('a', 5000)
    queue.addAfter('a', 1000)
    mock.timers.tick(1000)
    assert.equal(queue.take()?.key, 'a')
    queue.done('a')
    queue.addAfter('a', 1000)
    queue.add('a')
    assert.equal(queue.delayed, 0)
    queue.take()
    queue.done('a')
    mock.timers.tick(10_000)
    assert.equal(queue.take(), undefined)
  })

  it('waits longer after each failure, ±20 %, up to a longest time, and begins again when told to forget', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 5000, max: 900_000 }),
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1, maxLength: 40 }),
        (first, longest, randoms) => {
          let at = 0
          const queue = new KeyQueue({ first, longest }, () => randoms[at++ % randoms.length]!)
          for (let failures = 0; failures < 1100; failures += failures < 30 ? 1 : 100) {
            for (let skipped = failures < 30 ? 0 : 99; skipped > 0; skipped--) queue.retry('a')
            const delay = queue.retry('a')
            const middle = Math.min(first * 2 ** failures, longest)
            assert.ok(delay >= 0.8 * middle && delay <= 1.2 * middle, `${delay} after ${failures} failures`)
          }
          queue.forget('a')
          assert.ok(queue.retry('a') <= 1.2 * first)
          queue.close()
        },
      ),
      { numRuns: 30 },
    )
  })

  it('spreads retries, so that a target that comes back is not met by all at once', () => {
    const queue = new KeyQueue()
    const delays = new Set(Array.from({ length: 50 }, (_, index) => queue.retry(`key ${index}`)))
    assert.ok(delays.size > 40)
    queue.close()
  })

  it('runs 1,000 keys at most 1,100 times for 200,000 events that come while workers are busy', () => {
    const queue = new KeyQueue()
    let runs = 0
    const working: string[] = []
    const dispatch = () => {
      while (working.length < 16) {
        const next = queue.take()
        if (!next) return
        runs++
        working.push(next.key)
      }
    }
    queue.onReady(dispatch)
    for (let event = 0; event < 200_000; event++) queue.add(`key ${(event * 7919) % 1000}`)
    while (working.length > 0) {
      queue.done(working.shift()!)
      dispatch()
    }
    assert.ok(runs >= 1000 && runs <= 1100, `${runs} runs`)
    assert.deepEqual([queue.ready, queue.working, queue.delayed], [0, 0, 0])
  })

  it('has nothing more after it was closed', () => {
    const queue = new KeyQueue()
    queue.add('a')
    queue.take()
    queue.add('a')
    queue.add('b')
    queue.addAfter('c', 1000)
    queue.close()
    queue.done('a')
    mock.timers.tick(5000)
    assert.equal(queue.take(), undefined)
    assert.equal(queue.delayed, 0)
  })
})
