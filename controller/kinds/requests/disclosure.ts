/** From what was counted to what an approver reads: what is worrying about each column, why, and what to consider. */

import type { DisclosurePolicy, SourceConnectionSpec } from '../../../schemas/generated/types.ts'
import { longestCell } from '../../data/csv-scanner.ts'
import type { ColumnReport, Found, TableReport } from '../../data/source.ts'
import { exactLimit } from '../../data/value-counts.ts'
import { withDefaults } from '../../schema/validate.ts'
import { namedAs } from './column-names.ts'

export type Policy = Required<DisclosurePolicy>

/** Rows; what is too small to be told, or leaves too little untold, is told in words. */
export type Count = number | `fewer than ${number}` | `all but fewer than ${number}`

/** The most worrying first. */
export const levels = ['identifier', 'attention', 'note'] as const
export type Level = (typeof levels)[number]

/** Stable names, in the order in which they are reported within their level. */
export const flagLevels = {
  'nhs-number': 'identifier',
  'national-insurance': 'identifier',
  email: 'identifier',
  phone: 'identifier',
  postcode: 'identifier',
  'ip-address': 'identifier',
  'date-of-birth': 'identifier',
  'identifier-name': 'identifier',
  'free-text': 'attention',
  'near-unique': 'attention',
  'few-rows': 'attention',
  'small-cells': 'attention',
  'exact-date': 'attention',
  'not-looked-into': 'attention',
  formula: 'attention',
  'ten-digits': 'note',
  'many-values': 'note',
  'control-characters': 'note',
  'line-breaks': 'note',
  identical: 'note',
  constant: 'note',
  empty: 'note',
} as const satisfies Record<string, Level>
export type FlagKind = keyof typeof flagLevels

export interface Flag {
  readonly kind: FlagKind
  readonly level: Level
  /** How many rows show it, where it is something of rows. */
  readonly rows?: Count
  readonly reason: string
  readonly consider: string
}

export interface ColumnView {
  readonly name: string
  readonly type: string
  readonly nulls: Count
  readonly distinct: Count
  /** `distinct` is rounded; its standard error is below 1 %. */
  readonly estimated?: true
  /** Distinct values in fewer rows than the policy's minimum. Absent where they were not counted. */
  readonly smallCells?: Count
  readonly flags: readonly Flag[]
}

export interface FileView {
  readonly path: string
  readonly rows: Count
  /** Of the whole file. */
  readonly flags: readonly Flag[]
  readonly columns: readonly ColumnView[]
}

export interface PathReport {
  readonly path: string
  readonly report: TableReport
}

/** With more distinct values than this, a column is not taken for a category. */
const categoryLimit = 50
/** Of years: a column of dates whose middle nine tenths reach over more is taken for birthdays. */
const lifetimeSpread = 20
/** Three standard errors of an estimate of distinct values: an estimated column is rather flagged once too often. */
const estimateMargin = 0.025
/** By chance one number of ten digits in eleven is a valid NHS number; up to this share, that is what explains them. */
const chanceShare = 0.2
/** From so many numbers on, a share tells chance from intent. */
const chanceSample = 100

const textTypes = /^(text|character|citext|name|"char"|smallint|integer|bigint)\b|^"char"$/
const numberTypes = /^(smallint|integer|bigint|numeric|real|double precision|money)\b/
const nestedTypes = /^(jsonb?|xml|hstore)\b|\[\]$/
const binaryTypes = /^(bytea|oid)\b/

export function policyOf({ disclosure }: Pick<SourceConnectionSpec, 'disclosure'>): Policy {
  const { minimumCount, nearUniqueRatio, freeTextLength } = withDefaults('DisclosurePolicy', disclosure ?? {})
  return { minimumCount, nearUniqueRatio, freeTextLength }
}

/** `of`: all rows; what is left of them must not be told either. */
export function countOf(rows: number, of: number, minimum: number): Count {
  if (rows > 0 && rows < minimum) return `fewer than ${minimum}`
  return rows < of && of - rows < minimum ? `all but fewer than ${minimum}` : rows
}

