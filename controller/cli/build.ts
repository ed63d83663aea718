/** `cratewright build`: makes what follows from the log again, and brings the records branch up to date where it differs. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RepositorySpec } from '../../schemas/generated/types.ts'
import { type History, keyOf, type RecordFile, type Resource } from '../engine/kind.ts'
import type { GitRepository } from '../git/repository.ts'
import { projectRequest } from '../kinds/requests/project.ts'
import { requestType } from '../kinds/requests/reader.ts'
import { contentsOf } from '../kinds/requests/request.ts'
import { repositoryType } from '../kinds/types.ts'
import { folderOf, headOf, readProject } from '../records/recorder.ts'
import { sha256Hex } from '../runtime/canonical.ts'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import { type Command, commonOptions, exit, type Io } from './command.ts'
import { holdFolder } from './hold.ts'
import { openPlatform } from './platform.ts'
import { documentsIn, recordedIn } from './rooms.ts'
import { openSession, type Session } from './session.ts'
import { wire } from './wire.ts'

export const buildCommand: Command = {
  name: 'build',
  summary: 'make statements, crates and bags again from the log, and say what was not as it follows',
  arguments: '[<project>]',
  options: {
    ...commonOptions,
    check: { type: 'boolean', help: 'only compare; exit code 2 where something differs' },
  },
  example: 'scripts/cratewright build --check --config .quickstart/cratewright.yaml',
  async run(args, io) {
    const [project] = args.positionals
    const session = await openSession(args, io, { quiet: true })
    const check = args.flag('check')
    const hold = check ? undefined : await holdFolder(session.bootstrap.folder)
    try {
      const found = await compareAll(session, project, io)
      if (project !== undefined && found.length === 0)
        throw new CratewrightError('DocumentMissing', `no request ${project} has a log`, { todo: 'Check the name.' })
      const differing = found.filter(({ files }) => files.length > 0)
      const broken = found.filter(({ problem }) => problem !== undefined)
      if (!check && differing.length > 0) await rebuild(session, differing, io)
      if (args.flag('json'))
        io.out(JSON.stringify({ checked: found.length, written: !check, differing, broken }, null, 2))
      else report(found, check, io)
      if (broken.length > 0) return exit.invalid
      return check && differing.length > 0 ? exit.invalid : exit.ok
    } finally {
      await hold?.release()
    }
  },
}

interface FileDifference {
  /** On the records branch. */
  readonly path: string
  readonly how: 'missing' | 'changed' | 'does not follow from the log'
}

interface Compared {
  readonly repository: string
  readonly project: string
  readonly files: readonly FileDifference[]
  /** Why the log cannot be read. */
  readonly problem?: string
}

/** Every project that has a log, compared with what follows from it. Writes nothing, and reads the servers, not the working folder. */
async function compareAll(session: Session, project: string | undefined, io: Io): Promise<Compared[]> {
  const { signal } = io
  const folder = await mkdtemp(join(tmpdir(), 'cratewright-build-'))
  try {
    const platform = await openPlatform({ ...session, bootstrap: { ...session.bootstrap, folder } }, signal)
    if (platform.problem) io.err(`platform: ${platform.problem.message} [${platform.problem.code}]`)
    const found: Compared[] = []
    for (const resource of platform.snapshot.list<RepositorySpec>(repositoryType)) {
      const branch = platform.recordsOf(resource)
      const tip = await branch.tip(signal)
      const names = await recordedIn(branch, signal)
      const wanted = names.filter(name => project === undefined || name === project)
      if (wanted.length === 0) continue
      const repository = platform.repositoryOf(resource)
      const watched = resource.spec.ref ?? 'refs/heads/main'
      const head = await repository.resolve(watched, signal)
      if (head !== undefined) await repository.fetch(watched, head, signal)
      for (const name of wanted) {
        const one = { repository: resource.name, project: name }
        try {
          const { history, files } = await readProject(branch, tip, name, signal)
          if (history.entries[0]?.repository !== resource.name) continue
          found.push({ ...one, files: compare(name, await projectionOf(history, repository, signal), files) })
        } catch (error) {
          const { code, message } = asCratewrightError(error)
          if (code !== 'RecordInvalid') throw error
          found.push({ ...one, files: [], problem: message })
        }
      }
    }
    return found
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function projectionOf(history: History, repository: GitRepository, signal: AbortSignal): Promise<RecordFile[]> {
  const documents = new Map<string, ReadonlyMap<string, Uint8Array>>()
  for (const { commit, folder } of contentsOf(history))
    documents.set(commit, await documentsIn(repository, folder, commit, signal))
  return [...projectRequest(history, documents), headOf(history)]
}

function compare(name: string, projected: readonly RecordFile[], present: ReadonlyMap<string, string>) {
  const wanted = new Set(projected.map(({ path }) => path))
  const at = (path: string) => `${folderOf({ name })}/${path}`
  const differing: FileDifference[] = projected
    .filter(({ path, content }) => present.get(path) !== sha256Hex(content))
    .map(({ path }) => ({ path: at(path), how: present.has(path) ? 'changed' : 'missing' }))
  const surplus = [...present.keys()].filter(path => !wanted.has(path))
  return [...differing, ...surplus.map(path => ({ path: at(path), how: 'does not follow from the log' as const }))]
}

/** Through the recorder, as the controller does it: the same files, one signed commit, and only on the tip that was read. */
async function rebuild({ bootstrap, redactor, log }: Session, differing: readonly Compared[], io: Io): Promise<void> {
  const { signal } = io
  // Nothing is reconciled: only what was recorded is written again.
  const options = { log, redactor, signal, resync: 0, pushInterval: 0, only: () => false }
  const wired = await wire(bootstrap, options)
  try {
    await wired.controller.lookNow()
    for (const { repository, project } of differing)
      await wired.recorder.project(resourceOf(repository, project), signal)
  } finally {
    await wired.close()
  }
}

/** As the recorder needs it; the folder of the request may be gone. */
function resourceOf(namespace: string, name: string): Resource {
  return {
    key: keyOf(requestType, name, namespace),
    type: requestType,
    namespace,
    name,
    spec: {},
    generation: 1,
    origin: { repository: namespace, commit: '', where: { file: name } },
    problems: [],
    missing: false,
  }
}

function report(found: readonly Compared[], check: boolean, io: Io): void {
  for (const { project, files, problem } of found) {
    if (problem !== undefined) io.err(`${project}: ${problem} [RecordInvalid]`)
    for (const { path, how } of files) io.out(check ? `${path}: ${how}` : `${path}: made again (${how})`)
  }
  const differing = found.filter(({ files }) => files.length > 0).length
  const requests = found.length === 1 ? '1 request' : `${found.length} requests`
  io.out(
    differing === 0
      ? `What follows from the log is as it has to be: ${requests}.`
      : `${differing} of ${requests} ${check ? 'differ' : 'brought up to date'}.`,
  )
}
