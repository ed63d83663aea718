/** What a verb of the command line is, and what it writes to. */

import { parseArgs } from 'node:util'
import { CratewrightError } from '../runtime/errors.ts'

export interface Io {
  /** One line, or several, to standard output. */
  readonly out: (text: string) => void
  /** To standard error: progress, errors, advice. */
  readonly err: (text: string) => void
  /** Standard error is a terminal that a line can be rewritten on. */
  readonly interactive: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** Asks a person yes or no; absent where nobody can answer. */
  readonly ask?: (question: string) => Promise<boolean>
  /** Asks a person for a line of text; absent where nobody can answer. */
  readonly prompt?: (question: string) => Promise<string>
  /** Asks for a passphrase, which is not shown; absent where nobody can answer. Undefined: the person gave up. */
  readonly askSecret?: (question: string) => Promise<string | undefined>
  /** Aborted by Ctrl-C and `kill`. */
  readonly signal: AbortSignal
}

export interface Option {
  readonly type: 'string' | 'boolean'
  readonly multiple?: boolean
  /** What stands for the value in help: `<path>`. */
  readonly value?: string
  /** All values there are, for completion. */
  readonly values?: readonly string[]
  readonly help: string
}

export interface Command {
  readonly name: string
  readonly summary: string
  /** Positional arguments, as help shows them. */
  readonly arguments: string
  readonly options: Readonly<Record<string, Option>>
  /** A command line of the quickstart that shows it. */
  readonly example: string
  /** The exit code: 0; 1 not in the right phase, waiting or held; 2 invalid or bad evidence; 3 failed or could not check. */
  run(args: Arguments, io: Io): Promise<number>
}

export interface Arguments {
  readonly positionals: readonly string[]
  string(name: string): string | undefined
  strings(name: string): readonly string[]
  flag(name: string): boolean
}

export const exit = { ok: 0, waiting: 1, invalid: 2, failed: 3 } as const

export const commonOptions = {
  config: {
    type: 'string',
    value: '<path>',
    help: 'the bootstrap file (default: $CRATEWRIGHT_CONFIG, then ./cratewright.yaml)',
  },
  json: { type: 'boolean', help: 'one JSON document on standard output' },
} as const satisfies Record<string, Option>

/** @throws UsageInvalid */
export function readArguments(command: Command, argv: readonly string[]): Arguments {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, { type, multiple }]) => [
      name,
      { type, ...(multiple ? { multiple } : {}) },
    ]),
  )
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    })
    // `arguments` is what help shows: each word in brackets of its own, or bare, is one.
    const most = command.arguments.match(/\[[^\]]*\]|<[^>]*>|\S+/g)?.length ?? 0
    if (positionals.length > most) throw new Error(`the argument ${JSON.stringify(positionals[most])} is one too many`)
    const value = (name: string) => (values as Record<string, unknown>)[name]
    return {
      positionals,
      string: name => value(name) as string | undefined,
      strings: name => (value(name) as string[] | undefined) ?? [],
      flag: name => value(name) === true,
    }
  } catch (error) {
    throw new CratewrightError('UsageInvalid', (error as Error).message.split(/\n|\. /)[0] ?? '', {
      todo: `See \`cratewright ${command.name} --help\`.`,
    })
  }
}

export function helpOf(command: Command): string {
  const options = Object.entries(command.options).map(
    ([name, { value, help }]) => [`--${name}${value ? ` ${value}` : ''}`, help] as const,
  )
  const width = Math.max(0, ...options.map(([left]) => left.length)) + 2
  return [
    `cratewright ${command.name} ${command.arguments}`.trimEnd(),
    '',
    `  ${command.summary}`,
    '',
    ...options.map(([left, help]) => `  ${left.padEnd(width)}${help}`),
    '',
    `  Example:  ${command.example}`,
  ].join('\n')
}
