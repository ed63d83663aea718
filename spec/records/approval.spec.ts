import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Group, groupsFor, tally, unreachable, viewOf, whyNot } from '../../controller/records/approval.ts'
import type { ApproverGroupSpec } from '../../schemas/generated/types.ts'

const now = new Date('2026-06-15T12:00:00Z')
const everyone = ['ann', 'bob', 'cat', 'dan', 'eve'] as const

function group(spec: Partial<ApproverGroupSpec>, name = 'governance'): Group {
  const base: ApproverGroupSpec = { phases: ['SignOff'], projects: ['*'], sources: ['*'], members: [] }
  return { name, spec: { ...base, ...spec } }
}

const people = fc.constantFrom<string>(...everyone)
const dates = fc.constantFrom(
  undefined,
  '2026-06-14',
  '2026-06-15',
  '2026-06-16',
  '2026-06-15T11:59:59Z',
  '2026-06-15T12:00:01Z',
)
const members = fc.array(
  fc.record({ person: people, notBefore: dates, notAfter: dates }).map(({ person, notBefore, notAfter }) => ({
    person,
    ...(notBefore ? { notBefore } : {}),
    ...(notAfter ? { notAfter } : {}),
  })),
  { maxLength: 6 },
)
const groups = fc
  .array(fc.tuple(members, fc.integer({ min: 1, max: 3 })), { maxLength: 3 })
  .map(all => all.map(([list, quorum], index) => group({ members: list, quorum }, `group ${index}`)))
const barredMaps = fc
  .uniqueArray(people, { maxLength: 2 })
  .map(all => new Map(all.map(one => [one, 'wrote this request'])))
const persons = fc.uniqueArray(people, { minLength: 2 }).map(all => new Set<string>(all))
const votes = fc.array(
  fc.record({ person: people, decision: fc.constantFrom(...(['approve', 'reject', 'withdraw'] as const)) }),
  { maxLength: 10 },
)
const worlds = fc.record({ groups, barred: barredMaps, persons, votes })
const viewsOf = ({ groups, barred, persons }: { groups: Group[]; barred: Map<string, string>; persons: Set<string> }) =>
  groups.map(one => viewOf(one, now, barred, persons))

describe('who may approve', () => {
  it('is never who is barred, and never nobody', () => {
    fc.assert(
      fc.property(worlds, world => {
        const views = viewsOf(world)
        for (const { eligible } of views)
          for (const person of eligible) assert.ok(world.persons.has(person) && !world.barred.has(person))
        for (const person of everyone) {
          const may = views.some(({ eligible }) => eligible.includes(person))
          assert.equal(whyNot(person, world.groups, views, world.barred) === undefined, may)
          if (world.barred.has(person))
            assert.match(whyNot(person, world.groups, views, world.barred) ?? '', /nobody approves their own request/)
        }
        const outcome = tally(views, world.votes)
        for (const { approved } of outcome.groups) for (const person of approved) assert.ok(!world.barred.has(person))
        const withoutBarred = world.votes.filter(({ person }) => !world.barred.has(person))
        assert.deepEqual(tally(views, withoutBarred), outcome, 'their votes change nothing, rejections included')
      }),
    )
  })

  it('is decided by the time that counts: from the first moment of a date to its last, UTC', () => {
    const at = (time: string, member: object) =>
      viewOf(group({ members: [{ person: 'ann', ...member }] }), new Date(time), new Map(), new Set(['ann'])).eligible
        .length
    for (const [time, member, expected] of [
      ['2026-06-14T23:59:59.999Z', { notBefore: '2026-06-15' }, 0],
      ['2026-06-15T00:00:00Z', { notBefore: '2026-06-15' }, 1],
      ['2026-06-15T23:59:59.999Z', { notAfter: '2026-06-15' }, 1],
      ['2026-06-16T00:00:00Z', { notAfter: '2026-06-15' }, 0],
      ['2026-06-15T10:00:00Z', { notBefore: '2026-06-15T12:00:00+02:00' }, 1],
      ['2026-06-15T09:59:59Z', { notBefore: '2026-06-15T12:00:00+02:00' }, 0],
      ['2026-06-15T12:00:00Z', { notBefore: '2026-06-16', notAfter: '2026-06-14' }, 0],
    ] as const)
      assert.equal(at(time, member), expected, `${time} ${JSON.stringify(member)}`)
  })

  it('counts a person listed twice once', () => {
    const twice = group({ members: [{ person: 'ann' }, { person: 'ann', notAfter: '2027-01-01' }], quorum: 2 })
    const view = viewOf(twice, now, new Map(), new Set(['ann']))
    assert.deepEqual(view.eligible, ['ann'])
    assert.deepEqual(unreachable([view]), [view])
  })

  it('says whether somebody is in no group, or not at this time', () => {
    const groups = [group({ members: [{ person: 'ann', notAfter: '2020-01-01' }] })]
    const views = groups.map(one => viewOf(one, now, new Map(), new Set(everyone)))
    assert.match(whyNot('ann', groups, views, new Map()) ?? '', /not a member of an approving group at this time/)
    assert.match(whyNot('bob', groups, views, new Map()) ?? '', /in no group/)
  })

  it('is every group that matches phase, project and source', () => {
    const all = [
      group({}, 'z'),
      group({ projects: ['asthma-*'] }, 'a'),
      group({ sources: ['warehouse'] }, 'w'),
      group({ phases: ['Disclosure'] }, 'd'),
      group({ projects: ['other'] }, 'o'),
      group({ projects: [] }, 'n'),
    ]
    const names = (project: string, source: string, phase: 'SignOff' | 'Disclosure' = 'SignOff') =>
      groupsFor(all, { phase, project, source }).map(({ name }) => name)
    assert.deepEqual(names('asthma-1', 'warehouse'), ['a', 'w', 'z'])
    assert.deepEqual(names('asthma-1', 'lab'), ['a', 'z'])
    assert.deepEqual(names('asthma', 'lab'), ['z'])
    assert.deepEqual(names('asthma-1', 'warehouse', 'Disclosure'), ['d'])
  })
})

