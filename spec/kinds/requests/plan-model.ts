/**
 * A world of one request without servers: commits, people, a source and a store as plain values. What the controller decides in it
 * is real (the loop, the plan, the state, statements with signatures, who may approve); only the tasks' effects are stood in for.
 */

import assert from 'node:assert/strict'
import type { TableDescription, TableRequest } from '../../../controller/data/source.ts'
import type { Context, Kind, Outcome, Plan, Resource, Snapshot } from '../../../controller/engine/kind.ts'
import { keyOf } from '../../../controller/engine/kind.ts'
import { type ReconcileResult, reconcile } from '../../../controller/engine/reconcile.ts'
import { MemoryStore } from '../../../controller/engine/store/memory.ts'
import { TaskRunner } from '../../../controller/engine/tasks.ts'
import { applyRequest } from '../../../controller/kinds/requests/apply.ts'
import {
  type ApprovalRoom,
  approvalOf,
  barredFrom,
  lateStatements,
  prospectsOf,
  subjectOf,
  waitingFor,
} from '../../../controller/kinds/requests/approvals.ts'
import type { Authors } from '../../../controller/kinds/requests/authors.ts'
import type { RequestDocuments } from '../../../controller/kinds/requests/documents.ts'
import type { ContentChange, RequestObserved } from '../../../controller/kinds/requests/observe.ts'
import { planRequest } from '../../../controller/kinds/requests/plan.ts'
import { type RequestSpec, requestType } from '../../../controller/kinds/requests/reader.ts'
import { type RequestStatus, reportRequest } from '../../../controller/kinds/requests/report.ts'
import { requestedTables, resolveRequest, scopeDigest } from '../../../controller/kinds/requests/resolve.ts'
import { type RequestState, type StatementPhase, stateOf } from '../../../controller/kinds/requests/state.ts'
import { detailOf, type RequestStep } from '../../../controller/kinds/requests/steps.ts'
import type { RequestRoom } from '../../../controller/kinds/requests/task.ts'
import { fileStoreType, sourceConnectionType } from '../../../controller/kinds/types.ts'
import type { Group } from '../../../controller/records/approval.ts'
import {
  formatStatement,
  type PersonInfo,
  type StatementFile,
  signStatement,
} from '../../../controller/records/statement.ts'
import { digestOf, sha256Hex } from '../../../controller/runtime/canonical.ts'
import { CratewrightError, problem } from '../../../controller/runtime/errors.ts'
import { silentLog } from '../../../controller/runtime/log.ts'
import { generateKey, parsePrivateKey, type SshPrivateKey } from '../../../controller/runtime/ssh-key.ts'
import type {
  ApproverGroupSpec,
  Ending,
  FileStoreSpec,
  PersonSpec,
  Statement,
} from '../../../schemas/generated/types.ts'
import { ticking } from '../../engine/lab.ts'
import { inShort, MemoryRecorder, SharedLog } from '../../engine/memory-recorder.ts'

export type PersonName = 'dana' | 'carl' | 'rob' | 'eve'

function makePerson(name: PersonName): { name: PersonName; key: SshPrivateKey; info: PersonInfo } {
  const pair = generateKey(name)
  const spec = { displayName: name, emails: [`${name}@x.example`], keys: [pair.public.trim()] } as PersonSpec
  return { name, key: parsePrivateKey(pair.private), info: { name, spec } }
}

/** Dana and carl are approvers, rob is the requester and an approver all the same, eve is nobody. */
export const people = {
  dana: makePerson('dana'),
  carl: makePerson('carl'),
  rob: makePerson('rob'),
  eve: makePerson('eve'),
} as const

interface Commit {
  readonly oid: string
  /** Undefined: the documents have errors there. */
  readonly content: { readonly version: number; readonly release: number } | undefined
  /** Undefined: signed by nobody known. Content did not change in a commit without `wrote`. */
  readonly wrote?: { readonly by: PersonName | undefined }
}

export type Trouble = 'none' | 'down' | 'broken'

let serial = 0
const oid = () => sha256Hex(`commit ${serial++}`).slice(0, 40)
const namespace = 'projects'
const name = 'asthma'
export const requestKey = keyOf(requestType, name, namespace)

