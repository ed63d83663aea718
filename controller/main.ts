#!/usr/bin/env node
/** The `cratewright` command. */

import { argv, env, stderr, stdin, stdout } from 'node:process'
import { createInterface } from 'node:readline/promises'
import { runCommand } from './cli/run.ts'
import { askSecret } from './cli/terminal.ts'
import { silentLog } from './runtime/log.ts'
import { onShutdown } from './runtime/shutdown.ts'

const signal = onShutdown(silentLog)

async function prompt(question: string): Promise<string> {
  const lines = createInterface({ input: stdin, output: stderr })
  try {
    return await lines.question(question, { signal })
  } finally {
    lines.close()
  }
}

async function ask(question: string): Promise<boolean> {
  return /^y(es)?$/i.test((await prompt(`${question} [y/N] `)).trim())
}

process.exitCode = await runCommand(argv.slice(2), {
  out: text => void stdout.write(`${text}\n`),
  err: text => void stderr.write(`${text}\n`),
  interactive: stderr.isTTY === true && env.NO_COLOR === undefined && env.CI === undefined,
  ...(stdin.isTTY === true ? { ask, prompt, askSecret: question => askSecret(question, stdin, stderr, signal) } : {}),
  env,
  signal,
})
