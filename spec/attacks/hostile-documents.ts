/** Files that a stranger could push where YAML or TOML is read, and what has to be said of each. */

export interface HostileText {
  readonly name: string
  readonly text: string | Uint8Array
  readonly code: 'YamlInvalid' | 'TomlInvalid' | 'DocumentTooLarge' | 'DocumentInvalid'
  /** `line:column` */
  readonly at: string
  readonly says: RegExp
}

type Row = readonly [name: string, text: string | Uint8Array, at: string, says: RegExp]

const invalidYaml = (rows: readonly Row[]) => texts('YamlInvalid', rows)
const tooLarge = (rows: readonly Row[]) => texts('DocumentTooLarge', rows)

function texts(code: HostileText['code'], rows: readonly Row[]): HostileText[] {
  return rows.map(([name, text, at, says]) => ({ name, text, code, at, says }))
}

/** Each level repeats the one before ten times: 10^10 values from 600 bytes. */
export const billionLaughs = Array.from({ length: 10 }, (_, level) => {
  const what = level === 0 ? 'x' : `*a${level - 1}`
  return `a${level}: &a${level} [${Array(10).fill(what).join(', ')}]\n`
}).join('')

const deep = Array.from({ length: 100 }, (_, level) => `${' '.repeat(level)}a:\n`).join('')

