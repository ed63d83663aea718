/** Reads what judging a records branch needs from Git, in few and bounded calls. */

import type { GitRepository, Oid } from '../git/repository.ts'
import type { LineCommit, LineRoom } from './line.ts'
import { maxEntryBytes } from './log.ts'

/** What lies below these is never changed again. */
export const logGlobs = ['log/*', 'projects/*/log/*'] as const

/** Commits whose signatures and trees are asked for at once. */
const chunk = 1_000

/** Commits reachable from `tip` and not from `since`, parents before children. */
export async function readLine(
  repository: GitRepository,
  { tip, since }: { readonly tip: Oid; readonly since: Oid | undefined },
  signal: AbortSignal,
): Promise<LineCommit[]> {
  const query = { tip, ...(since === undefined ? {} : { since }) }
  const commits = [...(await repository.history(query, signal))].reverse()
  const altered = await repository.touched({ ...query, globs: logGlobs, how: 'altered' }, signal)
  const read: LineCommit[] = []
  for (let at = 0; at < commits.length; at += chunk) {
    const some = commits.slice(at, at + chunk)
    const signatures = await repository.signatures(
      some.map(({ oid }) => oid),
      signal,
    )
    const logs = await repository.ids(
      some.map(({ oid }) => ({ commit: oid, path: 'log' })),
      signal,
    )
    for (const [index, { oid, parents }] of some.entries()) {
      const signature = signatures[index] ?? { state: 'none' }
      read.push({ oid, parents, signature, log: logs[index], altered: altered.get(oid) ?? [] })
    }
  }
  return read
}

export function lineRoom(repository: GitRepository, signal: AbortSignal): LineRoom {
  return {
    logAt: commit => branchLogAt(repository, commit, signal),
    changed: (from, to) => repository.changed(from, to, signal),
  }
}

/** The files of the branch's own log at a commit, by name. */
export async function branchLogAt(
  repository: GitRepository,
  commit: Oid,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const entries = await repository.list(commit, 'log', signal)
  const files = entries.filter(({ mode }) => mode === '100644')
  const blobs = await repository.read(
    files.map(({ oid }) => oid),
    maxEntryBytes,
    signal,
  )
  // Anything that is no regular file is a file without content, which no log has.
  return new Map(entries.map(({ path, oid }) => [path.slice('log/'.length), blobs.get(oid) ?? new Uint8Array()]))
}
