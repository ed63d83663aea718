/** PostgreSQL as a source. Facts and limits: reference/packaging.md §5.2. */

import { dirname } from 'node:path'
import type pg from 'pg'
import { canonicalJson } from '../runtime/canonical.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { describeAgain, describeTables, showTable } from './postgres-catalogue.ts'
import { withSession } from './postgres-connect.ts'
import { copyTable, relationText, removePartials } from './postgres-extract.ts'
import type { DatasetExtraction, ExtractedTable, OpenSource, SourceTarget, TableDescription } from './source.ts'

const begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'

export const openPostgres: OpenSource = target => ({
  describe: (tables, signal) =>
    withSession(target, signal, async client => {
      await client.query(begin)
      const catalogue = await describeTables(client, tables)
      await client.query('COMMIT')
      return catalogue
    }),
  extract: (dataset, signal) => extract(target, dataset, signal),
})

async function extract(
  target: SourceTarget,
  { tables, limits, onProgress }: DatasetExtraction,
  signal: AbortSignal,
): Promise<readonly ExtractedTable[]> {
  for (const folder of new Set(tables.map(({ file }) => dirname(file)))) await removePartials(folder)
  return withSession(target, signal, async client => {
    const descriptions = tables.map(({ description }) => description)
    await client.query(begin)
    await lockTables(client, descriptions)
    const again = await describeAgain(client, descriptions)
    for (const [index, description] of descriptions.entries()) refuseDifference(description, again[index])
    const extracted: ExtractedTable[] = []
    for (const { description, file } of tables) {
      signal.throwIfAborted()
      const { schema, table } = description
      extracted.push({ schema, table, ...(await copyTable(client, description, file, limits, onProgress)) })
    }
    await client.query('COMMIT')
    return extracted
  })
}

/**
 * LOCK takes no snapshot, so the first one is taken when these tables can no longer change their shape: a table that is
 * rewritten (ALTER … TYPE) after a snapshot was taken looks empty in it (documentation §13.6). Materialized views, foreign
 * tables and tables of which only columns may be read cannot be locked; there the description is all that protects.
 */
async function lockTables(client: pg.Client, descriptions: readonly TableDescription[]): Promise<void> {
  for (const description of descriptions) {
    await client.query('SAVEPOINT lock_table')
    try {
      await client.query(`LOCK TABLE ${relationText(description)} IN ACCESS SHARE MODE`)
    } catch (error) {
      const { code } = error as { code?: unknown }
      // 42501: no right on the whole table; 42809: not a kind that can be locked; 42P01, 3F000: absent, reported below.
      if (!['42501', '42809', '42P01', '3F000'].includes(String(code))) throw error
      await client.query('ROLLBACK TO SAVEPOINT lock_table')
    }
    await client.query('RELEASE SAVEPOINT lock_table')
  }
}

function refuseDifference(approved: TableDescription, now: TableDescription | undefined): void {
  const table = showTable(approved)
  if (!now) throw new CratewrightError('ApprovalVoid', `table ${table} can no longer be read as it was approved`)
  for (const part of ['kind', 'columns', 'orderBy', 'definitions'] as const) {
    if (canonicalJson(now[part]) !== canonicalJson(approved[part])) {
      throw new CratewrightError('ApprovalVoid', `${part} of table ${table} changed since the approval`)
    }
  }
}
