/** Doing the steps of a request. Each task may be killed anywhere and run again: what is done is found done. */

import type { FileStoreSpec } from '../../../schemas/generated/types.ts'
import { datasetFolder } from '../../crate/payload-name.ts'
import type { ReportLimits, TableDescription } from '../../data/source.ts'
import type { FileStore, ReleaseKey } from '../../data/store.ts'
import type { Context, Outcome, Progress } from '../../engine/kind.ts'
import { encodeEntry } from '../../records/log.ts'
import { canonicalJson, sha256Hex } from '../../runtime/canonical.ts'
import { asCratewrightError, CratewrightError } from '../../runtime/errors.ts'
import { fileStoreType } from '../types.ts'
import { closeRelease } from './close.ts'
import { outputsDigest } from './digests.ts'
import { disclosureReport, type PathReport } from './disclosure.ts'
import { policyOf } from './disclosure-policy.ts'
import { publishRelease } from './publish.ts'
import { type RequestSpec, requestType } from './reader.ts'
import { renderReport, summarize } from './report-files.ts'
import { type RequestedTable, requestedTables, resolveRequest, scopeDigest, scopeTables } from './resolve.ts'
import { type OutputFile, stateOf } from './state.ts'
import { type DestroyStep, detailOf, type RequestStep, type RevokeStep } from './steps.ts'
import { confirmScope, type RequestRoom, type StepContext, type StepTask } from './task.ts'

export async function applyRequest(step: RequestStep, context: Context, room: RequestRoom): Promise<Outcome> {
  switch (step.action) {
    case 'create':
    case 'statement':
    case 'seen':
    case 'sign-off':
    case 'disclosure':
    case 'withdraw':
    case 'expire':
    case 'recall':
      return { state: 'done', ...detailOf(step) }
    case 'change':
      return step.voids
        ? { state: 'failed', error: new CratewrightError('ApprovalVoid', `${step.summary}`), ...detailOf(step) }
        : { state: 'done', ...detailOf(step) }
    case 'validate':
      return runTask(step, context, room, validateRequest)
    case 'stage-transfer':
      return runTask(step, context, room, stageRelease)
    case 'close':
      return runTask(step, context, room, closeRelease)
    case 'publish':
      return runTask(step, context, room, publishRelease)
    case 'revoke':
    case 'destroy':
      return remove(step, context, room)
  }
}

/** Takes away, or destroys. Needs neither the documents nor the source: both may be gone. */
async function remove(step: RevokeStep | DestroyStep, context: Context, room: RequestRoom): Promise<Outcome> {
  const [, , , project = ''] = context.key.split('/')
  const declared = context.snapshot.get<FileStoreSpec>(fileStoreType, step.store)
  if (!declared) throw new CratewrightError('StoreNotMatched', `FileStore ${step.store} is not declared`)
  const release = { project, release: step.release }
  const target = { name: `FileStore ${step.store}`, limit: 4 }
  const result = context.tasks.run(`${step.action}-${context.history.open?.number ?? 0}`, target, async () => {
    const store = await room.storeOf(declared)
    if (step.action === 'revoke') {
      // Where it was published it must be, or have been taken away: a folder that is not mounted proves nothing.
      if (!(await store.revoke(release)) && !step.leftOver)
        throw new CratewrightError(
          'StoreFailed',
          `release ${step.release} is not in ${store.location(release, 'production')}`,
        )
    } else if (step.what === 'released') await store.destroy(release)
    else await store.discard(release)
    return store.location(release, 'production')
  })
  if (result.state === 'running') return result
  const { facts, ...detail } = detailOf(step)
  return { state: 'done', ...detail, facts: { ...facts, location: result.value } }
}

async function runTask(step: RequestStep, context: Context, room: RequestRoom, task: StepTask): Promise<Outcome> {
  const at = stepContext(context, room)
  const { connection } = at.resolved
  const target = { name: `SourceConnection ${connection.name}`, limit: connection.spec.maxConnections ?? 4 }
  const result = context.tasks.run(`${step.action}-${context.history.open?.number ?? 0}`, target, (signal, report) =>
    task(at, signal, report),
  )
  if (result.state === 'running') return result
  const ended = result.value
  if ('refused' in ended) {
    return {
      state: 'failed',
      error: new CratewrightError('ApprovalVoid', ended.message),
      facts: { void: ended.refused, ...(ended.moved ? { moved: true } : {}) },
    }
  }
  const { failed, ...detail } = ended
  return failed ? { state: 'failed', error: failed, ...detail } : { state: 'done', ...detail }
}

function stepContext(context: Context, room: RequestRoom): StepContext {
  const [, , namespace, name = ''] = context.key.split('/')
  const resource = context.snapshot.get<RequestSpec>(requestType, name, namespace)
  const documents = resource?.spec.documents
  if (!resource || !documents) throw new CratewrightError('ApprovalVoid', `${name} is no longer a valid request`)
  const { resolved, problems } = resolveRequest(documents, name, resource.spec.folder, context.snapshot)
  if (!resolved) throw new CratewrightError('ApprovalVoid', problems[0]?.message ?? 'the connection is gone')
  const state = stateOf(context.history)
  return { resource, documents, resolved, state, context, room, release: { project: name, release: state.release } }
}