export function viewOf({ path, report }: PathReport, policy: Policy): FileView {
  const { minimumCount } = policy
  const few = report.rows > 0 && report.rows < minimumCount
  return {
    path,
    rows: countOf(report.rows, report.rows, minimumCount),
    flags: few
      ? [
          flag('few-rows', {
            reason: `The whole file has fewer than ${minimumCount} rows.`,
            consider: 'Whether so few people can be told apart by what else is known of them.',
          }),
        ]
      : [],
    columns: report.columns.map(column => columnView(column, report.rows, policy)),
  }
}

function columnView(column: ColumnReport, rows: number, policy: Policy): ColumnView {
  const { name, type, nulls, distinct, estimated, smallCells } = column
  const filled = rows - nulls
  // Where few rows hold a value, the number of values says how many.
  const hide = filled > 0 && filled < policy.minimumCount
  const hidden: Count = `fewer than ${policy.minimumCount}`
  return {
    name,
    type,
    nulls: countOf(nulls, rows, policy.minimumCount),
    distinct: hide ? hidden : estimated ? roundedTo3(distinct) : distinct,
    ...(estimated ? { estimated } : {}),
    ...(smallCells === undefined ? {} : { smallCells: hide ? hidden : smallCells }),
    flags: flagsOf(column, filled, policy).sort((one, other) => rankOf(one.kind) - rankOf(other.kind)),
  }
}

function flagsOf(column: ColumnReport, filled: number, policy: Policy): Flag[] {
  if (filled === 0) {
    return column.nulls === 0
      ? []
      : [flag('empty', { reason: 'No row has a value.', consider: 'Whether the column is needed.' })]
  }
  return [
    ...identifierFlags(column, filled, policy),
    ...dateFlags(column, filled, policy),
    ...valueFlags(column, filled, policy),
    ...contentFlags(column, filled, policy),
  ]
}

/** What was looked for in the bytes, with the words for it. */
const identifiers: readonly (readonly [Found, FlagKind, string])[] = [
  ['nationalInsurance', 'national-insurance', 'National Insurance numbers'],
  ['email', 'email', 'e-mail addresses'],
  ['phone', 'phone', 'phone numbers'],
  ['postcode', 'postcode', 'full UK postcodes'],
  ['ipAddress', 'ip-address', 'network addresses'],
]

function identifierFlags({ name, type, found }: ColumnReport, filled: number, policy: Policy): Flag[] {
  const flags: Flag[] = []
  const count = (rows: number) => countOf(rows, filled, policy.minimumCount)
  const { nhsNumber = 0, tenDigits = 0 } = found
  const byChance = tenDigits >= chanceSample && nhsNumber / tenDigits < chanceShare
  if (nhsNumber > 0 && !byChance) {
    flags.push(
      flag('nhs-number', {
        rows: count(nhsNumber),
        reason: 'Values are, or contain, numbers of ten digits with the check digit of an NHS number.',
        consider: 'Remove the column, or replace the number by a pseudonym that is made for this project.',
      }),
    )
  } else if (tenDigits > 0) {
    flags.push(
      flag('ten-digits', {
        rows: count(tenDigits),
        reason: `Values are, or contain, numbers of ten digits. ${nhsNumber > 0 ? 'Some are valid NHS numbers, as many as chance would give (one in eleven).' : 'None is a valid NHS number.'}`,
        consider: 'Which number this is, and whether somebody can find a person by it.',
      }),
    )
  }
  for (const [sign, kind, words] of identifiers) {
    const rows = found[sign] ?? 0
    if (rows === 0) continue
    flags.push(
      flag(kind, {
        rows: count(rows),
        reason: `Values are, or contain, what has the form of ${words}.`,
        consider:
          kind === 'postcode'
            ? 'Cut it to the district (the part before the space), or replace it by an area statistic.'
            : 'Remove the column, or what has this form in it.',
      }),
    )
  }
  if (/^(inet|cidr|macaddr)/.test(type)) {
    flags.push(
      flag('ip-address', {
        rows: count(filled),
        reason: 'The type of the column is that of network addresses.',
        consider: 'Remove the column.',
      }),
    )
  }
  const named = namedAs(name)
  if (named !== undefined) {
    flags.push(
      flag('identifier-name', {
        reason: `By its name, the column may hold ${named}.`,
        consider:
          'What it really holds: a name proves nothing. If it identifies people, remove it or replace it by a pseudonym.',
      }),
    )
  }
  return flags
}