export class ModelWorld {
  readonly shared = new SharedLog()
  readonly clock = ticking()
  commits: Commit[] = [{ oid: oid(), content: { version: 1, release: 1 }, wrote: { by: 'rob' } }]
  missing = false
  statements: StatementFile[] = []
  /** A subject that was prepared earlier, with its place in the log: statements for it come too late. */
  earlier: Omit<Statement, 'person' | 'decision'> | undefined
  /** What the source's catalogue has; another number, another scope. `undefined`: a table asked for is not there. */
  catalogue: number | undefined = 1
  /** What Git says of connection and store. */
  platform = 1
  quorum = 1
  /** Who has to agree, where it is not one group of all approvers. */
  groups: readonly Group[] | undefined
  platformBroken = false
  /** What an admin ended. */
  ended: Ending[] = []
  deletion: FileStoreSpec['deletion']
  /** What meets tasks, and which. */
  trouble: Trouble = 'none'
  troubled: 'all' | 'publish' = 'all'
  staged: { outputs: string; whole: boolean } | undefined
  readonly published: { release: number; outputs: string }[] = []
  /** Releases that are no longer where people read, and those that are gone for good. */
  readonly revoked = new Set<number>()
  readonly destroyed = new Set<number>()
  plans = 0
  lastPlan: Plan<RequestStep> | undefined
  #stop = new AbortController()
  #recorder!: MemoryRecorder
  #tasks!: TaskRunner
  #woken = 0
  #versions = 1

  constructor() {
    this.restart()
  }

  get history() {
    return this.shared.of(requestKey)
  }

  get state(): RequestState {
    return stateOf(this.history)
  }

  get head(): Commit {
    return this.commits.at(-1)!
  }

  /** What a person does to the world. */
  change(by: PersonName | undefined, release = this.#release()): void {
    this.#commit({ content: { version: ++this.#versions, release }, wrote: { by } })
  }

  changeBack(by: PersonName): void {
    const before = this.commits.findLast(({ content }) => content && content.version !== this.head.content?.version)
    if (before) this.#commit({ content: before.content, wrote: { by } })
  }

  breakDocuments(): void {
    this.#commit({ content: undefined, wrote: { by: 'rob' } })
  }

  touchNothing(): void {
    this.#commit({ content: this.head.content })
  }

  /** The watched branch is forced to something that does not descend from what was seen. */
  rewrite(): void {
    this.commits = [{ oid: oid(), content: this.head.content, wrote: { by: 'rob' } }]
  }

  /** A statement for what is prepared now; `late`: for what was prepared some time ago. */
  sign(
    person: PersonName,
    decision: 'approve' | 'reject' | 'withdraw',
    { late = false, phase = waitingFor(this.state) }: { late?: boolean; phase?: StatementPhase | undefined } = {},
  ): void {
    const prepared = late ? this.earlier : this.#prepared(phase)
    if (!prepared) return
    const statement = { ...prepared, person, decision } as Statement
    const text = Buffer.from(`# ${serial++}\n${formatStatement(statement)}`)
    const signature = Buffer.from(signStatement(people[person].key, text))
    this.statements = [...this.statements.slice(-5), { path: `sign-offs/${serial}-${person}.yaml`, text, signature }]
    this.touchNothing()
  }

  /** Keeps what is prepared now, for a statement that comes late. */
  remember(): void {
    this.earlier = this.#prepared() ?? this.earlier
  }

  tamper(): void {
    if (this.staged) this.staged = { ...this.staged, whole: false }
  }

