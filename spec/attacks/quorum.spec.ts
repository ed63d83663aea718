/** Who has to agree: several groups at once, owners of a source, nobody; and what a decision is, by an oracle of its own. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Group } from '../../controller/records/approval.ts'
import type { ApproverGroupSpec } from '../../schemas/generated/types.ts'
import { type Gate, openGate, preparedStatement, reasonsOf, signed } from '../kinds/requests/helpers.ts'
import { ModelWorld, type PersonName } from '../kinds/requests/plan-model.ts'
import { startPostgres } from '../support/postgres.ts'
import { patients, phaseOf, World } from '../support/world.ts'

const cohort = [{ name: 'cohort', tables: [patients] }]

describe('who has to agree', function () {
  this.timeout(120_000)
  let world: World
  let gate: Gate

  const group = (name: string, members: string[], more: object) => ({
    kind: 'ApproverGroup',
    metadata: { name },
    spec: {
      phases: ['SignOff', 'Disclosure'],
      projects: ['*'],
      sources: ['*'],
      members: members.map(person => ({ person })),
      ...more,
    },
  })

  before(async () => {
    gate = await openGate((await startPostgres()).port)
    world = await World.make({ manifests })
  })
  after(() => gate.close())

  function manifests(made: World): Record<string, unknown[]> {
    const [source] = made.platform()['sources.yaml'] as { kind: string; spec: object }[]
    const connection = (name: string, projects: string[], port: number) => ({
      ...source,
      metadata: { name },
      spec: { ...source?.spec, projects, port },
    })
    return {
      'sources.yaml': [
        connection('warehouse', ['plain', 'short'], gate.port),
        connection('registry', ['of-owners'], made.postgres.port),
      ],
      'approvers.yaml': [
        group('governance', ['dana', 'ada'], { projects: ['plain', 'of-owners'] }),
        group('owners', ['ada'], { sources: ['registry'] }),
        group('warehouse-only', ['dana'], { sources: ['warehouse'], phases: ['SignOff'] }),
        group('pair', ['dana', 'rob'], { projects: ['short'], phases: ['Disclosure'], quorum: 2 }),
      ],
    }
  }

  async function approve(person: 'dana' | 'ada', project: string, phase: 'SignOff' | 'Disclosure'): Promise<void> {
    const statement = { ...(await preparedStatement(world, project, phase)), person }
    await world.commit('eve', signed(project, statement, world.people[person].key), { sign: false })
  }

  it('are the owners of the source that is read, and of no other, in both phases', async () => {
    await world.commit('rob', { ...world.requestFiles('of-owners', cohort), ...world.requestFiles('plain', cohort) })
    await world.run()
    for (const phase of ['SignOff', 'Disclosure'] as const) {
      for (const project of ['of-owners', 'plain']) if (phase === 'SignOff') await approve('dana', project, phase)
      if (phase === 'Disclosure') await approve('dana', 'of-owners', phase)
      const status = (await world.run()).get('of-owners')
      assert.equal(phaseOf(status), phase === 'SignOff' ? 'Validated' : 'Staged')
      assert.match(status?.report.message ?? '', /^group owners: 1 more approval needed, from ada$/)
      await approve('ada', 'of-owners', phase)
      await world.run()
    }
    const statuses = await world.run()
    assert.equal(phaseOf(statuses.get('of-owners')), 'Published')
    assert.equal(phaseOf(statuses.get('plain')), 'Staged', 'owners of another source have no part in it')
    const [decision] = (await world.log('plain')).filter(({ action }) => action === 'sign-off')
    assert.ok(decision)
    const { groups } = decision.facts as unknown as { groups: { name: string }[] }
    assert.deepEqual(
      groups.map(({ name }) => name),
      ['governance', 'warehouse-only'],
    )
  })

  it('is said to be nobody at once: in the plan of a branch, and before the source is asked', async () => {
    const message = 'group pair needs 2 approvers for the disclosure and has 1 who may approve this request'
    await gate.close()
    await world.commit('rob', world.requestFiles('short', cohort), { branch: 'wish' })
    const { out } = await world.cratewright('plan', '--ref', 'wish', '--json')
    assert.ok(out.includes(message), out)
    await world.commit('rob', world.requestFiles('short', cohort))
    const status = (await world.run({ stopBefore: (_, { action }) => action === 'validate' })).get('short')
    assert.equal(phaseOf(status), 'Created')
    assert.ok(reasonsOf(status).includes('NobodyCanApprove'), JSON.stringify(status?.waits))
    await gate.open()
    const after = (await world.run()).get('short')
    assert.equal(phaseOf(after), 'Validated')
    assert.ok(after?.waits.some(wait => wait.message === message))
    assert.ok(reasonsOf(after).includes('WaitingForSignOff'), 'the sign-off can go on meanwhile')
  })

  it('is in order for an auditor', async () => {
    const { code, out, err } = await world.cratewright('verify', await world.auditor())
    assert.equal(code, 0, out + err)
  })
})

type Decided = 'Validated' | 'Staged' | 'Rejected'
type Said = readonly [PersonName, 'approve' | 'reject' | 'withdraw']
type Event = { readonly say: readonly Said[] } | { readonly change: 'rob' | 'dana' | 'carl' }
interface Script {
  readonly groups: readonly { readonly members: readonly PersonName[]; readonly quorum: number }[]
  readonly events: readonly Event[]
}

/** Design §5, "Who may approve", and nothing else. Rob asks and uses the data, eve is registered nowhere. */
class Oracle {
  readonly #groups: Script['groups']
  #approved = new Set<PersonName>()
  /** Who made the sign-off complete; undefined: it is not. */
  #complete: ReadonlySet<PersonName> | undefined
  #rejected = false
  /** Who wrote something since the last approved content, and who had before that. */
  #wrote = new Set<PersonName>(['rob'])
  #wroteBefore = new Set<PersonName>()

