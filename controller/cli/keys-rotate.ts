/**
 * `cratewright keys rotate`: notes on every records branch, with the old key's signature, that another key signs from now on.
 * Killed in between, it is run again: what is noted already is left as it is.
 */

import { constants } from 'node:fs'
import { copyFile, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { RepositorySpec } from '../../schemas/generated/types.ts'
import type { Resource } from '../engine/kind.ts'
import { repositoryType } from '../kinds/types.ts'
import { RecordsBranch } from '../records/branch.ts'
import { rotatedKey, rotationTo } from '../records/branch-log.ts'
import { noRecordsMemory } from '../records/memory.ts'
import { systemClock } from '../runtime/clock.ts'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import { removeLeftovers, writeFileWhole } from '../runtime/files.ts'
import { formatPublicKey, type SshPrivateKey } from '../runtime/ssh-key.ts'
import { signSsh } from '../runtime/sshsig.ts'
import { type Arguments, exit, type Io } from './command.ts'
import { holdFolder } from './hold.ts'
import { openPlatform, type PlatformView } from './platform.ts'
import { instanceOf, readKey, recordsTrust } from './rooms.ts'
import { openSession, type Session } from './session.ts'
import { recordsMemory, usableStores } from './tips.ts'

type Result = 'rotated' | 'rotated before' | 'no records yet'

export async function rotateKeys(args: Arguments, io: Io): Promise<number> {
  const path = args.string('new')
  if (path === undefined) throw new CratewrightError('UsageInvalid', 'name the new key with --new')
  const session = await openSession(args, io, { quiet: true })
  const { bootstrap } = session
  const old = await readKey(bootstrap.controller.key)
  const next = await readKey(path)
  if (old.public.fingerprint === next.public.fingerprint)
    throw new CratewrightError('UsageInvalid', `${path} holds the key that the controller has already`)
  const hold = await holdFolder(bootstrap.folder)
  try {
    const platform = await openPlatform(session, io.signal)
    if (platform.problem) throw platform.problem
    const instance = await instanceOf(bootstrap.folder)
    const results: { name: string; result: Result }[] = []
    for (const resource of platform.snapshot.list<RepositorySpec>(repositoryType)) {
      const result = await rotateOne(resource, { session, platform, old, next, instance, signal: io.signal })
      results.push({ name: resource.name, result })
      if (!args.flag('json')) io.out(`Repository ${resource.name}: ${result}`)
    }
    const kept = args.flag('in-place') ? await swap(bootstrap.controller.key, path, next) : undefined
    if (args.flag('json'))
      io.out(JSON.stringify({ old: old.public.fingerprint, new: next.public.fingerprint, results, kept }, null, 2))
    else for (const line of adviceOf(results, path, kept)) io.out(line)
    return exit.ok
  } finally {
    await hold.release()
  }
}

interface RotateRoom {
  readonly session: Session
  readonly platform: PlatformView
  readonly old: SshPrivateKey
  readonly next: SshPrivateKey
  readonly instance: string
  readonly signal: AbortSignal
}

async function rotateOne(resource: Resource<RepositorySpec>, room: RotateRoom): Promise<Result> {
  const { session, platform, old, next, instance, signal } = room
  const { bootstrap, log } = session
  const { repository, ref } = platform.recordsOf(resource)
  const isDone = (branch: RecordsBranch) =>
    branch.entries.some(
      entry =>
        entry.rotate?.old === old.public.fingerprint && rotatedKey(entry).key?.fingerprint === next.public.fingerprint,
    )
  const after = new RecordsBranch(repository, ref, recordsTrust(resource.spec, next.public), noRecordsMemory)
  // Where no signer is declared, a branch that was not rotated yet is none that the new key may trust.
  const tip = await after.tip(signal).catch(error => {
    if (asCratewrightError(error).code !== 'RecordForged') throw error
    return undefined
  })
  if (tip !== undefined && isDone(after)) return 'rotated before'
  const branch = new RecordsBranch(
    repository,
    ref,
    recordsTrust(resource.spec, old.public),
    recordsMemory({
      folder: bootstrap.folder,
      repository: resource.name,
      stores: () => usableStores(platform.store),
      log,
    }),
    {
      sign: payload => signSsh(old, 'git', payload),
      instance,
      actor: {
        type: 'controller',
        name: bootstrap.controller.name ?? 'cratewright',
        key: old.public.fingerprint,
      },
      clock: systemClock,
      platform: () => platform.snapshot.commits.get('platform'),
    },
  )
  const noted = await branch.note(
    ({ head }) => ({ action: 'rotate', rotate: rotationTo(next, old.public, head ?? '') }),
    signal,
  )
  return noted === undefined ? 'no records yet' : 'rotated'
}

/** The new key's file takes the place of the old one, which is kept. Where it is kept. */
async function swap(path: string, from: string, next: SshPrivateKey): Promise<string> {
  // A swap that was killed may have left a copy of a key under a name that nobody looks for.
  await removeLeftovers(dirname(path))
  const kept = `${path}.retired-${systemClock.now().toISOString().slice(0, 10)}`
  await keep(path, kept)
  await keep(`${path}.pub`, `${kept}.pub`)
  await writeFileWhole(`${path}.pub`, `${formatPublicKey(next.public).trim()}\n`, 0o644)
  // Last, for with it the swap is done: killed before, it begins again with the old key in place.
  await rename(from, path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV') throw cannotSwap(from, error)
    await writeFileWhole(path, await readFile(from), 0o600)
  })
  return kept
}

async function keep(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && from.endsWith('.pub')) return
    // A run that was killed has kept it.
    if (code === 'EEXIST' && (await readFile(to)).equals(await readFile(from))) return
    if (code === 'EEXIST' && from.endsWith('.pub')) return
    throw cannotSwap(to, error as NodeJS.ErrnoException)
  }
}

function cannotSwap(path: string, { code }: NodeJS.ErrnoException): CratewrightError {
  return new CratewrightError('UsageInvalid', `${path} cannot be written (${code}); the records are rotated`, {
    todo: 'Put the new key into place yourself, or name its path as controller.key in cratewright.yaml.',
  })
}

function adviceOf(
  results: readonly { name: string; result: Result }[],
  path: string,
  kept: string | undefined,
): string[] {
  const fresh = results.filter(({ result }) => result === 'no records yet').map(({ name }) => name)
  return [
    kept === undefined
      ? `Now write ${path} as controller.key into cratewright.yaml: the old key signs nothing any more.`
      : `The new key is in place; the old one is kept as ${kept}, and signs nothing any more.`,
    ...(fresh.length > 0
      ? [
          `No records yet: ${fresh.join(', ')}. Where they declare a records.root, it is now the one that \`keys show\` prints.`,
        ]
      : []),
    'Approvers and auditors who pin the fingerprint may go on with the old one: the rotation links the two.',
  ]
}
