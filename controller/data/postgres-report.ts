/** What an approver reads of a table: counted by the server, so that no value of a row leaves it. */

import pg from 'pg'
import { relationText } from './postgres-extract.ts'
import type { TableDescription, TableReport } from './source.ts'

/** GROUPING takes at most 31 (PostgreSQL documentation §9.21.3). */
const sliceSize = 31
/** With more distinct values than this, a column is not taken for a category. */
const categoryLimit = 50

interface CountRow {
  readonly mask: number
  readonly nulls: string
  readonly distinct: string
  readonly small: string
}

/** `rows`: as extracted, in the same snapshot. Values in fewer than `k` rows are small cells. */
export async function reportTable(
  client: pg.Client,
  description: TableDescription,
  rows: number,
  k: number,
): Promise<TableReport> {
  const columns: TableReport['columns'][number][] = []
  for (let start = 0; start < description.columns.length; start += sliceSize) {
    const slice = description.columns.slice(start, start + sliceSize)
    const counts = await countSlice(client, description, slice, k)
    for (const [index, { name, type }] of slice.entries()) {
      const { nulls = '0', distinct = '0', small = '0' } = counts.get(index) ?? {}
      const found = { name, type, nulls: Number(nulls), distinct: Number(distinct) }
      columns.push(found.distinct > categoryLimit ? found : { ...found, smallCells: Number(small) })
    }
  }
  return { rows, columns }
}

/**
 * One pass over the table: a grouping set for each column. Values are compared as text, byte by byte: that is what the file holds,
 * and not every type has an equality.
 */
async function countSlice(
  client: pg.Client,
  description: TableDescription,
  slice: TableDescription['columns'],
  k: number,
): Promise<Map<number, CountRow>> {
  const names = slice.map((_, index) => `c${index}`)
  const texts = slice.map(({ name }, index) => `${pg.escapeIdentifier(name)}::text COLLATE "C" AS c${index}`)
  const { rows } = await client.query<CountRow>(
    `SELECT mask, coalesce(sum(n) FILTER (WHERE empty), 0) AS nulls, count(*) FILTER (WHERE NOT empty) AS distinct,
            count(*) FILTER (WHERE NOT empty AND n < $1) AS small
       FROM (SELECT GROUPING(${names.join(', ')}) AS mask, count(*) AS n, coalesce(${names.join(', ')}) IS NULL AS empty
               FROM (SELECT ${texts.join(', ')} FROM ${relationText(description)}) AS slice
              GROUP BY GROUPING SETS (${names.map(name => `(${name})`).join(', ')})) AS groups
      GROUP BY mask`,
    [k],
  )
  return new Map(rows.map(row => [columnOf(row.mask, slice.length), row]))
}

/** GROUPING is a bit mask, its last argument the lowest bit; of each set, exactly its own column has a 0. */
function columnOf(mask: number, width: number): number {
  const own = 2 ** width - 1 - mask
  return width - 1 - Math.log2(own)
}
