import assert from 'node:assert/strict'
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readBootstrap } from '../../controller/cli/bootstrap.ts'
import { wire } from '../../controller/cli/wire.ts'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { Redactor } from '../../controller/runtime/secrets.ts'
import { main, makeWorld, never, open, pushFiles } from '../git/world.ts'
import {
  assertPublished,
  assertSoundLog,
  calmLife,
  type FragileWorld,
  logFiles,
  makeFragileWorld,
} from '../support/crash.ts'
import { type Fault, type GitServer, startGitServer } from '../support/git-server.ts'
import { git, makeBare } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { phaseOf, World } from '../support/world.ts'

const minute = 60_000
const later = (minutes: number) => ({ now: () => new Date(Date.now() + minutes * minute) })

function shown(statuses: Map<string, StoredStatus>, name: string) {
  const { report, waits } = statuses.get(name)!
  return { reason: report.reason, message: report.message, todo: waits[0]?.todo ?? '' }
}

describe('a Git server with a fault in its answers', () => {
  for (const [fault, codes] of [
    ['half', ['GitUnreachable']],
    ['drip', ['GitUnreachable']],
    ['deny', ['GitDenied']],
  ] as const satisfies readonly (readonly [Fault, readonly string[]])[]) {
    it(`(${fault}) is given up within the deadline, and is used again when it is over`, async () => {
      const lab = await makeWorld()
      const server = await startGitServer(lab.root)
      try {
        const tip = await pushFiles(lab, { a: '1' })
        const repository = open(server.url('projects.git'), { deadline: 2000 })
        await repository.fetch(main, tip, never)
        const next = await pushFiles(lab, { b: '2'.repeat(5000) })
        const isKnown = ({ code }: { code?: unknown }) => codes.some(one => one === code)
        server.fault = fault
        const begun = performance.now()
        await assert.rejects(repository.resolve(main, never), isKnown)
        await assert.rejects(repository.fetch(main, next, never), isKnown)
        assert.ok(performance.now() - begun < 15_000)
        server.fault = 'none'
        await repository.fetch(main, next, never)
        assert.equal(await repository.isAncestor(tip, next, never), true)
      } finally {
        await server.stop()
      }
    })
  }
})

