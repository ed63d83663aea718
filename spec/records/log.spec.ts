import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { EntryDraft, History } from '../../controller/engine/kind.ts'
import {
  appended,
  type EntryFrame,
  emptyHistory,
  encodeEntry,
  entryFile,
  entryOf,
  genesis,
  historyUpTo,
  readLog,
  whyUnreadable,
} from '../../controller/records/log.ts'
import { headOf } from '../../controller/records/recorder.ts'
import { digestOf, sha256Hex } from '../../controller/runtime/canonical.ts'

const oid = 'c'.repeat(40)
const frame = (seconds: number): EntryFrame => ({
  time: new Date(Date.UTC(2026, 0, 1) + seconds * 1000),
  instance: 'one',
  actor: { type: 'controller', name: 'cratewright', key: 'SHA256:x' },
  repository: 'projects',
  project: 'asthma',
})

const sha256 = fc.integer({ min: 0, max: 1e9 }).map(seed => sha256Hex(String(seed)))
// A NUL is what no entry may hold: the recorder does not write one.
const text = fc
  .oneof(fc.string(), fc.string({ unit: 'binary' }))
  .filter(one => one.isWellFormed() && !one.includes('\0'))
const facts = fc.dictionary(
  fc.string({ minLength: 1 }).filter(name => name !== '__proto__'),
  fc.oneof(text, fc.integer(), fc.boolean(), fc.array(fc.record({ path: text, size: fc.nat() }), { maxLength: 3 })),
  { maxKeys: 4 },
)
const detail = fc.record(
  {
    digests: fc.record({ request: sha256, scope: sha256, outputs: sha256 }, { requiredKeys: [] }),
    generation: fc.integer({ min: 1, max: 99 }),
    release: fc.integer({ min: 1, max: 99 }),
    facts,
  },
  { requiredKeys: [] },
)
const pairs = fc.constantFrom(...(['validate', 'stage-transfer', 'close', 'publish'] as const))
const results = fc.constantFrom(...(['done', 'failed', 'abandoned'] as const))
const notes = fc.constantFrom(...(['create', 'change', 'statement', 'sign-off', 'disclosure', 'error'] as const))
const error = fc.record({ code: fc.constantFrom('ApprovalVoid', 'SourceUnreachable'), message: text })

/** What happens, as the engine may write it: outcomes and starts in turns, notes at any time; clocks that also run backwards. */
const happenings = fc.array(
  fc.record({
    kind: fc.constantFrom('step', 'step', 'note'),
    action: pairs,
    note: notes,
    result: results,
    detail,
    error: fc.option(error, { nil: undefined }),
    seconds: fc.integer({ min: -5, max: 100 }),
  }),
  { minLength: 1, maxLength: 12 },
)

const histories = happenings.map(all => {
  let seconds = 1000
  return all.reduce<History>((history, { kind, action, note, result, detail, error, seconds: passed }) => {
    seconds += passed
    const { open } = history
    const common = { commits: { platform: oid, projects: oid }, ...detail, ...(error ? { error } : {}) }
    const draft: EntryDraft =
      kind === 'note'
        ? { ...common, action: note, event: 'noted' }
        : open
          ? { ...common, action: open.action, event: 'outcome', started: open.number, result }
          : { ...common, action, event: 'started' }
    return appended(history, entryOf(history, draft, frame(seconds)))
  }, emptyHistory)
})

const filesOf = ({ entries }: History) => new Map(entries.map(entry => [entryFile(entry), encodeEntry(entry)]))

/** What a branch holds says whether the log is whole: the log itself, and the derived file that names its last entry. */
function isWhole(files: ReadonlyMap<string, Uint8Array>, { content }: { content: Uint8Array }): boolean {
  const { history, problems } = readLog(files)
  return problems.length === 0 && Buffer.from(headOf(history).content).equals(content)
}

