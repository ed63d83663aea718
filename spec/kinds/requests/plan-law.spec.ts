import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { History } from '../../../controller/engine/kind.ts'
import {
  type CountedStatement,
  type Decision,
  type Phase,
  stateOf,
  votesOf,
} from '../../../controller/kinds/requests/state.ts'
import { readLog } from '../../../controller/records/log.ts'
import { parseStatement } from '../../../controller/records/statement.ts'
import { inShort } from '../../engine/memory-recorder.ts'
import { ModelWorld, type PersonName, requestKey, type Trouble } from './plan-model.ts'

/**
 * Rounds of observe and plan until there is no step, in a world that does not change. The longest way: note what changed, abandon
 * what is open for the old content, then at most two rounds for each of six steps, and one that finds nothing.
 */
const maxPlans = 16

/** Where a request may go by one entry (design §5), beside staying where it is and going back to Created for new content. */
const moves: Record<Phase, readonly Phase[]> = {
  Requested: ['Created'],
  Created: ['Validated', 'Failed'],
  Failed: ['Validated'],
  Validated: ['SignedOff', 'Rejected'],
  SignedOff: ['Staged', 'Validated', 'Rejected'],
  Staged: ['Disclosed', 'Rejected', 'Validated'],
  Disclosed: ['Published', 'SignedOff', 'Staged', 'Validated', 'Rejected'],
  Published: ['Recalled'],
  Rejected: [],
  Recalled: [],
  Withdrawn: [],
  Expired: [],
}

interface Event {
  readonly words: string
  readonly happen: (world: ModelWorld) => void
  readonly asked: boolean
}

const always = (weight: number, words: string, happen: Event['happen'], asked = false) => ({
  weight,
  arbitrary: fc.constant<Event>({ words, happen, asked }),
})

function each<Value>(weight: number, values: fc.Arbitrary<Value>, happen: (world: ModelWorld, value: Value) => void) {
  const toEvent = (value: Value): Event => ({
    words: `${happen} of ${JSON.stringify(value)}`,
    happen: world => happen(world, value),
    asked: false,
  })
  return { weight, arbitrary: values.map(toEvent) }
}

const set = (world: ModelWorld, change: Partial<ModelWorld>) => void Object.assign(world, change)
const one = fc.constantFrom
const writers = one<PersonName | undefined>('rob', 'rob', 'rob', 'dana', undefined)
const signers = one<PersonName>('dana', 'dana', 'carl', 'carl', 'rob', 'eve')
const decisions = one(...(['approve', 'approve', 'approve', 'reject', 'withdraw'] as const))

const events: fc.Arbitrary<Event> = fc.oneof(
  each(8, fc.tuple(signers, decisions), (world, [who, what]) => world.sign(who, what)),
  each(14, one(['dana', 'carl'] as const), (world, all) => {
    for (const who of all) world.sign(who, 'approve')
  }),
  each(1, signers, (world, who) => world.sign(who, 'approve', { late: true })),
  each(
    2,
    fc.tuple(one('dana', 'carl', 'rob'), one('SignOff', 'Disclosure', 'Request'), one('reject', 'withdraw')),
    (world, [who, phase, what]) => world.sign(who, what, { phase }),
  ),
  each(1, one(undefined, 1, 2), (world, release) =>
    set(world, { ended: [{ project: 'asthma', reason: 'because', ...(release === undefined ? {} : { release }) }] }),
  ),
  always(1, 'nothing is ended', world => set(world, { ended: [] })),
  each(1, one(0, 7), (world, afterDays) => set(world, { deletion: { policy: 'Delete', afterDays } })),
  always(1, 'data is retained', world => set(world, { deletion: { policy: 'Retain' } })),
  always(1, 'what is prepared is kept', world => world.remember()),
  each(2, writers, (world, by) => world.change(by)),
  each(2, one(2, 3, 4), (world, release) => world.change('rob', release)),
  always(1, 'changed back', world => world.changeBack('rob')),
  always(1, 'documents broken', world => world.breakDocuments()),
  always(1, 'unrelated commit', world => world.touchNothing()),
  always(1, 'branch rewritten', world => world.rewrite()),
  each(1, fc.boolean(), (world, missing) => set(world, { missing })),
  each(2, one(1, 1, 2, undefined), (world, catalogue) => set(world, { catalogue })),
  always(1, 'platform changed', world => set(world, { platform: world.platform + 1 })),
  each(1, one(1, 2), (world, quorum) => set(world, { quorum })),
  each(1, fc.boolean(), (world, platformBroken) => set(world, { platformBroken })),
  each(3, one<Trouble>('none', 'none', 'down', 'broken'), (world, trouble) => set(world, { trouble, troubled: 'all' })),
  each(2, one<Trouble>('down', 'broken'), (world, trouble) => set(world, { trouble, troubled: 'publish' })),
  always(2, 'tampered', world => world.tamper()),
  always(1, 'restart', world => world.restart()),
  always(2, 'asked', () => {}, true),
)

