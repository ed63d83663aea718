#!/usr/bin/env node
/** The `cratewright` command. */

import { argv, env, stderr, stdin, stdout } from 'node:process'
import { createInterface } from 'node:readline/promises'
import { runCommand } from './cli/run.ts'
import { silentLog } from './runtime/log.ts'
import { onShutdown } from './runtime/shutdown.ts'

const signal = onShutdown(silentLog)

async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: stdin, output: stderr })
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal })).trim())
  } finally {
    lines.close()
  }
}

process.exitCode = await runCommand(argv.slice(2), {
  out: text => void stdout.write(`${text}\n`),
  err: text => void stderr.write(`${text}\n`),
  interactive: stderr.isTTY === true && env.NO_COLOR === undefined && env.CI === undefined,
  ...(stdin.isTTY === true ? { ask } : {}),
  env,
  signal,
})
