/** Ctrl-C and `kill`: the first asks for an orderly end, the second ends at once. */

import type { Log } from './log.ts'

/** Aborts at the first SIGINT or SIGTERM. At the next one the process exits with 130. To be called once a process. */
export function onShutdown(log: Log): AbortSignal {
  const controller = new AbortController()
  function stop(signal: NodeJS.Signals): void {
    if (controller.signal.aborted) process.exit(130)
    log.info('stopping; a second signal stops at once', { signal })
    controller.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return controller.signal
}
