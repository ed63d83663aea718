import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { commitAll, git, writeTree } from '../support/people.ts'
import { patients, World } from '../support/world.ts'
import { traces } from './command-line.ts'

const records = 'cratewright/records'

describe('build', () => {
  let world: World
  before(async () => {
    world = await World.make()
    for (const project of ['asthma', 'lung']) await world.ask(project, [{ name: 'cohort', tables: [patients] }])
    await world.run()
    await world.signOff('dana', 'asthma')
    await world.run()
    await world.disclose('dana', 'asthma')
    await world.run()
  })

  const tree = () => git(world.bare('projects'), 'rev-parse', `${records}:projects`)

  /** Whoever has the controller's key changes what is derived: the log stays as it is. */
  async function spoil(change: (folder: string) => void): Promise<void> {
    const folder = join(world.folder, 'spoiler')
    rmSync(folder, { recursive: true, force: true })
    await git(world.folder, 'clone', '--quiet', '--branch', records, world.bare('projects'), folder)
    change(folder)
    await commitAll(folder, 'Bring up to date', world.controller)
    await git(folder, 'push', '--quiet', 'origin', `HEAD:refs/heads/${records}`)
  }

  it('--check finds nothing where everything follows from the log, and writes nothing', async () => {
    const before = await traces(world)
    const { code, out, err } = await world.cratewright('build', '--check')
    assert.deepEqual(
      { code, out, err },
      { code: 0, out: 'What follows from the log is as it has to be: 2 requests.', err: '' },
    )
    assert.deepEqual(await traces(world), before)
    assert.equal((await world.cratewright('build')).code, 0)
    assert.deepEqual((await traces(world)).projects, before.projects)
  })

  it('--check names what is changed, missing and too much, with exit code 2; build makes it again, byte for byte', async () => {
    const good = await tree()
    await spoil(folder => {
      writeTree(folder, {
        'projects/asthma/crate/ro-crate-metadata.json': '{}\n',
        'projects/asthma/releases/1/bag/data/note.txt': 'not from the log\n',
      })
      rmSync(join(folder, 'projects/lung/prepared/sign-off.yaml'))
    })
    assert.notEqual(await tree(), good)
    const expected = [
      ['projects/asthma/crate/ro-crate-metadata.json', 'changed'],
      ['projects/asthma/releases/1/bag/data/note.txt', 'does not follow from the log'],
      ['projects/lung/prepared/sign-off.yaml', 'missing'],
    ] as const
    const checked = await world.cratewright('build', '--check')
    assert.equal(checked.code, 2)
    assert.deepEqual(checked.out.split('\n'), [
      ...expected.map(([path, how]) => `${path}: ${how}`),
      '2 of 2 requests differ.',
    ])
    const one = await world.cratewright('build', 'lung', '--check', '--json')
    assert.equal(one.code, 2)
    const answer = JSON.parse(one.out) as { checked: number; written: boolean; differing: { files: object[] }[] }
    assert.deepEqual([answer.checked, answer.written, answer.differing.length], [1, false, 1])

    const built = await world.cratewright('build')
    assert.equal(built.code, 0, built.err)
    for (const [path, how] of expected) assert.ok(built.out.includes(`${path}: made again (${how})`), built.out)
    assert.equal(await tree(), good)
    assert.equal((await world.cratewright('build', '--check')).code, 0)
  })

  it('says that a request has no log', async () => {
    const { code, err } = await world.cratewright('build', 'unheard-of')
    assert.equal(code, 2)
    assert.match(err, /no request unheard-of has a log \[DocumentMissing\]/)
  })

  it('names a log that is not whole, and makes nothing from it', async () => {
    await spoil(folder => writeTree(folder, { 'projects/lung/log/000099-validate-noted.json': '{"not":"an entry"}\n' }))
    const { code, err } = await world.cratewright('build', '--check')
    assert.equal(code, 2, err)
    assert.match(err, /^lung: the log of lung is not whole.*\[RecordInvalid\]$/m)
  })
})