export const hostileYaml: readonly HostileText[] = [
  ...tooLarge([
    ['100 levels of mappings', deep, '65:65', /more than 64 deep/],
    ['100 levels of lists', `a:\n  b: ${'['.repeat(100)}${']'.repeat(100)}\n`, '2:68', /more than 64 deep/],
    ['100 levels by aliases', chain(100), '65:12', /more than 64 deep/],
    ['10,000 documents', '--- 1\n'.repeat(10_000), '1001:1', /more than 1000 documents/],
    ['10,000 documents that are empty', '---\n'.repeat(10_000), '1001:1', /more than 1000 documents/],
    ['10,000 documents without dashes', 'a: 1\n...\n'.repeat(10_000), '2001:1', /more than 1000 documents/],
    ['billion laughs', billionLaughs, '6:10', /with what its aliases repeat, the file has more than 200000 values/],
    ['a long text often', often(900_000, 10), '2:14', /with what its aliases repeat, .* 4194304 characters of text/],
    ['101 aliases', `a: &a 1\nb: [${'*a,'.repeat(101)}]\n`, '2:305', /more than 100 aliases/],
    ['200,001 comments', '#\n'.repeat(200_001), '200001:1', /more than 200000 comments/],
  ]),
  ...invalidYaml([
    ['tab for indentation', 'a:\n\tb: 1\n', '2:1', /a tab is used for indentation/],
    ['tab after spaces', 'a:\n  b: 1\n  \tc: 2\n', '3:3', /a tab is used for indentation/],
    ['tab behind a dash', 'a:\n  - x\n  -\ty: 1\n', '3:4', /a tab is used for indentation/],
    ['two byte order marks', '\ufeff\ufeffa: 1\n', '1:1', /byte order mark stands outside of quotes/],
    ['byte order mark inside', 'a: 1\nb: x\ufeff\n', '2:5', /byte order mark stands outside of quotes/],
    ['UTF-16', Buffer.from('\ufeffa: 1\n', 'utf16le'), '1:1', /not UTF-8/],
    ['latin-1', Buffer.from('a: 1\nname: M\xfcller\n', 'latin1'), '2:8', /not UTF-8/],
    ['latin-1 behind accents', latin1Behind('a: \u00e9\u{1f600}\ufffd'), '1:8', /not UTF-8/],
    ['latin-1 in a long line', latin1Behind(`a: ${'x'.repeat(999_997)}`), '1:1000001', /not UTF-8/],
    ['a field twice', 'a:\n  b: 1\n  b: 2\n', '3:3', /"b" is there twice/],
    ['a field twice in braces', 'x: {a: 1, "a": 2}\n', '1:11', /"a" is there twice/],
    ['a field twice by an escape', 'a: 1\n"\\x61": 2\n', '2:1', /"a" is there twice/],
    ['a field twice in JSON', '{"a":1,"a":2}', '1:8', /"a" is there twice/],
    ['merge key', 'b: &b {x: 1}\nc:\n  <<: *b\n', '3:3', /merge keys are not allowed/],
    ['merge key in braces', 'b: &b {x: 1}\nc: {<<: *b}\n', '2:5', /merge keys are not allowed/],
    ['merge key in quotes', 'c:\n  "<<": 1\n', '2:3', /merge keys are not allowed/],
    ['merge key with its tag', 'c:\n  !!merge <<: 1\n', '2:3', /only tags of the YAML core schema/],
    ['2^53+1', 'a: 9007199254740993\n', '1:4', /whole numbers go from/],
    ['-2^53-1', 'a: -9007199254740993\n', '1:4', /whole numbers go from/],
    ['2^53+1 in hex', 'a: 0x20000000000001\n', '1:4', /whole numbers go from/],
    ['2^53+1 in octal', 'a: 0o400000000000000001\n', '1:4', /whole numbers go from/],
    ['2^53+1 as a fraction', 'a: 9007199254740993.0\n', '1:4', /whole numbers go from/],
    ['2^53+1 as a power', 'a: 9.007199254740993e15\n', '1:4', /whole numbers go from/],
    ['a million digits', `a: ${'1'.repeat(1_000_000)}\n`, '1:4', /whole numbers go from/],
    ['1e400', 'a: 1e400\n', '1:4', /not finite/],
    ['not a number', 'a: .NaN\n', '1:4', /not finite/],
    ['lone surrogate', 'a: "\\ud800"\n', '1:4', /half of a surrogate pair/],
    ['lone surrogate, long', 'a: "\\U0000dc00"\n', '1:4', /half of a surrogate pair/],
    ['lone surrogate in a name', 'a: 1\n"\\udfff": 1\n', '2:1', /half of a surrogate pair/],
    ['beyond Unicode', 'a: "\\U00110000"\n', '1:5', /unknown escape/],
    ['proto', 'a: 1\n__proto__: {b: 1}\n', '2:1', /must not be named "__proto__"/],
    ['proto in braces', '{"__proto__": 1}', '1:2', /must not be named "__proto__"/],
    ['proto by an escape', '"\\x5f_proto__": 1\n', '1:1', /must not be named "__proto__"/],
    ['proto by a tag', '!!str __proto__: 1\n', '1:7', /must not be named "__proto__"/],
    ['proto by an alias', 'a: &p __proto__\n*p : 1\n', '2:1', /must not be named "__proto__"/],
    ['a function', 'a: 1\nb: !!js/function "function(){}"\n', '2:4', /only tags of the YAML core schema/],
    ['python object', 'a: !!python/object/apply:os.system [ls]\n', '1:4', /only tags of the YAML core schema/],
    ['binary', 'a: !!binary aGk=\n', '1:4', /only tags of the YAML core schema/],
    ['timestamp', 'a: !!timestamp 2020-01-01\n', '1:4', /only tags of the YAML core schema/],
    ['set', 'a: !!set {b, c}\n', '1:4', /only tags of the YAML core schema/],
    ['tag of its own', 'a: !x y\n', '1:4', /only tags of the YAML core schema/],
    ['tag in full', 'a: !<tag:yaml.org,2002:set> {b}\n', '1:4', /only tags of the YAML core schema/],
    ['tag that does not fit', 'a: !!int x\n', '1:4', /has to be what its tag says/],
    ['tag directive', '%TAG ! tag:x,2000:\n---\na: 1\n', '1:1', /a directive other than/],
    ['YAML 1.1', '%YAML 1.1\n---\na: yes\n', '1:1', /a directive other than/],
    ['a name of 2,000 characters', `${'k'.repeat(2_000)}: 1\n`, '1:1', /longer than 1024 characters/],
    ['a name that is a number', 'a: 1\n1: 2\n', '2:1', /the name of a field has to be text/],
    ['a name that is true', 'true: 2\n', '1:1', /the name of a field has to be text/],
    ['a name that is a mapping', '? {a: 1}\n: 2\n', '1:3', /the name of a field has to be text/],
    ['NUL', 'a: 1\nb: x\0y\n', '2:5', /control character U\+0000/],
    ['NUL by an escape', 'a: "x\\0"\n', '1:4', /NUL character/],
    ['NUL in a name', '"\\0": 1\n', '1:1', /NUL character/],
    ['escape sequence', 'a: \u001b[2J\n', '1:4', /control character U\+001B/],
    ['escape sequence in C1', 'a: \u009b2J\n', '1:4', /control character U\+009B stands outside of quotes/],
    ['DEL', 'a: x\u007f\n', '1:5', /control character U\+007F stands outside of quotes/],
    ['noncharacter', '# \uffff\na: 1\n', '1:3', /control character U\+FFFF stands outside of quotes/],
    ['a lone CR', 'a: 1\rb: 2\r', '1:5', /control character U\+000D/],
    ['line separator', 'a: x\u2028b: y\n', '1:4', /a second “: ”/],
    ['next line', 'a: x\u0085b: y\n', '1:4', /a second “: ”/],
    ['brackets not closed', 'a: 1\r\nb: [\r\n', '3:1', /a bracket is not closed/],
    ['quotes not closed', 'a: "x\nb: 1\n', '3:1', /a character is missing/],
    ['alias of nothing', 'a: *x\n', '1:4', /names no anchor before it/],
    ['alias of itself', 'a: &a {b: *a}\n', '1:11', /names no anchor before it, or one around it/],
    ['two anchors', 'a: &x &y 1\n', '1:7', /a value has two anchors/],
    ['not YAML', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), '1:1', /not UTF-8/],
    ['a program', '#!/bin/sh\nrm -rf / && echo: `x`\n- y\n', '2:19', /begins with this character/],
  ]),
  ...texts('DocumentInvalid', [
    ['nothing', '', '1:1', /is empty/],
    ['dashes only', '---\n', '1:1', /is empty/],
    ['dots only', '...\n', '1:1', /is empty/],
    ['a comment only', '# nothing\n', '1:1', /is empty/],
    ['null', '--- ~\n', '1:5', /the document has to be a mapping, and is empty/],
    ['a list', '- 1\n', '1:1', /the document has to be a mapping, and is a list/],
    ['a text', '\nhello\n', '2:1', /the document has to be a mapping, and is text/],
    ['a number', '42', '1:1', /the document has to be a mapping, and is a whole number/],
    [
      'a Git LFS pointer',
      `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 1234\n`,
      '1:1',
      /is a Git LFS pointer; what it points to is never fetched/,
    ],
  ]),
]

