import { deepEqual, equal, match, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { parseYaml } from '../../controller/schema/yaml.ts'

function parse(text: string | Uint8Array, limits = {}) {
  return parseYaml(typeof text === 'string' ? Buffer.from(text) : text, 'f.yaml', limits)
}

function values(text: string): unknown[] {
  const { documents, problems } = parse(text)
  deepEqual(problems, [])
  return documents.map(({ value }) => value)
}

/** `line:column message` of everything that is wrong. */
function refused(text: string | Uint8Array, limits = {}): string[] {
  const { problems } = parse(text, limits)
  return problems.map(({ where, message }) => `${where?.line}:${where?.column} ${message}`)
}

const wholeText = fc
  .string({ unit: 'grapheme' })
  .filter(text => !text.includes('\0') && text !== '<<' && text !== '__proto__' && text.isWellFormed())
const number = fc.oneof(
  fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter(value => !Number.isInteger(value)),
)
const { json } = fc.letrec(tie => ({
  json: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    wholeText,
    number,
    fc.boolean(),
    fc.constant(null),
    tie('list'),
    tie('map'),
  ),
  list: fc.array(tie('json'), { maxLength: 5 }),
  map: fc.dictionary(wholeText, tie('json'), { maxKeys: 5, noNullPrototype: true }),
}))