  constructor(groups: Script['groups']) {
    this.#groups = groups
  }

  get decision(): Decided {
    return this.#rejected ? 'Rejected' : this.#complete ? 'Staged' : 'Validated'
  }

  may(person: PersonName): boolean {
    const barred = person === 'rob' || person === 'eve' || this.#wrote.has(person)
    return !barred && this.#groups.some(({ members }) => members.includes(person))
  }

  change(by: PersonName): void {
    this.#approved = new Set()
    this.#complete = undefined
    this.#rejected = false
    this.#wrote.add(by)
  }

  /** Of what comes at once the most careful word of each person counts; one reject rejects. */
  say(all: readonly Said[]): void {
    if (this.#rejected) return
    const of = (decision: Said[1]) => all.filter(([, what]) => what === decision).map(([person]) => person)
    if (!this.#complete) for (const person of of('approve')) if (this.may(person)) this.#approved.add(person)
    const rejected = of('reject').some(person => this.may(person))
    if (!rejected) this.#complete ??= this.#quorum() ? this.#decide() : undefined
    for (const person of of('withdraw')) this.#approved.delete(person)
    if (rejected || (this.#complete && !this.#quorum(this.#complete))) this.#undo()
    this.#rejected = rejected
    if (!rejected) this.#complete ??= this.#quorum() ? this.#decide() : undefined
  }

  #quorum(of: ReadonlySet<PersonName> = this.#approved): boolean {
    const voices = this.#approved.intersection(of)
    return this.#groups.every(({ members, quorum }) => new Set(members).intersection(voices).size >= quorum)
  }

  #decide(): ReadonlySet<PersonName> {
    this.#wroteBefore = this.#wrote
    this.#wrote = new Set()
    return new Set(this.#approved)
  }

  #undo(): void {
    if (this.#complete) this.#wrote = this.#wroteBefore.union(this.#wrote)
    this.#complete = undefined
  }
}

describe('a decision in any story', function () {
  this.timeout(120_000)

  const people = fc.constantFrom<PersonName>('dana', 'dana', 'carl', 'carl', 'rob', 'eve')
  const decisions = fc.constantFrom(...(['approve', 'approve', 'approve', 'withdraw', 'reject'] as const))
  const groups = fc.array(
    fc.record({
      members: fc.uniqueArray(fc.constantFrom<PersonName>('dana', 'carl', 'rob', 'eve'), { minLength: 1 }),
      quorum: fc.constantFrom(1, 1, 2),
    }),
    { minLength: 1, maxLength: 2 },
  )
  const events = fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ say: fc.array(fc.tuple(people, decisions), { minLength: 1, maxLength: 3 }) }),
      },
      { weight: 1, arbitrary: fc.record({ change: fc.constantFrom('rob', 'rob', 'dana', 'carl') }) },
    ),
    { minLength: 1, maxLength: 10, size: 'max' },
  )

  it('is what the design says of who may approve', async () => {
    const reached: Record<Decided, number> = { Validated: 0, Staged: 0, Rejected: 0 }
    await fc.assert(
      fc.asyncProperty(fc.record({ groups, events }), async ({ groups, events }) => {
        const world = new ModelWorld()
        world.groups = groups.map(({ members, quorum }, index): Group => {
          const spec = { phases: ['SignOff'], projects: ['*'], sources: ['*'], quorum }
          const listed = members.map(person => ({ person }))
          return { name: `group ${index}`, spec: { ...spec, members: listed } as unknown as ApproverGroupSpec }
        })
        const oracle = new Oracle(groups)
        await world.settle()
        for (const event of events) {
          if ('change' in event) {
            world.change(event.change)
            oracle.change(event.change)
          } else {
            // What is decided is not approved again, and what was said before is not said with the next word.
            const said = event.say.filter(([, what]) => oracle.decision === 'Validated' || what !== 'approve')
            world.statements = []
            for (const [person, decision] of said) world.sign(person, decision, { phase: 'SignOff' })
            oracle.say(said)
          }
          await world.settle()
          const phase = world.state.phase as Decided
          assert.equal(phase, oracle.decision, `after ${JSON.stringify(event)}`)
          reached[phase]++
        }
      }),
      { numRuns: 300 },
    )
    for (const [phase, times] of Object.entries(reached)) assert.ok(times > 50, `${phase} only ${times} times`)
  })
})
