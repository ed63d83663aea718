/** A person's own clone: the only place where the command line uses a working tree, because it is theirs. */

import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { openRepository } from '../git/cli-repository.ts'
import type { GitRepository, Oid } from '../git/repository.ts'
import { runGit } from '../git/work-tree.ts'
import { CratewrightError } from '../runtime/errors.ts'

export interface Clone {
  readonly folder: string
  /** The clone's own objects, read without a checkout. */
  readonly repository: GitRepository
  /** A ref as the clone knows it: its own branch, or the one last fetched from `origin`; the one that is ahead. */
  branch(name: string, signal: AbortSignal): Promise<{ ref: string; oid: Oid } | undefined>
  close(): Promise<void>
}

export async function openClone(path: string, signal: AbortSignal): Promise<Clone> {
  const named = resolve(path)
  const found = await runGit(named, ['rev-parse', '--absolute-git-dir'], { signal }).catch(() => undefined)
  if (found?.code !== 0) {
    throw new CratewrightError('UsageInvalid', `${named} is not a Git repository`, {
      todo: 'Name a clone of the projects repository.',
    })
  }
  // Paths are those of the repository, also for someone who stands in a folder of it. A bare one has no working tree.
  const top = await runGit(named, ['rev-parse', '--show-toplevel'], { signal })
  const folder = top.code === 0 ? top.stdout.toString().replace(/\n$/, '') : named
  const gitDir = found.stdout.toString().trim()
  await access(join(gitDir, 'objects'))
  const mirrorFolder = await mkdtemp(join(tmpdir(), 'cratewright-'))
  const repository = openRepository({
    url: pathToFileURL(gitDir).href,
    mirrorFolder,
    transports: ['file'],
    deadline: 10 * 60_000,
  })
  return {
    folder,
    repository,
    branch: async (name, at) => {
      const local = await oidOf(folder, `refs/heads/${name}`, at)
      const remote = await oidOf(folder, `refs/remotes/origin/${name}`, at)
      if (local === undefined || remote === undefined) {
        const oid = local ?? remote
        return oid === undefined
          ? undefined
          : { ref: local === undefined ? `refs/remotes/origin/${name}` : `refs/heads/${name}`, oid }
      }
      const behind = await runGit(folder, ['merge-base', '--is-ancestor', local, remote], { signal: at })
      return behind.code === 0
        ? { ref: `refs/remotes/origin/${name}`, oid: remote }
        : { ref: `refs/heads/${name}`, oid: local }
    },
    close: () => rm(mirrorFolder, { recursive: true, force: true }),
  }
}

async function oidOf(folder: string, ref: string, signal: AbortSignal): Promise<Oid | undefined> {
  const { code, stdout } = await runGit(folder, ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`], { signal })
  return code === 0 ? stdout.toString().trim() : undefined
}

/** Brings a ref of the clone's own to where it is read; undefined where there is none. */
export async function fetchRef(clone: Clone, name: string, signal: AbortSignal): Promise<Oid | undefined> {
  const { code, stdout } = await runGit(clone.folder, ['rev-parse', '--verify', '--quiet', `${name}^{commit}`], {
    signal,
  })
  if (code !== 0) return undefined
  const oid = stdout.toString().trim()
  await clone.repository.fetch(name, oid, signal)
  return oid
}
