/**
 * Two controllers on one records branch, in whatever order their calls to Git come, killed and started again between any two
 * of them, with answers lost and strangers who push. fast-check chooses; the branch lies in a real repository.
 */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { EntryDraft, History, Kind, Resource } from '../../controller/engine/kind.ts'
import { Committer } from '../../controller/git/committer.ts'
import type { GitRepository } from '../../controller/git/repository.ts'
import { RecordsBranch } from '../../controller/records/branch.ts'
import { recordsIdentity, recordsRoot } from '../../controller/records/identity.ts'
import { encodeEntry, entryFile, readLog } from '../../controller/records/log.ts'
import { GitRecorder } from '../../controller/records/recorder.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { ticking } from '../engine/lab.ts'
import { never, open, text } from '../git/world.ts'
import { git } from '../support/git-server.ts'
import { tempFolder } from '../support/temp.ts'
import { BranchLab, type Places, ref, signer } from './branch-lab.ts'

const type = { group: 'requests.cratewright.dev', version: 'v1', kind: 'DataAccessRequest' } as const
const resource = {
  type,
  key: `${type.group}/${type.kind}/projects/asthma`,
  namespace: 'projects',
  name: 'asthma',
} as Resource

const kind = {
  type,
  documents: () => [],
  project: ({ entries }: History) => [{ path: 'crate/state.json', content: text(`${entries.length}`) }],
} as Partial<Kind> as Kind

const created: EntryDraft = { action: 'create', event: 'noted', commits: {} }
const started: EntryDraft = { action: 'validate', event: 'started', commits: {} }

type Name = 'one' | 'two'
const names: readonly Name[] = ['one', 'two']

/** What happens to the call that a controller is about to make. */
type Fate = 'goes' | 'is killed before' | 'is killed after' | 'loses the answer'

/** A call to Git that waits to be let through. */
type Call = (fate: Fate) => Promise<void>

/** One process. What it calls on its repository waits until it is told to go. */
class Controller {
  readonly name: Name
  readonly recorder: GitRecorder
  readonly committer: Committer
  readonly branch: RecordsBranch
  readonly calls: Call[] = []
  dead = false
  /** What its work ended with that is no error of ours: an assertion. */
  failed: { readonly error: unknown } | undefined
  /** Work under way. */
  working: Promise<void> | undefined
  /** Settles when it waits at a call or has ended its work. */
  #arrived = Promise.withResolvers<void>()

  constructor(lab: BranchLab, name: Name, places: Places, mirrorFolder: string) {
    this.name = name
    const repository = this.#gated(open(lab.world.fileUrl, { mirrorFolder }))
    const { key } = lab
    const actor = { type: 'controller', name: 'test', key: key.public.fingerprint } as const
    const clock = ticking()
    const memory = {
      read: async () => ({ own: places.own, others: places.others }),
      write: async (remembered: Places['own']) => {
        if (!this.dead) places.own = remembered
      },
    }
    this.branch = new RecordsBranch(
      repository,
      ref,
      { signers: [{ key: key.public }], own: key.public, root: undefined, accept: undefined },
      memory,
      { sign: signer(key), instance: name, actor, clock, platform: () => undefined },
    )
    this.committer = new Committer({
      repository,
      ref,
      identity: recordsIdentity,
      root: recordsRoot,
      sign: signer(key),
      acceptTip: (at, signal) => this.branch.check(at, signal),
      message: changes => changes.map(({ message }) => message).join('\n'),
    })
    const space = { branch: this.branch, committer: this.committer }
    this.recorder = new GitRecorder({
      spaceOf: () => space,
      platformSpace: () => space,
      kindOf: () => kind,
      documentsAt: async () => new Map(),
      actor,
      instance: name,
      clock,
      redact: message => message,
      log: silentLog,
    })
  }

