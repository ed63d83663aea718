/** Names inside a tree: which ones may be written, and how foreign ones are shown. */

import { isUtf8 } from 'node:buffer'
import { CratewrightError } from '../runtime/errors.ts'

/** Characters that HFS+ leaves out of names (git's utf8.c, next_hfs_char). */
const ignoredByHfs = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g

/** Names that a checkout on some file system would take for `.git` (CVE-2014-9390); git's own checks run after this one. */
const gitFolder = /^(\.git|git~\d+)[. ]*$/i

/** @throws UnsafePath */
export function checkPath(path: string): void {
  if (pathDefect(path) !== undefined) {
    throw new CratewrightError('UnsafePath', `the path ${JSON.stringify(path)} may not be used in a repository`)
  }
}

const replacement = '\uFFFD'

/** What keeps a path from being read or written, as it goes on behind the path in a sentence; undefined: nothing. */
export function pathDefect(path: string): string | undefined {
  if (/[\x00-\x1f\x7f]/.test(path) || !path.isWellFormed()) return 'has control characters in its name'
  if (path.includes('\\')) return 'has a backslash in its name'
  const segments = path.split('/')
  if (segments.some(segment => segment === '' || segment === '.' || segment === '..')) return 'leads out of its folder'
  if (segments.some(segment => gitFolder.test(segment.replace(ignoredByHfs, ''))))
    return 'has a name that a checkout would take for a folder of git'
  if (path.includes(replacement)) return 'has a name that is not UTF-8'
  return undefined
}

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
