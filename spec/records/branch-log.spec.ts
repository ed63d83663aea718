import assert from 'node:assert/strict'
import {
  type BranchDraft,
  branchEntryOf,
  emptyBranchHistory,
  readBranchLog,
  rotatedKey,
  rotationTo,
} from '../../controller/records/branch-log.ts'
import { canonicalJson } from '../../controller/runtime/canonical.ts'
import { generateKey, parsePrivateKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'

const newKey = () => parsePrivateKey(generateKey('test').private)
const [old, next, stranger] = [newKey(), newKey(), newKey()]
const actor = { type: 'controller', name: 'test', key: old.public.fingerprint } as const
const frame = (seconds: number) => ({ time: new Date(seconds * 1000), instance: 'one', actor })
const good = 'a'.repeat(40)

/** A log of these drafts, by file name. */
function logOf(...drafts: BranchDraft[]): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  for (const [index, draft] of drafts.entries()) {
    const { path, content } = branchEntryOf(readBranchLog(files).history, draft, frame(100 - index))
    files.set(path.slice('log/'.length), content)
  }
  return files
}

const restore: BranchDraft = { action: 'restore', restore: { good, count: 1, commits: [], paths: ['a b\ufffd.json'] } }
const accept: BranchDraft = { action: 'accept', accept: { commit: good } }
const rotate: BranchDraft = { action: 'rotate', rotate: rotationTo(next, old.public, emptyBranchHistory.head) }

describe('the log of a records branch', () => {
  it('is read back as it was written, its times never running backwards', () => {
    const files = logOf(restore, accept)
    assert.deepEqual([...files.keys()], ['000001-restore-noted.json', '000002-accept-noted.json'])
    const { history, reason } = readBranchLog(files)
    assert.equal(reason, undefined)
    assert.deepEqual(
      history.entries.map(({ action, time }) => [action, time]),
      [
        ['restore', '1970-01-01T00:01:40.000Z'],
        ['accept', '1970-01-01T00:01:40.000Z'],
      ],
    )
  })

  it('is none with an entry missing, changed, twice, renamed or not canonical', () => {
    const files = logOf(restore, accept, accept)
    const [first = '', second = '', third = ''] = files.keys()
    const bytes = (name: string) => Buffer.from(files.get(name) ?? '')
    const with_ = (change: (files: Map<string, Uint8Array>) => void) => {
      const copy = new Map(files)
      change(copy)
      return readBranchLog(copy).reason ?? 'is fine'
    }
    assert.match(
      with_(copy => copy.delete(first)),
      /000002-accept-noted\.json: entry 1 is missing/,
    )
    assert.match(
      with_(copy => copy.delete(second)),
      /000003-accept-noted\.json: entry 2 is missing/,
    )
    assert.match(
      with_(copy => copy.set(second, Buffer.from(bytes(second).toString().replace('one', 'two')))),
      /000003-accept-noted\.json: names another entry/,
    )
    assert.match(
      with_(copy => copy.set('000002-again-noted.json', bytes(second))),
      /says that it is/,
    )
    assert.match(
      with_(copy => copy.set(third, Buffer.from(`${bytes(third)} `))),
      /not canonical/,
    )
    assert.match(
      with_(copy => copy.set('notes.txt', Buffer.from('hello'))),
      /notes\.txt/,
    )
  })

  it('has no entry without what its action is about', () => {
    for (const draft of [restore, accept, rotate]) {
      const { entry } = branchEntryOf(emptyBranchHistory, draft, frame(1))
      const { [draft.action]: _, ...bare } = entry as unknown as Record<string, unknown>
      const file = new Map([[`000001-${draft.action}-noted.json`, Buffer.from(`${canonicalJson(bare)}\n`)]])
      assert.notEqual(readBranchLog(file).reason, undefined)
    }
  })
})

describe('a rotation', () => {
  const entryWith = (change: object) => {
    const { entry } = branchEntryOf(emptyBranchHistory, rotate, frame(1))
    return {
      ...entry,
      ...change,
      rotate: { ...entry.rotate!, ...('rotate' in change ? (change.rotate as object) : {}) },
    }
  }

  it('is agreed to by the new key', () => {
    assert.equal(rotatedKey(entryWith({})).key?.fingerprint, next.public.fingerprint)
  })

  it('is none for another old key, at another place, to another key, or without agreement', () => {
    const head = emptyBranchHistory.head
    const matter = { old: old.public.fingerprint, new: next.public.fingerprint, previous: head }
    const another = signSsh(stranger, 'rotation@cratewright.dev', Buffer.from(canonicalJson(matter)))
    const agreed = signSsh(next, 'rotation@cratewright.dev', Buffer.from(canonicalJson(matter)))
    assert.equal(rotatedKey(entryWith({ rotate: { proof: agreed } })).reason, undefined)
    for (const change of [
      { rotate: { proof: another } },
      { rotate: { old: stranger.public.fingerprint } },
      { previous: 'b'.repeat(64) },
      { rotate: { key: rotationTo(stranger, old.public, head).key } },
      { rotate: { proof: rotationTo(stranger, old.public, head).proof } },
      { rotate: { proof: 'nothing' } },
    ])
      assert.notEqual(rotatedKey(entryWith(change)).reason, undefined, JSON.stringify(change))
  })
})
