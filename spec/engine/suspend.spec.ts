import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Outcome, PlanStep } from '../../controller/engine/kind.ts'
import { heldBack, heldReport, type Suspension } from '../../controller/engine/suspend.ts'
import { Lab, step, type ThingStep, thingKey } from './lab.ts'
import { inShort } from './memory-recorder.ts'

const suspension: Suspension = { reason: 'Suspended', message: 'it is suspended by ada: a look again', todo: 'Wait.' }
const running: Outcome = { state: 'running', progress: { message: 'half' } }

function suspended(lab: Lab, isSo = true): void {
  lab.suspensionOf = isSo ? () => suspension : () => undefined
}

describe('a suspended resource', () => {
  it('is observed, its plan is shown, and nothing of it is done', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted'), step('validate')])
    suspended(lab)
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(await lab.run(undefined, true), { state: 'settled' }, 'whoever asks for it')
    assert.equal(lab.thing.observations, 2)
    assert.deepEqual(lab.history().entries, [])
    const { report, next, waits, planDigest } = lab.status()!
    assert.deepEqual(next, ['do create', 'do validate'])
    assert.equal(planDigest?.length, 64)
    assert.deepEqual(waits, [suspension])
    const { ready, progressing, stalled, reason, message } = report
    assert.deepEqual(
      { ready, progressing, stalled, reason, message },
      {
        ready: false,
        progressing: false,
        stalled: false,
        reason: 'Suspended',
        message: suspension.message,
      },
    )
    const written = lab.recorder.statuses.get(thingKey('asthma')) as { waits: unknown }
    assert.deepEqual(written.waits, [suspension], 'the records say it too')
  })

  it('goes on where it stopped when it is resumed', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted'), step('validate'), step('publish')])
    lab.thing.behaviour.apply = async ({ action }) => {
      if (action === 'validate') suspended(lab)
      return { state: 'done' }
    }
    // A suspension that is pushed while a plan is worked on holds from the next look at the servers.
    lab.confirm = async () => lab.suspensionOf === undefined
    await lab.run()
    assert.deepEqual(inShort(lab.history()), ['create noted', 'validate started', 'validate done'])
    suspended(lab, false)
    lab.confirm = async () => true
    await lab.run()
    assert.deepEqual(inShort(lab.history()).slice(3), ['publish started', 'publish done'])
    assert.equal(lab.status()?.report.ready, true)
  })

  it('stays ready where nothing is to be done for it, and says that it is suspended', async () => {
    const lab = new Lab()
    lab.declare([step('validate')])
    await lab.run()
    suspended(lab)
    await lab.run()
    const { ready, reason, message } = lab.status()!.report
    assert.deepEqual({ ready, reason, message }, { ready: true, reason: 'Suspended', message: suspension.message })
    assert.ok(lab.recorder.calls.includes('project'), 'what follows from its log is still kept right')
  })

  it('ends the step that was begun, its task is not cancelled, and no further one begins', async () => {
    const lab = new Lab()
    lab.declare([step('validate'), step('publish')])
    lab.thing.behaviour.apply = async () => running
    assert.deepEqual(await lab.run(), { state: 'running' })
    suspended(lab)
    assert.deepEqual(await lab.run(), { state: 'running' })
    lab.thing.behaviour.apply = async () => ({ state: 'done' })
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(inShort(lab.history()), ['validate started', 'validate done'])
    assert.deepEqual(lab.status()?.next, ['do publish'])
  })

  it('does not go on with a step that was begun for something else', async () => {
    const lab = new Lab()
    lab.declare([step('validate')])
    lab.thing.behaviour.apply = async () => running
    await lab.run()
    suspended(lab)
    lab.declare([step('validate', 'pair', 2)])
    lab.thing.behaviour.apply = async () => ({ state: 'done' })
    await lab.run()
    assert.deepEqual(inShort(lab.history()), ['validate started'], 'and it is not closed as abandoned either')
  })

  it('loses access all the same', async () => {
    const lab = new Lab()
    const removal: ThingStep = { ...step('publish'), removesAccess: true }
    lab.declare([step('validate'), removal])
    suspended(lab)
    await lab.run()
    assert.deepEqual(inShort(lab.history()), ['publish started', 'publish done'])
  })
})

describe('a run that stops before a step', () => {
  it('does nothing of it, and its status says what would be next', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted'), step('validate'), step('publish')])
    lab.stopBefore = (_, { action }) => action === 'publish'
    assert.deepEqual(await lab.run(), { state: 'stopped' })
    assert.deepEqual(inShort(lab.history()), ['create noted', 'validate started', 'validate done'])
    assert.equal(lab.status()?.report.reason, 'Progressing')
  })
})

describe('what is held back of a plan', () => {
  const steps = fc.array(
    fc.record({
      action: fc.constantFrom('create', 'validate', 'publish', 'revoke'),
      access: fc.boolean(),
      begun: fc.boolean(),
    }),
  )

  it('is everything but what was begun and what takes access away, in the same order, whatever the plan', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (wishes, wasReady) => {
        const begun = new Set<PlanStep>()
        const planned = wishes.map(({ action, access, begun: isBegun }) => {
          const one: PlanStep = { action, summary: action, record: 'pair', ...(access ? { removesAccess: true } : {}) }
          if (isBegun) begun.add(one)
          return one
        })
        const wait = { reason: 'WaitingForSignOff', message: 'dana' }
        const plan = { steps: planned, waits: [wait], later: ['publish'] }
        const done = heldBack(plan, suspension, one => begun.has(one))
        assert.deepEqual(
          done.steps,
          planned.filter(one => one.removesAccess || begun.has(one)),
        )
        assert.deepEqual(done.waits, [suspension, wait])
        const report = { ready: wasReady, progressing: true, stalled: true, reason: 'X', message: 'x', detail: 1 }
        const held = heldReport(report, suspension, { planned: plan, done })
        assert.equal(held.ready, wasReady && done.steps.length === planned.length)
        assert.deepEqual([held.stalled, held.reason, held.detail], [false, 'Suspended', 1])
      }),
    )
  })
})
