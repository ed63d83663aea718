import assert from 'node:assert/strict'
import type { RecordsBranch } from '../../controller/records/branch.ts'
import { branchEntryOf, emptyBranchHistory, readBranchLog, rotationTo } from '../../controller/records/branch-log.ts'
import { recordsIdentity } from '../../controller/records/identity.ts'
import { branchLogAt } from '../../controller/records/line-reader.ts'
import type { SshPrivateKey } from '../../controller/runtime/ssh-key.ts'
import { never } from '../git/world.ts'
import { BranchLab, newKey, type Places, ref, signer } from './branch-lab.ts'

const fails = (branch: RecordsBranch, message: RegExp) =>
  assert.rejects(branch.tip(never), (error: { code?: string; message: string; todo: string }) => {
    assert.equal(error.code, 'RecordForged', error.message)
    assert.match(`${error.message} ${error.todo}`, message)
    return true
  })

const undeclared = { signers: [] }
const [next, third, stranger] = [newKey(), newKey(), newKey()]

describe('the key of a records branch', () => {
  let lab: BranchLab

  beforeEach(async () => {
    lab = await BranchLab.make()
    await lab.place((await lab.line(2)).at(-1))
  })

  function rotate(from: SshPrivateKey, to: SshPrivateKey, trust = {}): Promise<string | undefined> {
    const controller = lab.controller({ key: from, trust })
    return controller.note(({ head = '' }) => ({ action: 'rotate', rotate: rotationTo(to, from.public, head) }), never)
  }

  for (const [what, trust] of [
    ['declared', {}],
    ['not declared', undeclared],
  ] as const) {
    it(`is rotated by an entry that the old one signs, where it is ${what}, again and again`, async () => {
      let before = lab.key
      for (const key of [next, third]) {
        const rotated = await rotate(before, key, trust)
        const tip = await lab.commit(rotated, key)
        await lab.place(tip)
        for (const write of [true, false]) assert.equal(await lab.controller({ key, trust, write }).tip(never), tip)
        const [now] = await signersOf(lab.controller({ key, trust }))
        assert.equal(now, key.public.fingerprint)
        before = key
      }
      assert.deepEqual(await lab.noted(), ['rotate', 'rotate'])
    })
  }

  async function signersOf(branch: RecordsBranch): Promise<string[]> {
    await branch.tip(never)
    return branch.signers.map(({ fingerprint }) => fingerprint)
  }

  it('signs nothing any more once it was rotated: what it signs then is taken back', async () => {
    const places: Places = { own: undefined, others: [] }
    const rotated = await rotate(lab.key, next)
    await lab.controller({ key: next, places }).tip(never)
    const stolen = await lab.commit(rotated, lab.key)
    await lab.place(stolen)
    await fails(lab.controller({ key: next, write: false }), new RegExp(`${stolen}.*was rotated to another key before`))
    await fails(lab.controller({ key: lab.key }), /is signed by .* now, and the key given is/)
    await lab.controller({ key: next, places }).tip(never)
    assert.deepEqual(await lab.noted(), ['rotate', 'restore'])
    // After a restart the same is known from what the branch notes.
    await lab.place(await lab.commit(await lab.tip(), lab.key))
    await lab.controller({ key: next, places }).tip(never)
    assert.deepEqual(await lab.noted(), ['rotate', 'restore', 'restore'])
  })

  describe('cannot write history anew from before it was rotated', () => {
    const stolen = newKey()
    let [start, rotated, first, tip] = ['', '', '', '']

    beforeEach(async () => {
      start = await lab.tip()
      rotated = (await rotate(lab.key, next)) ?? ''
      first = await lab.commit(rotated, next)
      tip = await lab.commit(first, next, { 'status/x.json': 'true' })
      await lab.place(tip)
    })

    const noteOf = async (
      parent: string,
      base: string,
      note: Parameters<typeof branchEntryOf>[1],
      before = emptyBranchHistory,
    ) => {
      const actor = { type: 'controller', name: 'x', key: 'y' } as const
      const { path, content } = branchEntryOf(before, note, { time: new Date(1e12), instance: 'x', actor })
      const files = [{ path, content }]
      const common = { message: 'x', time: new Date(1e12), identity: recordsIdentity, sign: signer(lab.key) }
      await lab.repository.fetch(ref, parent, never).catch(() => undefined)
      return lab.repository.commit({ parent, base, files, ...common }, never)
    }
    const restored = (parent: string) =>
      noteOf(parent, start, { action: 'restore', restore: { good: start, count: 1, commits: [] } })
    const anew = async (parent: string, base: string, before = emptyBranchHistory) =>
      noteOf(parent, base, { action: 'rotate', rotate: rotationTo(stolen, lab.key.public, before.head) }, before)
    async function historyAt(commit: string) {
      return readBranchLog(await branchLogAt(lab.repository, commit, never)).history
    }

    const trusts = (): Record<string, object> => ({
      'that is declared': { signers: [{ key: lab.key.public }, { key: next.public }] },
      'that is declared alone': {},
      'that is declared until then': {
        signers: [
          { key: lab.key.public, until: rotated },
          { key: next.public, from: first },
        ],
      },
      'that is not declared': undeclared,
    })
    const attacks: Record<string, () => Promise<string>> = {
      'by going back to a commit that it signed': async () => {
        const back = await restored(tip)
        return (await lab.line(6, back)).at(-1) ?? ''
      },
      'by going back, and rotating again': async () => {
        const back = await restored(tip)
        const again = await anew(back, back, await historyAt(back))
        return (await lab.line(6, again, stolen)).at(-1) ?? ''
      },
      'by going back behind a commit of nobody': async () => {
        const back = await restored(await lab.vandal())
        return (await lab.line(6, back)).at(-1) ?? ''
      },
    }
    for (const [how, attack] of Object.entries(attacks)) {
      for (const whose of [
        'that is declared',
        'that is declared alone',
        'that is declared until then',
        'that is not declared',
      ]) {
        it(`${how}: one ${whose}`, async () => {
          const trust = trusts()[whose] ?? {}
          await lab.place(await attack())
          const reason = new RegExp(`the last commit that counts is ${tip}`)
          await fails(lab.controller({ key: next, trust, write: false }), reason)
          await lab.controller({ key: next, trust: { ...trust, accept: tip } }).tip(never)
          assert.deepEqual(await lab.noted(), ['rotate', 'restore'])
          assert.deepEqual(await lab.files(), await lab.files(tip))
        })
      }
    }

    it('by merging in a longer line of its own, from before', async () => {
      const longer = (await lab.line(8, start)).at(-1) ?? ''
      const again = await anew(start, start)
      const rotatedAgain = (await lab.line(8, again, stolen)).at(-1) ?? ''
      const both = { ...trusts(), 'that is declared alone': undefined, 'that is not declared': undefined }
      for (const [side, all] of [
        [longer, trusts()],
        [rotatedAgain, both],
      ] as const) {
        await lab.place(side)
        for (const parents of [
          [tip, side],
          [side, tip],
        ]) {
          const merge = await lab.unsigned(`${side}^{tree}`, parents)
          for (const [whose, trust] of Object.entries(all)) {
            if (!trust) continue
            await lab.place(merge)
            await fails(
              lab.controller({ key: next, trust, write: false }),
              new RegExp(`the last commit that counts is ${tip}`),
            )
            await lab.controller({ key: next, trust: { ...trust, accept: tip } }).tip(never)
            assert.deepEqual(await lab.noted(), ['rotate', 'restore'], whose)
            assert.deepEqual(await lab.files(), await lab.files(tip), whose)
          }
        }
      }
    })
  })

  it('is not the one in the configuration before it was rotated to: the error says what to run', async () => {
    for (const trust of [{}, undeclared]) await fails(lab.controller({ key: next, trust }), /cratewright keys rotate/)
  })

  it('is not rotated by who has none of it, nor to who did not agree, nor for another place', async () => {
    const tip = await lab.tip()
    const head = emptyBranchHistory.head
    const rotations: [SshPrivateKey, ReturnType<typeof rotationTo>][] = [
      [stranger, rotationTo(stranger, lab.key.public, head)],
      [stranger, rotationTo(stranger, stranger.public, head)],
      [lab.key, { ...rotationTo(next, lab.key.public, head), proof: rotationTo(stranger, lab.key.public, head).proof }],
      [lab.key, rotationTo(next, lab.key.public, 'c'.repeat(64))],
      [lab.key, rotationTo(next, stranger.public, head)],
    ]
    for (const [signer, rotate] of rotations) {
      const actor = { type: 'controller', name: 'x', key: 'y' } as const
      const frame = { time: new Date(), instance: 'x', actor }
      const { path, content } = branchEntryOf(emptyBranchHistory, { action: 'rotate', rotate }, frame)
      await lab.place(await lab.commit(tip, signer, { [path]: Buffer.from(content).toString() }))
      await fails(lab.controller({ write: false }), /rotates|is no declared signer/)
      await fails(lab.controller({ key: next, trust: undeclared, write: false }), /rotates|no declared signer/)
    }
  })

  it('is not ours on a branch that a stranger made and rotated to it', async () => {
    const own = (await lab.line(2, undefined, stranger)).at(-1)
    await lab.place(own)
    await fails(lab.controller({ trust: undeclared }), /is signed by .* now, and the key given/)
    // The stranger cannot have our agreement to follow it; one that we gave to another is no use to it.
    const ours = rotationTo(lab.key, next.public, emptyBranchHistory.head)
    for (const rotate of [ours, { ...ours, old: stranger.public.fingerprint }]) {
      const frame = { time: new Date(), instance: 'x', actor: { type: 'controller', name: 'x', key: 'y' } as const }
      const { path, content } = branchEntryOf(emptyBranchHistory, { action: 'rotate', rotate }, frame)
      await lab.place(await lab.commit(own, stranger, { [path]: Buffer.from(content).toString() }))
      await fails(lab.controller({ trust: undeclared, write: false }), /rotates|and the key given/)
    }
  })

  it('counts from its first to its last commit, where an admin declares them', async () => {
    const start = await lab.tip()
    const last = await lab.commit(start)
    const first = await lab.commit(last, next)
    const tip = await lab.commit(first, next)
    await lab.place(tip)
    const [a, b] = [lab.key.public, next.public]
    const look = (signers: { key: typeof a; from?: string; until?: string }[]) =>
      lab.controller({ key: next, trust: { signers }, write: false }).tip(never)
    assert.equal(
      await look([
        { key: a, until: last },
        { key: b, from: first },
      ]),
      tip,
    )
    assert.equal(
      await look([
        { key: a, until: last },
        { key: b, from: last },
      ]),
      tip,
    )
    const refused: [Parameters<typeof look>[0], string][] = [
      [
        [
          { key: a, until: start },
          { key: b, from: first },
        ],
        last,
      ],
      [
        [
          { key: a, until: last },
          { key: b, from: tip },
        ],
        first,
      ],
      [[{ key: a }, { key: b, from: first, until: first }], tip],
    ]
    for (const [signers, commit] of refused)
      await assert.rejects(look(signers), (error: Error) => error.message.includes(`commit ${commit} `))
    // The same where judging begins behind the range's ends.
    const places: Places = { own: undefined, others: [] }
    const signers = [
      { key: a, until: last },
      { key: b, from: first },
    ]
    await lab.controller({ key: next, trust: { signers }, places }).tip(never)
    const late = await lab.commit(tip, lab.key)
    await lab.place(late)
    await fails(lab.controller({ key: next, trust: { signers }, places, write: false }), new RegExp(late))
  })
})
