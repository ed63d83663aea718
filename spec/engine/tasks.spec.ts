import assert from 'node:assert/strict'
import type { Progress } from '../../controller/engine/kind.ts'
import { TaskRunner } from '../../controller/engine/tasks.ts'

const target = { name: 'warehouse', limit: 2 }

interface Work<T> {
  readonly start: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<T>
  readonly started: () => number
  readonly end: (value: T) => void
  readonly fail: (error: unknown) => void
  readonly report: (progress: Progress) => void
  readonly signal: () => AbortSignal
}

/** Work that ends when told to, and at once when aborted. */
function work<T = string>(): Work<T> {
  const ended = Promise.withResolvers<T>()
  ended.promise.catch(() => {})
  let count = 0
  let given: { signal: AbortSignal; report: (progress: Progress) => void } | undefined
  return {
    start: (signal, report) => {
      count++
      given = { signal, report }
      signal.addEventListener('abort', () => ended.reject(signal.reason))
      return ended.promise
    },
    started: () => count,
    end: value => ended.resolve(value),
    fail: error => ended.reject(error),
    report: progress => given?.report(progress),
    signal: () => given?.signal ?? new AbortController().signal,
  }
}

function runner() {
  const stop = new AbortController()
  const woken: string[] = []
  const progress: string[] = []
  const tasks = new TaskRunner(
    stop.signal,
    key => void woken.push(key),
    (key, { message }) => void progress.push(`${key}: ${message}`),
  )
  return { stop, woken, progress, tasks }
}

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