  #gated(repository: GitRepository): GitRepository {
    return new Proxy(repository, {
      get: (target, property) => {
        const value = Reflect.get(target, property) as unknown
        if (typeof value !== 'function') return value
        return (...given: unknown[]) => this.#through(property === 'push', () => value.apply(target, given))
      },
    })
  }

  /** Of a process that was killed nothing is heard any more. */
  #through(pushes: boolean, work: () => Promise<unknown>): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    if (this.dead) return promise
    this.calls.push(async fate => {
      if (fate.startsWith('is killed')) this.dead = true
      if (fate === 'is killed before') return
      const said = work()
      await said.catch(() => undefined)
      if (this.dead) return
      if (fate === 'loses the answer' && pushes) reject(new CratewrightError('GitUnreachable', 'the line broke'))
      else said.then(resolve, reject)
    })
    this.#arrived.resolve()
    return promise
  }

  begin(work: () => Promise<void>): void {
    this.working = work()
      .catch(error => {
        this.failed = { error }
      })
      .finally(() => {
        this.working = undefined
        this.#arrived.resolve()
      })
  }

  /** Waits for the next call, or the end of the work. */
  async arrived(): Promise<void> {
    while (!this.dead && this.working && this.calls.length === 0) {
      this.#arrived = Promise.withResolvers()
      await this.#arrived.promise
    }
  }
}

