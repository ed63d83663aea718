/**
 * The log that a records branch has about itself, in `log/` at its root: foreign commits that were taken back, keys that took
 * the place of others, rewritten branches that an admin accepted. One entry a commit, each naming the one before.
 */

import type { BranchEntry } from '../../schemas/generated/types.ts'
import { canonicalJson, sha256Hex } from '../runtime/canonical.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { formatPublicKey, parsePublicKey, type SshPrivateKey, type SshPublicKey } from '../runtime/ssh-key.ts'
import { signSsh, verifySsh } from '../runtime/sshsig.ts'
import { decodeCanonical, encodeEntry, genesis, latest } from './log.ts'

export type { BranchEntry }

/** The SSHSIG namespace of the new key's agreement to a rotation. */
const rotationNamespace = 'rotation@cratewright.dev'

/** Entries of one branch; more are an attack, or a fault that a person has to look at. */
export const maxBranchEntries = 10_000

export interface BranchHistory {
  readonly entries: readonly BranchEntry[]
  /** SHA-256 of the last entry's file; 64 zeros before the first. */
  readonly head: string
}

export const emptyBranchHistory: BranchHistory = { entries: [], head: genesis }

export type BranchDraft =
  | { readonly action: 'restore'; readonly restore: NonNullable<BranchEntry['restore']> }
  | { readonly action: 'rotate'; readonly rotate: NonNullable<BranchEntry['rotate']> }
  | { readonly action: 'accept'; readonly accept: NonNullable<BranchEntry['accept']> }

export interface BranchFrame {
  readonly time: Date
  readonly instance: string
  readonly actor: BranchEntry['actor']
}

export function branchEntryFile({ number, action }: Pick<BranchEntry, 'number' | 'action'>): string {
  return `${String(number).padStart(6, '0')}-${action}-noted.json`
}

/** The entry that a draft becomes, and its file. @throws RecordInvalid where nobody could read it again */
export function branchEntryOf(
  { entries, head }: BranchHistory,
  draft: BranchDraft,
  { time, instance, actor }: BranchFrame,
): { entry: BranchEntry; path: string; content: Uint8Array } {
  const entry: BranchEntry = {
    log: 'cratewright.dev/branch-log/v1',
    number: entries.length + 1,
    previous: head,
    time: latest(time.toISOString(), entries.at(-1)?.time),
    instance,
    actor,
    ...draft,
  }
  const content = encodeEntry(entry)
  const name = branchEntryFile(entry)
  const { reason } = decodeCanonical('BranchEntry', name, content, branchEntryFile)
  if (reason)
    throw new CratewrightError('RecordInvalid', `an entry is not written, for no one could read it: ${reason}`)
  return { entry, path: `log/${name}`, content }
}

/** Reads a `log/` folder; a reason where it is no such log. */
export function readBranchLog(files: ReadonlyMap<string, Uint8Array>): { history: BranchHistory; reason?: string } {
  const entries: BranchEntry[] = []
  let head = genesis
  const fail = (reason: string) => ({ history: { entries, head }, reason })
  if (files.size > maxBranchEntries) return fail(`log/ has more than ${maxBranchEntries} entries`)
  for (const name of [...files.keys()].sort()) {
    const content = files.get(name) ?? new Uint8Array()
    const { entry, reason } = decodeCanonical('BranchEntry', name, content, branchEntryFile)
    if (!entry) return fail(`log/${name}: ${reason}`)
    const last = entries.at(-1)
    if (entry.number !== entries.length + 1)
      return fail(`log/${name}: entry ${entries.length + 1} is missing before it`)
    if (entry.previous !== head) return fail(`log/${name}: names another entry as the one before it`)
    if (last && entry.time < last.time) return fail(`log/${name}: is older than the entry before it`)
    entries.push(entry)
    head = sha256Hex(content)
  }
  return { history: { entries, head } }
}

/** A rotation, with the new key's agreement: without it, whoever has a branch could make it look like ours. */
export function rotationTo(next: SshPrivateKey, old: SshPublicKey, head: string): NonNullable<BranchEntry['rotate']> {
  const proof = signSsh(next, rotationNamespace, matterOf(old.fingerprint, next.public.fingerprint, head))
  return { old: old.fingerprint, key: formatPublicKey(next.public).trim(), proof }
}

/** The new key; a reason where the entry does not prove that it agreed. */
export function rotatedKey({ rotate, previous }: BranchEntry): { key?: SshPublicKey; reason?: string } {
  if (!rotate) return { reason: 'names no keys' }
  try {
    const key = parsePublicKey(rotate.key)
    const signer = verifySsh(rotate.proof, rotationNamespace, matterOf(rotate.old, key.fingerprint, previous))
    return signer.fingerprint === key.fingerprint ? { key } : { reason: 'the new key did not agree to it' }
  } catch {
    return { reason: 'the new key did not agree to it' }
  }
}

function matterOf(old: string, next: string, previous: string): Uint8Array {
  return Buffer.from(canonicalJson({ old, new: next, previous }))
}
