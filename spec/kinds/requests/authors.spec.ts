import assert from 'node:assert/strict'
import type { StoredStatus } from '../../../controller/engine/store/store.ts'
import { git } from '../../support/people.ts'
import { startPostgres } from '../../support/postgres.ts'
import { patients, phaseOf, World } from '../../support/world.ts'
import {
  commitTree,
  explained,
  type Gate,
  openGate,
  preparedStatement,
  reasonsOf,
  requestDetail,
  signed,
  treeWith,
} from './helpers.ts'

const cohort = [{ name: 'cohort', tables: [patients] }]

describe('a request that was written by nobody known', () => {
  let world: World
  let gate: Gate
  let base: string
  let unsigned: string
  let foreign: string

  before(async () => {
    gate = await openGate((await startPostgres()).port)
    world = await World.make({ manifests })
    base = await git(world.bare('projects'), 'rev-parse', 'refs/heads/main')
    unsigned = await world.commit('rob', world.requestFiles('unsigned', cohort), { sign: false })
    foreign = await world.commit('eve', world.requestFiles('foreign', cohort))
  })

  after(() => gate.close())

  function manifests(made: World): Record<string, unknown[]> {
    const [source] = made.platform()['sources.yaml'] as { kind: string; metadata: object; spec: object }[]
    return { 'sources.yaml': [{ ...source, spec: { ...source?.spec, port: gate.port } }] }
  }

  it('is Unattributed, named with the commit, and the source is not asked', async () => {
    const statuses = await world.run()
    const why = { unsigned: 'is not signed', foreign: 'is signed by a key that belongs to nobody registered' }
    for (const [project, commit] of Object.entries({ unsigned, foreign })) {
      const status = statuses.get(project)
      assert.deepEqual(reasonsOf(status), ['Unattributed'])
      const message = `commit ${commit} ${why[project as keyof typeof why]}`
      assert.ok(status?.report.message.startsWith(message), status?.report.message ?? '')
      assert.deepEqual(await world.steps(project), ['create noted'])
      const text = await explained(world, project)
      assert.ok(text.includes(`Waiting: ${message}`), text)
      assert.match(text, /To do: Remove the request in a commit, and add it again in another one that is signed/)
    }
    assert.equal(gate.connections, 0)
  })

  it('is not healed by a signed commit on top', async () => {
    const files = world.requestFiles('unsigned', cohort, { governance: { purpose: 'signed this time' } })
    await world.commit('rob', files)
    await world.cratewright('reconcile', 'unsigned')
    const status = (await world.run()).get('unsigned')
    assert.deepEqual(reasonsOf(status), ['Unattributed'])
    assert.ok(status?.report.message.startsWith(`commit ${unsigned} is not signed`), status?.report.message ?? '')
    assert.equal(gate.connections, 0)
  })

  it('is healed where its history is written again, signed', async () => {
    const tree = await git(world.bare('projects'), 'rev-parse', 'refs/heads/main^{tree}')
    await commitTree(world, 'rob', tree, [base])
    const statuses = await world.run()
    for (const project of ['unsigned', 'foreign']) {
      assert.equal(phaseOf(statuses.get(project)), 'Validated')
      const [change] = (await world.log(project)).filter(({ action }) => action === 'change').slice(-1)
      assert.equal(change?.facts?.because, 'history')
    }
    assert.ok(gate.connections > 0)
  })
})

describe('a merge of a request', () => {
  let world: World
  let statuses: Map<string, StoredStatus>

  before(async () => {
    world = await World.make({ manifests })
    await merge('clean')
    await merge('changing', { purpose: 'what ada wants' })
    await merge('by-a-stranger')
    await bringBack('brought-back')
    statuses = await world.run()
    const projects = ['clean', 'changing', 'by-a-stranger', 'brought-back']
    const { ada } = world.people
    const made = await Promise.all(
      projects.map(async project =>
        signed(project, { ...(await preparedStatement(world, project)), person: 'ada' }, ada.key),
      ),
    )
    await world.commit('ada', Object.assign({}, ...made))
    statuses = await world.run()
  })

  function manifests(made: World): Record<string, unknown[]> {
    const spec = { phases: ['SignOff', 'Disclosure'], projects: ['*'], sources: ['*'], members: [{ person: 'ada' }] }
    return { ...made.platform(), 'approvers.yaml': [{ kind: 'ApproverGroup', metadata: { name: 'admins' }, spec }] }
  }

  /** Rob asks on a branch, main moves on, and it is merged: plainly, or with a change of the merge’s own. */
  async function merge(project: string, change?: object): Promise<void> {
    const bare = world.bare('projects')
    const wish = await world.commit('rob', world.requestFiles(project, cohort), { branch: `wish-${project}` })
    const main = await world.commit('ada', { 'README.md': `before ${project}\n` })
    const merged = await git(bare, 'merge-tree', '--write-tree', main, wish)
    const path = `projects/${project}/resources/governance/cr8-governance.yaml`
    const content = world.requestFiles(project, cohort, { governance: change ?? {} })[path]!
    const tree = await treeWith(world, merged, change ? [{ path, mode: '100644', content }] : [])
    await commitTree(world, project === 'by-a-stranger' ? 'eve' : 'ada', tree, [main, wish], `Merge ${project}`)
  }

  /** Rob changes his request, and a merge with a branch from before that leaves the old one in place. */
  async function bringBack(project: string): Promise<void> {
    const bare = world.bare('projects')
    const old = await world.commit('rob', world.requestFiles(project, cohort))
    const side = await world.commit('ada', { 'NOTES.md': 'aside\n' }, { branch: 'aside' })
    const changed = await treeWith(
      world,
      old,
      Object.entries(world.requestFiles(project, cohort, { governance: { purpose: 'newer' } })).map(
        ([path, content]) => ({ path, mode: '100644', content }),
      ),
    )
    const main = await commitTree(world, 'rob', changed, [old])
    await commitTree(world, 'ada', await git(bare, 'rev-parse', `${side}^{tree}`), [main, side], 'Merge aside')
    await git(world.clone('ada'), 'reset', '--quiet', '--hard', 'HEAD~1')
  }

  for (const project of ['clean', 'by-a-stranger']) {
    it(`makes nobody its author where it brings nothing of its own: ${project}`, () => {
      const { statements } = requestDetail(statuses.get(project))
      assert.equal(phaseOf(statuses.get(project)), 'Staged', JSON.stringify(statements))
    })
  }

  for (const project of ['changing', 'brought-back']) {
    it(`makes whoever made it an author where it decides the content: ${project}`, () => {
      const { phase, statements } = requestDetail(statuses.get(project))
      assert.equal(phase, 'Validated')
      assert.deepEqual(
        statements.map(({ reason }) => reason),
        ['ada wrote this request, and nobody approves their own request'],
      )
      assert.deepEqual(reasonsOf(statuses.get(project)), ['NobodyCanApprove', 'NobodyCanApprove'])
    })
  }
})
