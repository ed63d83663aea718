import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { ColumnReport } from '../../../controller/data/source.ts'
import { namedAs } from '../../../controller/kinds/requests/column-names.ts'
import { disclosureReport } from '../../../controller/kinds/requests/disclosure.ts'
import { countOf, policyOf } from '../../../controller/kinds/requests/disclosure-policy.ts'
import { renderReport, summarize } from '../../../controller/kinds/requests/report-files.ts'
import { validate } from '../../../controller/schema/validate.ts'
import { parseYaml } from '../../../controller/schema/yaml.ts'

const policy = policyOf({})

function column(change: Partial<ColumnReport> = {}): ColumnReport {
  return { name: 'v', type: 'text', nulls: 0, distinct: 20, smallCells: 0, found: {}, cut: 0, ...change }
}

function flags(change: Partial<ColumnReport>, rows = 1000, release = 1) {
  const report = { rows, columns: [column(change)] }
  return disclosureReport('p', release, [{ path: 'f', report }], policy).files[0]!.columns[0]!.flags
}

function kinds(change: Partial<ColumnReport>, rows = 1000): string[] {
  return flags(change, rows).map(({ kind }) => kind)
}

const hostile = `<script>alert(1)</script>"'&\`\u202e\u0000\n|](javascript:x)<img src=x onerror=y>`

describe('the thresholds of a disclosure report', () => {
  it('have the defaults that the schema says, each replaced alone', () => {
    assert.deepEqual(policy, { minimumCount: 10, nearUniqueRatio: 0.95, freeTextLength: 50 })
    assert.deepEqual(policyOf({ disclosure: { minimumCount: 5 } }), { ...policy, minimumCount: 5 })
  })

  it('are refused where they would hide nothing', () => {
    const wrong = [
      { minimumCount: 1 },
      { nearUniqueRatio: 0.1 },
      { nearUniqueRatio: 1.1 },
      { freeTextLength: 0 },
      { k: 3 },
    ]
    for (const disclosure of wrong) {
      const { documents } = parseYaml(Buffer.from(JSON.stringify(disclosure)), 'policy.yaml')
      assert.notDeepEqual(validate('DisclosurePolicy', documents[0]!).problems, [], JSON.stringify(disclosure))
    }
  })

  it('let no small count be read, nor taken from a difference', () => {
    const count = fc.nat(60)
    fc.assert(
      fc.property(count, count, count, (some, more, rest) => {
        const [part, whole, all] = [some, some + more, some + more + rest]
        const told = countOf(part, [whole, all], policy)
        if (typeof told === 'string') return assert.match(told, /^(all but )?fewer than 10$/)
        assert.ok(told === 0 || told >= 10)
        for (const larger of [whole, all]) assert.ok(larger === told || larger - told >= 10)
      }),
    )
  })
})