const worlds = fc.array(fc.record({ event: events, settled: fc.boolean() }), {
  minLength: 5,
  maxLength: 30,
  size: 'max',
})

/** Lets the events happen, settling after most, and hands every settled world to the check. */
function eachSettledWorld(
  check: (world: ModelWorld, before: History, asked: boolean) => Promise<void> | void,
  runs: number,
) {
  const property = fc.asyncProperty(worlds, async script => {
    const world = new ModelWorld()
    await settle(world, false)
    for (const {
      event: { happen, asked },
      settled,
    } of script) {
      happen(world)
      // Some things happen before the controller has looked at the one before.
      if (!settled && !asked) continue
      const before = world.history
      await settle(world, asked)
      await check(world, before, asked)
    }
  })
  return fc.assert(property, { numRuns: runs, endOnFailure: true })
}

function stateUpTo(history: History, number: number) {
  return stateOf({ ...history, entries: history.entries.slice(0, number) })
}

async function settle(world: ModelWorld, asked: boolean) {
  world.plans = 0
  const result = await world.settle(asked)
  assert.ok(world.plans <= maxPlans, `${world.plans} plans: ${inShort(world.history).slice(-8)}`)
  assert.equal(result.state === 'retry', result.state !== 'settled')
  return result
}

describe('the plan of a request, in any world', function () {
  this.slow(20_000)

  it('comes to rest, and then does and writes nothing more', async () => {
    await eachSettledWorld(async world => {
      const [head, published] = [world.history.head, world.published.length]
      for (const restart of [false, true]) {
        if (restart) world.restart()
        const result = await settle(world, false)
        if (result.state === 'retry') assert.equal(world.trouble, 'down')
        assert.equal(world.history.head, head, `wrote ${inShort(world.history).slice(-3)}`)
        // Work that goes on after a failure, or again after a restart, is looked at twice at most.
        assert.ok(world.plans <= (result.state === 'retry' ? 2 : 1), `${world.plans} plans`)
      }
      assert.equal(world.published.length, published)
    }, 60)
  })

  it('ends what it begins because a person asked', async () => {
    await eachSettledWorld(async world => {
      const { entries } = world.history
      await settle(world, true)
      const { open } = world.history
      if (world.trouble !== 'down') assert.ok(!open || open.number <= entries.length, `${open?.action} is left open`)
    }, 40)
  })

  it('plans nothing that is done, unless what was done is void', async () => {
    await eachSettledWorld(({ history, published }, { entries: old }, asked) => {
      const done = new Map<string, number>()
      for (const { action, event, result, number, facts, generation = 0, release = 0 } of history.entries) {
        const before = stateUpTo(history, number - 1)
        const what = `entry ${number}: ${action} ${event} ${result ?? ''}`
        if (action === 'create') assert.equal(before.id, undefined, what)
        if (action === 'change') assert.equal(generation, before.generation + 1, what)
        else if (action !== 'create' && result !== 'abandoned' && action !== 'error')
          assert.equal(generation, before.generation, what)
        if (event === 'started' && action === 'validate') assert.ok(!before.validation?.ok, what)
        if (event === 'started' && action === 'stage-transfer') assert.equal(before.staging, undefined, what)
        if (event === 'started' && action === 'close') assert.equal(before.closing, undefined, what)
        if (event === 'started' && action === 'publish') assert.equal(before.published, undefined, what)
        // What only a person may try again is not tried by itself.
        const tries = event === 'started' && number > old.length && !asked
        if (tries && action === 'stage-transfer') assert.equal(before.stagingVoid, undefined, what)
        if (tries) assert.notEqual(before.halted?.action, action, what)
        const late = (facts as { decision?: string } | undefined)?.decision === 'reject'
        if (action === 'sign-off' && !late) assert.equal(before.signOff, undefined, what)
        if (action === 'disclosure' && !late) assert.equal(before.disclosure, undefined, what)
        if (action === 'withdraw' || action === 'expire') assert.equal(before.end, undefined, what)
        if (event === 'started' && (action === 'revoke' || action === 'destroy'))
          assert.equal(
            !before.removalsFailed.some(one => one.action === action && one.release === release) ||
              asked ||
              number <= old.length,
            true,
            what,
          )
        if (action === 'statement') {
          const said = facts as Pick<CountedStatement, 'phase' | 'person' | 'decision'>
          const last = votesOf(before.counted, said.phase).find(({ person }) => person === said.person)
          assert.notEqual(last?.decision, said.decision, what)
        }
        if (result === 'done' && (action === 'close' || action === 'publish')) {
          const id = `${action} ${release}`
          done.set(id, (done.get(id) ?? 0) + 1)
          assert.equal(done.get(id), 1, `${id} was done twice`)
        }
      }
      assert.equal(new Set(published.map(({ release }) => release)).size, published.length, 'published twice')
    }, 40)
  })

  it('extracts, seals and publishes only what was approved, exactly as it was approved', async () => {
    await eachSettledWorld((world, before) => {
      const { history, published } = world
      for (const { action, number, facts } of history.entries.slice(before.entries.length)) {
        if (action !== 'sign-off' && action !== 'disclosure') continue
        const state = stateUpTo(history, number - 1)
        const { decision, groups } = facts as unknown as Decision
        if (decision !== 'approve') continue
        assert.deepEqual(world.authors(state).unattributed, [])
        const wrote = world.authors(state).persons
        for (const { approved } of groups) assert.ok(!approved.some(person => wrote.includes(person)), `${approved}`)
      }
      for (const { action, event, number, digests, generation } of history.entries) {
        if (event !== 'started' || action === 'validate' || action === 'revoke' || action === 'destroy') continue
        const state = stateUpTo(history, number - 1)
        const phases = action === 'stage-transfer' ? (['SignOff'] as const) : (['SignOff', 'Disclosure'] as const)
        for (const phase of phases) {
          const decision = phase === 'SignOff' ? state.signOff : state.disclosure
          assert.equal(decision?.decision, 'approve', `entry ${number}: ${action} without ${phase}`)
          for (const { quorum, approved, missing } of decision?.groups ?? []) {
            assert.ok(missing === 0 && approved.length >= quorum)
            for (const person of approved) assert.ok(hasApproved(state, phase, person, digests, generation))
            assert.ok(!approved.includes('rob') && !approved.includes('eve'))
          }
        }
        if (action === 'publish') assert.equal(state.closing?.release, state.release)
      }
      for (const { release, outputs } of published) {
        const closed = history.entries.filter(
          entry => entry.action === 'close' && entry.result === 'done' && entry.release === release,
        )
        assert.deepEqual(
          closed.map(({ digests }) => digests?.outputs),
          [outputs],
        )
      }
    }, 60)
  })

  it('moves a request as its life says, and keeps a log that can be read back', async () => {
    await eachSettledWorld(({ history, shared }, before) => {
      const { problems, history: read } = readLog(shared.files(requestKey))
      assert.deepEqual(problems, [])
      assert.equal(read.head, history.head)
      let phase: Phase = stateOf(before).phase
      for (let number = before.entries.length + 1; number <= history.entries.length; number++) {
        const { phase: next } = stateUpTo(history, number)
        const entry = history.entries[number - 1]!
        const renewed = next === 'Created' && (entry.action === 'change' || entry.result === 'failed')
        assert.ok(
          next === phase || renewed || next === 'Withdrawn' || next === 'Expired' || moves[phase].includes(next),
          `${phase} became ${next} by ${entry.action} ${entry.result ?? entry.event}`,
        )
        phase = next
      }
    }, 40)
  })

  it('does not count what was said before a check that had to be made again', async () => {
    const world = new ModelWorld()
    await settle(world, false)
    set(world, { trouble: 'down' })
    world.sign('dana', 'approve')
    await settle(world, false)
    assert.equal(world.state.phase, 'SignedOff')
    set(world, { trouble: 'none', catalogue: 2 })
    await settle(world, false)
    assert.equal(world.state.phase, 'Validated', 'the source is not what was signed off')
    set(world, { catalogue: 1 })
    world.sign('dana', 'approve')
    await settle(world, false)
    // The source is what dana signed off at first; her statement of then was for another check all the same.
    assert.deepEqual([world.state.phase, world.state.counted], ['Validated', []])
  })

  it('does not count the approval of who wrote what is to be approved, until it was approved by others', async () => {
    const world = new ModelWorld()
    world.change('dana')
    await settle(world, false)
    world.sign('dana', 'approve')
    await settle(world, false)
    assert.deepEqual([world.state.phase, world.state.counted], ['Validated', []])
    world.sign('carl', 'approve')
    await settle(world, false)
    assert.equal(world.state.phase, 'Staged')
  })

  it('leaves a published release as it is, and goes on with the next', async () => {
    const world = await published()
    const { head } = world.history
    world.change('rob')
    await settle(world, false)
    assert.deepEqual([world.state.phase, world.lastPlan?.waits[0]?.reason], ['Published', 'ReleaseTaken'])
    assert.equal(world.history.head, head)
    world.change('rob', 2)
    await settle(world, false)
    assert.deepEqual([world.state.phase, world.state.release], ['Validated', 2])
  })

  it('does not fill a sealed release again, where what was approved changed before it was published', async () => {
    const world = await published(() => ({ trouble: 'down', troubled: 'publish' }))
    assert.equal(world.state.phase, 'Disclosed')
    set(world, { trouble: 'none', catalogue: 2 })
    await settle(world, false)
    assert.deepEqual([world.state.closing, world.lastPlan?.waits[0]?.reason], [undefined, 'ReleaseTaken'])
    await settle(world, true)
    assert.deepEqual([world.published, world.state.staging], [[], undefined])
    world.change('rob', 2)
    await settle(world, false)
    assert.deepEqual([world.state.phase, world.state.release], ['Validated', 2])
  })

  it('publishes in the end where people approve and nothing stands in the way', async () => {
    const happy = fc.record({ quorum: fc.integer({ min: 1, max: 2 }), restarts: fc.boolean(), noise: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(happy, async ({ quorum, restarts, noise }) => {
        const world = new ModelWorld()
        world.quorum = quorum
        await settle(world, false)
        for (const phase of ['Validated', 'Staged'] as const) {
          assert.equal(world.state.phase, phase)
          if (noise) for (const person of ['rob', 'eve'] as const) world.sign(person, 'approve')
          for (const person of ['dana', 'carl'] as const) world.sign(person, 'approve')
          if (restarts) world.restart()
          await settle(world, false)
        }
        assert.equal(world.state.phase, 'Published')
        assert.equal(world.published.length, 1)
      }),
      { numRuns: 8 },
    )
  })
})

/** Walked as far as it goes; `trouble` comes before the disclosure. */
async function published(trouble: () => Partial<ModelWorld> = () => ({})): Promise<ModelWorld> {
  const world = new ModelWorld()
  await settle(world, false)
  world.sign('dana', 'approve')
  await settle(world, false)
  set(world, trouble())
  world.sign('dana', 'approve')
  await settle(world, false)
  return world
}

function hasApproved(
  state: ReturnType<typeof stateOf>,
  phase: 'SignOff' | 'Disclosure',
  person: string,
  digests: object | undefined,
  generation: number | undefined,
): boolean {
  const wanted = digests as Record<string, string>
  return state.counted.some(counted => {
    const { statement } = parseStatement(Buffer.from(counted.text), counted.path)
    if (counted.phase !== phase || counted.person !== person || counted.decision !== 'approve' || !statement)
      return false
    const names = phase === 'SignOff' ? (['request', 'scope'] as const) : (['request', 'scope', 'outputs'] as const)
    return (
      statement.person === person &&
      statement.generation === generation &&
      names.every(name => statement.digests[name] !== undefined && statement.digests[name] === wanted[name])
    )
  })
}
