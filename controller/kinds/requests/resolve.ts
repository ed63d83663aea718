/** What a request's names stand for: the connection and the store that an admin declared, and the digest of all of it. */

import type { Dataset, FileStoreSpec, Ingress, SourceConnectionSpec } from '../../../schemas/generated/types.ts'
import { datasetFolder, payloadName } from '../../crate/payload-name.ts'
import type { TableDescription, TableRequest } from '../../data/source.ts'
import type { Resource, Snapshot } from '../../engine/kind.ts'
import { digestOf } from '../../runtime/canonical.ts'
import { type Problem, problem } from '../../runtime/errors.ts'
import { matchesAny } from '../../runtime/glob.ts'
import { overlappedBy } from '../store-overlap.ts'
import { fileStoreType, sourceConnectionType } from '../types.ts'
import type { RequestDocuments } from './documents.ts'
import { requestFiles } from './documents.ts'
import type { ScopeTable } from './state.ts'

export interface Resolved {
  readonly connection: Resource<SourceConnectionSpec>
  readonly store: Resource<FileStoreSpec>
  readonly database: string
  /** Digest of the request and of all that Git says about what it names. */
  readonly inputs: string
}

export interface RequestedTable extends TableRequest {
  readonly dataset: string
  /** `data/outputs/<dataset>/<table>.csv`. */
  readonly path: string
}

export function resolveRequest(
  documents: RequestDocuments,
  project: string,
  folder: string,
  snapshot: Snapshot,
): { resolved?: Resolved; problems: Problem[] } {
  const { ingress } = documents
  const file = folder === '' ? requestFiles.ingress : `${folder}/${requestFiles.ingress}`
  const problems = [...unsupported(ingress, file), ...sharedPaths(ingress, file)]
  const connection = matchConnection(ingress, project, snapshot, file, problems)
  const store = matchStore(ingress, snapshot, file, problems)
  if (problems.length > 0 || !connection || !store) return { problems }
  const inputs = digestOf({
    request: documents.digest,
    ...boundBy({ connection, store, database: ingress.source.name }),
  })
  return { resolved: { connection, store, database: ingress.source.name, inputs }, problems }
}

/** Every table asked for, with the file it becomes. Two that would share a file are kept apart by their names' digests. */
export function requestedTables(ingress: Ingress): RequestedTable[] {
  return ingress.datasets.flatMap((dataset: Dataset) =>
    dataset.tables.map(table => ({
      dataset: dataset.name,
      schema: dataset.schema_name,
      table: table.name,
      columns: table.columns.map(({ name, datatype }) => ({ name, datatype })),
      path: `data/outputs/${datasetFolder(dataset.name)}/${payloadName(dataset.schema_name, table.name)}.csv`,
    })),
  )
}

/** What an approval binds of connection and store: which data, and where it goes. Limits and secrets' names may change. */
function boundBy({ connection, store, database }: Pick<Resolved, 'connection' | 'store' | 'database'>) {
  const { type, host, port } = connection.spec
  return {
    source: { type, host, port, database },
    store: { name: store.name, type: store.spec.type, production: store.spec.production },
  }
}

/** The request digest with all that it resolves to: what a sign-off is for. */
export function scopeDigest(
  documents: RequestDocuments,
  resolved: Resolved,
  tables: readonly TableDescription[],
): string {
  const requested = requestedTables(documents.ingress)
  return digestOf({
    request: documents.digest,
    ...boundBy(resolved),
    tables: tables.map((description, index) => ({
      dataset: requested[index]?.dataset ?? '',
      path: requested[index]?.path ?? '',
      ...description,
    })),
    format: documents.ingress.destination.format ?? 'csv',
  })
}

export function scopeTables(documents: RequestDocuments, tables: readonly TableDescription[]): ScopeTable[] {
  const requested = requestedTables(documents.ingress)
  return tables.map(({ schema, table, kind, columns }, index) => ({
    dataset: requested[index]?.dataset ?? '',
    schema,
    table,
    kind,
    columns,
  }))
}

