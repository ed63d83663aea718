/** Ready, Reconciling and Stalled, as kstatus reads them (sigs.k8s.io/cli-utils/pkg/kstatus). */

import type { StatusReport } from './kind.ts'

export interface Condition {
  readonly type: 'Ready' | 'Reconciling' | 'Stalled'
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
  /** When `status` last became what it is; RFC 3339, UTC. */
  readonly lastTransitionTime: string
}

/** The three conditions of a report; times move only when a status does, so that seeing the same again changes nothing. */
export function conditionsOf(report: StatusReport, previous: readonly Condition[], now: Date): readonly Condition[] {
  const make = (type: Condition['type'], holds: boolean, reason: string, message: string): Condition => {
    const status = holds ? 'True' : 'False'
    const before = previous.find(condition => condition.type === type)
    const lastTransitionTime = before?.status === status ? before.lastTransitionTime : now.toISOString()
    return { type, status, reason, message, lastTransitionTime }
  }
  const { ready, progressing, stalled, reason, message } = report
  return [
    make('Ready', ready, reason, message),
    make('Reconciling', progressing, progressing ? reason : 'Idle', progressing ? message : ''),
    make('Stalled', stalled, stalled ? reason : 'NotStalled', stalled ? message : ''),
  ]
}
