import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Condition, conditionsOf } from '../../controller/engine/conditions.ts'
import { MemoryStore } from '../../controller/engine/store/memory.ts'
import { commitA, commitB, declare, otherKey, otherType, thingKey, thingType } from './lab.ts'

function makeStore() {
  const store = new MemoryStore(type => type.kind === thingType.kind)
  const told: string[] = []
  store.onChange((key, what) => void told.push(`${key.split('/').at(-1)} ${what}`))
  return { store, told: () => told.splice(0) }
}

const report = (ready: boolean) => ({
  ready,
  progressing: !ready,
  stalled: false,
  reason: 'Some',
  message: '',
  detail: {},
})

const status = (ready: boolean) => ({
  conditions: [],
  observedGeneration: 1,
  observedRevision: commitA,
  problems: [],
  report: report(ready),
  next: [],
  waits: [],
  later: [],
})

describe('the store in memory', () => {
  it('counts a generation up with each change of what is declared, and tells of changes only', () => {
    const { store, told } = makeStore()
    store.replace('s', commitA, declare({ name: 'a', spec: { n: 1 } }, { name: 'b', spec: { n: 1 } }))
    assert.deepEqual(told(), ['a spec', 'b spec'])
    store.replace('s', commitB, declare({ name: 'a', spec: { n: 1 } }, { name: 'b', spec: { n: 2 } }))
    assert.deepEqual(told(), ['b spec'])
    assert.deepEqual([store.get(thingKey('a'))?.generation, store.get(thingKey('b'))?.generation], [1, 2])
    const [fresh] = declare({ name: 'a', spec: { n: 1 } }).resources
    store.replace('s', commitB, {
      resources: [{ ...fresh!, problems: [{ code: 'FieldIgnored', severity: 'warning', message: '', todo: '' }] }],
      problems: [],
    })
    assert.deepEqual(told(), ['a spec', 'b spec'], 'a problem is a change, and so is going')
    assert.equal(store.get(thingKey('a'))?.generation, 2)
  })

  it('keeps a request whose folder is gone as missing, and forgets other things', () => {
    const { store, told } = makeStore()
    store.replace('s', commitA, declare({ name: 'a', spec: {} }, { name: 'o', spec: {}, type: otherType }))
    for (const key of store.keys()) store.setStatus(key, status(true))
    told()
    store.replace('s', commitB, declare())
    assert.deepEqual(told().sort(), ['a spec', 'o spec'])
    assert.deepEqual(store.keys(), [thingKey('a')])
    assert.deepEqual([store.get(thingKey('a'))?.missing, store.get(otherKey('o'))], [true, undefined])
    assert.equal(store.status(thingKey('a'))?.report.ready, true)
    assert.equal(store.status(otherKey('o')), undefined)
    store.replace('s', commitB, declare())
    assert.deepEqual(told(), [], 'gone is told once')
    store.replace('s', commitA, declare({ name: 'a', spec: {} }))
    assert.deepEqual(told(), ['a spec'], 'coming back unchanged is news')
    assert.deepEqual([store.get(thingKey('a'))?.missing, store.get(thingKey('a'))?.generation], [false, 2])
  })

  it('lets a source take away only what it declared itself', () => {
    const { store } = makeStore()
    store.replace('one', commitA, declare({ name: 'a', spec: {}, type: otherType }))
    store.replace('two', commitA, declare({ name: 'b', spec: {}, type: otherType }))
    store.replace('one', commitB, declare())
    assert.deepEqual(store.keys(), [otherKey('b')])
  })

  it('gives snapshots that later changes do not reach', () => {
    const { store } = makeStore()
    const problem = { code: 'YamlInvalid', severity: 'error', message: 'x', todo: '' } as const
    store.replace('s', commitA, {
      ...declare({ name: 'a', spec: { n: 1 } }, { name: 'o', spec: {}, type: otherType }),
      problems: [problem],
    })
    const before = store.snapshot()
    assert.equal(store.snapshot(), before, 'an unchanged store is one snapshot')
    store.replace('s', commitB, declare({ name: 'a', spec: { n: 2 } }))
    store.replace('t', commitB, declare({ name: 'b', spec: {} }))
    const after = store.snapshot()
    assert.deepEqual(before.get(thingType, 'a', 'projects')?.spec, { n: 1 })
    assert.deepEqual(after.get(thingType, 'a', 'projects')?.spec, { n: 2 })
    assert.deepEqual([before.list(otherType).length, after.list(otherType).length], [1, 0])
    assert.deepEqual([before.list(thingType).length, after.list(thingType).length], [1, 2])
    assert.deepEqual(
      [[...before.commits], [...after.commits]],
      [
        [['s', commitA]],
        [
          ['s', commitB],
          ['t', commitB],
        ],
      ],
    )
    assert.deepEqual([before.problems.get('s'), after.problems.get('s')], [[problem], []])
  })

  it('tells of readiness when it changes, and of nothing else in a status', () => {
    const { store, told } = makeStore()
    store.setStatus('k', status(false))
    assert.deepEqual(told(), ['k ready'])
    store.setStatus('k', { ...status(false), next: ['something'] })
    assert.deepEqual(told(), [])
    store.setStatus('k', status(true))
    store.setStatus('k', status(true))
    assert.deepEqual(told(), ['k ready'])
  })

  it('has exactly what its sources declared last, whatever came before', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 })
    const reads = fc.array(fc.tuple(names, fc.integer({ min: 1, max: 2 })), { maxLength: 12 })
    fc.assert(
      fc.property(reads, all => {
        const { store } = makeStore()
        const generations = new Map<string, number>()
        for (const [index, [declared, n]] of all.entries()) {
          store.replace('s', index % 2 ? commitA : commitB, declare(...declared.map(name => ({ name, spec: { n } }))))
          for (const name of declared) {
            const { generation, missing, spec } = store.get(thingKey(name))!
            assert.deepEqual([missing, spec], [false, { n }])
            assert.ok(generation >= (generations.get(name) ?? 1), 'a generation never goes back')
            generations.set(name, generation)
          }
          for (const key of store.keys()) {
            const { name, missing } = store.get(key)!
            assert.equal(missing, !declared.some(one => one === name))
          }
        }
      }),
    )
  })
})

