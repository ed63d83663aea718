import assert from 'node:assert/strict'
import type { RecordsBranch } from '../../controller/records/branch.ts'
import { branchEntryOf, emptyBranchHistory } from '../../controller/records/branch-log.ts'
import { never } from '../git/world.ts'
import { git } from '../support/git-server.ts'
import { BranchLab, newKey, type Places, ref } from './branch-lab.ts'

const fails = (branch: RecordsBranch, code: string, message: RegExp) =>
  assert.rejects(branch.tip(never), (error: { code?: string; message: string; todo: string }) => {
    assert.equal(error.code, code, error.message)
    assert.match(`${error.message} ${error.todo}`, message)
    return true
  })

describe('foreign commits on a records branch', () => {
  let lab: BranchLab
  let good: string
  const entry = 'projects/a/log/000001-create-noted.json'

  beforeEach(async () => {
    lab = await BranchLab.make()
    const [root] = await lab.line(1)
    good = await lab.commit(root, lab.key, {
      [entry]: 'one',
      'status/x.json': 'true',
      'projects/a/releases/1/bag/a': '1',
    })
    await lab.place(good)
  })

  const vandalism: Record<string, Record<string, string | undefined>> = {
    'that edits a status': { 'status/x.json': 'lies' },
    'that removes a log entry': { [entry]: undefined },
    'that changes a released file': { 'projects/a/releases/1/bag/a': '2' },
    'that adds files': { 'README.md': 'hello', 'projects/a/log/000002-publish-noted.json': 'forged' },
    'that notes an acceptance of its own': { 'log/000001-accept-noted.json': '{}' },
    'that removes everything': {
      [entry]: undefined,
      'status/x.json': undefined,
      'projects/a/releases/1/bag/a': undefined,
    },
  }
  for (const [what, files] of Object.entries(vandalism)) {
    it(`are taken back by one signed commit on top: one ${what}`, async () => {
      const events: string[] = []
      const places: Places = { own: undefined, others: [] }
      const controller = lab.controller({ places, events })
      await controller.tip(never)
      const before = await lab.files()
      const forged = await lab.vandal(files)
      const tip = await controller.tip(never)
      assert.equal(tip, await lab.tip())
      assert.equal(await git(lab.world.bare, 'rev-parse', `${tip}^`), forged, 'nothing is forced')
      assert.deepEqual(await lab.files(), before)
      for (const path of before)
        assert.equal(
          await git(lab.world.bare, 'rev-parse', `${tip}:${path}`),
          await git(lab.world.bare, 'rev-parse', `${good}:${path}`),
        )
      assert.deepEqual(await lab.noted(), ['restore'])
      const { restore } = (await lab.note(1)) as unknown as { restore: Record<string, unknown> }
      assert.equal(restore.good, good)
      assert.deepEqual(restore.commits, [{ commit: forged, reason: 'is not signed' }])
      assert.deepEqual(restore.paths, Object.keys(files).sort())
      assert.deepEqual(events, ['changed'])
      // It goes on from there, for this process, for a new one with and without its memory, and for who only reads.
      for (const one of [controller, lab.controller({ places }), lab.controller(), lab.controller({ write: false })])
        assert.equal(await one.tip(never), tip)
      const next = await lab.commit(tip)
      await lab.place(next)
      assert.equal(await lab.controller().tip(never), next)
    })
  }

  it('are taken back together, whoever signed them, merges too, with the good line on either side', async () => {
    const controller = lab.controller()
    await controller.tip(never)
    const stranger = newKey()
    const others = await lab.line(2, undefined, stranger)
    await lab.place(others[1])
    await lab.place(good)
    const tree = await git(lab.world.bare, 'rev-parse', `${others[1]}^{tree}`)
    for (const parents of [
      [good, others[1]!],
      [others[1]!, good],
    ]) {
      const merge = await lab.unsigned(tree, [parents[0]!, parents[1]!])
      await git(lab.world.bare, 'update-ref', ref, merge)
      const one = lab.controller({ places: { own: { tip: good }, others: [] } })
      const tip = await one.tip(never)
      assert.equal(
        await git(lab.world.bare, 'rev-parse', `${tip}:${entry}`),
        await git(lab.world.bare, 'rev-parse', `${good}:${entry}`),
      )
      assert.equal(await lab.controller().tip(never), tip, 'and a new process sees that it was')
      await lab.place(good)
    }
  })

  it('are those of a signer, too, where they take a log entry away or change it', async () => {
    const places: Places = { own: undefined, others: [] }
    await lab.controller({ places }).tip(never)
    for (const content of [undefined, 'two']) {
      const own = await lab.commit(await lab.tip(), lab.key, { [entry]: content })
      await lab.place(own)
      await fails(
        lab.controller({ write: false }),
        'RecordForged',
        new RegExp(`${own}.*changes or removes a log entry`),
      )
      await lab.controller({ places }).tip(never)
      assert.equal(await git(lab.world.bare, 'show', `${ref}:${entry}`), 'one')
    }
  })

  it('are those of a signer, too, where they say that they restore and do something else', async () => {
    const content = (restored: string) => {
      const actor = { type: 'controller', name: 'x', key: 'y' } as const
      const restore = { good: restored, count: 1 }
      const frame = { time: new Date(), instance: 'x', actor }
      return branchEntryOf(emptyBranchHistory, { action: 'restore', restore }, frame)
    }
    const { path, content: bytes } = content(good)
    const files = { [path]: Buffer.from(bytes).toString(), 'projects/a/releases/1/bag/a': '2' }
    const lie = await lab.commit(good, lab.key, files)
    await lab.place(lie)
    await fails(lab.controller({ write: false }), 'RecordForged', new RegExp(`${lie}.*says that it restores ${good}`))
  })

  it('stay where they are for who only reads, and are named', async () => {
    const forged = await lab.vandal()
    await fails(lab.controller({ write: false }), 'RecordForged', new RegExp(`${forged}.* is not signed; .*${good}`))
    assert.equal(await lab.tip(), forged)
  })

  it('are answered once by two controllers that see them at the same time', async () => {
    const two = [lab.controller(), lab.controller()]
    for (const one of two) await one.tip(never)
    await lab.vandal()
    const tips = await Promise.all(two.map(one => one.tip(never)))
    assert.deepEqual(tips, [await lab.tip(), await lab.tip()])
    assert.deepEqual(await lab.noted(), ['restore'])
  })

  it('cost one commit a look, and are no longer answered where they keep coming', async () => {
    const controller = lab.controller()
    await controller.tip(never)
    for (let time = 0; time < 5; time++) {
      await lab.vandal({ 'status/x.json': `lies ${time}` })
      await controller.tip(never)
    }
    await lab.vandal()
    await fails(controller, 'WriteBackBlocked', /keeps pushing/)
    assert.equal((await lab.noted()).length, 5)
  })

  it('tell whoever was about to build on them to look again', async () => {
    const controller = lab.controller()
    await controller.tip(never)
    const forged = await lab.vandal()
    await controller.repository.fetch(ref, forged, never)
    await assert.rejects(controller.check(forged, never), { code: 'LogMoved' })
    await controller.check(await lab.tip(), never)
  })

  it('are not taken back where an admin changed who signs, until the admin names the last good commit', async () => {
    const places: Places = { own: undefined, others: [] }
    const [stolen] = (await lab.line(2, good)).slice(-1)
    await lab.place(stolen)
    await lab.controller({ places }).tip(never)
    const next = newKey()
    const signers = [{ key: lab.key.public, until: good }, { key: next.public }]
    const halted = lab.controller({ places, key: next, trust: { signers } })
    await fails(halted, 'RecordForged', new RegExp(`records.accept: ${good}`))
    await fails(lab.controller({ key: next, trust: { signers } }), 'RecordForged', /records.accept/)
    assert.equal(await lab.tip(), stolen)
    const accepting = lab.controller({ places, key: next, trust: { signers, accept: good } })
    const tip = await accepting.tip(never)
    assert.deepEqual(await lab.files(tip), await lab.files(good))
    assert.equal(accepting.epoch, 1, 'what was read of the other entries is void')
    assert.equal(places.own?.accepted, good)
  })
})