describe('a decision', () => {
  it('is an approval exactly when every group has its quorum of different persons and nobody who may has rejected', () => {
    fc.assert(
      fc.property(worlds, world => {
        const views = viewsOf(world)
        const { decision, groups } = tally(views, world.votes)
        const said = (person: string, what: string) =>
          world.votes.some(vote => vote.person === person && vote.decision === what)
        const rejected = views.some(({ eligible }) => eligible.some(person => said(person, 'reject')))
        const complete =
          views.length > 0 &&
          views.every(({ eligible, quorum }) => eligible.filter(person => said(person, 'approve')).length >= quorum)
        assert.equal(decision, rejected ? 'reject' : complete ? 'approve' : undefined)
        for (const { approved, quorum, missing } of groups) {
          assert.equal(new Set(approved).size, approved.length)
          assert.equal(missing, Math.max(0, quorum - approved.length))
        }
        if (unreachable(views).length > 0) assert.notEqual(decision, 'approve')
      }),
      { numRuns: 300 },
    )
  })

  it('does not change by saying the same again, in whatever order', () => {
    fc.assert(
      fc.property(worlds, world => {
        const views = viewsOf(world)
        const outcome = tally(views, world.votes)
        assert.deepEqual(tally(views, [...world.votes, ...world.votes]), outcome)
        assert.deepEqual(tally(views, world.votes.toReversed()), outcome)
      }),
    )
  })

  it('only comes nearer by approvals, and ends with a rejection', () => {
    fc.assert(
      fc.property(worlds, people, (world, person) => {
        const views = viewsOf(world)
        const before = tally(views, world.votes)
        const approved = tally(views, [...world.votes, { person, decision: 'approve' }])
        if (before.decision) assert.equal(approved.decision, before.decision)
        for (const [index, { missing }] of approved.groups.entries())
          assert.ok(missing <= before.groups[index]!.missing)
        const rejected = tally(views, [...world.votes, { person, decision: 'reject' }])
        const may = views.some(({ eligible }) => eligible.includes(person))
        assert.equal(rejected.decision, may ? 'reject' : before.decision)
      }),
    )
  })

  it('is none where no group is declared: an absent rule is no permission', () => {
    assert.equal(tally([], [{ person: 'ann', decision: 'approve' }]).decision, undefined)
  })
})
