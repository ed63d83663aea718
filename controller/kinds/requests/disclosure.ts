/** From what was counted to what an approver reads. */

import { longestCell } from '../../data/csv-scanner.ts'
import type { ColumnReport, TableReport } from '../../data/source.ts'
import { estimateError, exactLimit } from '../../data/value-counts.ts'
import { type Flag, flag, flagsOf, rankOf } from './disclosure-flags.ts'
import { type Count, countOf, type Policy, roundedTo3 } from './disclosure-policy.ts'

export interface ColumnView {
  readonly name: string
  readonly type: string
  readonly nulls: Count
  readonly distinct: Count
  /** `distinct` is an estimate, rounded. */
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

export interface DisclosureReport {
  readonly format: 'cratewright.dev/disclosure-report/v1'
  readonly project: string
  readonly release: number
  readonly policy: Policy
  readonly method: readonly string[]
  readonly unseen: readonly string[]
  readonly files: readonly FileView[]
}

/** A flag with where it was raised; `column` undefined: the whole file. */
export interface Concern {
  readonly path: string
  readonly column: string | undefined
  readonly flag: Flag
}

export function disclosureReport(
  project: string,
  release: number,
  tables: readonly PathReport[],
  policy: Policy,
): DisclosureReport {
  const widest = Math.max(1, ...tables.map(({ report }) => report.columns.length))
  return {
    format: 'cratewright.dev/disclosure-report/v1',
    project,
    release,
    policy,
    method: methodOf(policy, widest),
    unseen: unseenBy(release),
    files: tables.map(table => viewOf(table, policy)),
  }
}

export function viewOf({ path, report }: PathReport, policy: Policy): FileView {
  const { minimumCount } = policy
  const few = report.rows > 0 && report.rows < minimumCount
  return {
    path,
    rows: countOf(report.rows, [], policy),
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
  const { name, type, nulls, distinct, standardError, smallCells } = column
  const filled = rows - nulls
  // A number of values is no number of rows. But where few rows hold a value, it says how many; and where nearly each has its own,
  // how many hold none.
  const told = (values: number): Count =>
    filled > 0 && filled < policy.minimumCount
      ? `fewer than ${policy.minimumCount}`
      : values < policy.minimumCount
        ? values
        : countOf(values, [rows], policy)
  return {
    name,
    type,
    nulls: countOf(nulls, [rows], policy),
    distinct: standardError ? roundedTo3(distinct) : told(distinct),
    ...(standardError ? { estimated: true as const } : {}),
    ...(smallCells === undefined ? {} : { smallCells: told(smallCells) }),
    flags: flagsOf(column, rows, policy),
  }
}

/** All flags, the most worrying first. */
export function concernsOf({ files }: DisclosureReport): Concern[] {
  const concerns = files.flatMap(({ path, flags, columns }): Concern[] => [
    ...flags.map(one => ({ path, column: undefined, flag: one })),
    ...columns.flatMap(column => column.flags.map(one => ({ path, column: column.name, flag: one }))),
  ])
  return concerns.sort((one, other) => rankOf(one.flag.kind) - rankOf(other.flag.kind))
}

export const levelTitles = {
  identifier: 'May identify a person directly',
  attention: 'May single out a person, or needs a look',
  note: 'Worth knowing',
} as const

/** How the numbers came about. */
function methodOf(policy: Policy, mostColumns: number): string[] {
  const { minimumCount, nearUniqueRatio, freeTextLength } = policy
  // Of two files, the wider one has the lower limit.
  return [
    'The controller counted while it wrote the files, every row and every value, in the very bytes that would be released. Nothing is a sample.',
    `Counts of rows below ${minimumCount} are not told, nor those that leave fewer than ${minimumCount} rows. A small cell is a value that stands in fewer than ${minimumCount} rows.`,
    `Different values and small cells are exact up to ${exactLimit(mostColumns)} different values in a column. Beyond, the number of different values is an estimate (standard error ${(estimateError(mostColumns) * 100).toFixed(1)} %), and small cells are not counted.`,
    `A column is near unique with ${nearUniqueRatio} and more different values a row. Free text begins at ${freeTextLength} characters in several words.`,
    `Of a value, the first ${longestCell} bytes were searched.`,
    'A value has the form of an identifier, or it has not: the form proves nothing, nor does the lack of it.',
  ]
}

/** `release`: its number. */
function unseenBy(release: number): string[] {
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