describe('an outage of the Git server for a while', function () {
  this.timeout(120_000)
  let fragile: FragileWorld
  let world: World
  let server: GitServer
  before(async () => {
    fragile = await makeFragileWorld()
    ;({ world, server } = fragile)
  })
  after(() => fragile.stop())
  afterEach(() => {
    server.before = () => undefined
    server.fault = 'none'
  })

  it('whose hook refuses every push for an hour lets the step wait, and writes no entry for each try', async () => {
    await world.walk('refused', 'SignedOff')
    const hook = join(world.bare('projects'), 'hooks/pre-receive')
    const close = () => writeFileSync(hook, '#!/bin/sh\necho closed for maintenance >&2\nexit 1\n', { mode: 0o755 })
    // The step is begun on record, and its outcome meets the hook.
    let begun = false
    const first = await world.run({
      onProgress: () => {
        if (!begun) close()
        begun = true
      },
    })
    assert.equal(shown(first, 'refused').reason, 'WriteBackBlocked')
    const before = await logFiles(world, 'refused')
    assert.match(before.at(-1) ?? '', /-stage-transfer-started\.json$/)
    for (const minutes of [20, 40, 60]) {
      const { reason, message, todo } = shown(
        await world.run({ clock: later(minutes), retries: minutes === 60 }),
        'refused',
      )
      assert.equal(reason, 'WriteBackBlocked', message)
      assert.match(todo, /right to push to the records branch/)
      assert.deepEqual(await logFiles(world, 'refused'), before)
    }
    rmSync(hook)
    assert.equal(phaseOf((await world.run({ clock: later(61) })).get('refused')), 'Staged')
    await world.disclose('dana', 'refused')
    await world.run({ clock: later(62) })
    await assertPublished(world, 'refused')
    assert.deepEqual(await world.steps('refused'), calmLife)
  })

  it('that takes no credential says so, and goes on with what it had when it does again', async () => {
    await world.walk('denied', 'SignedOff')
    server.before = request => {
      server.fault = request.includes('/projects.git') ? 'deny' : 'none'
    }
    for (const _ of [1, 2]) {
      const { code, err } = await world.cratewright('reconcile', 'denied', '--once')
      assert.equal(code, 3)
      assert.match(err, /\[GitDenied\]/)
      assert.match(err, /credential/i)
    }
    server.before = () => undefined
    server.fault = 'none'
    assert.equal(phaseOf((await world.run()).get('denied')), 'Staged')
    assert.deepEqual(await world.steps('denied'), calmLife.slice(0, 7))
  })

  it('that sends half a pack is asked again, and nothing is decided on what did not arrive', async () => {
    await world.ask('halved')
    server.before = request => {
      server.fault = request.startsWith('POST') && request.includes('/projects.git/git-upload-pack') ? 'half' : 'none'
    }
    const { code, err } = await world.cratewright('reconcile', 'halved', '--once')
    assert.equal(code, 3, err)
    assert.match(err, /\[GitUnreachable\]/)
    assert.deepEqual(await logFiles(world, 'halved'), [])
    server.before = () => undefined
    server.fault = 'none'
    assert.equal(phaseOf((await world.run()).get('halved')), 'Validated')
    await assertSoundLog(world, 'halved')
  })

  it('that has lost the projects repository takes nothing for withdrawn, and goes on when it is back', async () => {
    await world.walk('lost', 'Staged')
    const stop = new AbortController()
    const wired = await wire(await readBootstrap(world.config), {
      ...{ log: silentLog, redactor: new Redactor(), signal: stop.signal, resync: 0, pushInterval: 0, maxRetries: 0 },
    })
    const key = () => wired.store.keys().find(name => name.endsWith('/lost')) ?? ''
    const gone = `${world.bare('projects')}.gone`
    try {
      await wired.controller.lookNow()
      await wired.controller.settled({ retries: false })
      const before = wired.store.status(key())?.report.reason
      assert.equal(before, 'WaitingForDisclosure')
      await world.disclose('dana', 'lost')
      renameSync(world.bare('projects'), gone)
      for (const _ of [1, 2]) {
        await wired.controller.lookNow()
        wired.controller.add(key(), 'asked')
        await wired.controller.settled({ retries: false })
      }
      const repository = wired.store.keys().find(name => name.includes('/Repository/'))
      assert.match(wired.store.status(repository ?? '')?.report.reason ?? '', /^Git(Unreachable|RefMissing)$/)
      assert.notEqual(phaseOf(wired.store.status(key())), 'Missing')
      assert.ok(existsSync(join(world.folder, 'staging/lost/1')), 'what is staged stays')
    } finally {
      if (existsSync(gone)) renameSync(gone, world.bare('projects'))
    }
    try {
      await wired.controller.lookNow()
      wired.controller.add(key(), 'asked')
      await wired.controller.settled({ retries: false })
      assert.equal(phaseOf(wired.store.status(key())), 'Published')
    } finally {
      stop.abort()
      await wired.close()
    }
    await assertPublished(world, 'lost')
    assert.deepEqual(await world.steps('lost'), calmLife)
  })
})

describe('an outage of a records repository that is apart from the projects', function () {
  this.timeout(120_000)

  it('lets nothing happen that could not be recorded, and is got over', async () => {
    const root = tempFolder()
    await makeBare(join(root, 'records.git'))
    const server = await startGitServer(root)
    try {
      const world = await World.make({
        manifests: made => {
          const [repository] = made.platform()['repositories.yaml'] as { spec: { records: object } }[]
          const records = { ...repository!.spec.records, url: server.url('records.git') }
          return { 'repositories.yaml': [{ ...repository, spec: { ...repository!.spec, records } }] }
        },
      })
      const entries = async () => {
        const ref = 'refs/heads/cratewright/records'
        const listed = git(join(root, 'records.git'), 'ls-tree', '-r', '--name-only', ref, 'projects/apart/log/')
        return (await listed.catch(() => '')).split('\n').filter(line => line !== '')
      }
      await world.ask('apart')
      server.fault = 'error'
      for (const _ of [1, 2]) {
        const { code, err, out } = await world.cratewright('reconcile', 'apart', '--once')
        assert.equal(code, 3, out)
        assert.match(`${out}${err}`, /GitUnreachable|error: 500/)
      }
      assert.deepEqual(await entries(), [])
      server.fault = 'none'
      assert.equal(phaseOf((await world.run()).get('apart')), 'Validated')
      assert.equal((await entries()).length, 3)
      server.fault = 'error'
      const down = (await world.run()).get('apart')
      assert.ok(down === undefined || down.report.reason === 'GitUnreachable', String(down?.report.reason))
      server.fault = 'none'
      assert.equal(phaseOf((await world.run()).get('apart')), 'Validated')
      assert.equal((await entries()).length, 3)
    } finally {
      await server.stop()
    }
  })
})
