/** A server folder with one repository, a clone that a researcher works in, and the repository as the controller opens it. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openRepository, type RepositoryOptions } from '../../controller/git/cli-repository.ts'
import type { CommitSigner, GitRepository } from '../../controller/git/repository.ts'
import { parsePrivateKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { createBareRepository, git, makeSigningKey } from '../support/git-server.ts'
import { tempFolder } from '../support/temp.ts'

export const main = 'refs/heads/main'
export const identity = { name: 'Cratewright', email: 'cratewright@tre.example' }
export const never = new AbortController().signal

export interface World {
  readonly root: string
  readonly bare: string
  readonly clone: string
  readonly fileUrl: string
}

export async function makeWorld(
  options: { readonly filter?: boolean; readonly format?: 'sha1' | 'sha256' } = {},
): Promise<World> {
  const root = tempFolder()
  const bare = join(root, 'projects.git')
  await createBareRepository(bare, options)
  const clone = join(root, 'clone')
  mkdirSync(clone)
  await git(clone, 'init', '--quiet', '--initial-branch=main', `--object-format=${options.format ?? 'sha1'}`)
  await git(clone, 'remote', 'add', 'origin', bare)
  return { root, bare, clone, fileUrl: `file://${bare}` }
}

/** Commits files (undefined removes one) in the clone, pushes them to main, and returns the commit. */
export async function pushFiles(
  { clone }: World,
  files: Readonly<Record<string, string | undefined>>,
  { message = 'Change files', options = [] as readonly string[], push = true } = {},
): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    if (content === undefined) await git(clone, 'rm', '--quiet', path)
    else {
      mkdirSync(dirname(join(clone, path)), { recursive: true })
      writeFileSync(join(clone, path), content)
    }
  }
  await git(clone, 'add', '--all')
  await git(clone, ...options, 'commit', '--quiet', '--allow-empty', '-m', message)
  if (push) await git(clone, 'push', '--quiet', 'origin', 'HEAD:main')
  return await git(clone, 'rev-parse', 'HEAD')
}

export function open(url: string, options: Partial<RepositoryOptions> = {}): GitRepository {
  return openRepository({
    url,
    mirrorFolder: tempFolder(),
    transports: ['file', 'http'],
    deadline: 30_000,
    ...options,
  })
}

export const controllerKey = makeSigningKey()

export const sign: CommitSigner = (() => {
  const key = parsePrivateKey(controllerKey.private)
  return payload => signSsh(key, 'git', payload)
})()

export function text(content: string): Uint8Array {
  return new TextEncoder().encode(content)
}
