/** Names of payload files and folders: what people named tables and datasets, made safe for every file system. */

import { createHash } from 'node:crypto'

const plain = /^[a-z0-9][a-z0-9_-]{0,99}$/

// Windows opens a device for these, whatever extension follows.
const device = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])$/

/**
 * The file name of a table, without extension: the table's own name where that is safe everywhere, otherwise a slug and the
 * start of SHA-256 (schema, NUL, table). At most 100 characters of `a-z0-9_-`. Two tables can meet only if somebody named
 * one after the other's hash; `buildBag` refuses such a pair.
 */
export function payloadName(schema: string, table: string): string {
  if (plain.test(table) && !device.test(table)) return table
  const hash = createHash('sha256').update(`${schema}\0${table}`).digest('hex').slice(0, 8)
  // ASCII only: what lower case and letters are elsewhere differs between versions of Unicode, and names must not.
  const slug = table
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[-_]+/, '')
    .toLowerCase()
    .slice(0, 91)
    .replace(/[-_]+$/, '')
  return `${slug || 'unnamed'}-${hash}`
}

/** The folder below `data/outputs/` of a dataset. */
export function datasetFolder(name: string): string {
  return payloadName('', name)
}
