/** The shared nasty database against the verdicts of an independent tool (oracles/db_oracle.py). */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openPostgres } from '../../controller/data/postgres.ts'
import type { SourceTarget } from '../../controller/data/source.ts'
import { startPostgres } from '../support/postgres.ts'
import { parseCsv } from './csv.ts'
import { asText, columnHash, type ExpectedRelations } from './expected.ts'
import { limits } from './nasty-database.ts'

const shared = resolve(import.meta.dirname, '../../../shared/data/05-tabular/nasty')

describe('the shared nasty database', () => {
  let target: SourceTarget
  let expected: ExpectedRelations
  let folder: string

  before(async function () {
    if (!existsSync(shared)) {
      console.log(`    skipped: ${shared} is not there`)
      return this.skip()
    }
    const server = await startPostgres()
    await server.createDatabase('nasty')
    await server.load('nasty', readFileSync(join(shared, 'nasty-postgresql.sql'), 'utf8'))
    expected = JSON.parse(readFileSync(join(shared, 'expected-postgresql.json'), 'utf8'))
    const { host, port, user, password } = server
    const limits = { connectTimeout: 5000, statementTimeout: 0 }
    target = { type: 'postgresql', host, port, database: 'nasty', tls: 'disable', username: user, password, ...limits }
    folder = mkdtempSync(join(tmpdir(), 'cratewright-nasty-'))
  })
  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  it('is extracted as expected, every table and column', async () => {
    const source = openPostgres(target)
    const signal = new AbortController().signal
    const relations = expected.relations.filter(({ rows, columns }) => rows !== undefined && columns.length > 0)
    const asked = relations.map(({ schema, name, columns }) => ({
      schema,
      table: name,
      columns: columns.map(column => ({ name: column.name, datatype: column.type })),
    }))
    const { tables, findings } = await source.describe(asked, signal)
    assert.deepEqual(findings, [])
    const files = tables.map((description, index) => ({
      description: description!,
      file: join(folder, `${index}.csv`),
    }))
    const extracted = await source.extract({ tables: files, limits, onProgress: () => undefined }, signal)
    assert.ok(extracted.length > 20)

    for (const [index, relation] of relations.entries()) {
      const { rows, report, size, sha256 } = extracted[index]!
      const name = `${relation.schema}.${relation.name}`
      assert.equal(rows, relation.rows, name)
      if (relation.copy_csv) assert.deepEqual({ bytes: size, sha256 }, without(relation.copy_csv, 'order_by'), name)
      const [head, ...values] = parseCsv(readFileSync(join(folder, `${index}.csv`), 'utf8'))
      assert.deepEqual(
        head,
        relation.columns.map(column => column.name),
      )
      for (const [position, column] of relation.columns.entries()) {
        if (column.volatile) continue
        const texts = values.map(row => asText(row[position] ?? null, column.type))
        // COPY writes xml without a declaration that says nothing, `::text` with it; `copy_csv` covers those bytes.
        if (column.type !== 'xml') assert.equal(columnHash(texts), column.sha256, `${name}.${column.name}`)
        const { nulls, distinct, standardError } = report.columns[position]!
        assert.equal(nulls, column.nulls, `${name}.${column.name}`)
        const error = Math.abs(distinct - column.distinct)
        assert.ok(error <= (standardError ? column.distinct * 0.03 : 0), `${name}.${column.name}: ${distinct}`)
      }
    }
  })

  it('shows its reader what it may read, and no more', async () => {
    const password = 'nasty-reader'
    const admin = await startPostgres()
    await admin.query('nasty', `ALTER ROLE nasty_reader PASSWORD '${password}'`)
    const source = openPostgres({ ...target, username: 'nasty_reader', password })
    const integer = (name: string) => ({ name, datatype: 'integer' })
    const text = (name: string) => ({ name, datatype: 'text' })
    const { findings } = await source.describe(
      [
        { schema: 'clinical', table: 'row_secured', columns: [integer('id')] },
        {
          schema: 'clinical',
          table: 'column_secured',
          columns: [integer('id'), text('public_note'), text('secret_note')],
        },
        { schema: 'clinical', table: 'no_access', columns: [integer('id')] },
        { schema: 'clinical', table: 'person', columns: [integer('id'), text('v')] },
      ],
      new AbortController().signal,
    )
    assert.deepEqual(
      findings.map(({ code }) => code),
      ['RowPolicyActive', 'ColumnNotAvailable', 'TableNotAvailable'],
    )
  })
})

function without(of: object, key: string): object {
  return Object.fromEntries(Object.entries(of).filter(([name]) => name !== key))
}