describe('conditions', () => {
  it('move their times only with their statuses', () => {
    const reports = fc.array(
      fc.record({
        ready: fc.boolean(),
        progressing: fc.boolean(),
        stalled: fc.boolean(),
        reason: fc.constantFrom('Done', 'Waiting'),
        message: fc.constantFrom('', 'one', 'two'),
        detail: fc.constant({}),
      }),
      { minLength: 1, maxLength: 20 },
    )
    fc.assert(
      fc.property(reports, all => {
        let previous: readonly Condition[] = []
        for (const [index, one] of all.entries()) {
          const now = new Date(Date.UTC(2026, 0, 1, 0, 0, index))
          const next = conditionsOf(one, previous, now)
          assert.deepEqual(
            next.map(({ type, status }) => [type, status]),
            [
              ['Ready', one.ready ? 'True' : 'False'],
              ['Reconciling', one.progressing ? 'True' : 'False'],
              ['Stalled', one.stalled ? 'True' : 'False'],
            ],
          )
          for (const [at, { status, lastTransitionTime }] of next.entries()) {
            const before = previous[at]
            const expected = before?.status === status ? before.lastTransitionTime : now.toISOString()
            assert.equal(lastTransitionTime, expected)
          }
          assert.deepEqual(conditionsOf(one, next, new Date(now.getTime() + 500)), next, 'the same again is the same')
          previous = next
        }
      }),
    )
  })

  it('give their reason where it belongs', () => {
    const [ready, reconciling, stalled] = conditionsOf(
      { ready: false, progressing: false, stalled: true, reason: 'Unattributed', message: 'who?', detail: {} },
      [],
      new Date(0),
    )
    assert.deepEqual([ready?.reason, reconciling?.reason, stalled?.reason], ['Unattributed', 'Idle', 'Unattributed'])
    assert.deepEqual([ready?.message, reconciling?.message, stalled?.message], ['who?', '', 'who?'])
  })
})
