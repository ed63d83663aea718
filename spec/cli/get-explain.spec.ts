import assert from 'node:assert/strict'
import { join } from 'node:path'
import { holdFolder } from '../../controller/cli/hold.ts'
import { git } from '../support/people.ts'
import { patients, World } from '../support/world.ts'
import { traces } from './command-line.ts'

interface Status {
  readonly kind: string
  readonly name: string
  readonly detail: { readonly phase?: string }
  readonly waits: readonly { readonly reason: string }[]
}

describe('get and explain', () => {
  let world: World
  const cohort = { name: 'cohort', tables: [patients] }
  const governance = 'projects/broken/resources/governance/cr8-governance.yaml'
  let brokenLine: number

  before(async () => {
    world = await World.make()
    const broken = world.requestFiles('broken', [cohort])
    brokenLine = broken[governance]?.split('\n').length ?? 0
    await world.commit('rob', {
      ...world.requestFiles('asthma', [cohort]),
      ...world.requestFiles('ignored', [cohort], {
        governance: { project: { name: 'ignored', description: 'Old', id: 'x', start_time: '2020-01-01' } },
      }),
      ...broken,
      [governance]: `${broken[governance]}purpos: none\n`,
    })
    await world.run()
    // His key, his name, and still no approval: he asked for it.
    assert.equal((await world.signOff('rob', 'asthma', '--as', 'rob')).code, 0)
    await world.run()
  })

  it('get lists each request, whether it is ready, its phase and why', async () => {
    const { code, out, err } = await world.cratewright('get')
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    const [head, ...rows] = out.split('\n').map(line => line.split(/ {2,}/))
    assert.deepEqual(head, ['KIND', 'NAME', 'READY', 'PHASE', 'MESSAGE'])
    assert.deepEqual(
      rows.map(row => row.slice(0, 4)),
      [
        ['DataAccessRequest', 'asthma', 'False', 'Validated'],
        ['DataAccessRequest', 'broken', 'False', 'Requested'],
        ['DataAccessRequest', 'ignored', 'False', 'Validated'],
      ],
    )
    assert.match(rows[0]?.[4] ?? '', /1 more approval needed, from dana$/)
    assert.match(rows[1]?.[4] ?? '', new RegExp(`${governance}:${brokenLine}:1: purpos is not a known field`))
    const widths = out.split('\n').map(line => line.indexOf(line.split(/ {2,}/)[1] ?? ''))
    assert.equal(new Set(widths).size, 1, 'columns line up')
  })

  it('get takes a kind, in one or many, and a name', async () => {
    const names = async (...argv: string[]) =>
      (JSON.parse((await world.cratewright('get', ...argv, '--json')).out) as Status[]).map(
        ({ kind, name }) => `${kind}/${name}`,
      )
    const requests = ['DataAccessRequest/asthma', 'DataAccessRequest/broken', 'DataAccessRequest/ignored']
    for (const what of ['requests', 'request', 'dataaccessrequests', 'DataAccessRequest'])
      assert.deepEqual(await names(what), requests)
    assert.deepEqual(await names('requests', 'asthma'), ['DataAccessRequest/asthma'])
    assert.deepEqual(await names('persons'), ['Person/ada', 'Person/dana', 'Person/rob'])
    const all = await names('all')
    for (const one of [...requests, 'FileStore/lsc', 'Repository/projects', 'SourceConnection/warehouse'])
      assert.ok(all.includes(one), one)
  })

  it('get --json is one document, also of nothing', async () => {
    const { out, err } = await world.cratewright('get', '--json')
    assert.equal(err, '')
    const [asthma] = JSON.parse(out) as Status[]
    assert.deepEqual([asthma?.detail.phase, asthma?.waits[0]?.reason], ['Validated', 'WaitingForSignOff'])
    assert.deepEqual(JSON.parse((await world.cratewright('get', 'requests', 'absent', '--json')).out), [])
    const nothing = await world.cratewright('get', 'requests', 'absent')
    assert.deepEqual({ code: nothing.code, out: nothing.out }, { code: 0, out: '' })
    assert.match(nothing.err, /Nothing found/)
  })

  it('explain says on whom a request waits, since when, and which statement does not count, and why', async () => {
    const { code, out, err } = await world.cratewright('explain', 'asthma')
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    assert.match(
      out,
      /^asthma is Validated \(release 1, generation 1\)\.\n {2}Not ready since \d{4}-\d\d-\d\dT[\d:.]+Z\.\n/,
    )
    assert.match(
      out,
      /^Waiting: group governance: 1 more approval needed, from dana \[WaitingForSignOff\]\n {2}To do: .*cratewright sign-off asthma/m,
    )
    assert.match(
      out,
      /^Statement of rob does not count: sign-offs\/[0-9a-f]{16}\/sign-off-rob\.yaml\n {2}Because .*nobody approves their own request/m,
    )
    assert.match(out, /^Then: stage-transfer: /m)
  })

  it('explain places what is wrong, and says what to do', async () => {
    const { code, out } = await world.cratewright('explain', 'broken')
    assert.equal(code, 0)
    assert.match(
      out,
      new RegExp(`: ${governance}:${brokenLine}:1: purpos is not a known field.*\n {2}To do: .*\`purpose\``),
    )
    assert.equal(out.split('purpos is not a known field').length - 1, 1, 'once')
  })

  it('explain names the fields that have no effect, with their places', async () => {
    const { out } = await world.cratewright('explain', 'ignored')
    for (const field of ['id', 'start_time'])
      assert.match(
        out,
        new RegExp(
          `^Warning: projects/ignored/resources/governance/cr8-governance.yaml:\\d+:\\d+: project\\.${field} has no effect: `,
          'm',
        ),
      )
    assert.doesNotMatch(out, /^Wrong:/m)
  })

  it('explain --json is one document, and unknown projects are told apart from silence', async () => {
    const [asthma, ...more] = JSON.parse((await world.cratewright('explain', 'asthma', '--json')).out) as Status[]
    assert.deepEqual([asthma?.name, more], ['asthma', []])
    const unknown = await world.cratewright('explain', 'absent', '--json')
    assert.deepEqual({ code: unknown.code, out: unknown.out }, { code: 1, out: '[]' })
    assert.match(unknown.err, /Nothing is known of absent/)
  })

  it('both work while another process holds the folder, from anywhere, and write nothing', async () => {
    const before = await traces(world)
    const hold = await holdFolder(join(world.folder, 'work'))
    try {
      for (const argv of [['get'], ['explain', 'asthma']]) assert.equal((await world.cratewright(...argv)).code, 0)
      world.writeConfig('elsewhere', join(world.folder, 'other.yaml'))
      const other = await world.cratewright('explain', 'asthma', '--config', join(world.folder, 'other.yaml'))
      assert.equal(other.out, (await world.cratewright('explain', 'asthma')).out)
    } finally {
      await hold.release()
    }
    assert.deepEqual(await traces(world), before)
  })

  it('both hold no secret', async () => {
    for (const argv of [
      ['get', 'all', '--json'],
      ['explain', 'asthma', '--json'],
    ]) {
      const { out, err } = await world.cratewright(...argv)
      assert.doesNotMatch(out + err, /canary-password/)
    }
  })

  it('both believe nobody but the declared signers', async () => {
    const clone = world.clone('eve')
    await git(clone, 'fetch', '--quiet', 'origin', 'cratewright/records')
    const before = await git(clone, 'rev-parse', 'FETCH_HEAD')
    await git(clone, 'checkout', '--quiet', '--detach', 'FETCH_HEAD')
    await git(clone, 'commit', '--quiet', '--allow-empty', '-m', 'forged')
    await git(clone, 'push', '--quiet', 'origin', 'HEAD:cratewright/records')
    try {
      for (const argv of [['get'], ['explain', 'asthma']]) {
        const { code, out, err } = await world.cratewright(...argv)
        assert.deepEqual({ code, out }, { code: 3, out: '' })
        assert.match(err, /\[RecordForged\]/)
      }
    } finally {
      await git(clone, 'push', '--quiet', '--force', 'origin', `${before}:refs/heads/cratewright/records`)
    }
  })
})
