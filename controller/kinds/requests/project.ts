/** What follows from the log of a request on its records branch: prepared statements, statements, crate, bags. Pure. */

import type { Ingress, User } from '../../../schemas/generated/types.ts'
import type { Documents, History, RecordFile } from '../../engine/kind.ts'
import { historyUpTo } from '../../records/log.ts'
import { oneLine } from '../../runtime/one-line.ts'
import { yamlText } from '../../schema/yaml-text.ts'
import { subjectOf, waitingFor } from './approvals.ts'
import { scopeChanges } from './changes.ts'
import { crateOf } from './crate.ts'
import { parseRequest, type RequestDocuments, requestFiles } from './documents.ts'
import { renderRelease, statementFilesOf, statementNames } from './release.ts'
import { type RequestState, type StatementPhase, stateOf } from './state.ts'

export function projectRequest(history: History, documents: Documents): RecordFile[] {
  const state = stateOf(history)
  if (state.id === undefined) return []
  const current = documents.get(state.content) ?? new Map<string, Uint8Array>()
  const request = parseRequest(current, '').documents
  return [
    ...preparedStatements(history, state, request),
    ...state.counted.flatMap(statement =>
      statementFilesOf(statement).map(({ path, content }) => ({ path: `statements/${path}`, content })),
    ),
    ...(request
      ? [
          { path: 'crate/ro-crate-metadata.json', content: crateOf(history, current, 'working') },
          ...Object.values(requestFiles).map(name => ({
            path: `crate/request/${name}`,
            content: current.get(name) ?? new Uint8Array(),
          })),
        ]
      : []),
    ...closedReleases(history).flatMap(({ upToStart, release, signature, content }) => {
      const files = renderRelease(upToStart, documents.get(content) ?? new Map(), 'git').files
      const base = `releases/${release}/bag/`
      return [
        ...files.map(file => ({ path: base + file.path, content: file.content })),
        { path: `${base}tagmanifest-sha512.txt.sig`, content: Buffer.from(signature) },
      ]
    }),
  ]
}

/** Every release that was closed, in any generation. */
export function closedReleases(
  history: History,
): { upToStart: History; release: number; signature: string; content: string; state: RequestState }[] {
  return history.entries
    .filter(({ action, event, result }) => action === 'close' && event === 'outcome' && result === 'done')
    .map(outcome => {
      const upToStart = historyUpTo(history, outcome.started ?? 0)
      const state = stateOf(historyUpTo(history, outcome.number))
      return {
        upToStart,
        release: state.release,
        signature: state.closing?.gitSignature ?? '',
        content: state.content,
        state,
      }
    })
}

/** Statements that lie ready to be signed: what is waited for, and what takes back what was decided. */
function preparedStatements(
  history: History,
  state: RequestState,
  request: RequestDocuments | undefined,
): RecordFile[] {
  if (!request || state.end) return []
  const phase = waitingFor(state)
  const asked =
    phase === undefined
      ? []
      : [{ phase, explanation: (phase === 'SignOff' ? explainSignOff : explainDisclosure)(request, state) }]
  const decided = [
    ...(state.signOff?.decision === 'approve' ? (['SignOff'] as const) : []),
    ...(state.disclosure?.decision === 'approve' ? (['Disclosure'] as const) : []),
    'Request' as const,
  ]
  return [
    ...asked.map(({ phase: waiting, explanation }) =>
      prepared(statementNames[waiting], waiting, explanation, history, request),
    ),
    ...decided.map(taken =>
      prepared(`withdraw-${statementNames[taken]}`, taken, explainWithdrawal(taken, request, state), history, request),
    ),
  ]
}

function prepared(
  name: string,
  phase: StatementPhase,
  explanation: readonly string[],
  history: History,
  { governance: { agreement } }: RequestDocuments,
): RecordFile {
  const { repository = '', project = '' } = history.entries[0] ?? {}
  const { since: _, ...named } = subjectOf(phase, { namespace: repository, name: project }, stateOf(history))
  const statement = {
    statement: 'cratewright.dev/statement/v1',
    ...named,
    log: { number: history.entries.length, sha256: history.head },
    ...(agreement ? { agreement } : {}),
  }
  const text = `${explanation.map(comment).join('\n')}\n${yamlText(statement)}`
  return { path: `prepared/${name}.yaml`, content: Buffer.from(text) }
}

