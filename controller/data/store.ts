/** Where releases go: the one interface behind which directory stores (and later Azure Blob, S3) live. */

/** One release of one project. Both names are checked by the store before they become part of a path. */
export interface ReleaseKey {
  readonly project: string
  readonly release: number
}

export interface StoredFile {
  /** Relative to the release's root, `/`-separated. */
  readonly path: string
  readonly size: number
  readonly sha512: string
}

/**
 * Staging holds `<project>/<release>/`, the future bag, and beside it `<project>/<release>.review/` (what approvers read) and
 * `<project>/<release>.work/` (what finished datasets remember). Production holds `<project>/<release>/`, whole or not at all.
 * Errors: StoreFailed (retryable, with the errno), UnsafePath, StorePathTaken.
 */
export interface FileStore {
  /** Takes the project's folders for `owner`, or finds them taken by it. @throws StorePathTaken where they are another's */
  claim(project: string, owner: string): Promise<void>

  /** The absolute path in staging for a file to be written by an extraction; its folder exists afterwards. `path` is confined. */
  prepare(key: ReleaseKey, path: string): Promise<string>

  /** Writes a small file whole (temporary name, fsync, rename, fsync of the folder). */
  write(key: ReleaseKey, area: 'bag' | 'review' | 'work', path: string, content: Uint8Array): Promise<void>

  /** Reads a small file of staging; undefined where absent. */
  read(key: ReleaseKey, area: 'bag' | 'review' | 'work', path: string): Promise<Uint8Array | undefined>

  /** Regular files of a bag, with sizes, sorted by the bytes of the path. Anything that is not a regular file is UnsafePath. */
  list(key: ReleaseKey, where: 'staging' | 'production'): Promise<readonly { path: string; size: number }[] | undefined>

  /** SHA-512 of the files named, read whole and streamed. */
  hash(
    key: ReleaseKey,
    where: 'staging' | 'production',
    paths: readonly string[],
    signal: AbortSignal,
    onProgress?: (bytes: number) => void,
  ): Promise<readonly StoredFile[]>

  /** Moves the staged bag to production: atomic. Doing it twice is doing it once; another release's folder there is StorePathTaken. */
  publish(key: ReleaseKey, manifestSha512: string, signal: AbortSignal): Promise<void>

  /** Removes everything staged for this release. */
  discard(key: ReleaseKey): Promise<void>

  /**
   * Takes a release out of production, to where only the controller reads (`.revoked/`, mode 0700): one rename. Whatever it
   * holds by now goes; doing it twice is doing it once. False: it is neither in production nor was it taken away.
   */
  revoke(key: ReleaseKey): Promise<boolean>

  /** Removes what was revoked of this release for good. @throws StoreFailed where nothing of the project was ever revoked here */
  destroy(key: ReleaseKey): Promise<void>

  /** A small file of the controller's own in staging (`.cratewright/`), which belongs to no release; undefined where absent. */
  readNote(path: string): Promise<Uint8Array | undefined>

  /** Writes one whole. */
  writeNote(path: string, content: Uint8Array): Promise<void>

  /** Where people find the release, for the log and status. */
  location(key: ReleaseKey, where: 'staging' | 'production'): string
}
