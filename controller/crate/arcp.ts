/** URLs of the archive and package protocol: a place inside a bag, wherever that bag lies. */

import { CratewrightError } from '../runtime/errors.ts'
import { pathDefect, showPath } from './bag-path.ts'

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * `arcp://uuid,<uuid>/data/…`: names no host, and nothing fetches it (draft-soilandreyes-arcp-03 §3).
 * @param path in the bag, as it is on disk: `data/outputs/…`
 * @throws CratewrightError UnsafePath, BagInvalid for something that is no lower-case UUID
 */
export function arcpUrl(uuid: string, path: string): string {
  if (!uuidPattern.test(uuid)) throw new CratewrightError('BagInvalid', 'the identifier of the bag is not a UUID')
  const defect = pathDefect(path)
  if (defect) throw new CratewrightError('UnsafePath', `${showPath(path)}: cannot be named in a bag (${defect})`)
  return `arcp://uuid,${uuid}/${encodePath(path)}`
}

/** Percent-encodes each segment of a path (RFC 3986 §2.1). */
export function encodePath(path: string): string {
  // encodeURIComponent leaves these five; they are sub-delims, and whether one is encoded must not depend on the reader.
  return path
    .split('/')
    .map(segment =>
      encodeURIComponent(segment).replace(/[!'()*]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`),
    )
    .join('/')
}
