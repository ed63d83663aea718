/** Time, handed in: what decides by it can be tested at any time. */

import { setTimeout } from 'node:timers/promises'

export interface Clock {
  now(): Date
}

export const systemClock: Clock = { now: () => new Date() }

/** Above this, Node waits 1 ms instead (2^31 − 1 ms, 24.8 days). */
const longestMs = 2_147_483_647

/**
 * Waits `ms` milliseconds, at most 24.8 days: who waits for longer looks at the clock again. Does not keep the process alive.
 * @throws the signal's reason, at once when it aborts
 */
export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(Math.min(ms, longestMs), undefined, { ref: false, signal })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}
