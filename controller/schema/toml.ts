/** The one parser of untrusted TOML. */

import { parse, TomlDate, TomlError } from 'smol-toml'
import { CratewrightError, type Problem, problem, problemOf, type Where } from '../runtime/errors.ts'
import { decodeText, type SourceDocument } from './text.ts'

export interface TomlLimits {
  readonly bytes: number
  readonly depth: number
}

const defaults: TomlLimits = { bytes: 1_048_576, depth: 64 }

/** Never throws. Problems: TomlInvalid, DocumentTooLarge; they hold names of fields and never values. Dates become text. */
export function parseToml(
  bytes: Uint8Array,
  file: string,
  limits: Partial<TomlLimits> = {},
): { document?: SourceDocument; problems: Problem[] } {
  const bounds = { ...defaults, ...limits }
  const decoded = decodeText(bytes, file, bounds.bytes, 'TomlInvalid')
  if (decoded.problem) return { problems: [decoded.problem] }
  const { text } = decoded
  // The library would take a second one away as well.
  if (text.startsWith('\ufeff')) {
    const where = { file, line: 1, column: 1 }
    return { problems: [problem('TomlInvalid', 'a byte order mark stands inside the file', { where })] }
  }
  try {
    const lines = new Map<string, Where>()
    const at = (path: readonly (string | number)[]): Where => {
      if (lines.size === 0) scan(text, file, lines)
      // `a.b.c = 1` also writes the tables a and a.b.
      const within = `${JSON.stringify(path).slice(0, -1)},`
      if (path.length > 0 && !lines.has(JSON.stringify(path)))
        for (const [line, where] of lines) if (line.startsWith(within)) return where
      for (let length = path.length; length > 0; length -= 1) {
        const where = lines.get(JSON.stringify(path.slice(0, length)))
        if (where) return where
      }
      return { file, line: 1, column: 1 }
    }
    const value = plain(parse(text, { maxDepth: bounds.depth }), [], at, bounds.depth)
    return { document: { value, at }, problems: [] }
  } catch (error) {
    if (error instanceof CratewrightError) return { problems: [problemOf(error)] }
    const where = error instanceof TomlError ? { file, line: error.line, column: error.column } : { file }
    return { problems: [problem('TomlInvalid', explain(error), { where })] }
  }
}

type At = SourceDocument['at']

function plain(value: unknown, path: readonly (string | number)[], at: At, depth: number): unknown {
  const refuse = (message: string, ...field: string[]) =>
    new CratewrightError('TomlInvalid', message, { where: at([...path, ...field]) })
  if (path.length > depth) throw refuse(`values lie more than ${depth} deep in each other`)
  if (value instanceof TomlDate) return value.toISOString()
  if (Array.isArray(value)) return value.map((item, index) => plain(item, [...path, index], at, depth))
  if (typeof value === 'object' && value !== null) {
    const object: Record<string, unknown> = {}
    for (const [key, child] of Object.entries(value)) {
      if (key === '__proto__') throw refuse('a field must not be named "__proto__"', key)
      if (key.includes('\0')) throw refuse('the name of a field holds a NUL character')
      object[key] = plain(child, [...path, key], at, depth)
    }
    return object
  }
  if (typeof value === 'number' && !Number.isFinite(value)) throw refuse('the number is not finite')
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    throw refuse('whole numbers go from -9007199254740991 to 9007199254740991')
  if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) {
    throw refuse('the text holds a NUL character or half of a surrogate pair')
  }
  return value
}

const name = /"[^"]*"|'[^']*'|[A-Za-z0-9_-]+/g

/** Finds lines that begin a table or a field. Lines inside texts of several lines may look so too: only a position is wrong then. */
function scan(text: string, file: string, lines: Map<string, Where>): void {
  let table: (string | number)[] = []
  const counts = new Map<string, number>()
  for (const [index, line] of text.split('\n').entries()) {
    const start = line.length - line.trimStart().length
    const where = { file, line: index + 1, column: start + 1 }
    const [, brackets, header] = /^(\[\[?)([^\]]*)\]/.exec(line.trimStart()) ?? []
    if (header !== undefined) {
      table = names(header)
      if (brackets === '[[') {
        const key = JSON.stringify(table)
        const count = counts.get(key) ?? 0
        counts.set(key, count + 1)
        table = [...table, count]
      }
      lines.set(JSON.stringify(table), where)
      continue
    }
    const end = line.indexOf('=')
    const path = end < 0 ? [] : [...table, ...names(line.slice(0, end))]
    if (path.length > 0) lines.set(JSON.stringify(path), where)
  }
}

function names(text: string): string[] {
  return (text.match(name) ?? []).map(part => part.replace(/^["']|["']$/g, ''))
}

/** The first line of the library's message says what is wrong; what follows quotes the file. */
function explain(error: unknown): string {
  if (!(error instanceof TomlError)) return 'the file cannot be read as TOML'
  return error.message.split('\n', 1)[0]!.replace(/^Invalid TOML document: /, '')
}
