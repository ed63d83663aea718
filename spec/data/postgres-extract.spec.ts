import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { openPostgres } from '../../controller/data/postgres.ts'
import type { Progress, SourceTarget } from '../../controller/data/source.ts'
import { launchPostgres, type TestPostgres } from '../support/postgres.ts'
import { parseCsv } from './csv.ts'
import {
  backends,
  describeOne,
  extractOne,
  ignore,
  limits,
  nastyDatabase,
  never,
  request,
  targetOf,
  until,
  visits,
} from './nasty-database.ts'

describe('an extraction from PostgreSQL', () => {
  let server: TestPostgres
  let reader: SourceTarget
  let folder: string
  before(async () => {
    ;({ server, reader } = await nastyDatabase())
  })
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cratewright-extract-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('writes what COPY writes, with size, digests and rows', async () => {
    const asked = request('clinical', 'types', {
      id: 'integer',
      c_bool: 'boolean',
      c_bytea: 'bytea',
      c_date: 'date',
      c_time: 'timestamptz',
      c_interval: 'interval',
      c_double: 'float8',
      c_money: 'money',
      c_array: 'text[]',
      c_json: 'json',
      c_sex: 'sex',
    })
    const { text, ...table } = await extractOne(folder, reader, await describeOne(reader, asked))
    assert.equal(
      text,
      `id,c_bool,c_bytea,c_date,c_time,c_interval,c_double,c_money,c_array,c_json,c_sex
1,,,,,,,,,,
2,t,\\x00ff,4713-01-01 BC,2026-03-29 00:30:00.5+00,1 year 2 mons -3 days,-0,$12.50,"{a,""b,c"",NULL}","{""b"":1, ""a"":2}",O'Other
`,
    )
    assert.equal(table.rows, 2)
    assert.equal(table.size, Buffer.byteLength(text))
    assert.equal(table.sha256, createHash('sha256').update(text).digest('hex'))
    assert.equal(table.sha512, createHash('sha512').update(text).digest('hex'))
    assert.deepEqual(readdirSync(folder), ['table.csv'])
  })

  it('keeps NULL, empty text and markers apart', async () => {
    const { text } = await extractOne(
      folder,
      reader,
      await describeOne(reader, request('clinical', 'traps', { n: 'integer', v: 'text' })),
    )
    const values = [null, '', 'NULL', '\\N', '\\.', 'a,"b"', 'line\nfeed', 'cr\r\nlf', '=1+1', '👩🏽‍⚕️']
    assert.deepEqual(parseCsv(text), [['n', 'v'], ...values.map((value, index) => [String(index + 1), value])])
    const single = await extractOne(
      folder,
      reader,
      await describeOne(reader, request('clinical', 'one_column', { v: 'text' })),
    )
    assert.equal(single.text, 'v\n\n""\nx\n')
  })

  it('takes names as they are', async () => {
    const names = ['select', 'quote"d', 'per%cent', 'semi;colon', '日本語', '__proto__', 'constructor', 'new\nline']
    const columns = names.map(name => ({ name, datatype: name === 'select' ? 'integer' : 'text' }))
    const description = await describeOne(reader, { schema: 'Mixed Case', table: 'Order', columns })
    const { text, report } = await extractOne(folder, reader, description)
    assert.deepEqual(parseCsv(text), [names, ['1', 'q', 'p', 's', '値', 'proto', 'c', 'n']])
    assert.deepEqual(
      report.columns.map(({ name }) => name),
      names,
    )
  })

  it('writes in the order of the key', async () => {
    const { text } = await extractOne(
      folder,
      reader,
      await describeOne(reader, request('clinical', 'two_keys', { a: 'integer', b: 'integer' })),
    )
    assert.equal(text, 'a,b\n1,1\n2,1\n3,1\n1,2\n2,2\n3,2\n1,3\n2,3\n3,3\n')
  })

  it('writes an empty table, a partitioned one and a materialized view', async () => {
    assert.equal(
      (await extractOne(folder, reader, await describeOne(reader, request('clinical', 'no_rows', { id: 'bigint' }))))
        .text,
      'id\n',
    )
    const measurements = request('clinical', 'measurements', { taken: 'date' })
    assert.equal(
      (await extractOne(folder, reader, await describeOne(reader, measurements))).text,
      'taken\n2024-02-29\n',
    )
    assert.equal(
      (await extractOne(folder, reader, await describeOne(reader, request('clinical', 'mv', { person: 'integer' }))))
        .rows,
      60,
    )
  })

  it('reports counts: rows, nulls, distinct values, small cells', async () => {
    const { report } = await extractOne(folder, reader, await visits(reader))
    assert.deepEqual(report, {
      rows: 20_001,
      columns: [
        { name: 'id', type: 'bigint', nulls: 0, distinct: 20_001, standardError: 0.008125, found: {}, cut: 0 },
        { name: 'person', type: 'integer', nulls: 333, distinct: 59, smallCells: 0, found: {}, cut: 0 },
        { name: 'note', type: 'text', nulls: 0, distinct: 9, smallCells: 1, found: { lineBreaks: 6666 }, cut: 0 },
      ],
    })
  })

  it('reports types without equality, and tables wider than one question', async () => {
    const odd = request('clinical', 'types', { c_json: 'json', c_point: 'point', c_xml: 'xml' })
    const { report } = await extractOne(folder, reader, await describeOne(reader, odd))
    assert.deepEqual(
      report.columns.map(({ nulls, distinct, smallCells }) => [nulls, distinct, smallCells]),
      [
        [1, 1, 1],
        [1, 1, 1],
        [1, 1, 1],
      ],
    )
    const names = Array.from({ length: 150 }, (_, index) => [`c${index + 1}`, 'integer'] as const)
    const wide = await extractOne(
      folder,
      reader,
      await describeOne(reader, request('clinical', 'wide', Object.fromEntries(names))),
    )
    assert.deepEqual(
      wide.report.columns.map(({ name, distinct, nulls }) => [name, distinct, nulls]),
      names.map(([name]) => [name, 1, 0]),
    )
  })

  it('tells its progress, not too often', async () => {
    const seen: Progress[] = []
    await extractOne(folder, reader, await visits(reader), never, progress => seen.push(progress))
    assert.ok(seen.length <= 20)
    const last = seen.at(-1)!
    assert.equal(last.rows, 20_001)
    assert.ok(last.estimatedRows! > 1000)
  })

  it('reads several tables in one snapshot, while others write', async () => {
    const description = await visits(reader)
    const onProgress = () => {
      writing ??= server.query(
        'data_spec',
        'INSERT INTO clinical.visits SELECT i, 1 FROM generate_series(30000, 30009) i',
      )
    }
    let writing: Promise<unknown> | undefined
    const tables = ['a', 'b'].map(name => ({ description, file: join(folder, name) }))
    const done = await openPostgres(reader).extract({ tables, limits, onProgress }, never)
    await writing
    await server.query('data_spec', 'DELETE FROM clinical.visits WHERE id >= 30000')
    assert.equal(done[0]!.sha512, done[1]!.sha512)
    assert.deepEqual(
      done.map(({ rows, report }) => [rows, report.columns[0]!.distinct]),
      [
        [20_001, 20_001],
        [20_001, 20_001],
      ],
    )
  })

  it('is refused when what was approved has changed', async () => {
    const column = await describeOne(reader, request('clinical', 'two_keys', { a: 'integer', v: 'text' }))
    const view = await describeOne(reader, request('clinical', 'v_outer', { id: 'bigint' }))
    const gone = await describeOne(reader, request('clinical', 'one_column', { v: 'text' }))
    await server.query('data_spec', 'ALTER TABLE clinical.two_keys ALTER v TYPE varchar(20)')
    await server.query(
      'data_spec',
      `CREATE OR REPLACE FUNCTION clinical.twice(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 * 3'`,
    )
    await server.query('data_spec', 'REVOKE SELECT ON clinical.one_column FROM reader')
    await assert.rejects(extractOne(folder, reader, column), {
      code: 'ApprovalVoid',
      message: 'columns of table "clinical"."two_keys" changed since the approval',
    })
    await assert.rejects(extractOne(folder, reader, view), { code: 'ApprovalVoid', message: /^definitions of/ })
    await assert.rejects(extractOne(folder, reader, gone), { code: 'ApprovalVoid' })
    await server.query('data_spec', 'GRANT SELECT ON clinical.one_column TO reader')
    await server.query('data_spec', 'ALTER TABLE clinical.two_keys ALTER v TYPE text')
    assert.deepEqual(readdirSync(folder), [])
  })

  it('sees a table that is being rewritten when it starts, and does not find it empty', async () => {
    const description = await describeOne(reader, request('clinical', 'two_keys', { a: 'integer', b: 'integer' }))
    const rewriting = server.query(
      'data_spec',
      'BEGIN; ALTER TABLE clinical.two_keys ALTER v TYPE varchar(30); SELECT pg_sleep(0.5); COMMIT',
    )
    await setTimeout(150)
    const { rows } = await extractOne(folder, reader, description)
    await rewriting
    assert.equal(rows, 9)
  })

  it('leaves no file when the server fails midway, and tells no value', async () => {
    const description = await describeOne(
      reader,
      request('clinical', 'v_fails_midway', { id: 'bigint', boom: 'bigint' }),
    )
    await assert.rejects(extractOne(folder, reader, description), (error: Error & { code: string }) => {
      assert.equal(error.code, 'SourceFailed')
      assert.match(error.message, /SQLSTATE 22012/)
      assert.doesNotMatch(error.message, /division/)
      assert.equal(error.cause, undefined)
      return true
    })
    assert.deepEqual(readdirSync(folder), [])
  })

  it('is cancelled at the server within 2 s, and leaves no file', async () => {
    const description = await describeOne(reader, request('clinical', 'v_slow', { id: 'bigint' }))
    const abort = new AbortController()
    const extracting = extractOne(folder, reader, description, abort.signal)
    await until(async () => (await backends(server)).some(query => query.includes('v_slow')))
    const start = performance.now()
    abort.abort()
    await assert.rejects(extracting, { code: 'ExtractionCancelled' })
    assert.ok(performance.now() - start < 2000)
    await until(async () => (await backends(server)).length === 0)
    assert.deepEqual(readdirSync(folder), [])
  })

  it('is cancelled before it begins', async () => {
    await assert.rejects(extractOne(folder, reader, await visits(reader), AbortSignal.abort()), {
      code: 'ExtractionCancelled',
    })
  })

  it('ends at the time limit of a statement', async () => {
    const description = await describeOne(reader, request('clinical', 'v_slow', { id: 'bigint' }))
    await assert.rejects(extractOne(folder, { ...reader, statementTimeout: 300 }, description), {
      code: 'SourceTimeout',
      message: /57014/,
    })
    assert.deepEqual(readdirSync(folder), [])
  })

  it('leaves no file when its connection is cut, and can be tried again', async () => {
    const description = await describeOne(reader, request('clinical', 'v_slow', { id: 'bigint' }))
    const extracting = extractOne(folder, reader, description)
    const cut = until(async () => {
      const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader' AND state = 'active' AND query LIKE 'COPY%'`
      return (await server.query('data_spec', sql)).length > 0
    })
    await assert.rejects(extracting, { code: 'SourceUnreachable', retryable: true })
    await cut
    assert.deepEqual(readdirSync(folder), [])
  })

  it('leaves no file when the server dies while rows flow', async () => {
    const own = await launchPostgres()
    try {
      const filler = `CREATE VIEW large AS SELECT i AS id, repeat(md5(i::text), 30) AS filler FROM generate_series(1, 10000000) i`
      await own.load('postgres', filler)
      const at = targetOf(own, 'postgres')
      const description = await describeOne(at, request('public', 'large', { id: 'integer', filler: 'text' }))
      let stopping: Promise<void> | undefined
      const extracting = extractOne(folder, at, description, never, ({ bytes }) => {
        if (bytes > 1_000_000) stopping ??= own.stop()
      })
      await assert.rejects(extracting, { code: 'SourceUnreachable' })
      assert.ok(stopping)
      assert.deepEqual(readdirSync(folder), [])
    } finally {
      await own.stop()
    }
  })

  it('holds little in memory, however large the table', async () => {
    const description = await describeOne(reader, request('clinical', 'v_large', { id: 'integer', filler: 'text' }))
    const abort = new AbortController()
    let highest = 0
    const start = process.memoryUsage().rss
    const extracting = extractOne(folder, reader, description, abort.signal, ({ bytes }) => {
      highest = Math.max(highest, process.memoryUsage().rss)
      if (bytes > 300_000_000) abort.abort()
    })
    await assert.rejects(extracting, { code: 'ExtractionCancelled' })
    assert.ok(highest - start < 150_000_000, `${highest - start} bytes`)
  })

  it('tells a folder that cannot be written from a source that fails', async () => {
    const description = await visits(reader)
    const tables = [{ description, file: join(folder, 'absent', 'x.csv') }]
    await assert.rejects(openPostgres(reader).extract({ tables, limits, onProgress: ignore }, never), {
      code: 'StoreFailed',
      message: /ENOENT/,
    })
    mkdirSync(join(folder, 'table.csv'))
    await assert.rejects(extractOne(folder, reader, description), { code: 'StoreFailed', message: /EISDIR/ })
    assert.deepEqual(readdirSync(folder), ['table.csv'])
    await until(async () => (await backends(server)).length === 0)
  })

  it('removes what an earlier one left when it was killed, and nothing else', async () => {
    writeFileSync(join(folder, 'old.csv.0123456789abcdef.partial'), 'half')
    writeFileSync(join(folder, 'notes.partial'), 'keep')
    await extractOne(folder, reader, await visits(reader))
    assert.deepEqual(readdirSync(folder).sort(), ['notes.partial', 'table.csv'])
  })
})
