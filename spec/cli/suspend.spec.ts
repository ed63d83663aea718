import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { git } from '../support/people.ts'
import { patients, World } from '../support/world.ts'

const datasets = [{ name: 'cohort', tables: [patients] }]

describe('suspend, resume and freeze', () => {
  let world: World
  before(async () => {
    world = await World.make()
    await world.ask('asthma', datasets)
    await world.ask('lung', datasets)
  })

  const admin = (...argv: string[]) =>
    world.cratewright(...argv, '--clone', world.clone('ada', 'platform'), '--key', world.people.ada.keyFile)
  const platformFile = (name: string) => join(world.clone('ada', 'platform'), name)
  const reconcile = async (project: string, ...more: string[]) => {
    const { code, out } = await world.cratewright('reconcile', project, ...more)
    return `${code} ${out.split('\n')[0]}`
  }

  it('halts one request by a signed commit in the admin’s clone, and no other; explain says who and why', async () => {
    const file = platformFile('repositories.yaml')
    const before = readFileSync(file, 'utf8')
    const { code, out, err } = await admin('suspend', 'asthma', '--reason', 'The agreement: a "second" look', '--push')
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    assert.equal(out, 'Suspend asthma of Repository projects: The agreement: a "second" look.\nPushed.')
    const after = readFileSync(file, 'utf8')
    assert.ok(after.startsWith(before.trimEnd().split('records:')[0] ?? ''), 'what stood there is there as it was')
    assert.match(await git(world.clone('ada', 'platform'), 'log', '-1', '--format=%s%n%G?'), /^Suspend asthma/)
    assert.match(
      await reconcile('asthma'),
      /^1 asthma: Requested\. it is suspended by ada since \d{4}-\S+Z: The agreement: a "second" look$/,
    )
    assert.deepEqual(await world.steps('asthma'), [])
    assert.match(await reconcile('lung', '--until', 'validate'), /^0 lung: Validated/)
    const explained = await world.cratewright('explain', 'asthma')
    assert.match(
      explained.out,
      /^Waiting: it is suspended by ada .* look \[Suspended\]\n {2}To do: Wait\. .*cratewright resume/m,
    )
    assert.match(explained.out, /^Next: give the request an id and begin its log$/m, 'the plan stays visible')
    const planned = await world.cratewright('plan', 'asthma')
    assert.match(planned.out, /it is suspended by ada/)
  })

  it('does nothing twice: what is suspended already stays so, with its first reason', async () => {
    const head = await git(world.clone('ada', 'platform'), 'rev-parse', 'HEAD')
    const { code, out } = await admin('suspend', 'asthma', '--reason', 'again', '--push')
    assert.deepEqual({ code, out }, { code: 0, out: 'asthma is suspended already: The agreement: a "second" look.' })
    assert.equal(await git(world.clone('ada', 'platform'), 'rev-parse', 'HEAD'), head)
  })

  it('lets it go on where it stopped', async () => {
    const { code, out } = await admin('resume', 'asthma', '--push', '--json')
    assert.equal(code, 0)
    const answer = JSON.parse(out) as { done: string; files: string[]; commit: string; pushed: boolean }
    assert.deepEqual(
      { ...answer, commit: answer.commit.length },
      { done: 'Resume asthma of Repository projects', files: ['repositories.yaml'], commit: 40, pushed: true },
    )
    assert.ok(!readFileSync(platformFile('repositories.yaml'), 'utf8').includes('suspended'))
    assert.match(await reconcile('asthma'), /^1 asthma: Validated/)
  })

  it('halts a whole Repository by an annotation of its manifest', async () => {
    assert.equal((await admin('suspend', 'Repository/projects', '--reason', 'it moves', '--push')).code, 0)
    await world.signOff('dana', 'asthma')
    assert.match(await reconcile('asthma'), /^1 asthma: Validated\. Repository projects is suspended: it moves$/)
    const wrong = await admin('suspend', 'Person/dana', '--reason', 'x')
    assert.equal(wrong.code, 2)
    assert.match(wrong.err, /nothing is done for a Person.*\n.*freeze/)
    assert.equal((await admin('resume', 'Repository/projects', '--push')).code, 0)
    assert.ok(!readFileSync(platformFile('repositories.yaml'), 'utf8').includes('annotations'))
    assert.match(await reconcile('asthma', '--until', 'sign-off'), /^0 asthma: SignedOff/)
  })

  it('freezes everything with one file, and says so of every request', async () => {
    const { code, out } = await admin('freeze', '--reason', 'A key may be stolen', '--push')
    assert.deepEqual({ code, out }, { code: 0, out: 'Freeze everything: A key may be stolen.\nPushed.' })
    for (const project of ['asthma', 'lung'])
      assert.match(
        await reconcile(project),
        /^1 \w+: \w+\. everything is frozen by ada since \S+: A key may be stolen$/,
      )
    assert.ok(!existsSync(join(world.folder, 'staging/asthma')), 'nothing is extracted')
    const shown = await world.cratewright('get', 'all')
    assert.match(shown.out, /^Freeze +platform +True +- +everything is frozen: A key may be stolen$/m)
    assert.equal((await admin('freeze', '--reason', 'again')).out, 'Everything is frozen already, by freeze.yaml.')
  })

  it('lifts the freeze, and work goes on', async () => {
    assert.equal((await admin('resume', '--all', '--push')).code, 0)
    assert.ok(!existsSync(platformFile('freeze.yaml')))
    assert.equal(await git(world.clone('ada', 'platform'), 'status', '--porcelain'), '')
    assert.match(await reconcile('asthma'), /^1 asthma: Staged/)
  })

  it('is noticed by a controller that runs, and so is its end', async () => {
    const frozen = { kind: 'Freeze', metadata: { name: 'platform' }, spec: { reason: 'an incident' } }
    const seen: (string | undefined)[] = []
    await world.run({
      inspect: async ({ controller, store }) => {
        const look = async () => {
          await controller.lookNow()
          await controller.settled({ retries: false })
          const key = store.keys().find(one => one.endsWith('/lung')) ?? ''
          seen.push(store.status(key)?.report.reason)
        }
        await look()
        await world.declare({ 'freeze.yaml': [frozen] })
        await look()
        await admin('resume', '--all', '--push')
        await look()
      },
    })
    assert.deepEqual(seen, ['WaitingForSignOff', 'Frozen', 'WaitingForSignOff'])
  })

  it('takes access away in spite of a freeze, and destroys nothing until it is lifted', async () => {
    await world.disclose('dana', 'asthma')
    assert.match(await reconcile('asthma'), /^0 asthma: Published/)
    assert.ok(existsSync(world.release('asthma')))
    const repositories = world.platform()['repositories.yaml'] as { spec: object }[]
    const ended = repositories.map(one => ({
      ...one,
      spec: { ...one.spec, ended: [{ project: 'asthma', reason: 'The agreement was terminated.' }] },
    }))
    const frozen = { kind: 'Freeze', metadata: { name: 'platform' }, spec: { reason: 'an incident' } }
    await world.declare({ 'repositories.yaml': ended, 'freeze.yaml': [frozen] })
    const said = await reconcile('asthma')
    assert.ok(!existsSync(world.release('asthma')), said)
    const steps = await world.steps('asthma')
    assert.ok(steps.includes('withdraw noted') && steps.includes('revoke done'), steps.join(', '))
    assert.ok(!steps.some(step => step.startsWith('destroy')))
  })

  const refused: readonly [string, readonly string[], RegExp][] = [
    ['no reason', ['suspend', 'asthma'], /--reason/],
    ['a blank reason', ['freeze', '--reason', ' '], /--reason/],
    ['nothing to suspend', ['suspend', '--reason', 'x'], /Kind\/name/],
    ['a name that is none', ['suspend', 'As thma', '--reason', 'x'], /neither a project nor Kind\/name/],
    ['a resource that is nowhere', ['suspend', 'Repository/other', '--reason', 'x'], /declared nowhere/],
    [
      'a Repository that is nowhere',
      ['suspend', 'asthma', '--repository', 'other', '--reason', 'x'],
      /declared nowhere/,
    ],
    ['what is not suspended', ['resume', 'lung'], /lung is not suspended/],
    ['a manifest that is not suspended', ['resume', 'Repository/projects'], /is not suspended/],
    ['both of two', ['resume', 'asthma', '--all'], /either --all/],
  ]
  for (const [what, argv, message] of refused) {
    it(`refuses ${what}, and commits nothing`, async () => {
      const head = await git(world.clone('ada', 'platform'), 'rev-parse', 'HEAD')
      const { code, err } = await admin(...argv)
      assert.equal(code, 2)
      assert.match(err, message)
      assert.equal(await git(world.clone('ada', 'platform'), 'rev-parse', 'HEAD'), head)
    })
  }

  it('refuses a clone that is not the platform’s, has changes in the file, or is behind', async () => {
    const elsewhere = await world.cratewright(
      ...['freeze', '--reason', 'x', '--clone', world.clone('ada'), '--key', world.people.ada.keyFile],
    )
    assert.match(elsewhere.err, /holds no manifest/)
    const file = platformFile('repositories.yaml')
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, `${text}# mine\n`)
    const dirty = await admin('suspend', 'lung', '--reason', 'x')
    assert.match(dirty.err, /repositories\.yaml has changes that are not committed/)
    assert.equal(readFileSync(file, 'utf8'), `${text}# mine\n`, 'and they are still there')
    writeFileSync(file, text)
    const clone = world.clone('ada', 'platform')
    await git(clone, 'branch', '--quiet', '--set-upstream-to=origin/main')
    await git(clone, 'reset', '--quiet', '--hard', 'HEAD~1')
    const behind = await admin('suspend', 'lung', '--reason', 'x')
    assert.match(behind.err, /is behind its origin.*\n.*git pull/)
    await git(clone, 'pull', '--quiet')
  })

  it('says that a commit may not count where the platform does not know the key', async () => {
    const { code, err } = await world.cratewright(
      ...['suspend', 'lung', '--reason', 'x', '--clone', world.clone('ada', 'platform')],
      ...['--key', world.people.eve.keyFile],
    )
    assert.equal(code, 0)
    assert.match(err, /No Person of the platform has this key/)
    assert.ok(!readFileSync(platformFile('repositories.yaml'), 'utf8').includes('by:'))
  })
})
