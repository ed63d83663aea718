/**
 * Judging a clone with many releases. They are made by the real controller, from a request to a sealed release, which takes most
 * of the time: BENCH_RELEASES says how many (1000 take a quarter of an hour on two cores).
 */

import { parse } from 'yaml'
import { formatStatement, type Statement, signStatement } from '../../controller/records/statement.ts'
import { git } from '../support/people.ts'
import { costs, World } from '../support/world.ts'
import { figure, heading, inProcess, mebibytes, peakMemory, seconds, timed } from './bench.ts'

const releases = Number(process.env.BENCH_RELEASES ?? 200)
const goal = 30_000

interface Judged {
  readonly code: number
  readonly ms: number
  /** Bytes. */
  readonly memory: number
}

/** `cratewright verify`, in a process of its own. */
async function verify(clone: string, root: string): Promise<Judged> {
  const { runCommand } = await import('../../controller/cli/run.ts')
  const { result, ms } = await timed(() =>
    runCommand(['verify', clone, '--root', root], {
      out: () => {},
      err: text => console.error(text),
      interactive: false,
      env: {},
      signal: new AbortController().signal,
    }),
  )
  return { code: result, ms, memory: peakMemory() }
}

/** Dana approves what lies ready for all, in one commit. */
async function approveAll(world: World, names: readonly string[], phase: 'sign-off' | 'disclosure'): Promise<void> {
  const files: Record<string, Uint8Array> = {}
  for (const name of names) {
    const path = `refs/heads/cratewright/records:projects/${name}/prepared/${phase}.yaml`
    const prepared = parse(await git(world.bare('projects'), 'show', path)) as Omit<Statement, 'person' | 'decision'>
    const text = Buffer.from(formatStatement({ ...prepared, decision: 'approve', person: 'dana' }))
    const file = `projects/${name}/sign-offs/${prepared.digests.request.slice(0, 16)}/${phase}-dana.yaml`
    files[file] = text
    files[`${file}.sig`] = Buffer.from(signStatement(world.people.dana.key, text))
  }
  await world.commit('dana', files, { message: `Approve: ${phase}` })
}

async function main(): Promise<void> {
  const world = await World.make()
  const names = Array.from({ length: releases }, (_, index) => `project-${index}`)
  heading(`verify: a clone with ${releases} releases`)
  const making = await timed(async () => {
    const files = names.map(name => world.requestFiles(name, [{ name: 'money', tables: [costs] }]))
    await world.commit('rob', Object.assign({}, ...files), { message: 'Ask' })
    await world.run()
    await approveAll(world, names, 'sign-off')
    await world.run()
    await approveAll(world, names, 'disclosure')
    await world.run()
  })
  const clone = await world.auditor()
  const { answer } = await inProcess<Judged>(import.meta.filename, clone, world.controller.key.public.fingerprint)
  const sealed = await git(clone, 'ls-tree', '-r', '--name-only', 'origin/cratewright/records')
  const bags = sealed.split('\n').filter(path => path.endsWith('/bag/bagit.txt')).length
  if (bags !== releases || answer.code !== 0) throw new Error(`${bags} bags; verify ended with ${answer.code}`)
  figure('making them, from request to release', seconds(making.ms))
  figure('verify', seconds(answer.ms), releases === 1000 ? `< ${seconds(goal)}` : '')
  if (releases !== 1000)
    figure('for 1000, if it goes on like this', seconds((answer.ms / releases) * 1000), `< ${seconds(goal)}`)
  figure('peak memory', mebibytes(answer.memory))
  await world.postgres.stop()
}

const [, , clone, root] = process.argv
if (clone && root) console.log(JSON.stringify(await verify(clone, root)))
else await main()
