/** What can be said of a bag. */

import type { PathDefect } from './bag-path.ts'

export type BagProblemCode =
  | PathDefect
  // bagit.txt
  | 'DeclarationMissing'
  | 'DeclarationMarked'
  | 'DeclarationInvalid'
  | 'VersionInvalid'
  | 'VersionUnsupported'
  | 'EncodingUnsupported'
  // tag files as such
  | 'TagFileTooLarge'
  | 'TagFileNotText'
  | 'TagFileMissing'
  | 'TagFileCorrupt'
  // manifests and fetch.txt
  | 'ManifestMissing'
  | 'ManifestRepeated'
  | 'AlgorithmUnsupported'
  | 'ManifestLineInvalid'
  | 'ChecksumInvalid'
  | 'PathOutOfScope'
  | 'PathRepeated'
  | 'PathRepeatedDifferently'
  | 'FetchLineInvalid'
  | 'FetchUnlisted'
  // payload
  | 'FileNotRegular'
  | 'PayloadMissing'
  | 'PayloadNotFetched'
  | 'PayloadUnlisted'
  | 'PayloadCorrupt'
  | 'PayloadSizeDiffers'
  | 'TooManyFiles'
  | 'BagChanged'
  // bag-info.txt
  | 'InfoLineInvalid'
  | 'OxumInvalid'
  | 'OxumRepeated'
  | 'OxumDiffers'
  | 'OxumUnchecked'
  // warnings only
  | 'NamesCollide'
  | 'NameNormalizedDifferently'
  | 'PercentNotEncoded'
  | 'PathDotted'
  | 'PathMarked'
  | 'SystemFile'

export interface BagProblem {
  readonly code: BagProblemCode
  readonly severity: 'error' | 'warning'
  /** Free of control characters. */
  readonly path?: string
  readonly message: string
}

/** What makes a bag incomplete, beyond being wrong (RFC 8493 §3). */
export const incompleteness: readonly BagProblemCode[] = [
  'DeclarationMissing',
  'ManifestMissing',
  'TagFileMissing',
  'PayloadMissing',
  'PayloadNotFetched',
  'PayloadUnlisted',
]

export interface BagVerdict {
  /** Nothing is wrong with what is there; with `allowFetch` files may be absent that fetch.txt and the manifests list. */
  readonly valid: boolean
  /** Every file that the manifests list is there (RFC 8493 §3). */
  readonly complete: boolean
  /** At most 1000 of each. */
  readonly problems: readonly BagProblem[]
  readonly warnings: readonly BagProblem[]
}
