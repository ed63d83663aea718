/** Reads CSV as PostgreSQL writes it: null for nothing, '' for `""`. Independent of what is tested. */
export function parseCsv(text: string): (string | null)[][] {
  const rows: (string | null)[][] = []
  const field = /(?:"((?:[^"]|"")*)"|([^,"\n]*))(,|\n)/y
  let row: (string | null)[] = []
  while (field.lastIndex < text.length) {
    const at = field.lastIndex
    const match = field.exec(text)
    if (!match) throw new Error(`no CSV at offset ${at}`)
    const [, quoted, plain, end] = match
    row.push(quoted === undefined ? plain || null : quoted.replaceAll('""', '"'))
    if (end === '\n') {
      rows.push(row)
      row = []
    }
  }
  return rows
}
