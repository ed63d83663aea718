/** What the tasks of a request share: what they are given, how they refuse, and the check that nothing approved has moved. */

import type { FileStoreSpec, SourceConnectionSpec } from '../../../schemas/generated/types.ts'
import type { OpenSource, SourceTarget, TableDescription } from '../../data/source.ts'
import type { FileStore, ReleaseKey } from '../../data/store.ts'
import type { Context, EntryDetail, Progress, Resource } from '../../engine/kind.ts'
import type { Oid } from '../../git/repository.ts'
import type { CratewrightError } from '../../runtime/errors.ts'
import type { RequestDocuments } from './documents.ts'
import { type RequestSpec, requestType } from './reader.ts'
import { type Resolved, requestedTables, resolveRequest, scopeDigest } from './resolve.ts'
import type { RequestState } from './state.ts'

/** What the steps need of the world; wired in cli/. */
export interface RequestRoom {
  readonly openSource: OpenSource
  /** Reads the credential and checks the host. Errors: SecretNotFound, HostNotAllowed. */
  readonly targetOf: (connection: Resource<SourceConnectionSpec>, database: string) => Promise<SourceTarget>
  readonly storeOf: (store: Resource<FileStoreSpec>) => Promise<FileStore>
  readonly documentsAt: (
    resource: Resource<RequestSpec>,
    commit: Oid,
    folder: string,
    signal: AbortSignal,
  ) => Promise<ReadonlyMap<string, Uint8Array>>
  /** The controller's own key: signs bags. */
  readonly signer: { readonly sign: (data: Uint8Array, namespace: string) => string; readonly publicKey: string }
}

/** What a task returns where it refuses to go on. */
export interface Refusal {
  readonly refused: 'scope' | 'staged'
  /** The release lies in production already, moved by a publish that was killed. */
  readonly moved?: true
  readonly message: string
}

export interface StepContext {
  readonly resource: Resource<RequestSpec>
  readonly documents: RequestDocuments
  readonly resolved: Resolved
  readonly state: RequestState
  readonly context: Context
  readonly room: RequestRoom
  readonly release: ReleaseKey
}

export type StepTask = (
  at: StepContext,
  signal: AbortSignal,
  report: (progress: Progress) => void,
) => Promise<(EntryDetail & { failed?: CratewrightError }) | Refusal>

/** Why the request is no longer what was approved, as the servers have it now. Asked again right before what cannot be undone. */
export async function approvalMoved({ resource, state, context }: StepContext): Promise<Refusal | undefined> {
  const snapshot = await context.refresh()
  const now = snapshot.get<RequestSpec>(requestType, resource.name, resource.namespace)
  const refuse = (message: string): Refusal => ({ refused: 'scope', message })
  if (!now || now.missing) return refuse('the request is gone from the watched branch')
  const { documents, folder } = now.spec
  if (documents?.digest !== state.requestDigest) return refuse('the request is not the one that was signed off')
  const { resolved } = resolveRequest(documents, now.name, folder, snapshot)
  if (resolved?.inputs !== state.validation?.inputs)
    return refuse('the connection or the store of the request was changed')
  return undefined
}

/** The catalogue as it is now, or why it is no longer what was signed off. */
export async function confirmScope(
  at: StepContext,
  signal: AbortSignal,
): Promise<{ tables: readonly TableDescription[] } | Refusal> {
  const moved = await approvalMoved(at)
  if (moved) return moved
  const { documents, resolved, room, state } = at
  const refuse = (message: string): Refusal => ({ refused: 'scope', message })
  const source = room.openSource(await room.targetOf(resolved.connection, resolved.database))
  const { tables, findings } = await source.describe(requestedTables(documents.ingress), signal)
  const finding = findings.find(({ severity }) => severity === 'error')
  if (finding) return refuse(`the source changed since the sign-off: ${finding.message}`)
  const described = tables.filter((table): table is TableDescription => table !== undefined)
  if (scopeDigest(documents, resolved, described) !== state.validation?.scope) {
    return refuse('tables, views or columns of the source changed since the sign-off')
  }
  return { tables: described }
}
