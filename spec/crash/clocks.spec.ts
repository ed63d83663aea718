import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { assertPublished, assertSoundLog, assertVerifies, calmLife } from '../support/crash.ts'
import { patients, phaseOf, World } from '../support/world.ts'

const day = 86_400_000
const off = (days: number) => ({ now: () => new Date(Date.now() + days * day) })
/** Right for so many questions, and then off by so many days. */
const jumping = (questions: number, days: number) => {
  let asked = 0
  return { now: () => new Date(Date.now() + (asked++ < questions ? 0 : days * day)) }
}
const dateIn = (days: number) => new Date(Date.now() + days * day).toISOString().slice(0, 10)
const tables = [{ name: 'cohort', tables: [patients] }]

describe('a clock that jumps', function () {
  this.timeout(120_000)
  let world: World
  before(async () => {
    world = await World.make()
  })

  const revoked = (project: string) => join(world.folder, 'production/.revoked', project, '1')
  const actions = async (project: string) => (await world.steps(project)).map(step => step.split(' ')[0])

  /** `readLog` refuses an entry that is older than the one before it; so does `verify`. */
  async function timesRise(project: string): Promise<void> {
    await assertSoundLog(world, project)
    const times = (await world.log(project)).map(({ time }) => time)
    assert.deepEqual(times, times.toSorted())
  }

  it('by a day, between runs and within them, never makes a log run backwards, and does nothing twice', async () => {
    await world.ask('jumpy', tables)
    await world.run({ clock: off(1) })
    assert.equal((await world.signOff('dana', 'jumpy')).code, 0)
    await world.run({ clock: jumping(3, -1) })
    assert.equal((await world.disclose('dana', 'jumpy')).code, 0)
    assert.equal(phaseOf((await world.run({ clock: jumping(6, 1) })).get('jumpy')), 'Published')
    assert.equal(phaseOf((await world.run({ clock: off(-1) })).get('jumpy')), 'Published')
    await assertPublished(world, 'jumpy')
    await timesRise('jumpy')
    assert.deepEqual(await world.steps('jumpy'), calmLife)
    await assertVerifies(world, await world.auditor('jumpy-auditor'))
  })

  it('behind the end of an agreement takes access away, and the data stays for its days', async () => {
    await world.commit('rob', world.requestFiles('early', tables, { governance: { end_date: dateIn(1) } }))
    await world.run()
    await world.signOff('dana', 'early')
    await world.run()
    await world.disclose('dana', 'early')
    assert.equal(phaseOf((await world.run()).get('early')), 'Published')
    assert.equal(phaseOf((await world.run({ clock: jumping(2, 3) })).get('early')), 'Expired')
    assert.equal(existsSync(world.release('early')), false)
    for (const days of [0, -1, 3]) {
      const status = (await world.run({ clock: off(days) })).get('early')
      assert.equal(phaseOf(status), 'Expired')
      assert.ok(status?.waits.some(({ reason }) => reason === 'WaitingForDestruction'))
      assert.ok(existsSync(join(revoked('early'), 'data')), 'an admin can still put it back')
    }
    assert.deepEqual((await actions('early')).slice(-3), ['expire', 'revoke', 'revoke'])
    await timesRise('early')
    // The days are counted from when it was taken away, as the log has it.
    await world.run({ clock: off(11) })
    assert.equal(existsSync(revoked('early')), false)
    await timesRise('early')
  })

  it('does not let somebody approve on a day that is not theirs any more, as the log counts days', async () => {
    const [group] = world.platform()['approvers.yaml'] as { spec: object }[]
    const members = (dana: object) =>
      world.declare({
        'approvers.yaml': [{ ...group, spec: { ...group!.spec, members: [{ person: 'dana', ...dana }] } }],
      })
    await world.ask('dated', tables)
    await world.run()
    const signed = await world.signOff('dana', 'dated')
    assert.equal(signed.code, 0, signed.err)
    await members({ notAfter: dateIn(-1) })
    // The log already has today's date: a clock that is set back brings yesterday's right not back.
    const status = (await world.run({ clock: off(-3) })).get('dated')
    assert.equal(phaseOf(status), 'Validated')
    assert.equal((await actions('dated')).includes('sign-off'), false)
    await members({ notBefore: dateIn(2) })
    assert.equal(phaseOf((await world.run()).get('dated')), 'Validated')
    // What was seen on a day on which it did not count is not looked at again: it is signed anew.
    await members({ notBefore: dateIn(-1), notAfter: dateIn(2) })
    assert.equal(phaseOf((await world.run()).get('dated')), 'Validated')
    const again = await world.signOff('dana', 'dated')
    assert.equal(again.code, 0, again.err)
    assert.equal(phaseOf((await world.run({ clock: off(1) })).get('dated')), 'Staged')
    await timesRise('dated')
    await assertVerifies(world, await world.auditor('dated-auditor'))
  })
})
