/** What verify tells of those who could have bent the rules: admins, who holds a key, who can push. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { git, makePerson } from '../support/people.ts'
import { costs, World } from '../support/world.ts'
import { Forgery, verdictOf } from './forge.ts'

describe('what verify tells beside its verdict', () => {
  let world: World
  let auditor: string
  let out: string
  const commits: Record<string, string> = {}

  before(async () => {
    world = await World.make()
    const platform = world.platform()
    const [group] = platform['approvers.yaml'] as [{ spec: object }]
    const [repository] = platform['repositories.yaml'] as [{ spec: { records: { signers: object[] } } }]
    const members = (...names: string[]) => [
      { ...group, spec: { ...group.spec, members: names.map(person => ({ person })) } },
    ]
    commits.added = await world.declare({ 'approvers.yaml': members('dana', 'ada') })
    await world.commit('rob', world.requestFiles('bent', [{ name: 'money', tables: [costs] }]))
    await world.run()
    assert.equal((await world.signOff('ada', 'bent', '--as', 'ada')).code, 0)
    await world.run()
    commits.removed = await world.declare({ 'approvers.yaml': members('dana') })
    const later = makePerson('later', join(world.folder, 'people/later'))
    const { records } = repository.spec
    const signers = [...records.signers, { key: later.publicKey, from: 'e'.repeat(40) }]
    const spec = { ...repository.spec, records: { ...records, signers } }
    commits.signers = await world.declare({ 'repositories.yaml': [{ ...repository, spec }] })
    commits.unsigned = await world.declare({ 'notes.yaml': [] }, { sign: false })
    auditor = await world.auditor()
    const told = await world.cratewright('verify', auditor)
    out = told.out
    assert.equal(told.code, 0, told.out + told.err)
  })

  const ada = 'signed by ada \\(SHA256:[^)]*\\)'

  it('names an admin who listed herself, approved, and took herself out again, and who signed that', () => {
    assert.match(
      out,
      new RegExp(
        `^note: projects/bent/log/\\d{6}-statement-noted\\.json: ada approved with a right that is gone since: member of governance, ` +
          `given shortly before by platform commit ${commits.added}, ${ada}; taken away by platform commit ${commits.removed}, ${ada}$`,
        'm',
      ),
    )
    assert.doesNotMatch(out, /dana approved with a right/)
  })

  it('names edits of the list of signers, ranges that no commit of the records has, and what is not applied', () => {
    assert.match(
      out,
      new RegExp(`^note: platform commit ${commits.signers}: changed records.signers of projects; ${ada}$`, 'm'),
    )
    assert.match(out, /^note: signer SHA256:\S+: has a range that names e{40}, which is no commit of the records$/m)
    assert.match(out, new RegExp(`^note: platform commit ${commits.unsigned}: has no good SSH signature`, 'm'))
  })

  it('is bad with a decision at a platform commit that nobody signed', async () => {
    const forged = Forgery.of(auditor, 'unsigned')
    const entries = (await forged.log('bent')).map(entry => ({
      ...entry,
      commits: { ...entry.commits, platform: commits.unsigned! },
    }))
    await forged.commit(await forged.chained('bent', entries), world.controller.key)
    const { bad } = await verdictOf(world, forged.folder, '--unpinned')
    assert.match(bad.join('\n'), new RegExp(`was decided at platform commit ${commits.unsigned}, which has no good`))
  })

  it('names the commit that took a log entry away, though the controller’s key signed it', async () => {
    const forged = Forgery.of(auditor, 'removed')
    const [last = ''] = (await forged.paths('projects/bent/log')).slice(-1)
    const commit = await forged.commit({ [last]: undefined }, world.controller.key)
    // The branch is as it was again; what was done to it stays to be seen.
    await forged.commit({ [last]: await forged.read(last, `${commit}^`) }, world.controller.key)
    const { code, bad } = await verdictOf(world, forged.folder, '--unpinned')
    assert.equal(code, 2)
    assert.deepEqual(bad, [
      `commit ${commit}: changes or removes a log entry, ${last}`,
      '1 more commit: stand on commits that do not count',
    ])
  })

  it('is bad with a watched branch that was rewritten, and unchecked with one that is only older', async () => {
    const forged = Forgery.of(auditor, 'watched')
    const main = 'refs/remotes/origin/main'
    const tip = await git(forged.folder, 'rev-parse', main)
    const set = async (oid: string) => {
      for (const ref of [main, 'refs/heads/main']) await git(forged.folder, 'update-ref', ref, oid)
      return verdictOf(world, forged.folder, '--unpinned')
    }
    const older = await set(`${tip}~1`)
    assert.equal(older.code, 3)
    assert.match(older.unchecked.join('\n'), new RegExp(`names commit ${tip}, and the branch main .* before it`))
    const other = await forged.write(await git(forged.folder, 'rev-parse', `${tip}^{tree}`), [], undefined)
    const rewritten = await set(other)
    assert.equal(rewritten.code, 2)
    assert.match(
      rewritten.bad.join('\n'),
      new RegExp(`names commit ${tip}, which the branch main at ${other} no longer has`),
    )
  })
})
