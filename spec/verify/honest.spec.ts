/** What honest work leaves behind, odd as it may look, is no tampering. */

import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { commitAll, git, makePerson, push } from '../support/people.ts'
import { costs, patients, phaseOf, World } from '../support/world.ts'
import { rootOf, verdictOf } from './forge.ts'

const clean = { code: 0, verdict: 'proven', bad: [], unchecked: [] }
let clones = 0

async function assertProven(world: World, ...bags: string[]): Promise<void> {
  const auditor = await world.auditor(`auditor-${++clones}`)
  for (const target of [auditor, ...bags]) {
    const { roots, ...verdict } = await verdictOf(world, target)
    assert.deepEqual(verdict, clean, target)
    assert.deepEqual(roots, [rootOf(world)])
  }
}

const oneTable = [{ name: 'money', tables: [costs] }]
const otherTable = [{ name: 'money', tables: [{ name: 'costs', columns: { patient: 'integer' } }] }]
const asRelease = (release: number) => ({ governance: { release } })

describe('records of honest work', () => {
  let world: World

  before(async () => {
    world = await World.make()
  })

  async function approve(project: string): Promise<void> {
    await world.run()
    assert.equal((await world.signOff('dana', project)).code, 0)
    await world.run()
    assert.equal((await world.disclose('dana', project)).code, 0)
    assert.equal(phaseOf((await world.run()).get(project)), 'Published')
  }

  it('are proven after two releases', async () => {
    await world.commit('rob', world.requestFiles('twice', oneTable))
    await approve('twice')
    await world.commit('rob', world.requestFiles('twice', otherTable, asRelease(2)))
    await approve('twice')
    await assertProven(world, world.release('twice', 1), world.release('twice', 2))
  })

  it('are proven after a rejected sign-off, a rejected disclosure, and a request that was changed and approved then', async () => {
    for (const project of ['refused', 'withheld']) await world.commit('rob', world.requestFiles(project, oneTable))
    await world.run()
    await world.signOff('dana', 'refused', '--reject', '--reason', 'too much')
    await world.signOff('dana', 'withheld')
    await world.run()
    await world.disclose('dana', 'withheld', 'reject', '--reason', 'too few')
    const statuses = await world.run()
    assert.deepEqual([phaseOf(statuses.get('refused')), phaseOf(statuses.get('withheld'))], ['Rejected', 'Rejected'])
    await assertProven(world)
    await world.commit('rob', world.requestFiles('refused', otherTable))
    await approve('refused')
    await assertProven(world, world.release('refused'))
  })

  it('are proven after an approval was void and renewed', async () => {
    await world.commit('rob', world.requestFiles('renewed', oneTable))
    await world.run()
    await world.signOff('dana', 'renewed')
    await world.run()
    await world.commit('rob', world.requestFiles('renewed', otherTable))
    await approve('renewed')
    assert.ok((await world.log('renewed')).some(({ error }) => error?.code === 'ApprovalVoid'))
    await assertProven(world, world.release('renewed'))
  })

  it('are proven after a step that was retried, then abandoned, and a folder that was withdrawn', async () => {
    await world.commit('rob', world.requestFiles('abandoned', oneTable))
    const password = `canary-password-${world.database}`
    const setPassword = (to: string) =>
      world.postgres.query(world.database, `alter role reader_${world.database} password '${to}'`)
    await setPassword('another')
    await world.run()
    await setPassword(password)
    const retried = await world.steps('abandoned')
    assert.deepEqual(retried, ['create noted', 'validate started', 'error noted'])
    await assertProven(world)
    await world.commit('rob', world.requestFiles('abandoned', otherTable))
    await world.run()
    assert.ok((await world.steps('abandoned')).includes('validate abandoned'), String(await world.steps('abandoned')))
    await assertProven(world)
    await git(world.clone('rob'), 'pull', '--quiet', '--rebase', 'origin', 'main')
    rmSync(join(world.clone('rob'), 'projects/abandoned'), { recursive: true })
    rmSync(join(world.clone('rob'), 'projects/twice'), { recursive: true })
    await commitAll(world.clone('rob'), 'Withdraw', world.people.rob)
    await push(world.clone('rob'))
    await world.run()
    await assertProven(world)
  })

  it('are proven with merge commits, also of a request that grew on a branch of its own', async () => {
    const clone = world.clone('rob')
    await git(clone, 'pull', '--quiet', '--rebase', 'origin', 'main')
    await git(clone, 'checkout', '--quiet', '-b', 'side')
    await world.commit('rob', world.requestFiles('merged', oneTable), { branch: 'side' })
    await world.commit('dana', { 'README.md': 'more\n' })
    await git(clone, 'fetch', '--quiet', 'origin')
    await git(clone, 'checkout', '--quiet', 'main')
    await git(clone, 'reset', '--quiet', '--hard', 'origin/main')
    await git(clone, 'merge', '--quiet', '--no-ff', '-m', 'Merge', 'side')
    await push(clone)
    await approve('merged')
    await assertProven(world, world.release('merged'))
  })

  it('are proven after the approver left the group between the two approvals', async () => {
    await world.commit('rob', world.requestFiles('handed', oneTable))
    await world.run()
    await world.signOff('dana', 'handed')
    await world.run()
    const [group] = world.platform()['approvers.yaml'] as [{ spec: object }]
    await world.declare({ 'approvers.yaml': [{ ...group, spec: { ...group.spec, members: [{ person: 'ada' }] } }] })
    await world.run()
    await world.disclose('ada', 'handed', 'approve', '--as', 'ada')
    assert.equal(phaseOf((await world.run()).get('handed')), 'Published')
    await assertProven(world, world.release('handed'))
    await world.declare(world.platform())
  })

  it('are proven after the platform moved on: the approver left the group, has another key, was removed', async () => {
    const { people } = world
    const platform = world.platform()
    const [group] = platform['approvers.yaml'] as [{ spec: object }]
    const members = [{ person: 'rob' }]
    await world.declare({ 'approvers.yaml': [{ ...group, spec: { ...group.spec, members, quorum: 2 } }] })
    await world.run()
    await assertProven(world, world.release('twice'))
    const renewed = makePerson('dana', join(world.folder, 'people/dana-again'))
    const persons = platform['people.yaml'] as { metadata: { name: string }; spec: object }[]
    const withKeys = persons.map(one =>
      one.metadata.name === 'dana' ? { ...one, spec: { ...one.spec, keys: [renewed.publicKey] } } : one,
    )
    await world.declare({ 'people.yaml': withKeys })
    await world.run()
    await assertProven(world, world.release('twice'))
    // Now dana has the address of somebody who used the data, and rob, who wrote the requests, is unknown.
    const dana = {
      ...persons[2],
      spec: { displayName: 'd', emails: [people.rob.email], keys: [people.dana.publicKey] },
    }
    await world.declare({ 'people.yaml': [persons[0], dana] })
    await world.run()
    await assertProven(world, world.release('twice'))
  })
})

