/** What a log says of a request: the shapes that the fold makes. */

import type { LogEntry } from '../../engine/kind.ts'
import type { Oid } from '../../git/repository.ts'
import type { Tally } from '../../records/approval.ts'

export type Phase =
  | 'Requested'
  | 'Created'
  | 'Failed'
  | 'Validated'
  | 'SignedOff'
  | 'Staged'
  | 'Disclosed'
  | 'Published'
  | 'Rejected'
  | 'Withdrawn'
  | 'Expired'
  | 'Recalled'

export type StatementPhase = 'SignOff' | 'Disclosure' | 'Request'

/** The research environment, as records name it. */
export interface Tre {
  readonly name: string
  readonly url?: string
  /** In which dates without a time are meant. */
  readonly timeZone?: string
}

/** A Person, ApproverGroup or SourceConnection as it was used; a bag carries them, so that it can be judged alone. */
export interface UsedResource {
  readonly kind: string
  readonly name: string
  readonly spec: unknown
}

export interface CountedStatement {
  readonly entry: number
  readonly phase: StatementPhase
  readonly person: string
  readonly decision: 'approve' | 'reject' | 'withdraw'
  readonly path: string
  readonly sha256: string
  readonly fingerprint: string
  readonly text: string
  readonly signature: string
}

export interface OutputFile {
  /** `data/outputs/<dataset>/<table>.csv`. */
  readonly path: string
  readonly dataset: string
  readonly schema: string
  readonly table: string
  readonly size: number
  readonly sha256: string
  readonly sha512: string
}

/** What approvers see of a table in Git: counts below the threshold are not shown. */
export interface OutputSummary {
  readonly path: string
  readonly rows: number | 'fewer than the threshold'
  readonly columns: number
  readonly smallCells: number
  /** How many columns were flagged, by the kind of the flag. */
  readonly flags: Readonly<Record<string, number>>
}

export interface ScopeTable {
  readonly dataset: string
  readonly schema: string
  readonly table: string
  readonly kind: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
}

export interface Decision {
  readonly entry: number
  readonly time: string
  readonly decision: 'approve' | 'reject'
  readonly groups: Tally['groups']
  readonly resources: readonly UsedResource[]
}

export interface Validation {
  readonly entry: number
  readonly ok: boolean
  /** Digest of all that the outcome depends on and that Git holds: a new one asks for a new validation. */
  readonly inputs: string
  readonly scope: string | undefined
  readonly tables: readonly ScopeTable[]
  readonly findings: readonly Finding[]
}

/** Why a validation failed. */
export interface Finding {
  readonly code: string
  readonly message: string
}

export interface Staging {
  readonly entry: number
  readonly outputs: string
  readonly files: readonly OutputFile[]
  readonly summary: readonly OutputSummary[]
  readonly threshold: number
  readonly startedAt: string
  readonly endedAt: string
}

export interface Closing {
  readonly entry: number
  readonly release: number
  readonly started: number
  readonly manifestSha512: string
  readonly tagmanifestSha512: string
  readonly signature: string
  readonly gitSignature: string
  readonly key: string
}

/** A release that was published, and what became of it. */
export interface PublishedRelease {
  readonly release: number
  readonly generation: number
  /** Of the publishing. */
  readonly entry: number
  readonly store: string | undefined
  readonly location: string
  readonly manifestSha512: string
  /** When the agreement ends under which it was released (ISO 8601). */
  readonly until: string | undefined
  readonly recalled: { readonly entry: number; readonly message: string } | undefined
  readonly state: 'published' | 'revoked' | 'destroyed'
  /** When it was taken out of production (ISO 8601). */
  readonly revokedAt: string | undefined
}

/** Content as it was last approved for extraction. */
export interface ApprovedContent {
  readonly at: Oid
  readonly digest: string
  readonly folder: string
  readonly tables: readonly ScopeTable[]
}

export interface RequestState {
  readonly phase: Phase
  /** `urn:uuid:` of the request; undefined before it was created. */
  readonly id: string | undefined
  readonly createdAt: string
  readonly tre: Tre
  readonly generation: number
  readonly release: number
  readonly requestDigest: string
  /** The commit at which the content of this generation was read. */
  readonly content: Oid
  /** Where the request's folder lay at that commit. */
  readonly folder: string
  /** The newest commit whose changes are in the log. */
  readonly seen: Oid
  /** The entry that began this generation. */
  readonly since: number
  readonly validation: Validation | undefined
  readonly counted: readonly CountedStatement[]
  readonly signOff: Decision | undefined
  readonly staging: Staging | undefined
  /** Why staged data is not what was approved; a person has to ask before it is staged again. */
  readonly stagingVoid: string | undefined
  readonly disclosure: Decision | undefined
  readonly closing: Closing | undefined
  /** The newest release that was closed in any generation: its bag is never written again. */
  readonly closedRelease: number
  readonly publishedRelease: number
  readonly published: { readonly entry: number; readonly location: string } | undefined
  /** Every release that was ever published. */
  readonly releases: readonly PublishedRelease[]
  /** Where data that was extracted may lie in staging; undefined: nowhere. */
  readonly staged:
    | { readonly release: number; readonly generation: number; readonly store: string | undefined }
    | undefined
  /** A publish was begun and never ended well: the release may lie in production, and nobody's approval stands for it. */
  readonly publishing: { readonly release: number; readonly store: string | undefined } | undefined
  /** What was last approved for extraction, in any generation, and what was before that. */
  readonly approved: ApprovedContent | undefined
  readonly approvedBefore: ApprovedContent | undefined
  /** What this generation changed since content was last approved, in lines for people. */
  readonly changed: readonly string[]
  /** From when and until when the data may be read, as this generation says (ISO 8601). */
  readonly from: string | undefined
  readonly until: string | undefined
  /** The request is over until it changes. */
  readonly end: { readonly entry: number; readonly how: 'Withdrawn' | 'Expired'; readonly message: string } | undefined
  /** Statements that were refused for who signed them when they were first seen: `refusedKey` → why. */
  readonly refused: ReadonlyMap<string, string>
  /** Taking away or destroying data failed for a reason that only a person can remove. */
  readonly removalsFailed: readonly {
    readonly action: LogEntry['action']
    readonly release: number
    readonly code: string
    readonly message: string
  }[]
  /** A step that failed for a reason that only new input or a person can remove. */
  readonly halted: { readonly action: LogEntry['action']; readonly code: string; readonly message: string } | undefined
}