  /** A new process: what was in memory is gone. */
  restart(): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    this.#recorder = new MemoryRecorder(this.shared, this.clock, 'one')
    this.#tasks = new TaskRunner(this.#stop.signal, () => void this.#woken++)
  }

  /** Runs as the controller does until nothing is due; returns how it ended. A failing run is not tried again. */
  async settle(asked = false): Promise<ReconcileResult> {
    let result = await this.run(asked)
    for (let tasks = 0; result.state === 'running'; tasks++) {
      assert.ok(tasks < 20, `tasks without end: ${inShort(this.history).slice(-8)}`)
      await this.#tasks.idle()
      result = await this.run(false)
    }
    return result
  }

  async run(asked: boolean): Promise<ReconcileResult> {
    const store = new MemoryStore(() => true)
    const documents = this.#documents()
    const read = {
      type: requestType,
      namespace,
      name,
      spec: { folder: 'projects/asthma', tree: this.head.oid, documents } satisfies RequestSpec,
      problems: documents ? [] : [problem('YamlInvalid', 'the documents have errors')],
      origin: { repository: namespace, commit: this.head.oid, where: { file: 'projects/asthma' } },
    }
    store.replace('platform', sha256Hex(`platform ${this.platform}`).slice(0, 40), this.#declared())
    store.replace(namespace, this.head.oid, { resources: [read], problems: [] })
    if (this.missing) store.replace(namespace, this.head.oid, { resources: [], problems: [] })
    const kind: Kind<RequestSpec, RequestObserved, RequestStep, RequestStatus> = {
      type: requestType,
      references: () => [],
      observe: (resource, context) => this.#observe(resource, context),
      plan: (resource, observed) => this.#plan(resource, observed),
      intent: detailOf,
      apply: (step, context) => this.#apply(step, context),
      report: reportRequest,
    }
    return reconcile(
      requestKey,
      {
        store,
        kindOf: () => kind as Kind,
        recorder: this.#recorder,
        tasks: this.#tasks,
        clock: this.clock,
        log: silentLog,
        instance: 'one',
        signal: this.#stop.signal,
        confirm: async () => true,
      },
      asked,
    )
  }

  #plan(resource: Resource<RequestSpec>, observed: RequestObserved): Plan<RequestStep> {
    this.plans++
    this.lastPlan = planRequest(resource, observed)
    return this.lastPlan
  }

  #release(): number {
    return this.commits.findLast(({ content }) => content)?.content?.release ?? 1
  }

  #commit(commit: Omit<Commit, 'oid'>): void {
    this.commits = [...this.commits, { ...commit, oid: oid() }]
  }

  #documents(commit = this.head): RequestDocuments | undefined {
    if (!commit.content) return undefined
    const { version, release } = commit.content
    const user = { username: 'rob', given_name: 'R', family_name: 'R', affiliation: 'U', email: 'rob@x.example' }
    const table = { name: 'patients', columns: [{ name: 'id', datatype: 'integer' }] }
    const written = {
      governance: { project: { name, description: `version ${version}` }, users: [user], requester: 'rob', release },
      ingress: {
        source: { type: 'postgresql', url: 'warehouse', name: 'clinical' },
        destination: { type: 'filestore', name: 'lsc' },
        datasets: [{ name: 'cohort', schema_name: 'clinic', tables: [table] }],
      },
    }
    return { ...written, digest: digestOf(written) } as unknown as RequestDocuments
  }

  #declared() {
    const origin = { repository: 'platform', commit: oid(), where: { file: 'platform.yaml' } }
    const common = { namespace: '', problems: [], origin }
    const warehouse = {
      type: 'postgresql',
      host: 'warehouse',
      port: 5000 + this.platform,
      databases: ['clinical'],
      projects: ['*'],
    }
    const { deletion } = this
    const lsc = { type: 'directory', staging: '/staging', production: '/production', ...(deletion ? { deletion } : {}) }
    return {
      resources: [
        { ...common, type: sourceConnectionType, name: 'warehouse', spec: warehouse },
        { ...common, type: fileStoreType, name: 'lsc', spec: lsc },
      ],
      problems: [],
    }
  }

  /** The catalogue of the source. */
  #describe(tables: readonly TableRequest[]): TableDescription[] {
    return tables.map(({ schema, table }) => ({
      schema,
      table,
      kind: 'table',
      columns: [{ name: 'id', type: `type ${this.catalogue}` }],
      orderBy: [],
      definitions: [],
    }))
  }

  #scope(documents: RequestDocuments, snapshot: Snapshot): string | undefined {
    const { resolved } = resolveRequest(documents, name, 'projects/asthma', snapshot)
    const tables = this.#describe(requestedTables(documents.ingress))
    return resolved && this.catalogue !== undefined ? scopeDigest(documents, resolved, tables) : undefined
  }

  #groups(): readonly Group[] {
    if (this.groups) return this.groups
    const members = (['dana', 'carl', 'rob'] as const).map(person => ({ person }))
    const spec = { phases: ['SignOff', 'Disclosure'], projects: ['*'], sources: ['*'], members, quorum: this.quorum }
    return [{ name: 'governance', spec: spec as unknown as ApproverGroupSpec }]
  }

  authors({ approved }: Pick<RequestState, 'approved'>): Authors {
    const from = this.commits.findIndex(commit => commit.oid === approved?.at) + 1
    const wrote = this.commits
      .slice(from)
      .flatMap(({ oid: commit, wrote }) => (wrote ? [{ commit, by: wrote.by }] : []))
    return {
      persons: [...new Set(wrote.flatMap(({ by }) => by ?? []))].sort(),
      coAuthors: [],
      unattributed: wrote.flatMap(({ commit, by }) => (by ? [] : [{ commit, reason: 'is not signed' }])),
    }
  }

  #changes(state: RequestState): ContentChange[] {
    if (state.id === undefined || this.head.oid === state.seen) return []
    const change = (commit: Commit, because: 'request' | 'history'): ContentChange => ({
      commit: commit.oid,
      digest: this.#documents(commit)?.digest,
      documents: this.#documents(commit),
      release: commit.content?.release ?? 1,
      because,
    })
    const seen = this.commits.findIndex(commit => commit.oid === state.seen)
    if (seen < 0) return [change(this.head, 'history')]
    let before: string | undefined = state.requestDigest
    return this.commits.slice(seen + 1).flatMap(commit => {
      const found = change(commit, 'request')
      const differs = found.digest !== before
      before = found.digest
      return differs ? [found] : []
    })
  }

  async #observe(
    resource: Resource<RequestSpec>,
    { history, asked, clock, snapshot }: Context,
  ): Promise<RequestObserved> {
    const state = stateOf(history)
    const { documents } = resource.spec
    const persons = Object.values(people).flatMap(person => (person.name === 'eve' ? [] : [person.info]))
    const platformProblems = this.platformBroken ? [problem('YamlInvalid', 'a file of the platform has errors')] : []
    const groups = this.#groups()
    const tre = { name: 'TRE' }
    const stores = new Map(snapshot.list<FileStoreSpec>(fileStoreType).map(store => [store.name, store]))
    const { ended } = this
    const now = clock.now()
    const known = {
      ...{ state, history, head: this.head.oid, documents, persons, groups, platformProblems, asked, tre },
      ...{ ended, stores, now, rivals: [], approvedDocuments: undefined },
    }
    const nothing = {
      ...{ changes: [], resolved: undefined, resolveProblems: [], authors: undefined, approval: undefined },
      ...{ late: [], prospects: [] },
    }
    if (resource.missing || !documents) return { ...known, ...nothing, headTime: 0 }
    const { resolved, problems } = resolveRequest(documents, name, 'projects/asthma', snapshot)
    const phase = waitingFor(state)
    const settled = state.published !== undefined || state.phase === 'Rejected' || state.end !== undefined
    const authors = settled ? undefined : this.authors(state)
    const barred = authors && barredFrom(documents.governance, authors, persons)
    const room: ApprovalRoom = {
      ...{ resource, history, state, persons, groups, documents, at: now, zone: undefined },
      source: 'warehouse',
      authorsEver: async () => this.authors({ approved: undefined }),
    }
    const statements = { files: this.statements, unread: [] }
    return {
      ...known,
      headTime: 1_700_000_000,
      changes: this.#changes(state),
      resolved,
      resolveProblems: problems,
      authors,
      approval: phase && barred && resolved ? approvalOf(phase, barred, statements, room) : undefined,
      late: await lateStatements(statements, room),
      prospects: barred && resolved ? prospectsOf(barred, room) : [],
    }
  }

  /** What lies in `prepared/`. */
  #prepared(
    phase: StatementPhase | undefined = waitingFor(this.state),
  ): Omit<Statement, 'person' | 'decision'> | undefined {
    const { state, history } = this
    if (!phase || state.id === undefined) return undefined
    const { since: _, ...named } = subjectOf(phase, { namespace, name }, state)
    const log = { number: history.entries.length, sha256: history.head }
    return { statement: 'cratewright.dev/statement/v1', ...named, log }
  }

  /** Steps without outside effect and the validation are done by the real thing; those that move data by a stand-in. */
  async #apply(step: RequestStep, context: Context): Promise<Outcome> {
    const { action } = step
    if (action === 'revoke' || action === 'destroy') return this.#remove(step)
    if (action !== 'stage-transfer' && action !== 'close' && action !== 'publish')
      return applyRequest(step, context, this.#room())
    const target = { name: 'warehouse', limit: 4 }
    const result = context.tasks.run(`${action}-${context.history.open?.number ?? 0}`, target, async () =>
      this.#move(action, context),
    )
    return result.state === 'running' ? result : result.value
  }

  #remove(step: Extract<RequestStep, { action: 'revoke' | 'destroy' }>): Outcome {
    this.#meetTrouble(step.action)
    if (step.action === 'revoke') this.revoked.add(step.release)
    else if (step.what === 'released') {
      assert.ok(this.revoked.has(step.release), 'destroyed before it was taken away')
      this.destroyed.add(step.release)
    } else this.staged = undefined
    return { state: 'done', ...detailOf(step) }
  }

  #room(): RequestRoom {
    const source = {
      describe: async (tables: readonly TableRequest[]) =>
        this.catalogue === undefined
          ? { tables: [], findings: [problem('TableNotAvailable', 'patients: not found or not allowed')] }
          : { tables: this.#describe(tables), findings: [] },
    }
    const targetOf = async () => {
      this.#meetTrouble('validate')
      return {}
    }
    return { openSource: () => source, targetOf } as unknown as RequestRoom
  }

  #meetTrouble(action: RequestStep['action']): void {
    if (this.troubled !== 'all' && this.troubled !== action) return
    if (this.trouble === 'down') throw new CratewrightError('SourceUnreachable', 'the server is down')
    if (this.trouble === 'broken') throw new CratewrightError('HostNotAllowed', 'the host is not allowed')
  }

  #move(action: 'stage-transfer' | 'close' | 'publish', context: Context): Outcome {
    this.#meetTrouble(action)
    const state = stateOf(context.history)
    const documents = this.#documents()!
    const refuse = (what: 'scope' | 'staged'): Outcome => ({
      state: 'failed',
      error: new CratewrightError('ApprovalVoid', `${what} changed`),
      facts: { void: what },
    })
    const moved = this.#scope(documents, context.snapshot) !== state.validation?.scope
    const alreadyThere = action === 'publish' && this.published.some(({ release }) => release === state.release)
    if (!alreadyThere && (moved || documents.digest !== state.requestDigest)) return refuse('scope')
    const digests = { request: state.requestDigest, scope: state.validation?.scope ?? '' }
    if (action === 'stage-transfer') {
      const outputs = digestOf(`extraction ${context.history.open?.number}`)
      this.staged = { outputs, whole: true }
      return {
        state: 'done',
        digests: { ...digests, outputs },
        facts: { files: [], summary: [], threshold: 10, startedAt: context.history.open?.time },
      }
    }
    const outputs = state.staging?.outputs ?? ''
    if (action === 'publish' && alreadyThere) return published(digests, outputs)
    if (!this.staged?.whole || this.staged.outputs !== outputs) return refuse('staged')
    if (action === 'publish') {
      this.published.push({ release: state.release, outputs })
      this.staged = undefined
      return published(digests, outputs)
    }
    const facts = { manifestSha512: 'm', tagmanifestSha512: 't', signature: 's', gitSignature: 'g', key: 'k' }
    return { state: 'done', digests: { ...digests, outputs }, facts }
  }
}

function published(digests: { request: string; scope: string }, outputs: string): Outcome {
  return { state: 'done', digests: { ...digests, outputs }, facts: { location: '/production', manifestSha512: 'm' } }
}
