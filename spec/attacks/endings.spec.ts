/** What a review of how requests end has found, each as it was shown: none of it may come back. */

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { git } from '../support/people.ts'
import { patients, phaseOf, World } from '../support/world.ts'

const tables = [{ name: 'cohort', tables: [patients] }]
const ahead = (days: number) => ({ now: () => new Date(Date.now() + days * 86_400_000) })

describe('the end of a request under attack', function () {
  this.timeout(180_000)
  let world: World
  before(async () => {
    world = await World.make()
  })

  const governance = (project: string, change: object) => {
    const path = `projects/${project}/resources/governance/cr8-governance.yaml`
    return { [path]: world.requestFiles(project, tables, { governance: change })[path]! }
  }
  const end = (...projects: string[]) => {
    const files = world.platform()
    const [repository] = files['repositories.yaml'] as { spec: { ended?: object[] } }[]
    repository!.spec.ended = projects.map(project => ({ project, reason: 'over' }))
    return world.declare({ 'repositories.yaml': [repository] })
  }
  let auditors = 0
  const verify = async () => world.cratewright('verify', await world.auditor(`auditor-${++auditors}`))

  it('counts no vote about outputs that were extracted again since', async () => {
    const group = (phase: string, quorum: number) => ({
      kind: 'ApproverGroup',
      metadata: { name: phase.toLowerCase() },
      spec: {
        ...{ phases: [phase], projects: ['*'], sources: ['*'], quorum },
        members: [{ person: 'dana' }, { person: 'ada' }],
      },
    })
    await world.declare({ 'approvers.yaml': [group('SignOff', 1), group('Disclosure', 2)] })
    await world.walk('again', 'Staged')
    await world.disclose('dana', 'again')
    await world.run()
    await world.signOff('dana', 'again', '--withdraw', '--reason', 'wait')
    assert.equal(phaseOf((await world.run()).get('again')), 'Validated')
    await world.postgres.load(world.database, "insert into clinic.patients (id, name) values (999, 'new')")
    await world.signOff('dana', 'again')
    await world.run()
    await world.disclose('ada', 'again')
    assert.equal(phaseOf((await world.run()).get('again')), 'Staged', 'dana has not seen these outputs')
    await world.declare({ 'approvers.yaml': world.platform()['approvers.yaml']! })
  })

  it('ends no release by a content that nobody approved', async () => {
    await world.walk('victim')
    await world.commit('eve', governance('victim', { release: 2, end_date: '2020-01-01' }), { sign: false })
    assert.equal(phaseOf((await world.run()).get('victim')), 'Expired')
    assert.ok(existsSync(world.release('victim')))
    assert.ok(!(await world.steps('victim')).includes('revoke started'))
  })

  it('extends no release by a content that nobody approved', async () => {
    const end_date = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)
    await world.commit('rob', world.requestFiles('longer', tables, { governance: { end_date } }))
    await world.run()
    await world.signOff('dana', 'longer')
    await world.run()
    await world.disclose('dana', 'longer')
    await world.run()
    assert.ok(existsSync(world.release('longer')))
    for (const release of [2, 1]) {
      await world.commit('eve', governance('longer', { release, end_date: '2099-01-01' }), { sign: false })
      await world.run()
    }
    await world.run({ clock: ahead(30) })
    assert.ok(!existsSync(world.release('longer')))
  })

  it('stays ended, whatever is asked for before it could be carried out', async () => {
    await world.walk('kept')
    const store = world.platform()['stores.yaml']!
    await world.declare({ 'stores.yaml': [] })
    await end('kept')
    await world.run()
    await end()
    await world.commit('rob', governance('kept', { release: 2 }))
    await world.run()
    await world.declare({ 'stores.yaml': store })
    await world.run()
    assert.ok(!existsSync(world.release('kept')))
  })

  it('says that nothing was done where the store is not mounted', async () => {
    await world.walk('away')
    const production = join(world.folder, 'production')
    renameSync(production, `${production}.off`)
    mkdirSync(production)
    await end('away')
    await world.run()
    const status = (await world.run({ clock: ahead(8) })).get('away')
    assert.match(status?.report.message ?? '', /release 1 is not in /)
    assert.ok(!(await world.steps('away')).includes('revoke done'))
    rmSync(production, { recursive: true })
    renameSync(`${production}.off`, production)
    await world.run()
    assert.ok(!existsSync(world.release('away')))
    await end()
  })

  it('lets no files hide the statement of somebody who may approve', async () => {
    await world.walk('hidden', 'Validated')
    await world.signOff('dana', 'hidden')
    await git(world.clone('eve'), 'pull', '--quiet', '--rebase', 'origin', 'main')
    const path = await git(world.clone('eve'), 'ls-files', 'projects/hidden/sign-offs/*/sign-off-dana.yaml')
    const folder = path.trim().slice(0, path.lastIndexOf('/'))
    const junk = Array.from({ length: 60 }, (_, index) => [`${folder}/a${index}/sign-off-dana.yaml`, 'x\n'])
    await world.commit('eve', Object.fromEntries(junk) as Record<string, string>, { sign: false })
    assert.equal(phaseOf((await world.run()).get('hidden')), 'Staged')
  })

  it('hears who takes something back, whatever lies on the branch by then, and an auditor agrees', async () => {
    await world.walk('broken')
    const path = 'projects/broken/resources/deployment/cr8-deployment.yaml'
    await world.commit('eve', { [path]: 'not: [a document\n' }, { sign: false })
    await world.run()
    const said = await world.disclose('dana', 'broken', 'withdraw', '--reason', 'a name slipped through')
    assert.equal(said.code, 0, said.err)
    await world.run()
    assert.ok(!existsSync(world.release('broken')))
    // The same of a request that nobody can be told to have written.
    await world.commit('rob', world.requestFiles('unsigned', tables), { sign: false })
    await world.run()
    await git(world.clone('rob'), 'pull', '--quiet', '--rebase', 'origin', 'main')
    const own = ['--clone', world.clone('rob'), '--key', world.people.rob.keyFile, '--push', '--reason', 'a mistake']
    assert.equal((await world.cratewright('withdraw', 'unsigned', ...own)).code, 0)
    assert.equal(phaseOf((await world.run()).get('unsigned')), 'Withdrawn')
  })

  it('lets nobody take a request back by a content that was not approved', async () => {
    await world.walk('theirs')
    await world.commit('dana', governance('theirs', { requester: 'dana' }))
    await world.run()
    await git(world.clone('dana'), 'pull', '--quiet', '--rebase', 'origin', 'main')
    const own = ['--clone', world.clone('dana'), '--key', world.people.dana.keyFile, '--push', '--reason', 'mine']
    await world.cratewright('withdraw', 'theirs', ...own)
    assert.equal(phaseOf((await world.run()).get('theirs')), 'Published')
    assert.ok(existsSync(world.release('theirs')))
  })

  it('names no address of a project user in what changed', async () => {
    await world.walk('people')
    const users = [{ username: 'zoe', email: 'zoe@canary.example' }]
    await world.commit('rob', governance('people', { release: 2, users }))
    await world.run()
    const changed = JSON.stringify((await world.log('people')).filter(({ action }) => action === 'change'))
    assert.match(changed, /added {3}governance\.users\[zoe\]\.email/)
    assert.doesNotMatch(changed, /canary/)
  })

  it('leaves nothing that an auditor calls bad', async () => {
    const { code, out, err } = await verify()
    assert.equal(code, 0, out + err)
  })
})
