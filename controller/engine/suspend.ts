/** Holding back what is planned: a suspended or frozen resource is observed and reported, and nothing new is begun for it. Pure. */

import type { Plan, PlanStep, StatusReport } from './kind.ts'

/** On a manifest's metadata: why an admin suspended the resource. */
export const suspendAnnotation = 'cratewright.dev/suspend'

/** Why nothing new is begun. */
export interface Suspension {
  readonly reason: 'Suspended' | 'Frozen'
  /** Who, why and since when, as one sentence. */
  readonly message: string
  readonly todo: string
}

/**
 * What of a plan is done although the resource is suspended: what takes access away, and the step that was begun, which is not
 * left half done. The rest stays visible in the status and is planned again when the suspension ends.
 */
export function heldBack(plan: Plan, { reason, message, todo }: Suspension, begun: (step: PlanStep) => boolean): Plan {
  const steps = plan.steps.filter(step => step.removesAccess || begun(step))
  return { ...plan, steps, waits: [{ reason, message, todo }, ...plan.waits] }
}

/** What was ready stays so, as long as nothing waits to be done for it. */
export function heldReport(
  report: StatusReport,
  { reason, message }: Suspension,
  { planned, done }: { readonly planned: Plan; readonly done: Plan },
): StatusReport {
  const nothingHeld = planned.steps.length === done.steps.length
  return {
    ...report,
    ready: report.ready && nothingHeld,
    progressing: done.steps.length > 0,
    stalled: false,
    reason,
    message,
  }
}
