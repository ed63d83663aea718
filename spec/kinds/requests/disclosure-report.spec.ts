/** The disclosure report of a release that is really extracted: hostile names, canaries in the rows, thresholds that an admin changes. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SourceConnectionSpec } from '../../../schemas/generated/types.ts'
import { git } from '../../support/people.ts'
import { phaseOf, World } from '../../support/world.ts'
import { record } from './helpers.ts'

const table = '<script>alert(1)</script>'
const column = `"'><img src=x onerror=alert(1)>`
const sql = `
  CREATE SCHEMA clinic;
  CREATE TABLE clinic."${table}" (id integer PRIMARY KEY, nhs_number text, "${column.replaceAll('"', '""')}" text, note text, ward text);
  INSERT INTO clinic."${table}" SELECT i, '943 476 5919', 'canary-person-' || i || '@canary.example',
    CASE WHEN i = 5 THEN '=canary+1' ELSE 'canary wrote a text of some length, and a number at its end, ' || i END,
    CASE WHEN i <= 4 THEN 'canary-rare' ELSE 'canary-common' END FROM generate_series(1, 100) i;
`
const asked = [
  {
    name: 'cohort',
    tables: [
      { name: table, columns: { id: 'integer', nhs_number: 'text', [column]: 'text', note: 'text', ward: 'text' } },
    ],
  },
]

describe('the disclosure report of a release', () => {
  let world: World
  let review: string
  before(async () => {
    world = await World.make({ sql })
    review = join(world.folder, 'staging/hostile/1.review')
    await world.ask('hostile', asked)
    await world.run()
    assert.equal((await world.signOff('dana', 'hostile')).code, 0)
    const [connection] = world.platform()['sources.yaml'] as [{ spec: SourceConnectionSpec }]
    const stricter = { ...connection, spec: { ...connection.spec, disclosure: { minimumCount: 5 } } }
    await world.declare({ 'sources.yaml': [stricter] })
    assert.equal(phaseOf((await world.run()).get('hostile')), 'Staged')
  })

  it('counts by the thresholds that are declared now, which voids no sign-off, and leaves them in the log', async () => {
    const staged = (await world.log('hostile')).findLast(({ action }) => action === 'stage-transfer')
    const policy = { minimumCount: 5, nearUniqueRatio: 0.95, freeTextLength: 50 }
    const { threshold, policy: used, summary } = staged!.facts as Record<string, unknown>
    assert.deepEqual([threshold, used], [5, policy])
    assert.deepEqual(JSON.parse(readFileSync(join(review, 'report.json'), 'utf8')).policy, policy)
    assert.deepEqual(summary, [
      {
        path: (summary as { path: string }[])[0]!.path,
        rows: 100,
        columns: 5,
        smallCells: 1,
        flags: {
          'nhs-number': 1,
          'identifier-name': 1,
          constant: 1,
          email: 1,
          'near-unique': 3,
          'free-text': 1,
          formula: 1,
          'small-cells': 1,
        },
      },
    ])
  })

  it('lies beside the staged data, and in production nowhere', () => {
    assert.deepEqual(readdirSync(review).sort(), ['report.html', 'report.json', 'report.md'])
    assert.deepEqual(readdirSync(join(world.folder, 'production')), [])
  })

  it('holds no value of any row, and lets no name become markup', async () => {
    for (const name of readdirSync(review)) {
      const text = readFileSync(join(review, name), 'utf8')
      assert.doesNotMatch(text, /canary|943 ?476/i, name)
      if (name !== 'report.json') assert.doesNotMatch(text, /<script|<img/i, name)
      assert.ok(text.includes('onerror'), `${name} names the column`)
    }
    const statement = await record(world, 'projects/hostile/prepared/disclosure.yaml')
    assert.match(statement ?? '', /flagged: .*nhs-number 1/)
    const inGit = await git(
      world.bare('projects'),
      'grep',
      '-il',
      '-e',
      'canary',
      'refs/heads/cratewright/records',
    ).catch(() => '')
    assert.equal(inGit, '')
  })
})
