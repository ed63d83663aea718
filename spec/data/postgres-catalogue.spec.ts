import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPostgres } from '../../controller/data/postgres.ts'
import type { SourceTarget } from '../../controller/data/source.ts'
import { codes, describeOne, extractOne, nastyDatabase, never, request } from './nasty-database.ts'

describe('the catalogue of PostgreSQL', () => {
  let target: SourceTarget
  let reader: SourceTarget
  let folder: string
  before(async () => {
    ;({ target, reader } = await nastyDatabase())
  })
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cratewright-extract-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('gives kind, types, key and order of columns as asked for', async () => {
    assert.deepEqual(
      await describeOne(
        reader,
        request('clinical', 'types', { c_sex: 'sex', id: 'int4', c_nhs: 'clinical.nhs_number' }),
      ),
      {
        schema: 'clinical',
        table: 'types',
        kind: 'table',
        columns: [
          { name: 'c_sex', type: 'clinical.sex' },
          { name: 'id', type: 'integer' },
          { name: 'c_nhs', type: 'clinical.nhs_number' },
        ],
        orderBy: ['id'],
        definitions: [],
      },
    )
  })

  it('orders by the key only when all of it is asked for, in the order of the key', async () => {
    const all = await describeOne(reader, request('clinical', 'two_keys', { a: 'integer', v: 'text', b: 'integer' }))
    assert.deepEqual(all.orderBy, ['b', 'a'])
    assert.deepEqual((await describeOne(reader, request('clinical', 'two_keys', { a: 'integer' }))).orderBy, [])
  })

  it('knows partitioned tables and materialized views', async () => {
    assert.equal(
      (await describeOne(reader, request('clinical', 'measurements', { id: 'bigint' }))).kind,
      'partitioned table',
    )
    assert.equal((await describeOne(reader, request('clinical', 'mv', { visits: 'bigint' }))).kind, 'materialized view')
  })

  it('gives the definitions of a view and of what it is made of', async () => {
    const { definitions, kind } = await describeOne(reader, request('clinical', 'v_outer', { id: 'bigint' }))
    assert.equal(kind, 'view')
    assert.deepEqual(
      definitions.map(({ name }) => name),
      ['clinical.twice(integer)', 'clinical.v_inner', 'clinical.v_outer'],
    )
    assert.match(definitions[0]!.definition, /SELECT \$1 \* 2/)
    assert.match(definitions[2]!.definition, /WHERE \(person > 2\)/)
  })

  it('reads the same for what is absent and what is forbidden', async () => {
    const columns = { id: 'integer' }
    const asked = [
      request('clinical', 'no_access', columns),
      request('clinical', 'absent', columns),
      request('hidden', 'present', columns),
      request('hidden', 'absent', columns),
      request('clinical', 'partly', { id: 'integer', secret: 'text', absent: 'text' }),
    ]
    const { tables, findings } = await openPostgres(reader).describe(asked, never)
    assert.deepEqual(tables, [undefined, undefined, undefined, undefined, undefined])
    assert.deepEqual(
      findings.map(({ code }) => code),
      [
        ...['TableNotAvailable', 'TableNotAvailable', 'TableNotAvailable', 'TableNotAvailable'],
        ...['ColumnNotAvailable', 'ColumnNotAvailable'],
      ],
    )
    const blank = findings.map(({ message }) => message.replace(/"[^"]*"/g, '""'))
    assert.equal(new Set(blank).size, 2)
  })

  it('allows the columns that may be read of a table that may not', async () => {
    const description = await describeOne(reader, request('clinical', 'partly', { public: 'text', id: 'integer' }))
    assert.equal((await extractOne(folder, reader, description)).text, 'public,id\nmay be read,1\n')
  })

  it('refuses a table whose rows a policy hides, and only for whom it does', async () => {
    const asked = request('clinical', 'secured', { id: 'integer' })
    assert.deepEqual(codes(await openPostgres(reader).describe([asked], never)), ['RowPolicyActive'])
    assert.deepEqual(codes(await openPostgres(target).describe([asked], never)), [])
  })

  it('matches types by what they mean, modifiers by what is written', async () => {
    const right = {
      c_numeric: ['numeric', 'numeric(10,2)', 'NUMERIC ( 10 , 2 )', 'decimal'],
      c_double: ['float8', 'double precision', 'float'],
      c_time: ['timestamptz', 'timestamp(3) with time zone', 'timestamptz(3)'],
      c_varchar: ['varchar', 'character varying(10)'],
      c_char: ['"char"'],
      c_array: ['text[]', '_text'],
      c_sex: ['sex', 'clinical.sex', 'clinical."sex"'],
    }
    const wrong = {
      c_numeric: ['numeric(10,3)', 'numeric(10)', 'integer', ''],
      c_time: ['timestamp', 'timestamptz(6)'],
      c_varchar: ['varchar(11)', 'text'],
      c_char: ['char'],
      c_sex: ['text', 'public.sex', 'hidden.present'],
      id: [
        'no_such_type',
        'numeric(',
        '); DROP TABLE x',
        'clinical.types.id%TYPE',
        'int\0',
        '\ud800',
        'x'.repeat(10_000),
        'a.b.c.d',
        '23',
        '"',
      ],
    }
    const cases = (of: Record<string, string[]>) =>
      Object.entries(of).flatMap(([name, types]) => types.map(type => request('clinical', 'types', { [name]: type })))
    assert.deepEqual(codes(await openPostgres(reader).describe(cases(right), never)), [])
    const bad = cases(wrong)
    assert.deepEqual(
      codes(await openPostgres(reader).describe(bad, never)),
      bad.map(() => 'ColumnTypeDiffers'),
    )
  })

  it('tells everything at once, and not the real type', async () => {
    const asked = [
      request('clinical', 'visits', { id: 'text', nothing: 'text', person: 'numeric(' }),
      {
        schema: 'clinical',
        table: 'visits',
        columns: [
          { name: 'id', datatype: 'bigint' },
          { name: 'id', datatype: 'bigint' },
        ],
      },
      request('clinical', 'no_rows', {}),
      request('clinical', 'no_rows', { id: 'bigint' }),
    ]
    const found = await openPostgres(reader).describe(asked, never)
    assert.deepEqual(codes(found), [
      'ColumnTypeDiffers',
      'ColumnNotAvailable',
      'ColumnTypeDiffers',
      'DocumentInvalid',
      'DocumentInvalid',
    ])
    assert.doesNotMatch(JSON.stringify(found.findings), /bigint|integer/)
    assert.deepEqual(
      found.tables.map(table => table?.table),
      [undefined, undefined, undefined, 'no_rows'],
    )
  })

  it('finds hostile names exactly, and nothing by names that are cut, folded or mended', async () => {
    const hostile = "Robert'); DROP TABLE students;--"
    const description = await describeOne(reader, request('clinical', hostile, { 'id");--': 'integer' }))
    assert.equal((await extractOne(folder, reader, description)).text, '"id"");--"\n')
    const long = 'a_name_that_is_exactly_sixty_three_bytes_long_in_postgresql_ok'
    const names = [
      `${long}`,
      `${long.padEnd(63, 'x')}y`,
      'Visits',
      'visits\0',
      'visits ',
      '"visits"',
      'clinical.visits',
      '',
      '\ud800',
      '%',
      '_',
    ]
    const { tables } = await openPostgres(reader).describe(
      names.map(name => request('clinical', name, { id: 'integer' })),
      never,
    )
    assert.deepEqual(
      tables.map(table => table?.table),
      [long, ...names.slice(1).map(() => undefined)],
    )
  })

  it('does not read system columns', async () => {
    const asked = ['ctid', 'xmin', 'tableoid'].map(name => request('clinical', 'visits', { [name]: 'text' }))
    assert.deepEqual(
      codes(await openPostgres(reader).describe(asked, never)),
      asked.map(() => 'ColumnNotAvailable'),
    )
  })
})
