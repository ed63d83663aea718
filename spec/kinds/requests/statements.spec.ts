import assert from 'node:assert/strict'
import type { StoredStatus } from '../../../controller/engine/store/store.ts'
import { encodeEntry } from '../../../controller/records/log.ts'
import { formatStatement, type Statement } from '../../../controller/records/statement.ts'
import { sha256Hex } from '../../../controller/runtime/canonical.ts'
import { signSsh } from '../../../controller/runtime/sshsig.ts'
import { patients, phaseOf, World } from '../../support/world.ts'
import { approveAll, explained, preparedStatement, reasonsOf, record, requestDetail, signed } from './helpers.ts'

type Files = Record<string, string>

interface Row {
  readonly project: string
  /** The statement files, from the honest statement that dana would sign. */
  readonly make: (world: World, honest: Statement) => Files | Promise<Files>
  /** Why each file does not count, in the order of their paths. */
  readonly because: readonly RegExp[]
}

const cohort = [{ name: 'cohort', tables: [patients] }]
const day = 24 * 60 * 60 * 1000
const date = (days: number) => new Date(Date.now() + days * day).toISOString().slice(0, 10)

const dana = (world: World) => world.people.dana.key

/** Dana, with one field or more of the statement other than it was prepared, and a good signature over that. */
function but(
  change: (honest: Statement, world: World) => Partial<Statement> | Promise<Partial<Statement>>,
): Row['make'] {
  return async (world, honest) =>
    signed(honest.project, { ...honest, ...(await change(honest, world)) }, dana(world), 'sign-off-dana')
}

