/** What PostgreSQL's catalogue says of requested tables. Names are parameters here: nothing of a request becomes SQL text. */

import pg from 'pg'
import { type Problem, problem } from '../runtime/errors.ts'
import type { Catalogue, TableDescription, TableRequest } from './source.ts'

interface TypedColumn {
  readonly name: string
  readonly type: string
  readonly typeId: number
}

/** One table as this user may see it. */
interface VisibleTable {
  readonly id: number
  readonly kind: TableDescription['kind']
  /** A row policy applies to this user. */
  readonly rowPolicy: boolean
  readonly columns: ReadonlyMap<string, TypedColumn>
  readonly key: readonly string[]
}

const kinds: Readonly<Record<string, TableDescription['kind']>> = {
  r: 'table',
  p: 'partitioned table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
}

/** Types longer than this (characters) are not asked about. */
const longestType = 200

/** Within a transaction. All findings at once; what is absent reads the same as what may not be read. */
export async function describeTables(client: pg.Client, requests: readonly TableRequest[]): Promise<Catalogue> {
  const findings: Problem[] = []
  const tables: (TableDescription | undefined)[] = []
  const visible = await visibleTables(client, requests)
  const types = await typeIds(
    client,
    requests.filter((_, index) => visible.has(index)),
  )
  for (const [index, request] of requests.entries()) {
    const table = visible.get(index)
    const problems = table ? problemsOf(request, table, types) : [notAvailable(request)]
    findings.push(...problems)
    tables.push(table && problems.length === 0 ? await descriptionOf(client, request, table) : undefined)
  }
  return { tables, findings }
}

/** The same descriptions again, in another snapshot; undefined where the table cannot be read as described. */
export async function describeAgain(
  client: pg.Client,
  descriptions: readonly TableDescription[],
): Promise<readonly (TableDescription | undefined)[]> {
  const requests = descriptions.map(({ schema, table, columns }) => ({
    schema,
    table,
    columns: columns.map(({ name, type }) => ({ name, datatype: type })),
  }))
  const visible = await visibleTables(client, requests)
  const again: (TableDescription | undefined)[] = []
  for (const [index, request] of requests.entries()) {
    const table = visible.get(index)
    const readable = table && !table.rowPolicy && request.columns.every(({ name }) => table.columns.has(name))
    again.push(readable ? await descriptionOf(client, request, table) : undefined)
  }
  return again
}

/** Compared as text: a cast to `name` would cut what is longer than 63 bytes, and find another table. */
async function visibleTables(client: pg.Client, requests: readonly TableRequest[]): Promise<Map<number, VisibleTable>> {
  const asked = requests.map(({ schema, table }) => (isName(schema) && isName(table) ? [schema, table] : ['', '']))
  const found = await client.query<{ index: string; id: number; relkind: string; policy: boolean }>(
    `SELECT r.index, c.oid AS id, c.relkind, row_security_active(c.oid) AS policy
       FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r (schema, name, index)
       JOIN pg_namespace n ON n.nspname = r.schema
       JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r.name
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_schema_privilege(n.oid, 'USAGE')
        AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))`,
    [asked.map(([schema]) => schema), asked.map(([, table]) => table)],
  )
  const ids = found.rows.map(({ id }) => id)
  const columns = await client.query<TypedColumn & { id: number }>(
    `SELECT attrelid AS id, attname AS name, format_type(atttypid, atttypmod) AS type, atttypid AS "typeId"
       FROM pg_attribute
      WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped
        AND has_column_privilege(attrelid, attnum, 'SELECT')`,
    [ids],
  )
  const keys = await client.query<{ id: number; name: string }>(
    `SELECT i.indrelid AS id, a.attname AS name
       FROM pg_index i
      CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, position)
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
      WHERE i.indrelid = ANY ($1::oid[]) AND i.indisprimary AND k.position <= i.indnkeyatts
      ORDER BY i.indrelid, k.position`,
    [ids],
  )
  const columnsOf = Map.groupBy(columns.rows, ({ id }) => id)
  const keyOf = Map.groupBy(keys.rows, ({ id }) => id)
  return new Map(
    found.rows.map(({ index, id, relkind, policy }) => [
      Number(index) - 1,
      {
        id,
        kind: kinds[relkind]!,
        rowPolicy: policy,
        columns: new Map(columnsOf.get(id)?.map(column => [column.name, column])),
        key: keyOf.get(id)?.map(({ name }) => name) ?? [],
      },
    ]),
  )
}

/** PostgreSQL has no NUL in text; a lone surrogate would reach it as U+FFFD, and could find another name. */
function isName(name: string): boolean {
  return name !== '' && !name.includes('\0') && name.isWellFormed()
}

function problemsOf(request: TableRequest, table: VisibleTable, types: ReadonlyMap<string, number>): Problem[] {
  const shown = showTable(request)
  const problems: Problem[] = []
  if (table.rowPolicy) problems.push(problem('RowPolicyActive', `a row policy hides rows of ${shown} from this reader`))
  if (request.columns.length === 0) problems.push(problem('DocumentInvalid', `no column of ${shown} is asked for`))
  const seen = new Set<string>()
  for (const { name, datatype } of request.columns) {
    const column = table.columns.get(name)
    const where = `column ${JSON.stringify(name)} of ${shown}`
    if (seen.has(name)) problems.push(problem('DocumentInvalid', `${where} is asked for twice`))
    else if (!column) problems.push(problem('ColumnNotAvailable', `${where}: not found or not allowed`))
    else if (types.get(typeKey(request.schema, datatype)) !== column.typeId || !sameModifier(datatype, column.type)) {
      problems.push(
        problem('ColumnTypeDiffers', `${where} is not of the type ${JSON.stringify(datatype.slice(0, longestType))}`),
      )
    }
    seen.add(name)
  }
  return problems
}

