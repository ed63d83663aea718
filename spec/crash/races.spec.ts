import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  assertPublished,
  assertSoundLog,
  assertVerifies,
  type FragileWorld,
  largeDatabase,
  leftovers,
  logFiles,
  makeFragileWorld,
  reaches,
  startCommand,
} from '../support/crash.ts'
import { patients, phaseOf, visits, World } from '../support/world.ts'

const soak = process.env.CRATEWRIGHT_SOAK === '1'
const starts = soak ? 200 : 50
const stopped = soak ? 60_000 : 20_000

describe('two controllers', () => {
  it(`started together ${starts} times change nothing twice, and leave one log without a gap`, async function () {
    this.timeout(starts * 10_000)
    const world = await World.make()
    const configs = [world.config, world.writeConfig('work-two', join(world.folder, 'two.yaml'))]
    const tables = [{ name: 'cohort', tables: [patients] }]
    const ended = new Set<string>()
    for (let start = 1; start <= starts; start++) {
      // Each start has something to do: a new generation is noted, and validated.
      const change = { governance: { purpose: `the ${start}th` } }
      await world.commit('rob', world.requestFiles('raced', tables, change))
      const both = await Promise.all(configs.map(config => world.run({ config })))
      for (const statuses of both) ended.add(statuses.get('raced')?.report.reason ?? 'nothing')
    }
    for (const config of configs) assert.equal(phaseOf((await world.run({ config })).get('raced')), 'Validated')
    const entries = await assertSoundLog(world, 'raced')
    const of = (action: string, event: string) =>
      entries.filter(entry => entry.action === action && entry.event === event && entry.result !== 'abandoned')
    assert.equal(of('create', 'noted').length, 1)
    const generations = [...of('create', 'noted'), ...of('change', 'noted')].map(({ generation }) => generation)
    assert.deepEqual(generations, [...new Set(generations)], 'a generation is noted twice')
    const validated = of('validate', 'outcome').map(({ generation }) => generation)
    assert.deepEqual(validated, [...new Set(validated)], 'a generation is validated twice')
    assert.equal(validated.at(-1), generations.at(-1))
    const allowed = ['WaitingForSignOff', 'HeldByOther', 'LogMoved']
    for (const reason of ended) assert.ok(allowed.includes(reason), reason)
    assert.deepEqual(leftovers(join(world.folder, 'work'), join(world.folder, 'work-two')), [])
    await assertVerifies(world, await world.auditor())
  })
})

describe('a controller that is stopped for a while and goes on', () => {
  let fragile: FragileWorld
  before(async () => {
    fragile = await makeFragileWorld({ sql: largeDatabase })
  })
  after(() => fragile.stop())

  it('after another took its step over writes no outcome, and what it had begun is not published', async function () {
    this.timeout(stopped + 120_000)
    const { world, proxy } = fragile
    const two = world.writeConfig('work-two', join(world.folder, 'two.yaml'))
    await world.ask('frozen', [{ name: 'cohort', tables: [visits] }])
    await world.run()
    assert.equal((await world.signOff('dana', 'frozen')).code, 0)
    await world.run({ stopAfter: (_, { action }) => action === 'sign-off' })
    proxy.stallAfter = 500_000
    const first = startCommand(world.config, 'reconcile', 'frozen')
    await reaches(first, proxy.stalled())
    first.kill('SIGSTOP')
    const begun = performance.now()
    // Other connections pass; the one of the stopped process stays where it is.
    proxy.stallAfter = undefined
    const held = await startCommand(two, 'reconcile', 'frozen', '--once').ended
    assert.equal(held.code, 1, held.err)
    assert.match(held.out, /^frozen: .*stage-transfer was started by another controller/)
    // What the stopped one has read is older than what the other will read.
    await world.postgres.load(world.database, `update clinic.visits set note = 'corrected' where id <= 100`)
    await setTimeout(Math.max(0, stopped - (performance.now() - begun)))
    const over = await startCommand(two, 'reconcile', 'frozen', '--take-over').ended
    assert.match(over.out, /^frozen: Staged\./, over.err)
    const staged = join(world.folder, 'staging/frozen/1/data/outputs/cohort/visits.csv')
    const approved = readFileSync(staged, 'utf8')
    const files = await logFiles(world, 'frozen')

    first.kill('SIGCONT')
    proxy.mend()
    const late = await first.ended
    assert.doesNotMatch(late.err, /LogMoved|Internal/)
    assert.match(late.out, /^frozen: Staged\./, late.err)
    assert.deepEqual(await logFiles(world, 'frozen'), files, 'a stale entry was accepted')
    assert.equal(readFileSync(staged, 'utf8'), approved, 'a stale file was accepted')
    assert.match(approved, /,corrected\n/)
    await world.disclose('dana', 'frozen')
    const published = await startCommand(two, 'reconcile', 'frozen').ended
    assert.equal(published.code, 0, published.err)
    const entries = await assertPublished(world, 'frozen')
    assert.equal(entries.filter(({ action }) => action === 'take-over').length, 1)
    await assertVerifies(world, await world.auditor())
  })
})