describe('the log', () => {
  it('is read back bit for bit, whatever was written', () => {
    fc.assert(
      fc.property(histories, history => {
        const files = filesOf(history)
        const read = readLog(files)
        assert.deepEqual(read.problems, [])
        assert.deepEqual([...filesOf(read.history)], [...files])
        assert.deepEqual([read.history.head, read.history.open?.number], [history.head, history.open?.number])
        assert.ok(isWhole(files, headOf(history)))
        // Keys in the same order too: a projection that goes through them makes the same text before and after a restart.
        assert.equal(JSON.stringify(read.history.entries), JSON.stringify(history.entries))
      }),
    )
  })

  it('does not depend on the order in which files are listed', () => {
    fc.assert(
      fc.property(histories, history => {
        const { history: read, problems } = readLog(new Map([...filesOf(history)].reverse()))
        assert.deepEqual([read.head, problems], [history.head, []])
      }),
      { numRuns: 20 },
    )
  })

  it('says beforehand what it could not take back', () => {
    const whole = (facts: Record<string, unknown>) => {
      const entry = entryOf(emptyHistory, { action: 'create', event: 'noted', commits: {}, facts }, frame(1))
      const { problems } = readLog(new Map([[entryFile(entry), encodeEntry(entry)]]))
      assert.equal(whyUnreadable(emptyHistory, entry) === undefined, problems.length === 0)
      return problems.length === 0
    }
    const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
    assert.ok(whole({ text: '\u2028\u0085\ufeff\u{1f600}', deep: deep(20) }))
    for (const facts of [
      { text: 'a\0b' },
      { 'a\0b': 1 },
      JSON.parse('{"__proto__": 1}'),
      { deep: deep(80) },
      { number: 2 ** 60 },
    ])
      assert.ok(!whole(facts), JSON.stringify(facts).slice(0, 60))
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 3 }).filter(value => JSON.stringify(value).isWellFormed()),
        value => {
          whole({ value })
        },
      ),
    )
  })

  it('can be cut at any entry, and has the head it had then', () => {
    fc.assert(
      fc.property(histories, fc.nat(), (history, at) => {
        const number = 1 + (at % history.entries.length)
        const before = historyUpTo(history, number)
        assert.equal(before.entries.length, number)
        assert.equal(before.head, history.entries[number]?.previous ?? history.head)
        const last = before.entries.at(-1)
        if (last?.event === 'started') assert.equal(before.open, last)
      }),
    )
  })

  it('never goes back in time, whatever the clock does', () => {
    fc.assert(
      fc.property(histories, ({ entries }) => {
        for (const [index, { time }] of entries.entries()) assert.ok(time >= (entries[index - 1]?.time ?? ''))
      }),
    )
  })

  it('shows the change of any byte of any entry', () => {
    fc.assert(
      fc.property(histories, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (history, which, where, flip) => {
        const files = filesOf(history)
        const [name, content] = [...files][which % files.size]!
        const changed = Buffer.from(content)
        const at = where % changed.length
        changed[at] = changed[at]! ^ flip
        assert.ok(!isWhole(new Map([...files, [name, changed]]), headOf(history)), `byte ${at} of ${name}`)
        if (which % files.size < files.size - 1) {
          const { problems, history: before } = readLog(new Map([...files, [name, changed]]))
          assert.ok(problems.length > 0, 'for all but the last entry the log itself shows it')
          assert.ok(before.entries.length <= (which % files.size) + 1)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('shows that an entry was removed, wherever it was', () => {
    fc.assert(
      fc.property(histories, fc.nat(), (history, which) => {
        const files = filesOf(history)
        files.delete([...files.keys()][which % files.size]!)
        assert.ok(!isWhole(files, headOf(history)))
      }),
    )
  })

  it('shows that entries changed places', () => {
    fc.assert(
      fc.property(histories, fc.nat(), fc.nat(), (history, a, b) => {
        const { entries } = history
        const [one, two] = [entries[a % entries.length]!, entries[b % entries.length]!]
        fc.pre(one !== two)
        const swapped = entries.map(entry => (entry === one ? two : entry === two ? one : entry))
        const renumbered = swapped.map((entry, index) => ({ ...entry, number: index + 1 }))
        for (const moved of [
          new Map(entries.map((entry, index) => [entryFile(entry), encodeEntry(swapped[index]!)])),
          new Map(renumbered.map(entry => [entryFile(entry), encodeEntry(entry)])),
        ])
          assert.ok(readLog(moved).problems.length > 0)
      }),
    )
  })

  it('shows an entry that was put in, and one that is there twice', () => {
    fc.assert(
      fc.property(histories, fc.nat(), (history, which) => {
        const files = filesOf(history)
        const entry = history.entries[which % files.size]!
        const forged = { ...entry, action: 'withdraw' } as const
        assert.ok(readLog(new Map([...files, [entryFile(forged), encodeEntry(forged)]])).problems.length > 0)
        const copy = { ...entry, number: files.size + 1 }
        assert.ok(readLog(new Map([...files, [entryFile(copy), encodeEntry(copy)]])).problems.length > 0)
      }),
    )
  })

  describe('takes no', () => {
    const started = appended(
      emptyHistory,
      entryOf(emptyHistory, { action: 'validate', event: 'started', commits: {} }, frame(10)),
    )
    const [first] = started.entries
    const next = (draft: EntryDraft, change: object = {}) => {
      const entry = { ...entryOf(started, draft, frame(20)), ...change }
      return readLog(new Map([...filesOf(started), [entryFile(entry), encodeEntry(entry)]])).problems
    }
    const done = { action: 'validate', event: 'outcome', commits: {}, started: 1, result: 'done' } as const

    it('outcome but that of the open step', () => {
      assert.deepEqual(next(done), [])
      assert.match(next({ ...done, started: 2 })[0] ?? '', /not open/)
      assert.ok(next({ ...done, action: 'publish' }).length > 0)
    })
    it('second start while a step is open', () => {
      assert.match(
        next({ action: 'publish', event: 'started', commits: {} })[0] ?? '',
        /000001-validate-started.json is open/,
      )
    })
    it('outcome without result, or without what it closes', () => {
      for (const missing of ['result', 'started'] as const) {
        const { [missing]: _, ...rest } = done
        assert.ok(next(rest).length > 0, missing)
      }
    })
    it('entry that is older than the one before it, or of another project or repository', () => {
      assert.match(next(done, { time: '2026-01-01T00:00:09.999Z' })[0] ?? '', /older/)
      assert.ok(next(done, { project: 'other' }).length > 0)
      assert.ok(next(done, { repository: 'other' }).length > 0)
    })
    it('entry that names another before it', () => {
      assert.match(next(done, { previous: genesis })[0] ?? '', /another entry than 000001/)
      const entry = { ...first!, previous: sha256Hex('') }
      assert.match(readLog(new Map([[entryFile(entry), encodeEntry(entry)]])).problems[0] ?? '', /before the first/)
    })
    it('field that no entry has, action that nobody knows, or other version of the form', () => {
      for (const change of [{ extra: 1 }, { action: 'bless' }, { log: 'cratewright.dev/log/v2' }])
        assert.ok(next(done, change).length > 0, JSON.stringify(change))
    })
    it('file that is no entry, gap, or bytes that are not canonical', () => {
      const [name, content] = [...filesOf(started)][0]!
      for (const [wrong, bytes] of [
        ['README.md', content],
        ['000002-validate-started.json', content],
        [name, Buffer.from(`${Buffer.from(content).toString('utf8').replace('{', '{ ')}`)],
        [name, Buffer.from(Buffer.from(content).toString('utf8').trimEnd())],
        [name, Buffer.alloc(0)],
        [name, Buffer.from('{')],
        [name, Buffer.from([0xff, 0xfe, 0x00])],
      ] as const) {
        const { problems } = readLog(new Map([[wrong, bytes]]))
        assert.equal(problems.length > 0, true, wrong)
        const [first = ''] = problems
        assert.ok(first.startsWith(`${wrong}:`) || first.endsWith(`is missing before ${wrong}`), first)
      }
    })
  })
})

describe('digests of JSON', () => {
  it('do not depend on the order of keys, and on everything else', () => {
    const shuffled = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(shuffled)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, inner]) => [key, shuffled(inner)]),
            )
          : value
    const values = fc.jsonValue({ maxDepth: 4 }).filter(value => JSON.stringify(value).isWellFormed())
    fc.assert(
      fc.property(values, values, (one, two) => {
        assert.equal(digestOf(one), digestOf(shuffled(one)))
        assert.equal(digestOf(one) === digestOf(two), isSame(one, two))
      }),
    )
  })
})

/** As JSON has it: −0 is 0. */
function isSame(one: unknown, two: unknown): boolean {
  try {
    assert.deepEqual(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(two)))
    return true
  } catch {
    return false
  }
}
