import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import { assertPublished, assertSoundLog, assertVerifies, leftovers, startCommand } from '../support/crash.ts'
import { patients, phaseOf, visits, World } from '../support/world.ts'

const tables = [{ name: 'cohort', tables: [patients, visits] }]

/** A file system of its own in an empty folder. False where this machine lets nobody mount. */
function mountAt(path: string, size: string): boolean {
  if (process.getuid?.() !== 0) return false
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0750`, 'tmpfs', path], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const remount = (path: string, options: string) =>
  execFileSync('mount', ['-o', `remount,${options}`, path], { stdio: 'ignore' })

/** Takes all the space that is left. */
function fill(folder: string): () => void {
  const path = join(folder, '.ballast')
  const block = Buffer.alloc(65_536)
  writeFileSync(path, '')
  for (const size of [65_536, 4096, 512]) {
    try {
      for (;;) writeFileSync(path, block.subarray(0, size), { flag: 'a' })
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
    }
  }
  return () => rmSync(path, { force: true })
}

describe('a disk on a bad day', function () {
  this.timeout(120_000)
  let world: World
  const mounted: string[] = []

  before(async function () {
    world = await World.make()
    // Staging, production and the working folder are three file systems, so that nothing can be renamed between them.
    for (const [name, size] of [
      ['staging', '8m'],
      ['production', '8m'],
      ['work', '24m'],
    ] as const) {
      const path = join(world.folder, name)
      mkdirSync(path, { recursive: true })
      if (mountAt(path, size)) mounted.push(path)
    }
    if (mounted.length < 3) {
      console.log('      skipped: no file system of a given size can be mounted here')
      this.skip()
    }
  })
  after(() => {
    for (const path of mounted) execFileSync('umount', ['--lazy', path])
  })

  const at = (path: string) => join(world.folder, path)
  const errorsOf = async (project: string) =>
    (await world.log(project)).flatMap(({ action, error }) => (error ? [`${action} ${error.code}`] : []))

  /** Three runs while something is broken, one of them with tries again, and one when it is mended. */
  async function survives(
    project: string,
    {
      broken,
      reason,
      phase,
      entries = 1,
    }: { broken: () => () => void; reason: RegExp; phase: string; entries?: number },
  ): Promise<void> {
    const before = (await errorsOf(project)).length
    const mend = broken()
    try {
      for (const retries of [false, true, false]) {
        const status = (await world.run({ retries })).get(project) as StoredStatus
        const { reason: code, message } = status.report
        assert.match(`${code}: ${message}`, reason)
        assert.equal(status.report.progressing, true, 'is tried again')
        assert.match(status.waits[0]?.todo ?? '', /space, rights and mounts/)
      }
    } finally {
      mend()
    }
    assert.ok((await errorsOf(project)).length - before <= entries, (await errorsOf(project)).join())
    assert.equal(phaseOf((await world.run()).get(project)), phase)
  }

  async function disclosed(project: string): Promise<void> {
    await world.ask(project, tables)
    await world.run()
    assert.equal((await world.signOff('dana', project)).code, 0)
    await world.run()
    assert.equal((await world.disclose('dana', project)).code, 0)
    await world.run({ stopAfter: ({ name }, { action }) => name === project && action === 'close' })
  }

  const end = async (reason: string, ...projects: string[]) => {
    const { 'repositories.yaml': repositories = [], 'stores.yaml': stores = [] } = world.platform()
    const withSpec = (documents: unknown[], more: object) =>
      (documents as { spec: object }[]).map(one => ({ ...one, spec: { ...one.spec, ...more } }))
    await world.declare({
      'repositories.yaml': withSpec(repositories, { ended: projects.map(project => ({ project, reason })) }),
      'stores.yaml': withSpec(stores, { deletion: { policy: 'Delete', afterDays: 0 } }),
    })
  }

  it('that is full in staging while a transfer writes is said, and got over', async () => {
    await world.ask('staged', tables)
    await world.run()
    assert.equal((await world.signOff('dana', 'staged')).code, 0)
    await survives('staged', { broken: () => fill(at('staging')), reason: /^StoreFailed: .*ENOSPC/, phase: 'Staged' })
    assert.deepEqual(leftovers(at('staging')), [])
    await assertSoundLog(world, 'staged')
  })

  it('that is full in production while a release is copied there leaves nothing half, and is got over', async () => {
    await disclosed('full')
    await survives('full', {
      broken: () => {
        const mend = fill(at('production'))
        return () => {
          assert.equal(existsSync(world.release('full')), false)
          assert.deepEqual(leftovers(at('production')), [])
          mend()
        }
      },
      reason: /^StoreFailed: .*ENOSPC/,
      phase: 'Published',
    })
    await assertPublished(world, 'full')
  })

  it('that becomes read-only while a release is taken back is said, and access goes as soon as it can', async () => {
    await end('the agreement was terminated', 'full')
    await survives('full', {
      broken: () => {
        remount(at('production'), 'ro')
        return () => remount(at('production'), 'rw')
      },
      reason: /^StoreFailed: .*EROFS/,
      phase: 'Withdrawn',
    })
    assert.equal(existsSync(world.release('full')), false)
    assert.equal(existsSync(at('production/.revoked/full/1')), false)
    const { length } = (await world.steps('full')).filter(step => step === 'revoke done' || step === 'destroy done')
    assert.equal(length, 2)
    await assertSoundLog(world, 'full')
  })

  it('that is full does not keep a release from being taken back and destroyed', async () => {
    await disclosed('brimming')
    assert.equal(phaseOf((await world.run()).get('brimming')), 'Published')
    await end('the agreement was terminated', 'brimming', 'full')
    const mend = [fill(at('production')), fill(at('staging'))]
    try {
      const status = (await world.run()).get('brimming')
      assert.equal(existsSync(world.release('brimming')), false, 'access is gone')
      assert.equal(phaseOf(status), 'Withdrawn')
    } finally {
      for (const done of mend) done()
    }
    await world.run()
    assert.equal(existsSync(at('production/.revoked/brimming/1')), false)
    await assertSoundLog(world, 'brimming')
  })

  it('that becomes read-only once a release was copied is said, and what is left in staging goes later', async () => {
    await disclosed('copied')
    remount(at('staging'), 'ro')
    try {
      for (const _ of [1, 2]) {
        const { reason, message } = (await world.run()).get('copied')?.report ?? {}
        assert.match(`${reason}: ${message}`, /^StoreFailed: removing .*EROFS/)
      }
      assert.deepEqual(await errorsOf('copied'), ['error StoreFailed'])
    } finally {
      remount(at('staging'), 'rw')
    }
    assert.equal(phaseOf((await world.run()).get('copied')), 'Published')
    await assertPublished(world, 'copied')
  })

  it('that is full under the working folder stops the command with a reason, and loses nothing', async () => {
    await world.ask('working', tables)
    const mend = fill(at('work'))
    try {
      for (const _ of [1, 2]) {
        const { code, out, err } = await startCommand(world.config, 'reconcile', 'working', '--once').ended
        assert.equal(code, 3, `${out}${err}`)
        assert.match(err, /the disk refuses: .*ENOSPC \[FolderUnreadable\]\n {2}Check the disk and the rights/)
      }
    } finally {
      mend()
    }
    const { code, out, err } = await startCommand(world.config, 'reconcile', 'working').ended
    assert.equal(code, 1, err)
    assert.match(out, /^working: Validated\./)
    assert.deepEqual(leftovers(at('work')), [])
    await assertSoundLog(world, 'working')
    await assertVerifies(world, await world.auditor())
  })

  it('that is read-only under the working folder stops the command with a reason', async () => {
    await world.ask('locked', tables)
    remount(at('work'), 'ro')
    try {
      const { code, out, err } = await startCommand(world.config, 'reconcile', 'locked', '--once').ended
      assert.equal(code, 3, `${out}${err}`)
      assert.match(err, /the disk refuses: .*EROFS \[FolderUnreadable\]/)
    } finally {
      remount(at('work'), 'rw')
    }
    assert.equal(phaseOf((await world.run()).get('locked')), 'Validated')
  })
})
