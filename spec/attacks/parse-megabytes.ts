/** A program of its own, so that its memory can be bounded: reads a megabyte of each kind of trouble, and says how long that took. */

import { parseRequest, requestFiles } from '../../controller/kinds/requests/documents.ts'
import { parseToml } from '../../controller/schema/toml.ts'
import { parseYaml } from '../../controller/schema/yaml.ts'
import { governanceText } from '../kinds/requests/helpers.ts'

export interface Measured {
  readonly name: string
  readonly ms: number
  /** `<code> <line>:<column>` */
  readonly problems: readonly string[]
  /** The first of them; '' where there is none. */
  readonly expected: string
}

const many = (text: string, length = 1_000_000) => text.repeat(Math.floor(length / text.length))
const count = (times: number, text: (index: number) => string) =>
  Array.from({ length: times }, (_, i) => text(i)).join('')

const yaml: readonly (readonly [name: string, text: string, expected: string])[] = [
  ['one line', `a: ${many('x')}\n`, ''],
  ['one name', `? ${many('k')}\n: 1\n`, ''],
  ['a comment', `# ${many('x')}\na: 1\n`, ''],
  ['spaces', `${many(' ')}a: 1\n`, ''],
  ['line ends', many('\n'), 'DocumentTooLarge 200001:1'],
  ['line ends of Windows', many('\r\n'), 'DocumentTooLarge 200001:1'],
  ['comments', many('#\n'), 'DocumentTooLarge 200001:1'],
  ['tags', many('! '), 'DocumentTooLarge 1:400001'],
  ['anchors', many('&a '), 'DocumentTooLarge 1:600001'],
  ['anchors of one value', `a: ${many('&a ', 590_000)}x`, 'YamlInvalid 1:7'],
  ['brackets', many('['), 'DocumentTooLarge 1:65'],
  ['braces', many('{'), 'DocumentTooLarge 1:65'],
  ['dashes', many('- '), 'DocumentTooLarge 1:129'],
  ['closing brackets', many(']'), 'YamlInvalid 1:51'],
  ['commas', `[${many(',', 190_000)}]`, 'YamlInvalid 1:3'],
  ['colons', many(':'), 'YamlInvalid 1:1'],
  ['unknown escapes', `a: "${many('\\q')}"`, 'YamlInvalid 1:5'],
  ['escapes', `a: "${many('\\u0041')}"`, ''],
  ['quotes', many('"'), 'DocumentTooLarge 1:400001'],
  ['values that cannot begin so', many('- @x\n', 950_000), 'YamlInvalid 1:3'],
  ['mistakes', many('a: b: c\n'), 'DocumentTooLarge 64:4'],
  ['fields', count(60_000, index => `k${index}: 1\n`), ''],
  ['fields in braces', `{${count(60_000, index => `k${index}: 1,`)}}`, ''],
  ['elements', many('- 1\n', 790_000), ''],
  ['folded lines', `a: >\n${many('  x\n\n')}`, ''],
]

const toml: typeof yaml = [
  ['one line', `a = '${many('x')}'`, ''],
  ['line ends', many('\n'), ''],
  ['brackets', `a = ${many('[')}`, 'TomlInvalid 1:69'],
  ['dots', `${many('a.')}a = 1`, 'TomlInvalid 1:1'],
  ['fields', count(60_000, index => `k${index} = 1\n`), ''],
  ['tables', many('[[a]]\n'), ''],
  ['backslashes', `a = "${many('\\')}`, 'TomlInvalid 1:5'],
]

/** As governance document: what the schema says of it, and where. */
const governance: typeof yaml = [
  ['unknown fields', count(60_000, index => `k${index}: 1\n`), 'DocumentInvalid 1:1'],
  [
    'users who are none',
    `project: {name: a, description: b}\nusers:\n${many('- 1\n', 780_000)}`,
    'DocumentInvalid 3:3',
  ],
  ['a long name', governanceText(many('a', 1_000_000)), 'DocumentInvalid 2:3'],
  ['a long address', governanceText('p', `- username: x\n  email: a@${many('a.')}@\n`), 'DocumentInvalid 9:3'],
  ['a long date', governanceText('p', `end_date: ${many('2026-01-01T00:00:00Z', 900_000)}\n`), 'DocumentInvalid 8:1'],
]

/** As deployment document: addresses are the longest of the expressions that come with the validator. */
const deployment: typeof yaml = ['a', 'a:', '%41', '[::', '1.', '/a', '//'].map(pump => [
  `an address of ${pump}`,
  `environment: {name: t}\nresources:\n- {resource_type: Gitea, name: g, enabled: true, url: "https://${many(pump)} "}\n`,
  'DocumentInvalid 3:50',
])

function measure(name: string, expected: string, read: () => Measured['problems']): Measured {
  const began = performance.now()
  const problems = read()
  return { name, ms: Math.round(performance.now() - began), problems: problems.slice(0, 3), expected }
}

const placed = (problems: ReturnType<typeof parseYaml>['problems']) =>
  problems.map(({ code, where }) => `${code} ${where?.line}:${where?.column}`)

function request(file: string, text: string): Measured['problems'] {
  const { problems } = parseRequest(new Map([[file, Buffer.from(text)]]), '')
  return placed(problems.filter(({ where }) => where?.file === file))
}

if (import.meta.main) {
  const rows = [
    ...yaml.map(([name, text, expected]) =>
      measure(name, expected, () => placed(parseYaml(Buffer.from(text), 'f').problems)),
    ),
    ...toml.map(([name, text, expected]) =>
      measure(name, expected, () => placed(parseToml(Buffer.from(text), 'f').problems)),
    ),
    ...governance.map(([name, text, expected]) =>
      measure(name, expected, () => request(requestFiles.governance, text)),
    ),
    ...deployment.map(([name, text, expected]) =>
      measure(name, expected, () => request(requestFiles.deployment, text)),
    ),
  ]
  const maxRss = Math.round(process.resourceUsage().maxRSS / 1024)
  process.stdout.write(JSON.stringify({ rows, maxRss }))
}
