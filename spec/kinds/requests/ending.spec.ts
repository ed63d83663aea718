import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../../../controller/cli/run.ts'
import { formatStatement, type Statement, signStatement } from '../../../controller/records/statement.ts'
import { parseYaml } from '../../../controller/schema/yaml.ts'
import { commitAll, git, push } from '../../support/people.ts'
import { patients, phaseOf, visits, World } from '../../support/world.ts'

const tables = [{ name: 'cohort', tables: [patients, visits] }]
const day = 86_400_000

/** A clock that is ahead by so many days. */
const ahead = (days: number) => ({ now: () => new Date(Date.now() + days * day) })

describe('how a request ends', function () {
  this.timeout(120_000)
  let world: World

  before(async () => {
    world = await World.make()
  })

  /** Signs what lies in `prepared/` on the records branch, and pushes it. */
  async function say(
    person: 'rob' | 'dana' | 'eve',
    project: string,
    prepared: string,
    decision: Statement['decision'],
    name = `${prepared}-${person}`,
  ) {
    const text = await git(
      world.bare('projects'),
      'show',
      `refs/heads/cratewright/records:projects/${project}/prepared/${prepared}.yaml`,
    )
    const subject = parseYaml(Buffer.from(text), 'prepared').documents[0]?.value as Statement
    const statement = Buffer.from(formatStatement({ ...subject, person, decision, reason: 'as the spec wants' }))
    const base = `projects/${project}/sign-offs/${subject.digests.request.slice(0, 16)}/${name}.yaml`
    const signature = signStatement(world.people[person].key, statement)
    await world.commit(person, { [base]: statement, [`${base}.sig`]: signature })
  }

  const platform = (change: { ended?: object[]; deletion?: object }) => {
    const files = world.platform()
    const [repository] = files['repositories.yaml'] as { spec: object }[]
    const [store] = files['stores.yaml'] as { spec: object }[]
    Object.assign(repository!.spec, change.ended ? { ended: change.ended } : {})
    Object.assign(store!.spec, change.deletion ? { deletion: change.deletion } : {})
    return world.declare({ 'repositories.yaml': [repository], 'stores.yaml': [store] })
  }

  const staged = (project: string) =>
    readdirSync(join(world.folder, 'staging', project)).filter(name => name !== 'owner')
  const revoked = (project: string) => join(world.folder, 'production', '.revoked', project, '1')

  it('destroys what was staged when the disclosure is rejected, on record', async () => {
    await world.walk('rejected', 'Staged')
    assert.ok(staged('rejected').length > 0)
    await world.disclose('dana', 'rejected', 'reject', '--reason', 'small groups')
    const status = (await world.run()).get('rejected')
    assert.equal(phaseOf(status), 'Rejected')
    assert.deepEqual(staged('rejected'), [])
    assert.deepEqual((await world.steps('rejected')).slice(-3), ['disclosure noted', 'destroy started', 'destroy done'])
  })

  it('goes back to the sign-off when an approval is taken back, and stages again once it is approved again', async () => {
    await world.walk('regret', 'Staged')
    const taken = await world.signOff('dana', 'regret', '--withdraw', '--reason', 'the ethics vote was revoked')
    assert.equal(taken.code, 0, taken.err)
    assert.equal(phaseOf((await world.run()).get('regret')), 'Validated')
    assert.deepEqual(staged('regret'), [])
    await world.signOff('dana', 'regret')
    assert.equal(phaseOf((await world.run()).get('regret')), 'Staged')
  })

  it('is rejected after all by one reject, whenever it comes before publishing', async () => {
    await world.walk('late', 'Staged')
    await say('dana', 'late', 'withdraw-sign-off', 'reject')
    const status = (await world.run()).get('late')
    assert.equal(phaseOf(status), 'Rejected')
    assert.deepEqual(staged('late'), [])
  })

  it('is taken back by who asks for it, and by nobody else who can push', async () => {
    await world.walk('back', 'Staged')
    await say('eve', 'back', 'withdraw-request', 'withdraw')
    assert.equal(phaseOf((await world.run()).get('back')), 'Staged')
    await git(world.clone('rob'), 'pull', '--quiet', '--rebase', 'origin', 'main')
    const own = ['--clone', world.clone('rob'), '--key', world.people.rob.keyFile, '--push']
    assert.equal((await world.cratewright('withdraw', 'back', ...own)).code, 2, 'a reason is asked for')
    const said = await world.cratewright('withdraw', 'back', ...own, '--reason', 'as the spec wants')
    assert.equal(said.code, 0, said.err)
    const status = (await world.run()).get('back')
    assert.equal(phaseOf(status), 'Withdrawn')
    assert.match(status?.report.message ?? '', /rob took this request back: as the spec wants/)
    assert.deepEqual(staged('back'), [])
    // Asked again, it begins again.
    await world.commit('rob', world.requestFiles('back', tables, { governance: { purpose: 'again' } }))
    assert.equal(phaseOf((await world.run()).get('back')), 'Validated')
  })

  it('calls a release back when an approver does: access at once, the data after its days', async () => {
    await world.walk('recalled')
    assert.ok(existsSync(world.release('recalled')))
    const said = await world.disclose('dana', 'recalled', 'withdraw', '--reason', 'a name slipped through')
    assert.equal(said.code, 0, said.err)
    const status = (await world.run()).get('recalled')
    assert.equal(phaseOf(status), 'Recalled')
    assert.ok(!existsSync(world.release('recalled')))
    assert.ok(existsSync(join(revoked('recalled'), 'data')))
    assert.equal(statSync(join(world.folder, 'production', '.revoked')).mode & 0o777, 0o700)
    assert.ok(status?.waits.some(({ reason, until }) => reason === 'WaitingForDestruction' && until !== undefined))
    assert.equal(phaseOf((await world.run({ clock: ahead(8) })).get('recalled')), 'Recalled')
    assert.ok(!existsSync(revoked('recalled')))
    assert.deepEqual((await world.steps('recalled')).slice(-6), [
      'statement noted',
      'recall noted',
      'revoke started',
      'revoke done',
      'destroy started',
      'destroy done',
    ])
    // The next release takes the next number.
    await world.commit('rob', world.requestFiles('recalled', tables, { governance: { release: 2 } }))
    await world.run()
    await world.signOff('dana', 'recalled')
    await world.run()
    await world.disclose('dana', 'recalled')
    assert.equal(phaseOf((await world.run()).get('recalled')), 'Published')
    assert.ok(existsSync(world.release('recalled', 2)))
  })

  it('expires on the day the agreement ends, even when its folder is gone by then', async () => {
    const until = new Date(Date.now() + day).toISOString().slice(0, 10)
    await world.commit('rob', world.requestFiles('expiring', tables, { governance: { end_date: until } }))
    await world.run()
    await world.signOff('dana', 'expiring')
    await world.run()
    await world.disclose('dana', 'expiring')
    assert.equal(phaseOf((await world.run()).get('expiring')), 'Published')
    await git(world.clone('rob'), 'pull', '--quiet', '--rebase', 'origin', 'main')
    await git(world.clone('rob'), 'rm', '-rq', 'projects/expiring')
    await commitAll(world.clone('rob'), 'Remove it', world.people.rob)
    await push(world.clone('rob'))
    const missing = (await world.run()).get('expiring')
    assert.equal(phaseOf(missing), 'Missing')
    assert.ok(existsSync(world.release('expiring')))
    await world.run({ clock: ahead(3) })
    assert.ok(!existsSync(world.release('expiring')))
    assert.ok((await world.steps('expiring')).includes('expire noted'))
  })

  it('is ended by an admin, or one release of it, and stays so while it is listed', async () => {
    await world.walk('ended')
    await world.walk('one-release')
    await platform({
      ended: [
        { project: 'ended', reason: 'the agreement was terminated' },
        { project: 'one-release', release: 1, reason: 'a mistake' },
      ],
      deletion: { policy: 'Retain' },
    })
    const statuses = await world.run()
    assert.equal(phaseOf(statuses.get('ended')), 'Withdrawn')
    assert.equal(phaseOf(statuses.get('one-release')), 'Recalled')
    for (const project of ['ended', 'one-release']) {
      assert.ok(!existsSync(world.release(project)))
      assert.ok(existsSync(revoked(project)), 'what is retained is kept')
      assert.ok(statuses.get(project)?.waits.some(({ reason }) => reason === 'Retained'))
    }
    await world.commit('rob', world.requestFiles('ended', tables, { governance: { release: 2 } }))
    assert.match((await world.run()).get('ended')?.waits[0]?.message ?? '', /an admin ended this request/)
    await platform({ ended: [], deletion: { policy: 'Delete', afterDays: 0 } })
    assert.equal(phaseOf((await world.run()).get('ended')), 'Validated')
    assert.ok(!existsSync(revoked('ended')))
  })

  it('is all in order for an auditor', async () => {
    const clone = await world.auditor()
    const lines: string[] = []
    const code = await runCommand(['verify', clone], {
      ...{ out: (text: string) => void lines.push(text), err: (text: string) => void lines.push(text) },
      ...{ interactive: false, env: {}, signal: new AbortController().signal },
    })
    assert.equal(code, 0, lines.join('\n'))
  })
})
