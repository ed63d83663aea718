import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { patients, World } from '../support/world.ts'
import { type Running, run, start } from './command-line.ts'

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await holds()); await setTimeout(100))
    if (Date.now() > deadline) assert.fail(`not within 30 s: ${what}`)
}

describe('serve', () => {
  let world: World
  let serve: Running
  const socket = () => join(world.folder, 'work/controller.sock')

  before(async () => {
    world = await World.make()
    await world.ask('asthma', [{ name: 'cohort', tables: [patients] }])
    serve = start(['serve', '--config', world.config])
    await serve.said(/"message":"serving"/)
  })
  after(() => serve.child.kill('SIGKILL'))

  it('reconciles what it finds when it starts', async () => {
    await eventually('asthma is validated', async () => (await world.steps('asthma')).includes('validate done'))
  })

  it('is the only one on its folder: a second one ends with 1', async () => {
    const second = await start(['serve', '--config', world.config]).ended
    assert.deepEqual({ code: second.code, out: second.out }, { code: 1, out: '' })
    assert.match(second.err, /another process holds .* \[FolderHeld\]\n {2}\S/)
    assert.ok(existsSync(socket()))
  })

  it('looks at once when reconcile asks it to, long before it would by itself', async () => {
    await world.ask('wards', [{ name: 'cohort', tables: [patients] }])
    const { code, err } = await world.cratewright('reconcile', 'wards')
    assert.equal(code, 1)
    assert.match(err, /it was asked to look now/)
    const asked = performance.now()
    await eventually('wards is validated', async () => (await world.steps('wards')).includes('validate done'))
    assert.ok(performance.now() - asked < 20_000)
  })

  it('lets people look, plan and sign meanwhile', async () => {
    assert.match((await world.cratewright('plan', 'wards')).out, /^waits: group governance/m)
    await eventually('wards waits for its sign-off', async () =>
      /WaitingForSignOff/.test((await world.cratewright('explain', 'wards')).out),
    )
    assert.equal((await world.signOff('dana', 'wards')).code, 0)
  })

  it('logs JSON lines on stderr, nothing on stdout, and no secret; ends in order with 0 when it is told to', async () => {
    serve.child.kill('SIGTERM')
    const { code, out, err } = await serve.ended
    assert.deepEqual({ code, out }, { code: 0, out: '' }, err)
    const lines = err
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { message: string })
    assert.deepEqual([lines[0]?.message, lines.at(-1)?.message], ['serving', 'stopped'])
    assert.doesNotMatch(err, /canary-password/)
    assert.equal(existsSync(socket()), false)
  })

  it('leaves a folder behind that the next one can hold, also after a kill -9', async () => {
    const killed = start(['serve', '--config', world.config])
    await killed.said(/"message":"serving"/)
    killed.child.kill('SIGKILL')
    await killed.ended
    assert.ok(existsSync(socket()), 'the socket of a process that was killed stays')
    const { code, out } = await world.cratewright('reconcile', 'asthma')
    assert.equal(code, 1, out)
    assert.match(out, /^asthma: Validated/)
  })
})

describe('Ctrl-C', () => {
  it('ends a command with 130, quietly', async () => {
    const world = await World.make()
    const stop = new AbortController()
    stop.abort()
    const { code, out, err } = await run(['reconcile', '--config', world.config], { signal: stop.signal })
    assert.deepEqual({ code, out, err }, { code: 130, out: '', err: '' })
  })
})
