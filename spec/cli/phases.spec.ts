import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { holdFolder } from '../../controller/cli/hold.ts'
import { patients, World } from '../support/world.ts'

const datasets = [{ name: 'cohort', tables: [patients] }]

describe('create, validate, stage-transfer and publish', () => {
  let world: World
  before(async () => {
    world = await World.make()
    await world.ask('asthma', datasets)
    await world.ask('wards', datasets)
  })

  const phase = async (verb: string) => {
    const { code, out, err } = await world.cratewright(verb, 'asthma', '--json')
    const { requests } = JSON.parse(out) as { requests: { phase: string }[] }
    // Lines of progress come where they take long enough.
    const said = err.split('\n').filter(line => !line.startsWith('  '))
    return { is: `${code} ${requests[0]?.phase}`, err: said.join('\n') }
  }
  const missing = (verb: string, is: string, needed: string) => ({
    is: `1 ${is}`,
    err: `${verb} was not done: the request is ${is}, and has to be ${needed} first.`,
  })
  const done = (is: string) => ({ is: `0 ${is}`, err: '' })

  it('do what they are named after, in their order, and nothing beyond', async () => {
    assert.deepEqual(await phase('publish'), missing('publish', 'Requested', 'Disclosed'))
    assert.deepEqual(await phase('stage-transfer'), missing('stage-transfer', 'Requested', 'SignedOff'))
    assert.deepEqual(await world.steps('asthma'), [], 'a refused command records nothing')
    assert.deepEqual(await phase('create'), done('Created'))
    assert.deepEqual(await world.steps('asthma'), ['create noted'])
    assert.deepEqual(await phase('validate'), done('Validated'))
    assert.deepEqual(await phase('stage-transfer'), missing('stage-transfer', 'Validated', 'SignedOff'))
    const before = await world.steps('asthma')
    assert.deepEqual(before, ['create noted', 'validate started', 'validate done'])

    await world.signOff('dana', 'asthma')
    assert.deepEqual(
      await phase('publish'),
      missing('publish', 'Validated', 'Disclosed'),
      'it does not extract on the way',
    )
    assert.ok(!existsSync(join(world.folder, 'staging/asthma')))
    assert.deepEqual(await phase('stage-transfer'), done('Staged'))
    assert.deepEqual(await phase('stage-transfer'), done('Staged'), 'what is done is done')
    assert.deepEqual(await phase('publish'), missing('publish', 'Staged', 'Disclosed'))

    await world.disclose('dana', 'asthma')
    assert.deepEqual(await phase('publish'), done('Published'))
    assert.ok(existsSync(join(world.release('asthma'), 'bagit.txt')))
    assert.deepEqual(await phase('validate'), done('Published'))
    assert.deepEqual(await world.steps('wards'), [], 'nothing is done for a request that was not named')
  })

  it('say what comes first, where it is something that they are not named after', async () => {
    await world.ask('again', datasets)
    for (const verb of ['validate', 'stage-transfer']) {
      await world.cratewright(verb, 'again')
      if (verb === 'validate') await world.signOff('dana', 'again')
    }
    const changed = world.requestFiles('again', datasets, { governance: { purpose: 'Another one' } })
    await world.commit('rob', changed)
    assert.equal((await world.cratewright('create', 'again')).code, 0, 'it is created, whatever it asks for now')
    const { code, err } = await world.cratewright('publish', 'again')
    assert.equal(code, 1)
    assert.match(err, /^publish was not done: the request is Staged, and has to be Disclosed first\.$/m)
    const staged = await world.cratewright('validate', 'again')
    assert.match(
      staged.err,
      /^validate was not done: something else comes first, which `cratewright reconcile` does: destroy /m,
    )
    assert.equal(staged.code, 1)
  })

  it('validate begins with create, which follows from the merge', async () => {
    const { code, out } = await world.cratewright('validate', 'wards')
    assert.deepEqual([code, out.split('.')[0]], [0, 'wards: Validated'])
  })

  it('say what is wrong with a request, and do not call that reached', async () => {
    await world.ask('nowhere', [{ name: 'cohort', tables: [{ name: 'gone', columns: { id: 'integer' } }] }])
    const { code, out } = await world.cratewright('validate', 'nowhere')
    assert.equal(code, 2)
    assert.match(out, /gone/)
  })

  it('are refused while another process holds the folder, and of a request that is not there', async () => {
    const hold = await holdFolder(join(world.folder, 'work'))
    try {
      for (const verb of ['create', 'validate', 'stage-transfer', 'publish', 'build']) {
        const { code, err } = await world.cratewright(verb, 'wards')
        assert.equal(code, 1, verb)
        assert.match(err, /\[FolderHeld\]/)
      }
    } finally {
      await hold.release()
    }
    const { code, err } = await world.cratewright('publish', 'unheard-of')
    assert.equal(code, 2)
    assert.match(err, /unheard-of.*\[DocumentMissing\]/)
  })
})
