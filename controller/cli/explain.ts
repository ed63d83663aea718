/** `cratewright explain`: why a request is waiting, on whom, since when, and what to do. */

import { CratewrightError, showWhere } from '../runtime/errors.ts'
import { oneLine } from '../runtime/one-line.ts'
import { type Command, commonOptions, exit } from './command.ts'
import { readStatuses, type StatusView } from './records-view.ts'
import { openSession } from './session.ts'

export const explainCommand: Command = {
  name: 'explain',
  summary: 'say why a request is waiting, on whom, since when, and what to do',
  arguments: '<project>',
  options: commonOptions,
  example: 'scripts/cratewright explain asthma-outcomes --config .quickstart/cratewright.yaml',
  async run(args, io) {
    const [project] = args.positionals
    if (project === undefined) throw new CratewrightError('UsageInvalid', 'name the project')
    const statuses = await readStatuses(await openSession(args, io, { quiet: true }), io)
    const found = statuses.filter(({ kind, name }) => kind === 'DataAccessRequest' && name === project)
    if (args.flag('json')) io.out(JSON.stringify(found, null, 2))
    else for (const status of found) for (const line of explain(status)) io.out(line)
    if (found.length > 0) return exit.ok
    io.err(`Nothing is known of ${project}: it is not merged, or the controller has not looked yet.`)
    return exit.waiting
  },
}

export function explain(status: StatusView): string[] {
  const ready = status.conditions.find(({ type }) => type === 'Ready')
  const { detail, waits, next, later, problems } = status
  const errors = problems.filter(({ severity }) => severity === 'error')
  const lines = [
    `${status.name} is ${detail.phase ?? 'not looked at yet'} (release ${detail.release ?? 1}, generation ${detail.generation ?? 0}).`,
  ]
  if (ready?.status === 'True')
    lines.push(`  ${ready.message}${detail.release_location ? `: ${detail.release_location}` : ''}`)
  else lines.push(`  Not ready since ${ready?.lastTransitionTime ?? 'it was first seen'}.`)
  for (const line of detail.notes ?? []) lines.push(`Note: ${line}.`)
  for (const { reason, message, todo } of waits) {
    lines.push(`Waiting: ${message} [${reason}]`)
    if (todo) lines.push(`  To do: ${todo}`)
  }
  for (const step of next) lines.push(`Next: ${step}`)
  if (waits.length === 0 || errors.length === 0)
    for (const { where, message, todo } of errors)
      lines.push(`Wrong: ${where ? `${showWhere(where)}: ` : ''}${message}`, `  To do: ${todo}`)
  for (const { where, message } of problems.filter(({ severity }) => severity === 'warning'))
    lines.push(`Warning: ${where ? `${showWhere(where)}: ` : ''}${message}`)
  for (const { path, person, counts, reason } of detail.statements ?? []) {
    const who = person ? ` of ${person}` : ''
    lines.push(counts ? `Statement${who} counts: ${path}` : `Statement${who} does not count: ${path}`)
    if (!counts && reason) lines.push(`  Because ${reason}.`)
  }
  for (const step of later) lines.push(`Then: ${step}`)
  return lines.map(oneLine)
}
