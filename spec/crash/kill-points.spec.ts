import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { assertVerifies, leftovers, logFiles, randomFrom, startCommandIn } from '../support/crash.ts'
import { commitAll, git, makePerson, push, writeTree } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { World } from '../support/world.ts'

const kills = process.env.CRATEWRIGHT_SOAK === '1' ? 100 : 10
const seed = Number(process.env.CRATEWRIGHT_SEED ?? Math.floor(Math.random() * 1e9))
const preload = pathToFileURL(join(import.meta.dirname, '../support/kill-at.ts')).href
const records = 'refs/heads/cratewright/records'
/** All that a run of the command changes, and the clones that people work in. */
const parts = ['platform.git', 'projects.git', 'work', 'work-two', 'staging', 'production', 'people', 'two.yaml']
const moments = ['before', 'within', 'after'] as const
/** A file system other than that of temporary files, that needs no right to mount one. */
const elsewhere = '/dev/shm'

/** A place in a request's life from which the same command is run again and again. */
interface Scenario {
  readonly name: string
  readonly config: string
  readonly args: readonly string[]
  readonly code: number
  readonly saved: string
  readonly production: string
  /** What that command leaves when nothing goes wrong. */
  readonly calm: Outcome
  /** What it does to disks and servers, in order. */
  readonly operations: readonly string[]
}

/** What has to be the same, byte for byte. */
interface Outcome {
  readonly records: readonly string[]
  readonly staging: ReadonlyMap<string, string>
  readonly production: ReadonlyMap<string, string>
  readonly keys: ReadonlyMap<string, string>
}

function filesOf(folder: string): Map<string, string> {
  const found = new Map<string, string>()
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  for (const { parentPath, name } of entries) {
    const path = join(parentPath, name)
    const bytes = readFileSync(path)
    found.set(relative(folder, path), createHash('sha256').update(bytes).digest('hex'))
  }
  return new Map([...found].sort())
}

