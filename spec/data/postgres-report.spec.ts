import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { ColumnReport, SourceTarget } from '../../controller/data/source.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { describeOne, extractOne, request, targetOf } from './nasty-database.ts'

const database = 'report_spec'
/** 2000 rows; the specs' limits count by k = 5, from 50 characters on, as of 1 June 2026. */
const sql = `
  CREATE TABLE people AS SELECT i AS id,
    CASE WHEN i <= 1995 THEN '943 476 5919' ELSE 'none' END AS nhs,
    1000000000::bigint + i * 1237 AS ten,
    CASE i WHEN 7 THEN 'write to ann@mail.example, or call 07700 900123' WHEN 8 THEN '=HYPERLINK("http://x")' WHEN 9 THEN '-12.5' WHEN 10 THEN '+44 7700 900123'
      WHEN 11 THEN E'\\t=1' WHEN 12 THEN '-cmd|x' WHEN 13 THEN '@x' WHEN 14 THEN '＝1' WHEN 15 THEN '+1e-7' ELSE 'plain' END AS cell,
    date '1930-01-01' + (i * 7919 % 30000) AS born,
    to_char(date '1930-01-01' + (i * 7919 % 30000), 'DD/MM/YYYY') AS born_text,
    timestamp '2020-01-01' + i * interval '7919 seconds' AS seen,
    date '2024-01-01' + i % 300 AS visit,
    date '1700-01-01' + i AS old,
    'BC ' || i AS copy, 'BC ' || i AS same, nullif(i % 7, 0)::text AS few, nullif(i % 7, 0)::text AS few_again,
    md5(i::text) AS code, 'the same words in every row, which is a long text of more than fifty characters' AS boilerplate,
    'Seen on the ward ' || i || ' times, and sent home with advice to come again' AS note,
    CASE WHEN i = 3 THEN repeat('x', 20000) ELSE 'x' END AS long,
    CASE WHEN i < 4 THEN 'rare' WHEN i < 10 THEN 'six' ELSE 'common' END AS category,
    -i AS negative, ('10.0.0.' || i % 200)::inet AS address, '{"a": "LS2 9JT"}'::json AS nested
    FROM generate_series(1, 2000) i;
  ALTER TABLE people ADD PRIMARY KEY (id);
  CREATE VIEW backwards AS SELECT * FROM people ORDER BY id DESC;
  CREATE TABLE empty (id integer PRIMARY KEY, v text);
`
const types: Readonly<Record<string, string>> = {
  id: 'integer',
  nhs: 'text',
  ten: 'bigint',
  cell: 'text',
  born: 'date',
  born_text: 'text',
  seen: 'timestamp',
  visit: 'date',
  old: 'date',
  copy: 'text',
  same: 'text',
  few: 'text',
  few_again: 'text',
  code: 'text',
  boilerplate: 'text',
  note: 'text',
  long: 'text',
  category: 'text',
  negative: 'integer',
  address: 'inet',
  nested: 'json',
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

describe('what is counted of a table while it is extracted', () => {
  let server: TestPostgres
  let target: SourceTarget
  let folder: string
  let columns: Readonly<Record<string, ColumnReport>>
  const report = async (table: string, asked = types) =>
    (await extractOne(folder, target, await describeOne(target, request('public', table, asked)))).report
  before(async () => {
    server = await startPostgres()
    await server.createDatabase(database)
    await server.load(database, sql)
    target = targetOf(server, database)
    folder = mkdtempSync(join(tmpdir(), 'cratewright-report-'))
    columns = Object.fromEntries((await report('people')).columns.map(column => [column.name, column]))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('has the nulls, distinct values and small cells that the server counts', async () => {
    for (const [name, { nulls, distinct, smallCells }] of Object.entries(columns)) {
      const [row] = await server.query(
        database,
        `SELECT count(*) FILTER (WHERE v IS NULL)::int AS empty, 0 AS distinct, 0 AS rare FROM (SELECT ${name}::text v FROM people) p`,
      )
      const [groups] = await server.query(
        database,
        `SELECT count(*)::int AS distinct, count(*) FILTER (WHERE n < 5)::int AS rare
           FROM (SELECT count(*) n FROM (SELECT ${name}::text v FROM people) p WHERE v IS NOT NULL GROUP BY v) g`,
      )
      assert.deepEqual([nulls, distinct, smallCells], [row!.empty, groups!.distinct, groups!.rare], name)
    }
    assert.equal(columns.category!.smallCells, 1)
  })

  it('finds identifiers by their form, in every row', () => {
    assert.deepEqual(columns.nhs!.found, { nhsNumber: 1995, tenDigits: 1995 })
    assert.equal(columns.ten!.found.tenDigits, 2000)
    const valid = columns.ten!.found.nhsNumber!
    assert.ok(valid > 100 && valid < 260, `by chance one in eleven: ${valid}`)
    assert.equal(columns.cell!.found.email, 1)
    assert.equal(columns.cell!.found.phone, 2)
    assert.equal(columns.nested!.found.postcode, 2000)
    assert.deepEqual(columns.code!.found, {})
  })

  it('counts what a spreadsheet would run, and no numbers with a sign', () => {
    assert.equal(columns.cell!.found.formula, 5)
    assert.equal(columns.negative!.found.formula, undefined)
  })

  it('tells dates like birthdays from other dates, as dates and as text', () => {
    assert.deepEqual(columns.born!.dates, { withinLife: 2000, spreadYears: 74 })
    assert.deepEqual(columns.born_text!.dates, columns.born!.dates)
    assert.deepEqual(columns.visit!.dates, { withinLife: 2000, spreadYears: 1 })
    assert.equal(columns.old!.dates!.withinLife, 0)
    assert.equal(columns.seen!.found.timeOfDay, 2000)
    assert.equal(columns.born!.found.timeOfDay, undefined)
  })

  it('tells long texts, values that are too long to be searched, and columns that are the same', () => {
    assert.equal(columns.note!.found.longText, 2000)
    assert.equal(columns.code!.found.longText, undefined)
    assert.equal(columns.long!.cut, 1)
    assert.equal(columns.same!.sameAs, 'copy')
    assert.equal(columns.few_again!.sameAs, 'few')
    assert.equal(columns.copy!.sameAs, undefined)
    assert.equal(columns.boilerplate!.sameAs, undefined)
  })

  it('counts the same whenever and in whatever order it reads the same rows', async () => {
    const { columns: again } = await report('people')
    assert.deepEqual(again, Object.values(columns))
    assert.deepEqual((await report('backwards')).columns, again)
  })

  it('reports a table without rows', async () => {
    const { rows, columns: none } = await report('empty', { id: 'integer', v: 'text' })
    assert.equal(rows, 0)
    assert.deepEqual(none[1], { name: 'v', type: 'text', nulls: 0, distinct: 0, smallCells: 0, found: {}, cut: 0 })
  })

  it('stays within its memory when many columns have many values', async function () {
    this.timeout(60_000)
    const wide = Array.from({ length: 120 }, (_, index) => `md5((i * ${index + 2})::text) AS c${index}`)
    await server.load(database, `CREATE VIEW wide AS SELECT ${wide.join(', ')} FROM generate_series(1, 20000) i`)
    const names = Object.fromEntries(wide.map((_, index) => [`c${index}`, 'text']))
    // What is held on to while the rows stream, not what the collector has not come to yet.
    const held = () => {
      collect()
      return process.memoryUsage().arrayBuffers
    }
    const before = held()
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, held())
    }, 50)
    const { columns: all } = await report('wide', names).finally(() => clearInterval(watch))
    assert.ok(all.every(({ distinct, standardError }) => standardError && Math.abs(distinct - 20_000) < 600))
    assert.ok(most > before, 'the report was looked at while it was made')
    assert.ok(most - before < 32_000_000, `${most - before} bytes`)
  })
})
