import assert from 'node:assert/strict'
import { cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  assertPublished,
  assertVerifies,
  calmLife,
  type FragileWorld,
  largeDatabase,
  logFiles,
  makeFragileWorld,
  outputLines,
  outputsOf,
  randomFrom,
  reaches,
  startCommand,
  until,
} from '../support/crash.ts'
import { phaseOf, World } from '../support/world.ts'

const soak = process.env.CRATEWRIGHT_SOAK === '1'
const kills = soak ? 100 : 10
const seed = Number(process.env.CRATEWRIGHT_SEED ?? Math.floor(Math.random() * 1e9))

/** What people do before each run of the command, and the exit code with which that run has to end. */
const phases: readonly { act: (world: World, project: string) => Promise<unknown>; code: number }[] = [
  { act: (world, project) => world.ask(project), code: 1 },
  { act: (world, project) => world.signOff('dana', project), code: 1 },
  { act: (world, project) => world.disclose('dana', project), code: 0 },
]

describe('kill -9', () => {
  it(`at ${kills} random points of requests’ lives loses and doubles nothing`, async function () {
    this.timeout(kills * 20_000)
    const world = await World.make({ sql: largeDatabase })
    const durations: number[] = []
    for (const { act, code } of phases) {
      await act(world, 'calm')
      const run = await startCommand(world.config, 'reconcile', 'calm').ended
      assert.equal(run.code, code, run.err)
      durations.push(run.ms)
    }
    assert.deepEqual(await world.steps('calm'), calmLife)

    const random = randomFrom(seed)
    console.log(`      CRATEWRIGHT_SEED=${seed}; phases take ${durations.map(Math.round).join(', ')} ms`)
    const lives: string[] = []
    for (let landed = 0; landed < kills; ) {
      const project = `life-${lives.length + 1}`
      lives.push(project)
      // A working folder of its own, so that making one is among what is killed.
      world.writeConfig(`work-${project}`)
      for (const [index, { act, code }] of phases.entries()) {
        await act(world, project)
        for (let attempt = 0; attempt < 2 && landed < kills; attempt++) {
          const run = startCommand(world.config, 'reconcile', project)
          await Promise.race([run.ended, setTimeout(random() * durations[index]!)])
          if (run.running) landed++
          run.kill()
          await run.ended
        }
        const run = await startCommand(world.config, 'reconcile', project).ended
        assert.equal(run.code, code, `${project}: ${run.out}${run.err}`)
      }
      await assertPublished(world, project)
      assert.deepEqual(await world.steps(project), calmLife)
      assert.deepEqual(outputsOf(world, project), outputsOf(world, 'calm'))
      assert.deepEqual(outputLines(world, project), outputLines(world, 'calm'))
    }
    await assertVerifies(world, await world.auditor())
    console.log(`      killed ${kills} times in ${lives.length} lives`)
  })

  describe('in a narrow place', () => {
    let fragile: FragileWorld
    before(async () => {
      fragile = await makeFragileWorld()
    })
    after(() => fragile.stop())

    /** Kills a run that has pushed *started* and is about to do the work: the source does not answer it. */
    async function killBeforeWork(project: string, action: string): Promise<void> {
      const { world, proxy } = fragile
      proxy.stallAfter = 1
      const run = startCommand(world.config, 'reconcile', project)
      await reaches(run, proxy.stalled())
      const files = await logFiles(world, project)
      assert.match(files.at(-1) ?? '', new RegExp(`-${action}-started.json$`))
      run.kill()
      await run.ended
      proxy.mend()
    }

    /** Kills a run that has done the work of a step that was begun before, and is about to push its outcome. */
    async function killBeforeOutcome(project: string): Promise<void> {
      const { world, server } = fragile
      const before = await logFiles(world, project)
      const { promise, resolve } = Promise.withResolvers<void>()
      server.before = request => {
        const pushes = request.includes('service=git-receive-pack')
        if (pushes) {
          server.fault = 'hang'
          resolve()
        }
      }
      const run = startCommand(world.config, 'reconcile', project)
      await reaches(run, promise)
      run.kill()
      await run.ended
      server.before = () => undefined
      server.fault = 'none'
      server.cut()
      assert.deepEqual(await logFiles(world, project), before)
    }

    it('between a step’s start, its work and its outcome does the step once', async () => {
      const { world } = fragile
      const through = async (action: string) => {
        await killBeforeWork('asthma', action)
        await killBeforeOutcome('asthma')
      }
      await world.ask('asthma')
      await through('validate')
      await world.run()
      await world.signOff('dana', 'asthma')
      await through('stage-transfer')
      await world.run()
      await world.disclose('dana', 'asthma')
      await through('close')
      await world.run({ stopAfter: (_, step) => step.action === 'close' })
      await through('publish')
      assert.equal(phaseOf((await world.run()).get('asthma')), 'Published')
      await assertPublished(world, 'asthma')
      assert.deepEqual(await world.steps('asthma'), calmLife)
      await assertVerifies(world, await world.auditor())
    })

    it('right after the rename to production finds the release published', async () => {
      const { world } = fragile
      await world.walk('renamed', 'Staged')
      await world.disclose('dana', 'renamed')
      await world.run({ stopAfter: (_, step) => step.action === 'close' })
      await killBeforeWork('renamed', 'publish')
      mkdirSync(join(world.folder, 'production/renamed'))
      renameSync(join(world.folder, 'staging/renamed/1'), world.release('renamed'))
      assert.equal(phaseOf((await world.run()).get('renamed')), 'Published')
      await assertPublished(world, 'renamed')
      assert.deepEqual(await world.steps('renamed'), calmLife)
    })

    it('while what was copied to another file system is removed from staging finds the release published', async () => {
      const { world } = fragile
      await world.walk('copied', 'Staged')
      await world.disclose('dana', 'copied')
      await world.run({ stopAfter: (_, step) => step.action === 'close' })
      await killBeforeWork('copied', 'publish')
      const staged = join(world.folder, 'staging/copied/1')
      mkdirSync(join(world.folder, 'production/copied'))
      cpSync(staged, world.release('copied'), { recursive: true })
      renameSync(join(staged, 'data/outputs/cohort'), join(world.folder, 'removed'))
      assert.equal(phaseOf((await world.run()).get('copied')), 'Published')
      await assertPublished(world, 'copied')
      assert.deepEqual(await world.steps('copied'), calmLife)
    })

    it('while a small file was written leaves nothing that is taken for part of the release', async () => {
      const { world } = fragile
      const half = (folder: string) => {
        mkdirSync(join(world.folder, 'staging/halves', folder), { recursive: true })
        writeFileSync(join(world.folder, 'staging/halves', folder, '.cratewright-0123456789abcdef.tmp'), 'half')
      }
      await world.ask('halves')
      await world.run()
      await world.signOff('dana', 'halves')
      await killBeforeWork('halves', 'stage-transfer')
      half('1.work')
      half('1.review')
      await world.run()
      await world.disclose('dana', 'halves')
      await killBeforeWork('halves', 'close')
      half('1')
      half('1/data')
      half('1/data/request/resources/governance')
      assert.equal(phaseOf((await world.run()).get('halves')), 'Published')
      await assertPublished(world, 'halves')
      assert.deepEqual(await world.steps('halves'), calmLife)
    })
  })

  it('leaves a socket that does not keep the next run out', async () => {
    const { world, proxy, stop } = await makeFragileWorld()
    await world.ask('asthma')
    proxy.stallAfter = 1
    const killed = startCommand(world.config, 'reconcile')
    await reaches(killed, proxy.stalled())
    const second = await startCommand(world.config, 'reconcile').ended
    assert.equal(second.code, 1, second.err)
    assert.match(second.err, /another process holds .*work.* \[FolderHeld\]/)
    killed.kill()
    await killed.ended
    proxy.mend()
    const next = await startCommand(world.config, 'reconcile').ended
    assert.match(next.out, /^asthma: Validated\./, next.err)
    await until('the log is whole', async () => (await world.steps('asthma')).length === 3)
    await stop()
  })
})
