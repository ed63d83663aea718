import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { EntryDraft, History } from '../../../controller/engine/kind.ts'
import { type Phase, type RequestState, stateOf } from '../../../controller/kinds/requests/state.ts'
import { appended, emptyHistory, entryOf } from '../../../controller/records/log.ts'
import { sha256Hex } from '../../../controller/runtime/canonical.ts'

const digest = (what: string) => sha256Hex(what)
const oid = (what: string) => sha256Hex(what).slice(0, 40)
const digests = { request: digest('request'), scope: digest('scope'), outputs: digest('outputs') }

function log(...drafts: Omit<EntryDraft, 'commits'>[]): History {
  return drafts.reduce<History>((history, draft, index) => {
    const started = draft.event === 'outcome' ? { started: history.open?.number ?? 0 } : {}
    const frame = {
      time: new Date(Date.UTC(2026, 0, 1, 0, 0, index)),
      instance: 'one',
      actor: { type: 'controller', name: 'test' } as const,
      repository: 'projects',
      project: 'asthma',
    }
    return appended(history, entryOf(history, { ...draft, ...started, commits: {} }, frame))
  }, emptyHistory)
}

const noted = (action: EntryDraft['action'], facts: object = {}, more: Partial<EntryDraft> = {}) => ({
  action,
  event: 'noted' as const,
  generation: 1,
  release: 1,
  digests,
  facts: { ...facts },
  ...more,
})
const start = (action: EntryDraft['action']) => ({ action, event: 'started' as const, generation: 1, release: 1 })
const end = (action: EntryDraft['action'], facts: object = {}, more: Partial<EntryDraft> = {}) => ({
  action,
  event: 'outcome' as const,
  result: 'done' as const,
  generation: 1,
  release: 1,
  digests,
  facts: { ...facts },
  ...more,
})
const failed = (action: EntryDraft['action'], code: string, facts: object = {}) =>
  end(action, facts, { result: 'failed', error: { code, message: `because of ${code}` } })

const create = noted('create', {
  id: 'urn:uuid:1',
  content: oid('a'),
  seen: oid('a'),
  folder: 'projects/asthma',
  tre: { name: 'T' },
})
const validated = [start('validate'), end('validate', { inputs: 'i', tables: [] })]
const vote = (phase: string, person: string, decision = 'approve') =>
  noted('statement', {
    phase,
    person,
    decision,
    path: 'p',
    sha256: digest(person + phase + decision),
    text: '',
    signature: '',
  })
const decided = (action: 'sign-off' | 'disclosure', decision = 'approve') => noted(action, { decision, groups: [] })
const signedOff = [create, ...validated, vote('SignOff', 'dana'), decided('sign-off')]
const staged = [...signedOff, start('stage-transfer'), end('stage-transfer', { files: [], summary: [], threshold: 10 })]
const disclosed = [...staged, vote('Disclosure', 'dana'), decided('disclosure')]
const closed = [...disclosed, start('close'), end('close', { manifestSha512: 'm' })]
const published = [...closed, start('publish'), end('publish', { location: '/p' })]
const change = (more: Partial<EntryDraft> = {}) =>
  noted(
    'change',
    { because: 'request', content: oid('b'), seen: oid('b'), folder: 'projects/asthma' },
    {
      generation: 2,
      digests: { request: digest('other') },
      ...more,
    },
  )

const phaseAfter = (...drafts: Omit<EntryDraft, 'commits'>[]) => stateOf(log(...drafts)).phase

