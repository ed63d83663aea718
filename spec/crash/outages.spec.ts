import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import {
  assertPublished,
  assertSoundLog,
  assertVerifies,
  backends,
  calmLife,
  type FragileWorld,
  largeDatabase,
  leftovers,
  logFiles,
  makeFragileWorld,
  outputsOf,
  startCommand,
} from '../support/crash.ts'
import type { Fault } from '../support/git-server.ts'
import { phaseOf, World } from '../support/world.ts'

type Statuses = Map<string, StoredStatus>

function reasonOf(statuses: Statuses, project: string): string | undefined {
  return statuses.get(project)?.report.reason
}

describe('an outage of the source', () => {
  let fragile: FragileWorld
  before(async () => {
    fragile = await makeFragileWorld({ sql: largeDatabase })
  })
  after(() => fragile.stop())

  async function signedOff(project: string): Promise<World> {
    const { world } = fragile
    await world.walk(project, 'SignedOff')
    return world
  }

  async function finishes(project: string): Promise<void> {
    const { world } = fragile
    await world.disclose('dana', project)
    assert.equal(phaseOf((await world.run()).get(project)), 'Published')
    await assertPublished(world, project)
  }

  it('in the middle of a table leaves no half file, is noted once, and is got over', async () => {
    const world = await signedOff('cut')
    fragile.proxy.cutAfter = 500_000
    const staging = join(world.folder, 'staging/cut')
    for (const _ of [1, 2]) {
      assert.equal(reasonOf(await world.run(), 'cut'), 'SourceUnreachable')
      assert.equal(existsSync(join(staging, '1/data/outputs/cohort/visits.csv')), false)
      assert.deepEqual(leftovers(staging), [])
    }
    const noted = (await world.log('cut')).filter(({ action }) => action === 'error')
    assert.deepEqual(
      noted.map(({ error }) => error?.code),
      ['SourceUnreachable'],
    )
    assert.equal(noted[0]?.started, (await world.log('cut')).find(({ action }) => action === 'stage-transfer')?.number)
    fragile.proxy.mend()
    assert.equal(phaseOf((await world.run()).get('cut')), 'Staged')
    await finishes('cut')
    assert.deepEqual(
      (await world.steps('cut')).filter(step => step !== 'error noted'),
      calmLife,
    )
  })

  it('by a backend that is terminated is got over in the same run', async () => {
    const world = await signedOff('ended')
    fragile.proxy.stallAfter = 500_000
    const running = world.run({ retries: true })
    await fragile.proxy.stalled()
    const pids = await backends(world, 'COPY')
    assert.equal(pids.length, 1)
    await world.postgres.query(world.database, 'select pg_terminate_backend($1)', pids)
    fragile.proxy.mend()
    assert.equal(phaseOf((await running).get('ended')), 'Staged')
    await finishes('ended')
  })

  it('by a server that crashes and comes back is got over in the same run', async () => {
    const world = await signedOff('crashed')
    fragile.proxy.stallAfter = 500_000
    const running = world.run({ retries: true })
    await fragile.proxy.stalled()
    const [backend] = await backends(world, 'COPY')
    assert.ok(backend)
    // The postmaster ends every other backend too, recovers, and lets nobody in meanwhile (documentation §18.5).
    process.kill(backend, 'SIGKILL')
    fragile.proxy.refuse = true
    fragile.proxy.stallAfter = undefined
    fragile.proxy.cut()
    await setTimeout(1500)
    fragile.proxy.mend()
    assert.equal(phaseOf((await running).get('crashed')), 'Staged')
    await finishes('crashed')
    assert.deepEqual(outputsOf(world, 'crashed'), outputsOf(world, 'cut'))
    await assertVerifies(world, await world.auditor())
  })
})

