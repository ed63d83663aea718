/** A thousand requests in one repository: the first run, a start on what is there, and a look at everything that changes nothing. */

import { join } from 'node:path'
import { readBootstrap } from '../../controller/cli/bootstrap.ts'
import { wire } from '../../controller/cli/wire.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { Redactor } from '../../controller/runtime/secrets.ts'
import { git } from '../support/people.ts'
import { costs, phaseOf, World } from '../support/world.ts'
import { figure, heading, inProcess, mebibytes, peakMemory, seconds, timed } from './bench.ts'

const requests = Number(process.env.BENCH_REQUESTS ?? 1_000)

interface Run {
  /** Milliseconds from the start of the process until nothing was left to do. */
  readonly start: number
  /** Milliseconds of a look at every source and every resource afterwards. */
  readonly resync: number
  /** Bytes. */
  readonly memory: number
  readonly validated: number
}

/** As `serve` does it, in a process of its own. */
async function run(config: string): Promise<Run> {
  const stop = new AbortController()
  const wired = await wire(await readBootstrap(config), {
    log: silentLog,
    redactor: new Redactor(),
    signal: stop.signal,
    resync: 0,
    pushInterval: 0,
    maxRetries: 0,
  })
  const { controller, store, recorder } = wired
  await controller.lookNow()
  await controller.settled({ retries: false })
  await recorder.flush()
  const start = performance.now()
  const again = await timed(async () => {
    await controller.lookNow()
    for (const key of store.keys()) controller.add(key, 'resync')
    await controller.settled({ retries: false })
    await recorder.flush()
  })
  const phases = store.keys().map(key => phaseOf(store.status(key)))
  await wired.close()
  stop.abort()
  const validated = phases.filter(phase => phase === 'Validated').length
  return { start, resync: again.ms, memory: peakMemory(), validated }
}

async function main(): Promise<void> {
  const world = await World.make()
  const names = Array.from({ length: requests }, (_, index) => `project-${index}`)
  const files = names.map(name => world.requestFiles(name, [{ name: 'money', tables: [costs] }]))
  await world.commit('rob', Object.assign({}, ...files), { message: 'Ask' })
  const records = () => git(world.bare('projects'), 'rev-parse', 'refs/heads/cratewright/records')
  async function measured(config: string): Promise<Run & { tip: string }> {
    const { answer } = await inProcess<Run>(import.meta.filename, config)
    if (answer.validated !== requests) throw new Error(`${answer.validated} of ${requests} requests are validated`)
    return { ...answer, tip: await records() }
  }

  heading(`projects: ${requests} requests in one repository`)
  const first = await measured(world.config)
  figure('the first run: all of them created and validated', seconds(first.start))
  figure('peak memory of it', mebibytes(first.memory))
  const restart = await measured(world.config)
  figure('a start, with the mirror in the working folder', seconds(restart.start), '< 15 s')
  figure('looking at everything again', seconds(restart.resync), '< 2 s')
  figure('peak memory', mebibytes(restart.memory), '< 300 MiB')
  const fresh = await measured(world.writeConfig('other', join(world.folder, 'other.yaml')))
  figure('a start with an empty working folder', seconds(fresh.start), '< 15 s')
  figure('looking at everything again', seconds(fresh.resync), '< 2 s')
  const pushes = await git(world.bare('projects'), 'rev-list', '--count', `${first.tip}..${fresh.tip}`)
  figure('commits on the records branch by all but the first', pushes, '0')
  await world.postgres.stop()
}

const [, , config] = process.argv
if (config) console.log(JSON.stringify(await run(config)))
else await main()