/** Names whose slugs meet would write one file twice. */
function sharedPaths(ingress: Ingress, file: string): Problem[] {
  const seen = new Set<string>()
  return requestedTables(ingress).flatMap(({ path, dataset, table }) => {
    if (!seen.has(path)) {
      seen.add(path)
      return []
    }
    return [
      problem(
        'DocumentInvalid',
        `table ${JSON.stringify(table)} of dataset ${JSON.stringify(dataset)} would become the same file as another`,
        { where: { file }, todo: 'Give the dataset another name.' },
      ),
    ]
  })
}

function unsupported({ source, destination }: Ingress, file: string): Problem[] {
  const problems: Problem[] = []
  if (source.type !== 'postgresql') {
    problems.push(
      problem('SourceNotSupported', `sources of type ${source.type} are not supported yet`, { where: { file } }),
    )
  }
  const format = destination.format ?? 'csv'
  if (destination.type !== 'filestore' || format !== 'csv') {
    const what = destination.type === 'filestore' ? `format ${format}` : `destination type ${destination.type}`
    problems.push(problem('DestinationNotSupported', `${what} is not supported yet`, { where: { file } }))
  }
  return problems
}

/** A request matches the connection of its type, host, database and, where it names one, port, that lists its project. */
function matchConnection(
  { source }: Ingress,
  project: string,
  snapshot: Snapshot,
  file: string,
  problems: Problem[],
): Resource<SourceConnectionSpec> | undefined {
  const { host, port } = hostOf(source.url, source.port)
  const matching = snapshot
    .list<SourceConnectionSpec>(sourceConnectionType)
    .filter(
      ({ spec }) =>
        spec.type === source.type &&
        spec.host.toLowerCase() === host &&
        (port === undefined || spec.port === port) &&
        spec.databases.includes(source.name) &&
        matchesAny(spec.projects, project),
    )
  const asked = `${source.type} database ${source.name} on ${host}${port === undefined ? '' : `:${port}`}`
  if (matching.length === 0) {
    problems.push(
      problem('ConnectionNotMatched', `no SourceConnection lets project ${project} read ${asked}`, { where: { file } }),
    )
  } else if (matching.length > 1) {
    const names = matching
      .map(({ name }) => name)
      .sort()
      .join(', ')
    problems.push(
      problem('ConnectionAmbiguous', `${asked} matches several SourceConnections: ${names}`, { where: { file } }),
    )
  }
  return matching.length === 1 ? matching[0] : undefined
}

function matchStore(
  { destination }: Ingress,
  snapshot: Snapshot,
  file: string,
  problems: Problem[],
): Resource<FileStoreSpec> | undefined {
  if (destination.type !== 'filestore') return undefined
  const stores = snapshot.list<FileStoreSpec>(fileStoreType)
  // The old tool wrote names of stores in capitals; resource names are lower case.
  const wanted = destination.name?.toLowerCase()
  const matching = wanted === undefined ? stores : stores.filter(({ name }) => name === wanted)
  const [one] = matching
  if (one && matching.length === 1) {
    const [other] = overlappedBy(one, stores)
    if (other === undefined) return one
    const message = `the folders of FileStore ${one.name} overlap those of FileStore ${other}`
    problems.push(problem('StoreInvalid', message, { where: { file } }))
    return undefined
  }
  const names =
    stores
      .map(({ name }) => name)
      .sort()
      .join(', ') || 'none'
  const message =
    wanted === undefined
      ? `the destination names no FileStore, and there is not exactly one (${names})`
      : `there is no FileStore ${wanted} (there is: ${names})`
  problems.push(problem('StoreNotMatched', message, { where: { file } }))
  return undefined
}

/** The old tool's `url` is a host; people also write host:port and URLs. */
export function hostOf(url: string, port: number | undefined): { host: string; port: number | undefined } {
  const bare = url
    .trim()
    .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/[/?#].*$/, '')
  const match = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(bare)
  const host = (match?.[1] ?? bare).replace(/^\[|\]$/g, '').toLowerCase()
  return { host, port: port ?? (match?.[2] === undefined ? undefined : Number(match[2])) }
}
