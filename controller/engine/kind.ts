/** The contracts of the engine: what a kind, its steps, the recorder and the reader are. The rest of the engine only calls these. */

import type { LogEntry } from '../../schemas/generated/types.ts'
import type { Oid } from '../git/repository.ts'
import type { Clock } from '../runtime/clock.ts'
import type { CratewrightError, Problem, Where } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'

export type { LogEntry }

export interface ResourceType {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/** `group/Kind/namespace/name`; the namespace is empty for platform kinds, and the Repository's name for requests. */
export type Key = string

export function keyOf(type: ResourceType, name: string, namespace = ''): Key {
  return `${type.group}/${type.kind}/${namespace}/${name}`
}

export interface Resource<Spec = unknown> {
  readonly key: Key
  readonly type: ResourceType
  readonly namespace: string
  readonly name: string
  readonly spec: Spec
  /** Counts up with each change of `spec` since this process first saw the resource. */
  readonly generation: number
  readonly origin: { readonly repository: string; readonly commit: Oid; readonly where: Where }
  /** What is wrong with it as written. One with errors is observed and reported, and its plan does nothing. */
  readonly problems: readonly Problem[]
  /** Its file or folder is gone from the watched ref: work stops, nothing is withdrawn by it. */
  readonly missing: boolean
  /** Why an admin suspended it, as its own manifest says (`suspendAnnotation`). */
  readonly suspended?: string
}

/**
 * A named reference blocks until its target is Ready; a selected one (all of a kind, or those of one name in any namespace)
 * only wakes the resource when one changes.
 */
export type Reference =
  | { readonly named: true; readonly type: ResourceType; readonly name: string; readonly namespace?: string }
  | { readonly named: false; readonly type: ResourceType; readonly name?: string }

export interface Snapshot {
  get<Spec>(type: ResourceType, name: string, namespace?: string): Resource<Spec> | undefined
  list<Spec>(type: ResourceType): readonly Resource<Spec>[]
  /** The commits all of this was read at, by source name; the platform repository's is `platform`. */
  readonly commits: ReadonlyMap<string, Oid>
  /** What could not be read of a source; resources that it would have declared are not in the snapshot. */
  readonly problems: ReadonlyMap<string, readonly Problem[]>
}

/** All log entries of one resource, oldest first, unpushed ones of this process included. */
export interface History {
  readonly entries: readonly LogEntry[]
  /** SHA-256 of the last entry's file, which the next entry names; 64 zeros before the first. */
  readonly head: string
  /** The one *started* entry without an outcome. */
  readonly open: LogEntry | undefined
  /** The instance that may go on with the open step: the one that began it, or the last that took it over. */
  readonly holder: string | undefined
}

/** One thing to do, as plain data: printed, digested (`planDigest`), applied and recorded from the same object. */
export interface PlanStep {
  readonly action: string
  /** One line for a person who does not know the code. */
  readonly summary: string
  /** `none`; `noted`: no outside effect, one entry; `pair`: a *started* entry is pushed before it, an *outcome* after it. */
  readonly record: 'none' | 'noted' | 'pair'
  /** What it would destroy or move, in words; absent where it does neither. */
  readonly destroys?: string
  /** Takes access away: no suspend or freeze holds it back. */
  readonly removesAccess?: true
}

export interface Wait {
  /** A stable CamelCase reason, shown as the condition's. */
  readonly reason: string
  readonly message: string
  readonly todo?: string
  /** People or resources waited for. */
  readonly on?: readonly string[]
  /** When it ends by itself (ISO 8601): the resource is looked at again then. */
  readonly until?: string
}

/** `steps` in order; `waits` say why nothing more is done now; `later` lists in words what would come after. */
export interface Plan<Step extends PlanStep = PlanStep> {
  readonly steps: readonly Step[]
  readonly waits: readonly Wait[]
  readonly later: readonly string[]
}

export interface Progress {
  readonly message: string
  readonly rows?: number
  readonly bytes?: number
  /** 0…1; absent where unknown. */
  readonly fraction?: number
}

export type Facts = Readonly<Record<string, unknown>>

/** What the entry of a step says beside the step's own name. */
export interface EntryDetail {
  readonly digests?: LogEntry['digests']
  readonly generation?: number
  readonly release?: number
  readonly facts?: Facts
}

export type Outcome =
  | ({ readonly state: 'done' } & EntryDetail)
  | { readonly state: 'running'; readonly progress: Progress }
  /** A retryable error leaves the step open; a permanent one closes it with result `failed`. */
  | ({ readonly state: 'failed'; readonly error: CratewrightError } & EntryDetail)

/** Work that takes longer than a worker should be held: starts once per id, and wakes the resource when it ends. */
export interface Tasks {
  run<T>(
    id: string,
    target: { readonly name: string; readonly limit: number },
    work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<T>,
  ): { readonly state: 'running'; readonly progress: Progress } | { readonly state: 'ended'; readonly value: T }
}

export interface Context {
  readonly key: Key
  readonly snapshot: Snapshot
  readonly history: History
  /** False for dry runs of people unknown to the platform: nothing may be connected to. */
  readonly connect: boolean
  /** The log of another resource of a kind with logs: for claims, which the one recorded first keeps. */
  historyOf(resource: Resource): Promise<History>
  /** A person asked for this run: what only waits for being asked may be tried again. */
  readonly asked: boolean
  /** Of this process' working folder: who may resume an open step. */
  readonly instance: string
  readonly tasks: Tasks
  /** Asks the servers once more, and gives what is declared now: for a task that decides long after it was planned. */
  refresh(): Promise<Snapshot>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly log: Log
}

export interface RecordFile {
  /** Relative to the resource's folder on the records branch. */
  readonly path: string
  readonly content: Uint8Array
}

/** File contents by commit and path, as a projection needs them: `documents.get(commit)?.get(path)`. */
export type Documents = ReadonlyMap<Oid, ReadonlyMap<string, Uint8Array>>

/** How one kind of declared object is brought to its desired state. Registered by hand in kinds/registry.ts. */
export interface Kind<Spec = unknown, Observed = unknown, Step extends PlanStep = PlanStep, Status = unknown> {
  readonly type: ResourceType
  references(resource: Resource<Spec>): readonly Reference[]
  /** Reads the world and writes nothing; errors of targets are part of what is observed. Never waits: waiting is a requeue. */
  observe(resource: Resource<Spec>, context: Context): Promise<Observed>
  /** Pure. */
  plan(resource: Resource<Spec>, observed: Observed): Plan<Step>
  /** What the *started* entry of a `pair` step says. Pure. */
  intent?(step: Step): EntryDetail
  /** Does one step; twice is the same as once; refuses when what it replaces is no longer what the plan saw. */
  apply(step: Step, context: Context): Promise<Outcome>
  /** Pure. What the resource's status says of what was observed and planned. */
  report(resource: Resource<Spec>, observed: Observed, plan: Plan<Step>): StatusReport<Status>
  /** Which commits' documents `project` needs, and where they lay then. Pure. */
  documents?(history: History): readonly { readonly commit: Oid; readonly folder: string }[]
  /** Pure. Files on the records branch that follow from the log. */
  project?(history: History, documents: Documents): readonly RecordFile[]
}

export interface StatusReport<Status = unknown> {
  readonly ready: boolean
  /** True while a step runs or is due; false while it waits for a person, another resource or new input. */
  readonly progressing: boolean
  /** True where only new input helps. */
  readonly stalled: boolean
  readonly reason: string
  readonly message: string
  readonly detail: Status
}

export interface EntryDraft extends EntryDetail {
  readonly action: string
  readonly event: 'started' | 'outcome' | 'noted'
  /** The commits this was decided at. */
  readonly commits: { readonly platform?: Oid; readonly projects?: Oid }
  readonly started?: number
  readonly result?: 'done' | 'failed' | 'abandoned'
  readonly error?: { readonly code: string; readonly message: string }
}

/** Where recorded steps are written. Implemented in records/. Errors: LogMoved, WriteBackBlocked, RecordForged, RecordsRewritten, Git*. */
export interface Recorder {
  /** Undefined for resources without a log. */
  history(resource: Resource, signal: AbortSignal): Promise<History | undefined>
  /** Appends entries and the files that follow from them; returns when the server has them. */
  append(resource: Resource, drafts: readonly EntryDraft[], signal: AbortSignal): Promise<History>
  /** Brings projected files up to date where they differ. No-op when they do not. */
  project(resource: Resource, signal: AbortSignal): Promise<void>
  /** The last observation; useful, no evidence. Never waited for. */
  status(resource: Resource, content: unknown): void
}

/** Turns a repository's tree at a commit into resources. Implemented in kinds/. Never fails for one bad document. */
export interface Reader {
  read(commit: Oid, signal: AbortSignal): Promise<ReadResult>
}

export interface ReadResult {
  readonly resources: readonly Omit<Resource, 'generation' | 'missing' | 'key'>[]
  /** Of documents that did not become a resource. */
  readonly problems: readonly Problem[]
  /** Resources that are on record, and no longer declared: what was known of them before this process began. */
  readonly missing?: readonly Omit<Resource, 'generation' | 'missing' | 'key'>[]
}