describe('records of a repository that is one request, approved by two groups', () => {
  it('are proven', async () => {
    const world = await World.make({
      manifests: world => {
        const platform = world.platform()
        const [repository] = platform['repositories.yaml'] as [{ spec: object }]
        const [group] = platform['approvers.yaml'] as [{ spec: object }]
        const second = {
          phases: ['SignOff'],
          projects: ['alone'],
          sources: ['warehouse'],
          members: [{ person: 'ada' }],
        }
        return {
          'repositories.yaml': [{ ...repository, spec: { ...repository.spec, requests: '.' } }],
          'approvers.yaml': [group, { kind: 'ApproverGroup', metadata: { name: 'second' }, spec: second }],
        }
      },
    })
    const files = Object.entries(world.requestFiles('alone', [{ name: 'people', tables: [patients] }, ...oneTable]))
    await world.commit(
      'rob',
      Object.fromEntries(files.map(([path, text]) => [path.replace('projects/alone/', ''), text])),
    )
    await world.run()
    for (const person of ['dana', 'ada'] as const) {
      assert.equal((await world.signOff(person, 'alone', '--as', person)).code, 0)
      await world.run()
    }
    assert.equal((await world.disclose('dana', 'alone')).code, 0)
    assert.equal(phaseOf((await world.run()).get('alone')), 'Published')
    await assertProven(world, world.release('alone'))
  })
})