describe('an outage of the Git server', () => {
  let fragile: FragileWorld
  before(async () => {
    fragile = await makeFragileWorld()
  })
  after(() => fragile.stop())
  afterEach(calm)

  function calm(): void {
    fragile.server.before = () => undefined
    fragile.server.fault = 'none'
  }

  it('that refuses pushes lets nothing happen that is not recorded', async () => {
    const { world, server, proxy } = fragile
    const staged = (path: string) => join(world.folder, 'staging/refused', path)
    const people: Record<string, () => Promise<unknown>> = {
      create: () => world.ask('refused'),
      'sign-off': () => world.signOff('dana', 'refused'),
      disclosure: () => world.disclose('dana', 'refused'),
    }
    /** What would be there, had the step been done. */
    const effects: Record<string, () => boolean> = {
      'stage-transfer': () => existsSync(staged('1.work')),
      close: () => existsSync(staged('1/bagit.txt')),
      publish: () => existsSync(world.release('refused')),
    }
    for (const action of ['create', 'validate', 'sign-off', 'stage-transfer', 'disclosure', 'close', 'publish']) {
      await people[action]?.()
      const [before, connections] = [await logFiles(world, 'refused'), proxy.taken]
      server.fault = 'refuse-push'
      assert.equal(reasonOf(await world.run(), 'refused'), 'WriteBackBlocked', action)
      assert.deepEqual(await logFiles(world, 'refused'), before)
      assert.equal(proxy.taken, connections, `${action} connected to the source`)
      assert.equal(effects[action]?.() ?? false, false, `${action} was done`)
      server.fault = 'none'
      await world.run({ stopAfter: (_, step) => step.action === action })
      assert.equal(effects[action]?.() ?? true, true, `${action} was not done`)
    }
    await assertPublished(world, 'refused')
    assert.deepEqual(await world.steps('refused'), calmLife)
  })

  /** Every second push meets a fault, each of them in turn. */
  async function liveThrough(project: string, faults: readonly Fault[]): Promise<ReadonlySet<string>> {
    const { world, server } = fragile
    const reasons = new Set<string>()
    let pushes = 0
    const run = async (phase: string) => {
      server.before = request => {
        if (request.includes('git-upload-pack')) server.fault = 'none'
        if (!request.includes('service=git-receive-pack') || pushes++ % 2 === 1) return
        server.fault = faults[(pushes >> 1) % faults.length] ?? 'none'
        if (server.fault === 'hang') void setTimeout(300).then(() => server.cut())
      }
      const statuses = await world.run({
        retries: true,
        onResult: (_, result) => {
          if (result.state === 'retry') reasons.add(result.error.code)
        },
      })
      assert.equal(phaseOf(statuses.get(project)), phase)
      calm()
      // A status that could not be written is written at the next look; who may approve is read from it.
      await world.run()
    }
    await world.ask(project)
    await run('Validated')
    assert.equal((await world.signOff('dana', project)).code, 0)
    await run('Staged')
    assert.equal((await world.disclose('dana', project)).code, 0)
    await run('Published')
    await assertPublished(world, project)
    assert.deepEqual(await world.steps(project), calmLife)
    return reasons
  }

  it('at every second push is got over, and doubles no entry', async () => {
    const reasons = new Set([
      ...(await liveThrough('faulty', ['error', 'lost', 'refuse-push', 'cut', 'hang'])),
      ...(await liveThrough('again', ['refuse-push', 'error', 'hang', 'lost', 'cut'])),
    ])
    assert.ok(reasons.has('WriteBackBlocked'), [...reasons].join())
    for (const reason of reasons) assert.ok(['WriteBackBlocked', 'GitUnreachable'].includes(reason), reason)
    await assertVerifies(fragile.world, await fragile.world.auditor())
  })

  it('while a step is done lets the outcome wait, and shows why', async () => {
    const { world, server } = fragile
    await world.walk('waiting', 'SignedOff')
    let begun = false
    const seen: string[] = []
    const statuses = await world.run({
      retries: true,
      onProgress: () => {
        if (!begun) server.fault = 'error'
        begun = true
      },
      onResult: (key, result) => {
        if (!key.endsWith('/waiting') || result.state !== 'retry') return
        seen.push(result.error.code)
        if (seen.length === 2) server.fault = 'none'
      },
    })
    assert.deepEqual(seen, ['GitUnreachable', 'GitUnreachable'])
    assert.equal(phaseOf(statuses.get('waiting')), 'Staged')
    await assertSoundLog(world, 'waiting')
    assert.deepEqual(await world.steps('waiting'), calmLife.slice(0, 7))
  })

  it('at the start is said by the command, which fails', async () => {
    const { world, server } = fragile
    server.fault = 'error'
    const { code, err } = await world.cratewright('reconcile')
    assert.equal(code, 3, err)
    assert.match(err, /\[GitUnreachable\]/)
  })

  it('of the projects repository alone is not taken for a request that is not there', async () => {
    const { world, server } = fragile
    server.before = request => {
      server.fault = request.includes('/projects.git') ? 'error' : 'none'
    }
    const results = [await world.cratewright('reconcile', 'refused'), await world.cratewright('reconcile')]
    for (const { code, err } of results) {
      assert.equal(code, 3, err)
      assert.match(err, /\[GitUnreachable\]/)
    }
  })
})

describe('a Git server with passwords', () => {
  it('is used through a whole life with the credential from the secrets folder', async () => {
    const auth = { username: 'controller', password: 'canary-git-password' }
    const { world, stop } = await makeFragileWorld({ auth })
    const bootstrap = parse(readFileSync(world.config, 'utf8'))
    const credential = { provider: 'file', username_key: 'git-user', password_key: 'git-password' }
    writeFileSync(world.config, stringify({ ...bootstrap, platform: { ...bootstrap.platform, credential } }))
    const secret = (name: string) => join(world.folder, 'secrets', name)
    writeFileSync(secret('git-user'), auth.username)
    writeFileSync(secret('git-password'), 'canary-wrong-password')
    const refused = await world.cratewright('reconcile')
    assert.equal(refused.code, 3)
    assert.match(refused.err, /\[GitDenied\]/)
    assert.doesNotMatch(refused.err, /canary/)
    writeFileSync(secret('git-password'), auth.password)
    await world.walk('asthma')
    await assertPublished(world, 'asthma')
    await assertVerifies(world, await world.auditor())
    await stop()
  })
})

