/** `cratewright completion`: a script for the shell, made from the table of commands, so that it knows what they know. */

import { CratewrightError } from '../runtime/errors.ts'
import { type Command, exit } from './command.ts'

const shells = ['bash', 'zsh', 'fish'] as const

/** `commands` is asked when it runs: this one is in the table itself. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    summary: 'print a script that completes commands and options in your shell',
    arguments: 'bash|zsh|fish',
    options: {},
    example: 'scripts/cratewright completion bash',
    run: async (args, io) => {
      const shell = shells.find(name => name === args.positionals[0])
      if (!shell)
        throw new CratewrightError('UsageInvalid', `write \`cratewright completion ${shells.join('|')}\``, {
          todo: 'For bash: source <(cratewright completion bash)',
        })
      io.out(scripts[shell](commands()))
      return exit.ok
    },
  }
}

const scripts = { bash, zsh, fish }

/** What can stand at the first place: `approve|reject <project>` has two words, `<project>` none that are known before. */
function firstWords({ arguments: shown }: Command): string[] {
  const [first = ''] = shown.match(/\[[^\]]*\]|\S+/g) ?? []
  if (/^<[^|]*>$/.test(first)) return []
  return first
    .replace(/^[[<]|[\]>]$/g, '')
    .split('|')
    .map(word => word.trim())
    .filter(word => /^[a-z-]+$/.test(word))
}

interface Flag {
  readonly name: string
  readonly help: string
  readonly takes: 'nothing' | 'path' | 'text'
  readonly values: readonly string[]
}

function flagsOf({ options }: Command): Flag[] {
  const own = Object.entries(options).map(([name, { type, value, values = [], help }]): Flag => {
    const takes = type === 'boolean' ? 'nothing' : value === '<path>' ? 'path' : 'text'
    return { name, help, takes, values }
  })
  return [...own, { name: 'help', help: 'say what the command does', takes: 'nothing', values: [] }]
}

/** Words that the table holds are our own; they are quoted all the same, since summaries hold quotes and more. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function wordsOf(command: Command): string {
  return [...firstWords(command), ...flagsOf(command).map(({ name }) => `--${name}`)].join(' ')
}

function bash(commands: readonly Command[]): string {
  const ofCommand = commands.map(command => `    ${command.name}) words=${quoted(wordsOf(command))} ;;`)
  const ofValue = commands.flatMap(command =>
    flagsOf(command).flatMap(({ name, takes, values }) => {
      if (takes === 'nothing') return []
      const answer =
        values.length > 0 ? `COMPREPLY=($(compgen -W ${quoted(values.join(' '))} -- "$current"))` : pathsOr(takes)
      return [`    ${quoted(`${command.name} --${name}`)}) ${answer}; return ;;`]
    }),
  )
  return `# Completion of cratewright for bash: source <(cratewright completion bash)
_cratewright() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" verb="\${COMP_WORDS[1]:-}" words='' path
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${quoted(`${commands.map(({ name }) => name).join(' ')} help`)} -- "$current"))
    return
  fi
  case "$verb $before" in
${ofValue.join('\n')}
  esac
  case "$verb" in
${ofCommand.join('\n')}
    help) words=${quoted(commands.map(({ name }) => name).join(' '))} ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -o bashdefault -F _cratewright cratewright`
}

function pathsOr(takes: Flag['takes']): string {
  return takes === 'path'
    ? 'while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen -f -- "$current")'
    : 'COMPREPLY=()'
}

function zsh(commands: readonly Command[]): string {
  const described = ({ name, summary }: Command) => quoted(`${name}:${summary}`)
  const argumentsOf = (command: Command) => {
    const words = firstWords(command)
    const flags = flagsOf(command).map(({ name, help, takes, values }) => {
      const label = `--${name}[${help.replace(/[[\]:\\]/g, ' ')}]`
      const action = values.length > 0 ? `(${values.join(' ')})` : takes === 'path' ? '_files' : ' '
      return quoted(takes === 'nothing' ? label : `${label}:value:${action}`)
    })
    const positional = words.length > 0 ? [quoted(`1:what:(${words.join(' ')})`)] : []
    return `    ${command.name}) _arguments ${[...flags, ...positional, quoted('*:name: ')].join(' ')} ;;`
  }
  return `#compdef cratewright
# Completion of cratewright for zsh: source <(cratewright completion zsh)
_cratewright() {
  local -a verbs
  verbs=(${commands.map(described).join(' ')})
  if (( CURRENT == 2 )); then
    _describe command verbs
    return
  fi
  local verb="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$verb" in
${commands.map(argumentsOf).join('\n')}
  esac
}
compdef _cratewright cratewright`
}

function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap(command => {
    const here = `complete -c cratewright -n '__fish_seen_subcommand_from ${command.name}'`
    return [
      `complete -c cratewright -n __fish_use_subcommand -f -a ${command.name} -d ${fishQuoted(command.summary)}`,
      ...firstWords(command).map(word => `${here} -f -a ${word}`),
      ...flagsOf(command).map(({ name, help, takes, values }) => {
        const value =
          takes === 'nothing'
            ? ''
            : takes === 'path'
              ? ' -r -F'
              : ` -x${values.length > 0 ? ` -a '${values.join(' ')}'` : ''}`
        return `${here} -l ${name}${value} -d ${fishQuoted(help)}`
      }),
    ]
  })
  return ['# Completion of cratewright for fish: cratewright completion fish | source', ...lines].join('\n')
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
