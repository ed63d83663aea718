/** Finds the verb, runs it, and turns whatever went wrong into words and an exit code. */

import { asCratewrightError, CratewrightError, showWhere } from '../runtime/errors.ts'
import { disclosureCommand, signOffCommand } from './approve.ts'
import { type Command, exit, helpOf, type Io, readArguments } from './command.ts'
import { explainCommand } from './explain.ts'
import { getCommand } from './get.ts'
import { keysCommand } from './keys.ts'
import { planCommand } from './plan.ts'
import { reconcileCommand } from './reconcile.ts'
import { serveCommand } from './serve.ts'
import { verifyCommand } from './verify.ts'

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
  'DocumentMissing',
  'StatementInvalid',
  'UnsafePath',
  'YamlInvalid',
])
const waitingErrors = new Set(['FolderHeld', 'HeldByOther'])

async function dispatch(args: readonly string[], io: Io): Promise<number> {
  const [verb = 'help', ...rest] = args
  if (verb === 'help' || verb === '--help' || verb === '-h') {
    io.out(rest[0] === undefined ? overview() : helpOf(commandOf(rest[0])))
    return 0
  }
  const command = commandOf(verb)
  const parsed = readArguments(command, rest)
  if (parsed.flag('help')) {
    io.out(helpOf(command))
    return 0
  }
  return command.run(parsed, io)
}

function commandOf(verb: string): Command {
  const command = commands.find(({ name }) => name === verb)
  if (!command) throw new CratewrightError('UsageInvalid', `there is no command ${JSON.stringify(verb)}`)
  return command
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

/** Runs one command line; never throws. */
export async function runCommand(argv: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(argv, io)
  } catch (error) {
    if (io.signal.aborted) return 130
    const { code, message, where, todo, cause } = asCratewrightError(error)
    io.err(`${where ? `${showWhere(where)}: ` : ''}${message} [${code}]`)
    io.err(`  ${todo}`)
    if (code === 'Internal' && io.env.CRATEWRIGHT_DEBUG) io.err(String((cause as Error)?.stack ?? cause))
    return usageErrors.has(code) ? exit.invalid : waitingErrors.has(code) ? exit.waiting : exit.failed
  }
}
