#!/usr/bin/env node
/** The `cratewright` command. */

import { argv, env, stderr, stdout } from 'node:process'
import { runCommand } from './cli/run.ts'
import { silentLog } from './runtime/log.ts'
import { onShutdown } from './runtime/shutdown.ts'

process.exitCode = await runCommand(argv.slice(2), {
  out: text => void stdout.write(`${text}\n`),
  err: text => void stderr.write(`${text}\n`),
  interactive: stderr.isTTY === true && env.NO_COLOR === undefined && env.CI === undefined,
  env,
  signal: onShutdown(silentLog),
})
