/** Who commits records, and the first commit of every records branch: the same for the same key, on every machine. */

import { createHash } from 'node:crypto'
import { makeCommit } from '../git/commit-object.ts'
import type { CommitIdentity, CommitSigner, Oid } from '../git/repository.ts'

export const recordsIdentity: CommitIdentity = { name: 'Cratewright', email: 'controller@cratewright.dev' }

export const recordsRoot = { message: 'Begin the records\n', time: new Date(0) } as const

/** Git's empty tree (SHA-1). */
const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'

/** The commit that `records.root` declares before the branch exists. */
export function rootCommit(sign: CommitSigner): Oid {
  const bytes = makeCommit({ tree: emptyTree, parent: undefined, identity: recordsIdentity, sign, ...recordsRoot })
  return createHash('sha1').update(`commit ${bytes.length}\0`).update(bytes).digest('hex')
}
