/** The database of nasty.sql on the run's server, and what its specs share. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { openPostgres } from '../../controller/data/postgres.ts'
import type {
  Catalogue,
  Progress,
  ReportLimits,
  SourceTarget,
  TableDescription,
  TableRequest,
} from '../../controller/data/source.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

export const never = new AbortController().signal

/** By which the reports of these specs count. */
export const limits: ReportLimits = { k: 5, freeTextLength: 50, asOf: new Date('2026-06-01') }

export interface NastyDatabase {
  readonly server: TestPostgres
  /** As superuser. */
  readonly target: SourceTarget
  /** As a role that lacks rights on purpose. */
  readonly reader: SourceTarget
}

let loaded: Promise<NastyDatabase> | undefined

export function nastyDatabase(): Promise<NastyDatabase> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<NastyDatabase> {
  const server = await startPostgres()
  await server.createDatabase('data_spec')
  await server.load('data_spec', readFileSync(join(import.meta.dirname, 'nasty.sql'), 'utf8'))
  const target = targetOf(server, 'data_spec')
  return { server, target, reader: { ...target, username: 'reader', password: 'reader-password' } }
}

export function request(schema: string, table: string, columns: Readonly<Record<string, string>>): TableRequest {
  return { schema, table, columns: Object.entries(columns).map(([name, datatype]) => ({ name, datatype })) }
}

export async function describeOne(at: SourceTarget, asked: TableRequest): Promise<TableDescription> {
  const { tables, findings } = await openPostgres(at).describe([asked], never)
  assert.deepEqual(findings, [])
  return tables[0]!
}

export async function extractOne(
  folder: string,
  at: SourceTarget,
  description: TableDescription,
  signal = never,
  onProgress = ignore,
) {
  const file = join(folder, 'table.csv')
  const [table] = await openPostgres(at).extract({ tables: [{ description, file }], limits, onProgress }, signal)
  return { ...table!, text: readFileSync(file, 'utf8') }
}

export async function visits(reader: SourceTarget): Promise<TableDescription> {
  return describeOne(reader, request('clinical', 'visits', { id: 'bigint', person: 'integer', note: 'text' }))
}
export function targetOf({ host, port, user, password }: TestPostgres, database: string): SourceTarget {
  const limits = { connectTimeout: 5000, statementTimeout: 0 }
  return { type: 'postgresql', host, port, database, tls: 'disable', username: user, password, ...limits }
}

export function ignore(_: Progress): void {}

export function codes({ findings }: Catalogue): string[] {
  return findings.map(({ code }) => code)
}

export async function backends(server: TestPostgres): Promise<string[]> {
  const rows = await server.query(
    'data_spec',
    `SELECT query FROM pg_stat_activity WHERE application_name = 'cratewright' AND datname = 'data_spec'`,
  )
  return rows.map(({ query }) => String(query))
}

export async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await setTimeout(20)) if (await holds()) return
  assert.fail('waited for 10 s')
}
