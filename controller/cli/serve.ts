/** `cratewright serve`: watches and reconciles until it is told to stop. */

import { requestType } from '../kinds/requests/reader.ts'
import { type Command, commonOptions, exit } from './command.ts'
import { holdFolder } from './hold.ts'
import { openSession } from './session.ts'
import { type Wired, wire } from './wire.ts'

/** Milliseconds after which everything is looked at again, whether or not something seems to have changed. */
const resync = 10 * 60_000
/** Forges ask for at most six pushes a minute and repository; what someone waits for does not wait for this. */
const pushInterval = 10_000

export const serveCommand: Command = {
  name: 'serve',
  summary: 'watch the repositories and reconcile, until told to stop',
  arguments: '',
  options: { config: commonOptions.config },
  example: 'scripts/cratewright serve --config .quickstart/cratewright.yaml',
  async run(args, io) {
    const { bootstrap, redactor, log } = await openSession(args, io, { quiet: false })
    let look = () => {}
    const hold = await holdFolder(bootstrap.folder, () => look())
    const { signal } = io
    const wired = await wire(bootstrap, { log, redactor, signal, resync, pushInterval })
    look = () => void lookAsAsked(wired)
    log.info('serving', { folder: bootstrap.folder })
    // The server and the timers do not hold the process; this does, until the signal.
    const alive = setInterval(() => {}, 60_000)
    try {
      await wired.controller.lookNow()
      wired.controller.watch()
      await new Promise<void>(resolve =>
        signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true }),
      )
    } finally {
      clearInterval(alive)
      await wired.close()
      await hold.release()
      log.info('stopped')
    }
    return exit.ok
  },
}

/** A person asked: what only waits for that is tried again too. */
async function lookAsAsked({ controller, store }: Wired): Promise<void> {
  await controller.lookNow()
  for (const key of store.keys()) if (key.includes(`/${requestType.kind}/`)) controller.add(key, 'asked')
}
