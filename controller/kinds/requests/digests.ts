import { digestOf } from '../../runtime/canonical.ts'

/** SHA-256 over the RFC 8785 JSON of `[{path, size, sha512}]` of `data/outputs/**`, sorted by the bytes of the path. */
export function outputsDigest(files: readonly { path: string; size: number; sha512: string }[]): string {
  const sorted = files.map(({ path, size, sha512 }) => ({ path, size, sha512 })).sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
  return digestOf(sorted)
}
