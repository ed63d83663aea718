/** The one interface behind which Git engines live. Trees are read at a commit, never checked out. */

import type { SshPublicKey } from '../runtime/ssh-key.ts'

/** 40 hex digits (SHA-1 repositories) or 64 (SHA-256). */
export type Oid = string

export interface TreeEntry {
  /** Relative to the repository's root, `/`-separated. Refuse names with U+FFFD: bytes that are not UTF-8 become U+FFFD and `%XX`. */
  readonly path: string
  /** Git's file mode: 100644 and 100755 are regular files; 120000 a symlink; 160000 a submodule; 040000 a folder. */
  readonly mode: string
  readonly oid: Oid
}

/** A commit as its author wrote it. Nothing in it is proof of anything until `signer` of `signature()` is matched to a person. */
export interface Commit {
  readonly oid: Oid
  readonly tree: Oid
  readonly parents: readonly Oid[]
  readonly author: { readonly name: string; readonly email: string }
  /** Committer time, seconds since 1970. Written by whoever made the commit: decides nothing. */
  readonly time: number
  readonly message: string
  /** E-mail addresses of `Co-authored-by` lines. */
  readonly coAuthors: readonly string[]
}

export type CommitSignature =
  | { readonly state: 'none' }
  | { readonly state: 'unsupported'; readonly format: 'openpgp' | 'x509' | 'unknown' }
  | { readonly state: 'bad'; readonly reason: string }
  /** The signature is right for this key; whose key it is, and whether it counts, is for the caller to say. */
  | { readonly state: 'good'; readonly key: SshPublicKey }

/** One file of a change; `undefined` removes it. */
export type FileChange = { readonly path: string; readonly content: Uint8Array | undefined }

/** What must hold on the tip that a change lands on; else the change alone is dropped and reported as `LogMoved`. */
export type Precondition =
  | { readonly path: string; readonly absent: true }
  | { readonly path: string; readonly sha256: string }

export interface Change {
  readonly files: readonly FileChange[]
  readonly preconditions: readonly Precondition[]
  /** One line, imperative; the batch's commit message lists them. */
  readonly message: string
  /** The commit's time is the latest of its changes'. From the log, so that the same change makes the same commit. */
  readonly time: Date
}

export interface CommitIdentity {
  readonly name: string
  readonly email: string
}

/** Signs the bytes of a commit without signature; returns an armored SSHSIG (namespace `git`). */
export type CommitSigner = (payload: Uint8Array) => string

/**
 * One remote repository, seen through a local bare mirror. Every method takes a signal and honours it within a second.
 * Errors: GitNotFound, GitUnreachable, GitDenied, GitFailed, GitObjectMissing, TreeTooLarge, and UnsafePath for a path
 * that cannot be one; messages hold no credential.
 */
export interface GitRepository {
  readonly url: string

  /** The commit a full ref (`refs/heads/…`) points to at the server now (protocol v2 ls-refs with that prefix); undefined if absent. */
  resolve(ref: string, signal: AbortSignal): Promise<Oid | undefined>

  /** Makes the commit `oid`, its history and trees available locally (blobs come when read). No-op when already here. */
  fetch(ref: string, oid: Oid, signal: AbortSignal): Promise<void>

  /** All non-folder entries below `path` ('' = root) at a commit, sorted by the bytes of the path. */
  list(commit: Oid, path: string, signal: AbortSignal): Promise<readonly TreeEntry[]>

  /** What lies directly in a folder, folders too, in the order of the tree; of what is no folder its own entry; nothing where absent. */
  entries(commit: Oid, path: string, signal: AbortSignal): Promise<readonly TreeEntry[]>

  /** Object ids of paths (files or folders) at a commit; undefined where absent, or there twice in one tree. Order as asked. */
  ids(at: readonly { commit: Oid; path: string }[], signal: AbortSignal): Promise<readonly (Oid | undefined)[]>

  /** Makes blobs available locally, missing ones fetched in one round trip: for who will read many of them one by one. */
  prefetch(blobs: readonly Oid[], maxBytes: number, signal: AbortSignal): Promise<void>

  /** Contents of blobs by id, missing ones fetched in one round trip. Fails with DocumentTooLarge above `maxBytes` a blob. */
  read(blobs: readonly Oid[], maxBytes: number, signal: AbortSignal): Promise<ReadonlyMap<Oid, Uint8Array>>

  /**
   * Commits reachable from `tip` and not from `since`, newest first, in topological order. With `paths`, those that are
   * not TREESAME on these literal paths (`--full-history`); with `firstParent`, only the ref's own line.
   */
  history(
    query: {
      readonly tip: Oid
      readonly since?: Oid
      readonly paths?: readonly string[]
      readonly firstParent?: boolean
      readonly limit?: number
    },
    signal: AbortSignal,
  ): Promise<readonly Commit[]>

  /** Paths of files that differ between two commits, sorted by their bytes; of one that was renamed both. */
  changed(from: Oid, to: Oid, signal: AbortSignal): Promise<readonly string[]>

  /**
   * What commits of `history({ tip, since })` did to files against their parent, for those that did it: which they added, or
   * which they altered (changed, removed, made a link of). `globs` as in gitglossary(7); they begin with a folder's name.
   * Merges are left out.
   */
  touched(
    query: {
      readonly tip: Oid
      readonly since?: Oid
      readonly globs: readonly string[]
      readonly how: 'added' | 'altered'
    },
    signal: AbortSignal,
  ): Promise<ReadonlyMap<Oid, readonly string[]>>

  /** The best common ancestor; undefined where there is none. */
  mergeBase(a: Oid, b: Oid, signal: AbortSignal): Promise<Oid | undefined>

  isAncestor(ancestor: Oid, descendant: Oid, signal: AbortSignal): Promise<boolean>

  /** Signatures of commits, checked in process. Order as asked. */
  signatures(commits: readonly Oid[], signal: AbortSignal): Promise<readonly CommitSignature[]>

  /**
   * Makes a signed commit of `files` on top of `parent` (undefined: a root commit) in the local mirror, and returns its id;
   * returns `parent` itself when the tree would not change. With `base`, `files` change the tree of that commit instead of the
   * parent's: how a commit takes back what lies between the two. Deterministic: same input, same id. UnsafePath where a file
   * would take the place of a folder, or a folder of a file, that is not removed by the same input.
   */
  commit(
    input: {
      readonly parent: Oid | undefined
      readonly base?: Oid
      readonly files: readonly FileChange[]
      readonly message: string
      readonly time: Date
      readonly identity: CommitIdentity
      readonly sign: CommitSigner
    },
    signal: AbortSignal,
  ): Promise<Oid>

  /**
   * Moves `ref` at the server from `expected` (undefined: must not exist) to `next`: compare-and-swap, never a plain force.
   * 'moved' when the ref was not at `expected`. Errors: WriteBackBlocked (no right, protected branch, hook), GitUnreachable.
   */
  push(ref: string, expected: Oid | undefined, next: Oid, signal: AbortSignal): Promise<'pushed' | 'moved'>
}
