/** `cratewright suspend | resume | freeze`: an admin's signed commit that halts work, or lets it go on. */

import { stringify } from 'yaml'
import type { RepositorySpec } from '../../schemas/generated/types.ts'
import { suspendAnnotation } from '../engine/suspend.ts'
import { freezeType, repositoryType } from '../kinds/types.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { matchesGlob } from '../runtime/glob.ts'
import { type Arguments, type Command, commonOptions, exit, type Io } from './command.ts'
import { type Manifest, manifestsIn, withEntry, withoutDocument, withoutEntry } from './manifest-edit.ts'
import { openPlatformClone, type PlatformClone, platformCloneOptions } from './platform-clone.ts'

const options = {
  ...platformCloneOptions,
  repository: {
    type: 'string',
    value: '<name>',
    help: 'the Repository of the project (needed where several hold requests)',
  },
  json: commonOptions.json,
} as const

const reason = { type: 'string', value: '<text>', help: 'why; everybody who waits is told' } as const
const ada = '--clone .quickstart/people/ada/platform --key .quickstart/people/ada/key'

export const suspendCommand: Command = {
  name: 'suspend',
  summary: 'halt a request, or a resource of the platform: it is looked at, and nothing new is begun',
  arguments: '<project | Kind/name>',
  options: { ...options, reason },
  example: `scripts/cratewright suspend asthma-outcomes ${ada} --reason "The agreement is looked at again."`,
  run: (args, io) =>
    inClone(args, io, clone => {
      const target = targetOf(args)
      const why = reasonOf(args)
      return target.kind === undefined
        ? suspendProject(clone, target.name, args.string('repository'), why)
        : suspendManifest(clone, target, why)
    }),
}

export const resumeCommand: Command = {
  name: 'resume',
  summary: 'let go on what was suspended; with --all, lift the freeze',
  arguments: '[<project | Kind/name>]',
  options: { ...options, all: { type: 'boolean', help: 'lift the freeze of the platform' } },
  example: `scripts/cratewright resume asthma-outcomes ${ada}`,
  run: (args, io) =>
    inClone(args, io, clone => {
      if (args.flag('all')) {
        if (args.positionals[0] !== undefined)
          throw new CratewrightError('UsageInvalid', 'write either --all or what to resume')
        return thaw(clone)
      }
      const target = targetOf(args)
      return target.kind === undefined
        ? resumeProject(clone, target.name, args.string('repository'))
        : resumeManifest(clone, target)
    }),
}

export const freezeCommand: Command = {
  name: 'freeze',
  summary: 'halt everything: nothing new is begun anywhere until `resume --all`',
  arguments: '',
  options: { ...platformCloneOptions, reason, json: commonOptions.json },
  example: `scripts/cratewright freeze ${ada} --reason "An approver’s key may have been stolen."`,
  run: (args, io) => inClone(args, io, clone => freeze(clone, reasonOf(args))),
}

/** What a command changes; `changed` is empty where it is so already. */
interface Change {
  readonly changed: ReadonlyMap<string, string | undefined>
  /** One sentence for the person, and for the commit. */
  readonly done: string
}

async function inClone(args: Arguments, io: Io, change: (clone: PlatformClone) => Change): Promise<number> {
  const clone = await openPlatformClone(args, io)
  try {
    const { changed, done } = change(clone)
    const commit = changed.size === 0 ? undefined : await clone.commit(changed, done)
    const pushed = commit !== undefined && args.flag('push')
    if (args.flag('json')) io.out(JSON.stringify({ done, files: [...changed.keys()], commit, pushed }))
    else {
      io.out(`${done}.`)
      if (pushed) io.out('Pushed.')
      else if (commit) io.out('Committed. Push it: it counts once it is on the watched branch.')
      if (commit && clone.person === undefined)
        io.err('No Person of the platform has this key. The commit counts only if cratewright.yaml lists the key.')
    }
    return exit.ok
  } finally {
    await clone.close()
  }
}

type Target = { readonly kind?: undefined; readonly name: string } | { readonly kind: string; readonly name: string }

function targetOf(args: Arguments): Target {
  const [target] = args.positionals
  if (target === undefined) throw new CratewrightError('UsageInvalid', 'name a project, or a resource as Kind/name')
  const [first = '', second, ...more] = target.split('/')
  if (second !== undefined && more.length === 0) return { kind: first, name: second }
  if (second !== undefined || !/^[a-z0-9*-]{1,63}$/.test(first))
    throw new CratewrightError('UsageInvalid', `${JSON.stringify(target)} is neither a project nor Kind/name`)
  return { name: first }
}

function reasonOf(args: Arguments): string {
  const why = args.string('reason')?.trim()
  if (!why) throw new CratewrightError('UsageInvalid', 'say why with --reason; everybody who waits is told')
  return why
}

function word({ person }: PlatformClone, why: string) {
  return { reason: why, ...(person ? { by: person } : {}), since: new Date().toISOString().replace(/\.\d+Z$/, 'Z') }
}

function suspendProject(clone: PlatformClone, project: string, repository: string | undefined, why: string): Change {
  const { file, text, manifest, name, entries } = repositoryOf(clone, repository)
  const present = entries.find(entry => entry.project === project)
  if (present) return { changed: new Map(), done: `${project} is suspended already: ${present.reason}` }
  const entry = { project, ...word(clone, why) }
  const path = ['spec', 'suspended']
  const after = withEntry(text, manifest.index, path, entries.length > 0 ? entry : [entry])
  return { changed: new Map([[file, after]]), done: `Suspend ${project} of Repository ${name}: ${why}` }
}

