/** The thresholds of a disclosure report, which an admin declares with the connection, and what they make of a count. */

import type { DisclosurePolicy, SourceConnectionSpec } from '../../../schemas/generated/types.ts'
import { withDefaults } from '../../schema/validate.ts'

export type Policy = Required<DisclosurePolicy>

/** Rows; what is too small to be told, or leaves too little untold, is told in words. */
export type Count = number | `fewer than ${number}` | `all but fewer than ${number}`

export function policyOf({ disclosure }: Pick<SourceConnectionSpec, 'disclosure'>): Policy {
  const { minimumCount, nearUniqueRatio, freeTextLength } = withDefaults('DisclosurePolicy', disclosure ?? {})
  return { minimumCount, nearUniqueRatio, freeTextLength }
}

/**
 * Of `rows` rows, what may be told. `wholes`: what it is a part of, told elsewhere or not; a rest of few rows must not follow from
 * the difference.
 */
export function countOf(rows: number, wholes: readonly number[], { minimumCount }: Policy): Count {
  if (rows > 0 && rows < minimumCount) return `fewer than ${minimumCount}`
  return wholes.some(whole => rows < whole && whole - rows < minimumCount) ? `all but fewer than ${minimumCount}` : rows
}

/** An estimate, with the digits that mean something. */
export function roundedTo3(value: number): number {
  return Number(value.toPrecision(3))
}
