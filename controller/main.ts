#!/usr/bin/env node
/** The `cratewright` command. */

import { argv, env, exitCode, stderr, stdout } from 'node:process'
import { disclosureCommand, signOffCommand } from './cli/approve.ts'
import { type Command, helpOf, type Io, readArguments } from './cli/command.ts'
import { explainCommand } from './cli/explain.ts'
import { getCommand } from './cli/get.ts'
import { keysCommand } from './cli/keys.ts'
import { planCommand } from './cli/plan.ts'
import { reconcileCommand } from './cli/reconcile.ts'
import { serveCommand } from './cli/serve.ts'
import { verifyCommand } from './cli/verify.ts'
import { asCratewrightError, CratewrightError, showWhere } from './runtime/errors.ts'

const commands: readonly Command[] = [
  planCommand,
  reconcileCommand,
  serveCommand,
  getCommand,
  explainCommand,
  signOffCommand,
  disclosureCommand,
  verifyCommand,
  keysCommand,
]

const usageErrors = new Set([
  'UsageInvalid',
  'ConfigInvalid',
  'KeyInvalid',
  'KeyEncrypted',
  'DocumentInvalid',
  'YamlInvalid',
])
const waitingErrors = new Set(['FolderHeld', 'HeldByOther'])

async function main(args: readonly string[], io: Io): Promise<number> {
  const [verb = 'help', ...rest] = args
  const command = commands.find(({ name }) => name === verb)
  if (verb === 'help' || verb === '--help' || verb === '-h') {
    const asked = commands.find(({ name }) => name === rest[0])
    io.out(asked ? helpOf(asked) : overview())
    return 0
  }
  if (!command) throw new CratewrightError('UsageInvalid', `there is no command ${JSON.stringify(verb)}`)
  const parsed = readArguments(command, rest)
  if (parsed.flag('help')) {
    io.out(helpOf(command))
    return 0
  }
  return command.run(parsed, io)
}

function overview(): string {
  const width = Math.max(...commands.map(({ name }) => name.length)) + 2
  return [
    'cratewright: merge a pull request; get a governed research environment, and sealed proof of how it came to be.',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`),
    '',
    'cratewright <command> --help says more. Exit codes: 0 done; 1 waiting or held; 2 invalid, or bad evidence; 3 failed.',
  ].join('\n')
}

const io: Io = {
  out: text => void stdout.write(`${text}\n`),
  err: text => void stderr.write(`${text}\n`),
  interactive: stderr.isTTY === true && env.NO_COLOR === undefined && env.CI === undefined,
  env,
}

try {
  const code = await main(argv.slice(2), io)
  process.exitCode = exitCode ?? code
} catch (error) {
  const { code, message, where, todo, cause } = asCratewrightError(error)
  io.err(`${where ? `${showWhere(where)}: ` : ''}${message} [${code}]`)
  io.err(`  ${todo}`)
  if (code === 'Internal' && env.CRATEWRIGHT_DEBUG) io.err(String((cause as Error)?.stack ?? cause))
  process.exitCode = usageErrors.has(code) ? 2 : waitingErrors.has(code) ? 1 : 3
}