describe('parseYaml', () => {
  it('reads back every value that was written as YAML', () => {
    fc.assert(
      fc.property(json, value => {
        const { documents, problems } = parse(stringify(value, { lineWidth: 0 }))
        deepEqual(problems, [])
        deepEqual(
          documents.map(document => document.value),
          [value],
        )
      }),
    )
  })

  it('reads back every value that was written as JSON', () => {
    fc.assert(
      fc.property(json, value => {
        const { documents, problems } = parse(JSON.stringify(value))
        deepEqual(problems, [])
        deepEqual(
          documents.map(document => document.value),
          [value],
        )
      }),
    )
  })

  it('never throws, whatever the bytes', () => {
    const syntax = fc.constantFrom(
      '- ',
      ': ',
      '? ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '&a ',
      '*a',
      '!!str ',
      '|\n',
      '"',
      "'",
      '\n',
      '  ',
      '---\n',
      '#',
      'x',
      '%',
      '\t',
      '\\',
    )
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(syntax, { maxLength: 60 }).map(parts => Buffer.from(parts.join(''))),
    )
    fc.assert(
      fc.property(hostile, bytes => {
        const { documents, problems } = parse(bytes)
        for (const { value, at } of documents) {
          JSON.stringify(value)
          ok((at(['x', 0]).line ?? 0) >= 1)
        }
        for (const { code, message } of problems) {
          ok(code === 'YamlInvalid' || code === 'DocumentTooLarge')
          ok(message.length > 0)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('keeps dates, and words that older YAML took for booleans, as text', () => {
    deepEqual(values('a: 2026-01-01\nb: 2026-01-01T00:00:00Z\nc: no\nd: 0o17\ne: 012\n'), [
      { a: '2026-01-01', b: '2026-01-01T00:00:00Z', c: 'no', d: 15, e: 12 },
    ])
  })

  it('accepts a byte order mark at the beginning, CRLF, and several documents with empty ones between', () => {
    deepEqual(values('\ufeffa: 1\r\nb: 2\r\n'), [{ a: 1, b: 2 }])
    deepEqual(values('---\na: 1\n---\n# nothing\n---\nb: 2\n---\n'), [{ a: 1 }, { b: 2 }])
    deepEqual(values(''), [])
    deepEqual(values('%YAML 1.2\n---\na: 1\n'), [{ a: 1 }])
  })

  it('reads an alias as a copy of the nearest anchor before it', () => {
    const [value] = values('x: &a {k: &b [1]}\ny: &b 2\nz: *a\nw: *b\n') as [{ x: unknown; z: unknown; w: unknown }]
    deepEqual(value, { x: { k: [1] }, y: 2, z: { k: [1] }, w: 2 })
    ok(value.x !== value.z)
  })

  it('says where a field, an element and what is missing would be', () => {
    const { documents } = parse('a: 1\nb:\n  - c: 2\n    "d e": 3\n  - *x\n'.replace('- *x', '- f: 4'))
    const at = documents[0]!.at
    const position = (...path: (string | number)[]) => `${at(path).line}:${at(path).column}`
    equal(position(), '1:1')
    equal(position('b'), '2:1')
    equal(position('b', 0), '3:5')
    equal(position('b', 0, 'd e'), '4:5')
    equal(position('b', 1, 'f'), '5:5')
    equal(position('b', 0, 'missing', 'below'), '3:5')
    equal(position('missing'), '1:1')
    equal(at([]).file, 'f.yaml')
  })

  it('counts lines across documents, CRLF and the byte order mark', () => {
    const { documents } = parse('\ufeffa: 1\r\n---\r\nb: 2\r\n')
    deepEqual(documents[0]!.at(['a']), { file: 'f.yaml', line: 1, column: 1 })
    deepEqual(documents[1]!.at(['b']), { file: 'f.yaml', line: 3, column: 1 })
  })

  it('finds positions behind an alias', () => {
    const { documents } = parse('a: &x\n  b: 1\nc: *x\n')
    deepEqual(documents[0]!.at(['c', 'b']), { file: 'f.yaml', line: 2, column: 3 })
  })

  it('goes on with the documents behind a bad one', () => {
    const { documents, problems } = parse('a: 1\n---\nb: [\n---\nc: 3\n---\nd: 1\nd: 2\n---\ne: 5\n')
    deepEqual(
      documents.map(({ value }) => value),
      [{ a: 1 }, { c: 3 }, { e: 5 }],
    )
    ok(problems.some(({ where }) => where?.line === 8))
  })

  for (const [what, text, expected] of [
    [
      'invalid UTF-8',
      Buffer.concat([Buffer.from('a: 1\nb: "x'), Buffer.from([0xff]), Buffer.from('"\n')]),
      /^2:6 the text is not UTF-8/,
    ],
    ['NUL', 'a: 1\nb: \0\n', /^2:4 the control character U\+0000/],
    ['escaped NUL', 'a: "\\0"\n', /^1:4 the text holds a NUL/],
    ['a lone CR', 'a: 1\rb: 2\n', /^1:5 the control character U\+000D/],
    ['a byte order mark inside the file', 'a: 1\n\ufeffb: 2\n', /byte order mark/],
    ['tabs for indentation', 'a:\n\tb: 1\n', /^2:1 a tab is used/],
    ['duplicate keys', 'a: 1\nb: 2\na: 3\n', /^3:1 the field "a" is there twice/],
    ['merge keys', 'x: &x {a: 1}\ny:\n  <<: *x\n', /^3:3 merge keys/],
    ['keys that are numbers', '1: a\n', /^1:1 the name of a field has to be text/],
    ['keys that are null', '~: a\n', /^1:1 the name of a field has to be text/],
    ['keys that are lists', '[a]: b\n', /^1:1 the name of a field has to be text/],
    ['absent keys', ': b\n', /^1:\d the name of a field has to be text/],
    ['__proto__', 'a:\n  __proto__: {b: 1}\n', /^2:3 a field must not be named "__proto__"/],
    ['custom tags', 'a: !ruby/object {}\n', /core schema/],
    ['tags of older YAML', 'a: !!binary aGk=\n', /core schema/],
    ['tag directives', '%TAG ! tag:x,2000:\n---\na: !b 1\n', /^1:1 a directive/],
    ['YAML 1.1', '%YAML 1.1\n---\na: no\n', /^1:1 a directive/],
    ['large integers', 'a: 9007199254740992\n', /^1:4 whole numbers/],
    ['large hexadecimal integers', 'a: 0x20000000000000\n', /^1:4 whole numbers/],
    ['infinity', 'a: .inf\n', /^1:4 the number is not finite/],
    ['numbers that become infinite', 'a: 1e999\n', /^1:4 the number is not finite/],
    ['lone surrogates', 'a: "\\ud800"\n', /^1:4 the text holds half/],
    ['surrogates in UTF-8', Buffer.from([0x61, 0x3a, 0x20, 0xed, 0xa0, 0x80]), /^1:4 the text is not UTF-8/],
    ['unknown aliases', 'a: *b\n', /^1:4 the alias names no anchor/],
    ['values that hold themselves', 'a: &a [*a]\n', /^1:8 the alias names no anchor/],
    ['a list that does not end', 'a: [1,\n', /a bracket is not closed/],
  ] as const) {
    it(`refuses ${what}`, () => {
      const found = refused(text)
      ok(found.length > 0)
      match(found[0]!, expected)
      deepEqual(parse(text).documents, [])
    })
  }

  it('never repeats a value in a problem', () => {
    const secret = 'hunter2hunter2'
    for (const text of [
      `a: "${secret}\\q"`,
      `a: [${secret}`,
      `a: ${secret}: b`,
      `a: !${secret} b`,
      `a: *${secret}`,
      `"${secret}": 1\n"${secret}`,
      `%${secret}\n--- a`,
    ]) {
      ok(refused(text).length > 0, text)
      ok(!JSON.stringify(parse(text).problems).includes(secret), text)
    }
  })

  describe('limits', () => {
    it('holds the number of bytes, documents, aliases and values', () => {
      match(refused('a: 12345\n', { bytes: 8 })[0]!, /9 bytes, and may have 8/)
      match(refused('--- 1\n--- 2\n--- 3\n', { documents: 2 })[0]!, /more than 2 documents/)
      match(refused('- &a 1\n- *a\n- *a\n', { aliases: 1 })[0]!, /^3:3 the file has more than 1 aliases/)
      match(refused('[1, 2, 3]', { nodes: 3 })[0]!, /more than 3 values/)
      deepEqual(refused('[1, 2]', { nodes: 3 }), [])
    })

    it('holds the depth, for every way to nest', () => {
      deepEqual(refused(`${'['.repeat(64)}${']'.repeat(64)}`), [])
      for (const text of [
        `${'['.repeat(65)}${']'.repeat(65)}`,
        `${'- '.repeat(65)}a`,
        Array.from({ length: 66 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
        '['.repeat(1_000_000),
        '{'.repeat(1_000_000),
        '- '.repeat(500_000),
        '? '.repeat(500_000),
        '[: '.repeat(300_000),
      ]) {
        match(refused(text)[0]!, /more than 64 deep/)
      }
    })

    it('refuses alias bombs without making what they stand for', () => {
      const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
      for (let level = 1; level <= 9; level += 1) {
        lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`)
      }
      const began = performance.now()
      match(refused(lines.join('\n'))[0]!, /with what its aliases repeat, the file has more than 200000 values/)
      ok(performance.now() - began < 5_000)
    })
  })
})
