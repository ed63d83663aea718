/** `cratewright get`: what there is, and where it stands. */

import { type Command, commonOptions, exit } from './command.ts'
import { readStatuses, type StatusView } from './records-view.ts'
import { openSession } from './session.ts'

export const getCommand: Command = {
  name: 'get',
  summary: 'list requests (or all kinds) and where they stand',
  arguments: '[requests | all | <kind>] [<name>]',
  options: commonOptions,
  example: 'scripts/cratewright get --config .quickstart/cratewright.yaml',
  async run(args, io) {
    const [first = 'requests', second] = args.positionals
    // What is no kind is the name of a request: `get asthma-outcomes`.
    const [what, name] = kinds.has(plain(first)) ? [first, second] : ['requests', first]
    const statuses = (await readStatuses(await openSession(args, io, { quiet: true }), io)).filter(
      status => matches(status, what) && (name === undefined || status.name === name),
    )
    if (args.flag('json')) io.out(JSON.stringify(statuses, null, 2))
    else if (statuses.length === 0) io.err('Nothing found. Statuses appear once the controller has run.')
    else for (const line of table(statuses)) io.out(line)
    return exit.ok
  },
}

const kinds = new Set([
  'all',
  'request',
  'dataaccessrequest',
  'person',
  'repository',
  'approvergroup',
  'sourceconnection',
  'filestore',
  'freeze',
])

function plain(kind: string): string {
  return kind.toLowerCase().replace(/ies$/, 'y').replace(/s$/, '')
}

function matches({ kind }: StatusView, what: string): boolean {
  const wanted = plain(what)
  return wanted === 'all' || kind.toLowerCase() === wanted || (wanted === 'request' && kind === 'DataAccessRequest')
}

function table(statuses: readonly StatusView[]): string[] {
  const rows = [
    ['KIND', 'NAME', 'READY', 'PHASE', 'MESSAGE'],
    ...statuses.map(({ kind, name, conditions, detail }) => {
      const ready = conditions.find(({ type }) => type === 'Ready')
      return [kind, name, ready?.status ?? 'Unknown', detail.phase ?? '-', ready?.message ?? '']
    }),
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0))) ?? []
  return rows.map(row =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd((widths[column] ?? 0) + 2))).join(''),
  )
}