describe('the state of a request', () => {
  for (const [phase, drafts] of [
    ['Requested', []],
    ['Created', [create]],
    ['Created', [create, start('validate')]],
    ['Failed', [create, start('validate'), failed('validate', 'TableNotAvailable', { inputs: 'i' })]],
    ['Validated', [create, ...validated]],
    ['Validated', [create, ...validated, vote('SignOff', 'dana')]],
    ['SignedOff', signedOff],
    ['SignedOff', [...signedOff, start('stage-transfer')]],
    ['SignedOff', [...signedOff, start('stage-transfer'), failed('stage-transfer', 'StoreInvalid')]],
    ['Rejected', [create, ...validated, vote('SignOff', 'dana', 'reject'), decided('sign-off', 'reject')]],
    ['Staged', staged],
    ['Rejected', [...staged, vote('Disclosure', 'dana', 'reject'), decided('disclosure', 'reject')]],
    ['Disclosed', disclosed],
    ['Disclosed', closed],
    ['Published', published],
    ['Created', [...published, change()]],
  ] as [Phase, Omit<EntryDraft, 'commits'>[]][])
    it(`is ${phase} after ${drafts.map(({ action, event, result }) => `${action} ${result ?? event}`).join(', ') || 'nothing'}`, () => {
      assert.equal(phaseAfter(...drafts), phase)
    })

  it('is begun anew by a change: nothing that was approved is left, what was released stays taken', () => {
    const after = stateOf(log(...published, change({ release: 2 })))
    const fresh: Partial<RequestState> = {
      generation: 2,
      release: 2,
      requestDigest: digest('other'),
      content: oid('b'),
      seen: oid('b'),
      validation: undefined,
      signOff: undefined,
      staging: undefined,
      disclosure: undefined,
      closing: undefined,
      published: undefined,
      halted: undefined,
      counted: [],
      closedRelease: 1,
      publishedRelease: 1,
      id: 'urn:uuid:1',
      approved: { at: oid('a'), digest: digests.request, folder: 'projects/asthma', tables: [] },
    }
    for (const [name, value] of Object.entries(fresh)) assert.deepEqual(after[name as keyof RequestState], value, name)
  })

  it('remembers as approved only what was approved', () => {
    const rejected = stateOf(log(create, ...validated, decided('sign-off', 'reject')))
    assert.equal(rejected.approved, undefined)
  })

  it('goes back to the start of its checks when the source is not what was signed off', () => {
    for (const [action, drafts] of [
      ['stage-transfer', signedOff],
      ['close', disclosed],
      ['publish', closed],
    ] as const) {
      const state = stateOf(log(...drafts, start(action), failed(action, 'ApprovalVoid', { void: 'scope' })))
      assert.deepEqual([state.phase, state.counted, state.closing, state.halted], ['Created', [], undefined, undefined])
      assert.equal(state.closedRelease, action === 'publish' ? 1 : 0, 'a sealed release stays taken')
    }
  })

  it('goes back to the sign-off, which still counts, when staged files are not what was extracted', () => {
    for (const [action, drafts] of [
      ['close', disclosed],
      ['publish', closed],
    ] as const) {
      const state = stateOf(log(...drafts, start(action), failed(action, 'ApprovalVoid', { void: 'staged' })))
      assert.equal(state.phase, 'SignedOff')
      assert.deepEqual(
        state.counted.map(({ phase }) => phase),
        ['SignOff'],
      )
      assert.deepEqual([state.staging, state.disclosure, state.closing], [undefined, undefined, undefined])
      assert.equal(state.stagingVoid, 'because of ApprovalVoid')
    }
  })

  it('is halted by what failed for good, until that is done, void, or for other content', () => {
    const halted = [...signedOff, start('stage-transfer'), failed('stage-transfer', 'StoreInvalid')]
    assert.deepEqual(stateOf(log(...halted)).halted, {
      action: 'stage-transfer',
      code: 'StoreInvalid',
      message: 'because of StoreInvalid',
    })
    assert.ok(stateOf(log(...halted, start('stage-transfer'))).halted, 'a new try is not yet a success')
    for (const more of [
      [start('stage-transfer'), end('stage-transfer', { files: [] })],
      [start('stage-transfer'), failed('stage-transfer', 'ApprovalVoid', { void: 'scope' })],
      [change()],
    ])
      assert.equal(stateOf(log(...halted, ...more)).halted, undefined)
  })

  it('is not moved by starts, errors noted on the way, and steps that were abandoned', () => {
    const all = published
    fc.assert(
      fc.property(
        fc.nat({ max: all.length }),
        fc.constantFrom('validate', 'stage-transfer', 'close', 'publish'),
        (cut, action) => {
          const before = all.slice(0, cut)
          fc.pre(log(...before).open === undefined)
          const step = action as EntryDraft['action']
          const error = noted('error', {}, { error: { code: 'SourceUnreachable', message: 'down' } })
          const after = [...before, start(step), error, end(step, {}, { result: 'abandoned' })]
          // Something may lie in the store once a transfer or a publishing was started, however it ended.
          const left = { staged: undefined, publishing: undefined }
          assert.deepEqual({ ...stateOf(log(...after)), ...left }, { ...stateOf(log(...before)), ...left })
        },
      ),
    )
  })
})
