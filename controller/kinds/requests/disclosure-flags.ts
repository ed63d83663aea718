/** What is worrying about a column, why, and what to consider. */

import { longestCell } from '../../data/csv-scanner.ts'
import type { ColumnReport, Found } from '../../data/source.ts'
import { namedAs } from './column-names.ts'
import { type Count, countOf, type Policy, roundedTo3 } from './disclosure-policy.ts'

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
  'ten-digits': 'attention',
  'not-looked-into': 'attention',
  formula: 'attention',
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

/** A number of rows, as it may be told. */
type Counting = (rows: number) => Count

/** With more distinct values than this, a column is not taken for a category. */
const categoryLimit = 50
/** Of years: a column of dates whose middle nine tenths reach over more is taken for birthdays. */
const lifetimeSpread = 20
/** In standard errors: a column whose values were estimated is rather flagged once too often. */
const estimateMargin = 3
/** By chance one number of ten digits in eleven is a valid NHS number; up to this share, that is what explains them. */
const chanceShare = 0.2
/** From so many numbers on, a share tells chance from intent. */
const chanceSample = 100

/** Many different values are nothing to wonder at here. */
const measureTypes = /^(numeric|real|double precision|money|date|time|timestamp|interval|bytea)\b/
const nestedTypes = /^(jsonb?|xml|hstore)\b|\[\]$/
const binaryTypes = /^(bytea|oid)\b/

/** The most worrying first. `rows`: of the table. */
export function flagsOf(column: ColumnReport, rows: number, policy: Policy): Flag[] {
  const filled = rows - column.nulls
  const count = (some: number) => countOf(some, [filled, rows], policy)
  if (filled === 0) {
    return column.nulls === 0
      ? []
      : [flag('empty', { reason: 'No row has a value.', consider: 'Whether the column is needed.' })]
  }
  return [
    ...identifierFlags(column, filled, count),
    ...dateFlags(column, filled, count),
    ...valueFlags(column, filled, policy),
    ...contentFlags(column, filled, policy, count),
  ].sort((one, other) => rankOf(one.kind) - rankOf(other.kind))
}

/** What was looked for in the bytes, with the words for it. */
const identifiers: readonly (readonly [Found, FlagKind, string])[] = [
  ['nationalInsurance', 'national-insurance', 'National Insurance numbers'],
  ['email', 'email', 'e-mail addresses'],
  ['phone', 'phone', 'phone numbers'],
  ['postcode', 'postcode', 'full UK postcodes'],
  ['ipAddress', 'ip-address', 'network addresses'],
]

function identifierFlags({ name, type, found }: ColumnReport, filled: number, count: Counting): Flag[] {
  const flags: Flag[] = []
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

function dateFlags({ found, dates }: ColumnReport, filled: number, count: Counting): Flag[] {
  const { date = 0, timeOfDay = 0 } = found
  if (!dates || date === 0) return []
  const rows = count(date)
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
  const { type, distinct, standardError, smallCells = 0, nulls } = column
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
        reason: `Nearly every row has a value of its own${standardError ? ' (estimated)' : ''}: it tells rows apart, and can join them with other data.`,
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
  } else if (!measureTypes.test(type)) {
    flags.push(
      flag('many-values', {
        reason: standardError
          ? `About ${roundedTo3(distinct)} different values; rare ones were not counted.`
          : `${distinct} different values; ${rare}`,
        consider: 'If the code stands for a person, a place or a rare condition: a coarser code.',
      }),
    )
  }
  return flags
}

function isNearUnique({ distinct, standardError = 0 }: ColumnReport, filled: number, policy: Policy): boolean {
  const ratio = policy.nearUniqueRatio - estimateMargin * standardError
  return filled >= policy.minimumCount && distinct >= ratio * filled
}

function contentFlags(column: ColumnReport, filled: number, policy: Policy, count: Counting): Flag[] {
  const { type, found, distinct, cut, sameAs } = column
  const flags: Flag[] = []
  const { longText = 0, formula = 0, controlCharacters = 0, lineBreaks = 0 } = found
  const varied = distinct > categoryLimit || distinct * 2 > filled
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
  if (formula > 0) {
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

export function flag(kind: FlagKind, rest: Omit<Flag, 'kind' | 'level'>): Flag {
  return { kind, level: flagLevels[kind], ...rest }
}

const order = Object.keys(flagLevels) as FlagKind[]

export function rankOf(kind: FlagKind): number {
  return order.indexOf(kind)
}
