import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import {
  assertPublished,
  assertSoundLog,
  backends,
  calmLife,
  type FragileWorld,
  largeDatabase,
  leftovers,
  makeFragileWorld,
  reaches,
  startCommand,
  until,
} from '../support/crash.ts'
import { type CommandResult, phaseOf } from '../support/world.ts'

describe('a signal', () => {
  let fragile: FragileWorld
  before(async () => {
    fragile = await makeFragileWorld({ sql: largeDatabase })
  })
  after(() => fragile.stop())

  for (const [verb, signal] of [
    ['reconcile', 'SIGTERM'],
    ['reconcile', 'SIGINT'],
    ['serve', 'SIGTERM'],
  ] as const) {
    it(`${signal} ends ${verb} in the middle of a table within 5 s, and the next run goes on`, async () => {
      const { world, proxy } = fragile
      const project = `${verb}-${signal.toLowerCase()}`
      await world.walk(project, 'SignedOff')
      proxy.stallAfter = 500_000
      const process = startCommand(world.config, verb)
      await reaches(process, proxy.stalled())
      assert.equal((await backends(world, 'COPY')).length, 1)
      const begun = performance.now()
      process.kill(signal)
      const { code, err } = await process.ended
      const took = performance.now() - begun
      assert.ok(took < 5000, `${took} ms`)
      assert.equal(code, verb === 'serve' ? 0 : 130, err)
      assert.deepEqual(await backends(world), [])
      const staging = join(world.folder, 'staging', project)
      assert.deepEqual(leftovers(staging), [])
      assert.equal(existsSync(join(staging, '1/data/outputs/cohort/visits.csv')), false)
      proxy.mend()
      assert.equal(phaseOf((await world.run()).get(project)), 'Staged')
      await assertSoundLog(world, project)
      assert.deepEqual(await world.steps(project), calmLife.slice(0, 7))
    })
  }
})

describe('serve', () => {
  let fragile: FragileWorld
  before(async () => {
    fragile = await makeFragileWorld()
  })
  after(() => fragile.stop())

  function poll(seconds: number): void {
    const { config } = fragile.world
    const bootstrap = parse(readFileSync(config, 'utf8'))
    writeFileSync(config, stringify({ ...bootstrap, pollSeconds: seconds, log: { level: 'info' } }))
  }

  /** Who may approve is read from the status, which `serve` writes some seconds after the log. */
  async function approve(command: () => Promise<CommandResult>): Promise<void> {
    await until('an approval is taken', async () => (await command()).code === 0)
  }

  const entries = async (project: string) => (await fragile.world.steps(project)).length

  it('does what a push asks for, by polling, and a life without being told of it', async () => {
    const { world } = fragile
    poll(1)
    const serve = startCommand(world.config, 'serve')
    try {
      await until('serve holds the folder', () => existsSync(join(world.folder, 'work/controller.sock')))
      await world.ask('polled')
      await until('it is validated', async () => (await entries('polled')) === 3)
      await approve(() => world.signOff('dana', 'polled'))
      await until('it is staged', async () => (await entries('polled')) === 7)
      await approve(() => world.disclose('dana', 'polled'))
      await until('it is published', async () => (await entries('polled')) === 13)
    } finally {
      serve.kill('SIGTERM')
    }
    const { code, err } = await serve.ended
    assert.equal(code, 0, err)
    await assertPublished(world, 'polled')
    assert.deepEqual(await world.steps('polled'), calmLife)
  })

  it('looks at once when `reconcile` asks it to', async () => {
    const { world } = fragile
    poll(3600)
    await world.ask('early')
    const serve = startCommand(world.config, 'serve')
    try {
      await until('it has looked', async () => (await entries('early')) === 3)
      await world.ask('asked')
      const { code, err } = await startCommand(world.config, 'reconcile', 'asked').ended
      assert.equal(code, 1)
      assert.match(err, /it was asked to look now/)
      await until('it is validated', async () => (await entries('asked')) === 3)
    } finally {
      serve.kill('SIGTERM')
    }
    assert.equal((await serve.ended).code, 0)
  })
})
