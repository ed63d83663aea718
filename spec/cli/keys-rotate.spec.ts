/** The controller's key is shown and rotated, a lost controller's step taken over; and what was recorded stays proven. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { holdFolder } from '../../controller/cli/hold.ts'
import { runCommand } from '../../controller/cli/run.ts'
import { git } from '../support/people.ts'
import { costs, phaseOf, World } from '../support/world.ts'
import { verdictOf } from '../verify/forge.ts'

const branch = 'refs/heads/cratewright/records'
const oneTable = [{ name: 'money', tables: [costs] }]

describe('a controller whose key is rotated', () => {
  let world: World
  let fingerprint: string

  before(async () => {
    world = await World.make()
    await world.commit('rob', world.requestFiles('early', oneTable))
    await approve('early')
    const made = await world.cratewright('keys', 'make', join(world.folder, 'next-key'), '--json')
    fingerprint = (JSON.parse(made.out) as { fingerprint: string }).fingerprint
  })

  async function approve(project: string): Promise<void> {
    await world.run()
    assert.equal((await world.signOff('dana', project)).code, 0)
    await world.run()
    assert.equal((await world.disclose('dana', project)).code, 0)
    assert.equal(phaseOf((await world.run()).get(project)), 'Published')
  }

  const old = () => world.controller.key.public.fingerprint
  const tip = () => git(world.bare('projects'), 'rev-parse', branch)
  const rotate = (...more: string[]) =>
    world.cratewright('keys', 'rotate', '--new', join(world.folder, 'next-key'), ...more)

  it('shows its key, its root and what each Repository declares', async () => {
    const { code, out } = await world.cratewright('keys', 'show')
    assert.equal(code, 0)
    assert.match(out, new RegExp(`fingerprint  ${old().replaceAll(/[+/]/g, '.')}`))
    assert.match(out, new RegExp(`root         ${world.root}`))
    assert.match(
      out,
      /Repository projects: records at [0-9a-f]{40}\n {2}declared root .*\n {2}declared signer .*\n {2}signs now/,
    )
  })

  it('is not rotated while another process holds its folder, without a new key, or to the same', async () => {
    const before = await tip()
    const hold = await holdFolder(join(world.folder, 'work'))
    assert.equal((await rotate()).code, 1)
    await hold.release()
    assert.equal((await world.cratewright('keys', 'rotate')).code, 2)
    assert.equal((await world.cratewright('keys', 'rotate', '--new', world.controller.keyFile)).code, 2)
    assert.equal(await tip(), before)
  })

  it('says what to run when the configuration has the new key and the records do not know it', async () => {
    const before = await tip()
    const elsewhere = join(world.folder, 'elsewhere.yaml')
    await git(world.folder, 'init', '--quiet', join(world.folder, 'nowhere'))
    const { readFileSync, writeFileSync } = await import('node:fs')
    writeFileSync(elsewhere, readFileSync(world.config, 'utf8').replace('people/controller/key', 'next-key'))
    const statuses = await world.run({ config: elsewhere })
    const { waits } = statuses.get('early') ?? {}
    assert.equal(waits?.[0]?.reason, 'RecordForged')
    assert.match(waits?.[0]?.todo ?? '', /cratewright keys rotate/)
    assert.equal(await tip(), before)
  })

  it('is rotated in place, once, however often it is asked', async () => {
    const first = await rotate()
    assert.equal(first.code, 0, first.err)
    assert.match(first.out, /Repository projects: rotated\n.*controller\.key/)
    const after = await tip()
    const again = await rotate('--in-place')
    assert.match(again.out, /Repository projects: rotated before\nThe new key is in place/)
    assert.equal(await tip(), after)
    const files = readdirSync(join(world.folder, 'people/controller')).filter(name => name.includes('retired'))
    assert.equal(files.filter(name => !name.endsWith('.pub')).length, 1)
    const shown = await world.cratewright('keys', 'show')
    assert.match(shown.out, /rotated +SHA256:\S+ to SHA256:/)
    assert.match(shown.out, new RegExp(`signs now +${fingerprint.replaceAll(/[+/]/g, '.')}`))
  })

  it('goes on with the new key, and old and new releases are proven by either fingerprint', async () => {
    await world.commit('rob', world.requestFiles('late', oneTable))
    await approve('late')
    const auditor = await world.auditor('rotated')
    for (const root of [old(), fingerprint]) {
      const { code, verdict, bad, unchecked } = await verdictOf(world, auditor, '--root', root)
      assert.deepEqual({ code, verdict, bad, unchecked }, { code: 0, verdict: 'proven', bad: [], unchecked: [] })
    }
    const { out } = await world.cratewright('verify', auditor)
    assert.match(out, /note: commit [0-9a-f]{40}: the key \S+ was rotated to \S+ at /)
    const stranger = world.people.eve.key.public.fingerprint
    assert.equal((await verdictOf(world, auditor, '--root', stranger)).code, 2)
  })
})

describe('a controller that is gone for good', () => {
  it('leaves a step that another takes over when a person says so, which is noted, and proven', async () => {
    const world = await World.make()
    await world.commit('rob', world.requestFiles('left', oneTable))
    await world.run({
      inspect: async ({ recorder, store }) => {
        const resource = store.get('requests.cratewright.dev/DataAccessRequest/projects/left')
        assert.ok(resource)
        const { commits } = store.snapshot()
        const at = { platform: commits.get('platform')!, projects: commits.get('projects')! }
        // As if it had been killed in the middle: begun, and no outcome.
        const signal = new AbortController().signal
        const {
          digests = {},
          generation = 1,
          release = 1,
        } = (await recorder.history(resource, signal))?.entries[0] ?? {}
        const begun = { action: 'validate', event: 'started', commits: at, digests, generation, release } as const
        await recorder.append(resource, [begun], signal)
      },
      stopAfter: (_, step) => step.action === 'create',
    })
    rmSync(join(world.folder, 'work'), { recursive: true })
    const held = await world.cratewright('reconcile', 'left', '--once')
    assert.equal(held.code, 1)
    assert.match(held.out, /started by another controller[\s\S]*--take-over/)
    const asked: string[] = []
    const answer = (yes: boolean) =>
      runCommand(['reconcile', 'left', '--once', '--take-over', '--config', world.config], {
        out: () => {},
        err: () => {},
        interactive: true,
        env: {},
        ask: async question => {
          asked.push(question)
          return yes
        },
        signal: new AbortController().signal,
      })
    assert.equal(await answer(false), 1)
    assert.deepEqual(await world.steps('left'), ['create noted', 'validate started'])
    await answer(true)
    assert.equal(asked.length, 2)
    assert.deepEqual((await world.steps('left')).slice(1, 4), ['validate started', 'take-over noted', 'validate done'])
    const [, begun, taken] = await world.log('left')
    assert.deepEqual(taken?.facts, { from: begun?.instance, to: taken?.instance })
    const auditor = await world.auditor()
    const { out, code } = await world.cratewright('verify', auditor)
    assert.equal(code, 0, out)
    assert.match(out, /note: projects\/left\/log\/000003-take-over-noted\.json: instance \S+ took over/)
  })

  it('leaves its memory in the stores: a new working folder notices a branch that was set back', async () => {
    const world = await World.make()
    await world.commit('rob', world.requestFiles('kept', oneTable))
    await world.run()
    assert.ok(existsSync(join(world.folder, 'staging/.cratewright/tips/projects.json')))
    rmSync(join(world.folder, 'work'), { recursive: true })
    const bare = world.bare('projects')
    const tip = await git(bare, 'rev-parse', branch)
    const back = await git(bare, 'rev-parse', `${branch}~1`)
    await git(bare, 'update-ref', branch, back)
    const refused = await world.run()
    assert.equal(refused.get('kept')?.report.reason, 'RecordsRewritten')
    assert.equal(refused.get('projects')?.report.reason, 'RecordsRewritten')
    assert.equal(await git(bare, 'rev-parse', branch), back)
    const platform = world.platform()
    const [repository] = platform['repositories.yaml'] as [{ spec: { records: object } }]
    const records = { ...repository.spec.records, accept: back }
    await world.declare({ 'repositories.yaml': [{ ...repository, spec: { ...repository.spec, records } }] })
    const accepted = await world.run()
    assert.equal(accepted.get('kept')?.report.reason, 'WaitingForSignOff')
    const { code, out } = await world.cratewright('verify', await world.auditor())
    assert.equal(code, 0, out)
    assert.match(out, new RegExp(`the branch had lost ${tip}, and was accepted at ${back}`))
  })
})

describe('a vandal on the records branch', () => {
  it('is told of on the Repository, work goes on, and verify names what was undone', async () => {
    const world = await World.make()
    await world.commit('rob', world.requestFiles('calm', oneTable))
    await world.run()
    const bare = world.bare('projects')
    const vandal = join(world.folder, 'vandal')
    await git(world.folder, 'clone', '--quiet', '--branch', 'cratewright/records', bare, vandal)
    const entry = 'projects/calm/log/000001-create-noted.json'
    await git(vandal, 'rm', '--quiet', entry)
    await git(vandal, '-c', 'user.name=v', '-c', 'user.email=v@v', 'commit', '--quiet', '-m', 'x')
    await git(vandal, 'push', '--quiet')
    const forged = await git(bare, 'rev-parse', branch)
    const unanswered = await world.auditor('during')
    assert.equal((await world.cratewright('verify', unanswered)).code, 2)
    assert.equal((await world.signOff('dana', 'calm')).code, 3, 'nothing is signed on top of what nobody wrote')
    await world.run()
    assert.equal((await world.signOff('dana', 'calm')).code, 0)
    const statuses = await world.run()
    assert.equal(phaseOf(statuses.get('calm')), 'Staged')
    const { ready, reason, message } = statuses.get('projects')?.report ?? {}
    assert.deepEqual([ready, reason], [true, 'RecordForged'])
    assert.match(
      message ?? '',
      new RegExp(`commit ${forged} on refs/heads/cratewright/records did not come from the controller`),
    )
    const { code, out, err } = await world.cratewright('verify', await world.auditor('after'))
    assert.equal(code, 0, out + err)
    assert.match(out, new RegExp(`note: commit ${forged}: is not signed: it was undone by [0-9a-f]{40}`))
  })
})
