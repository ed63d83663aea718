/** An admin's clone of the platform repository: its manifests as committed, and a signed commit of a change to them. */

import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PersonSpec } from '../../schemas/generated/types.ts'
import type { ReadResult } from '../engine/kind.ts'
import { runGit } from '../git/work-tree.ts'
import { readManifests } from '../kinds/platform/reader.ts'
import { personType } from '../kinds/types.ts'
import { CratewrightError } from '../runtime/errors.ts'
import type { Signer } from '../runtime/signer.ts'
import { parsePublicKey } from '../runtime/ssh-key.ts'
import { type Clone, openClone } from './clone.ts'
import type { Arguments, Io, Option } from './command.ts'
import { commitFiles, type OwnFile, push } from './commit-files.ts'
import { openSigner } from './signer.ts'

export const platformCloneOptions = {
  clone: { type: 'string', value: '<path>', help: 'your clone of the platform repository (default: this folder)' },
  key: { type: 'string', value: '<path>', help: 'your private SSH key, which cratewright.yaml lists' },
  push: { type: 'boolean', help: 'push the commit to origin' },
} as const satisfies Record<string, Option>

export interface PlatformClone {
  /** The texts of the YAML files by path. */
  readonly files: ReadonlyMap<string, string>
  /** The name of the Person whose key it is; undefined where the platform knows none. */
  readonly person: string | undefined
  /** Commits the changed files, signed; an undefined text removes its file. */
  commit(changed: ReadonlyMap<string, string | undefined>, message: string): Promise<string>
  close(): Promise<void>
}

/** @throws UsageInvalid where there is no such clone, or it is not as it was committed last */
export async function openPlatformClone(args: Arguments, io: Io): Promise<PlatformClone> {
  const { signal } = io
  const keyPath = args.string('key')
  if (keyPath === undefined) throw new CratewrightError('UsageInvalid', 'name your key with --key')
  const key = await openSigner(keyPath, io)
  const clone = await openClone(args.string('clone') ?? '.', signal)
  try {
    await refuseBehind(clone, signal)
    const files = await manifestFiles(clone, signal)
    const before = read(files)
    if (before.resources.length === 0) {
      throw new CratewrightError('UsageInvalid', `${clone.folder} holds no manifest`, {
        todo: 'Name a clone of the platform repository with --clone.',
      })
    }
    const person = personOf(key, before)
    return {
      files,
      person,
      commit: async (changed, message) => {
        await refuseChanged(clone, [...changed.keys()], signal)
        refuseErrors(before, read(withChanges(files, changed)))
        const own: OwnFile[] = [...changed].map(([path, text]) => ({
          path,
          content: text === undefined ? undefined : Buffer.from(text),
        }))
        const commit = await commitFiles(clone, own, message, person ?? 'admin', key, signal)
        if (args.flag('push')) await push(clone, signal)
        return commit
      },
      close: () => clone.close(),
    }
  } catch (error) {
    await clone.close()
    throw error
  }
}

function read(files: ReadonlyMap<string, string>): ReadResult {
  const bytes = new Map([...files].map(([path, text]) => [path, Buffer.from(text)]))
  return readManifests(bytes, { repository: 'platform', commit: '0'.repeat(40) })
}

async function manifestFiles(clone: Clone, signal: AbortSignal): Promise<Map<string, string>> {
  const { stdout } = await runGit(clone.folder, ['ls-files', '-z', '--', '*.yaml', '*.yml'], { signal })
  const files = new Map<string, string>()
  for (const path of stdout.toString().split('\0').filter(Boolean)) {
    const file = join(clone.folder, path)
    const found = await lstat(file).catch(() => undefined)
    if (found?.isFile()) files.set(path, await readFile(file, 'utf8'))
  }
  return files
}

function withChanges(
  files: ReadonlyMap<string, string>,
  changed: ReadonlyMap<string, string | undefined>,
): Map<string, string> {
  const after = new Map(files)
  for (const [path, text] of changed) {
    if (text === undefined) after.delete(path)
    else after.set(path, text)
  }
  return after
}

function personOf(key: Signer, { resources }: ReadResult): string | undefined {
  const { fingerprint } = key.public
  return resources
    .filter(({ type }) => type.kind === personType.kind)
    .find(({ spec }) => (spec as PersonSpec).keys?.some(line => parsePublicKey(line).fingerprint === fingerprint))?.name
}

/** What others pushed since would make the push fail after the commit was made. */
async function refuseBehind(clone: Clone, signal: AbortSignal): Promise<void> {
  // A clone that cannot fetch still changes what it has.
  await runGit(clone.folder, ['fetch', '--quiet', 'origin'], { signal, asPerson: true }).catch(() => undefined)
  const { code, stdout } = await runGit(clone.folder, ['rev-list', '--count', 'HEAD..@{upstream}'], { signal })
  if (code !== 0 || stdout.toString().trim() === '0') return
  throw new CratewrightError('UsageInvalid', `${clone.folder} is behind its origin`, {
    todo: 'Run `git pull` there first.',
  })
}

async function refuseChanged(clone: Clone, paths: readonly string[], signal: AbortSignal): Promise<void> {
  const { stdout } = await runGit(clone.folder, ['status', '--porcelain', '-z', '--', ...paths], { signal })
  const [first] = stdout.toString().split('\0').filter(Boolean)
  if (first === undefined) return
  throw new CratewrightError('UsageInvalid', `${first.slice(3)} has changes that are not committed`, {
    todo: 'Commit them or take them back first.',
  })
}

function refuseErrors(before: ReadResult, after: ReadResult): void {
  const known = new Set(before.problems.map(({ message }) => message))
  const fresh = after.problems.find(({ severity, message }) => severity === 'error' && !known.has(message))
  if (fresh) throw new CratewrightError(fresh.code, fresh.message, { ...(fresh.where ? { where: fresh.where } : {}) })
}
