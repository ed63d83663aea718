/** Five million rows to CSV, beside psql's `\copy` in the same run. Ours does more: two digests, fsync, the report for approvers. */

import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { to as copyTo } from 'pg-copy-streams'
import { openPostgres } from '../../controller/data/postgres.ts'
import { withSession } from '../../controller/data/postgres-connect.ts'
import { selectText } from '../../controller/data/postgres-extract.ts'
import type { SourceTarget, TableDescription } from '../../controller/data/source.ts'
import { launchPostgres } from '../support/postgres.ts'
import { tempFolder } from '../support/temp.ts'
import { figure, heading, inProcess, mebibytes, median, peakMemory, seconds } from './bench.ts'

const rows = Number(process.env.BENCH_ROWS ?? 5_000_000)
const runs = 3
const never = new AbortController().signal
const columns = {
  id: 'bigint',
  patient: 'integer',
  taken: 'timestamp with time zone',
  kind: 'text',
  value: 'double precision',
  unit: 'text',
  note: 'text',
}

interface Extraction {
  /** Milliseconds of the extraction alone. */
  readonly ms: number
  /** Bytes. */
  readonly memory: number
}

/** In a process of its own: `extract`, or `bare`, which is the least that Node can do: bytes from the server, hashed, to a file. */
async function extractOnce(how: string, target: SourceTarget, file: string): Promise<Extraction> {
  const description = await describe(target)
  const begun = performance.now()
  if (how === 'bare') await copyBare(target, selectText(description), file)
  else {
    const limits = { k: 10, freeTextLength: 50, asOf: new Date('2026-01-01') }
    const dataset = { tables: [{ description, file }], limits, onProgress: () => {} }
    await openPostgres(target).extract(dataset, never)
  }
  return { ms: performance.now() - begun, memory: peakMemory() }
}

function copyBare(target: SourceTarget, select: string, file: string): Promise<void> {
  return withSession(target, never, async client => {
    const hashes = [createHash('sha256'), createHash('sha512')]
    await pipeline(
      client.query(copyTo(`COPY (${select}) TO STDOUT (FORMAT csv, HEADER)`)),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          for (const hash of hashes) hash.update(chunk)
          yield chunk
        }
      },
      createWriteStream(file),
    )
  })
}

async function describe(target: SourceTarget): Promise<TableDescription> {
  const asked = Object.entries(columns).map(([name, datatype]) => ({ name, datatype }))
  const { tables, findings } = await openPostgres(target).describe(
    [{ schema: 'public', table: 'observations', columns: asked }],
    never,
  )
  if (!tables[0]) throw new Error(JSON.stringify(findings))
  return tables[0]
}

async function main(): Promise<void> {
  const server = await launchPostgres({ settings: { max_wal_size: '4GB' } })
  const folder = tempFolder()
  await server.createDatabase('bench')
  await server.load(
    'bench',
    `create table observations (id bigint primary key, patient integer, taken timestamptz, kind text, value double precision, unit text, note text);
     insert into observations select i, i % 60000, timestamptz '2020-01-01' + i * interval '7 seconds',
       (array['weight', 'height', 'pulse', 'peak flow'])[1 + i % 4], (i * 37 % 100000) / 17.0, (array['kg', 'cm', '1/min', 'l/min'])[1 + i % 4],
       case i % 10 when 0 then null when 1 then E'said "better", sleeps\\nwell' else 'observation no. ' || i end
     from generate_series(1, ${rows}) i;`,
  )
  await server.load('bench', 'vacuum (analyze) observations')
  const target: SourceTarget = {
    type: 'postgresql',
    host: server.host,
    port: server.port,
    database: 'bench',
    tls: 'disable',
    username: server.user,
    password: server.password,
    connectTimeout: 5000,
    statementTimeout: 0,
  }
  const select = selectText(await describe(target))
  const { PATH } = process.env
  const env = { PATH, PGPASSWORD: server.password }
  const login = ['-h', server.host, '-p', String(server.port), '-U', server.user, '-d', 'bench']
  async function psql(file: string): Promise<number> {
    const command = `\\copy (${select}) to '${file}' (format csv, header)`
    const begun = performance.now()
    await promisify(execFile)('psql', ['--no-psqlrc', '--quiet', ...login, '-c', command], { env })
    return performance.now() - begun
  }
  async function ours(how: string, file: string): Promise<Extraction> {
    const { answer } = await inProcess<Extraction>(import.meta.filename, how, JSON.stringify(target), file)
    return answer
  }
  try {
    const hasPsql = isThere('psql')
    const file = (name: string) => join(folder, `${name}.csv`)
    // The first of each fills the caches.
    if (hasPsql) await psql(file('psql'))
    await ours('bare', file('bare'))
    heading(`extract: ${rows} rows to CSV, the median of ${runs} runs in turn`)
    const figures = { psql: [] as number[], bare: [] as Extraction[], extract: [] as Extraction[] }
    for (let run = 0; run < runs; run++) {
      if (hasPsql) figures.psql.push(await psql(file('psql')))
      figures.bare.push(await ours('bare', file('bare')))
      figures.extract.push(await ours('extract', file('extract')))
    }
    if (hasPsql) execFileSync('cmp', [file('psql'), file('extract')])
    const size = statSync(file('extract')).size
    const ms = (of: readonly Extraction[]) => median(of.map(one => one.ms))
    figure('the file', mebibytes(size))
    figure('bytes alone, with both digests', seconds(ms(figures.bare)))
    figure('the extraction, with the report', seconds(ms(figures.extract)))
    if (hasPsql) {
      const ratios = (of: readonly Extraction[]) => median(of.map((one, run) => one.ms / figures.psql[run]!)).toFixed(2)
      figure('psql \\copy, whole process', seconds(median(figures.psql)))
      figure('bytes alone / psql', ratios(figures.bare))
      figure('the extraction / psql', ratios(figures.extract), '<= 1.00')
    } else console.log('  there is no psql here to compare with')
    figure('peak memory', mebibytes(Math.max(...figures.extract.map(({ memory }) => memory))), '<= 128 MiB')
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await server.stop()
  }
}

function isThere(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const [, , how, target, file] = process.argv
if (how && target && file) console.log(JSON.stringify(await extractOnce(how, JSON.parse(target) as SourceTarget, file)))
else await main()
