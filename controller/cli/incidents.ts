/** What a Repository's status says of foreign commits that were taken back. */

import type { RecordsBranch } from '../records/branch.ts'
import type { ErrorCode } from '../runtime/errors.ts'

export interface RepositoryFinding {
  readonly code: ErrorCode
  readonly message: string
  readonly todo?: string
  readonly passing?: true
}

/** Milliseconds for which somebody is told. The branch's log and `verify` tell it for ever. */
const told = 14 * 24 * 3_600_000

/** The last time that foreign commits were taken back, unless it is long ago. */
export function recentIncident({ entries, ref }: RecordsBranch, now: Date): readonly RepositoryFinding[] {
  const last = entries.findLast(({ restore }) => restore !== undefined)
  if (!last?.restore || now.getTime() - Date.parse(last.time) > told) return []
  const { count, commits = [] } = last.restore
  const first = commits[0]
  const what = count === 1 ? `commit ${first?.commit}` : `${count} commits (${first?.commit} and others)`
  const message = `${what} on ${ref} did not come from the controller, and ${count === 1 ? 'was' : 'were'} taken back at ${last.time}: it ${first?.reason}`
  return [{ code: 'RecordForged', message, passing: true }]
}
