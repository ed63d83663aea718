/** What is wanted, and what was last seen of it. One contract, so that kinds do not know which store they run on. */

import type { Oid } from '../../git/repository.ts'
import type { Problem } from '../../runtime/errors.ts'
import type { Condition } from '../conditions.ts'
import type { Key, ReadResult, Resource, Snapshot, StatusReport, Wait } from '../kind.ts'

export interface StoredStatus {
  readonly conditions: readonly Condition[]
  /** The resource's generation and commit that this was observed of. */
  readonly observedGeneration: number
  readonly observedRevision: Oid
  readonly problems: readonly Problem[]
  readonly report: StatusReport
  /** The plan in words: what is next, what is waited for, what would come then. */
  readonly next: readonly string[]
  /** SHA-256 of the RFC 8785 JSON of the plan's steps; absent where there are none. */
  readonly planDigest?: string
  readonly waits: readonly Wait[]
  readonly later: readonly string[]
}

export interface Store {
  /**
   * Replaces everything that `source` declared by what was read of it at `commit`. Resources that are gone become `missing`
   * when their kind keeps them (requests), else they are removed.
   */
  replace(source: string, commit: Oid, read: ReadResult): void
  get(key: Key): Resource | undefined
  keys(): readonly Key[]
  snapshot(): Snapshot
  status(key: Key): StoredStatus | undefined
  setStatus(key: Key, status: StoredStatus): void
  /** Called with the key of each resource whose spec, problems or readiness changed. */
  onChange(listener: (key: Key, what: 'spec' | 'ready') => void): void
}