function explainWithdrawal(phase: StatementPhase, { governance }: RequestDocuments, state: RequestState): string[] {
  const what =
    phase === 'Request'
      ? 'Takes this request back: work on it ends, and what was released is taken away and destroyed.'
      : state.published
        ? `Calls release ${state.release} back: it is taken away and destroyed.`
        : `Takes the approval back that was given in the ${statementNames[phase]}.`
  return [
    `${governance.project.name}, release ${state.release}`,
    '',
    what,
    '',
    'What lies below is what is signed. Do not edit it: `cratewright` adds who and what was decided, and signs.',
  ]
}

function explainSignOff({ governance, ingress }: RequestDocuments, state: RequestState): string[] {
  return [
    `Sign-off of ${governance.project.name}, release ${state.release}`,
    ...whatChanged(state),
    '',
    governance.project.description,
    ...(governance.purpose ? [`Purpose: ${governance.purpose}`] : []),
    `People who will work on it: ${governance.users.map(userName).join(', ')}`,
    '',
    `Approving lets the controller extract this from ${sourceName(ingress)} to staging, where no researcher reads:`,
    ...(state.validation?.tables ?? []).map(
      ({ dataset, schema, table, kind, columns }) =>
        `  ${dataset}: ${kind} ${schema}.${table}, columns ${columns.map(({ name, type }) => `${name} (${type})`).join(', ')}`,
    ),
    '',
    'What lies below is what is signed. Do not edit it: `cratewright sign-off` adds who and what was decided, and signs.',
  ]
}

/** How many columns of a file the disclosure report flags for what. */
function flagged(flags: Readonly<Record<string, number>>): string {
  const words = Object.entries(flags).map(([kind, columns]) => `${kind} ${columns}`)
  return words.length === 0 ? 'nothing flagged' : `flagged: ${words.join(', ')}`
}

/** First of all: what is not what was approved before. */
function whatChanged({ approved, requestDigest, changed, validation }: RequestState): string[] {
  if (!approved) return []
  const scope = scopeChanges(approved.tables, validation?.tables ?? [])
  const same = approved.digest === requestDigest
  if (same && scope.length === 0) return ['It was approved before, and is the same now.']
  const unknown =
    !same && changed.length === 0 ? ['  (what exactly cannot be shown: the commit approved then is gone)'] : []
  return [
    `CHANGED since it was last approved (request ${approved.digest.slice(0, 16)} then, ${requestDigest.slice(0, 16)} now):`,
    ...[...changed, ...scope].map(line => `  ${line}`),
    ...unknown,
  ]
}

function userName({ username, given_name, family_name, affiliation }: User): string {
  const name = [given_name, family_name].filter(part => part !== undefined).join(' ')
  return `${name || username}${affiliation ? ` (${affiliation})` : ''}`
}

function explainDisclosure({ governance }: RequestDocuments, state: RequestState): string[] {
  return [
    `Disclosure check of ${governance.project.name}, release ${state.release}`,
    '',
    'Approving moves these files to production, where the people of the project read them:',
    ...(state.staging?.summary ?? []).map(
      ({ path, rows, columns, smallCells, flags }) =>
        `  ${path}: ${rows} rows, ${columns} columns, ${smallCells} small cells (values in fewer than ${state.staging?.threshold} rows); ${flagged(flags)}`,
    ),
    '',
    'The full report lies beside the staged data, where approvers read.',
    'What lies below is what is signed. Do not edit it: `cratewright disclosure` adds who and what was decided, and signs.',
  ]
}

function sourceName({ source }: Ingress): string {
  return `${source.type} database ${source.name}`
}

/** Names and descriptions are other people's text: none of it leaves its comment. */
function comment(line: string): string {
  return `# ${oneLine(line)}`.trimEnd()
}
