import assert from 'node:assert/strict'
import fc from 'fast-check'
import { canonicalJson, derivedUuid, digestOf, sha256Hex } from '../../controller/runtime/canonical.ts'

const json = fc.jsonValue({ maxDepth: 4, noUnicodeString: false })

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reversed(item)]),
  )
}

describe('canonical JSON', () => {
  it('writes the example of RFC 8785 §3.2.2 and §3.2.3 as the RFC does', () => {
    const value = JSON.parse(String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`)
    const expected =
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
      '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert.equal(canonicalJson(value), expected)
  })

  it('sorts names by UTF-16 code units, as RFC 8785 §3.2.3 does', () => {
    const names = ['€', '\r', '\ufb33', '1', '😀', '\u0080', 'ö']
    const sorted = Object.keys(JSON.parse(canonicalJson({ x: Object.fromEntries(names.map(name => [name, 0])) })).x)
    // Integer-like names come first in any JavaScript object, which is where they belong here.
    assert.deepEqual(
      sorted.filter(name => name !== '1'),
      ['\r', '\u0080', 'ö', '€', '😀', '\ufb33'],
    )
    assert.ok(canonicalJson({ '\r': 0, 1: 0 }).startsWith('{"\\r"'))
  })

  it('keeps the value, does not depend on the order of names, and is a fixed point', () => {
    fc.assert(
      fc.property(json, value => {
        const text = canonicalJson(value)
        assert.equal(canonicalJson(reversed(value)), text)
        assert.equal(canonicalJson(JSON.parse(text)), text)
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('refuses everything that JSON has no value for, wherever it stands', () => {
    const circle: unknown[] = []
    circle.push(circle)
    const none = [undefined, Number.NaN, Number.POSITIVE_INFINITY, '\ud800', 1n, Symbol('x'), () => 1]
    const objects = [
      new Date(0),
      new Map(),
      new Set(),
      Buffer.of(1),
      /x/,
      new (class {})(),
      circle,
      { toJSON: () => 1 },
    ]
    for (const value of [...none, ...objects]) {
      for (const place of [value, [value], { a: { b: [value] } }]) assert.throws(() => canonicalJson(place), TypeError)
    }
    assert.throws(() => canonicalJson({ '\ud800': 1 }), TypeError)
    assert.throws(() => canonicalJson(new Array(2)), TypeError)
  })

  it('has a bound for nesting instead of a full stack', () => {
    const nested = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels))
    assert.equal(canonicalJson(nested(1000)).length, 2000)
    assert.throws(() => canonicalJson(nested(5000)), /nested/)
  })

  it('is what digests are made of', () => {
    assert.equal(sha256Hex('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    assert.equal(digestOf({ b: 1, a: 'é' }), sha256Hex(Buffer.from('{"a":"é","b":1}')))
  })
})

describe('derived UUIDs', () => {
  it('have the time and the layout of RFC 9562 §5.7', () => {
    // The time of the example in RFC 9562 appendix A.6.
    const uuid = derivedUuid(new Date(0x017f22e279b0), 'seed')
    assert.match(uuid, /^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const hash = sha256Hex('seed')
    assert.equal(uuid.slice(15, 18), hash.slice(1, 4))
    assert.equal(uuid.slice(20).replace('-', ''), hash.slice(5, 20))
  })

  it('are the same for the same time and seed, and differ else', () => {
    const time = new Date('2026-03-04T05:06:07.890Z')
    assert.equal(derivedUuid(time, 'a'), derivedUuid(new Date(time), 'a'))
    assert.notEqual(derivedUuid(time, 'a'), derivedUuid(time, 'b'))
    assert.notEqual(derivedUuid(time, 'a'), derivedUuid(new Date(0), 'a'))
    assert.throws(() => derivedUuid(new Date(-1), 'a'), RangeError)
    assert.throws(() => derivedUuid(new Date(Number.NaN), 'a'), RangeError)
  })
})
