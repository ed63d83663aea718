import assert from 'node:assert/strict'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCommit } from '../../controller/git/commit-object.ts'
import { generateKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { git, makePerson } from '../support/people.ts'
import { phaseOf, World } from '../support/world.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/drills.md'), 'utf8')
const branch = 'refs/heads/cratewright/records'

describe('drills', function () {
  this.timeout(180_000)
  const drilled: string[] = []
  let world: World

  /** A drill of the page, in a world of its own. */
  function drill(title: string, run: () => Promise<void>) {
    drilled.push(title)
    it(title, async () => {
      world = await World.make()
      await run()
    })
  }

  const tip = () => git(world.bare('projects'), 'rev-parse', branch)
  const verify = async () => {
    const clone = await world.auditor(`auditor-${drilled.length}-${Date.now()}`)
    return world.cratewright('verify', clone)
  }

  /** The platform's manifests with people and the projects Repository changed. */
  async function declare(change: { keys?: Record<string, string[]>; records?: object }): Promise<void> {
    const files = world.platform()
    for (const person of files['people.yaml'] as { metadata: { name: string }; spec: { keys: string[] } }[])
      person.spec.keys = change.keys?.[person.metadata.name] ?? person.spec.keys
    const [repository] = files['repositories.yaml'] as { spec: { records: object } }[]
    if (change.records) repository!.spec.records = { ...repository!.spec.records, ...change.records }
    await world.declare({ 'people.yaml': files['people.yaml']!, 'repositories.yaml': [repository] })
  }

  async function approve(project: string, key = world.people.dana.keyFile): Promise<void> {
    const said = await world.signOff('dana', project, '--key', key)
    assert.equal(said.code, 0, said.err)
  }

  const phase = async (project: string) => phaseOf((await world.run()).get(project))

  drill('An approver lost their key', async () => {
    await world.ask('waits')
    await world.walk('decided', 'Staged')
    await approve('waits')
    await declare({ keys: { dana: [] } })
    assert.equal(await phase('waits'), 'Validated')
    assert.equal(await phase('decided'), 'Staged')
    const next = makePerson('dana', join(world.folder, 'people/dana-next'))
    const proof = await world.cratewright('keys', 'prove', '--person', 'dana', '--key', next.keyFile)
    const file = join(world.folder, 'proof.txt')
    writeFileSync(file, proof.out)
    const check = (key: string) => world.cratewright('keys', 'check', file, '--person', 'dana', '--key', key)
    assert.equal((await check(next.publicKey)).code, 0)
    assert.equal((await check(generateKey('x').public.trim())).code, 2)
    await declare({ keys: { dana: [next.publicKey] } })
    assert.equal(await phase('waits'), 'Validated')
    await approve('waits', next.keyFile)
    assert.equal(await phase('waits'), 'Staged')
    assert.equal((await verify()).code, 0)
  })

  drill('The controller’s key may be known to somebody', async () => {
    await world.walk('before')
    const old = world.controller.key
    const next = join(world.folder, 'next-key')
    assert.equal((await world.cratewright('keys', 'make', next)).code, 0)
    const rotated = await world.cratewright('keys', 'rotate', '--new', next, '--in-place')
    assert.equal(rotated.code, 0, rotated.err)
    await world.walk('after')
    const good = await tip()
    // Whoever has the old key writes with it.
    const tree = await git(world.bare('projects'), 'rev-parse', `${good}^{tree}`)
    const bytes = makeCommit({
      ...{ tree, parent: good, message: 'Forged\n', time: new Date() },
      identity: { name: 'Cratewright', email: 'controller@cratewright.dev' },
      sign: payload => signSsh(old, 'git', payload),
    })
    const file = join(world.folder, 'forged')
    writeFileSync(file, bytes)
    const forged = await git(world.bare('projects'), 'hash-object', '-t', 'commit', '-w', file)
    await git(world.bare('projects'), 'update-ref', branch, forged)
    await world.run()
    assert.notEqual(await tip(), forged)
    const { code, out, err } = await verify()
    assert.equal(code, 0, out + err)
    assert.match(out + err, new RegExp(forged))
  })

  drill('The controller’s key is lost', async () => {
    await world.walk('before')
    const last = await tip()
    const next = join(world.folder, 'next-key')
    await world.cratewright('keys', 'make', next)
    const publicKey = readFileSync(`${next}.pub`, 'utf8').trim()
    await declare({
      records: {
        signers: [
          { key: world.controller.publicKey, until: last },
          { key: publicKey, from: last },
        ],
      },
    })
    writeFileSync(world.config, readFileSync(world.config, 'utf8').replace('people/controller/key', 'next-key'))
    await world.walk('after')
    assert.equal((await verify()).code, 0)
  })

  drill('The working folder is lost', async () => {
    await world.ask('held')
    await world.run()
    await approve('held')
    // It has begun to stage, and its source is away, when its folder is lost.
    const reader = `reader_${world.database}`
    await world.postgres.load(world.database, `alter role ${reader} nologin`)
    await world.run()
    await world.postgres.load(world.database, `alter role ${reader} login`)
    assert.deepEqual((await world.steps('held')).slice(-2), ['stage-transfer started', 'error noted'])
    rmSync(join(world.folder, 'work'), { recursive: true })
    assert.equal((await world.run()).get('held')?.waits[0]?.reason, 'HeldByOther')
    const taken = await world.cratewright('reconcile', 'held', '--take-over')
    assert.notEqual(taken.code, 3, taken.err)
    assert.equal(await phase('held'), 'Staged')
    assert.ok((await world.steps('held')).includes('take-over noted'))
    assert.equal((await verify()).code, 0)
  })

  drill('Somebody wrote to the records branch', async () => {
    await world.walk('asthma')
    const good = await tip()
    const tree = await git(world.bare('projects'), 'rev-parse', `${good}^{tree}`)
    const forged = await git(
      world.bare('projects'),
      ...['-c', 'user.name=eve', '-c', 'user.email=eve@x.example'],
      ...['commit-tree', tree, '-p', good, '-m', 'vandal'],
    )
    await git(world.bare('projects'), 'update-ref', branch, forged)
    assert.equal((await verify()).code, 2)
    const statuses = await world.run()
    assert.match(JSON.stringify(statuses.get('projects')), /RecordForged/)
    assert.equal(phaseOf(statuses.get('asthma')), 'Published')
    const { code, out, err } = await verify()
    assert.equal(code, 0, err)
    assert.match(out + err, new RegExp(forged))
  })

  drill('The records branch was rewritten', async () => {
    await world.walk('asthma', 'Staged')
    const good = await tip()
    const older = await git(world.bare('projects'), 'rev-parse', `${good}~3`)
    await git(world.bare('projects'), 'update-ref', branch, older)
    await world.disclose('dana', 'asthma').catch(() => {})
    assert.equal((await world.run()).get('asthma')?.waits[0]?.reason, 'RecordsRewritten')
    // A clone still has it.
    await git(world.bare('projects'), 'update-ref', branch, good)
    assert.equal(await phase('asthma'), 'Staged')
    // No copy is left.
    await git(world.bare('projects'), 'update-ref', branch, older)
    assert.equal((await world.run()).get('asthma')?.waits[0]?.reason, 'RecordsRewritten')
    await declare({ records: { accept: older } })
    assert.notEqual((await world.run()).get('asthma')?.waits[0]?.reason, 'RecordsRewritten')
    await declare({})
    // The same commit again needs a new word.
    await git(world.bare('projects'), 'update-ref', branch, older)
    assert.equal((await world.run()).get('asthma')?.waits[0]?.reason, 'RecordsRewritten')
  })

  drill('The Git server was restored from a backup', async () => {
    await world.walk('early')
    const backup = join(world.folder, 'backup.git')
    cpSync(world.bare('projects'), backup, { recursive: true })
    await world.walk('late', 'Validated')
    // Somebody's clone has it all.
    const clone = world.clone('ada')
    await git(clone, 'fetch', '--quiet', 'origin', `${branch}:refs/heads/kept`, 'main:refs/heads/kept-main')
    rmSync(world.bare('projects'), { recursive: true })
    cpSync(backup, world.bare('projects'), { recursive: true })
    assert.equal((await world.run()).get('early')?.waits[0]?.reason, 'RecordsRewritten')
    await git(clone, 'push', '--quiet', '--force', 'origin', `kept:${branch}`, 'kept-main:refs/heads/main')
    const statuses = await world.run()
    assert.deepEqual([phaseOf(statuses.get('early')), phaseOf(statuses.get('late'))], ['Published', 'Validated'])
    assert.equal((await verify()).code, 0)
  })

  drill('The controller’s host was restored from a backup', async () => {
    await world.walk('asthma', 'Staged')
    const backup = join(world.folder, 'backup')
    cpSync(join(world.folder, 'work'), backup, { recursive: true })
    await world.disclose('dana', 'asthma')
    assert.equal(await phase('asthma'), 'Published')
    const before = await world.steps('asthma')
    rmSync(join(world.folder, 'work'), { recursive: true })
    cpSync(backup, join(world.folder, 'work'), { recursive: true })
    assert.equal(await phase('asthma'), 'Published')
    assert.deepEqual(await world.steps('asthma'), before)
  })

  it('are those of docs/drills.md', () => {
    assert.deepEqual(
      [...page.matchAll(/^## (.+)$/gm)].map(([, title]) => title),
      drilled,
    )
  })
})