function dateFlags({ found, dates }: ColumnReport, filled: number, policy: Policy): Flag[] {
  const { date = 0, timeOfDay = 0 } = found
  if (!dates || date === 0) return []
  const rows = countOf(date, filled, policy.minimumCount)
  const wholeDays = timeOfDay * 20 < date
  if (wholeDays && dates.withinLife * 2 > filled && dates.spreadYears >= lifetimeSpread) {
    return [
      flag('date-of-birth', {
        rows,
        reason: 'Dates to the day, most of them 0 to 120 years before the extraction and spread like birthdays.',
        consider: 'Give the year or an age group instead.',
      }),
    ]
  }
  return [
    flag('exact-date', {
      rows,
      reason: wholeDays ? 'Dates to the day.' : 'Dates with the time of day.',
      consider:
        'When something happened can single out a person: whether the month, or the days since a first event, would do.',
    }),
  ]
}

function valueFlags(column: ColumnReport, filled: number, policy: Policy): Flag[] {
  const { type, distinct, estimated, smallCells = 0, nulls } = column
  const { minimumCount } = policy
  if (filled < minimumCount) {
    return [
      flag('small-cells', {
        rows: `fewer than ${minimumCount}`,
        reason: `Fewer than ${minimumCount} rows have a value.`,
        consider: 'Whether having a value here, or having none, tells something about a person.',
      }),
    ]
  }
  if (isNearUnique(column, filled, policy)) {
    return [
      flag('near-unique', {
        reason: `Nearly every row has a value of its own${estimated ? ' (estimated)' : ''}: it tells rows apart, and can join them with other data.`,
        consider: 'Whether it was made for this project. If not, replace it by a new pseudonym, or round it.',
      }),
    ]
  }
  const flags: Flag[] = []
  if (distinct === 1 && nulls === 0) {
    flags.push(
      flag('constant', {
        reason: 'Every row has the same value.',
        consider: 'Whether this one value says something about everybody in the file.',
      }),
    )
  }
  const rare = `${smallCells} of its ${distinct} different values stand${smallCells === 1 ? 's' : ''} in fewer than ${minimumCount} rows.`
  if (distinct <= categoryLimit) {
    if (smallCells > 0) {
      flags.push(
        flag('small-cells', {
          reason: rare,
          consider: 'Join rare values into one, such as "other", or leave them out.',
        }),
      )
    }
  } else if (textTypes.test(type)) {
    flags.push(
      flag('many-values', {
        reason: estimated
          ? `About ${roundedTo3(distinct)} different values; rare ones were not counted.`
          : `${distinct} different values; ${rare}`,
        consider: 'If the code stands for a person, a place or a rare condition: a coarser code.',
      }),
    )
  }
  return flags
}

function isNearUnique({ distinct, estimated }: ColumnReport, filled: number, policy: Policy): boolean {
  return (
    filled >= policy.minimumCount && distinct >= (policy.nearUniqueRatio - (estimated ? estimateMargin : 0)) * filled
  )
}

