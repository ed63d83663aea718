/** Finds the verb, runs it, and turns whatever went wrong into words and an exit code. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { asCratewrightError, CratewrightError, showWhere } from '../runtime/errors.ts'
import { printable } from '../runtime/one-line.ts'
import { disclosureCommand, signOffCommand, withdrawCommand } from './approve.ts'
import { buildCommand } from './build.ts'
import { type Command, exit, helpOf, type Io, readArguments } from './command.ts'
import { completionCommand } from './completion.ts'
import { explainCommand } from './explain.ts'
import { getCommand } from './get.ts'
import { initiateCommand } from './initiate.ts'
import { keysCommand } from './keys.ts'
import { packageFolder } from './package-folder.ts'
import { phaseCommands } from './phases.ts'
import { planCommand } from './plan.ts'
import { reconcileCommand } from './reconcile.ts'
import { schemaCommand } from './schema.ts'
import { serveCommand } from './serve.ts'
import { freezeCommand, resumeCommand, suspendCommand } from './suspend.ts'
import { verifyCommand } from './verify.ts'

const commands: readonly Command[] = [
  initiateCommand,
  planCommand,
  reconcileCommand,
  serveCommand,
  getCommand,
  explainCommand,
  signOffCommand,
  disclosureCommand,
  withdrawCommand,
  ...phaseCommands,
  suspendCommand,
  resumeCommand,
  freezeCommand,
  buildCommand,
  verifyCommand,
  keysCommand,
  schemaCommand,
  completionCommand(() => commands),
]

const usageErrors = new Set([
  'UsageInvalid',
  'ConfigInvalid',
  'KeyInvalid',
  'KeyEncrypted',
  'KeyNotFound',
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
  if (verb === '--version' || verb === '-V') {
    io.out(version())
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

/** The nearest package.json is the package's own: compiled files lie below it too. */
function version(): string {
  const text = readFileSync(join(packageFolder('.', 'package.json'), 'package.json'), 'utf8')
  const { name, version } = JSON.parse(text) as { readonly name: string; readonly version: string }
  return `${name} ${version}`
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
export async function runCommand(argv: readonly string[], given: Io): Promise<number> {
  // Names in what is printed are other people's: none of them steers the reader's terminal.
  const io: Io = { ...given, out: text => given.out(printable(text)), err: text => given.err(printable(text)) }
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
