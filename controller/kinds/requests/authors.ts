/** Who wrote a request: the signers of the commits that changed it. A commit proven to nobody makes it unattributed. */

import type { CommitSignature, GitRepository, Oid } from '../../git/repository.ts'
import { addressDigest, addressesOf, type PersonInfo, personOfKey } from '../../records/statement.ts'
import { contentPaths } from './documents.ts'

export interface Authors {
  /** Names of persons. */
  readonly persons: readonly string[]
  /** E-mail addresses of `Co-authored-by` lines, and of authors who did not sign: they can bar a person from approving, and prove nothing. */
  readonly coAuthors: readonly string[]
  readonly unattributed: readonly { readonly commit: Oid; readonly reason: string }[]
}

/** Commits looked at; a request with more since its last approval has its oldest ones unattributed. */
const maxCommits = 2_000
/** Commits that are asked for at a time. */
const batch = 50

/** `since`: the commit whose content was approved last; only what came after it has an author who matters. */
export async function authorsOf(
  repository: GitRepository,
  tip: Oid,
  since: Oid | undefined,
  folder: string,
  persons: readonly PersonInfo[],
  signal: AbortSignal,
): Promise<Authors> {
  const paths = pathsIn(folder)
  const base =
    since !== undefined && (await repository.isAncestor(since, tip, signal).catch(() => false)) ? since : undefined
  const commits = await repository.history(
    { tip, paths, limit: maxCommits + 1, ...(base ? { since: base } : {}) },
    signal,
  )
  const changing = []
  for (const commit of commits) {
    if (commit.parents.length < 2 || (await changesAnything(repository, commit, paths, signal))) changing.push(commit)
  }
  const signatures = await repository.signatures(
    changing.map(({ oid }) => oid),
    signal,
  )
  const names = new Set<string>()
  const coAuthors = new Set<string>()
  const unattributed: { commit: Oid; reason: string }[] = []
  for (const [index, commit] of changing.entries()) {
    for (const email of commit.coAuthors) coAuthors.add(email.toLowerCase())
    const signature = signatures[index] ?? { state: 'none' as const }
    const person = signature.state === 'good' ? personOfKey(signature.key, persons) : undefined
    // A squash, a rebase, a cherry-pick: who signs it is not who wrote it.
    if (!person || !addressesOf(person).has(addressDigest(commit.author.email)))
      coAuthors.add(commit.author.email.toLowerCase())
    if (person) names.add(person.name)
    else unattributed.push({ commit: commit.oid, reason: whyUnknown(signature) })
  }
  if (commits.length > maxCommits)
    unattributed.push({ commit: commits.at(-1)?.oid ?? tip, reason: `is one of more than ${maxCommits}` })
  const matter = unattributed.length > 0 ? await afterLastAbsence(repository, tip, base, paths, signal) : undefined
  return {
    persons: [...names].sort(),
    coAuthors: [...coAuthors].sort(),
    unattributed: matter ? unattributed.filter(({ commit }) => matter.has(commit)) : unattributed,
  }
}

/**
 * Commits since the request was last not there at all; undefined: it always was. Whoever added it again wrote all of it and
 * answers for it: that is how a request heals whose commits cannot be told.
 */
async function afterLastAbsence(
  repository: GitRepository,
  tip: Oid,
  base: Oid | undefined,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlySet<Oid> | undefined> {
  const absent = await lastAbsent(repository, tip, base, paths, signal)
  if (absent === undefined) return undefined
  const commits = await repository.history({ tip, since: absent, paths, limit: maxCommits + 1 }, signal)
  return new Set(commits.map(({ oid }) => oid))
}

/** The newest commit of the watched line in which the request was not there. */
async function lastAbsent(
  repository: GitRepository,
  tip: Oid,
  since: Oid | undefined,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Oid | undefined> {
  const line = await repository.history(
    { tip, paths, firstParent: true, limit: maxCommits, ...(since ? { since } : {}) },
    signal,
  )
  // The tip has the request; of the others, few remove it.
  for (let at = 0; at < line.length; at += batch) {
    const some = line.slice(at, at + batch)
    const ids = await repository.ids(
      some.flatMap(({ oid }) => paths.map(path => ({ commit: oid, path }))),
      signal,
    )
    const index = some.findIndex((_, nth) => paths.every((_path, path) => ids[nth * paths.length + path] === undefined))
    if (index >= 0) return some[index]?.oid
  }
  return undefined
}

export function pathsIn(folder: string): string[] {
  return contentPaths.map(path => (folder === '' ? path : `${folder}/${path}`))
}

/**
 * A merge that does what any merge would do brings nothing of its own, whoever made it: each document is that of the side
 * which changed it since the two sides parted. Anything else, an old content brought back as well, is its maker's doing.
 */
async function changesAnything(
  repository: GitRepository,
  commit: { oid: Oid; parents: readonly Oid[] },
  paths: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const [ours, theirs, third] = commit.parents
  if (ours === undefined || theirs === undefined || third !== undefined) return true
  const base = await repository.mergeBase(ours, theirs, signal)
  const sides = [commit.oid, ours, theirs, ...(base === undefined ? [] : [base])]
  const ids = await repository.ids(
    sides.flatMap(oid => paths.map(path => ({ commit: oid, path }))),
    signal,
  )
  return paths.some((_, index) => {
    const [merged, mine, other, before] = [0, 1, 2, 3].map(side => ids[side * paths.length + index])
    const expected = mine === other || other === before ? mine : mine === before ? other : undefined
    const known = mine === other || other === before || mine === before
    return !known || merged !== expected
  })
}

function whyUnknown(signature: CommitSignature): string {
  switch (signature.state) {
    case 'none':
      return 'is not signed'
    case 'bad':
      return `has a bad signature (${signature.reason})`
    case 'unsupported':
      return `is signed with ${signature.format}; use an SSH key`
    case 'good':
      return `is signed by a key that belongs to nobody registered (${signature.key.fingerprint})`
  }
}