/** The branch, who works on it, and all that must be true of it in the end. */
class Scene {
  readonly lab: BranchLab
  readonly #places: Record<Name, Places> = {
    one: { own: undefined, others: [] },
    two: { own: undefined, others: [] },
  }
  readonly #mirrors = { one: tempFolder(), two: tempFolder() }
  readonly #running: Record<Name, Controller>
  readonly #foreign = new Set<string>()
  /** Digest of a started entry → who did what it says. */
  readonly #effects = new Map<string, Set<Name>>()
  /** Every history that an append said is written. */
  readonly #reported: History[] = []
  /** How many entries the server had when a controller was told LogMoved: so many it must see next. */
  readonly #behind = new Map<Controller, number>()
  /** Contents by object id. */
  readonly #blobs = new Map<string, string>()
  readonly errors = new Map<string, number>()

  private constructor(lab: BranchLab) {
    this.lab = lab
    this.#running = { one: this.#start('one'), two: this.#start('two') }
  }

  static async make(): Promise<Scene> {
    return new Scene(await BranchLab.make())
  }

  #start(name: Name): Controller {
    return new Controller(this.lab, name, this.#places[name], this.#mirrors[name])
  }

  async restart(name: Name): Promise<void> {
    const old = this.#running[name]
    old.dead = true
    // A call under way in a process that is killed is never heard of again.
    this.#running[name] = this.#start(name)
  }

  /** One call of a controller comes through; where it has nothing to do, it begins something. */
  async turn(name: Name, fate: Fate): Promise<void> {
    const controller = this.#running[name]
    if (!controller.working) controller.begin(() => this.#work(controller))
    await controller.arrived()
    await controller.calls.shift()?.(fate)
    if (controller.dead) return await this.restart(name)
    await controller.arrived()
    if (controller.failed) throw controller.failed.error
  }

  /** What a kind does with its log: the record first, then the effect, then what came of it. */
  async #work(controller: Controller): Promise<void> {
    const { recorder, name } = controller
    try {
      const history = await recorder.history(resource, never)
      if (controller.dead || !history) return
      const behind = this.#behind.get(controller) ?? 0
      this.#behind.delete(controller)
      assert.ok(history.entries.length >= behind, `${name} was told LogMoved, and did not read again`)
      if (history.entries.length === 0) return await this.#append(controller, [created])
      if (history.open && history.holder !== name) return
      const now = history.open ? history : await this.#appended(controller, [started])
      if (controller.dead || !now.open) return
      await this.#effect(name, now)
      if (controller.dead) return
      await this.#append(controller, [
        { action: 'validate', event: 'outcome', commits: {}, started: now.open.number, result: 'done' },
      ])
    } catch (error) {
      if (!(error instanceof CratewrightError)) throw error
      this.errors.set(error.code, (this.errors.get(error.code) ?? 0) + 1)
      if (error.code === 'LogMoved') this.#behind.set(controller, (await this.logNow())?.size ?? 0)
    }
  }

  async #append(controller: Controller, drafts: readonly EntryDraft[]): Promise<void> {
    await this.#appended(controller, drafts)
  }

  async #appended(controller: Controller, drafts: readonly EntryDraft[]): Promise<History> {
    const history = await controller.recorder.append(resource, drafts, never)
    this.#reported.push(history)
    return history
  }

  async #effect(name: Name, { head, open: entry }: History): Promise<void> {
    const there = await this.logNow()
    if (there && entry) {
      const record = Buffer.from(encodeEntry(entry)).toString()
      assert.equal(there.get(entryFile(entry)), record, 'its record is there')
      assert.equal([...there.keys()].sort().at(-1), entryFile(entry), `${name} does again what has an outcome`)
    }
    this.#effects.set(head, (this.#effects.get(head) ?? new Set()).add(name))
  }

  /** The log on the server; undefined while a stranger's commit lies on top. */
  async logNow(): Promise<Map<string, string> | undefined> {
    const tip = await this.lab.tip().catch(() => '')
    if (tip === '' || this.#foreign.has(tip)) return undefined
    return this.#logAt(tip)
  }

  async #logAt(commit: string): Promise<Map<string, string>> {
    const { bare } = this.lab.world
    const files = new Map<string, string>()
    const listed = await git(bare, 'ls-tree', '-r', commit, 'projects/asthma/log/')
    for (const line of listed.split('\n').filter(line => line !== '')) {
      const [, oid = '', name = ''] = /^\d+ blob (\w+)\t.*\/([^/]+)$/.exec(line) ?? []
      const content = this.#blobs.get(oid) ?? `${await git(bare, 'cat-file', 'blob', oid)}\n`
      this.#blobs.set(oid, content)
      files.set(name, content)
    }
    return files
  }

  async vandal(harm: string): Promise<void> {
    const there = await this.logNow()
    if (!there || there.size === 0) return
    const [last = ''] = [...there.keys()].sort().toReversed()
    const path = `projects/asthma/log/${last}`
    const more = `projects/asthma/log/${String(there.size + 1).padStart(6, '0')}-create-noted.json`
    const lies = {
      'adds an entry': { [more]: '{}' },
      'changes an entry': { [path]: '{}' },
      'adds a file': { lie: 'x' },
    }
    this.#foreign.add(await this.lab.vandal(lies[harm as keyof typeof lies]))
  }

  /** Everybody comes to an end, however often that takes. */
  async calm(): Promise<void> {
    for (let round = 0; round < 400; round++) {
      const [one, two] = names.map(name => this.#running[name])
      if (!one?.working && !two?.working) return
      for (const name of names) if (this.#running[name].working) await this.turn(name, 'goes')
    }
    assert.fail('they do not come to an end')
  }

  async check(): Promise<void> {
    await this.calm()
    // New processes, which see what is there; each alone then has to be able to go on.
    for (const name of names) {
      await this.restart(name)
      await this.turn(name, 'goes')
      await this.calm()
    }
    const log = await this.logNow()
    assert.ok(log, 'what strangers pushed is taken back')
    const { history, problems } = readLog(new Map([...log].map(([file, content]) => [file, text(content)])))
    assert.deepEqual(problems, [])
    assert.equal(history.open, undefined, 'what was begun has an outcome')
    for (const { entries } of this.#reported)
      assert.deepEqual(history.entries.slice(0, entries.length), entries, 'what was reported as written is there')
    const digests = [...history.entries.slice(1).map(({ previous }) => previous), history.head]
    for (const [index, { event, instance, number }] of history.entries.entries()) {
      const by = this.#effects.get(digests[index] ?? '') ?? new Set()
      assert.deepEqual([...by], event === 'started' ? [instance] : [], `the effects of entry ${number}`)
    }
    for (const head of this.#effects.keys()) assert.ok(digests.includes(head), 'an effect has its record')
    await this.#onlyAppended()
  }

  /** At no commit that counts has the log less than before, or something else in its place. */
  async #onlyAppended(): Promise<void> {
    let before = new Map<string, string>()
    const commits = await git(this.lab.world.bare, 'rev-list', '--reverse', ref)
    for (const commit of commits.split('\n').filter(oid => !this.#foreign.has(oid))) {
      const now = await this.#logAt(commit)
      for (const [name, content] of before) assert.equal(now.get(name), content, `${name} at ${commit}`)
      before = now
    }
  }

  /** The branch goes back to an earlier commit, and everybody had seen the later one. */
  async setBack(by: number): Promise<void> {
    for (const name of names) {
      const { branch } = this.#running[name]
      this.#running[name].begin(async () => void (await branch.tip(never)))
    }
    await this.calm()
    const tip = await this.lab.tip()
    const earlier = await git(this.lab.world.bare, 'rev-parse', `${tip}~${by}`)
    await git(this.lab.world.bare, 'update-ref', ref, earlier)
    const effects = this.#effects.size
    this.errors.clear()
    for (const again of [false, true]) {
      for (const name of names) {
        if (again) await this.restart(name)
        await this.turn(name, 'goes')
      }
      await this.calm()
    }
    assert.deepEqual([...this.errors.keys()], ['RecordsRewritten'])
    assert.equal(await this.lab.tip(), earlier, 'nothing is written')
    assert.equal(this.#effects.size, effects, 'nothing is done')
  }
}

interface Model {
  readonly moves: string[]
}

class Move implements fc.AsyncCommand<Model, Scene> {
  readonly #label: string
  readonly #move: (scene: Scene) => Promise<void>

  constructor(label: string, move: (scene: Scene) => Promise<void>) {
    this.#label = label
    this.#move = move
  }

  check(): boolean {
    return true
  }

  async run(model: Model, scene: Scene): Promise<void> {
    model.moves.push(this.#label)
    await this.#move(scene)
  }

  toString(): string {
    return this.#label
  }
}

const name = fc.constantFrom(...names)
const turns = fc.tuple(name, fc.integer({ min: 1, max: 12 })).map(
  ([who, count]) =>
    new Move(`${who} goes ${count}`, async scene => {
      for (let at = 0; at < count; at++) await scene.turn(who, 'goes')
    }),
)
const accident = fc
  .tuple(name, fc.constantFrom<Fate>('is killed before', 'is killed after', 'loses the answer'))
  .map(([who, fate]) => new Move(`${who} ${fate}`, scene => scene.turn(who, fate)))
const vandal = fc
  .constantFrom('adds an entry', 'changes an entry', 'adds a file')
  .map(harm => new Move(`a stranger ${harm}`, scene => scene.vandal(harm)))

const runs = process.env.CRATEWRIGHT_SOAK === '1' ? 200 : 12

describe('two controllers on one records branch', function () {
  this.timeout(runs * 10_000)

  it('lose no entry, and do what an entry says once, in any order, with kills, lost answers and strangers', async () => {
    const met = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(
        fc.commands([turns, turns, turns, accident, vandal], { maxCommands: 20, size: 'max' }),
        async commands => {
          const scene = await Scene.make()
          // Both have seen that there is nothing, and want to begin.
          for (const name of names) for (let at = 0; at < 2; at++) await scene.turn(name, 'goes')
          await fc.asyncModelRun(() => ({ model: { moves: [] }, real: scene }), commands)
          await scene.check()
          for (const [code, count] of scene.errors) met.set(code, (met.get(code) ?? 0) + count)
        },
      ),
      { numRuns: runs, interruptAfterTimeLimit: runs * 9_000, markInterruptAsFailure: true },
    )
    assert.ok(met.has('LogMoved'), 'they never met: this shows nothing')
  })

  it('halt where the branch was set back, and write and do nothing more', async () => {
    const scene = await Scene.make()
    for (let round = 0; round < 3; round++) {
      await scene.turn('one', 'goes')
      await scene.calm()
    }
    await scene.restart('two')
    await scene.turn('two', 'goes')
    await scene.calm()
    await scene.check()
    await scene.setBack(2)
  })
})
