/** One records branch: which commits on it are trusted, and what lies on it. */

import type { GitRepository, Oid, TreeEntry } from '../git/repository.ts'
import { CratewrightError } from '../runtime/errors.ts'
import type { SshPublicKey } from '../runtime/ssh-key.ts'

export interface RecordsTrust {
  /** Keys that may sign commits on the branch; the controller's own among them. */
  readonly signers: readonly SshPublicKey[]
  /** The declared first commit. */
  readonly root: Oid | undefined
  /** A commit that an admin accepts as tip although it does not descend from the one last known. */
  readonly accept: Oid | undefined
}

/** Remembers across restarts where a branch was, so that a rewritten or shortened one is noticed. */
export interface TipMemory {
  read(): Promise<Oid | undefined>
  write(tip: Oid): Promise<void>
}

export class RecordsBranch {
  readonly repository: GitRepository
  readonly ref: string
  readonly #trust: RecordsTrust
  readonly #memory: TipMemory
  /** The newest commit whose whole history has been checked. */
  #good: Oid | undefined
  #remembered: Oid | undefined

  constructor(repository: GitRepository, ref: string, trust: RecordsTrust, memory: TipMemory) {
    this.repository = repository
    this.ref = ref
    this.#trust = trust
    this.#memory = memory
  }

  /** The tip at the server now, checked; undefined where the branch does not exist yet. */
  async tip(signal: AbortSignal): Promise<Oid | undefined> {
    const tip = await this.repository.resolve(this.ref, signal)
    if (tip !== undefined && tip !== this.#good) await this.repository.fetch(this.ref, tip, signal)
    await this.check(tip, signal)
    return tip
  }

  /**
   * Every commit from the last good one to `tip` must be signed by a declared signer, and the tip must descend from the one
   * last known. Errors: RecordForged, RecordsRewritten.
   */
  async check(tip: Oid | undefined, signal: AbortSignal): Promise<void> {
    this.#remembered ??= await this.#memory.read()
    const known = this.#good ?? this.#remembered
    if (tip === undefined) {
      // A root may be declared before the first run: only who has seen the branch can miss it.
      if (known === undefined) return
      throw new CratewrightError('RecordsRewritten', `${this.ref} is gone, and it was there before`)
    }
    if (tip === this.#good) return
    if (known !== undefined && known !== tip && !(await this.#descends(known, tip, signal))) {
      const { accept } = this.#trust
      if (accept !== tip) {
        throw new CratewrightError(
          'RecordsRewritten',
          `${this.ref} is at ${tip}, which does not descend from ${known}, the commit last known`,
        )
      }
    }
    const since = this.#good !== undefined && (await this.#descends(this.#good, tip, signal)) ? this.#good : undefined
    const commits = await this.repository.history({ tip, ...(since ? { since } : {}) }, signal)
    const signatures = await this.repository.signatures(
      commits.map(({ oid }) => oid),
      signal,
    )
    for (const [index, commit] of commits.entries()) {
      const reason = this.#defect(signatures[index])
      if (reason) throw new CratewrightError('RecordForged', `commit ${commit.oid} on ${this.ref} ${reason}`)
      if (commit.parents.length > 1)
        throw new CratewrightError(
          'RecordForged',
          `commit ${commit.oid} on ${this.ref} is a merge; the controller makes none`,
        )
    }
    const root = commits.at(-1)
    if (since === undefined && this.#trust.root !== undefined && root?.oid !== this.#trust.root) {
      throw new CratewrightError(
        'RecordsRewritten',
        `${this.ref} begins at ${root?.oid}, and records.root declares ${this.#trust.root}`,
      )
    }
    await this.#remember(tip)
  }

  async list(tip: Oid, folder: string, signal: AbortSignal): Promise<readonly TreeEntry[]> {
    return this.repository.list(tip, folder, signal)
  }

  async #remember(tip: Oid): Promise<void> {
    this.#good = tip
    if (this.#remembered === tip) return
    await this.#memory.write(tip)
    this.#remembered = tip
  }

  #defect(signature: Awaited<ReturnType<GitRepository['signatures']>>[number] | undefined): string | undefined {
    if (!signature || signature.state === 'none') return 'is not signed'
    if (signature.state === 'bad') return `has a bad signature (${signature.reason})`
    if (signature.state === 'unsupported') return `is signed with ${signature.format}, which no signer uses`
    const known = this.#trust.signers.some(({ fingerprint }) => fingerprint === signature.key.fingerprint)
    return known ? undefined : `is signed by ${signature.key.fingerprint}, which is no declared signer`
  }

  async #descends(ancestor: Oid, descendant: Oid, signal: AbortSignal): Promise<boolean> {
    if (ancestor === descendant) return true
    return this.repository.isAncestor(ancestor, descendant, signal).catch(error => {
      // A commit that the server no longer has cannot be an ancestor.
      if (error instanceof CratewrightError && error.code === 'GitObjectMissing') return false
      throw error
    })
  }
}
