import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { readBootstrap } from '../../controller/cli/bootstrap.ts'
import { wire } from '../../controller/cli/wire.ts'
import { type Log, silentLog } from '../../controller/runtime/log.ts'
import { Redactor } from '../../controller/runtime/secrets.ts'
import {
  assertPublished,
  assertSoundLog,
  assertVerifies,
  calmLife,
  type FragileWorld,
  largeDatabase,
  logFiles,
  makeFragileWorld,
  startCommand,
  until,
} from '../support/crash.ts'
import { phaseOf } from '../support/world.ts'

const projects = process.env.CRATEWRIGHT_SOAK === '1' ? ['one', 'two', 'three', 'four', 'five', 'six'] : ['one', 'two']

describe('two controllers with one key, each with its folder', () => {
  let fragile: FragileWorld
  let configs: readonly [string, string]
  before(async () => {
    fragile = await makeFragileWorld({ sql: largeDatabase })
    const { world } = fragile
    configs = [world.config, world.writeConfig('work-two', join(world.folder, 'two.yaml'))]
  })
  after(() => fragile.stop())

  /** Both at once, in this process; what they log. */
  async function both(): Promise<{ statuses: Awaited<ReturnType<FragileWorld['world']['run']>>[]; log: string }> {
    const lines: string[] = []
    const note = (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields)}`)
    const log: Log = { debug() {}, info: note, warn: note, error: note, child: () => log }
    const statuses = await Promise.all(configs.map(config => fragile.world.run({ config, log })))
    return { statuses, log: lines.join('\n') }
  }

  it('started together do each step once, and nobody sees the races', async function () {
    this.timeout(projects.length * 60_000)
    const { world } = fragile
    for (const project of projects) {
      const seen: string[] = []
      const go = async (phase: string) => {
        const { statuses, log } = await both()
        seen.push(log, ...statuses.map(found => JSON.stringify(found.get(project))))
        // Who was held up by the other's open step says so; asked once more, both say the same.
        for (const config of configs) assert.equal(phaseOf((await world.run({ config })).get(project)), phase)
      }
      await world.ask(project)
      await go('Validated')
      await world.signOff('dana', project)
      await go('Staged')
      await world.disclose('dana', project)
      await go('Published')
      await assertPublished(world, project)
      assert.deepEqual(await world.steps(project), calmLife)
      assert.doesNotMatch(seen.join('\n'), /LogMoved|could not be written/)
    }
    await assertVerifies(world, await world.auditor())
  })

  it('say who holds a step that is open, and go on when it is done', async () => {
    const { world, proxy } = fragile
    await world.walk('held', 'SignedOff')
    proxy.stallAfter = 500_000
    const first = startCommand(configs[0], 'reconcile', 'held')
    await proxy.stalled()
    const second = await startCommand(configs[1], 'reconcile', 'held', '--once').ended
    assert.equal(second.code, 1, second.err)
    assert.match(second.out, /^held: .*stage-transfer was started by another controller/)
    assert.match((await logFiles(world, 'held')).at(-1) ?? '', /-stage-transfer-started\.json$/)
    proxy.mend()
    await first.ended
    assert.equal(phaseOf((await world.run({ config: configs[1] })).get('held')), 'Staged')
    await world.disclose('dana', 'held')
    const ended = await Promise.all(configs.map(config => startCommand(config, 'reconcile', 'held', '--once').ended))
    for (const { err } of ended) assert.doesNotMatch(err, /LogMoved/)
    await world.run()
    await assertPublished(world, 'held')
    assert.deepEqual(await world.steps('held'), calmLife)
  })

  it('notice what the other has done while they wait', async () => {
    const { world, proxy } = fragile
    await world.walk('noticed', 'SignedOff')
    proxy.stallAfter = 500_000
    const first = world.run({ config: configs[0] })
    await proxy.stalled()
    const stop = new AbortController()
    const waiting = await wire(await readBootstrap(configs[1]), {
      log: silentLog,
      redactor: new Redactor(),
      signal: stop.signal,
      resync: 0,
      pushInterval: 0,
    })
    const key = () => waiting.store.keys().find(name => name.endsWith('/noticed')) ?? ''
    const reason = () => waiting.store.status(key())?.report.reason
    try {
      await waiting.controller.lookNow()
      await waiting.controller.settled({ retries: false })
      assert.equal(reason(), 'HeldByOther')
      proxy.mend()
      await first
      // Its own status is the last commit on the branch now.
      await waiting.recorder.flush()
      // Longer than what it knows of the branch counts for new.
      await setTimeout(5_500)
      await until('the second goes on', async () => {
        waiting.controller.add(key(), 'asked')
        await waiting.controller.settled({ retries: false })
        return reason() === 'WaitingForDisclosure'
      })
    } finally {
      stop.abort()
      await waiting.close()
    }
    await assertSoundLog(world, 'noticed')
  })
})
