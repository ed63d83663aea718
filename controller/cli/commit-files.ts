/** Commits made for a person in their own clone: exactly the files named, signed with their key, whatever else lies there. */

import { lstat, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { commitPayload, withSignature } from '../git/commit-object.ts'
import { runGit } from '../git/work-tree.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { writeFileWhole } from '../runtime/files.ts'
import type { Signer } from '../runtime/signer.ts'
import type { Clone } from './clone.ts'

export interface OwnFile {
  readonly path: string
  /** Undefined: the file is removed. */
  readonly content: Uint8Array | undefined
}

/** Commits exactly these files on the current branch, signed with the approver's key, whatever else lies in the clone. */
export async function commitFiles(
  clone: Clone,
  files: readonly OwnFile[],
  message: string,
  person: string,
  signer: Signer,
  signal: AbortSignal,
): Promise<string> {
  const branch = await currentBranch(clone, signal)
  for (const { path } of files) await refuseLinks(clone.folder, path)
  const indexFolder = await mkdtemp(join(tmpdir(), 'cratewright-index-'))
  const indexFile = join(indexFolder, 'index')
  const git = async (args: readonly string[], options: { input?: Uint8Array; indexFile?: string } = {}) => {
    const { code, stdout, stderr } = await runGit(clone.folder, args, { signal, ...options })
    if (code !== 0) throw new CratewrightError('GitFailed', `git ${args[0]} failed: ${stderr.split('\n')[0] ?? ''}`)
    return stdout.toString().trim()
  }
  try {
    const parent = await git(['rev-parse', 'HEAD'])
    await git(['read-tree', parent], { indexFile })
    for (const { path, content } of files) {
      if (content === undefined) {
        await git(['update-index', '--force-remove', '--', path], { indexFile })
        continue
      }
      const blob = await git(['hash-object', '-w', '--stdin'], { input: content })
      await git(['update-index', '--add', '--cacheinfo', `100644,${blob},${path}`], { indexFile })
    }
    const tree = await git(['write-tree'], { indexFile })
    // The same decision again, after a push that failed: it is committed already.
    if (tree === (await git(['rev-parse', `${parent}^{tree}`]))) {
      await place(clone.folder, files)
      return parent
    }
    const who = await identityOf(clone, person, signal)
    const payload = commitPayload({ tree, parent, message, time: new Date(), identity: who })
    const bytes = withSignature(payload, await signer.sign('git', payload))
    const commit = await git(['hash-object', '-t', 'commit', '-w', '--stdin'], { input: bytes })
    // Only now: whoever does not sign, or takes too long, leaves the clone as it was.
    await place(clone.folder, files)
    await git(['update-ref', branch, commit, parent])
    // The person's own index learns of the new files; what else they have staged stays as it is.
    await git(['update-index', '--add', '--remove', '--', ...files.map(({ path }) => path)])
    return commit
  } finally {
    await rm(indexFolder, { recursive: true, force: true })
  }
}

async function place(folder: string, files: readonly OwnFile[]): Promise<void> {
  for (const { path, content } of files) {
    const file = join(folder, path)
    if (content === undefined) {
      await rm(file, { force: true })
      continue
    }
    await mkdir(dirname(file), { recursive: true })
    await writeFileWhole(file, content)
  }
}

/** @throws UsageInvalid where a commit would belong to no branch, or has no files to lie beside */
async function currentBranch(clone: Clone, signal: AbortSignal): Promise<string> {
  const value = async (...args: string[]) => (await runGit(clone.folder, args, { signal })).stdout.toString().trim()
  if ((await value('rev-parse', '--is-inside-work-tree')) !== 'true')
    throw new CratewrightError('UsageInvalid', `${clone.folder} has no working tree`, {
      todo: 'Name a clone that is not bare.',
    })
  const branch = await value('symbolic-ref', '--quiet', 'HEAD')
  if (branch !== '') return branch
  throw new CratewrightError('UsageInvalid', `${clone.folder} is not on a branch`, {
    todo: 'Check out the branch that the statement is to be pushed to.',
  })
}

/** What others committed could lead out of the clone. @throws UnsafePath */
async function refuseLinks(folder: string, path: string): Promise<void> {
  const segments = path.split('/')
  for (let depth = 1; depth <= segments.length; depth++) {
    const part = segments.slice(0, depth).join('/')
    const found = await lstat(join(folder, part)).catch(() => undefined)
    if (found?.isSymbolicLink())
      throw new CratewrightError('UnsafePath', `${part} is a symbolic link; links are never followed`)
  }
}

async function identityOf(clone: Clone, person: string, signal: AbortSignal) {
  const value = async (name: string) =>
    (await runGit(clone.folder, ['config', name], { signal, asPerson: true })).stdout.toString().trim()
  return {
    name: (await value('user.name')) || person,
    email: (await value('user.email')) || `${person}@cratewright.invalid`,
  }
}

export async function push(clone: Clone, signal: AbortSignal): Promise<void> {
  const { code, stderr } = await runGit(clone.folder, ['push', '--quiet', 'origin', 'HEAD'], { signal, asPerson: true })
  if (code === 0) return
  throw new CratewrightError('GitDenied', `the push was refused: ${stderr.trim().split('\n').at(-1) ?? ''}`)
}
