import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

const modules = new URL('../../controller/runtime/', import.meta.url).href

/** A process that stays for 20 s, or ends with 7 when `orderly` and asked to stop. It writes a line for each thing it does. */
function start(orderly: boolean): ChildProcess {
  const script = `
    import { silentLog } from '${modules}log.ts'
    import { onShutdown } from '${modules}shutdown.ts'
    const signal = onShutdown(silentLog)
    setTimeout(() => {}, 20_000)
    signal.addEventListener('abort', () => {
      console.log('stopping')
      if (${orderly}) process.exit(7)
    })
    console.log('ready')`
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
}

describe('shutdown', () => {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    it(`is asked for by the first ${name}`, async () => {
      const child = start(true)
      await once(child.stdout!, 'data')
      child.kill(name)
      assert.deepEqual(await once(child, 'exit'), [7, null])
    })

    it(`is done at once by a second signal after ${name}`, async () => {
      const child = start(false)
      await once(child.stdout!, 'data')
      child.kill(name)
      await once(child.stdout!, 'data')
      child.kill('SIGINT')
      assert.deepEqual(await once(child, 'exit'), [130, null])
    })
  }
})
