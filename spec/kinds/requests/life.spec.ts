import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { calmLife } from '../../support/crash.ts'
import { git } from '../../support/people.ts'
import { phaseOf, World } from '../../support/world.ts'

describe('the life of a request', () => {
  it('goes from a push to a published release that verifies', async () => {
    const world = await World.make()
    await world.ask('asthma')
    assert.equal(phaseOf((await world.run()).get('asthma')), 'Validated')
    assert.equal((await world.signOff('dana', 'asthma')).code, 0)
    assert.equal(phaseOf((await world.run()).get('asthma')), 'Staged')
    assert.equal((await world.disclose('dana', 'asthma')).code, 0)
    assert.equal(phaseOf((await world.run()).get('asthma')), 'Published')
    assert.deepEqual(await world.steps('asthma'), calmLife)
    const csv = readFileSync(join(world.release('asthma'), 'data/outputs/cohort/visits.csv'), 'utf8')
    assert.match(csv, /^id,patient,cost,note\n1,2,0\.1429,""\n/)
    assert.deepEqual(readdirSync(join(world.folder, 'staging/asthma')).sort(), ['1.review', 'owner'])

    const auditor = await world.auditor()
    for (const target of [auditor, world.release('asthma')]) {
      const verdict = await world.cratewright('verify', target, '--root', world.controller.key.public.fingerprint)
      assert.equal(verdict.code, 0, verdict.out + verdict.err)
    }
    assert.match((await world.cratewright('verify', auditor)).out, /Consistent, root not pinned/)
  })

  it('writes nothing when nothing has changed', async () => {
    const world = await World.make()
    await world.walk('asthma')
    const before = await git(world.bare('projects'), 'rev-parse', 'refs/heads/cratewright/records')
    await world.run()
    await world.run()
    assert.equal(await git(world.bare('projects'), 'rev-parse', 'refs/heads/cratewright/records'), before)
  })

  it('has the same manifest in the store and in Git, byte for byte', async () => {
    const world = await World.make()
    await world.walk('asthma')
    const inGit = await git(
      world.bare('projects'),
      'show',
      'refs/heads/cratewright/records:projects/asthma/releases/1/bag/manifest-sha512.txt',
    )
    assert.equal(`${inGit}\n`, readFileSync(join(world.release('asthma'), 'manifest-sha512.txt'), 'utf8'))
    assert.equal(existsSync(join(world.release('asthma'), 'fetch.txt')), false)
  })
})
