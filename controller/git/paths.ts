/** Names inside a tree: which ones may be written, and how foreign ones are shown. */

import { isUtf8 } from 'node:buffer'
import { CratewrightError } from '../runtime/errors.ts'

/** Names that a checkout on some file system would take for `.git` (CVE-2014-9390); git's own checks run after this one. */
const gitFolder = /^(\.git|git~\d+)[. ]*$/i

/** @throws UnsafePath */
export function checkPath(path: string): void {
  const bad = path
    .split('/')
    .some(segment => segment === '' || segment === '.' || segment === '..' || gitFolder.test(segment))
  if (bad || /[\x00-\x1f\x7f\\]/.test(path) || !path.isWellFormed()) {
    throw new CratewrightError('UnsafePath', `the path ${JSON.stringify(path)} may not be used in a repository`)
  }
}

const replacement = '\uFFFD'

/**
 * The bytes of a name as text. Bytes that are not UTF-8, and those of U+FFFD itself, become U+FFFD and `%XX`: callers refuse
 * names with U+FFFD, and two different names never become one.
 */
export function decodePath(bytes: Buffer): string {
  const text = bytes.toString()
  if (isUtf8(bytes) && !text.includes(replacement)) return text
  let path = ''
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find(n => at + n <= bytes.length && isUtf8(bytes.subarray(at, at + n)))
    const character = length ? bytes.toString('utf8', at, at + length) : replacement
    if (character === replacement) path += `${replacement}%${bytes.toString('hex', at, at + 1).toUpperCase()}`
    else path += character
    at += character === replacement ? 1 : length!
  }
  return path
}
