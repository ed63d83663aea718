import assert from 'node:assert/strict'
import type { Outcome, Resource } from '../../controller/engine/kind.ts'
import { CratewrightError, type ErrorCode } from '../../controller/runtime/errors.ts'
import { commitA, commitB, declare, Lab, otherKey, otherType, step, type ThingSpec, thingKey } from './lab.ts'
import { inShort, SharedLog } from './memory-recorder.ts'

const failure = (code: ErrorCode, message = `because of ${code}`): Outcome => ({
  state: 'failed',
  error: new CratewrightError(code, message),
})

const running: Outcome = { state: 'running', progress: { message: 'half', fraction: 0.5 } }

describe('a run', () => {
  it('pushes started before it applies, and the outcome after', async () => {
    const lab = new Lab()
    lab.declare([step('validate'), step('publish')])
    const seen: string[][] = []
    lab.thing.behaviour.apply = async (_, { history }) => {
      seen.push(inShort(lab.history()))
      assert.equal(history.open?.event, 'started')
      return { state: 'done', facts: { found: 7 } }
    }
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(seen, [['validate started'], ['validate started', 'validate done', 'publish started']])
    assert.deepEqual(inShort(lab.history()), ['validate started', 'validate done', 'publish started', 'publish done'])
    const [started, outcome] = lab.history().entries
    assert.deepEqual([outcome?.started, outcome?.facts, outcome?.generation], [1, { found: 7 }, 1])
    for (const entry of [started, outcome]) assert.deepEqual(entry?.commits, { projects: commitA })
    assert.equal(lab.history().open, undefined)
    assert.equal(lab.status()?.report.ready, true)
  })

  it('names the commits of the platform and of the resource’s own repository', async () => {
    const lab = new Lab()
    lab.store.replace('platform', commitB, declare())
    lab.store.replace('unrelated', 'c'.repeat(40), declare())
    lab.declare([step('create', 'noted')])
    await lab.run()
    assert.deepEqual(lab.history().entries[0]?.commits, { platform: commitB, projects: commitA })
  })

  it('notes a step without outside effect in one entry, and records nothing of one that wants no record', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted'), step('validate', 'none')])
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(inShort(lab.history()), ['create noted'])
    assert.deepEqual(lab.thing.applied, ['validate 1'])
  })

  it('does nothing in an unchanged world but look, and hands in the same status', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted'), step('validate')])
    await lab.run()
    const [before, status] = [lab.history().head, lab.recorder.statuses.get(thingKey('asthma'))]
    lab.recorder.calls.length = 0
    await lab.run()
    await lab.run(undefined, true)
    assert.equal(lab.history().head, before)
    assert.deepEqual(lab.recorder.calls, ['project', 'status', 'project', 'status'])
    assert.deepEqual(lab.recorder.statuses.get(thingKey('asthma')), status)
  })

  it('leaves a step open on a retryable error, and notes it once per code', async () => {
    const lab = new Lab()
    lab.declare([step('validate')])
    const codes: ErrorCode[] = ['SourceUnreachable', 'SourceUnreachable', 'SourceAuthFailed', 'SourceUnreachable']
    for (const code of codes) {
      lab.thing.behaviour.apply = async () => failure(code)
      const result = await lab.run()
      assert.ok(result.state === 'retry' && result.error.code === code)
      const { reason, progressing, stalled } = lab.status()!.report
      assert.deepEqual([reason, progressing, stalled], [code, true, false])
    }
    assert.deepEqual(inShort(lab.history()), [
      'validate started',
      'error noted SourceUnreachable',
      'error noted SourceAuthFailed',
    ])
    assert.equal(lab.history().entries[1]?.started, 1)
    lab.thing.behaviour.apply = async () => ({ state: 'done' })
    await lab.run()
    assert.deepEqual(inShort(lab.history()).slice(3), ['validate done'])
  })

  it('notes a code again under the next start', async () => {
    const lab = new Lab()
    lab.declare([step('validate'), step('stage-transfer')])
    let down = true
    lab.thing.behaviour.apply = async () => (down ? failure('SourceUnreachable') : { state: 'done' })
    await lab.run()
    down = false
    lab.thing.behaviour.apply = async ({ action }) =>
      action === 'validate' ? { state: 'done' } : failure('SourceUnreachable')
    await lab.run()
    assert.deepEqual(inShort(lab.history()), [
      'validate started',
      'error noted SourceUnreachable',
      'validate done',
      'stage-transfer started',
      'error noted SourceUnreachable',
    ])
  })

  it('records a permanent failure, with its code, and goes on from there', async () => {
    const lab = new Lab()
    lab.declare([step('validate')])
    lab.thing.behaviour.apply = async () => failure('TableNotAvailable', 'no such table')
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(inShort(lab.history()), ['validate started', 'validate failed'])
    assert.deepEqual(lab.history().entries[1]?.error, { code: 'TableNotAvailable', message: 'no such table' })
    assert.equal(lab.history().open, undefined)
  })

  it('records a permanent failure of a noted step as failed', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted')])
    lab.thing.behaviour.apply = async () => failure('ApprovalVoid', 'void now')
    await lab.run()
    const [entry] = lab.history().entries
    assert.deepEqual([entry?.event, entry?.result, entry?.error?.code], ['noted', 'failed', 'ApprovalVoid'])
  })

  it('says of an unexpected error only what kind it was: its message may hold data', async () => {
    const lab = new Lab()
    lab.declare([step('validate')])
    lab.thing.behaviour.apply = () => Promise.reject(new RangeError('patient 4711 is 130 years old'))
    const result = await lab.run()
    assert.ok(result.state === 'retry' && result.error.code === 'Internal')
    const everything = JSON.stringify([lab.history(), lab.status(), [...lab.recorder.statuses]])
    assert.match(everything, /an unexpected RangeError/)
    assert.doesNotMatch(everything, /4711/)
  })

  it('closes a step that is open for something else as abandoned, before it starts the next', async () => {
    const lab = new Lab()
    lab.declare([step('validate', 'pair', 1)])
    lab.thing.behaviour.apply = async () => failure('SourceUnreachable')
    await lab.run()
    lab.thing.behaviour.apply = async () => ({ state: 'done' })
    lab.declare([step('validate', 'pair', 2)], 'asthma', commitB)
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(inShort(lab.history()), [
      'validate started',
      'error noted SourceUnreachable',
      'validate abandoned',
      'validate started',
      'validate done',
    ])
    const { entries } = lab.history()
    assert.deepEqual(
      entries.map(({ started, generation }) => [started, generation]),
      [
        [undefined, 1],
        [1, 1],
        [1, 1],
        [undefined, 2],
        [4, 2],
      ],
    )
  })

  it('does not start the next step before the work of the abandoned one has ended', async () => {
    const lab = new Lab()
    lab.declare([step('stage-transfer', 'pair', 1)])
    const ended = Promise.withResolvers<string>()
    lab.thing.behaviour.apply = async ({ generation }, { tasks }) => {
      if (generation === 2) return { state: 'done' }
      return tasks.run('x', { name: 't', limit: 1 }, () => ended.promise) as Outcome
    }
    assert.equal((await lab.run()).state, 'running')
    lab.declare([step('stage-transfer', 'pair', 2)], 'asthma', commitB)
    assert.equal((await lab.run()).state, 'running')
    assert.equal((await lab.run()).state, 'running')
    assert.deepEqual(inShort(lab.history()), ['stage-transfer started'])
    ended.resolve('too late')
    await lab.tasks.idle()
    assert.deepEqual(lab.woken, [thingKey('asthma')], 'its end wakes the resource')
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(inShort(lab.history()), [
      'stage-transfer started',
      'stage-transfer abandoned',
      'stage-transfer started',
      'stage-transfer done',
    ])
  })

  it('cancels work that is no longer planned', async () => {
    const lab = new Lab()
    lab.declare([step('stage-transfer')])
    const cancelled = Promise.withResolvers<void>()
    lab.thing.behaviour.apply = async (_, { tasks }) =>
      tasks.run(
        'x',
        { name: 't', limit: 1 },
        signal => new Promise((_, fail) => signal.addEventListener('abort', () => fail(cancelled.resolve()))),
      ) as Outcome
    assert.equal((await lab.run()).state, 'running')
    lab.declare([], 'asthma', commitB)
    assert.equal((await lab.run()).state, 'running')
    await cancelled.promise
    await lab.tasks.idle()
    assert.deepEqual(lab.woken, [thingKey('asthma')], 'its end wakes the resource')
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(inShort(lab.history()), ['stage-transfer started'])
  })

  it('resumes after a restart what it had open itself', async () => {
    const shared = new SharedLog()
    const before = new Lab({ shared })
    before.declare([step('validate')])
    before.thing.behaviour.apply = async () => running
    assert.equal((await before.run()).state, 'running')
    const after = new Lab({ shared })
    after.declare([step('validate')])
    assert.deepEqual(await after.run(), { state: 'settled' })
    assert.deepEqual(inShort(after.history()), ['validate started', 'validate done'])
  })

  it('leaves alone what another controller has open, and says so', async () => {
    const shared = new SharedLog()
    const other = new Lab({ shared, instance: 'another' })
    other.declare([step('validate')])
    other.thing.behaviour.apply = async () => running
    await other.run()
    const lab = new Lab({ shared })
    lab.declare([step('validate')])
    lab.thing.behaviour.apply = () => assert.fail('it must not be applied')
    const held = await lab.run()
    assert.ok(held.state === 'retry' && held.error.code === 'HeldByOther')
    assert.deepEqual(inShort(lab.history()), ['validate started'])
    assert.equal(lab.status()?.report.reason, 'HeldByOther')
    assert.match(lab.status()?.report.message ?? '', /another/)
    other.thing.behaviour.apply = async () => ({ state: 'done' })
    await other.run()
    lab.recorder.forget()
    assert.deepEqual(await lab.run(), { state: 'settled' }, 'and goes on once the other has ended its step')
  })

  it('loses the race for a step without applying it, and finds what the other wrote', async () => {
    const shared = new SharedLog()
    const [one, two] = [new Lab({ shared }), new Lab({ shared, instance: 'two' })]
    for (const lab of [one, two]) lab.declare([step('validate')])
    two.thing.behaviour.apply = () => assert.fail('it must not be applied')
    one.thing.behaviour.apply = async () => running
    // Both see the empty log before either writes.
    let raced = false
    two.confirm = async () => {
      if (!raced) await one.run()
      raced = true
      return true
    }
    const lost = await two.run()
    assert.ok(lost.state === 'retry' && lost.error.code === 'HeldByOther')
    assert.deepEqual(inShort(shared.of(thingKey('asthma'))), ['validate started'])
  })

  it('waits with recorded steps while records cannot be written', async () => {
    const lab = new Lab()
    lab.declare([step('publish')])
    lab.thing.behaviour.apply = () => assert.fail('no effect without its record')
    lab.shared.blocked = new CratewrightError('WriteBackBlocked', 'the branch is protected')
    const result = await lab.run()
    assert.ok(result.state === 'retry' && result.error.code === 'WriteBackBlocked')
    assert.equal(lab.status()?.report.reason, 'WriteBackBlocked')
  })

  it('ends once the step is recorded after which it should stop, and says where it stopped', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted'), step('validate'), step('publish')])
    lab.stopAfter = (_, { action }) => action === 'validate'
    assert.deepEqual(await lab.run(), { state: 'stopped' })
    assert.deepEqual(inShort(lab.history()), ['create noted', 'validate started', 'validate done'])
    assert.deepEqual(lab.status()?.next, ['do publish'])
    lab.stopAfter = undefined
    await lab.run()
    assert.deepEqual(inShort(lab.history()).slice(3), ['publish started', 'publish done'])
  })

  it('does not apply what a source that moved in between no longer asks for', async () => {
    const lab = new Lab()
    lab.declare([step('validate'), step('publish', 'pair', 1)])
    let confirmed = 0
    lab.confirm = async () => {
      if (++confirmed !== 2) return true
      lab.declare([step('validate'), step('publish', 'pair', 2)], 'asthma', commitB)
      return false
    }
    const applied: unknown[] = []
    lab.thing.behaviour.apply = async ({ action, generation }) => {
      applied.push([action, generation])
      return { state: 'done' }
    }
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.deepEqual(applied, [
      ['validate', 1],
      ['publish', 2],
    ])
    assert.deepEqual(lab.history().entries.at(-1)?.commits, { projects: commitB })
  })

  it('asks the servers before every recorded step, and for no other', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted'), step('validate', 'none'), step('publish')])
    let confirmed = 0
    lab.confirm = async () => ++confirmed > 0
    await lab.run()
    assert.equal(confirmed, 2)
  })

  it('stops recorded steps while the servers cannot be asked', async () => {
    const lab = new Lab()
    lab.declare([step('publish')])
    lab.confirm = () => Promise.reject(new CratewrightError('GitUnreachable', 'down'))
    const result = await lab.run()
    assert.ok(result.state === 'retry' && result.error.code === 'GitUnreachable')
    assert.deepEqual(inShort(lab.history()), [])
  })

  it('still knows that a person asked when a source moved in between', async () => {
    const lab = new Lab()
    lab.declare([step('validate')])
    const asked: boolean[] = []
    lab.thing.behaviour.observe = (_, context) => void asked.push(context.asked)
    let confirmed = 0
    lab.confirm = async () => ++confirmed > 1
    await lab.run(undefined, true)
    assert.deepEqual(asked, [true, true, false])
  })

  it('is blocked by what it names until that is Ready, and says by what', async () => {
    const lab = new Lab()
    lab.thing.behaviour.references = () => [{ named: true, type: otherType, name: 'o' }]
    lab.declare([step('create', 'noted')])
    await lab.run()
    assert.deepEqual(
      lab.status()?.waits.map(({ reason, on }) => [reason, on]),
      [['DependencyNotFound', ['Other o']]],
    )
    lab.store.replace('platform', commitA, declare({ name: 'o', spec: {}, type: otherType }))
    await lab.run()
    assert.equal(lab.status()?.waits[0]?.reason, 'DependencyNotReady')
    await lab.run(otherKey('o'))
    await lab.run()
    assert.match(lab.status()?.waits[0]?.message ?? '', /is not ready/)
    assert.deepEqual(inShort(lab.history()), [])
    lab.other.ready = true
    await lab.run(otherKey('o'))
    await lab.run()
    assert.deepEqual(inShort(lab.history()), ['create noted'])
  })

  it('is not blocked by what it only selects', async () => {
    const lab = new Lab()
    lab.thing.behaviour.references = () => [{ named: false, type: otherType }]
    lab.declare([step('create', 'noted')])
    await lab.run()
    assert.deepEqual(inShort(lab.history()), ['create noted'])
  })

  it('ends where a plan never comes to an end', async () => {
    const lab = new Lab()
    lab.thing.behaviour.stubborn = true
    lab.declare([step('create', 'noted')])
    assert.deepEqual(await lab.run(), { state: 'settled' })
    assert.ok(lab.thing.observations <= 50, `${lab.thing.observations} rounds`)
  })

  it('reports what observing raised, and keeps the details it had', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted')])
    lab.thing.behaviour.observe = () => {
      throw new CratewrightError('RecordInvalid', 'the log has a gap')
    }
    assert.deepEqual(await lab.run(), { state: 'settled' }, 'a permanent error waits for new input')
    const { reason, stalled, ready } = lab.status()!.report
    assert.deepEqual([reason, stalled, ready], ['RecordInvalid', true, false])
    assert.equal(lab.recorder.calls.at(-1), 'status')
  })

  it('shows progress while a step runs', async () => {
    const lab = new Lab()
    lab.declare([step('stage-transfer')])
    lab.thing.behaviour.apply = async () => running
    assert.deepEqual(await lab.run(), { state: 'running' })
    const { progressing, message } = lab.status()!.report
    assert.deepEqual([progressing, message], [true, 'do stage-transfer: half'])
  })

  it('stops without an outcome when the process ends', async () => {
    const lab = new Lab()
    lab.declare([step('stage-transfer')])
    lab.thing.behaviour.apply = async () => {
      lab.stop.abort()
      return failure('ExtractionCancelled')
    }
    assert.deepEqual(await lab.run(), { state: 'stopped' })
    assert.deepEqual(inShort(lab.history()), ['stage-transfer started'])
  })

  it('has nothing to do for what is not there, or of no kind', async () => {
    const lab = new Lab()
    assert.deepEqual(await lab.run(thingKey('nobody')), { state: 'settled' })
    const stranger = declare({ name: 'x', spec: {} }).resources.map(resource => ({
      ...resource,
      type: { ...otherType, kind: 'Stranger' },
    }))
    lab.store.replace('s', commitA, { resources: stranger, problems: [] })
    assert.deepEqual(await lab.run(lab.store.keys()[0]), { state: 'settled' })
  })

  it('publishes a status that says what a person has to know, and nothing of the inside', async () => {
    const lab = new Lab()
    lab.declare([step('create', 'noted')])
    await lab.run()
    const published = lab.recorder.statuses.get(thingKey('asthma')) as Record<string, unknown>
    assert.deepEqual(Object.keys(published).sort(), [
      'conditions',
      'detail',
      'kind',
      'later',
      'name',
      'namespace',
      'next',
      'observedGeneration',
      'observedRevision',
      'origin',
      'problems',
      'waits',
    ])
    const resource = lab.store.get(thingKey('asthma')) as Resource<ThingSpec>
    assert.deepEqual([published.observedGeneration, published.observedRevision], [resource.generation, commitA])
  })
})