/** Makes a folder read-only until the function returned is called; undefined where this machine does not let us. */
function readOnly(path: string): (() => void) | undefined {
  if (process.getuid?.() !== 0) {
    chmodSync(path, 0o500)
    return () => chmodSync(path, 0o750)
  }
  // Rights do not bind root; a mount does.
  if (!mounted('--bind', path, path)) return undefined
  execFileSync('mount', ['-o', 'remount,bind,ro', path])
  return () => execFileSync('umount', [path])
}

function mounted(...args: string[]): boolean {
  try {
    execFileSync('mount', args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('an outage of the store', () => {
  let world: World
  before(async () => {
    world = await World.make({ sql: largeDatabase })
  })
  const at = (path: string) => join(world.folder, path)

  /** Runs while something is broken, twice, and once more when it is mended: it is said, noted once, and got over. */
  async function survives(
    project: string,
    { broken, reason, phase }: { broken: () => () => void; reason: RegExp; phase: string },
  ): Promise<void> {
    const mend = broken()
    try {
      for (const _ of [1, 2]) {
        const status = (await world.run()).get(project)
        assert.match(`${status?.report.reason}: ${status?.report.message}`, reason)
      }
      const run = startCommand(world.config, 'reconcile', project, '--once')
      const { code, out, err } = await run.ended
      assert.ok(code === 2 || code === 3, `${code}: ${out}${err}`)
      const errors = (await world.log(project)).filter(({ error }) => error !== undefined)
      assert.ok(errors.length <= 3, JSON.stringify(errors))
    } finally {
      mend()
    }
    const { out, err } = await startCommand(world.config, 'reconcile', project).ended
    assert.match(out, new RegExp(`^${project}: ${phase}\\.`, 'm'), err)
  }

  async function disclosed(project: string): Promise<void> {
    await world.walk(project, 'Staged')
    await world.disclose('dana', project)
    await world.run({ stopAfter: (_, step) => step.action === 'close' })
  }

  it('whose staging is read-only is said, and got over', async function () {
    await world.walk('locked', 'SignedOff')
    const mend = readOnly(at('staging'))
    if (!mend) {
      console.log('      skipped: root may not mount here')
      return this.skip()
    }
    await survives('locked', { broken: () => mend, reason: /^StoreFailed: .*(EROFS|EACCES)/, phase: 'Staged' })
    await world.disclose('dana', 'locked')
    await world.run()
    await assertPublished(world, 'locked')
  })

  it('whose staging is gone is said, and got over', async () => {
    await world.walk('gone', 'SignedOff')
    await survives('gone', {
      broken: () => {
        renameSync(at('staging'), at('elsewhere'))
        return () => renameSync(at('elsewhere'), at('staging'))
      },
      reason: /^StoreInvalid: .*staging .* cannot be used: ENOENT/,
      phase: 'Staged',
    })
    await world.disclose('dana', 'gone')
    await world.run()
    await assertPublished(world, 'gone')
  })

  it('whose production cannot be written is said, and got over', async function () {
    await disclosed('closed')
    const mend = readOnly(at('production'))
    if (!mend) {
      console.log('      skipped: root may not mount here')
      return this.skip()
    }
    await survives('closed', { broken: () => mend, reason: /^StoreFailed: .*(EROFS|EACCES)/, phase: 'Published' })
    await assertPublished(world, 'closed')
  })

  it('whose project folder in production is a link is said, and got over', async () => {
    await disclosed('linked')
    const link = at('production/linked')
    await survives('linked', {
      broken: () => {
        mkdirSync(at('trap'))
        symlinkSync(at('trap'), link)
        return () => unlinkSync(link)
      },
      reason: /^UnsafePath: .*production\/linked is no folder/,
      phase: 'Published',
    })
    assert.deepEqual(readdirSync(at('trap')), [])
    await assertPublished(world, 'linked')
  })

  it('whose disk is full is said, and got over', async function () {
    await world.walk('full', 'SignedOff')
    mkdirSync(at('staging/full'))
    if (process.getuid?.() !== 0 || !mounted('-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', at('staging/full'))) {
      console.log('      skipped: no file system of a given size can be mounted here')
      return this.skip()
    }
    try {
      await survives('full', {
        broken: () => () => execFileSync('mount', ['-o', 'remount,size=64m', at('staging/full')]),
        reason: /^StoreFailed: .*ENOSPC/,
        phase: 'Staged',
      })
      // From here to production it is another file system.
      await world.disclose('dana', 'full')
      await world.run()
      await assertPublished(world, 'full')
      assert.deepEqual(outputsOf(world, 'full'), outputsOf(world, 'gone'))
    } finally {
      execFileSync('umount', [at('staging/full')])
    }
    const noted = (await world.log('full')).filter(({ action }) => action === 'error')
    assert.deepEqual(
      noted.map(({ error }) => error?.code),
      ['StoreFailed'],
    )
  })
})
