import assert from 'node:assert/strict'
import { delay, systemClock } from '../../controller/runtime/clock.ts'
import { run } from '../../controller/runtime/process.ts'

const signal = new AbortController().signal
const module = new URL('../../controller/runtime/clock.ts', import.meta.url).href

describe('time', () => {
  it('is that of the system', () => {
    assert.ok(Math.abs(systemClock.now().getTime() - Date.now()) < 1000)
  })

  it('passes in a delay', async () => {
    const start = performance.now()
    const alive = setTimeout(() => {}, 1000)
    await delay(50, signal)
    clearTimeout(alive)
    assert.ok(performance.now() - start >= 49)
  })

  it('stops at once with the reason of the signal, also for delays that Node cannot count', async () => {
    const reason = new Error('stopped by a person')
    await assert.rejects(delay(60_000, AbortSignal.abort(reason)), reason)
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), 50)
    await assert.rejects(delay(1e12, controller.signal), reason)
  })

  it('does not keep the process alive', async () => {
    const script = `import { delay } from '${module}'; delay(20_000, new AbortController().signal)`
    const env = { PATH: process.env.PATH ?? '' }
    const options = { env, signal, deadline: 10_000, maxOutput: 1000 }
    assert.equal((await run(process.execPath, ['--input-type=module', '-e', script], options)).code, 0)
  })
})