describe('tasks', () => {
  it('start once per id, and hand their result out once', async () => {
    const { tasks, woken } = runner()
    const one = work()
    for (let asked = 0; asked < 3; asked++)
      assert.equal(tasks.for('a').run('extract', target, one.start).state, 'running')
    await turn()
    assert.equal(one.started(), 1)
    assert.deepEqual([woken, tasks.running], [[], 1])
    one.end('rows')
    await tasks.idle()
    assert.deepEqual([woken, tasks.running], [['a'], 0])
    const second = work()
    assert.deepEqual(tasks.for('a').run('extract', target, second.start), { state: 'ended', value: 'rows' })
    assert.equal(second.started(), 0)
    assert.equal(tasks.for('a').run('extract', target, second.start).state, 'running', 'asking again starts it anew')
    await turn()
    assert.equal(second.started(), 1)
    second.end('again')
    await tasks.idle()
  })

  it('of different keys and ids do not meet', async () => {
    const { tasks } = runner()
    const works = [work(), work(), work()]
    tasks.for('a').run('one', { name: 'x', limit: 9 }, works[0]!.start)
    tasks.for('a').run('two', { name: 'x', limit: 9 }, works[1]!.start)
    tasks.for('b').run('one', { name: 'x', limit: 9 }, works[2]!.start)
    await turn()
    for (const [index, one] of works.entries()) one.end(`result ${index}`)
    await tasks.idle()
    const never = work().start
    assert.deepEqual(tasks.for('b').run('one', target, never), { state: 'ended', value: 'result 2' })
    assert.deepEqual(tasks.for('a').run('one', target, never), { state: 'ended', value: 'result 0' })
    assert.deepEqual(tasks.for('a').run('two', target, never), { state: 'ended', value: 'result 1' })
  })

  it('hold at most as many on one target as it allows, and do not hold up another target', async () => {
    const { tasks } = runner()
    const slow = Array.from({ length: 5 }, () => work())
    for (const [index, one] of slow.entries()) tasks.for(`slow ${index}`).run('x', target, one.start)
    const other = work()
    tasks.for('other').run('x', { name: 'elsewhere', limit: 1 }, other.start)
    await turn()
    assert.deepEqual(
      slow.map(one => one.started()),
      [1, 1, 0, 0, 0],
    )
    assert.equal(other.started(), 1)
    slow[0]!.end('')
    await turn()
    assert.deepEqual(
      slow.map(one => one.started()),
      [1, 1, 1, 0, 0],
    )
    tasks.for('new').run('x', { name: 'warehouse', limit: 4 }, work().start)
    await turn()
    assert.deepEqual(
      slow.map(one => one.started()),
      [1, 1, 1, 1, 1],
      'a raised limit counts at once',
    )
    for (const one of [...slow, other]) one.end('')
  })

  it('show the progress they last told, from the wait for their target on', async () => {
    const { tasks, progress } = runner()
    const one = work()
    const first = tasks.for('a').run('x', target, one.start)
    assert.deepEqual(first, { state: 'running', progress: { message: 'waiting for warehouse' } })
    await turn()
    one.report({ message: 'table visits', rows: 5 })
    assert.deepEqual(tasks.for('a').run('x', target, one.start), {
      state: 'running',
      progress: { message: 'table visits', rows: 5 },
    })
    assert.deepEqual(progress, ['a: table visits'])
    one.end('')
    await tasks.idle()
  })

  it('throw what failed to whoever asks, once, and wake the key', async () => {
    const { tasks, woken } = runner()
    const error = new Error('the server went away')
    const one = work()
    tasks.for('a').run('x', target, one.start)
    await turn()
    one.fail(error)
    await tasks.idle()
    assert.deepEqual(woken, ['a'])
    assert.throws(() => tasks.for('a').run('x', target, one.start), error)
    const next = work()
    assert.equal(tasks.for('a').run('x', target, next.start).state, 'running')
    next.end('')
    await tasks.idle()
  })

  it('fail also where nothing was thrown but undefined', async () => {
    const { tasks } = runner()
    tasks.for('a').run('x', target, () => Promise.reject(undefined))
    await tasks.idle()
    assert.throws(() => tasks.for('a').run('x', target, work().start), /failed without an error/)
  })

  it('of one key can be cancelled: what runs is aborted and wakes the key, what ended is dropped', async () => {
    const { tasks, woken } = runner()
    const [running, ended, other] = [work(), work(), work()]
    tasks.for('a').run('running', { name: 'x', limit: 9 }, running.start)
    tasks.for('a').run('ended', { name: 'x', limit: 9 }, ended.start)
    tasks.for('b').run('other', { name: 'x', limit: 9 }, other.start)
    await turn()
    ended.end('old')
    await turn()
    assert.equal(tasks.cancel('a'), true, 'one is still ending')
    await turn()
    assert.deepEqual([running.signal().aborted, other.signal().aborted], [true, false])
    assert.deepEqual(woken, ['a', 'a'])
    assert.equal(tasks.cancel('a'), false)
    const fresh = work()
    assert.equal(tasks.for('a').run('ended', target, fresh.start).state, 'running', 'the old result is gone')
    assert.equal(tasks.for('a').run('running', target, fresh.start).state, 'running', 'and so is the abort')
    other.end('')
    fresh.end('')
    await tasks.idle()
  })

  it('that wait for their target do not start after they were cancelled', async () => {
    const { tasks } = runner()
    const [busy, waiting] = [work(), work()]
    tasks.for('a').run('x', { name: 'one', limit: 1 }, busy.start)
    tasks.for('b').run('x', { name: 'one', limit: 1 }, waiting.start)
    assert.equal(tasks.cancel('b'), true)
    busy.end('')
    await tasks.idle()
    assert.equal(waiting.started(), 0)
    assert.equal(tasks.cancel('b'), false)
  })

  it('end with the process: running ones are aborted, waiting ones never start', async () => {
    const { tasks, stop } = runner()
    const [busy, waiting] = [work(), work()]
    tasks.for('a').run('x', { name: 'one', limit: 1 }, busy.start)
    tasks.for('b').run('x', { name: 'one', limit: 1 }, waiting.start)
    await turn()
    stop.abort(new Error('stopped'))
    await tasks.idle()
    assert.deepEqual([busy.started(), waiting.started(), tasks.running], [1, 0, 0])
    assert.throws(() => tasks.for('a').run('x', target, busy.start), /stopped/)
  })
})
