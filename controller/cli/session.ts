/** One run of the controller for a command: wired, held, looked at once, and let go again whatever happens. */

import { createLog, type Log } from '../runtime/log.ts'
import { Redactor } from '../runtime/secrets.ts'
import { type Bootstrap, configPath, readBootstrap } from './bootstrap.ts'
import type { Arguments, Io } from './command.ts'

export interface Session {
  readonly bootstrap: Bootstrap
  readonly redactor: Redactor
  readonly log: Log
}

/** `quiet`: commands show what matters themselves, and log only what goes wrong. */
export async function openSession(args: Arguments, io: Io, { quiet }: { quiet: boolean }): Promise<Session> {
  const bootstrap = await readBootstrap(configPath(args.string('config'), io.env))
  const redactor = new Redactor()
  const log = createLog({
    level: quiet ? 'error' : (bootstrap.log?.level ?? 'info'),
    format: bootstrap.log?.format ?? 'json',
    redactor,
  })
  return { bootstrap, redactor, log }
}
