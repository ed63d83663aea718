/** What is remembered of a records branch outside Git, so that one that was set back or rewritten is noticed. */

import type { Oid } from '../git/repository.ts'

export interface Remembered {
  /** The newest commit that was known to count. */
  readonly tip: Oid
  /** The commit that an admin named last in `records.accept`, once it has been used. */
  readonly accepted?: Oid
  /** What the history of `tip` was checked against, as a digest. */
  readonly trust?: string
}

export interface RecordsMemory {
  /** `own`: of this working folder, whose word is that all before the tip was checked. `others`: of places others write to. */
  read(): Promise<{ readonly own: Remembered | undefined; readonly others: readonly Remembered[] }>
  /** Everywhere. Fails only where the own folder cannot be written. */
  write(remembered: Remembered): Promise<void>
}

/** Who only looks remembers nothing: what it has not seen before it cannot miss. */
export const noRecordsMemory: RecordsMemory = {
  read: async () => ({ own: undefined, others: [] }),
  write: async () => {},
}
