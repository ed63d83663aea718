import { createHash } from 'node:crypto'
import { derivedUuid, digestOf } from '../../runtime/canonical.ts'
import type { RequestState } from './state.ts'

/** SHA-256 over the RFC 8785 JSON of `[{path, size, sha512}]` of `data/outputs/**`, sorted by the bytes of the path. */
export function outputsDigest(files: readonly { path: string; size: number; sha512: string }[]): string {
  const sorted = files
    .map(({ path, size, sha512 }) => ({ path, size, sha512 }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
  return digestOf(sorted)
}

/** One for each Repository, project and release: the request's id says the first two. */
export function releaseUuid({ id, release }: Pick<RequestState, 'id' | 'release'>): string {
  const uuid = (id ?? '').replace(/^urn:uuid:/, '')
  const time = new Date(Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16))
  return derivedUuid(time, `${uuid}\0${release}`)
}

export function sha512(content: Uint8Array): string {
  return createHash('sha512').update(content).digest('hex')
}
