import assert from 'node:assert/strict'
import type { Context, Kind, Plan, Resource } from '../../../controller/engine/kind.ts'
import { MemoryStore } from '../../../controller/engine/store/memory.ts'
import { platformKinds } from '../../../controller/kinds/platform/kinds.ts'
import { CratewrightError } from '../../../controller/runtime/errors.ts'
import { git } from '../../support/people.ts'
import { phaseOf, World } from '../../support/world.ts'

type Room = Parameters<typeof platformKinds>[0]

const fine: Room = {
  repositoryFindings: () => [],
  checkConnection: async () => {},
  checkStore: async () => {},
}

const specs: Record<string, unknown> = {
  Person: { displayName: 'Dana', emails: [], keys: ['a', 'b'] },
  Repository: { url: 'file:///x' },
  ApproverGroup: {
    phases: ['SignOff', 'Disclosure'],
    projects: [],
    sources: [],
    members: [{ person: 'dana' }],
    quorum: 1,
  },
  SourceConnection: { type: 'postgresql', host: 'db', port: 5432 },
  FileStore: { type: 'directory', staging: '/s', production: '/p' },
}

async function look(name: string, room: Partial<Room> = {}, { persons = ['dana'], connect = true } = {}) {
  const kinds = platformKinds({ ...fine, ...room })
  const kind = kinds.find(({ type }) => type.kind === name) as Kind
  const personKind = kinds.find(({ type }) => type.kind === 'Person') as Kind
  const store = new MemoryStore(() => false)
  const origin = { repository: 'platform', commit: 'a'.repeat(40), where: { file: 'x.yaml' } }
  const declared = persons.map(person => ({
    type: personKind.type,
    namespace: '',
    name: person,
    spec: specs.Person,
    problems: [],
    origin,
  }))
  store.replace('platform', origin.commit, { resources: declared, problems: [] })
  const resource = {
    type: kind.type,
    name: 'one',
    namespace: '',
    key: 'k',
    spec: specs[name],
    problems: [],
    origin,
  } as unknown as Resource
  const observed = await kind.observe(resource, { snapshot: store.snapshot(), connect } as Context)
  const plan: Plan = kind.plan(resource, observed)
  return { kind, plan, report: kind.report(resource, observed, plan) }
}

describe('a kind of the platform', () => {
  for (const [name, message] of [
    ['Person', '2 keys'],
    ['Repository', 'watching refs/heads/main'],
    ['ApproverGroup', '1 member, quorum 1, SignOff and Disclosure'],
    ['SourceConnection', 'postgresql at db:5432'],
    ['FileStore', 'directory, production in /p'],
  ] as const)
    it(`is Ready where nothing stands in its way: ${name}`, async () => {
      const { report, plan } = await look(name)
      assert.deepEqual(
        [report.ready, report.stalled, report.progressing, report.message],
        [true, false, false, message],
      )
      assert.deepEqual(plan, { steps: [], waits: [], later: [] })
    })

  it('says what stands in its way, and whether that can pass by itself', async () => {
    const down = new CratewrightError('GitUnreachable', 'the server is down')
    const denied = new CratewrightError('HostNotAllowed', 'the host is not listed')
    for (const [name, room, code, stalled] of [
      ['Repository', { repositoryFindings: () => [down] }, 'GitUnreachable', false],
      ['SourceConnection', { checkConnection: () => Promise.reject(denied) }, 'HostNotAllowed', true],
      ['FileStore', { checkStore: () => Promise.reject(new TypeError('patient 4711')) }, 'Internal', false],
    ] as const) {
      const { report, plan } = await look(name, room)
      assert.deepEqual([report.ready, report.reason, report.stalled], [false, code, stalled], name)
      assert.deepEqual(plan.steps, [])
      assert.equal(plan.waits[0]?.reason, code)
      assert.doesNotMatch(JSON.stringify([report, plan]), /4711/)
    }
  })

  it('names members of a group who are nobody', async () => {
    const { report, kind } = await look('ApproverGroup', {}, { persons: [] })
    assert.deepEqual([report.ready, report.reason], [false, 'DocumentInvalid'])
    assert.match(report.message, /member dana is not a declared Person/)
    assert.deepEqual(
      kind.references({} as Resource).map(reference => [reference.named, reference.type.kind]),
      [[false, 'Person']],
      'it looks again when a Person changes',
    )
  })

  it('is not connected to where nothing may be', async () => {
    const room = { checkConnection: () => assert.fail('it must not connect') }
    assert.equal((await look('SourceConnection', room, { connect: false })).report.ready, true)
  })
})

describe('the platform repository', () => {
  it('is applied up to what its admins signed, says so, and stops nobody by one bad document', async () => {
    const world = await World.make()
    await world.ask('asthma')
    await world.run()
    const good = await git(world.bare('platform'), 'rev-parse', 'main')

    // Somebody who can push, but not sign, makes themselves an approver.
    const group = structuredClone(world.platform()['approvers.yaml']) as { spec: { members: object[] } }[]
    group[0]!.spec.members.push({ person: 'mallory' })
    const [ada] = world.platform()['people.yaml'] as object[]
    const mallory = { ...structuredClone(ada), metadata: { name: 'mallory' } }
    await world.declare({ 'approvers.yaml': group, 'zz-mallory.yaml': [mallory] }, { sign: false })
    const statuses = await world.run({
      inspect: async ({ platform, store }) => {
        assert.equal(platform.commit, good)
        assert.equal(platform.problem?.code, 'UntrustedCommit')
        assert.ok(!store.keys().some(key => key.endsWith('/mallory')))
      },
    })
    assert.equal(phaseOf(statuses.get('asthma')), 'Validated')
    assert.doesNotMatch(JSON.stringify([...statuses]), /mallory/)

    // An admin's signature on top does not answer for what was pushed below it.
    await world.declare({ 'stores.yaml': world.platform()['stores.yaml']!, 'extra.yaml': [] })
    await world.run({
      inspect: async ({ platform, store }) => {
        assert.equal(platform.problem?.code, 'UntrustedCommit')
        assert.ok(!store.keys().some(key => key.endsWith('/mallory')))
      },
    })
  })

  it('has errors in one document: the others are applied, and nothing is approved meanwhile', async () => {
    const world = await World.make()
    await world.ask('asthma')
    await world.run()
    await world.declare({ 'broken.yaml': [{ kind: 'Person', metadata: { name: 'zed' }, spec: { unknown: 1 } }] })
    assert.equal((await world.signOff('dana', 'asthma')).code, 0)
    const statuses = await world.run()
    assert.equal(statuses.get('asthma')?.report.reason, 'PlatformInvalid')
    assert.match(statuses.get('asthma')?.report.message ?? '', /broken.yaml/)
    assert.equal(statuses.get('dana')?.report.ready, true)
    await git(world.clone('ada', 'platform'), 'rm', '--quiet', 'broken.yaml')
    await world.declare({})
    assert.equal(phaseOf((await world.run()).get('asthma')), 'Staged')
  })
})
