/** What the independent tool (oracles/db_oracle.py) wrote down of a database, and its way of hashing a column. */

import { createHash } from 'node:crypto'

export interface ExpectedRelations {
  readonly relations: readonly {
    readonly schema: string
    readonly name: string
    readonly rows?: number
    readonly columns: readonly {
      name: string
      type: string
      volatile?: true
      nulls: number
      distinct: number
      sha256: string
    }[]
    readonly copy_csv?: { readonly bytes: number; readonly sha256: string }
  }[]
}

/** The oracle read `::text`, which spells two types otherwise than COPY does. */
export function asText(value: string | null, type: string): string | null {
  if (value === null) return null
  if (type === 'boolean') return value === 't' ? 'true' : 'false'
  return /^character\(\d+\)$/.test(type) ? value.trimEnd() : value
}

/** Independent of the order of rows. */
export function columnHash(values: readonly (string | null)[]): string {
  const bytes = values.map(value => Buffer.from(value ?? '\x01NULL')).sort(Buffer.compare)
  const lines = bytes.flatMap((value, index) => (index === 0 ? [value] : [Buffer.from('\n'), value]))
  return createHash('sha256').update(Buffer.concat(lines)).digest('hex')
}
