/** What a merge of a request would do, in lines for people: before it is merged, from what is known without doing anything. */

import type { ApproverGroupSpec } from '../../../schemas/generated/types.ts'
import type { Snapshot } from '../../engine/kind.ts'
import { type Barred, groupsFor } from '../../records/approval.ts'
import { catalogue, type Problem, showWhere } from '../../runtime/errors.ts'
import { oneLine } from '../../runtime/one-line.ts'
import { approverGroupType } from '../types.ts'
import type { RequestDocuments } from './documents.ts'
import { type Resolved, requestedTables } from './resolve.ts'

export interface Preview {
  readonly project: string
  readonly documents: RequestDocuments | undefined
  readonly problems: readonly Problem[]
  readonly resolved: Resolved | undefined
  /** Who wrote the request or works on it, as far as that is known: they cannot approve it. */
  readonly barred: Barred
  /** Undefined: the source was not asked; `why` says why not. */
  readonly findings: readonly Problem[] | undefined
  readonly whyNotCompared: string
  readonly steps: readonly string[]
  readonly waits: readonly string[]
  readonly later: readonly string[]
  /** Undefined: no plan was made, because it depends on what the records and the source say. */
  readonly planDigest: string | undefined
}

/** Names of datasets and tables are whatever the researcher wrote: none of them makes a line of its own. */
export function previewLines(preview: Preview, snapshot: Snapshot): string[] {
  return rawLines(preview, snapshot).map(oneLine)
}

function rawLines(preview: Preview, snapshot: Snapshot): string[] {
  const { project, documents, problems, resolved, findings } = preview
  const lines = [`Plan for ${project}`]
  const all = [...problems, ...(findings ?? [])]
  for (const { severity, where, message, code, todo } of all) {
    lines.push(`  ${severity}: ${where ? `${showWhere(where)}: ` : ''}${message} [${code}]`)
    if (severity === 'error') lines.push(`    ${todo}`)
  }
  if (!documents) return [...lines, '', 'Nothing would be done: the request has errors.']
  const { ingress, governance } = documents
  if (resolved) {
    const { connection, store } = resolved
    lines.push(`  from  ${ingress.source.type} database ${ingress.source.name}, by SourceConnection ${connection.name}`)
    lines.push(`  to    FileStore ${store.name}, release ${governance.release ?? 1}, as CSV`)
  }
  for (const { dataset, schema, table, columns, path } of requestedTables(ingress)) {
    lines.push(
      `  table ${dataset}: ${schema}.${table}, ${columns.length} column${columns.length === 1 ? '' : 's'}  ->  ${path}`,
    )
  }
  lines.push(`  people ${governance.users.map(({ username }) => username).join(', ')}`)
  if (findings === undefined) lines.push(`  The source was not asked: ${preview.whyNotCompared}`)
  else if (findings.every(({ severity }) => severity !== 'error'))
    lines.push('  The source has every table and column asked for, with the types asked for.')
  if (resolved) lines.push(...approvers(preview, resolved, snapshot))
  lines.push('')
  const errors = all.filter(({ severity }) => severity === 'error')
  if (errors.length > 0 && errors.every(({ code }) => catalogue[code].retryable))
    lines.push('What would come then is not known: the source could not be asked.')
  else if (errors.length > 0) lines.push('Nothing would be done beyond this: the request has errors.')
  else {
    for (const step of preview.steps) lines.push(`next: ${step}`)
    for (const wait of preview.waits) lines.push(`waits: ${wait}`)
    for (const step of preview.later) lines.push(`then: ${step}`)
  }
  lines.push('', `request digest ${documents.digest}`)
  if (preview.planDigest) lines.push(`plan digest    ${preview.planDigest}`)
  return lines
}

function approvers({ project, barred }: Preview, { connection }: Resolved, snapshot: Snapshot): string[] {
  const groups = snapshot.list<ApproverGroupSpec>(approverGroupType).map(({ name, spec }) => ({ name, spec }))
  const free = (members: ApproverGroupSpec['members']) =>
    members.map(({ person }) => person).filter(person => !barred.has(person))
  return (['SignOff', 'Disclosure'] as const).map(phase => {
    const matching = groupsFor(groups, { phase, project, source: connection.name })
    const words = matching.map(
      ({ name, spec }) =>
        `${spec.quorum ?? 1} of ${name} (${free(spec.members).join(', ') || 'nobody who is independent of this request'})`,
    )
    return `  ${phase === 'SignOff' ? 'sign-off' : 'disclosure'} needs ${words.join(' and ') || 'a group that nobody has declared'}`
  })
}
