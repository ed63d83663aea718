import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type CellReader, CsvScanner, longestCell } from '../../controller/data/csv-scanner.ts'

interface Seen {
  readonly text: string
  readonly length: number
  readonly hash: string
}

function scan(csv: Uint8Array, columns: number, cuts: readonly number[]): { rows: number; cells: (Seen | null)[][] } {
  const cells: (Seen | null)[][] = Array.from({ length: columns }, () => [])
  const readers = cells.map(
    (list): CellReader => ({
      none: () => void list.push(null),
      value: (bytes, start, end, length, h1, h2) =>
        void list.push({ text: Buffer.from(bytes.subarray(start, end)).toString(), length, hash: `${h1} ${h2}` }),
    }),
  )
  const scanner = new CsvScanner(readers)
  let from = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    // The scanner must not keep a chunk: the driver writes over it.
    const chunk = Uint8Array.from(csv.subarray(from, cut))
    scanner.add(chunk)
    chunk.fill(0x58)
    from = cut
  }
  scanner.add(csv.subarray(from))
  return { rows: scanner.rows, cells }
}

/** As COPY quotes (PostgreSQL, CopyAttributeOutCSV). */
function write(value: string | null): string {
  if (value === null) return ''
  return value === '' || /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}

const value = fc.option(
  fc.oneof(
    fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', 'é', '9'), maxLength: 8 }),
    fc.string({ unit: 'grapheme', maxLength: 90 }).filter(text => !text.includes('\0')),
  ),
  { nil: null },
)

describe('scanning CSV', () => {
  it('sees every cell as it was written, however the bytes are cut into chunks', () => {
    const table = fc
      .integer({ min: 1, max: 4 })
      .chain(columns =>
        fc.array(fc.array(value, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 8 }),
      )
    fc.assert(
      fc.property(table, fc.array(fc.nat(400), { maxLength: 12 }), (rows, cuts) => {
        const columns = rows[0]!.length
        const header = Array.from({ length: columns }, () => 'name "with,\nall"').map(write)
        const csv = Buffer.from([header, ...rows.map(row => row.map(write))].map(row => `${row.join(',')}\n`).join(''))
        const inside = cuts.map(cut => cut % (csv.length + 1))
        const seen = scan(csv, columns, inside)
        assert.equal(seen.rows, rows.length)
        for (let column = 0; column < columns; column++) {
          const texts = rows.map(row => row[column] ?? null)
          assert.deepEqual(
            seen.cells[column]!.map(cell => cell?.text ?? null),
            texts,
          )
          assert.deepEqual(
            seen.cells[column]!.map(cell => cell?.length ?? null),
            texts.map(text => (text === null ? null : Buffer.byteLength(text))),
          )
        }
        assert.deepEqual(scan(csv, columns, []).cells, seen.cells, 'hashes too')
        const hashes = seen.cells.flat().flatMap(cell => (cell ? [[cell.text, cell.hash] as const] : []))
        assert.equal(new Set(hashes.map(([, hash]) => hash)).size, new Set(hashes.map(([text]) => text)).size)
      }),
      { numRuns: 400 },
    )
  })

  it('keeps no more than the beginning of a long cell, and hashes all of it', () => {
    const long = 'x'.repeat(longestCell + 10)
    for (const quote of ['', '"']) {
      const csv = Buffer.from(`a,b\n${quote}${long}1${quote},1\n${quote}${long}2${quote},2\n`)
      for (const cuts of [[], [100], [longestCell + 8, longestCell + 9]]) {
        const { cells } = scan(csv, 2, cuts)
        const [one, other] = cells[0]!
        assert.equal(one!.text, long.slice(0, longestCell))
        assert.equal(one!.length, long.length + 1)
        assert.notEqual(one!.hash, other!.hash)
      }
    }
  })

  it('refuses rows with more or fewer cells than columns', () => {
    for (const csv of ['a,b\n1\n', 'a,b\n1,2,3\n', 'a,b\n1,2,\n', 'a\n1\n', 'a,b\n"1"x,2\n']) {
      assert.throws(() => scan(Buffer.from(csv), 2, []), { code: 'SourceFailed' }, csv)
    }
  })
})