function notAvailable(request: TableRequest): Problem {
  return problem('TableNotAvailable', `table ${showTable(request)}: not found or not allowed`)
}

export function showTable({ schema, table }: { readonly schema: string; readonly table: string }): string {
  return `${JSON.stringify(schema)}.${JSON.stringify(table)}`
}

/** `varchar` matches any varchar(n), `varchar(10)` only itself. `numeric(10)` is `numeric(10,0)` (documentation §8.1.2). */
function sameModifier(written: string, real: string): boolean {
  const asked = modifierOf(written)
  const actual = modifierOf(real)
  return asked === undefined || asked === actual || `${asked},0` === actual
}

/** Of `timestamp (3) with time zone`: `3`. A type's quoted name can hold brackets of its own. */
function modifierOf(type: string): string | undefined {
  return /\(([^)]*)\)/.exec(type.replace(/"(?:[^"]|"")*"/g, ''))?.[1]?.replace(/\s/g, '')
}

function typeKey(schema: string, datatype: string): string {
  return `${schema}\0${datatype}`
}

/**
 * Type names by the server's own parser, each in a savepoint: a malformed one is an error there, which must not end the
 * transaction. Going back to the savepoint also takes back the search path.
 */
async function typeIds(client: pg.Client, requests: readonly TableRequest[]): Promise<Map<string, number>> {
  const ids = new Map<string, number>()
  for (const { schema, columns } of requests) {
    for (const datatype of new Set(columns.map(column => column.datatype))) {
      // Digits are taken for the id of a type, not for a name.
      if (!isName(schema) || !isName(datatype) || datatype.length > longestType || /^\d+$/.test(datatype)) continue
      await client.query('SAVEPOINT type_name')
      const path = `pg_catalog, ${pg.escapeIdentifier(schema)}, pg_temp`
      try {
        await client.query(`SELECT set_config('search_path', $1, true)`, [path])
        const { rows } = await client.query<{ id: number | null }>('SELECT to_regtype($1)::oid AS id', [datatype])
        if (rows[0]?.id) ids.set(typeKey(schema, datatype), rows[0].id)
      } catch (error) {
        // Class 42: the text names no type. Else the connection or the server is at fault.
        if (!(error instanceof pg.DatabaseError) || !/^(42|22|3F|0A)/.test(error.code ?? '')) throw error
      }
      await client.query('ROLLBACK TO SAVEPOINT type_name; RELEASE SAVEPOINT type_name')
    }
  }
  return ids
}

async function descriptionOf(client: pg.Client, request: TableRequest, table: VisibleTable): Promise<TableDescription> {
  const names = new Set(request.columns.map(({ name }) => name))
  const stored = table.kind === 'view' || table.kind === 'materialized view'
  return {
    schema: request.schema,
    table: request.table,
    kind: table.kind,
    columns: request.columns.map(({ name }) => ({ name, type: table.columns.get(name)!.type })),
    orderBy: table.key.every(name => names.has(name)) ? table.key : [],
    definitions: stored ? await definitionsOf(client, table.id) : [],
  }
}

/**
 * A view's rows come from its rule, the rule depends on relations, functions and operators (pg_depend), operators and functions
 * with an SQL body on further ones. What a function in another language calls is not known to the catalogue.
 * Ids under 16384 are the system's own (FirstNormalObjectId in access/transam.h).
 */
const definitionsQuery = `
  WITH RECURSIVE used (class, id) AS (
    SELECT 'pg_class'::regclass::oid, $1::oid
    UNION
    SELECT d.refclassid, d.refobjid
      FROM used u CROSS JOIN LATERAL (
        SELECT d.refclassid, d.refobjid FROM pg_rewrite r
          JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
         WHERE u.class = 'pg_class'::regclass AND r.ev_class = u.id AND r.ev_type = '1'
        UNION ALL
        SELECT d.refclassid, d.refobjid FROM pg_depend d
         WHERE u.class <> 'pg_class'::regclass AND d.classid = u.class AND d.objid = u.id
      ) d
     WHERE d.refobjid >= 16384 AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)
  )
  SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_get_viewdef(c.oid) AS definition
    FROM used u JOIN pg_class c ON c.oid = u.id JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE u.class = 'pg_class'::regclass AND c.relkind IN ('v', 'm')
  UNION ALL
  SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
         CASE WHEN p.prokind = 'a'
              THEN (SELECT concat_ws(' ', a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggmfinalfn,
                                     a.aggtranstype::regtype, a.agginitval) FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
              ELSE pg_get_functiondef(p.oid) END
    FROM used u JOIN pg_proc p ON p.oid = u.id JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE u.class = 'pg_proc'::regclass`

async function definitionsOf(client: pg.Client, id: number): Promise<TableDescription['definitions']> {
  const { rows } = await client.query<{ name: string; definition: string }>(definitionsQuery, [id])
  return rows
    .map(({ name, definition }) => ({ name, definition }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
}
