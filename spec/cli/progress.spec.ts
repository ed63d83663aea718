import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe as inWords, ProgressLine, size } from '../../controller/cli/progress.ts'

describe('a size in words', () => {
  const cases: readonly [number, string][] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1023.7, '1.0 KiB'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [1024 ** 3, '1.0 GiB'],
    [5 * 1024 ** 4, '5.0 TiB'],
    [5000 * 1024 ** 4, '5000.0 TiB'],
  ]
  for (const [bytes, words] of cases) it(`${bytes} is ${words}`, () => assert.equal(size(bytes), words))

  it('is within 5 % of the truth, and never 1024 of a unit that has a larger one', () => {
    const factor: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 }
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1024 ** 5 - 1 }), bytes => {
        const [number = '', unit = ''] = size(bytes).split(' ')
        const value = Number(number)
        assert.ok(unit === 'TiB' || value < 1024, size(bytes))
        assert.ok(Math.abs(value * (factor[unit] ?? 0) - bytes) <= bytes * 0.05, size(bytes))
      }),
    )
  })
})

describe('progress in words', () => {
  it('says only what is known', () => {
    assert.equal(inWords({ message: 'cohort' }, 9), 'cohort')
    assert.equal(inWords({ message: 'cohort', rows: 1234567 }, 9), 'cohort  1,234,567 rows')
  })

  it('shows how much is done, how fast, and how long it takes from here', () => {
    assert.equal(
      inWords({ message: 'cohort', rows: 10, bytes: 10 * 1024 ** 2, fraction: 0.25 }, 5),
      'cohort  [######..................] 25 %  10 rows  10.0 MiB  2.0 MiB/s  15 s left',
    )
  })

  it('gives no rate and no end before there is anything to reckon with', () => {
    assert.equal(
      inWords({ message: 'm', bytes: 2048, fraction: 0.5 }, 0.1),
      `m  [${'#'.repeat(12)}${'.'.repeat(12)}] 50 %  2.0 KiB`,
    )
    assert.doesNotMatch(inWords({ message: 'm', bytes: 1, fraction: 0.005 }, 60), /left/)
    assert.doesNotMatch(inWords({ message: 'm', bytes: 1, fraction: 1 }, 60), /left/)
  })

  it('has a bar of one width, however far it is', () => {
    fc.assert(
      fc.property(
        fc.record({
          message: fc.constant('m'),
          rows: fc.nat(),
          bytes: fc.nat(),
          fraction: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        (progress, seconds) => assert.match(inWords(progress, seconds), /^m {2}\[(?=.{24}\])#*\.*\] \d{1,3} % {2}/),
      ),
    )
  })

  it('is no more than a line in two seconds where lines cannot be rewritten', () => {
    const lines: string[] = []
    const line = new ProgressLine({
      out: () => assert.fail('progress is no answer'),
      err: text => void lines.push(text),
      interactive: false,
      env: {},
      signal: new AbortController().signal,
    })
    for (let rows = 0; rows < 1000; rows++) line.show('asthma', { message: 'cohort', rows })
    line.end()
    // The first only where this process is older than the interval.
    assert.ok(lines.length <= 1, lines.join('\n'))
  })
})