const rows: readonly Row[] = [
  {
    project: 'edited',
    make: (world, honest) => {
      const files = signed('edited', { ...honest, decision: 'reject', reason: 'no' }, dana(world))
      return Object.fromEntries(
        Object.entries(files).map(([path, text]) => [path, text.replace('decision: reject', 'decision: approve')]),
      )
    },
    because: [/its signature is not valid/],
  },
  {
    project: 'one-byte-more',
    make: (world, honest) => {
      const files = signed('one-byte-more', honest, dana(world))
      return Object.fromEntries(
        Object.entries(files).map(([path, text]) => [path, path.endsWith('.yaml') ? `${text}\n` : text]),
      )
    },
    because: [/its signature is not valid/],
  },
  {
    project: 'unsigned',
    make: (_, honest) => signed('unsigned', honest, undefined),
    because: [/there is no \.sig file/],
  },
  {
    project: 'empty-signature',
    make: (_, honest) => {
      const [[path, text] = ['', '']] = Object.entries(signed('empty-signature', honest, undefined))
      return { [path]: text, [`${path}.sig`]: '' }
    },
    because: [/its signature is not valid/],
  },
  {
    project: 'unknown-key',
    make: (world, honest) => signed('unknown-key', honest, world.people.eve.key),
    because: [/belongs to nobody registered \(SHA256:/],
  },
  {
    project: 'other-namespace',
    make: (world, honest) => {
      const [[path, text] = ['', '']] = Object.entries(signed('other-namespace', honest, undefined))
      return { [path]: text, [`${path}.sig`]: signSsh(dana(world), 'git', Buffer.from(text)) }
    },
    because: [/its signature is not valid/],
  },
  {
    project: 'other-signer',
    make: (world, honest) => signed('other-signer', honest, world.people.ada.key),
    because: [/it names dana and is signed by ada/],
  },
  {
    project: 'non-member',
    make: (world, honest) => signed('non-member', { ...honest, person: 'ada' }, world.people.ada.key),
    because: [/ada is in no group that may approve this/],
  },
  { project: 'other-project', make: but(() => ({ project: 'edited' })), because: [/it is for project edited$/] },
  {
    project: 'other-repository',
    make: but(() => ({ repository: 'elsewhere' })),
    because: [/for repository elsewhere$/],
  },
  {
    project: 'other-phase',
    make: but(() => ({ phase: 'Disclosure' })),
    because: [/it is for phase Disclosure, and the request waits for SignOff/],
  },
  { project: 'confirm-phase', make: but(() => ({ phase: 'Confirm' })), because: [/it is for phase Confirm, and/] },
  { project: 'other-release', make: but(() => ({ release: 2 })), because: [/it is for release 2$/] },
  {
    project: 'next-generation',
    make: but(() => ({ generation: 2 })),
    because: [/it is for generation 2 of the request/],
  },
  {
    project: 'other-digest',
    make: but(({ digests }) => ({ digests: { ...digests, request: 'a'.repeat(64) } })),
    because: [/its request digest is not that of what is to be approved/],
  },
  {
    project: 'other-scope',
    make: but(({ digests }) => ({ digests: { ...digests, scope: 'a'.repeat(64) } })),
    because: [/its scope digest is not that/],
  },
  {
    project: 'no-scope',
    make: but(({ digests: { request } }) => ({ digests: { request } })),
    because: [/its scope digest is not that/],
  },
  {
    project: 'outputs-in-advance',
    make: but(({ digests }) => ({ digests: { ...digests, outputs: 'a'.repeat(64) } })),
    because: [/its outputs digest is not that/],
  },
  {
    project: 'log-to-come',
    make: but(() => ({ log: { number: 99, sha256: 'a'.repeat(64) } })),
    because: [/it names a log entry 99 that never was/],
  },
  {
    project: 'log-made-up',
    make: but(({ log: { number } }) => ({ log: { number, sha256: 'a'.repeat(64) } })),
    because: [/it names a log entry 3 that never was/],
  },
  {
    project: 'log-before-validation',
    make: but(async (_, world) => {
      const [first] = await world.log('log-before-validation')
      assert.ok(first)
      return { log: { number: 1, sha256: sha256Hex(encodeEntry(first)) } }
    }),
    because: [/it was prepared at log entry 1, before entry 3 settled what is to be approved/],
  },
  { project: 'huge', make: but(() => ({ reason: 'x'.repeat(20_000) })), because: [/it has more than 16384 bytes/] },
  {
    project: 'not-yaml',
    make: () => ({ 'projects/not-yaml/sign-offs/x.yaml': 'a: [', 'projects/not-yaml/sign-offs/x.yaml.sig': 'x' }),
    because: [/it cannot be read: /],
  },
  {
    project: 'no-statement',
    make: () => ({ 'projects/no-statement/sign-offs/x.yaml': 'approve: yes\n' }),
    because: [/it cannot be read: /],
  },
  {
    project: 'unknown-field',
    make: but(honest => ({ ...honest, also: 'for everything else' })),
    because: [/it cannot be read: also is not a known field/],
  },
  {
    project: 'two-statements',
    make: (world, honest) => {
      const text = `${formatStatement(honest)}---\n${formatStatement({ ...honest, project: 'edited' })}`
      const path = 'projects/two-statements/sign-offs/x.yaml'
      return { [path]: text, [`${path}.sig`]: signSsh(dana(world), 'statement@cratewright.dev', Buffer.from(text)) }
    },
    because: [/it cannot be read: is not one YAML document/],
  },
  {
    project: 'withdrawn',
    make: but(() => ({ decision: 'withdraw' })),
    because: [/dana has given no approval that could be taken back/],
  },
  {
    project: 'member-no-more',
    make: but(() => ({})),
    because: [/dana is not a member of an approving group at this time/],
  },
  {
    project: 'member-soon',
    make: but(() => ({})),
    because: [/dana is not a member of an approving group at this time/],
  },
  {
    project: 'copied',
    make: (world, honest) => ({
      ...signed('copied', honest, dana(world), 'a'),
      ...signed('copied', honest, dana(world), 'b'),
    }),
    because: [/^$/, /it says what sign-offs\/[0-9a-f]{16}\/a\.yaml says already/],
  },
  {
    project: 'twice-by-one',
    make: (world, honest) => ({
      ...signed('twice-by-one', { ...honest, reason: 'first' }, dana(world), 'a'),
      ...signed('twice-by-one', { ...honest, reason: 'second' }, dana(world), 'b'),
    }),
    because: [/^$/, /it says what sign-offs\/[0-9a-f]{16}\/a\.yaml says already/],
  },
  { project: 'two-groups', make: but(() => ({})), because: [/^$/] },
  // Who asks, writes or uses. What is committed by ada has her as author, so that each row has one reason only.
  { project: 'by-author', make: byRob, because: [/rob wrote this request, and nobody approves their own request/] },
  { project: 'by-co-author', make: byRob, because: [/rob is named as co-author of this request, and nobody/] },
  { project: 'by-requester', make: byRob, because: [/rob asks for this data, and nobody/] },
  { project: 'by-user', make: byRob, because: [/rob is a user of this project, and nobody/] },
  { project: 'by-user-email', make: byRob, because: [/rob is a user of this project, and nobody/] },
]

function byRob(world: World, honest: Statement): Files {
  return signed(honest.project, { ...honest, person: 'rob' }, world.people.rob.key)
}

const user = (username: string, email = `${username}@uni.example`) => ({ username, email })

function manifests(made: World): Record<string, unknown[]> {
  const group = (name: string, members: object[], projects: string[], more: object = {}) => ({
    kind: 'ApproverGroup',
    metadata: { name },
    spec: { phases: ['SignOff', 'Disclosure'], projects, sources: ['*'], members, ...more },
  })
  const [person, rob] = [{ person: 'dana' }, { person: 'rob' }]
  const own = ['member-no-more', 'member-soon', 'copied', 'twice-by-one', 'two-groups', 'rejected']
  const common = rows.map(({ project }) => project).filter(project => !own.includes(project))
  return {
    ...made.platform(),
    'approvers.yaml': [
      group('governance', [person, rob], [...common, 'earlier-generation', 'crowded', 'honest']),
      group('past', [{ ...person, notAfter: date(-1) }, { person: 'ada' }], ['member-no-more']),
      group('future', [{ ...person, notBefore: date(2) }, { person: 'ada' }], ['member-soon']),
      group('pairs', [person, { person: 'ada' }], ['copied', 'twice-by-one', 'rejected'], { quorum: 2 }),
      group('first', [person], ['two-groups']),
      group('second', [{ person: 'ada' }], ['two-groups']),
    ],
    'platform-group.yaml': [group('platform', [person], ['platform'])],
  }
}

describe('statements', () => {
  let world: World
  let statuses: Map<string, StoredStatus>

  const ask = (project: string, governance: object = {}) => world.requestFiles(project, cohort, { governance })

  before(async () => {
    world = await World.make({ manifests })
    const outside = { requester: 'uma', users: [user('uma')] }
    const special = ['by-co-author', 'by-requester', 'by-user', 'by-user-email', 'by-author']
    const plain = [...rows.map(({ project }) => project), 'earlier-generation', 'crowded', 'rejected']
    await world.commit('ada', {
      ...ask('by-requester', { ...outside, requester: 'rob' }),
      ...ask('by-user', { ...outside, users: [user('uma'), user('rob')] }),
      ...ask('by-user-email', { ...outside, users: [user('uma'), user('robert', 'ROB@hospital.example')] }),
    })
    const message = 'Ask\n\nCo-authored-by: Rob <Rob@Hospital.example>'
    await world.commit('ada', ask('by-co-author', outside), { message })
    const others = plain.filter(project => !special.includes(project)).map(project => ask(project))
    await world.commit('rob', Object.assign(ask('by-author', outside), ...others))
    statuses = await world.run()
    const early = await preparedStatement(world, 'earlier-generation')
    const made: Files = signed('earlier-generation', early, dana(world))
    for (const { project, make } of rows)
      Object.assign(made, await make(world, await preparedStatement(world, project)))
    for (const person of ['dana', 'ada'] as const) {
      const honest = { ...(await preparedStatement(world, 'rejected')), person }
      const decision = person === 'dana' ? 'reject' : 'approve'
      Object.assign(made, signed('rejected', { ...honest, decision }, world.people[person].key))
    }
    Object.assign(made, signed('crowded', await preparedStatement(world, 'crowded'), dana(world)))
    for (let number = 0; number < 250; number++)
      made[`projects/crowded/sign-offs/0000/${String(number).padStart(3, '0')}.yaml`] = `${number}`
    // Whoever pushes a statement adds nothing to it: eve is nobody, and her commit is not signed.
    const files = { ...made, ...ask('earlier-generation', { purpose: 'another' }) }
    await world.commit('rob', ask('earlier-generation', { purpose: 'another' }))
    await world.commit('eve', files, { sign: false })
    statuses = await world.run()
  })

  for (const { project, because } of rows) {
    it(`count for nothing else than what they say, and that is named: ${project}`, async () => {
      const { phase, statements } = requestDetail(statuses.get(project))
      assert.equal(phase, 'Validated')
      const byPath = statements.toSorted((a, b) => (a.path < b.path ? -1 : 1))
      assert.equal(byPath.length, because.length, JSON.stringify(byPath))
      const text = await explained(world, project)
      for (const [index, reason] of because.entries()) {
        const { path, counts, reason: given } = byPath[index]!
        assert.match(given ?? '', reason)
        assert.equal(counts, given === undefined)
        if (given) assert.ok(text.includes(`does not count: ${path}\n  Because ${given}.`), text)
      }
      const counted = (await world.log(project)).filter(({ action }) => action === 'statement')
      assert.equal(counted.length, because.filter(reason => reason.test('')).length)
      assert.ok((await world.steps(project)).every(step => !step.startsWith('sign-off')))
    })
  }

  it('are prepared with what an approver needs to know', async () => {
    const text = (await record(world, 'projects/by-user/prepared/sign-off.yaml')) ?? ''
    assert.match(text, /^# People who will work on it: uma, rob$/m)
    assert.doesNotMatch(text, /^# CHANGED since/m)
    assert.match(text, /^# {3}cohort: table clinic\.patients, columns id \(integer\), name \(text\), born \(date\)$/m)
  })

  it('of an earlier generation are told from those of now', async () => {
    const { phase, generation, statements } = requestDetail(statuses.get('earlier-generation'))
    assert.equal(phase, 'Validated')
    assert.equal(generation, 2)
    assert.match(statements[0]?.reason ?? '', /it is for generation 1 of the request, which is now at 2/)
  })

  it('say who is still needed', () => {
    for (const project of ['copied', 'twice-by-one'])
      assert.match(statuses.get(project)?.report.message ?? '', /group pairs: 1 more approval needed, from ada$/)
    assert.match(statuses.get('two-groups')?.report.message ?? '', /group second: 1 more approval needed, from ada$/)
    assert.match(statuses.get('member-no-more')?.report.message ?? '', /group past: 1 more approval needed, from ada$/)
    assert.match(statuses.get('by-author')?.report.message ?? '', /from dana$/)
  })

  it('are found among any number of files that are none', () => {
    const { phase } = requestDetail(statuses.get('crowded'))
    assert.equal(phase, 'Staged')
  })

  it('that are too many to look at are said to be', () => {
    const { statements } = requestDetail(statuses.get('crowded'))
    assert.deepEqual(
      statements.filter(({ path }) => path === 'sign-offs').map(({ reason }) => reason),
      ['only 50 of its 251 statements are looked at'],
    )
  })

  it('that reject beat those that approve, until the request changes', async () => {
    const status = statuses.get('rejected')
    assert.equal(phaseOf(status), 'Rejected')
    assert.deepEqual(reasonsOf(status), ['Rejected'])
    assert.match(await explained(world, 'rejected'), /dana rejected this request \[Rejected\]\n {2}To do: Change/)
    await world.commit('rob', ask('rejected', { purpose: 'a better one' }))
    assert.equal(phaseOf((await world.run()).get('rejected')), 'Validated')
  })
})

describe('statements of more than one group', () => {
  let world: World

  const ask = (project: string) => world.requestFiles(project, cohort)

  before(async () => {
    world = await World.make({ manifests })
    await world.commit('rob', { ...ask('two-groups'), ...ask('honest'), ...ask('platform') })
    await world.run()
    await approveAll(world, ['two-groups'], 'SignOff')
    const status = (await world.run()).get('two-groups')
    assert.match(status?.report.message ?? '', /group second: 1 more approval needed, from ada$/)
  })

  it('of every group that matches are needed, and then are enough', async () => {
    const ada = async (project: string) =>
      signed(project, { ...(await preparedStatement(world, project)), person: 'ada' }, world.people.ada.key)
    await world.commit('eve', await ada('two-groups'), { sign: false })
    const after = await world.run()
    assert.equal(phaseOf(after.get('two-groups')), 'Staged')
    const decisions = (await world.log('two-groups')).filter(({ action }) => action === 'sign-off')
    assert.deepEqual(decisions[0]?.facts?.groups, [
      { name: 'first', quorum: 1, approved: ['dana'], missing: 0 },
      { name: 'second', quorum: 1, approved: ['ada'], missing: 0 },
    ])
  })

  it('for the disclosure are held to the same', async () => {
    const phase = 'Disclosure'
    const honest = await preparedStatement(world, 'two-groups', phase)
    const key = dana(world)
    const { request, scope } = honest.digests
    const digests = { request, ...(scope ? { scope } : {}) }
    await world.commit('eve', {
      ...signed('two-groups', { ...honest, digests: { ...digests, outputs: 'a'.repeat(64) } }, key, 'a-other-outputs'),
      ...signed('two-groups', { ...honest, digests }, key, 'b-no-outputs'),
      ...signed('two-groups', { ...honest, phase: 'SignOff' }, key, 'c-sign-off'),
      ...signed('two-groups', { ...honest, person: 'rob' }, world.people.rob.key, 'd-requester'),
      ...signed('two-groups', { ...honest, log: { ...honest.log, number: 1 } }, key, 'e-log'),
      ...signed('two-groups', honest, world.people.eve.key, 'f-unknown'),
      ...signed('two-groups', honest, undefined, 'g-unsigned'),
    })
    const status = (await world.run()).get('two-groups')
    const { phase: now, statements } = requestDetail(status)
    assert.equal(now, 'Staged')
    const made = statements.filter(({ path }) => /\/[a-g]-/.test(path)).toSorted((a, b) => (a.path < b.path ? -1 : 1))
    const reasons = [
      /its outputs digest is not that/,
      /its outputs digest is not that/,
      /it is for phase SignOff, and the request waits for Disclosure/,
      /rob asks for this data/,
      /names a log entry 1 that never was/,
      /belongs to nobody registered/,
      /it is not signed/,
    ]
    assert.equal(made.length, reasons.length)
    for (const [index, reason] of reasons.entries()) assert.match(made[index]?.reason ?? '', reason)
    const ada = { ...honest, person: 'ada', decision: 'reject', reason: 'too small' } as const
    await world.commit('eve', {
      ...signed('two-groups', honest, key),
      ...signed('two-groups', ada, world.people.ada.key),
    })
    assert.equal(phaseOf((await world.run()).get('two-groups')), 'Rejected')
  })

  it('approve nothing while the platform has errors', async () => {
    const broken = {
      kind: 'ApproverGroup',
      metadata: { name: 'platform' },
      spec: { phases: ['SignOff'], projects: '*' },
    }
    await world.declare({ 'platform-group.yaml': [broken] })
    await approveAll(world, ['honest'], 'SignOff')
    const status = (await world.run()).get('honest')
    assert.equal(phaseOf(status), 'Validated')
    assert.deepEqual(reasonsOf(status), ['PlatformInvalid'])
    assert.match(status?.report.message ?? '', /platform-group\.yaml:\d+:\d+: /)
    assert.match(await explained(world, 'honest'), /\[PlatformInvalid\]\n {2}To do: Ask an admin/)
    assert.ok((await world.steps('honest')).every(step => !step.startsWith('statement')))
    await world.declare({ 'platform-group.yaml': manifests(world)['platform-group.yaml']! })
    const after = await world.run()
    assert.equal(phaseOf(after.get('honest')), 'Staged')
    assert.equal(phaseOf(after.get('platform')), 'Validated')
  })

  it('cannot come where nobody may give one, and that is said at once', async () => {
    await world.commit('rob', ask('nobody'))
    assert.match((await world.run()).get('nobody')?.report.message ?? '', /no ApproverGroup covers the sign-off/)
    const group = {
      kind: 'ApproverGroup',
      metadata: { name: 'own' },
      spec: {
        phases: ['SignOff', 'Disclosure'],
        projects: ['nobody'],
        sources: ['*'],
        members: [{ person: 'rob' }, { person: 'ghost' }],
      },
    }
    await world.declare({ 'own.yaml': [group] })
    const status = (await world.run()).get('nobody')
    assert.deepEqual(reasonsOf(status), ['NobodyCanApprove', 'NobodyCanApprove'])
    assert.match(status?.report.message ?? '', /group own needs 1 approvers for the sign-off and has 0 who may approve/)
    assert.match(status?.waits[1]?.message ?? '', /for the disclosure/)
  })
})