async function outcomeOf(world: World): Promise<Outcome> {
  const at = (path: string) => realpathSync(join(world.folder, path))
  const tree = await git(world.bare('projects'), 'ls-tree', '-r', records)
  const staging = filesOf(at('staging'))
  // The tip of the branch: it has commits for statuses, as many as there were runs.
  for (const path of staging.keys()) if (path.startsWith('.cratewright/')) staging.delete(path)
  return {
    records: tree.split('\n').filter(line => /\t(projects|log)\//.test(line)),
    staging,
    production: filesOf(at('production')),
    keys: filesOf(join(world.folder, 'people/controller')),
  }
}

function save(world: World): string {
  const folder = tempFolder()
  for (const part of parts) {
    const path = join(world.folder, part)
    if (existsSync(path)) cpSync(realpathSync(path), join(folder, part), { recursive: true })
  }
  return folder
}

function restore(world: World, { saved, production }: Pick<Scenario, 'saved' | 'production'>): void {
  for (const part of parts) rmSync(join(world.folder, part), { recursive: true, force: true })
  rmSync(production, { recursive: true, force: true })
  for (const part of readdirSync(saved).filter(name => name !== 'production'))
    cpSync(join(saved, part), join(world.folder, part), { recursive: true })
  cpSync(join(saved, 'production'), production, { recursive: true })
  if (production !== join(world.folder, 'production')) symlinkSync(production, join(world.folder, 'production'))
}

describe('kill -9 at an operation on a disk or a server', () => {
  let world: World
  let now: string
  const scenarios: Scenario[] = []
  const outside: string[] = []
  after(() => {
    for (const folder of outside) rmSync(folder, { recursive: true, force: true })
  })

  const environment = (more: Record<string, string> = {}) => ({
    NODE_OPTIONS: `--import=${preload}`,
    CRATEWRIGHT_NOW: now,
    ...more,
  })

  /** Saves where the world is, and does once what the command does from here. */
  async function scenario(
    name: string,
    args: readonly string[],
    code: number,
    { production = join(world.folder, 'production'), config = world.config } = {},
  ): Promise<void> {
    const saved = save(world)
    const trace = join(tempFolder(), 'trace')
    const run = await startCommandIn(environment({ CRATEWRIGHT_TRACE: trace }), config, ...args).ended
    assert.equal(run.code, code, `${name}: ${run.out}${run.err}`)
    const operations = readFileSync(trace, 'utf8').trim().split('\n')
    const calm = await outcomeOf(world)
    scenarios.push({ name, args, code, config, saved, production, calm, operations })
  }

  before(async function () {
    this.timeout(120_000)
    world = await World.make()
    // Later than everything that people do here, so that the order of times is that of the log.
    now = String(Date.now() + 3_600_000)
    const reconcile = ['reconcile', 'asthma']
    // Entries name who wrote them: the same controller in every run.
    for (const work of ['work', 'work-two']) writeTree(world.folder, { [`${work}/instance`]: `${randomUUID()}\n` })
    await world.ask('asthma')
    await scenario('create and validate', reconcile, 1)
    assert.equal((await world.signOff('dana', 'asthma')).code, 0)
    await scenario('stage', reconcile, 1)
    const staged = scenarios.at(-1)!
    assert.equal((await world.disclose('dana', 'asthma')).code, 0)
    await scenario('close and publish', reconcile, 0)
    const published = save(world)
    const beforePublish = scenarios.at(-1)!

    makePerson('controller', join(world.folder, 'people/next'))
    const rotate = ['keys', 'rotate', '--new', join(world.folder, 'people/next/key'), '--in-place']
    await scenario('rotate the key', rotate, 0)

    const production = join(world.folder, 'production')
    restore(world, { saved: published, production })
    const clone = world.clone('eve')
    await git(clone, 'fetch', '--quiet', 'origin', records)
    await git(clone, 'checkout', '--quiet', '-B', 'records', 'FETCH_HEAD')
    writeTree(clone, { 'projects/asthma/head.json': 'mine\n', 'projects/asthma/extra': 'more\n' })
    await commitAll(clone, 'Forge', world.people.eve)
    await push(clone, 'cratewright/records')
    await scenario('restore the records', reconcile, 0)

    restore(world, { saved: published, production })
    const { 'repositories.yaml': repositories = [], 'stores.yaml': stores = [] } = world.platform()
    const ended = [{ project: 'asthma', reason: 'the agreement was terminated' }]
    const withSpec = (documents: unknown[], more: object) =>
      (documents as { spec: object }[]).map(one => ({ ...one, spec: { ...one.spec, ...more } }))
    await world.declare({
      'repositories.yaml': withSpec(repositories, { ended }),
      'stores.yaml': withSpec(stores, { deletion: { policy: 'Delete', afterDays: 0 } }),
    })
    await scenario('revoke and destroy', reconcile, 1)

    if (existsSync(elsewhere) && statSync(elsewhere).dev !== statSync(world.folder).dev) {
      const other = mkdtempSync(join(elsewhere, 'cratewright-'))
      outside.push(other)
      restore(world, { saved: beforePublish.saved, production })
      rmdirSync(production)
      symlinkSync(other, production)
      await scenario('publish to another file system', reconcile, 0, { production: other })
    } else console.log(`      no other file system at ${elsewhere}: publishing across is left out`)

    // Killed before the outcome is pushed; how many pushes of statuses come after that one is not always the same.
    const isOpen = async () => (await logFiles(world, 'asthma')).at(-1)?.endsWith('-stage-transfer-started.json')
    for (let push = pushesOf(staged); push > 0; push--) {
      restore(world, { saved: staged.saved, production })
      const killed = { CRATEWRIGHT_KILL: `push:${push}:before` }
      await startCommandIn(environment(killed), world.config, ...reconcile).ended
      if (await isOpen()) break
    }
    assert.ok(await isOpen())
    const two = world.writeConfig('work-two', join(world.folder, 'two.yaml'))
    await scenario('take over a transfer', [...reconcile, '--take-over'], 1, { config: two })
  })

  it(`${kills} times, wherever it hits, leaves what the next run makes the same bytes of`, async function () {
    this.timeout(kills * 20_000)
    const random = randomFrom(seed)
    const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!
    console.log(`      CRATEWRIGHT_SEED=${seed}; ${scenarios.length} scenarios`)
    const hits: string[] = []
    for (let attempt = 0; hits.length < kills; attempt++) {
      assert.ok(attempt < kills * 3, `only ${hits.length} of ${attempt} runs were killed`)
      const from = scenarios[attempt % scenarios.length]!
      // Each kind of operation as often as the others, however often it is done.
      const operation = one([...new Set(from.operations)])
      const times = from.operations.filter(name => name === operation).length
      const point = `${operation}:${1 + Math.floor(random() * times)}:${one(moments)}`
      restore(world, from)
      const killed = await startCommandIn(environment({ CRATEWRIGHT_KILL: point }), from.config, ...from.args).ended
      if (killed.code === null) hits.push(`${from.name} ${point}`)
      const again = await startCommandIn(environment(), from.config, ...from.args).ended
      const where = `${from.name}, killed at ${point} (CRATEWRIGHT_SEED=${seed})`
      assert.equal(again.code, from.code, `${where}: ${again.out}${again.err}`)
      assert.deepEqual(await outcomeOf(world), from.calm, where)
      const folders = parts.slice(2, 6).map(part => join(world.folder, part))
      assert.deepEqual(leftovers(...folders.filter(existsSync).map(path => realpathSync(path))), [], where)
    }
    console.log(hits.map(hit => `      ${hit}`).join('\n'))
    await assertVerifies(world, await world.auditor())
  })
})

function pushesOf({ operations }: Scenario): number {
  return operations.filter(name => name === 'push').length
}