describe('what is flagged of a column', () => {
  it('is each kind of identifier that was found, with its rows', () => {
    assert.deepEqual(kinds({ found: { email: 30, phone: 3, postcode: 995, nationalInsurance: 1, ipAddress: 20 } }), [
      'national-insurance',
      'email',
      'phone',
      'postcode',
      'ip-address',
    ])
    const found = flags({ found: { email: 30, phone: 3, postcode: 995 } })
    assert.deepEqual(
      found.map(({ rows }) => rows),
      [30, 'fewer than 10', 'all but fewer than 10'],
    )
    assert.ok(found.every(({ level, reason, consider }) => level === 'identifier' && reason && consider))
    assert.deepEqual(kinds({ type: 'inet' }), ['ip-address'])
  })

  it('is an NHS number, unless as many are valid as by chance', () => {
    assert.deepEqual(kinds({ found: { tenDigits: 1000, nhsNumber: 1000 } }), ['nhs-number'])
    assert.deepEqual(kinds({ found: { tenDigits: 3, nhsNumber: 1 } }), ['nhs-number'])
    assert.deepEqual(kinds({ found: { tenDigits: 1000, nhsNumber: 93 } }), ['ten-digits'])
    assert.deepEqual(kinds({ found: { tenDigits: 1000 } }), ['ten-digits'])
  })

  it('is a name that says so, in any spelling, and not one that only contains its letters', () => {
    for (const name of [
      'nhs_number',
      'NHSNo',
      'patientDob',
      'Date-of-Birth',
      'SURNAME',
      'homePostcode',
      'e-mail',
      'GP_TEL',
      'mrn2',
      'address_1',
    ]) {
      assert.notEqual(namedAs(name), undefined, name)
      assert.deepEqual(kinds({ name }), ['identifier-name'], name)
    }
    for (const name of [
      'value',
      'stelling',
      'dobutamine',
      'tunnelled',
      'filename_count',
      'zipper',
      '',
      '日本語',
      '__proto__',
      'constructor',
    ]) {
      assert.equal(namedAs(name), undefined, name)
    }
  })

  it('is a birthday by its spread, and any other date as a date', () => {
    const dates = (withinLife: number, spreadYears: number, timeOfDay = 0) =>
      kinds({ type: 'date', found: { date: 1000, timeOfDay }, dates: { withinLife, spreadYears } })
    assert.deepEqual(dates(990, 70), ['date-of-birth'])
    assert.deepEqual(dates(990, 3), ['exact-date'])
    assert.deepEqual(dates(400, 70), ['exact-date'])
    assert.deepEqual(dates(990, 70, 900), ['exact-date'])
  })

  it('is how its values stand: each alone, rare ones, many, one, none', () => {
    assert.deepEqual(kinds({ distinct: 950, smallCells: 950 }), ['near-unique'])
    assert.deepEqual(kinds({ distinct: 949, smallCells: 949 }), ['many-values'])
    assert.deepEqual(kinds({ distinct: 930_000, standardError: 0.008 }, 1_000_000), ['near-unique'])
    assert.deepEqual(kinds({ distinct: 900_000, standardError: 0.008 }, 1_000_000), ['many-values'])
    assert.deepEqual(kinds({ distinct: 900_000, standardError: 0.008, type: 'numeric(10,2)' }, 1_000_000), [])
    assert.deepEqual(kinds({ distinct: 50, smallCells: 1 }), ['small-cells'])
    assert.deepEqual(kinds({ distinct: 51, smallCells: 1 }), ['many-values'])
    assert.deepEqual(kinds({ distinct: 50, smallCells: 0 }), [])
    assert.deepEqual(kinds({ distinct: 1 }), ['constant'])
    assert.deepEqual(kinds({ distinct: 0, nulls: 1000 }), ['empty'])
    assert.deepEqual(kinds({ distinct: 3, nulls: 995, smallCells: 3 }), ['small-cells'])
    assert.deepEqual(kinds({ distinct: 0 }, 0), [])
  })

  it('is free text that differs, not a text that is always the same', () => {
    assert.deepEqual(kinds({ found: { longText: 900 }, distinct: 800 }), ['free-text', 'many-values'])
    assert.deepEqual(kinds({ found: { longText: 1000 }, distinct: 4 }), [])
  })

  it('is what was not looked into, and what harms who opens the file', () => {
    assert.deepEqual(kinds({ type: 'bytea' }), ['not-looked-into'])
    assert.deepEqual(kinds({ type: 'jsonb' }), ['not-looked-into'])
    assert.deepEqual(kinds({ type: 'text[]' }), ['not-looked-into'])
    assert.deepEqual(kinds({ cut: 4 }), ['not-looked-into'])
    assert.deepEqual(kinds({ found: { formula: 1, controlCharacters: 1, lineBreaks: 1 }, sameAs: 'other' }), [
      'formula',
      'control-characters',
      'line-breaks',
      'identical',
    ])
  })
})

