/** What can be done to the watched branch itself: dates, merges of every kind, another name, another past. */

import assert from 'node:assert/strict'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import { withSignature } from '../../controller/git/commit-object.ts'
import { runGit } from '../../controller/git/work-tree.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { explained, preparedStatement, reasonsOf, requestDetail, signed, treeWith } from '../kinds/requests/helpers.ts'
import { git } from '../support/people.ts'
import { patients, phaseOf, World } from '../support/world.ts'

const cohort = [{ name: 'cohort', tables: [patients] }]
type Person = keyof World['people']

interface Craft {
  readonly tree: string
  readonly parents: readonly string[]
  readonly by: Person
  /** Who the commit says wrote it; default: who signs it. */
  readonly author?: Person
  /** Undefined: nobody signs. */
  readonly sign?: boolean
  readonly message?: string
  /** Years that the commit claims. */
  readonly authored?: number
  readonly committed?: number
}

/** The branch that is watched is given in `ref`. */
class Branch {
  readonly world: World
  ref = 'refs/heads/main'

  constructor(world: World) {
    this.world = world
  }

  get bare(): string {
    return this.world.bare('projects')
  }

  tip(): Promise<string> {
    return git(this.bare, 'rev-parse', this.ref)
  }

  set(oid: string): Promise<string> {
    return git(this.bare, 'update-ref', this.ref, oid)
  }

  /** A commit of any shape, in the repository and on no branch. */
  async craft({ tree, parents, by, author = by, sign = true, message = 'Change', ...years }: Craft): Promise<string> {
    const { people } = this.world
    const line = (who: Person, year: number | undefined) => {
      const time = year === undefined ? Date.now() : Date.UTC(year, 5, 1)
      return `${who} <${people[who].email}> ${Math.floor(time / 1000)} +0000`
    }
    const head = [
      `tree ${tree}`,
      ...parents.map(parent => `parent ${parent}`),
      `author ${line(author, years.authored)}`,
      `committer ${line(by, years.committed)}`,
    ]
    const payload = Buffer.from(`${head.join('\n')}\n\n${message}\n`)
    const bytes = sign ? withSignature(payload, signSsh(people[by].key, 'git', payload)) : payload
    const options = { signal: new AbortController().signal, input: bytes }
    const { code, stdout, stderr } = await runGit(this.bare, ['hash-object', '-t', 'commit', '-w', '--stdin'], options)
    assert.equal(code, 0, stderr)
    return stdout.toString().trim()
  }

  /** The tree of a commit with these files in it. */
  with(base: string, files: Readonly<Record<string, string>>): Promise<string> {
    const entries = Object.entries(files).map(([path, content]) => ({ path, mode: '100644' as const, content }))
    return treeWith(this.world, base, entries)
  }

  /** A commit of files on a commit; on no branch. */
  async change(base: string, files: Readonly<Record<string, string>>, craft: Omit<Craft, 'tree' | 'parents'>) {
    return this.craft({ tree: await this.with(base, files), parents: [base], ...craft })
  }

  /** The same, as the new tip. */
  async push(files: Readonly<Record<string, string>>, craft: Omit<Craft, 'tree' | 'parents'>): Promise<string> {
    const oid = await this.change(await this.tip(), files, craft)
    await this.set(oid)
    return oid
  }

  async approve(person: 'dana' | 'ada', projects: readonly string[], phase: 'SignOff' | 'Disclosure' = 'SignOff') {
    const made = await Promise.all(
      projects.map(async project =>
        signed(
          project,
          { ...(await preparedStatement(this.world, project, phase)), person },
          this.world.people[person].key,
        ),
      ),
    )
    return this.push(Object.assign({}, ...made), { by: person, authored: 2020, committed: 2040 })
  }
}

/** Dana and ada approve everything. */
function manifests(made: World): Record<string, unknown[]> {
  const members = [{ person: 'dana' }, { person: 'ada' }]
  const spec = { phases: ['SignOff', 'Disclosure'], projects: ['*'], sources: ['*'], members }
  return { ...made.platform(), 'approvers.yaml': [{ kind: 'ApproverGroup', metadata: { name: 'admins' }, spec }] }
}

