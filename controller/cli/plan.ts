/** `cratewright plan`: what is wrong with a request, and what a merge of it would do. Writes nothing. */

import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import type { PersonSpec, RepositorySpec } from '../../schemas/generated/types.ts'
import { openPostgres } from '../data/postgres.ts'
import type { Context, ReadResult, Resource, Snapshot } from '../engine/kind.ts'
import { MemoryStore } from '../engine/store/memory.ts'
import type { GitRepository, Oid } from '../git/repository.ts'
import { readManifests } from '../kinds/platform/reader.ts'
import { keepsMissing } from '../kinds/registry.ts'
import { barredFrom } from '../kinds/requests/approvals.ts'
import { olderFiles, olderLayout, parseRequest, requestFiles } from '../kinds/requests/documents.ts'
import { observeRequest } from '../kinds/requests/observe.ts'
import { planRequest } from '../kinds/requests/plan.ts'
import { type Preview, previewLines } from '../kinds/requests/preview.ts'
import { RequestReader, type RequestSpec } from '../kinds/requests/reader.ts'
import { requestedTables, resolveRequest } from '../kinds/requests/resolve.ts'
import { suspensionOf } from '../kinds/suspend.ts'
import { personType, repositoryType } from '../kinds/types.ts'
import { emptyHistory } from '../records/log.ts'
import { readProject } from '../records/recorder.ts'
import { personOfKey } from '../records/statement.ts'
import { digestOf } from '../runtime/canonical.ts'
import { systemClock } from '../runtime/clock.ts'
import { asCratewrightError, CratewrightError, catalogue, type Problem, problem, showWhere } from '../runtime/errors.ts'
import { type Arguments, type Command, commonOptions, exit, type Io } from './command.ts'
import { openPlatform, type PlatformView } from './platform.ts'
import { targetOf } from './rooms.ts'
import { openSession, type Session } from './session.ts'

export const planCommand: Command = {
  name: 'plan',
  summary: 'say what is wrong with a request, and what a merge of it would do',
  arguments: '[<project>]',
  options: {
    ...commonOptions,
    ref: {
      type: 'string',
      value: '<branch>',
      help: 'plan what this branch would change (default: the watched branch)',
    },
    folder: {
      type: 'string',
      value: '<path>',
      help: 'plan the request in this folder on disk; needs --platform, connects to nothing',
    },
    platform: { type: 'string', value: '<path>', help: 'with --folder: a folder with the platform’s manifests' },
  },
  example: 'scripts/cratewright plan --folder examples/projects/asthma-outcomes --platform examples/platform',
  async run(args, io) {
    const folder = args.string('folder')
    return folder === undefined ? planBranch(args, io) : planFolder(folder, args, io)
  },
}

async function planFolder(folder: string, args: Arguments, io: Io): Promise<number> {
  const platform = args.string('platform')
  if (platform === undefined) throw new CratewrightError('UsageInvalid', '--folder needs --platform')
  const manifests = await readManifestFiles(resolve(platform))
  const from = { repository: 'platform', commit: '0'.repeat(40) }
  const read = readManifests(manifests, from)
  const store = new MemoryStore(keepsMissing)
  store.replace('platform', from.commit, read)
  const snapshot = store.snapshot()
  const files = new Map<string, Uint8Array>()
  for (const name of Object.values(requestFiles)) {
    const content = await readFile(join(folder, name)).catch(() => undefined)
    if (content) files.set(name, content)
  }
  const shown = relative(process.cwd(), resolve(folder))
  const older = olderLayout(await pathsOf(folder, shown, files), shown)
  const parsed = parseRequest(files, shown)
  const documents = parsed.documents
  // That the newer files are missing follows from it.
  const problems = older.length > 0 ? older : parsed.problems
  const project = basename(resolve(folder))
  const named =
    documents && documents.governance.project.name !== project
      ? [
          problem(
            'ProjectNameMismatch',
            `the folder is ${project}, and project.name is ${documents.governance.project.name}`,
          ),
        ]
      : []
  const resolution = documents ? resolveRequest(documents, project, '', snapshot) : { problems: [] }
  const preview: Preview = {
    project,
    documents,
    problems: [...read.problems, ...problems, ...named, ...resolution.problems],
    resolved: 'resolved' in resolution ? resolution.resolved : undefined,
    findings: undefined,
    whyNotCompared: 'a plan of a folder connects to nothing.',
    steps: ['give the request an id and begin its log'],
    waits: [],
    later: ['validate', 'sign-off', 'stage-transfer', 'disclosure', 'close', 'publish'],
    planDigest: undefined,
    barred: new Map(),
  }
  return show([preview], snapshot, args, io)
}