const validateRequest: StepTask = async ({ documents, resolved, room }, signal, report) => {
  report({ message: 'reading the catalogue' })
  const { inputs } = resolved
  const compared = await room
    .targetOf(resolved.connection, resolved.database)
    .then(target => room.openSource(target).describe(requestedTables(documents.ingress), signal))
    .catch(asCratewrightError)
  if (compared instanceof CratewrightError) {
    if (compared.retryable) throw compared
    // With what it was for, so that it is not tried again until that changes.
    return { failed: compared, facts: { inputs } }
  }
  const { tables, findings } = compared
  const errors = findings.filter(({ severity }) => severity === 'error')
  const [first] = errors
  if (first) {
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
    const facts = { inputs, findings: errors.map(({ code, message }) => ({ code, message })) }
    return { failed: new CratewrightError(first.code, `${first.message}${more}`), facts }
  }
  const described = tables.filter((table): table is TableDescription => table !== undefined)
  return {
    digests: { request: documents.digest, scope: scopeDigest(documents, resolved, described) },
    facts: { inputs, tables: scopeTables(documents, described) },
  }
}

interface FinishedDataset {
  readonly files: readonly OutputFile[]
  readonly reports: readonly PathReport[]
}

/**
 * Extracts each dataset in one snapshot. A finished dataset leaves a note in the work area, so that a killed transfer goes on
 * with the next one; a transfer that was started anew begins with nothing.
 */
const stageRelease: StepTask = async (at, signal, report) => {
  const { resource, documents, resolved, room, context, release } = at
  const started = context.history.open
  const startedAt = started?.time ?? ''
  const policy = policyOf(resolved.connection.spec)
  const scope = await confirmScope(at, signal)
  if ('refused' in scope) return scope
  const store = await room.storeOf(resolved.store)
  await store.claim(resource.name, `${resource.namespace} ${at.state.id}`)
  const attempt = Buffer.from(
    canonicalJson({
      request: at.state.id ?? '',
      scope: at.state.validation?.scope ?? '',
      started: started ? sha256Hex(encodeEntry(started)) : '',
      // Notes hold what was counted by it.
      policy,
    }),
  )
  const { minimumCount: k, freeTextLength } = policy
  const limits = { k, freeTextLength, asOf: new Date(startedAt) }
  const present = await store.read(release, 'work', 'attempt.json')
  if (!present || !Buffer.from(present).equals(attempt)) {
    await store.discard(release)
    await store.write(release, 'work', 'attempt.json', attempt)
  }
  const requested = requestedTables(documents.ingress)
  const finished: FinishedDataset[] = []
  for (const dataset of documents.ingress.datasets) {
    const note = `${datasetFolder(dataset.name)}.json`
    const before = await readNote(store, release, note)
    if (before) {
      finished.push(before)
      continue
    }
    const tables = requested.flatMap((table, index) => {
      const description = scope.tables[index]
      return table.dataset === dataset.name && description ? [{ table, description }] : []
    })
    const done = await extractDataset(at, store, tables, limits, signal, report)
    await store.write(release, 'work', note, Buffer.from(canonicalJson(done)))
    finished.push(done)
  }
  const files = finished.flatMap(dataset => dataset.files)
  const reports = finished.flatMap(dataset => dataset.reports)
  const full = disclosureReport(at.resource.name, at.state.release, reports, policy)
  for (const { name, content } of renderReport(full)) {
    await store.write(release, 'review', name, content)
  }
  const summary = reports.map(one => summarize(one, policy))
  return {
    digests: {
      request: at.state.requestDigest,
      scope: at.state.validation?.scope ?? '',
      outputs: outputsDigest(files),
    },
    facts: {
      files,
      summary,
      threshold: policy.minimumCount,
      policy,
      startedAt,
      staging: store.location(release, 'staging'),
    },
  }
}

async function extractDataset(
  at: StepContext,
  store: FileStore,
  tables: readonly { table: RequestedTable; description: TableDescription }[],
  limits: ReportLimits,
  signal: AbortSignal,
  report: (progress: Progress) => void,
): Promise<FinishedDataset> {
  const { room, resolved, release } = at
  const source = room.openSource(await room.targetOf(resolved.connection, resolved.database))
  const prepared = []
  for (const { table, description } of tables)
    prepared.push({ description, file: await store.prepare(release, table.path) })
  const extracted = await source.extract(
    {
      tables: prepared,
      limits,
      onProgress: ({ table, rows, bytes, estimatedRows }) =>
        report({
          message: `table ${table}`,
          rows,
          bytes,
          ...(estimatedRows ? { fraction: Math.min(1, rows / estimatedRows) } : {}),
        }),
    },
    signal,
  )
  const files: OutputFile[] = []
  const reports: PathReport[] = []
  for (const [index, { table }] of tables.entries()) {
    const one = extracted[index]
    if (!one) throw new CratewrightError('SourceFailed', `table ${table.table} was not extracted`)
    const { dataset, path, schema } = table
    files.push({ path, dataset, schema, table: table.table, size: one.size, sha256: one.sha256, sha512: one.sha512 })
    reports.push({ path, report: one.report })
  }
  return { files, reports }
}

/** The note of a finished dataset whose files are all there at their full size. */
async function readNote(store: FileStore, release: ReleaseKey, name: string): Promise<FinishedDataset | undefined> {
  const content = await store.read(release, 'work', name)
  if (!content) return undefined
  const note = JSON.parse(Buffer.from(content).toString('utf8')) as FinishedDataset
  const present = new Map((await store.list(release, 'staging'))?.map(({ path, size }) => [path, size]))
  return note.files.every(({ path, size }) => present.get(path) === size) ? note : undefined
}
