/** What goes into a commit that takes foreign ones back, and what is said where there is none. */

import type { GitRepository, Oid } from '../git/repository.ts'
import { CratewrightError } from '../runtime/errors.ts'
import type { ForeignCommit, Line, LineNode } from './line.ts'

/** What an entry lists of a foreign push; the rest is only counted. */
export const maxListed = 20
const maxListedPaths = 50
/** Blobs that are brought here at once, and bytes of each: those of a release's files, which are small in Git. */
const blobChunk = 200
const maxBlob = 64 * 1024 * 1024

export const rotateAdvice =
  'If the controller has a new key, run `cratewright keys rotate` with the old one first. Otherwise correct `records.signers`.'

/** Blobs of the last good tree, which the pushed pack may have to hold: the mirror has only those that were read. */
export async function bringBlobs(repository: GitRepository, good: Oid, tip: Oid, signal: AbortSignal): Promise<void> {
  const changed = await changedOrMany(repository, good, tip, signal)
  const wanted = changed && new Set(changed)
  const listed = await repository.list(good, '', signal)
  const blobs = listed
    .filter(({ path, mode }) => (wanted?.has(path) ?? true) && mode.startsWith('100'))
    .map(({ oid }) => oid)
  for (let at = 0; at < blobs.length; at += blobChunk)
    await repository.read(blobs.slice(at, at + blobChunk), maxBlob, signal)
}

/** What an entry says of the commits that are taken back. */
export async function described(
  repository: GitRepository,
  good: Oid,
  tip: Oid,
  foreign: readonly ForeignCommit[],
  signal: AbortSignal,
) {
  const paths = await changedOrMany(repository, good, tip, signal)
  return {
    count: foreign.length,
    commits: foreign.slice(-maxListed).map(({ oid, reason }) => ({ commit: oid, reason: plain(reason) })),
    ...(paths ? { pathCount: paths.length } : {}),
    ...(paths?.length ? { paths: paths.slice(0, maxListedPaths).map(plain) } : {}),
  }
}

/** Undefined: too many to list. That must not be a way to keep foreign commits where they are. */
async function changedOrMany(
  repository: GitRepository,
  good: Oid,
  tip: Oid,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  return repository.changed(good, tip, signal).catch(error => {
    if (error instanceof CratewrightError && error.code === 'TreeTooLarge') return undefined
    throw error
  })
}

/** Not even the first commit counts. */
export function noBeginning(ref: string, { foreign }: Line, root: Oid | undefined): CratewrightError {
  const [first] = foreign
  if (root !== undefined && first?.reason === 'is another first commit') {
    return new CratewrightError('RecordsRewritten', `${ref} begins at ${first.oid}, and records.root declares ${root}`)
  }
  return new CratewrightError('RecordForged', `commit ${first?.oid} on ${ref} ${first?.reason}`, {
    todo: rotateAdvice,
  })
}

/** Commits that do not count lie on top, and are not taken back. */
export function forged(
  ref: string,
  { foreign }: Line,
  good: LineNode,
  detail: { todo?: string } = {},
): CratewrightError {
  const first = foreign.find(({ answer }) => answer === undefined)
  return new CratewrightError(
    'RecordForged',
    `commit ${first?.oid} on ${ref} ${first?.reason}; the last commit that counts is ${good.oid}`,
    detail,
  )
}

/** The branch does not have what it had. */
export function rewritten(ref: string, tip: Oid, lost: readonly Oid[], accept: Oid | undefined): CratewrightError {
  const again = accept === tip ? '; records.accept names it, and was used before' : ''
  return new CratewrightError(
    'RecordsRewritten',
    `${ref} is at ${tip}, which does not descend from ${lost[0]}, the commit last known${again}`,
    again
      ? {
          todo: 'Find out what happened. To accept it again, remove `records.accept`, let the controller look, and set it again.',
        }
      : {},
  )
}

/** Names and reasons are whatever a stranger chose: one line, and short. */
function plain(text: string): string {
  return text
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff]/g, '\ufffd')
    .slice(0, 300)
    .toWellFormed()
}
