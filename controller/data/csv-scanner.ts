/** The cells of a CSV file as COPY writes it, while its bytes flow by: nothing is kept but the beginning of one cell. */

import { CratewrightError } from '../runtime/errors.ts'

/** Bytes of a cell that are looked at; of a longer one, the rest only counts for its hash and its length. */
export const longestCell = 16_384

export interface CellReader {
  /** NULL: nothing between two commas. */
  none(): void
  /**
   * `bytes[start, end)`: the cell, or its beginning; to be read at once. `length`: bytes of the whole. `h1`, `h2`: two independent halves
   * of its hash. Equal cells have equal ones; it is no defence against who chooses values to collide.
   */
  value(bytes: Uint8Array, start: number, end: number, length: number, h1: number, h2: number): void
}

const comma = 0x2c
const lineFeed = 0x0a
const quote = 0x22

type State = 'begin' | 'plain' | 'quoted' | 'quote'

const seed1 = 0x811c9dc5 | 0
const seed2 = 0x2545f491

export class CsvScanner {
  readonly #readers: readonly CellReader[]
  /** What was kept of a cell that is quoted, or whose end is in a later chunk. */
  readonly #kept = new Uint8Array(longestCell)
  #keptSize = 0
  #length = 0
  #h1 = seed1
  #h2 = seed2
  #state: State = 'begin'
  #column = 0
  #lines = 0

  /** @param readers one a column */
  constructor(readers: readonly CellReader[]) {
    this.#readers = readers
  }

  /** Lines that have ended, without the header. */
  get rows(): number {
    return Math.max(this.#lines - 1, 0)
  }

  /** @throws CratewrightError SourceFailed: a row has more or fewer cells than there are columns */
  add(chunk: Uint8Array): void {
    const size = chunk.length
    let index = 0
    while (index < size) {
      switch (this.#state) {
        case 'begin':
          this.#begin()
          if (chunk[index] === quote) {
            index++
            this.#state = 'quoted'
          } else {
            index = this.#plain(chunk, index)
          }
          break
        case 'plain':
          index = this.#plain(chunk, index)
          break
        case 'quoted':
          index = this.#quoted(chunk, index)
          break
        case 'quote':
          if (chunk[index] === quote) {
            // A doubled quote is one of the value: RFC 4180 §2.7.
            this.#keep(chunk, index, index + 1)
            this.#h1 = Math.imul(this.#h1 ^ quote, 0x01000193)
            this.#h2 = Math.imul(((this.#h2 << 5) | (this.#h2 >>> 27)) ^ quote, 0x9e3779b1)
            this.#length++
            this.#state = 'quoted'
            index++
          } else {
            if (chunk[index] !== comma && chunk[index] !== lineFeed) throw malformed()
            this.#value(this.#kept, 0, this.#keptSize)
            this.#endCell(chunk[index++]!)
          }
          break
      }
    }
  }

  /** From `from` to the end of the cell or of the chunk: where to go on. */
  #plain(chunk: Uint8Array, from: number): number {
    const size = chunk.length
    let h1 = this.#h1
    let h2 = this.#h2
    let index = from
    let byte = 0
    for (; index < size; index++) {
      byte = chunk[index]!
      if (byte === comma || byte === lineFeed) break
      h1 = Math.imul(h1 ^ byte, 0x01000193)
      h2 = Math.imul(((h2 << 5) | (h2 >>> 27)) ^ byte, 0x9e3779b1)
    }
    this.#h1 = h1
    this.#h2 = h2
    this.#length += index - from
    if (index === size) {
      this.#keep(chunk, from, index)
      this.#state = 'plain'
      return index
    }
    if (this.#length === 0) {
      if (this.#lines > 0) this.#reader().none()
    } else if (this.#keptSize > 0) {
      this.#keep(chunk, from, index)
      this.#value(this.#kept, 0, this.#keptSize)
    } else this.#value(chunk, from, Math.min(index, from + longestCell))
    this.#endCell(byte)
    return index + 1
  }

  #quoted(chunk: Uint8Array, from: number): number {
    const size = chunk.length
    let h1 = this.#h1
    let h2 = this.#h2
    let index = from
    for (; index < size; index++) {
      const byte = chunk[index]!
      if (byte === quote) break
      h1 = Math.imul(h1 ^ byte, 0x01000193)
      h2 = Math.imul(((h2 << 5) | (h2 >>> 27)) ^ byte, 0x9e3779b1)
    }
    this.#h1 = h1
    this.#h2 = h2
    this.#length += index - from
    this.#keep(chunk, from, index)
    if (index === size) return index
    this.#state = 'quote'
    return index + 1
  }

  #begin(): void {
    this.#keptSize = 0
    this.#length = 0
    this.#h1 = seed1
    this.#h2 = seed2
  }

  #keep(chunk: Uint8Array, from: number, to: number): void {
    const end = Math.min(to, from + longestCell - this.#keptSize)
    if (end - from > 64) this.#kept.set(chunk.subarray(from, end), this.#keptSize)
    else for (let index = from, at = this.#keptSize; index < end; index++, at++) this.#kept[at] = chunk[index]!
    this.#keptSize += end - from
  }

  #value(bytes: Uint8Array, start: number, end: number): void {
    if (this.#lines === 0) return
    this.#reader().value(bytes, start, end, this.#length, mixed(this.#h1), mixed(this.#h2))
  }

  #reader(): CellReader {
    const reader = this.#readers[this.#column]
    if (!reader) throw malformed()
    return reader
  }

  #endCell(byte: number): void {
    this.#column++
    this.#state = 'begin'
    if (byte !== lineFeed) return
    if (this.#column !== this.#readers.length) throw malformed()
    this.#column = 0
    this.#lines++
  }
}

/** Spreads what the last bytes changed over all bits: the finalizer of MurmurHash3. */
function mixed(hash: number): number {
  let mixing = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixing = Math.imul(mixing ^ (mixing >>> 13), 0xc2b2ae35)
  return mixing ^ (mixing >>> 16)
}

function malformed(): CratewrightError {
  return new CratewrightError('SourceFailed', 'the server wrote a row with another number of cells than asked for')
}
