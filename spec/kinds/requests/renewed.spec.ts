import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { scopeChanges } from '../../../controller/kinds/requests/changes.ts'
import type { ScopeTable } from '../../../controller/kinds/requests/state.ts'
import { commitAll, git, push } from '../../support/people.ts'
import { costs, patients, phaseOf, visits, World } from '../../support/world.ts'

/** As `World.ask` asks for them. */
const asked = [
  { name: 'cohort', tables: [patients, visits] },
  { name: 'money', tables: [costs] },
]

describe('a request that changed since it was approved', function () {
  this.timeout(120_000)
  let world: World
  before(async () => {
    world = await World.make()
    await world.walk('quarterly')
  })

  const prepared = (project: string) =>
    git(world.bare('projects'), 'show', `refs/heads/cratewright/records:projects/${project}/prepared/sign-off.yaml`)

  it('shows the approver first of all what changed', async () => {
    await world.commit(
      'rob',
      world.requestFiles(
        'quarterly',
        [{ name: 'cohort', tables: [{ ...patients, columns: { id: 'integer' } }, visits] }],
        {
          governance: { release: 2, purpose: 'another\n\u202equestion' },
        },
      ),
    )
    await world.run()
    const lines = (await prepared('quarterly')).split('\n')
    assert.match(lines[1] ?? '', /CHANGED since it was last approved \(request [0-9a-f]{16} then, [0-9a-f]{16} now\):/)
    const shown = lines.slice(2, lines.indexOf('#')).map(line => line.replace(/^# +/, ''))
    assert.deepEqual(
      shown.filter(line => line.includes('governance')),
      ['added   governance.release: "2"', 'added   governance.purpose: "another\\n\\u202equestion"'],
    )
    assert.ok(
      shown.includes('removed ingress.datasets[cohort].tables[patients].columns[born].name: "born"'),
      shown.join('\n'),
    )
    assert.ok(shown.includes('removed source.cohort.clinic.patients.born: "date"'))
    assert.ok(shown.some(line => line.startsWith('removed ingress.datasets[money]')))
  })

  it('compares with what was approved, not with what was asked meanwhile', async () => {
    await world.commit('rob', world.requestFiles('quarterly', asked, { governance: { release: 2 } }))
    await world.run()
    const text = await prepared('quarterly')
    assert.match(text, /added {3}governance.release: "2"\n#\n/)
    assert.doesNotMatch(text, /removed|purpose/)
  })

  it('whose source changed says that, for the same documents', () => {
    const table = (type: string): ScopeTable => ({
      ...{ dataset: 'd', schema: 's', table: 't', kind: 'table' },
      columns: [{ name: 'c', type }],
    })
    assert.deepEqual(scopeChanges([table('integer')], [table('bigint')]), [
      'changed source.d.s.t.c: "integer" -> "bigint"',
    ])
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 150 }), types => {
        const now = types.map((type, index) => ({ ...table(type), table: `t${index}` }))
        const lines = scopeChanges([], now)
        assert.ok(lines.length <= 101)
        assert.deepEqual(scopeChanges(now, now), [])
      }),
    )
  })
})

describe('a request with a commit that nobody signed', function () {
  this.timeout(120_000)

  it('heals when it is removed, and added again by somebody known', async () => {
    const world = await World.make()
    await world.commit('rob', world.requestFiles('healed', [{ name: 'cohort', tables: [patients] }]), { sign: false })
    assert.equal((await world.run()).get('healed')?.waits[0]?.reason, 'Unattributed')
    // A further signed commit answers for what it changes, and for nothing below it.
    await world.commit('rob', world.requestFiles('healed', [{ name: 'cohort', tables: [visits] }]))
    assert.equal((await world.run()).get('healed')?.waits[0]?.reason, 'Unattributed')
    const clone = world.clone('rob')
    rmSync(join(clone, 'projects/healed'), { recursive: true })
    await commitAll(clone, 'Remove it', world.people.rob)
    await push(clone)
    await world.commit('rob', world.requestFiles('healed', [{ name: 'cohort', tables: [visits] }]))
    const status = (await world.run()).get('healed')
    assert.equal(phaseOf(status), 'Validated')
    assert.deepEqual((await world.signOff('dana', 'healed')).code, 0)
    assert.equal(phaseOf((await world.run()).get('healed')), 'Staged')
  })
})
