import { deepEqual, equal, match, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { parseToml } from '../../controller/schema/toml.ts'

const parse = (text: string) => parseToml(Buffer.from(text), 'f.toml')

describe('parseToml', () => {
  it('reads values, and dates as text', () => {
    const { document, problems } = parse('a = 1\nb = 2026-01-01\nc = 2026-01-01T00:00:00Z\n[d.e]\nf = ["x", true]\n')
    deepEqual(problems, [])
    deepEqual(document?.value, { a: 1, b: '2026-01-01', c: '2026-01-01T00:00:00.000Z', d: { e: { f: ['x', true] } } })
  })

  it('says on which line a field is', () => {
    const { document } = parse(
      '# first\n[bagit-info]\nSource-Organization = "x"\n  "Contact Name" = "y"\n[[list]]\na = 1\n[[list]]\na = 2\n[other]\nb.c = 3\n',
    )
    const at = (...path: (string | number)[]) => `${document?.at(path).line}:${document?.at(path).column}`
    equal(at('bagit-info'), '2:1')
    equal(at('bagit-info', 'Source-Organization'), '3:1')
    equal(at('bagit-info', 'Contact Name'), '4:3')
    equal(at('bagit-info', 'missing'), '2:1')
    equal(at('list', 1, 'a'), '8:1')
    equal(at('other', 'b', 'c'), '10:1')
    equal(at('missing'), '1:1')
  })

  for (const [what, text, expected] of [
    ['a key that is there twice', 'a = 1\na = 2\n', /2/],
    ['a table that does not end', '[a\nb = 1\n', /1|2/],
    ['large integers', 'a = 9007199254740993\n', /1/],
    ['numbers that are not finite', 'a = nan\n', /1/],
    ['__proto__', '[x]\n"__proto__" = 1\n', /1|2/],
    ['NUL', 'a = "\\u0000"\n', /1/],
  ] as const) {
    it(`refuses ${what}, and says where`, () => {
      const { document, problems } = parse(text)
      equal(document, undefined)
      equal(problems[0]?.code, 'TomlInvalid')
      match(String(problems[0]?.where?.line), expected)
    })
  }

  it('never repeats a value in a problem', () => {
    for (const text of [
      'a = hunter2',
      'a = "hunter2',
      'a = "hunter2" "',
      'a = ["hunter2"',
      'a = "hunter2\\q"',
      'hunter2',
      'a = 1\nb = """hunter2',
    ]) {
      const { problems } = parse(text)
      ok(problems.length > 0, text)
      ok(!JSON.stringify(problems).includes('hunter2'), text)
    }
  })

  it('refuses what is nested too deep, whatever way it is written', () => {
    for (const text of [
      `a = ${'['.repeat(100)}${']'.repeat(100)}`,
      `${'a.'.repeat(100)}a = 1`,
      `[${'a.'.repeat(100)}a]`,
      `a = ${'['.repeat(400_000)}`,
    ]) {
      ok(parse(text).problems.length > 0)
    }
  })

  it('never throws, whatever the bytes', () => {
    const syntax = fc.constantFrom(
      '[',
      ']',
      '[[',
      '=',
      '"',
      "'",
      '"""',
      'a',
      '.',
      '\n',
      '{',
      '}',
      ',',
      '1',
      '#',
      '\\',
      '-',
      ':',
    )
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.array(syntax, { maxLength: 40 }).map(parts => Buffer.from(parts.join(''))),
    )
    fc.assert(
      fc.property(hostile, bytes => {
        const { document, problems } = parseToml(bytes, 'f.toml')
        equal(document === undefined, problems.length > 0)
        ok((document?.at(['x']).line ?? 1) >= 1)
      }),
      { numRuns: 500 },
    )
  })
})
