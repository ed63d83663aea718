/** `cratewright keys show`: the controller's key, and what each Repository's records say of keys. */

import type { RepositorySpec } from '../../schemas/generated/types.ts'
import type { Resource } from '../engine/kind.ts'
import { repositoryType } from '../kinds/types.ts'
import { rotatedKey } from '../records/branch-log.ts'
import { rootCommit } from '../records/identity.ts'
import { asCratewrightError } from '../runtime/errors.ts'
import { formatPublicKey } from '../runtime/ssh-key.ts'
import { signSsh } from '../runtime/sshsig.ts'
import { type Arguments, exit, type Io } from './command.ts'
import { openPlatform, type PlatformView } from './platform.ts'
import { declaredSigners, readKey } from './rooms.ts'
import { openSession } from './session.ts'

interface Shown {
  readonly name: string
  readonly declared: readonly { readonly fingerprint: string; readonly from?: string; readonly until?: string }[]
  readonly root?: string
  readonly tip?: string
  /** Who may sign the next commit. */
  readonly signers: readonly string[]
  readonly rotations: readonly { readonly time: string; readonly from: string; readonly to: string }[]
  readonly problem?: { readonly code: string; readonly message: string; readonly todo: string }
}

export async function showKeys(args: Arguments, io: Io): Promise<number> {
  const session = await openSession(args, io, { quiet: true })
  const key = await readKey(session.bootstrap.controller.key)
  const platform = await openPlatform(session, io.signal)
  const own = {
    key: formatPublicKey(key.public).trim(),
    fingerprint: key.public.fingerprint,
    root: rootCommit(payload => signSsh(key, 'git', payload)),
  }
  const repositories: Shown[] = []
  for (const resource of platform.snapshot.list<RepositorySpec>(repositoryType))
    repositories.push(await shown(resource, platform, io.signal))
  if (args.flag('json')) io.out(JSON.stringify({ ...own, repositories }, null, 2))
  else {
    io.out(`key          ${own.key}`)
    io.out(`fingerprint  ${own.fingerprint}`)
    io.out(`root         ${own.root}`)
    for (const repository of repositories) for (const line of linesOf(repository)) io.out(line)
  }
  return repositories.some(({ problem }) => problem) ? exit.failed : exit.ok
}

async function shown(resource: Resource<RepositorySpec>, platform: PlatformView, signal: AbortSignal): Promise<Shown> {
  const { name, spec } = resource
  const declared = declaredSigners(spec).map(({ key, ...range }) => ({ fingerprint: key.fingerprint, ...range }))
  const root = spec.records?.root
  const base = { name, declared, ...(root ? { root } : {}) }
  try {
    const branch = platform.recordsOf(resource)
    const tip = await branch.tip(signal)
    const rotations = branch.entries.flatMap(entry => {
      const to = rotatedKey(entry).key?.fingerprint
      return entry.rotate && to ? [{ time: entry.time, from: entry.rotate.old, to }] : []
    })
    return { ...base, ...(tip ? { tip } : {}), signers: branch.signers.map(key => key.fingerprint), rotations }
  } catch (error) {
    const { code, message, todo } = asCratewrightError(error)
    return { ...base, signers: [], rotations: [], problem: { code, message, todo } }
  }
}

function linesOf({ name, declared, root, tip, signers, rotations, problem }: Shown): string[] {
  return [
    `Repository ${name}: ${tip ? `records at ${tip}` : problem ? 'records cannot be read' : 'no records yet'}`,
    ...(root ? [`  declared root    ${root}`] : []),
    ...declared.map(
      ({ fingerprint, from, until }) =>
        `  declared signer  ${fingerprint}${from ? ` from ${from}` : ''}${until ? ` until ${until}` : ''}`,
    ),
    ...(declared.length === 0 ? ['  declared signer  none: the controller’s own key decides'] : []),
    ...rotations.map(({ time, from, to }) => `  rotated          ${from} to ${to} at ${time}`),
    ...signers.map(fingerprint => `  signs now        ${fingerprint}`),
    ...(problem ? [`  ${problem.message} [${problem.code}]`, `  ${problem.todo}`] : []),
  ]
}
