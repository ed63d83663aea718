/** Requests that walk to a published release, from databases whose contents an independent tool has read before. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { datasetFolder, payloadName } from '../../controller/crate/payload-name.ts'
import { parseCsv } from '../data/csv.ts'
import { asText, columnHash, type ExpectedRelations } from '../data/expected.ts'
import { sharedOrSkip } from '../support/oracles.ts'
import { phaseOf, World } from '../support/world.ts'

interface Case {
  readonly example: string
  readonly project: string
  /** Below 05-tabular. */
  readonly scripts: readonly string[]
  readonly expected: string
  readonly tables: number
}

interface Ingress {
  source: { name: string }
  destination: { name?: string }
  datasets: { name: string; schema_name: string; tables: { name: string; columns: { name: string }[] }[] }[]
}

type Column = ExpectedRelations['relations'][number]['columns'][number]

const cases: readonly Case[] = [
  {
    example: 'request-sakila',
    project: 'sakila-rentals',
    scripts: ['sakila/sakila-postgresql-schema.sql', 'sakila/sakila-postgresql-data.sql'],
    expected: 'sakila/expected-postgresql.json',
    tables: 6,
  },
  {
    example: 'request-nasty',
    project: 'nasty-types',
    scripts: ['nasty/nasty-postgresql.sql'],
    expected: 'nasty/expected-postgresql.json',
    tables: 15,
  },
]

for (const { example, project, scripts, expected: expectedFile, tables } of cases) {
  describe(`the shared ${example}`, () => {
    let world: World
    let ingress: Ingress
    let expected: ExpectedRelations

    before(async function () {
      const examples = sharedOrSkip(this, 'data/01-cr8tor-projects')
      const tabular = sharedOrSkip(this, 'data/05-tabular')
      expected = JSON.parse(readFileSync(join(tabular, expectedFile), 'utf8'))
      const sql = scripts.map(script => readFileSync(join(tabular, script), 'utf8')).join('\n')
      world = await World.make({ sql })
      const read = (path: string) => readFileSync(join(examples, example, path), 'utf8')
      ingress = parse(read('resources/data/cr8-ingress.yaml'))
      // The database has the name that the world gave it; everything else is as it was written.
      const asked = stringify({ ...ingress, source: { ...ingress.source, name: world.database } })
      await world.commit('rob', {
        [`projects/${project}/config.toml`]: read('config.toml'),
        [`projects/${project}/resources/governance/cr8-governance.yaml`]: read(
          'resources/governance/cr8-governance.yaml',
        ),
        [`projects/${project}/resources/data/cr8-ingress.yaml`]: asked,
        [`projects/${project}/resources/deployment/cr8-deployment.yaml`]: read(
          'resources/deployment/cr8-deployment.yaml',
        ),
      })
      const validated = (await world.run()).get(project)
      assert.equal(phaseOf(validated), 'Validated', JSON.stringify(validated?.waits))
      assert.equal((await world.signOff('dana', project)).code, 0)
      const staged = (await world.run()).get(project)
      assert.equal(phaseOf(staged), 'Staged', JSON.stringify(staged?.waits))
      assert.equal((await world.disclose('dana', project)).code, 0)
      assert.equal(phaseOf((await world.run()).get(project)), 'Published')
    })

    it('has the rows and the columns that an independent tool found', () => {
      const paths = new Set<string>()
      for (const dataset of ingress.datasets) {
        for (const table of dataset.tables) {
          const name = `${dataset.schema_name}.${table.name}`
          const relation = expected.relations.find(one => one.schema === dataset.schema_name && one.name === table.name)
          assert.ok(relation, `${name} is in the expectations`)
          const file = `${payloadName(dataset.schema_name, table.name)}.csv`
          const path = join(world.release(project), 'data/outputs', datasetFolder(dataset.name), file)
          const [head, ...rows] = parseCsv(readFileSync(path, 'utf8'))
          assert.deepEqual(
            head,
            table.columns.map(column => column.name),
            name,
          )
          assert.equal(rows.length, relation.rows, name)
          for (const [position, { name: column }] of table.columns.entries()) {
            const wanted: Column | undefined = relation.columns.find(one => one.name === column)
            assert.ok(wanted, `${name}.${column}`)
            if (wanted.volatile || wanted.type === 'xml') continue
            const texts: (string | null)[] = rows.map(row => asText(row[position] ?? null, wanted.type))
            assert.equal(columnHash(texts), wanted.sha256, `${name}.${column}`)
          }
          paths.add(path.toLowerCase())
        }
      }
      // None is another's on a file system that folds case.
      assert.equal(paths.size, tables)
    })

    it('verifies as a clone and as a bag', async () => {
      for (const target of [await world.auditor(), world.release(project)]) {
        const { code, out } = await world.cratewright(
          'verify',
          target,
          '--root',
          world.controller.key.public.fingerprint,
        )
        assert.equal(code, 0, out)
      }
    })
  })
}