describe('a records branch that was rewritten', () => {
  let lab: BranchLab
  let commits: string[]
  let places: Places

  beforeEach(async () => {
    lab = await BranchLab.make()
    commits = await lab.line(4)
    await lab.place(commits[3])
    places = { own: undefined, others: [] }
    await lab.controller({ places }).tip(never)
  })

  const accepting = (accept: string, where = places) => lab.controller({ places: where, trust: { accept } })

  it('is refused when it is set back, deleted, or other, and is not written to', async () => {
    for (const tip of [commits[2], undefined, (await lab.line(3, commits[0])).at(-1)]) {
      await lab.place(tip)
      await fails(lab.controller({ places }), 'RecordsRewritten', /is gone|does not descend/)
      if (tip !== undefined) assert.equal(await lab.tip(), tip)
    }
    await lab.place(commits[3])
    assert.equal(await lab.controller({ places }).tip(never), commits[3], 'once it is as it was, the work goes on')
  })

  it('is refused as rewritten, not repaired, when what is there now is a stranger’s', async () => {
    await lab.place((await lab.line(2, undefined, newKey())).at(-1))
    await fails(lab.controller({ places }), 'RecordsRewritten', /does not descend/)
    await lab.place(await lab.commit(commits[1], newKey()))
    await fails(lab.controller({ places }), 'RecordsRewritten', /does not descend/)
    assert.deepEqual(await lab.noted(), [])
  })

  it('is noticed by a new working folder, and by one from an old backup, through what stores remember', async () => {
    const [back, older, newest] = [commits[2]!, commits[1]!, { tip: commits[3]! }]
    await lab.place(back)
    await fails(
      lab.controller({ places: { own: undefined, others: [newest] } }),
      'RecordsRewritten',
      /does not descend/,
    )
    await fails(lab.controller({ places: { own: { tip: older }, others: [newest] } }), 'RecordsRewritten', /descend/)
    // Without any store, what nobody remembers nobody misses.
    assert.equal(await lab.controller({ places: { own: { tip: older }, others: [] } }).tip(never), back)
  })

  it('is taken as it is when an admin names its tip, which is noted, and no other', async () => {
    const back = commits[1]!
    await lab.place(back)
    await fails(accepting(commits[2]!), 'RecordsRewritten', /does not descend/)
    const controller = accepting(back)
    const tip = await controller.tip(never)
    assert.equal(await git(lab.world.bare, 'rev-parse', `${tip}^`), back)
    assert.equal(controller.epoch, 1)
    const { accept } = (await lab.note(1)) as unknown as { accept: Record<string, unknown> }
    assert.deepEqual(accept, { commit: back, lost: [commits[3]], platform: 'b'.repeat(40) })
    assert.equal(await controller.tip(never), tip)
    assert.equal(await accepting(back).tip(never), tip)
    assert.deepEqual(await lab.noted(), ['accept'])
  })

  it('is accepted once: set back to the same commit again, it needs a new word of the admin', async () => {
    const back = commits[1]!
    await lab.place(back)
    const noted = await accepting(back).tip(never)
    await lab.place(await lab.commit(noted))
    await accepting(back).tip(never)
    for (const again of [back, noted]) {
      await lab.place(again)
      await fails(accepting(back), 'RecordsRewritten', /does not descend/)
    }
    await lab.place(back)
    await fails(accepting(back), 'RecordsRewritten', /was used before.*remove `records.accept`/)
    // The admin takes the word back, the controller sees that on a branch that it can use, and the admin gives it again.
    await lab.place(places.own?.tip)
    await lab.controller({ places }).tip(never)
    await lab.place(back)
    await accepting(back).tip(never)
  })

  it('is accepted by a second controller that finds the acceptance noted', async () => {
    const second: Places = { own: { tip: commits[3]! }, others: [] }
    await lab.place(commits[1])
    const tip = await accepting(commits[1]!).tip(never)
    const next = await lab.commit(tip)
    await lab.place(next)
    await fails(lab.controller({ places: second }), 'RecordsRewritten', /does not descend/)
    assert.equal(await accepting(commits[1]!, second).tip(never), next)
    assert.deepEqual(await lab.noted(), ['accept'])
  })

  it('is not taken for one when another controller pushed and remembered after the tip was asked for', async () => {
    const next = await lab.commit(commits[3])
    const shared: Places = { own: { tip: commits[3]! }, others: [{ tip: next }] }
    const controller = lab.controller({ places: shared })
    await lab.place(next)
    await assert.rejects(controller.check(commits[3], never), { code: 'LogMoved' })
    assert.equal(await controller.tip(never), next)
  })
})

describe('what was judged before', () => {
  it('is not judged again after a restart, unless who signs was changed, or only others remember it', async () => {
    const lab = await BranchLab.make()
    const second = newKey()
    const [root] = await lab.line(1)
    const early = await lab.commit(root, second)
    const tip = await lab.commit(early)
    await lab.place(tip)
    const both = [{ key: lab.key.public }, { key: second.public }]
    const places: Places = { own: undefined, others: [] }
    await lab.controller({ places, trust: { signers: both } }).tip(never)
    // What the folder says of its own judgement is believed: that is how a restart costs nothing.
    const one = [{ key: lab.key.public }]
    await fails(lab.controller({ places, trust: { signers: one } }), 'RecordForged', new RegExp(early))
    const trusting: Places = { own: undefined, others: [] }
    const controller = lab.controller({ places: trusting, trust: { signers: both } })
    await controller.tip(never)
    const forgedDigest = { ...trusting.own!, trust: 'other' }
    await fails(
      lab.controller({ places: { own: forgedDigest, others: [] }, trust: { signers: one } }),
      'RecordForged',
      new RegExp(early),
    )
  })
})