describe('the history of the watched branch', function () {
  this.timeout(180_000)
  let world: World
  let branch: Branch
  let statuses: Map<string, StoredStatus>
  /** Why what ada signed first does not count. */
  let byAda: Map<string, string[][]>
  const started = Date.now()

  const ask = (project: string, governance: object = {}) => world.requestFiles(project, cohort, { governance })
  const refusals = (project: string) =>
    requestDetail(statuses.get(project)).statements.flatMap(({ person = '', reason }) =>
      reason ? [[person, reason]] : [],
    )

  /** What has to happen before the first run, by project. */
  const pushes: Readonly<Record<string, () => Promise<unknown>>> = {
    'dated-2020': () => branch.push(ask('dated-2020'), { by: 'rob', authored: 2020, committed: 2020 }),
    'dated-2040': () => branch.push(ask('dated-2040'), { by: 'rob', authored: 2040, committed: 2040 }),
    'dated-both': () => branch.push(ask('dated-both'), { by: 'rob', authored: 2040, committed: 1971 }),
    squashed: async () => {
      const base = await branch.tip()
      const first = await branch.change(base, ask('squashed', { purpose: 'first' }), { by: 'rob' })
      const second = await branch.change(first, ask('squashed'), { by: 'rob' })
      const tree = await git(branch.bare, 'rev-parse', `${second}^{tree}`)
      await branch.set(await branch.craft({ tree, parents: [base], by: 'ada', author: 'rob' }))
    },
    'squashed-by-a-server': async () => {
      await branch.push(ask('squashed-by-a-server'), { by: 'eve', author: 'rob', sign: false })
    },
    // What dana wrote, ada makes anew.
    rebased: async () => {
      await branch.push(ask('rebased', { purpose: 'first' }), { by: 'ada', author: 'dana' })
      await branch.push(ask('rebased'), { by: 'ada', author: 'dana' })
    },
    'picked-by-a-stranger': async () => {
      await branch.push(ask('picked-by-a-stranger'), { by: 'eve', author: 'rob' })
    },
    octopus: async () => {
      const base = await branch.tip()
      const one = await branch.change(base, ask('octopus'), { by: 'rob' })
      const two = await branch.change(base, { 'two.md': 'two\n' }, { by: 'rob' })
      const main = await branch.change(base, { 'three.md': 'three\n' }, { by: 'rob' })
      const tree = await branch.with(main, { ...ask('octopus'), 'two.md': 'two\n' })
      await branch.set(await branch.craft({ tree, parents: [main, one, two], by: 'ada', message: 'Merge all' }))
    },
    'octopus-unsigned': async () => {
      const base = await branch.tip()
      const one = await branch.change(base, ask('octopus-unsigned'), { by: 'rob' })
      const two = await branch.change(base, { 'two.md': 'four\n' }, { by: 'rob' })
      const tree = await branch.with(two, ask('octopus-unsigned'))
      await branch.set(await branch.craft({ tree, parents: [base, one, two], by: 'ada', sign: false }))
    },
    smuggled: () => branch.push(ask('smuggled'), { by: 'rob' }),
    'changed-in-1971': () => branch.push(ask('changed-in-1971'), { by: 'rob' }),
    published: () => branch.push(ask('published'), { by: 'rob' }),
  }

  before(async () => {
    world = await World.make({ manifests })
    branch = new Branch(world)
    for (const make of Object.values(pushes)) await make()
    statuses = await world.run()
    const waiting = Object.keys(pushes).filter(project => phaseOf(statuses.get(project)) === 'Validated')
    // She made these herself.
    await branch.approve(
      'ada',
      waiting.filter(project => ['squashed', 'rebased', 'octopus'].includes(project)),
    )
    statuses = await world.run()
    byAda = new Map(waiting.map(project => [project, refusals(project)]))
    await branch.approve('dana', waiting)
    statuses = await world.run()
  })

  for (const project of ['dated-2020', 'dated-2040', 'dated-both']) {
    it(`is told by when it was seen, whatever its commits claim: ${project}`, async () => {
      assert.equal(phaseOf(statuses.get(project)), 'Staged')
      for (const { time } of await world.log(project))
        assert.ok(Date.parse(time) >= started && Date.parse(time) <= Date.now(), time)
    })
  }

  it('makes whoever squashed a request its author', () => {
    assert.equal(phaseOf(statuses.get('squashed')), 'Staged')
    assert.deepEqual(byAda.get('squashed'), [['ada', 'ada wrote this request, and nobody approves their own request']])
  })

  it('has nobody for author where a server squashed', () => {
    assert.deepEqual(reasonsOf(statuses.get('squashed-by-a-server')), ['Unattributed'])
  })

  it('lets nobody approve what they wrote and another signed', () => {
    assert.equal(phaseOf(statuses.get('rebased')), 'Validated')
    assert.deepEqual(
      refusals('rebased').toSorted(),
      [
        ['ada', 'ada wrote this request, and nobody approves their own request'],
        ['dana', 'dana is named as co-author of this request, and nobody approves their own request'],
      ].toSorted(),
    )
    assert.ok(reasonsOf(statuses.get('rebased')).includes('NobodyCanApprove'))
  })

  it('does not believe a stranger that somebody else wrote it', async () => {
    assert.deepEqual(reasonsOf(statuses.get('picked-by-a-stranger')), ['Unattributed'])
    assert.match(await explained(world, 'picked-by-a-stranger'), /is signed by a key that belongs to nobody registered/)
  })

  it('finds who made a merge of more than two, and who wrote what it merged', () => {
    assert.equal(phaseOf(statuses.get('octopus')), 'Staged')
    assert.deepEqual(byAda.get('octopus'), [['ada', 'ada wrote this request, and nobody approves their own request']])
    assert.deepEqual(reasonsOf(statuses.get('octopus-unsigned')), ['Unattributed'])
  })

  it('shows a change of a request that a merge of something else brought in', async () => {
    const main = await branch.tip()
    const side = await branch.change(main, { 'aside.md': 'aside\n' }, { by: 'rob' })
    const tree = await branch.with(main, { 'aside.md': 'aside\n', ...ask('smuggled', { purpose: 'more' }) })
    await branch.set(await branch.craft({ tree, parents: [main, side], by: 'ada', message: 'Merge aside' }))
    statuses = await world.run()
    const { generation, phase } = requestDetail(statuses.get('smuggled'))
    assert.deepEqual([generation, phase], [2, 'Validated'])
    const log = await world.log('smuggled')
    assert.ok(log.some(({ action, facts }) => action === 'change' && facts?.because === 'request'))
    await branch.approve('ada', ['smuggled'])
    statuses = await world.run()
    assert.equal(phaseOf(statuses.get('smuggled')), 'Validated')
    assert.match(JSON.stringify(refusals('smuggled')), /ada wrote this request/)
    await branch.approve('dana', ['smuggled'])
    statuses = await world.run()
    assert.equal(phaseOf(statuses.get('smuggled')), 'Staged')
  })

  it('shows a change that says it is older than what was approved', async () => {
    await branch.push(ask('changed-in-1971', { purpose: 'more' }), { by: 'rob', authored: 1971, committed: 1971 })
    statuses = await world.run()
    assert.deepEqual(reasonsOf(statuses.get('changed-in-1971')), ['WaitingForSignOff'])
    assert.equal(requestDetail(statuses.get('changed-in-1971')).generation, 2)
  })

  it('is in order for an auditor, whatever its commits claim', async () => {
    await branch.approve('dana', ['published'], 'Disclosure')
    statuses = await world.run()
    assert.equal(phaseOf(statuses.get('published')), 'Published')
    const { code, out, err } = await world.cratewright('verify', await world.auditor('first'))
    assert.equal(code, 0, out + err)
  })

  it('that has another name is said to be gone, nothing is lost, and it goes on under the new name', async () => {
    const records = () => git(branch.bare, 'ls-tree', '-r', 'refs/heads/cratewright/records', 'projects/')
    const before = await records()
    await git(branch.bare, 'branch', '-m', 'main', 'trunk')
    branch.ref = 'refs/heads/trunk'
    const gone = await world.run()
    assert.equal(gone.get('projects')?.report.reason, 'GitRefMissing')
    assert.match(gone.get('projects')?.report.message ?? '', /the server has no refs\/heads\/main/)
    assert.equal(await records(), before)
    const [repository] = world.platform()['repositories.yaml'] as { spec: object }[]
    Object.assign(repository!.spec, { ref: branch.ref })
    await world.declare({ 'repositories.yaml': [repository] })
    await branch.approve('dana', ['changed-in-1971'])
    statuses = await world.run()
    assert.equal(phaseOf(statuses.get('changed-in-1971')), 'Staged')
    assert.equal(phaseOf(statuses.get('published')), 'Published')
    const { code, out, err } = await world.cratewright('verify', await world.auditor('second'))
    assert.equal(code, 0, out + err)
  })

  it('that was rewritten voids what was approved, and that is noted', async () => {
    const tree = await git(branch.bare, 'rev-parse', `${branch.ref}^{tree}`)
    await branch.set(await branch.craft({ tree, parents: [], by: 'rob' }))
    statuses = await world.run()
    for (const project of ['dated-2020', 'smuggled']) {
      const change = (await world.log(project)).findLast(({ action }) => action === 'change')
      assert.equal(change?.facts?.because, 'history', project)
      assert.equal(phaseOf(statuses.get(project)), 'Validated')
      assert.deepEqual(reasonsOf(statuses.get(project)), ['WaitingForSignOff'])
    }
    assert.equal(phaseOf(statuses.get('published')), 'Published', 'what is published stays')
    // Signed anew by somebody known, even what a server had squashed has an author.
    assert.equal(phaseOf(statuses.get('squashed-by-a-server')), 'Validated')
    const { code, out } = await world.cratewright('verify', await world.auditor('third'))
    assert.equal(code, 2, out)
    assert.match(
      out,
      /names commit [0-9a-f]{40}, which the branch trunk at [0-9a-f]{40} no longer has: it was rewritten/,
    )
  })
})