function resumeProject(clone: PlatformClone, project: string, repository: string | undefined): Change {
  const { file, text, manifest, name, entries } = repositoryOf(clone, repository)
  const position = entries.findIndex(entry => entry.project === project)
  if (position < 0) {
    const wider = entries.find(entry => matchesGlob(entry.project, project))
    throw new CratewrightError('UsageInvalid', `${project} is not suspended by its own name in Repository ${name}`, {
      todo: wider
        ? `It is one of ${wider.project}: resume that.`
        : 'See `cratewright get` for what is; a freeze is lifted with `cratewright resume --all`.',
    })
  }
  const after = withoutEntry(text, manifest.index, ['spec', 'suspended', position])
  return { changed: new Map([[file, after]]), done: `Resume ${project} of Repository ${name}` }
}

const annotation = ['metadata', 'annotations', suspendAnnotation]

function suspendManifest(
  clone: PlatformClone,
  { kind, name }: Target & { readonly kind: string },
  why: string,
): Change {
  const { file, text, manifest } = manifestOf(clone, kind, name)
  const present = manifest.value.metadata?.annotations?.[suspendAnnotation]
  if (present !== undefined) return { changed: new Map(), done: `${kind} ${name} is suspended already: ${present}` }
  if (kind !== repositoryType.kind) {
    throw new CratewrightError('UsageInvalid', `nothing is done for a ${kind}: it cannot be suspended`, {
      todo: 'Suspend the requests that use it, their Repository, or freeze everything.',
    })
  }
  const after = withEntry(text, manifest.index, annotation, why)
  return { changed: new Map([[file, after]]), done: `Suspend ${kind} ${name}: ${why}` }
}

function resumeManifest(clone: PlatformClone, { kind, name }: Target & { readonly kind: string }): Change {
  const { file, text, manifest } = manifestOf(clone, kind, name)
  if (manifest.value.metadata?.annotations?.[suspendAnnotation] === undefined)
    throw new CratewrightError('UsageInvalid', `${kind} ${name} is not suspended`)
  return {
    changed: new Map([[file, withoutEntry(text, manifest.index, annotation)]]),
    done: `Resume ${kind} ${name}`,
  }
}

const freezeFile = 'freeze.yaml'

function freeze(clone: PlatformClone, why: string): Change {
  const [present] = freezes(clone)
  if (present) return { changed: new Map(), done: `Everything is frozen already, by ${present.file}` }
  if (clone.files.has(freezeFile))
    throw new CratewrightError('UsageInvalid', `${freezeFile} exists, and is no freeze`, { todo: 'Rename it first.' })
  const { group, version, kind } = freezeType
  const resource = { apiVersion: `${group}/${version}`, kind, metadata: { name: 'platform' }, spec: word(clone, why) }
  return { changed: new Map([[freezeFile, stringify(resource, { lineWidth: 0 })]]), done: `Freeze everything: ${why}` }
}

function thaw(clone: PlatformClone): Change {
  const found = freezes(clone)
  if (found.length === 0) throw new CratewrightError('UsageInvalid', 'nothing is frozen')
  const changed = new Map<string, string | undefined>()
  // From the end of each file, so that the numbers of the documents before stay what they are.
  for (const { file, text, manifest } of found.toReversed()) {
    const now = changed.has(file) ? changed.get(file) : text
    changed.set(file, now === undefined ? undefined : withoutDocument(now, manifest.index))
  }
  return { changed, done: 'Lift the freeze' }
}

interface Found {
  readonly file: string
  readonly text: string
  readonly manifest: Manifest
}

function everyManifest({ files }: PlatformClone): Found[] {
  return [...files].flatMap(([file, text]) => manifestsIn(text).map(manifest => ({ file, text, manifest })))
}

function freezes(clone: PlatformClone): Found[] {
  return everyManifest(clone).filter(({ manifest }) => manifest.value.kind === freezeType.kind)
}

function manifestOf(clone: PlatformClone, kind: string, name: string): Found {
  const found = everyManifest(clone).filter(
    ({ manifest: { value } }) => value.kind === kind && value.metadata?.name === name,
  )
  const [only, second] = found
  if (only && !second) return only
  throw new CratewrightError('UsageInvalid', `${kind} ${name} is declared ${only ? 'more than once' : 'nowhere'}`, {
    todo: 'Check the name in the clone of the platform repository.',
  })
}

function repositoryOf(clone: PlatformClone, name: string | undefined) {
  const { kind } = repositoryType
  const found =
    name === undefined
      ? everyManifest(clone).filter(
          ({ manifest: { value } }) => value.kind === kind && value.spec?.requests !== undefined,
        )
      : [manifestOf(clone, kind, name)]
  const [only, second] = found
  if (!only || second)
    throw new CratewrightError(
      'UsageInvalid',
      `${only ? 'several Repositories hold' : 'no Repository holds'} requests`,
      {
        todo: 'Name the one with --repository.',
      },
    )
  const { metadata, spec } = only.manifest.value
  return { ...only, name: String(metadata?.name), entries: (spec as unknown as RepositorySpec).suspended ?? [] }
}