/** What of either layout is there. */
async function pathsOf(folder: string, shown: string, files: ReadonlyMap<string, Uint8Array>): Promise<string[]> {
  const names = [...files.keys()]
  for (const name of olderFiles) if (await stat(join(folder, name)).catch(() => undefined)) names.push(name)
  return names.map(name => (shown === '' ? name : `${shown}/${name}`))
}

async function readManifestFiles(folder: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      throw new CratewrightError('UsageInvalid', `the folder ${folder} cannot be read (${error.code})`)
    },
  )
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile() && /\.ya?ml$/.test(entry.name)) files.set(relative(folder, path), await readFile(path))
  }
  return files
}

async function planBranch(args: Arguments, io: Io): Promise<number> {
  const session = await openSession(args, io, { quiet: true })
  const { signal } = io
  const folder = await mkdtemp(join(tmpdir(), 'cratewright-plan-'))
  try {
    const platform = await openPlatform({ ...session, bootstrap: { ...session.bootstrap, folder } }, signal)
    if (platform.problem) io.err(`platform: ${platform.problem.message} [${platform.problem.code}]`)
    for (const { where, message } of [...platform.snapshot.problems].flatMap(([, found]) => found))
      io.err(`platform: ${where ? `${showWhere(where)}: ` : ''}${message}`)
    const plans: BranchPlan[] = []
    for (const resource of platform.snapshot.list<RepositorySpec>(repositoryType)) {
      const plan = await planRepository(resource, platform, session, args, signal)
      if (plan) plans.push(plan)
    }
    const [project] = args.positionals
    const previews = plans.flatMap(plan => plan.previews)
    if (plans.length === 0) {
      const ref = fullRef(args.string('ref')) ?? 'that is watched'
      throw new CratewrightError('GitRefMissing', `no repository with requests has the branch ${ref}`)
    }
    if (project !== undefined && previews.length === 0)
      throw new CratewrightError('DocumentMissing', `there is no request ${project} on that branch`, {
        todo: 'Check the name, and that it is pushed.',
      })
    const problems = plans.flatMap(plan => plan.problems)
    for (const { where, message, todo } of problems)
      io.err(`${where ? `${showWhere(where)}: ` : ''}${message}\n  ${todo}`)
    const code = show(previews, platform.snapshot, args, io)
    return problems.some(({ severity }) => severity === 'error') ? exit.invalid : code
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface BranchPlan {
  readonly previews: readonly Preview[]
  /** Of the branch, and of no request: those that it adds to the watched one. */
  readonly problems: readonly Problem[]
}

/** Undefined: the repository has no requests, or not this branch. */
async function planRepository(
  resource: Resource<RepositorySpec>,
  platform: PlatformView,
  session: Session,
  args: Arguments,
  signal: AbortSignal,
): Promise<BranchPlan | undefined> {
  const { name, spec } = resource
  if (!spec.requests) return undefined
  const [project] = args.positionals
  const repository = platform.repositoryOf(resource)
  const watched = spec.ref ?? 'refs/heads/main'
  const ref = fullRef(args.string('ref')) ?? watched
  const tip = await tipOf(repository, ref, signal)
  if (tip === undefined) return undefined
  const read = await new RequestReader(repository, name, spec.requests).read(tip, signal)
  const before = ref === watched ? undefined : await readAt(repository, watched, name, spec.requests, signal)
  const trees = new Map(before?.resources.map(known => [known.name, (known.spec as RequestSpec).tree]))
  const known = new Set(before?.problems.map(({ message, where }) => `${where?.file} ${message}`))
  platform.store.replace(name, tip, read)
  const records = platform.recordsOf(resource)
  const recordsTip = await records.tip(signal)
  const persons = platform.snapshot
    .list<PersonSpec>(personType)
    .map(person => ({ name: person.name, spec: person.spec }))
  const [signature] = await repository.signatures([tip], signal)
  const author = signature?.state === 'good' ? personOfKey(signature.key, persons) : undefined
  const previews: Preview[] = []
  for (const request of read.resources as unknown as Resource<RequestSpec>[]) {
    if (project !== undefined ? request.name !== project : trees.get(request.name) === request.spec.tree) continue
    const { history } = await readProject(records, recordsTip, request.name, signal)
    previews.push(
      await previewOf(
        { ...request, generation: 0, missing: false, key: '' },
        { platform, session, repository, history, connect: author !== undefined, signal },
      ),
    )
  }
  const stays = new Set(read.resources.map(request => request.name))
  const removed = [...trees.keys()]
    .filter(request => !stays.has(request) && (project ?? request) === request)
    .map(request =>
      problem('DocumentMissing', `${request} would be Missing: its folder is removed`, {
        severity: 'warning',
        where: { file: request },
        todo: 'Work on it would stop; nothing that was released is withdrawn by it.',
      }),
    )
  const fresh = read.problems.filter(({ message, where }) => !known.has(`${where?.file} ${message}`))
  return { previews, problems: [...fresh, ...removed] }
}

interface PreviewRoom {
  readonly platform: PlatformView
  readonly session: Session
  readonly repository: GitRepository
  readonly history: Context['history']
  /** False where nobody knows who made the tip: nothing of theirs makes us connect anywhere. */
  readonly connect: boolean
  readonly signal: AbortSignal
}

async function previewOf(request: Resource<RequestSpec>, room: PreviewRoom): Promise<Preview> {
  const { platform, session, repository, history, connect, signal } = room
  const snapshot = platform.store.snapshot()
  const context: Context = {
    key: request.key,
    snapshot,
    history,
    connect,
    asked: false,
    instance: 'plan',
    clock: systemClock,
    signal,
    log: session.log,
    refresh: async () => snapshot,
    historyOf: async other => {
      const held = platform.snapshot.get<RepositorySpec>(repositoryType, other.namespace)
      const records = held && platform.recordsOf(held)
      const tip = await records?.tip(signal)
      return records ? (await readProject(records, tip, other.name, signal)).history : emptyHistory
    },
    tasks: { run: () => ({ state: 'running', progress: { message: 'a plan runs no tasks' } }) },
  }
  const observed = await observeRequest(
    request,
    context,
    repository,
    session.bootstrap.controller.tre ?? { name: 'TRE' },
  )
  const plan = planRequest(request, observed)
  const suspension = suspensionOf(request, snapshot)
  const { resolved, documents } = observed
  const findings = connect && resolved && documents ? await compare(room, observed, signal) : undefined
  return {
    project: request.name,
    documents,
    problems: [...request.problems, ...observed.resolveProblems],
    resolved,
    findings,
    whyNotCompared: connect
      ? 'the request has errors.'
      : 'the newest commit is not signed by a person whom the platform knows.',
    steps: plan.steps.map(({ summary }) => summary),
    waits: [...(suspension ? [suspension.message] : []), ...plan.waits.map(({ message }) => message)],
    later: plan.later,
    barred:
      observed.authors && documents ? barredFrom(documents.governance, observed.authors, observed.persons) : new Map(),
    planDigest: digestOf(plan.steps),
  }
}

async function compare(
  { platform, session }: PreviewRoom,
  observed: Awaited<ReturnType<typeof observeRequest>>,
  signal: AbortSignal,
): Promise<readonly Problem[] | undefined> {
  const { resolved, documents } = observed
  if (!resolved || !documents) return undefined
  try {
    const target = await targetOf(resolved.connection, resolved.database, platform.secrets, session.bootstrap)
    return (await openPostgres(target).describe(requestedTables(documents.ingress), signal)).findings
  } catch (error) {
    const { code, message, todo } = asCratewrightError(error)
    return [problem(code, message, { todo })]
  }
}

async function tipOf(repository: GitRepository, ref: string, signal: AbortSignal): Promise<Oid | undefined> {
  const tip = await repository.resolve(ref, signal)
  if (tip !== undefined) await repository.fetch(ref, tip, signal)
  return tip
}

async function readAt(
  repository: GitRepository,
  ref: string,
  name: string,
  pattern: string,
  signal: AbortSignal,
): Promise<ReadResult | undefined> {
  const tip = await tipOf(repository, ref, signal)
  return tip === undefined ? undefined : new RequestReader(repository, name, pattern).read(tip, signal)
}

function fullRef(ref: string | undefined): string | undefined {
  return ref === undefined || ref.startsWith('refs/') ? ref : `refs/heads/${ref}`
}

function show(previews: readonly Preview[], snapshot: Snapshot, args: Arguments, io: Io): number {
  if (args.flag('json')) {
    io.out(
      JSON.stringify(
        previews.map(({ documents, resolved, ...rest }) => ({
          ...rest,
          digest: documents?.digest,
          connection: resolved?.connection.name,
        })),
        null,
        2,
      ),
    )
  } else if (previews.length === 0) io.out('No request is changed by this.')
  else for (const preview of previews) io.out(`${previewLines(preview, snapshot).join('\n')}\n`)
  const errors = previews
    .flatMap(({ problems, findings }) => [...problems, ...(findings ?? [])])
    .filter(({ severity }) => severity === 'error')
  if (errors.length === 0 && previews.every(({ documents }) => documents)) return exit.ok
  // A source that is down says nothing about the request.
  return errors.length > 0 && errors.every(({ code }) => catalogue[code].retryable) ? exit.failed : exit.invalid
}
