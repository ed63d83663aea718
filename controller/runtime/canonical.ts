/** Canonical JSON (RFC 8785) and what is derived from it: the same input gives the same bytes on every machine. */

import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'

/**
 * RFC 8785 JSON. Only JSON values are taken: the package would leave out or convert undefined, functions, dates and maps,
 * and two different values could get one digest.
 * @throws TypeError for anything else, for NaN and infinities, lone surrogates, circles and nesting over 1000 levels
 */
export function canonicalJson(value: unknown): string {
  refuseOtherThanJson(value, 0)
  return canonicalize(value)!
}

/** SHA-256 as 64 hex digits; strings as UTF-8. */
export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

/** @throws TypeError as canonicalJson */
export function digestOf(value: unknown): string {
  return sha256Hex(canonicalJson(value))
}

/**
 * A UUID in the layout of version 7 (RFC 9562 §5.7) whose random bits are the SHA-256 of `seed`, so that it can be made again.
 * @throws RangeError for a time before 1970 or that is no time
 */
export function derivedUuid(time: Date, seed: string): string {
  const ms = time.getTime()
  if (!(ms >= 0 && ms < 2 ** 48)) throw new RangeError('a UUID of version 7 needs a time since 1970')
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(ms, 0, 6)
  createHash('sha256').update(seed).digest().copy(bytes, 6, 0, 10)
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

function refuseOtherThanJson(value: unknown, depth: number): void {
  if (depth > 1000) throw new TypeError('canonical JSON is nested more than 1000 levels deep')
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw new TypeError('canonical JSON cannot hold a lone surrogate')
      return
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('canonical JSON cannot hold a number that is not finite')
      return
    case 'boolean':
      return
    case 'object':
      break
    default:
      throw new TypeError(`canonical JSON cannot hold a value of type ${typeof value}`)
  }
  if (value === null) return
  if (Array.isArray(value)) {
    for (const item of value) refuseOtherThanJson(item, depth + 1)
    return
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`canonical JSON cannot hold a ${value.constructor?.name ?? 'class instance'}`)
  }
  for (const [key, item] of Object.entries(value)) {
    refuseOtherThanJson(key, depth + 1)
    // The package would call it and go on with what it returns.
    if (key === 'toJSON' && typeof item === 'function') throw new TypeError('canonical JSON cannot hold a function')
    refuseOtherThanJson(item, depth + 1)
  }
}
