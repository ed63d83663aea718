import assert from 'node:assert/strict'
import type { EntryDraft, Kind, RecordFile, Resource } from '../../controller/engine/kind.ts'
import { Committer } from '../../controller/git/committer.ts'
import { RecordsBranch } from '../../controller/records/branch.ts'
import { recordsIdentity, recordsRoot } from '../../controller/records/identity.ts'
import { readLog } from '../../controller/records/log.ts'
import type { Remembered } from '../../controller/records/memory.ts'
import { GitRecorder, headOf } from '../../controller/records/recorder.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { parsePrivateKey } from '../../controller/runtime/ssh-key.ts'
import { ticking } from '../engine/lab.ts'
import { inShort } from '../engine/memory-recorder.ts'
import { controllerKey, makeWorld, never, open, sign, text, type World } from '../git/world.ts'
import { git } from '../support/git-server.ts'

const ref = 'refs/heads/cratewright/records'
const type = { group: 'requests.cratewright.dev', version: 'v1', kind: 'DataAccessRequest' } as const
const platformType = { group: 'platform.cratewright.dev', version: 'v1', kind: 'Person' } as const

const resource = (name = 'asthma'): Resource =>
  ({ type, key: `${type.group}/${type.kind}/projects/${name}`, namespace: 'projects', name }) as Resource
const person = {
  type: platformType,
  key: 'platform.cratewright.dev/Person//dana',
  namespace: '',
  name: 'dana',
} as Resource

const noted = (action: EntryDraft['action'], more: Partial<EntryDraft> = {}): EntryDraft => ({
  action,
  event: 'noted',
  commits: {},
  ...more,
})
const started: EntryDraft = { action: 'validate', event: 'started', commits: {} }
const done: EntryDraft = { action: 'validate', event: 'outcome', commits: {}, started: 2, result: 'done' }

/** Its crate says how long the log is; a statement is prepared only while the last entry is an outcome. */
function kind(projections: () => void = () => {}): Kind {
  return {
    type,
    documents: history => (history.entries.length > 0 ? [{ commit: 'c'.repeat(40), folder: 'projects/asthma' }] : []),
    project: ({ entries }, documents): RecordFile[] => {
      projections()
      const title = documents.get('c'.repeat(40))?.get('title')
      return [
        { path: 'crate/state.json', content: text(`${entries.length} ${Buffer.from(title ?? '').toString()}`) },
        ...(entries.at(-1)?.event === 'outcome'
          ? [{ path: 'prepared/sign-off.yaml', content: text('sign here') }]
          : []),
      ]
    },
  } as Partial<Kind> as Kind
}

interface Room {
  readonly recorder: GitRecorder
  readonly committer: Committer
}

