/** What the RO-Crate of a request says: the facts of its log, in the crate's terms. */

import type { Governance } from '../../../schemas/generated/types.ts'
import { datasetFolder } from '../../crate/payload-name.ts'
import {
  type ActionStatus,
  type CrateAction,
  type CrateFile,
  type CrateInput,
  type Person,
  renderCrate,
} from '../../crate/ro-crate.ts'
import type { History, LogEntry } from '../../engine/kind.ts'
import { sha256Hex } from '../../runtime/canonical.ts'
import { CratewrightError } from '../../runtime/errors.ts'
import { releaseUuid, sha512 } from './digests.ts'
import { parseRequest, requestFiles } from './documents.ts'
import { type RequestState, stateOf } from './state.ts'

const mediaTypes: Record<string, string> = { toml: 'application/toml', yaml: 'application/yaml', csv: 'text/csv' }

/** `working`: where the request stands now, without the data; `release`: as it is sealed, with the data. */
export function crateOf(
  history: History,
  documents: ReadonlyMap<string, Uint8Array>,
  form: 'working' | 'release',
): Uint8Array {
  const state = stateOf(history)
  const request = parseRequest(documents, '').documents
  const last = history.entries.at(-1)
  if (!request || !last)
    throw new CratewrightError('RecordInvalid', 'the documents of a request are not those its log was made of')
  const { governance, ingress } = request
  const outputs = form === 'release' ? (state.staging?.files ?? []) : []
  const input: CrateInput = {
    uuid: releaseUuid(state),
    name: `${governance.project.name}, release ${state.release}`,
    description: governance.project.description,
    dateCreated: state.createdAt,
    datePublished: last.time,
    publisher: { id: 'tre', ...state.tre },
    software: { version: 'records v1', url: 'https://cratewright.dev/' },
    project: {
      id: governance.project.name,
      name: governance.project.name,
      description: governance.project.description,
      ...(governance.project.reference ? { reference: governance.project.reference } : {}),
    },
    persons: governance.users.map(user => ({
      id: user.username,
      name: user.username,
      member: true,
      ...(user.affiliation ? { affiliation: { id: slug(user.affiliation), name: user.affiliation } } : {}),
    })) satisfies Person[],
    agreement: {
      id: 'data-access',
      name: 'Agreement on the use of the data',
      description: governance.agreement ?? 'The agreement under which this data was asked for; the request names none.',
    },
    specification: `request/${requestFiles.ingress}`,
    source: {
      id: slug(ingress.source.name),
      name: ingress.source.name,
      description: `A ${ingress.source.type} database`,
    },
    files: [
      ...Object.values(requestFiles).map(name => requestFile(name, documents.get(name) ?? new Uint8Array())),
      ...outputs.map(({ path, schema, table, size, sha256, sha512: digest }) => ({
        path: path.slice('data/'.length),
        name: `${schema}.${table}`,
        encodingFormat: 'text/csv',
        contentSize: size,
        sha256,
        sha512: digest,
      })),
    ],
    datasets:
      outputs.length === 0
        ? []
        : ingress.datasets.map(({ name, description }) => ({
            path: `outputs/${datasetFolder(name)}/`,
            name,
            ...(description ? { description } : {}),
          })),
    actions: actionsOf(history, state, governance),
  }
  return renderCrate(input)
}

function requestFile(name: string, content: Uint8Array): CrateFile {
  const extension = name.split('.').at(-1) ?? ''
  return {
    path: `request/${name}`,
    name: name.split('/').at(-1) ?? name,
    encodingFormat: mediaTypes[extension] ?? 'application/octet-stream',
    contentSize: content.byteLength,
    sha256: sha256Hex(content),
    sha512: sha512(content),
  }
}

function actionsOf(history: History, state: RequestState, governance: Governance): CrateAction[] {
  const agent = 'controller' as const
  const requester = governance.requester ?? governance.users[0]?.username
  return [
    {
      phase: 'check',
      id: 'check',
      name: 'Checksums of the request computed',
      agent,
      status: 'Completed',
      endTime: state.createdAt,
    },
    {
      phase: 'validation',
      id: 'validation',
      name: 'Request compared with the catalogue of the source',
      agent,
      ...timed(history, state, 'validate'),
    },
    ...approvals(state, 'SignOff'),
    {
      phase: 'execution',
      id: 'stage-transfer',
      name: 'Extraction of the data asked for',
      agent: requester ? { person: requester } : agent,
      ...timed(history, state, 'stage-transfer'),
    },
    ...approvals(state, 'Disclosure'),
    {
      phase: 'publish',
      id: 'close',
      name: 'Manifests of the release computed and sealed',
      agent,
      ...closing(history, state),
    },
  ]
}

function approvals(state: RequestState, phase: 'SignOff' | 'Disclosure'): CrateAction[] {
  const decision = phase === 'SignOff' ? state.signOff : state.disclosure
  const [action, words] =
    phase === 'SignOff'
      ? (['sign-off', 'Sign-off of the request'] as const)
      : (['disclosure', 'Disclosure check of the data'] as const)
  return state.counted
    .filter(statement => statement.phase === phase)
    .map(({ person, entry, decision: vote }) => ({
      phase: action,
      id: `${action}-${entry}`,
      name: `${words} by ${person}`,
      agent: { person },
      status: vote === 'approve' ? 'Completed' : 'Failed',
      ...(decision ? { endTime: decision.time } : {}),
      ...(vote === 'approve' ? {} : { error: 'rejected' }),
    }))
}

/** Status and times of the newest attempt at a step in this generation. */
function timed(
  history: History,
  state: RequestState,
  action: LogEntry['action'],
): { status: ActionStatus; startTime?: string; endTime?: string; error?: string } {
  const entries = history.entries.filter(
    entry => entry.action === action && entry.number > state.since && entry.result !== 'abandoned',
  )
  const started = entries.filter(({ event }) => event === 'started').at(-1)
  if (!started) return { status: 'Potential' }
  const outcome = entries.find(entry => entry.event === 'outcome' && entry.started === started.number)
  if (!outcome) return { status: 'Active', startTime: started.time }
  const times = { startTime: started.time, endTime: outcome.time }
  return outcome.result === 'done'
    ? { status: 'Completed', ...times }
    : { status: 'Failed', ...times, error: outcome.error?.code ?? 'failed' }
}

/** The release says that it was closed: its own manifests are the proof, and are made with these words in it. */
function closing(
  history: History,
  state: RequestState,
): { status: ActionStatus; startTime?: string; endTime?: string } {
  const started =
    history.open?.action === 'close'
      ? history.open
      : history.entries.find(({ number }) => number === state.closing?.started)
  return started ? { status: 'Completed', startTime: started.time, endTime: started.time } : { status: 'Potential' }
}

function slug(text: string): string {
  return `${text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 60)}-${sha256Hex(text).slice(0, 8)}`
}
