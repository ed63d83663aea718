/** The text of an untrusted file, or why it is none. */

import { isUtf8 } from 'node:buffer'
import { type Problem, problem, type Where } from '../runtime/errors.ts'

export interface SourceDocument {
  /** Plain objects, arrays, strings, numbers, booleans and null. */
  readonly value: unknown
  /** Where the field is written (its name, if it has one), or else the closest thing around it. */
  at(path: readonly (string | number)[]): Where
}

export type Decoded =
  | { readonly text: string; readonly problem?: never }
  | { readonly text?: never; readonly problem: Problem }

/** Reads UTF-8; one byte order mark at the beginning is taken away. */
export function decodeText(
  bytes: Uint8Array,
  file: string,
  maxBytes: number,
  code: 'YamlInvalid' | 'TomlInvalid',
): Decoded {
  if (bytes.byteLength > maxBytes) {
    const message = `the file has ${bytes.byteLength} bytes, and may have ${maxBytes}`
    return { problem: problem('DocumentTooLarge', message, { where: { file } }) }
  }
  if (!isUtf8(bytes)) {
    return {
      problem: problem(code, 'the text is not UTF-8', {
        where: invalidUtf8(bytes, file),
        todo: 'Save the file as UTF-8.',
      }),
    }
  }
  const text = new TextDecoder().decode(bytes)
  const control = /[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)/.exec(text)
  if (control) {
    const name = `U+${control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`
    const message = `the control character ${name} stands in the text`
    return { problem: problem(code, message, { where: positionIn(text, control.index, file), todo: 'Remove it.' }) }
  }
  return { text }
}

/** Lines and columns count from 1; columns in UTF-16 units, as editors count. */
export function positionIn(text: string, offset: number, file: string): Where {
  const before = text.slice(0, offset)
  return { file, line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}

function invalidUtf8(bytes: Uint8Array, file: string): Where {
  let line = 1
  let start = 0
  // A line feed is never part of another character.
  for (let end = bytes.indexOf(10); end >= 0 && isUtf8(bytes.subarray(start, end)); end = bytes.indexOf(10, start)) {
    line += 1
    start = end + 1
  }
  // The longest beginning of the line that can be decoded ends within the first character that is none.
  const rest = bytes.subarray(start)
  let good = 0
  for (let bad = rest.length + 1; bad - good > 1; ) {
    const middle = Math.floor((good + bad) / 2)
    if (beginning(rest, middle) === undefined) bad = middle
    else good = middle
  }
  return { file, line, column: (beginning(rest, good) ?? '').length + 1 }
}

/** Text of the first bytes, less what they begin of a character; undefined where they are not UTF-8. */
function beginning(bytes: Uint8Array, length: number): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length), { stream: true })
  } catch {
    return undefined
  }
}