function contentFlags(column: ColumnReport, filled: number, policy: Policy): Flag[] {
  const { type, found, distinct, estimated, cut, sameAs } = column
  const count = (rows: number) => countOf(rows, filled, policy.minimumCount)
  const flags: Flag[] = []
  const { longText = 0, formula = 0, controlCharacters = 0, lineBreaks = 0 } = found
  const varied = estimated || distinct > categoryLimit || distinct * 2 > filled
  if (longText > 0 && varied) {
    flags.push(
      flag('free-text', {
        rows: count(longText),
        reason: `Texts of several words with ${policy.freeTextLength} characters and more, that differ from row to row. No report can tell what they say.`,
        consider: 'Remove the column, or have its texts read or cleared of names by a tool that is made for it.',
      }),
    )
  }
  const unseen = binaryTypes.test(type)
    ? 'The column holds bytes, which were not looked into.'
    : nestedTypes.test(type)
      ? 'The column holds values within values, which were only searched as one text.'
      : undefined
  if (unseen !== undefined || cut > 0) {
    flags.push(
      flag('not-looked-into', {
        ...(unseen === undefined ? { rows: count(cut) } : {}),
        reason: unseen ?? `Values longer than ${longestCell} bytes were searched up to there only.`,
        consider: 'Look into it otherwise, or remove the column.',
      }),
    )
  }
  if (formula > 0 && !numberTypes.test(type)) {
    flags.push(
      flag('formula', {
        rows: count(formula),
        reason:
          'Values begin with a character that makes a spreadsheet program run them as a formula. Plain numbers with a sign are not counted.',
        consider: 'Warn whoever opens the file in a spreadsheet program. The data is not altered.',
      }),
    )
  }
  if (controlCharacters > 0) {
    flags.push(
      flag('control-characters', {
        rows: count(controlCharacters),
        reason: 'Values contain control characters, or characters that hide or turn text.',
        consider: 'What is seen of such a value may not be what it holds.',
      }),
    )
  }
  if (lineBreaks > 0) {
    flags.push(
      flag('line-breaks', {
        rows: count(lineBreaks),
        reason: 'Values contain line breaks.',
        consider: 'Simple tools take one row for several.',
      }),
    )
  }
  if (sameAs !== undefined) {
    flags.push(
      flag('identical', {
        reason: `In every row the same as column ${JSON.stringify(sameAs)}.`,
        consider: 'Whether what is decided about that column is also done with this one.',
      }),
    )
  }
  return flags
}

function flag(kind: FlagKind, rest: Omit<Flag, 'kind' | 'level'>): Flag {
  return { kind, level: flagLevels[kind], ...rest }
}

const order = Object.keys(flagLevels) as FlagKind[]

export function rankOf(kind: FlagKind): number {
  return order.indexOf(kind)
}

function roundedTo3(value: number): number {
  return Number(value.toPrecision(3))
}

/** How the numbers came about. */
export function methodOf(policy: Policy, mostColumns: number): string[] {
  const { minimumCount, nearUniqueRatio, freeTextLength } = policy
  return [
    'The controller counted while it wrote the files, every row and every value, in the very bytes that would be released. Nothing is a sample.',
    `Counts of rows below ${minimumCount} are not told, nor those that leave fewer than ${minimumCount} rows. A small cell is a value that stands in fewer than ${minimumCount} rows.`,
    `Different values and small cells are exact up to ${exactLimit(mostColumns)} different values in a column. Beyond, the number of different values is an estimate (standard error below 1 %), and small cells are not counted.`,
    `A column is near unique with ${nearUniqueRatio} and more different values a row. Free text begins at ${freeTextLength} characters in several words.`,
    `Of a value, the first ${longestCell} bytes were searched.`,
    'Numbers have the form of an identifier, or they have not: a form proves nothing, and the lack of one neither.',
  ]
}

/** `release`: its number. */
export function unseenBy(release: number): string[] {
  return [
    'What a text says: whether it names or describes a person.',
    'What becomes known when columns are put together (date of birth, sex and district single out most people), when tables are joined, or when other data is added.',
    release > 1
      ? `What becomes known by the difference to an earlier release. Compared with release ${release - 1}: not compared.`
      : 'What becomes known by the difference to another release of this or another project.',
    'Identifiers without a known form: names, hospital numbers, numbers of other countries. These are found by the name of the column, if at all.',
    'Images, sound, and what is packed, encoded or encrypted.',
    'Whether the values are true, and what they mean.',
  ]
}
