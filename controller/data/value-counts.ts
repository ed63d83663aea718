/**
 * How often each value of a column stands there, in bounded memory: exact up to a number of distinct values, an estimate of their
 * number beyond. Neither depends on the order of the rows. Values are told apart by 64 bits of hash.
 */

/** Distinct values that all columns of a table may have counted exactly, together: 8 MiB. */
const allColumns = 262_144
const mostExact = 16_384
const leastExact = 128
/** Of an entry: two halves of the hash, rows, and what was found in the value. */
const width = 4
/** Bytes of registers that all columns of a table may have, together. */
const allRegisters = 4_194_304
const mostIndexBits = 14
const leastIndexBits = 11
/** Of the bits from which a rank is taken. */
const rankBits = 32
/** At which a count stays: it is only compared with small numbers. */
const mostRows = 0x7fffffff

/** Up to how many distinct values are counted exactly in a column of a table with that many columns. */
export function exactLimit(columns: number): number {
  const share = 2 ** Math.floor(Math.log2(allColumns / Math.max(columns, 1)))
  return Math.max(leastExact, Math.min(mostExact, share))
}

/** Registers of the estimate, as a power of two, in a table with that many columns. */
function indexBitsFor(columns: number): number {
  const bits = Math.floor(Math.log2(allRegisters / Math.max(columns, 1)))
  return Math.max(leastIndexBits, Math.min(mostIndexBits, bits))
}

/** Standard error of an estimate, relative: 0.8 % up to 256 columns, 2.3 % with the most that PostgreSQL takes. */
export function estimateError(columns: number): number {
  return 1.04 / Math.sqrt(2 ** indexBitsFor(columns))
}

export class ValueCounts {
  readonly #limit: number
  readonly #indexBits: number
  /** Open addressing, at most half full; an entry without rows is free. Undefined once the limit was passed. */
  #entries: Int32Array | undefined = new Int32Array(64 * width)
  #size = 0
  #registers: Uint8Array | undefined

  /** @param columns of the table, which share the memory */
  constructor(columns: number) {
    this.#limit = exactLimit(columns)
    this.#indexBits = indexBitsFor(columns)
  }

  /** Counts a row of a value that is known: what was found in it; -1: it has to be examined, and handed to `addNew`. */
  addKnown(h1: number, h2: number): number {
    const entries = this.#entries
    if (entries === undefined) return -1
    const last = entries.length / width - 1
    for (let slot = h1 & last; ; slot = (slot + 1) & last) {
      const entry = slot * width
      const rows = entries[entry + 2]!
      if (rows === 0) return -1
      if (entries[entry] === h1 && entries[entry + 1] === h2) {
        if (rows < mostRows) entries[entry + 2] = rows + 1
        return entries[entry + 3]!
      }
    }
  }

  /** `found`: what the value shows; not negative. */
  addNew(h1: number, h2: number, found: number): void {
    if (this.#entries !== undefined && this.#size === this.#limit) this.#giveUp(this.#entries)
    if (this.#entries === undefined) {
      this.#estimate(h1, h2)
      return
    }
    if (++this.#size * 2 * width > this.#entries.length) this.#entries = grown(this.#entries)
    const entry = freeEntry(this.#entries, h1)
    this.#entries[entry] = h1
    this.#entries[entry + 1] = h2
    this.#entries[entry + 2] = 1
    this.#entries[entry + 3] = found
  }

  /** Distinct values: exact where `rare` is there, the number of values that stand in fewer than `k` rows. */
  result(k: number): { readonly distinct: number; readonly rare: number | undefined } {
    const entries = this.#entries
    if (entries === undefined) return { distinct: Math.round(estimateOf(this.#registers!)), rare: undefined }
    let rare = 0
    for (let slot = 2; slot < entries.length; slot += width) if (entries[slot]! > 0 && entries[slot]! < k) rare++
    return { distinct: this.#size, rare }
  }

  #giveUp(entries: Int32Array): void {
    this.#registers = new Uint8Array(2 ** this.#indexBits)
    for (let slot = 0; slot < entries.length; slot += width) {
      if (entries[slot + 2]! > 0) this.#estimate(entries[slot]!, entries[slot + 1]!)
    }
    this.#entries = undefined
  }

  #estimate(h1: number, h2: number): void {
    const index = h1 >>> (32 - this.#indexBits)
    const rank = Math.clz32(h2) + 1
    const present = this.#registers!
    if (present[index]! < rank) present[index] = rank
  }
}

function freeEntry(entries: Int32Array, h1: number): number {
  const last = entries.length / width - 1
  let slot = h1 & last
  while (entries[slot * width + 2] !== 0) slot = (slot + 1) & last
  return slot * width
}

function grown(entries: Int32Array): Int32Array {
  const larger = new Int32Array(entries.length * 2)
  for (let from = 0; from < entries.length; from += width) {
    if (entries[from + 2] === 0) continue
    larger.set(entries.subarray(from, from + width), freeEntry(larger, entries[from]!))
  }
  return larger
}

/** HyperLogLog as O. Ertl estimates from it, without tables: "New cardinality estimation algorithms", 2017, algorithm 6. */
function estimateOf(ranks: Uint8Array): number {
  const registers = ranks.length
  const counts = new Array<number>(rankBits + 2).fill(0)
  for (const rank of ranks) counts[rank]!++
  let z = registers * tau(1 - counts[rankBits + 1]! / registers)
  for (let rank = rankBits; rank >= 1; rank--) z = 0.5 * (z + counts[rank]!)
  z += registers * sigma(counts[0]! / registers)
  return (registers * registers) / (2 * Math.LN2 * z)
}

function sigma(share: number): number {
  if (share === 1) return Number.POSITIVE_INFINITY
  let x = share
  let y = 1
  let z = share
  for (;;) {
    x *= x
    const before = z
    z += x * y
    y += y
    if (z === before) return z
  }
}

function tau(share: number): number {
  if (share === 0 || share === 1) return 0
  let x = share
  let y = 1
  let z = 1 - share
  for (;;) {
    x = Math.sqrt(x)
    const before = z
    y *= 0.5
    z -= (1 - x) ** 2 * y
    if (z === before) return z / 3
  }
}
