/** What is counted of one column while it is extracted, in memory whose bound does not depend on the data. */

import type { CellReader } from './csv-scanner.ts'
import { forms, formsIn } from './identifiers.ts'
import type { ColumnReport, Found, ReportLimits, TableDescription } from './source.ts'
import { estimateError, ValueCounts } from './value-counts.ts'

/** What a value can show, one bit each, below those of its age. */
const signs = { ...forms, formula: 512, longText: 1024, date: 2048, timeOfDay: 4096 } as const satisfies Record<
  Found,
  number
>
const signNames = Object.keys(signs) as Found[]
const signBits = 0x1fff
const signCount = 13
/** Where the age of a date begins in what a value shows. */
const ageShift = 16
/** Of dates that are no birthdays of the living: later than the extraction, or older than this many years. */
const oldest = 120
const outside = oldest + 2
const msPerYear = 365.2425 * 86_400_000

/** What can be said of a column by its type, from which follows what is looked for in it. */
type TypeGroup = 'number' | 'date' | 'text' | 'opaque'

const typeGroups: readonly (readonly [RegExp, TypeGroup])[] = [
  [/^(smallint|integer|bigint|numeric|real|double precision|money)\b[^[]*$/, 'number'],
  [/^(date|timestamp)\b[^[]*$/, 'date'],
  // Held to a form by the server, and with no room for others.
  [
    /^(boolean|uuid|bytea|time|interval|bit|inet|cidr|macaddr8?|oid|point|line|lseg|box|path|polygon|circle)\b[^[]*$/,
    'opaque',
  ],
]

/** One for each column, in their order. */
export function profilesOf(description: TableDescription, limits: ReportLimits): ColumnProfile[] {
  const { length } = description.columns
  return description.columns.map(({ name, type }) => new ColumnProfile(name, type, length, limits))
}

export class ColumnProfile implements CellReader {
  readonly #name: string
  readonly #type: string
  readonly #group: TypeGroup
  readonly #columns: number
  readonly #limits: ReportLimits
  readonly #values: ValueCounts
  readonly #signs = new Float64Array(signCount)
  /** Rows by age, made when the first date is found. */
  #ages: Float64Array | undefined
  #nulls = 0
  #filled = 0
  #bytes = 0
  #cut = 0
  #order1 = 0
  #order2 = 0

  /** @param columns of the table */
  constructor(name: string, type: string, columns: number, limits: ReportLimits) {
    this.#name = name
    this.#type = type
    this.#group = typeGroups.find(([pattern]) => pattern.test(type))?.[1] ?? 'text'
    this.#columns = columns
    this.#limits = limits
    this.#values = new ValueCounts(columns)
  }

  none(): void {
    this.#nulls++
    this.#order1 = Math.imul(this.#order1, 0x01000193) ^ 1
    this.#order2 = Math.imul(this.#order2 ^ 1, 0x85ebca6b)
  }

  value(bytes: Uint8Array, start: number, end: number, length: number, h1: number, h2: number): void {
    this.#filled++
    this.#bytes += length
    this.#order1 = Math.imul(this.#order1, 0x01000193) ^ h1
    this.#order2 = Math.imul(this.#order2 ^ h2, 0x85ebca6b)
    if (length > end - start) this.#cut++
    let found = this.#values.addKnown(h1, h2)
    if (found < 0) {
      found = this.#examine(bytes, start, end)
      this.#values.addNew(h1, h2, found)
    }
    if (found !== 0) this.#tally(found)
  }

  /** Equal for columns that hold the same in every row. */
  get order(): string {
    return `${this.#nulls} ${this.#bytes} ${this.#order1} ${this.#order2}`
  }

  /** `sameAs`: the column before this one that holds the same. */
  report(sameAs: string | undefined): ColumnReport {
    const { distinct, rare } = this.#values.result(this.#limits.k)
    const found: Partial<Record<Found, number>> = {}
    for (const name of signNames) {
      const rows = this.#signs[Math.log2(signs[name])]!
      if (rows > 0) found[name] = rows
    }
    return {
      name: this.#name,
      type: this.#type,
      nulls: this.#nulls,
      distinct: Math.min(distinct, this.#filled),
      ...(rare === undefined ? { standardError: estimateError(this.#columns) } : { smallCells: rare }),
      found,
      cut: this.#cut,
      ...(this.#ages ? { dates: datesOf(this.#ages) } : {}),
      ...(sameAs === undefined ? {} : { sameAs }),
    }
  }

  #examine(bytes: Uint8Array, start: number, end: number): number {
    switch (this.#group) {
      case 'number':
        // Of all forms only that of an NHS number fits; every other length is passed by.
        return end - start === 10 ? formsIn(bytes, start, end) & (signs.tenDigits | signs.nhsNumber) : 0
      case 'date':
        return dateIn(bytes, start, end, this.#limits.asOf)
      case 'opaque':
        return 0
      case 'text':
        return (
          formsIn(bytes, start, end) |
          (isFormula(bytes, start, end) ? signs.formula : 0) |
          (isLongText(bytes, start, end, this.#limits.freeTextLength) ? signs.longText : 0) |
          (end - start <= 32 ? dateIn(bytes, start, end, this.#limits.asOf) : 0)
        )
    }
  }

  #tally(found: number): void {
    const age = found >>> ageShift
    if (age > 0) {
      this.#ages ??= new Float64Array(outside)
      this.#ages[age - 1]!++
    }
    for (let bits = found & signBits; bits !== 0; bits &= bits - 1) this.#signs[31 - Math.clz32(bits & -bits)]!++
  }
}

function datesOf(ages: Float64Array): NonNullable<ColumnReport['dates']> {
  let lived = 0
  for (let age = 0; age <= oldest; age++) lived += ages[age]!
  const youngest = ageAt(ages, lived * 0.05)
  return { withinLife: lived, spreadYears: lived === 0 ? 0 : ageAt(ages, lived * 0.95) - youngest }
}

/** The age that `rows` rows do not pass. */
function ageAt(ages: Float64Array, rows: number): number {
  let passed = 0
  for (let age = 0; age <= oldest; age++) {
    passed += ages[age]!
    if (passed >= rows && passed > 0) return age
  }
  return oldest
}

/**
 * A date at the beginning, as ISO 8601 or day/month/year, with its age in whole years. After an ISO date a time of day may follow, which
 * is no sign of a birthday unless it is midnight.
 */
function dateIn(bytes: Uint8Array, start: number, end: number, asOf: Date): number {
  const size = end - start
  if (size < 8) return 0
  let year: number
  let month: number
  let day: number
  let timed = false
  if (bytes[start + 4] === 0x2d) {
    if (bytes[start + 7] !== 0x2d || size < 10) return 0
    year = numberOf(bytes, start, 4)
    month = numberOf(bytes, start + 5, 2)
    day = numberOf(bytes, start + 8, 2)
    if (size > 10) {
      const separator = bytes[start + 10]
      // `BC` follows a space too, and an hour that is not there gives no number.
      if ((separator !== 0x20 && separator !== 0x54) || size < 16 || bytes[start + 13] !== 0x3a) return 0
      timed = numberOf(bytes, start + 11, 2) !== 0 || numberOf(bytes, start + 14, 2) !== 0
    }
  } else {
    const separator = bytes[start + 2]
    if (size !== 10 || (separator !== 0x2f && separator !== 0x2d && separator !== 0x2e)) return 0
    if (bytes[start + 5] !== separator) return 0
    day = numberOf(bytes, start, 2)
    month = numberOf(bytes, start + 3, 2)
    year = numberOf(bytes, start + 6, 4)
    // Which of the two is the month is not known; both readings have the same age in years, or nearly.
    if (month > 12 && day <= 12) [day, month] = [month, day]
  }
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31) return 0
  const age = Math.floor((asOf.getTime() - Date.UTC(year, month - 1, day)) / msPerYear)
  const code = age >= 0 && age <= oldest ? age : oldest + 1
  return signs.date | (timed ? signs.timeOfDay : 0) | ((code + 1) << ageShift)
}

/** -1 where a byte is no digit. */
function numberOf(bytes: Uint8Array, from: number, count: number): number {
  let value = 0
  for (let index = from; index < from + count; index++) {
    const digit = bytes[index]! - 0x30
    if (!(digit >= 0 && digit <= 9)) return -1
    value = value * 10 + digit
  }
  return value
}

/**
 * What a spreadsheet takes for a formula (OWASP, "CSV Injection"): = + - @, tab, carriage return, line feed, and = + - @ in full width.
 * A number with a sign, also one with spaces, is none.
 */
function isFormula(bytes: Uint8Array, start: number, end: number): boolean {
  const first = bytes[start]!
  if (end === start) return false
  if (first === 0x3d || first === 0x40 || first === 0x09 || first === 0x0a || first === 0x0d) return true
  if (first === 0xef && bytes[start + 1] === 0xbc) {
    const third = bytes[start + 2]!
    return third === 0x9d || third === 0x8b || third === 0x8d || third === 0xa0
  }
  if (first !== 0x2b && first !== 0x2d) return false
  for (let index = start + 1; index < end; index++) {
    const byte = bytes[index]!
    const plain = (byte >= 0x30 && byte <= 0x39) || byte === 0x20 || byte === 0x2e || byte === 0x2c || byte === 0x25
    // 1.5e-7: an exponent stands between digits.
    const exponent = (byte === 0x65 || byte === 0x45) && index > start + 1 && index + 1 < end
    const bracket = byte === 0x28 || byte === 0x29 || byte === 0x2d || byte === 0x2b
    if (!plain && !exponent && !bracket) return true
  }
  return false
}

/** At least `length` characters, in five words or more, or in a script that has no spaces. */
function isLongText(bytes: Uint8Array, start: number, end: number, length: number): boolean {
  if (end - start < length) return false
  let characters = 0
  let spaces = 0
  let foreign = 0
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!
    if ((byte & 0xc0) !== 0x80) characters++
    if (byte === 0x20 || byte === 0x0a) spaces++
    else if (byte >= 0xe0) foreign++
  }
  return characters >= length && (spaces >= 4 || foreign * 4 > characters)
}