const bagInfo = `[bagit-info]
Source-Organization = 'Hospital'
Organization-Address = 'Street 1'
Contact-Name = 'Team'
Contact-Email = 'team@hospital.example'
`

export const hostileToml: readonly HostileText[] = texts('TomlInvalid', [
  ['100 levels of lists', `a = ${'['.repeat(100)}${']'.repeat(100)}`, '1:69', /nested/],
  ['100 levels of tables', `b = 1\n${'a.'.repeat(100)}a = 1\n`, '2:1', /more than 64 deep/],
  ['two byte order marks', '\ufeff\ufeffa = 1\n', '1:1', /byte order mark/],
  ['latin-1', Buffer.from('b = 1\na = "M\xfcller"', 'latin1'), '2:7', /not UTF-8/],
  ['a field twice', 'a = 1\nb = 2\na = 3\n', '3:1', /redefine/],
  ['a field twice in quotes', 'a = 1\n"a" = 2\n', '2:1', /redefine/],
  ['a table twice', '[a]\nb = 1\n[a]\nc = 1\n', '3:2', /redefine/],
  ['2^53+1', 'a = 9007199254740993', '1:5', /losslessly/],
  ['2^53+1 as a fraction', 'b = 1\na = 9007199254740993.0', '2:1', /whole numbers go from/],
  ['infinity', 'b = 1\na = inf', '2:1', /not finite/],
  ['old octal', 'a = 017', '1:5', /leading zero/],
  ['lone surrogate', 'a = "\\ud800"', '1:6', /unicode escape/],
  ['NUL', 'b = 1\na = "x\0"', '2:7', /control character U\+0000/],
  ['NUL by an escape', 'b = 1\na = "\\u0000"', '2:1', /NUL/],
  ['NUL in a name', '"\\u0000" = 1', '1:1', /NUL/],
  ['DEL', 'a = "\x7f"', '1:6', /control characters/],
  ['proto', '[x]\n__proto__ = 1', '2:1', /must not be named "__proto__"/],
  ['proto as a table', 'a = 1\n["__proto__"]\nb = 1', '2:1', /must not be named "__proto__"/],
  ['proto by dots', 'a.__proto__.b = 1', '1:1', /must not be named "__proto__"/],
  ['yes', 'a = yes', '1:5', /invalid value/],
  ['no date', 'a = 2020-13-45', '1:5', /invalid date/],
  ['a lone CR', 'a = 1\rb = 2', '1:6', /control character U\+000D/],
  ['YAML', 'bagit-info:\n  x: 1\n', '1:11', /key/],
  ['quotes not closed', 'a = "x\n', '1:7', /./],
]).concat(
  texts('DocumentInvalid', [
    ['nothing', '', '1:1', /bagit-info"?\]? is missing/],
    ['a comment only', '# nothing', '1:1', /bagit-info"?\]? is missing/],
    ['constructor', `${bagInfo}constructor = 1\n`, '6:1', /constructor is not a known field/],
    ['a text', 'bagit-info = "x"', '1:1', /has to be a mapping, and is text/],
  ]),
)

function chain(levels: number): string {
  return Array.from({ length: levels }, (_, level) =>
    level === 0 ? 'a0: &a0 1\n' : `a${level}: &a${level} [*a${level - 1}]\n`,
  ).join('')
}

function often(length: number, times: number): string {
  return `a: &a "${'x'.repeat(length)}"\nb: [${Array(times).fill('*a').join(',')}]\n`
}

function latin1Behind(text: string): Uint8Array {
  return Buffer.concat([Buffer.from(text), Buffer.from([0xe9]), Buffer.from('x\n')])
}
