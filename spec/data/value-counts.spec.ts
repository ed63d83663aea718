import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { estimateError, exactLimit, ValueCounts } from '../../controller/data/value-counts.ts'

function add(counts: ValueCounts, value: number): void {
  const digest = createHash('sha1').update(String(value)).digest()
  const [h1, h2] = [digest.readInt32LE(0), digest.readInt32LE(4)]
  if (counts.addKnown(h1, h2) < 0) counts.addNew(h1, h2, value % 2)
}

function counted(values: readonly number[], columns: number): ValueCounts {
  const counts = new ValueCounts(columns)
  for (const value of values) add(counts, value)
  return counts
}

describe('counting values', () => {
  it('counts as a map does, up to its limit', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 1000 }), fc.integer({ min: 1, max: 12 }), (values, k) => {
        const rows = new Map<number, number>()
        for (const value of values) rows.set(value, (rows.get(value) ?? 0) + 1)
        const rare = [...rows.values()].filter(count => count < k).length
        assert.deepEqual(counted(values, 1).result(k), { distinct: rows.size, rare })
      }),
    )
  })

  it('says the same in whatever order rows come, also beyond its limit', () => {
    const values = fc.array(fc.nat(400), { maxLength: 600 })
    const shuffled = values.chain(list =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    )
    fc.assert(
      fc.property(shuffled, fc.constantFrom(8, 1600), ([one, other], columns) => {
        assert.deepEqual(counted(one, columns).result(5), counted(other, columns).result(5))
      }),
    )
  })

  it('is exact at its limit, and estimates within 3 % beyond', () => {
    const limit = exactLimit(8)
    const counts = new ValueCounts(8)
    for (let value = 0; value < limit; value++) add(counts, value)
    assert.deepEqual(counts.result(2), { distinct: limit, rare: limit })
    add(counts, limit)
    assert.equal(counts.result(2).rare, undefined)
    let next = limit + 1
    for (const size of [limit + 1, 20_000, 40_000, 100_000, 300_000]) {
      for (; next < size; next++) add(counts, next)
      for (let again = 0; again < 1000; again++) add(counts, again)
      const { distinct } = counts.result(2)
      assert.ok(Math.abs(distinct / size - 1) < 0.03, `${distinct} for ${size}`)
    }
  })

  it('remembers what was found in a value', () => {
    const counts = new ValueCounts(1)
    counts.addNew(1, 2, 7)
    assert.equal(counts.addKnown(1, 2), 7)
    assert.equal(counts.addKnown(1, 3), -1)
  })

  it('gives the columns of a wide table less, so that all together stay in bounds', () => {
    assert.equal(exactLimit(1), 16_384)
    assert.equal(exactLimit(16), 16_384)
    assert.equal(exactLimit(17), 8192)
    assert.equal(exactLimit(1600), 128)
    assert.ok(estimateError(256) < 0.01 && estimateError(1600) < 0.025)
    for (let columns = 1; columns <= 1600; columns++) assert.ok(exactLimit(columns) * columns <= 262_144)
  })
})
