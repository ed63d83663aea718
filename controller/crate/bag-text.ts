/** The text of tag files: encodings, lines, and what the lines of each kind of tag file say. Judges single lines only. */

export type Algorithm = 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'

/** Hex digits of each checksum. */
export const checksumLength: Readonly<Record<Algorithm, number>> = {
  md5: 32,
  sha1: 40,
  sha224: 56,
  sha256: 64,
  sha384: 96,
  sha512: 128,
}

export interface ManifestName {
  readonly path: string
  readonly kind: 'payload' | 'tag'
  /** As in the file name; undefined algorithms are ones we cannot compute. */
  readonly algorithm: Algorithm | undefined
}

/** `manifest-sha512.txt`; RFC 8493 §2.4 wants names in lower case without hyphens, older bags have others. */
export function manifestName(path: string): ManifestName | undefined {
  const match = /^(tag)?manifest-([A-Za-z0-9-]+)\.txt$/.exec(path)
  if (!match) return undefined
  const name = match[2]!.toLowerCase().replaceAll('-', '')
  return {
    path,
    kind: match[1] ? 'tag' : 'payload',
    algorithm: name in checksumLength ? (name as Algorithm) : undefined,
  }
}

export type Encoding = 'utf-8' | 'utf-16' | 'utf-16le' | 'utf-16be' | 'iso-8859-1'

export function encodingOf(name: string): Encoding | undefined {
  const known = ['utf-8', 'utf-16', 'utf-16le', 'utf-16be', 'iso-8859-1'] as const
  return known.find(candidate => candidate === name.toLowerCase())
}

/** Undefined where the bytes are not text in this encoding. A byte-order mark in UTF-8 stays, and makes its line wrong. */
export function decodeText(bytes: Uint8Array, encoding: Encoding): string | undefined {
  // TextDecoder takes ISO-8859-1 for Windows-1252 (WHATWG Encoding §4.2).
  if (encoding === 'iso-8859-1') return Buffer.from(bytes).toString('latin1')
  // RFC 2781 §4.3: big-endian where no mark says otherwise.
  const marked = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : 'utf-16be'
  const ignoreBOM = encoding !== 'utf-16'
  try {
    return new TextDecoder(encoding === 'utf-16' ? marked : encoding, { fatal: true, ignoreBOM }).decode(bytes)
  } catch {
    return undefined
  }
}

/** Lines end with LF, CR or CR LF (RFC 8493 §2.1.3); blank ones carry nothing. One at a time: a file may be all line feeds. */
export function* linesOf(text: string): Generator<{ readonly number: number; readonly line: string }> {
  const end = /\r\n|\n|\r|$/g
  for (let number = 1, from = 0; from < text.length; number++) {
    end.lastIndex = from
    const match = end.exec(text)!
    const line = text.slice(from, match.index)
    if (line.trim() !== '') yield { number, line }
    from = match.index + Math.max(match[0].length, 1)
  }
}

export interface ListedFile {
  /** Lower-case hex. */
  readonly checksum: string
  /** Without `./` and the mark of md5sum, else as written. */
  readonly name: string
  readonly marked: boolean
  readonly dotted: boolean
}

/** `<hex> <path>`; md5sum and its kin write `*` before the path of a file that was read as binary. */
export function parseManifestLine(line: string): ListedFile | undefined {
  const match = /^([0-9a-fA-F]+)[ \t]+(\*?)((?:\.\/)*)(.+)$/s.exec(line)
  if (!match) return undefined
  return { checksum: match[1]!.toLowerCase(), name: match[4]!, marked: match[2] !== '', dotted: match[3] !== '' }
}

export interface FetchEntry {
  /** Bytes; undefined where `-` says that nobody knows. */
  readonly size: number | undefined
  readonly name: string
}

/** `<url> <bytes or -> <path>` (RFC 8493 §2.2.3). The URL is not kept: nothing here fetches. */
export function parseFetchLine(line: string): FetchEntry | undefined {
  const match = /^[A-Za-z][A-Za-z0-9+.-]*:\S+[ \t]+(-|\d{1,15})[ \t]+(?:\.\/)*(.+)$/s.exec(line)
  return match ? { size: match[1] === '-' ? undefined : Number(match[1]), name: match[2]! } : undefined
}

/** Labels and values of bag-info.txt; a line that begins with whitespace goes on with the value before (RFC 8493 §2.2.2). */
export function parseInfo(text: string): {
  readonly entries: readonly (readonly [string, string])[]
  readonly invalid: number[]
} {
  const entries: [string, string][] = []
  const invalid: number[] = []
  for (const { number, line } of linesOf(text)) {
    const last = entries.at(-1)
    const colon = line.indexOf(':')
    if (/^[ \t]/.test(line)) {
      if (last) last[1] += ` ${line.trim()}`
      else invalid.push(number)
    } else if (colon > 0) entries.push([line.slice(0, colon).trim(), line.slice(colon + 1).trim()])
    else invalid.push(number)
  }
  return { entries, invalid }
}

/** RFC 8493 §2.1.3, from 1.0 on: `%0D`, `%0A` and `%25` stand for CR, LF and `%`; any other `%` is itself. */
export function decodeName(name: string): string {
  return name.replace(/%(0[dD]|0[aA]|25)/g, code => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
}
