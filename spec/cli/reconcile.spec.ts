import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { holdFolder } from '../../controller/cli/hold.ts'
import { patients, visits, World } from '../support/world.ts'
import { spawned } from './command-line.ts'

interface Answer {
  readonly requests: readonly {
    readonly name: string
    readonly phase: string
    readonly ready: boolean
    readonly waits: readonly { readonly reason: string }[]
  }[]
  readonly problems: readonly { readonly message: string }[]
}

const datasets = [{ name: 'cohort', tables: [patients, visits] }]
const governance = (project: string) => `projects/${project}/resources/governance/cr8-governance.yaml`

describe('reconcile', () => {
  it('stops after each phase, and its exit code says whether the phase was reached', async () => {
    const world = await World.make()
    const until = async (phase: string) => {
      const { code, out } = await world.cratewright('reconcile', 'asthma', '--until', phase, '--json')
      const { requests } = JSON.parse(out) as Answer
      assert.deepEqual(
        requests.map(({ name }) => name),
        ['asthma'],
      )
      return `${code} ${requests[0]?.phase}`
    }
    await world.ask('asthma', datasets)
    await world.ask('wards', datasets)
    assert.equal(await until('create'), '0 Created')
    assert.equal(await until('validate'), '0 Validated')
    assert.equal(await until('validate'), '0 Validated')
    assert.equal(await until('sign-off'), '1 Validated')
    assert.equal(await until('publish'), '1 Validated')
    await world.signOff('dana', 'asthma')
    assert.equal(await until('sign-off'), '0 SignedOff')
    assert.equal(existsSync(join(world.folder, 'staging/asthma')), false)
    assert.equal(await until('stage-transfer'), '0 Staged')
    assert.equal(await until('disclosure'), '1 Staged')
    await world.disclose('dana', 'asthma')
    assert.equal(await until('disclosure'), '0 Disclosed')
    assert.equal(existsSync(world.release('asthma')), false)
    assert.equal(await until('publish'), '0 Published')
    assert.ok(existsSync(join(world.release('asthma'), 'bagit.txt')))
    assert.equal(await until('validate'), '0 Published')
    assert.deepEqual(await world.steps('wards'), [], 'nothing is done for a request that was not named')

    const { code, out, err } = await world.cratewright('reconcile', 'asthma')
    assert.deepEqual({ code, out, err }, { code: 0, out: 'asthma: Published. release 1 is published', err: '' })
  })

  it('does everything for each request, and says of all what the worst is', async () => {
    const world = await World.make()
    await world.ask('asthma', datasets)
    const broken = world.requestFiles('broken', datasets)
    await world.commit('rob', { ...broken, [governance('broken')]: `${broken[governance('broken')]}purpos: x\n` })
    const { code, out } = await world.cratewright('reconcile')
    assert.equal(code, 2)
    assert.match(out, /^asthma: Validated\. .*1 more approval needed, from dana\n {2}An approver runs/m)
    assert.match(
      out,
      new RegExp(`^broken: Requested\\. ${governance('broken')}:\\d+:1: purpos is not a known field\n {2}\\S`, 'm'),
    )
    assert.equal((await world.cratewright('reconcile', 'asthma')).code, 1)
    assert.equal((await world.cratewright('reconcile', 'broken')).code, 2)

    await world.signOff('dana', 'asthma')
    await world.cratewright('reconcile')
    await world.disclose('dana', 'asthma')
    const last = await world.cratewright('reconcile', '--json')
    assert.equal(last.code, 2, 'one bad request does not become good by its neighbour')
    const { requests } = JSON.parse(last.out) as Answer
    assert.deepEqual(
      requests.map(({ name, phase, ready }) => ({ name, phase, ready })),
      [
        { name: 'asthma', phase: 'Published', ready: true },
        { name: 'broken', phase: 'Requested', ready: false },
      ],
    )
  })

  it('says which project there is not, and does not mistake a pattern for one', async () => {
    const world = await World.make()
    await world.ask('asthma', datasets)
    for (const name of ['absent', '*', 'asth*']) {
      const { code, out, err } = await world.cratewright('reconcile', name, '--json')
      assert.deepEqual({ code, out }, { code: 2, out: '' })
      assert.ok(err.includes(`no request ${name} is on the watched branch [DocumentMissing]\n  Check`), err)
    }
  })

  it('fails with 3 where the source is down; --once does not try again', async () => {
    const world = await World.make()
    await world.ask('asthma', datasets)
    const [connection] = world.platform()['sources.yaml'] as [{ spec: object }]
    await world.declare({ 'sources.yaml': [{ ...connection, spec: { ...connection.spec, port: 1 } }] })
    const begun = performance.now()
    const { code, out } = await world.cratewright('reconcile', 'asthma', '--once')
    assert.equal(code, 3, out)
    assert.match(out, /^asthma: Created\. .*127\.0\.0\.1:1/)
    assert.ok(performance.now() - begun < 10_000)
    assert.deepEqual(await world.steps('asthma'), ['create noted', 'validate started', 'error noted'])
    await world.declare({ 'sources.yaml': [connection] })
    assert.equal((await world.cratewright('reconcile', 'asthma', '--until', 'validate', '--once')).code, 0)
    assert.deepEqual(await world.steps('asthma'), ['create noted', 'validate started', 'error noted', 'validate done'])
  })

  it('applies no platform commit that is not signed, and says so', async () => {
    const world = await World.make()
    await world.ask('asthma', datasets)
    await world.declare({ 'approvers.yaml': [] }, { sign: false })
    for (const verb of ['reconcile', 'plan']) {
      const { out, err } = await world.cratewright(verb, 'asthma')
      assert.match(out, /group governance: 1 more approval needed, from dana/, 'what was signed before stays in force')
      assert.match(
        err,
        /platform: commit [0-9a-f]{40} .* has no good SSH signature: it is not applied \[UntrustedCommit\]/,
      )
    }
    for (const argv of [['get'], ['explain', 'asthma']]) assert.equal((await world.cratewright(...argv)).code, 0)
  })

  it('ends with 1 while another process holds the folder, and asks it to look', async () => {
    const world = await World.make()
    let looks = 0
    const hold = await holdFolder(join(world.folder, 'work'), () => looks++)
    const { code, out, err } = await world.cratewright('reconcile', '--json')
    assert.deepEqual({ code, out }, { code: 1, out: '' })
    for (const deadline = Date.now() + 5_000; looks === 0 && Date.now() < deadline; ) await setTimeout(10)
    assert.equal(looks, 1)
    assert.match(err, /it was asked to look now\.\n.* holds .*work \[FolderHeld\]/)
    await hold.release()
    assert.equal((await world.cratewright('reconcile', '--json')).code, 0)
  })

  it('writes one JSON document on stdout as a program, logs and progress on stderr only', async () => {
    const world = await World.make()
    await world.ask('asthma', datasets)
    const { code, out } = await spawned(['reconcile', '--json'], { cwd: world.folder })
    assert.equal(code, 1)
    const { requests, problems } = JSON.parse(out) as Answer
    assert.deepEqual(
      [requests[0]?.phase, requests[0]?.waits[0]?.reason, problems],
      ['Validated', 'WaitingForSignOff', []],
    )
  })
})
