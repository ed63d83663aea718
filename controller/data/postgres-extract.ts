/** One table to one CSV file: streamed, hashed and looked at while it is written, and at its name only when it is whole. */

import { createHash, type Hash, randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { CratewrightError } from '../runtime/errors.ts'
import { type ColumnProfile, profilesOf } from './column-profile.ts'
import { CsvScanner } from './csv-scanner.ts'
import type { Progress, ReportLimits, TableDescription, TableReport } from './source.ts'
import { storeError } from './store-error.ts'

/** Bytes that are collected before a write. */
const writeSize = 262_144
/** Milliseconds between two reports of progress. */
const progressInterval = 100
const partialName = /\.[0-9a-f]{16}\.partial$/

export interface CopiedTable {
  readonly rows: number
  readonly size: number
  readonly sha256: string
  readonly sha512: string
  readonly report: TableReport
}

/** `SELECT … FROM …` of what the catalogue has confirmed; quoted by the driver. */
export function selectText({ schema, table, columns, orderBy }: TableDescription): string {
  const order = orderBy.length === 0 ? '' : ` ORDER BY ${orderBy.map(pg.escapeIdentifier).join(', ')}`
  const list = columns.map(({ name }) => pg.escapeIdentifier(name)).join(', ')
  return `SELECT ${list} FROM ${relationText({ schema, table })}${order}`
}

export function relationText({ schema, table }: { readonly schema: string; readonly table: string }): string {
  return `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(table)}`
}

/** Removes what an extraction into this folder left when it was killed. For whoever alone writes there. */
export async function removePartials(folder: string): Promise<void> {
  try {
    for (const name of await readdir(folder)) if (partialName.test(name)) await rm(join(folder, name), { force: true })
  } catch (error) {
    throw storeError(error, 'cleaning the staging folder')
  }
}

/**
 * @throws CratewrightError StoreFailed (the file), SourceFailed (rows are missing), and the driver's errors. Then no file is left, but
 * the connection cannot be used any more.
 */
export async function copyTable(
  client: pg.Client,
  description: TableDescription,
  file: string,
  limits: ReportLimits,
  onProgress: (progress: Progress) => void,
): Promise<CopiedTable> {
  const estimatedRows = await estimate(client, description)
  const partial = `${file}.${randomBytes(8).toString('hex')}.partial`
  const output = await open(partial, 'wx', 0o640).catch(error => {
    throw storeError(error, `writing ${basename(file)}`)
  })
  try {
    const profiles = profilesOf(description, limits)
    const hashed = new HashedFile(output, basename(file))
    const rows = await stream(client, description, hashed, profiles, onProgress, estimatedRows)
    await output.sync().catch(error => {
      throw storeError(error, `writing ${basename(file)}`)
    })
    await output.close()
    await appear(partial, file)
    return { rows, ...hashed.digests(), report: { rows, columns: reportsOf(profiles) } }
  } catch (error) {
    await output.close().catch(() => undefined)
    await rm(partial, { force: true }).catch(() => undefined)
    throw error
  }
}

async function stream(
  client: pg.Client,
  description: TableDescription,
  output: HashedFile,
  profiles: readonly ColumnProfile[],
  onProgress: (progress: Progress) => void,
  estimatedRows: number | undefined,
): Promise<number> {
  const copy = copyTo(`COPY (${selectText(description)}) TO STDOUT (FORMAT csv, HEADER)`)
  copy.rowCount = -1
  // Errors can come after the last row too; without a listener they would end the process.
  let failure: unknown
  copy.on('error', error => {
    failure ??= error
  })
  client.query(copy)
  const cells = new CsvScanner(profiles)
  let reported = 0
  const report = () => {
    onProgress({ table: description.table, rows: cells.rows, bytes: output.size, estimatedRows })
    reported = performance.now()
  }
  try {
    for await (const chunk of copy as AsyncIterable<Buffer>) {
      cells.add(chunk)
      await output.write(chunk)
      if (performance.now() - reported >= progressInterval) report()
    }
    await output.flush()
    // Answered only after the end of the COPY, with its row count or its error.
    await client.query('SELECT 1')
  } catch (error) {
    throw error instanceof CratewrightError ? error : (failure ?? error)
  }
  if (failure !== undefined) throw failure
  const rows = copy.rowCount
  if (rows !== cells.rows) {
    throw new CratewrightError('SourceFailed', `the server wrote ${rows} rows, and ${cells.rows} arrived`)
  }
  report()
  return rows
}

/** Both digests and the size of what is written, computed on the way. */
class HashedFile {
  readonly #file: FileHandle
  readonly #name: string
  readonly #sha256: Hash = createHash('sha256')
  readonly #sha512: Hash = createHash('sha512')
  #waiting: Buffer[] = []
  #waitingSize = 0
  size = 0

  constructor(file: FileHandle, name: string) {
    this.#file = file
    this.#name = name
  }

  async write(chunk: Buffer): Promise<void> {
    this.#sha256.update(chunk)
    this.#sha512.update(chunk)
    this.size += chunk.length
    this.#waiting.push(chunk)
    this.#waitingSize += chunk.length
    if (this.#waitingSize >= writeSize) await this.flush()
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#waitingSize = 0
    // writeFile goes on at the current position, and writes all or fails.
    await this.#file.writeFile(bytes).catch(error => {
      throw storeError(error, `writing ${this.#name}`)
    })
  }

  digests(): { size: number; sha256: string; sha512: string } {
    return { size: this.size, sha256: this.#sha256.digest('hex'), sha512: this.#sha512.digest('hex') }
  }
}

/** With the columns that hold the same as one before them. */
function reportsOf(profiles: readonly ColumnProfile[]): TableReport['columns'] {
  const first = new Map<string, string>()
  return profiles.map(profile => {
    const report = profile.report(first.get(profile.order))
    if (report.distinct > 1 && !first.has(profile.order)) first.set(profile.order, report.name)
    return report
  })
}

/** A guess of the planner, for people who wait. */
async function estimate(client: pg.Client, description: TableDescription): Promise<number | undefined> {
  const { rows } = await client.query(`EXPLAIN (FORMAT JSON) ${selectText(description)}`)
  const guess: unknown = rows[0]?.['QUERY PLAN']?.[0]?.Plan?.['Plan Rows']
  return typeof guess === 'number' ? guess : undefined
}

/** The new name is on disk only when its folder is. */
async function appear(partial: string, file: string): Promise<void> {
  try {
    await rename(partial, file)
    await using folder = await open(dirname(file), 'r')
    await folder.sync()
  } catch (error) {
    throw storeError(error, `writing ${basename(file)}`)
  }
}
