/** Writes bags (RFC 8493, BagIt 1.0, UTF-8, SHA-512). Pure: it is told sizes and digests of the payload and makes tag files. */

import { createHash } from 'node:crypto'
import { CratewrightError } from '../runtime/errors.ts'
import { byPathBytes, collisionKey, pathDefect, showPath } from './bag-path.ts'

export interface PayloadFile {
  /** In the bag: `data/…`, as it is on disk. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** 128 lower-case hex digits. */
  readonly sha512: string
}

export interface BagFile {
  /** In the bag, `/`-separated. */
  readonly path: string
  readonly content: Uint8Array
}

export interface BagInput {
  readonly payload: readonly PayloadFile[]
  /** Labels and values of bag-info.txt in their order; Payload-Oxum is added. Line breaks in values become spaces. */
  readonly info: readonly (readonly [label: string, value: string])[]
  /** Further tag files, outside `data/`. */
  readonly tagFiles: readonly BagFile[]
  /** Where a payload file that is not in this copy of the bag would be; undefined: it is present. */
  readonly fetchUrl?: (path: string) => string | undefined
}

export interface Bag {
  /** The bytes of manifest-sha512.txt: the same for the same payload, whatever the rest is. */
  readonly manifest: Uint8Array
  /** All tag files, sorted by the bytes of the path. The payload is not among them. */
  readonly files: readonly BagFile[]
}

/**
 * The tag files of a bag. The same input gives the same bytes, in whatever order payload and tag files come.
 * The tag manifest lists every tag file but itself; what signs it is put beside it by the caller.
 * @throws CratewrightError UnsafePath for a path that some platform would place elsewhere, BagInvalid for everything else
 */
export function buildBag({ payload, info, tagFiles, fetchUrl }: BagInput): Bag {
  const sorted = [...payload].sort(byPathBytes)
  refusePaths(sorted, tagFiles)
  for (const { path, size, sha512 } of sorted) {
    if (!Number.isSafeInteger(size) || size < 0) throw invalid(`${showPath(path)}: the size is not a number of bytes`)
    if (!/^[0-9a-f]{128}$/.test(sha512)) throw invalid(`${showPath(path)}: the checksum is not a SHA-512 in hex`)
  }

  const manifest = text(sorted.map(({ path, sha512 }) => `${sha512}  ${encodeName(path)}\n`))
  const files: BagFile[] = [
    { path: 'bagit.txt', content: text(['BagIt-Version: 1.0\n', 'Tag-File-Character-Encoding: UTF-8\n']) },
    { path: 'bag-info.txt', content: text(infoLines(info, sorted)) },
    { path: 'manifest-sha512.txt', content: manifest },
    ...tagFiles,
  ]
  const fetch = fetchUrl ? fetchLines(sorted, fetchUrl) : []
  if (fetch.length > 0) files.push({ path: 'fetch.txt', content: text(fetch) })
  files.sort(byPathBytes)

  const tagLines = files.map(
    ({ path, content }) => `${createHash('sha512').update(content).digest('hex')}  ${encodeName(path)}\n`,
  )
  files.push({ path: 'tagmanifest-sha512.txt', content: text(tagLines) })
  return { manifest, files: files.sort(byPathBytes) }
}

function refusePaths(payload: readonly PayloadFile[], tagFiles: readonly BagFile[]): void {
  const seen = new Set<string>()
  const take = (path: string): void => {
    const defect = pathDefect(path)
    if (defect) throw new CratewrightError('UnsafePath', `${showPath(path)}: cannot be in a bag (${defect})`)
    const key = collisionKey(path)
    if (seen.has(key)) throw invalid(`${showPath(path)}: two files have this name, or names that differ in case only`)
    seen.add(key)
  }
  for (const { path } of payload) {
    if (!path.startsWith('data/')) throw new CratewrightError('UnsafePath', `${showPath(path)}: is not below data/`)
    take(path)
  }
  for (const { path } of tagFiles) {
    if (/^data(\/|$)/i.test(path))
      throw new CratewrightError('UnsafePath', `${showPath(path)}: a tag file is below data/`)
    if (/^(bagit|bag-info|fetch|(tag)?manifest-[^/]*)\.txt$/i.test(path))
      throw invalid(`${showPath(path)}: is written by us`)
    take(path)
  }
}

function infoLines(info: BagInput['info'], payload: readonly PayloadFile[]): string[] {
  const bytes = payload.reduce((sum, { size }) => sum + BigInt(size), 0n)
  const lines = info.map(([label, value]) => {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(label)) throw invalid(`bag-info.txt: ${showPath(label)} is not a label`)
    if (/^payload-oxum$/i.test(label)) throw invalid('bag-info.txt: Payload-Oxum is computed')
    return `${label}: ${oneLine(value)}\n`
  })
  return [...lines, `Payload-Oxum: ${bytes}.${payload.length}\n`]
}

/** A value can hold no line break of its own: one would start a label of somebody's choice (RFC 8493 §2.2.2). */
function oneLine(value: string): string {
  return value
    .toWellFormed()
    .replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .trim()
}

function fetchLines(payload: readonly PayloadFile[], fetchUrl: (path: string) => string | undefined): string[] {
  return payload.flatMap(({ path, size }) => {
    const url = fetchUrl(path)
    if (url === undefined) return []
    // RFC 8493 §2.2.3: whitespace in the URL would end it.
    if (!/^[a-z][a-z0-9+.-]*:[!-~]+$/i.test(url)) throw invalid(`fetch.txt: ${showPath(path)} has no URL`)
    return `${url} ${size} ${encodeName(path)}\n`
  })
}

/** RFC 8493 §2.1.3: CR, LF and `%`, and only those, are percent-encoded; the first two are refused before. */
function encodeName(path: string): string {
  return path.replaceAll('%', '%25')
}

function text(lines: readonly string[]): Uint8Array {
  return Buffer.from(lines.join(''))
}

function invalid(message: string): CratewrightError {
  return new CratewrightError('BagInvalid', message, { todo: 'Correct what the bag is made from.' })
}
