/** Which paths a bag may name. One rule for writer and reader, and the same on every platform (RFC 8493 §5). */

export type PathDefect =
  | 'PathEmpty'
  | 'PathControlCharacter'
  | 'PathVariable'
  | 'PathDriveLetter'
  | 'PathUnc'
  | 'PathBackslash'
  | 'PathAbsolute'
  | 'PathHome'
  | 'PathParent'
  | 'PathNotNormal'

// C0, DEL, C1 and the Unicode line and paragraph separators: readers in other languages end a line there.
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/** What keeps this `/`-separated relative path from being used on some platform; undefined: nothing. */
export function pathDefect(path: string): PathDefect | undefined {
  if (path === '') return 'PathEmpty'
  if (control.test(path) || !path.isWellFormed()) return 'PathControlCharacter'
  if (/^%[^%/\\]+%/.test(path)) return 'PathVariable'
  if (/^[A-Za-z]:/.test(path)) return 'PathDriveLetter'
  if (/^(\\\\|\/\/)/.test(path)) return 'PathUnc'
  if (path.startsWith('/')) return 'PathAbsolute'
  if (path.startsWith('~')) return 'PathHome'
  if (/(^|[/\\])\.\.($|[/\\])/.test(path)) return 'PathParent'
  if (path.includes('\\')) return 'PathBackslash'
  if (path.split('/').some(segment => segment === '' || segment === '.')) return 'PathNotNormal'
  return undefined
}

/** A path for a message: without control characters, and not longer than a line. */
export function showPath(path: string): string {
  const clean = path.toWellFormed().replace(new RegExp(control, 'g'), '\ufffd')
  return clean.length > 200 ? `${clean.slice(0, 200)}…` : clean
}

/** Two names that some file system takes for one (case, NFC and NFD) have the same key. */
export function collisionKey(path: string): string {
  return path.normalize('NFC').toLowerCase().normalize('NFC')
}

/** Order of the UTF-8 bytes, which is not that of UTF-16 code units. */
export function byPathBytes(a: { readonly path: string }, b: { readonly path: string }): number {
  return Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))
}
