/** Runs command lines: in this process, where a world is not needed, or as people do, in a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { runCommand } from '../../controller/cli/run.ts'
import { commitAll, git, writeTree } from '../support/people.ts'
import type { CommandResult, World } from '../support/world.ts'

export const checkout = resolve(import.meta.dirname, '../..')

/** In this process; the environment is exactly the one given. */
export async function run(
  argv: readonly string[],
  { env = {}, signal = new AbortController().signal }: { env?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<CommandResult> {
  const out: string[] = []
  const err: string[] = []
  const code = await runCommand(argv, {
    out: text => void out.push(text),
    err: text => void err.push(text),
    interactive: false,
    env,
    signal,
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<CommandResult>
  /** Resolves once this was written to standard error. */
  said(pattern: RegExp): Promise<void>
}

/** `scripts/cratewright` in a process of its own. */
export function start(argv: readonly string[], { cwd = checkout, env = {} as Record<string, string> } = {}): Running {
  const { PATH = '', HOME = '/' } = process.env
  const child = spawn(join(checkout, 'scripts/cratewright'), [...argv], { cwd, env: { PATH, HOME, ...env } })
  let out = ''
  let err = ''
  const waiting = new Set<() => void>()
  child.stdout.on('data', data => {
    out += data
  })
  child.stderr.on('data', data => {
    err += data
    for (const look of waiting) look()
  })
  const ended = new Promise<CommandResult>((done, fail) => {
    child.once('error', fail)
    child.once('close', code => done({ code: code ?? -1, out, err }))
  })
  return {
    child,
    ended,
    said: pattern =>
      new Promise((done, fail) => {
        const look = () => {
          if (pattern.test(err)) done()
        }
        waiting.add(look)
        void ended.then(() => fail(new Error(`it ended without saying ${pattern}:\n${err}`)))
        look()
      }),
  }
}

export const spawned = (argv: readonly string[], options?: Parameters<typeof start>[1]): Promise<CommandResult> =>
  start(argv, options).ended

/** Everything that a command that only reads has to leave alone: every ref, the working folder, both stores. */
export async function traces(world: World): Promise<Record<string, string>> {
  const refs = (name: 'platform' | 'projects') =>
    git(world.bare(name), 'for-each-ref', '--format=%(objectname) %(refname)')
  const below = (folder: string) =>
    readdirSync(join(world.folder, folder), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => {
        const path = join(entry.parentPath, entry.name)
        return `${path} ${readFileSync(path).toString('base64')}`
      })
      .sort()
      .join('\n')
  const folders = ['work', 'staging', 'production', 'secrets'].filter(name => readdirSync(world.folder).includes(name))
  return {
    platform: await refs('platform'),
    projects: await refs('projects'),
    ...Object.fromEntries(folders.map(name => [name, below(name)])),
  }
}

/** Someone pushes files on a branch of its own, from what is on main now; the clone is back on main afterwards. */
export async function propose(
  world: World,
  person: keyof World['people'],
  branch: string,
  files: Readonly<Record<string, string>>,
  { sign = true } = {},
): Promise<void> {
  const clone = world.clone(person)
  await git(clone, 'fetch', '--quiet', 'origin', 'main')
  await git(clone, 'checkout', '--quiet', '-B', branch, 'FETCH_HEAD')
  writeTree(clone, files)
  await commitAll(clone, `Propose ${branch}`, world.people[person], sign ? {} : { sign: undefined })
  await git(clone, 'push', '--quiet', '--force', 'origin', `HEAD:refs/heads/${branch}`)
  await git(clone, 'checkout', '--quiet', 'main')
}