describe('the recorder', () => {
  let world: World
  const committers: Committer[] = []
  const warnings: unknown[] = []

  beforeEach(async () => {
    warnings.length = 0
    world = await makeWorld()
  })
  afterEach(async () => {
    for (const committer of committers.splice(0)) await committer.close()
  })

  function room(instance = 'one', title = 'Asthma', gone: { code?: 'GitObjectMissing' | 'GitUnreachable' } = {}): Room {
    const repository = open(world.fileUrl)
    let own: Remembered | undefined
    const memory = {
      read: async () => ({ own, others: [] }),
      write: async (next: Remembered) => {
        own = next
      },
    }
    const key = parsePrivateKey(controllerKey.private)
    const branch = new RecordsBranch(
      repository,
      ref,
      { signers: [{ key: key.public }], own: key.public, root: undefined, accept: undefined },
      memory,
    )
    const committer = new Committer({
      repository,
      ref,
      identity: recordsIdentity,
      root: recordsRoot,
      sign,
      acceptTip: (at, signal) => branch.check(at, signal),
      message: changes => changes.map(({ message }) => message).join('\n'),
    })
    committers.push(committer)
    const space = { branch, committer }
    const recorder = new GitRecorder({
      spaceOf: name => (name === 'projects' ? space : undefined),
      platformSpace: () => space,
      kindOf: one => (one.type.kind === type.kind ? kind() : ({ type: one.type } as Kind)),
      documentsAt: async () => {
        if (gone.code) throw new CratewrightError(gone.code, 'there is no such commit')
        return new Map([['title', text(title)]])
      },
      actor: { type: 'controller', name: 'test', key: key.public.fingerprint },
      instance,
      clock: ticking(),
      redact: message => message.replaceAll('hunter2', '•••'),
      log: { ...silentLog, warn: (_, fields) => void warnings.push(fields) },
    })
    return { recorder, committer }
  }

  const show = (path: string) => git(world.bare, 'show', `${ref}:${path}`)
  const files = async () => (await git(world.bare, 'ls-tree', '-r', '--name-only', ref)).split('\n')
  const commits = async () => Number(await git(world.bare, 'rev-list', '--count', ref))
  const fails = (promise: Promise<unknown>, code: string) =>
    assert.rejects(promise, (error: { code?: string; message: string }) => {
      assert.equal(error.code, code, error.message)
      return true
    })

  it('writes entries and what follows from them in one commit, which a fresh start reads back', async () => {
    const { recorder } = room()
    assert.deepEqual(await recorder.history(resource(), never), {
      entries: [],
      head: '0'.repeat(64),
      open: undefined,
      holder: undefined,
    })
    await recorder.append(resource(), [noted('create')], never)
    const history = await recorder.append(resource(), [started, done], never)
    assert.deepEqual(inShort(history), ['create noted', 'validate started', 'validate done'])
    assert.equal(await commits(), 3, 'the root, and one for each call')
    assert.deepEqual(await files(), [
      'projects/asthma/crate/state.json',
      'projects/asthma/head.json',
      'projects/asthma/log/000001-create-noted.json',
      'projects/asthma/log/000002-validate-started.json',
      'projects/asthma/log/000003-validate-done.json'.replace('done', 'outcome'),
      'projects/asthma/prepared/sign-off.yaml',
    ])
    assert.equal(await show('projects/asthma/crate/state.json'), '3 Asthma')
    assert.equal(`${await show('projects/asthma/head.json')}\n`, Buffer.from(headOf(history).content).toString())
    assert.deepEqual(await room().recorder.history(resource(), never), history)
    const [first] = history.entries
    assert.deepEqual([first?.instance, first?.repository, first?.project], ['one', 'projects', 'asthma'])
  })

  it('removes what no longer follows from the log', async () => {
    const { recorder } = room()
    await recorder.append(resource(), [noted('create'), started, done], never)
    assert.ok((await files()).includes('projects/asthma/prepared/sign-off.yaml'))
    await recorder.append(resource(), [noted('statement')], never)
    assert.ok(!(await files()).includes('projects/asthma/prepared/sign-off.yaml'))
    assert.equal(await show('projects/asthma/crate/state.json'), '4 Asthma')
  })

  it('brings derived files up to date where they are made differently now, and else writes nothing', async () => {
    const before = room()
    await before.recorder.append(resource(), [noted('create')], never)
    await before.recorder.project(resource(), never)
    assert.equal(await commits(), 2)
    const after = room('one', 'Another title')
    await after.recorder.project(resource(), never)
    assert.equal(await show('projects/asthma/crate/state.json'), '1 Another title')
    assert.equal(await commits(), 3)
    await after.recorder.project(resource(), never)
    await after.recorder.project(resource('never-logged'), never)
    assert.equal(await commits(), 3)
  })

  it('goes on with the log where documents are gone, and leaves what follows from it until they are back', async () => {
    const gone: { code?: 'GitObjectMissing' | 'GitUnreachable' } = {}
    const { recorder } = room('one', 'Asthma', gone)
    await recorder.append(resource(), [noted('create'), started, done], never)
    for (const one of [recorder, room('one', 'Asthma', gone).recorder]) {
      gone.code = 'GitObjectMissing'
      const history = await one.append(resource(), [noted('statement')], never)
      assert.equal(`${await show('projects/asthma/head.json')}\n`, Buffer.from(headOf(history).content).toString())
      assert.equal(await show('projects/asthma/crate/state.json'), '3 Asthma')
      assert.ok((await files()).includes('projects/asthma/prepared/sign-off.yaml'))
      const before = await commits()
      await one.project(resource(), never)
      assert.equal(await commits(), before)
      assert.deepEqual(await room().recorder.history(resource(), never), history)
    }
    gone.code = 'GitUnreachable'
    await fails(recorder.append(resource(), [noted('statement')], never), 'GitUnreachable')
    delete gone.code
    const { recorder: back } = room()
    await back.project(resource(), never)
    assert.equal(await show('projects/asthma/crate/state.json'), '5 Asthma')
    assert.ok(!(await files()).includes('projects/asthma/prepared/sign-off.yaml'))
  })

  it('elects one of two controllers that both saw the same log', async () => {
    const rooms = [room('one'), room('two')]
    for (const { recorder } of rooms) await recorder.history(resource(), never)
    const outcomes = await Promise.allSettled(
      rooms.map(({ recorder }) => recorder.append(resource(), [noted('create'), started], never)),
    )
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const [loser, winner] = outcomes[0]!.status === 'rejected' ? rooms : rooms.toReversed()
    const lost = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
    assert.equal(lost.reason.code, 'LogMoved')
    const seen = await loser!.recorder.history(resource(), never)
    assert.deepEqual(seen, await winner!.recorder.history(resource(), never), 'the loser reads what the winner wrote')
    assert.equal(seen?.open?.instance, outcomes[0]!.status === 'rejected' ? 'two' : 'one')
  })

  it('elects for each log alone, and holds up no other', async () => {
    const [one, two] = [room('one'), room('two')]
    for (const { recorder } of [one, two])
      for (const name of ['asthma', 'copd']) await recorder.history(resource(name), never)
    await one.recorder.append(resource('asthma'), [noted('create')], never)
    await two.recorder.append(resource('copd'), [noted('create')], never)
    await fails(two.recorder.append(resource('asthma'), [noted('create')], never), 'LogMoved')
    assert.equal((await two.recorder.append(resource('asthma'), [started], never)).entries.length, 2)
  })

  it('sees after a while what another controller wrote, also where it wrote something else itself since', async function () {
    this.slow(15_000)
    const [one, two] = [room('one'), room('two')]
    await one.recorder.append(resource('asthma'), [noted('create')], never)
    assert.equal((await two.recorder.history(resource('asthma'), never))?.entries.length, 1)
    await one.recorder.append(resource('asthma'), [started], never)
    await two.recorder.append(resource('copd'), [noted('create')], never)
    await new Promise(resolve => setTimeout(resolve, 5_200))
    const history = await two.recorder.history(resource('asthma'), never)
    assert.deepEqual(inShort(history!), ['create noted', 'validate started'])
    assert.equal(history?.open?.instance, 'one')
  })

  it('does not write over derived files with those of a log that has gone on', async () => {
    const [one, two] = [room('one'), room('two', 'Older words')]
    await one.recorder.append(resource(), [noted('create')], never)
    await two.recorder.history(resource(), never)
    await one.recorder.append(resource(), [noted('statement')], never)
    await fails(two.recorder.project(resource(), never), 'LogMoved')
    assert.equal(await show('projects/asthma/crate/state.json'), '2 Asthma')
  })

  it('writes no entry that could not be read again', async () => {
    const { recorder } = room()
    await recorder.append(resource(), [noted('create')], never)
    await fails(recorder.append(resource(), [noted('statement', { facts: { text: 'a\0b' } })], never), 'RecordInvalid')
    await fails(recorder.append(resource(), [done], never), 'RecordInvalid')
    assert.equal(await commits(), 2)
    assert.equal((await recorder.append(resource(), [started], never)).entries.length, 2, 'and goes on')
  })

  it('keeps secrets out of what it writes', async () => {
    const { recorder } = room()
    const error = { code: 'SourceFailed', message: 'password hunter2 was refused' }
    await recorder.append(resource(), [noted('error', { error })], never)
    assert.match(await show('projects/asthma/log/000001-error-noted.json'), /password ••• was refused/)
  })

  it('takes no log that is not whole', async () => {
    const { recorder, committer } = room()
    await recorder.append(resource(), [noted('create'), started, done], never)
    await committer.submit({
      files: [{ path: 'projects/asthma/log/000005-validate-started.json', content: text('{}') }],
      preconditions: [],
      message: 'Leave a gap',
      time: new Date(),
    })
    await fails(room().recorder.history(resource(), never), 'RecordInvalid')
  })

  it('has no log of what has none', async () => {
    const { recorder } = room()
    assert.equal(await recorder.history(person, never), undefined)
    await recorder.project(person, never)
    await assert.rejects(git(world.bare, 'rev-parse', '--verify', ref))
  })

  describe('writes a status', () => {
    const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()
    const status = (ready: 'True' | 'False', second: number, message = '') => ({
      conditions: [{ type: 'Ready', status: ready, reason: 'R', message, lastTransitionTime: at(second) }],
    })
    const path = `status/${type.group}/${type.kind}/projects/asthma.json`
    const written = async () => JSON.parse(await show(path)) as ReturnType<typeof status>

    it('once, for the newest of those that come quickly', async () => {
      const { recorder } = room()
      for (let second = 0; second < 5; second++)
        recorder.status(resource(), status(second % 2 ? 'True' : 'False', second))
      await recorder.flush()
      assert.equal(await commits(), 2)
      assert.deepEqual(await written(), status('False', 4))
    })

    it('not again where it says the same', async () => {
      const { recorder } = room()
      recorder.status(resource(), status('True', 1))
      await recorder.flush()
      recorder.status(resource(), status('True', 1))
      await recorder.flush()
      assert.equal(await commits(), 2)
    })

    it('after a restart with the times that it had, and not at all where only they differ', async () => {
      const before = room()
      before.recorder.status(resource(), status('True', 1))
      await before.recorder.flush()
      const after = room()
      after.recorder.status(resource(), status('True', 30))
      await after.recorder.flush()
      assert.equal(await commits(), 2)
      after.recorder.status(resource(), status('True', 40, 'other words'))
      await after.recorder.flush()
      assert.deepEqual(await written(), status('True', 1, 'other words'))
      after.recorder.status(resource(), status('False', 50))
      await after.recorder.flush()
      assert.deepEqual(await written(), status('False', 50))
    })

    it('of the platform where it was told to', async () => {
      const { recorder } = room()
      recorder.status(person, status('True', 1))
      await recorder.flush()
      assert.deepEqual(await files(), ['status/platform.cratewright.dev/Person/_/dana.json'])
    })

    it('of no more than 64 KiB', async () => {
      const { recorder } = room()
      const waits = Array.from({ length: 5000 }, (_, index) => ({ reason: 'Waiting', message: `for number ${index}` }))
      recorder.status(resource(), {
        ...status('False', 1),
        problems: [],
        waits,
        detail: { phase: 'Validated', more: 'x' },
      })
      await recorder.flush()
      assert.ok((await show(path)).length < 64 * 1024)
      assert.deepEqual(JSON.parse(await show(path)).detail, { phase: 'Validated' })
    })

    it('again after it could not be written', async () => {
      const { recorder } = room()
      const hook = `${world.bare}/hooks/pre-receive`
      const { writeFileSync, rmSync } = await import('node:fs')
      writeFileSync(hook, '#!/bin/sh\nexit 1\n', { mode: 0o755 })
      recorder.status(resource(), status('True', 1))
      await recorder.flush()
      assert.equal(warnings.length, 1)
      rmSync(hook)
      recorder.status(resource(), status('True', 1))
      await recorder.flush()
      assert.deepEqual(await written(), status('True', 1))
    })

    it('without disturbing the log beside it', async () => {
      const { recorder } = room()
      recorder.status(resource(), status('True', 1))
      await Promise.all([recorder.flush(), recorder.append(resource(), [noted('create')], never)])
      assert.deepEqual(await written(), status('True', 1))
      const entry = await show('projects/asthma/log/000001-create-noted.json')
      assert.deepEqual(readLog(new Map([['000001-create-noted.json', text(`${entry}\n`)]])).problems, [])
    })
  })
})