describe('the files of a disclosure report', () => {
  const tables = [
    {
      path: 'data/outputs/a/x.csv',
      report: {
        rows: 1_234_567,
        columns: [
          column({ name: 'sex', distinct: 3, smallCells: 1 }),
          column({ name: hostile, type: hostile, found: { email: 4 }, nulls: 3 }),
          column({ name: 'same', sameAs: hostile, distinct: 1_230_000, standardError: 0.008 }),
        ],
      },
    },
    { path: 'data/outputs/a/few.csv', report: { rows: 4, columns: [column({ distinct: 4, smallCells: 4 })] } },
  ]
  const report = disclosureReport('asthma', 2, tables, policy)
  const files = new Map(renderReport(report).map(({ name, content }) => [name, Buffer.from(content).toString('utf8')]))
  const html = files.get('report.html')!

  it('are one for machines, one for a browser, one for a terminal, and always the same', () => {
    assert.deepEqual([...files.keys()], ['report.json', 'report.html', 'report.md'])
    const again = new Map(
      renderReport(disclosureReport('asthma', 2, tables, policy)).map(one => [
        one.name,
        Buffer.from(one.content).toString(),
      ]),
    )
    assert.deepEqual(again, files)
    assert.deepEqual(JSON.parse(files.get('report.json')!), JSON.parse(JSON.stringify(report)))
  })

  it('say by which thresholds they count, what they cannot see, and that releases were not compared', () => {
    assert.deepEqual(JSON.parse(files.get('report.json')!).policy, policy)
    for (const text of files.values()) {
      assert.match(text, /Compared with release 1: not compared/)
      assert.match(text, /fewer than 10 rows/)
      assert.match(text, /whether it names or describes a person/)
    }
    assert.doesNotMatch(
      renderReport(disclosureReport('p', 1, [], policy))
        .map(({ content }) => content)
        .join(''),
      /not compared/,
    )
  })

  it('hide small counts, also of a small table', () => {
    const { files: views } = report
    assert.equal(views[0]!.columns[1]!.nulls, 'fewer than 10')
    assert.deepEqual(views[1]!.columns[0]!.distinct, 'fewer than 10')
    assert.equal(views[1]!.rows, 'fewer than 10')
    assert.deepEqual(
      views[1]!.flags.map(({ kind }) => kind),
      ['few-rows'],
    )
    assert.equal(views[0]!.columns[2]!.distinct, 1_230_000)
  })

  it('let no name become markup, run or load anything', () => {
    const elements = new Set([...html.matchAll(/<\/?([a-z0-9]+)/gi)].map(match => match[1]))
    const known = 'html head meta title style body main h1 h2 p table caption thead tbody tr th td ul li span'.split(
      ' ',
    )
    assert.deepEqual(
      [...elements].filter(name => !known.includes(name!)),
      [],
    )
    const attributes = new Set(
      [...html.matchAll(/<[a-z0-9]+((?:\s[^<>]*)?)>/gi)].flatMap(match =>
        [...match[1]!.matchAll(/([a-z-]+)="/gi)].map(one => one[1]),
      ),
    )
    assert.deepEqual([...attributes].sort(), ['charset', 'class', 'content', 'http-equiv', 'lang', 'name', 'scope'])
    assert.doesNotMatch(html, /<script|<img|url\(|@import|https?:|href|src=x>/i)
    assert.doesNotMatch(html, /[\u0000-\u0009\u000b-\u001f\u202e]/)
    assert.ok(html.includes('&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;&#96;[U+202E][U+0000][U+000A]'))
    assert.match(html, /content="default-src &#39;none&#39;; style-src &#39;sha256-/)
    const markdown = files.get('report.md')!
    assert.doesNotMatch(markdown, /<|\u202e|\]\(/)
  })

  it('close every element, head every table, and begin with the most worrying', () => {
    const open: string[] = []
    for (const [, end, name] of html.matchAll(/<(\/?)([a-z0-9]+)[^>]*>/gi)) {
      if (name === 'meta') continue
      if (end) assert.equal(open.pop(), name)
      else open.push(name!)
    }
    assert.deepEqual(open, [])
    const tablesOf = [...html.matchAll(/<table>.*?<\/table>/gs)].map(([text]) => text)
    for (const table of tablesOf) {
      assert.match(table, /<caption>/)
      assert.match(table, /<th scope="col">/)
      assert.match(table, /<th scope="row">/)
    }
    const places = [
      'May identify',
      'May single out',
      'Worth knowing',
      'What this report cannot see',
      'How it was counted',
    ].map(words => html.indexOf(words))
    assert.deepEqual(
      places,
      [...places].sort((a, b) => a - b),
    )
    assert.ok(places.every(place => place > 0))
    assert.match(html, /1,234,567 rows/)
  })

  it('leave to Git how many columns were flagged for what, and no small count', () => {
    assert.deepEqual(
      tables.map(table => summarize(table, policy)),
      [
        {
          path: 'data/outputs/a/x.csv',
          rows: 1_234_567,
          columns: 3,
          smallCells: 1,
          flags: { 'small-cells': 1, email: 1, 'near-unique': 1, identical: 1 },
        },
        {
          path: 'data/outputs/a/few.csv',
          rows: 'fewer than the threshold',
          columns: 1,
          smallCells: 0,
          flags: { 'few-rows': 1, 'small-cells': 1 },
        },
      ],
    )
  })

  it('take any names and counts', () => {
    const anyColumn = fc.record({
      name: fc.string({ unit: 'binary' }),
      type: fc.string(),
      nulls: fc.nat(20),
      distinct: fc.nat(20),
      smallCells: fc.nat(20),
      cut: fc.nat(2),
      found: fc.constant({}),
    })
    fc.assert(
      fc.property(fc.array(anyColumn, { maxLength: 5 }), fc.integer({ min: 20, max: 40 }), (columns, rows) => {
        const one = renderReport(disclosureReport('p', 1, [{ path: 'f', report: { rows, columns } }], policy))
        const page = Buffer.from(one[1]!.content).toString()
        assert.equal(page.match(/<tr>/g)!.length, page.match(/<\/tr>/g)!.length)
        for (const { name } of columns) if (/[<>&"'`]/.test(name)) assert.ok(!page.includes(`>${name}<`), name)
      }),
    )
  })
})
