/** `cratewright reconcile`: does what is due now, and says where each request stands. */

import type { StoredStatus } from '../engine/store/store.ts'
import { requestType } from '../kinds/requests/reader.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { type Arguments, type Command, commonOptions, exit, type Io } from './command.ts'
import { askToLook, holdFolder } from './hold.ts'
import { ProgressLine } from './progress.ts'
import { openSession } from './session.ts'
import { type Wired, wire } from './wire.ts'

export const lifeActions = ['create', 'validate', 'sign-off', 'stage-transfer', 'disclosure', 'publish'] as const

/** Tries of one failing request before the command gives up; `serve` never does. */
const maxRetries = 4

export const reconcileCommand: Command = {
  name: 'reconcile',
  summary: 'do what is due now for one request or all, and say where they stand',
  arguments: '[<project>]',
  options: {
    ...commonOptions,
    until: { type: 'string', value: '<phase>', values: lifeActions, help: `stop after ${lifeActions.join(', ')}` },
    once: { type: 'boolean', help: 'do not try again what fails' },
    'take-over': { type: 'boolean', help: 'go on with a step that another controller began, which is gone for good' },
  },
  example: 'scripts/cratewright reconcile asthma-outcomes --config .quickstart/cratewright.yaml',
  async run(args, io) {
    const [project] = args.positionals
    const until = args.string('until')
    if (until !== undefined && !(lifeActions as readonly string[]).includes(until)) {
      throw new CratewrightError(
        'UsageInvalid',
        `--until takes one of ${lifeActions.join(', ')}, not ${JSON.stringify(until)}`,
      )
    }
    const takeOver = args.flag('take-over')
    if (takeOver && io.ask && !(await io.ask(takeOverQuestion))) return exit.waiting
    return reconcileUntil({ project, until, takeOver }, args, io)
  },
}

const takeOverQuestion =
  'Two controllers that both go on with one step can do it twice. Is the other controller, or its working folder, gone for good?'

export interface ReconcileWish {
  /** Undefined: all requests. */
  readonly project: string | undefined
  readonly until: string | undefined
  /** What may be done for it; undefined: whatever is due. */
  readonly actions?: ReadonlySet<string>
  /** Open steps of another controller are taken over. */
  readonly takeOver?: boolean
}

/** One run for a command: what is due is done, and the exit code says whether the phase was reached. */
export async function reconcileUntil(
  { project, until, actions, takeOver = false }: ReconcileWish,
  args: Arguments,
  io: Io,
): Promise<number> {
  const { bootstrap, redactor, log } = await openSession(args, io, { quiet: true })
  const hold = await holdFolder(bootstrap.folder).catch(async error => {
    const asked = actions === undefined && (await askToLook(bootstrap.folder).catch(() => false))
    if (asked) io.err('`cratewright serve` holds the working folder; it was asked to look now.')
    throw error
  })
  const { signal } = io
  const progress = new ProgressLine(io)
  const wired = await wire(bootstrap, {
    log,
    redactor,
    signal,
    resync: 0,
    pushInterval: 0,
    ...(args.flag('once') ? { maxRetries: 0 } : { maxRetries }),
    only: key => project === undefined || !key.includes(`/${requestType.kind}/`) || key.endsWith(`/${project}`),
    stopAfter: ({ type, name }, step) =>
      until !== undefined &&
      step.action === until &&
      type.kind === requestType.kind &&
      (project === undefined || name === project),
    takesOver: ({ name }) => takeOver && (project === undefined || name === project),
    ...(actions ? { stopBefore: ({ type }, step) => type.kind === requestType.kind && !actions.has(step.action) } : {}),
    onProgress: (key, state) => progress.show(key.split('/').at(-1) ?? key, state),
  })
  try {
    await wired.controller.lookNow()
    if (wired.platform.problem && wired.platform.commit === undefined) throw wired.platform.problem
    for (const key of requestKeys(wired, project)) wired.controller.add(key, 'asked')
    await wired.controller.settled({ retries: !args.flag('once') })
    progress.end()
    if (signal.aborted) return 130
    const keys = requestKeys(wired, project)
    const [unread] = [...wired.controller.sources.values()].flatMap(({ problem }) => problem ?? [])
    // What could not be looked at may hold the request, and others.
    if (unread && (project === undefined || keys.length === 0)) throw unread
    if (project !== undefined && keys.length === 0) {
      throw new CratewrightError('DocumentMissing', `no request ${project} is on the watched branch`, {
        todo: 'Check the name, and that it is merged.',
      })
    }
    const code = report(wired, keys, until, args.flag('json'), io)
    return actions === undefined ? code : phaseCode(wired.store.status(keys[0] ?? ''), until ?? '', code, io)
  } finally {
    progress.end()
    await wired.close()
    await hold.release()
  }
}

/** A command that is named after a phase has either reached it, or says which one is missing. */
function phaseCode(status: StoredStatus | undefined, until: string, code: number, io: Io): number {
  if (status && reached(status, until)) return exit.ok
  const { phase } = summaryOf(status)
  const needed = phaseBefore[until]
  if (needed !== undefined && order.indexOf(phase) < order.indexOf(needed)) {
    io.err(`${until} was not done: the request is ${phase}, and has to be ${needed} first.`)
    return exit.waiting
  }
  const [next] = status?.next ?? []
  if (next !== undefined && status?.waits.length === 0)
    io.err(`${until} was not done: something else comes first, which \`cratewright reconcile\` does: ${next}.`)
  return Math.max(code, exit.waiting)
}

function requestKeys({ store }: Wired, project: string | undefined): string[] {
  return store
    .keys()
    .filter(
      key => key.includes(`/${requestType.kind}/`) && (project === undefined || key.split('/').at(-1) === project),
    )
}

function report(wired: Wired, keys: readonly string[], until: string | undefined, json: boolean, io: Io): number {
  const states = keys.map(key => ({ key, name: key.split('/').at(-1) ?? key, status: wired.store.status(key) }))
  const problems = [...wired.store.snapshot().problems].flatMap(([source, found]) =>
    found.map(problem => ({ source, ...problem })),
  )
  const { problem } = wired.platform
  if (problem) io.err(`platform: ${problem.message} [${problem.code}]`)
  if (json) {
    io.out(
      JSON.stringify(
        { requests: states.map(({ name, status }) => ({ name, ...summaryOf(status) })), problems },
        null,
        2,
      ),
    )
  } else {
    for (const { source, message, where } of problems)
      io.err(`${source}: ${where ? `${where.file}${where.line ? `:${where.line}` : ''}: ` : ''}${message}`)
    for (const { name, status } of states) for (const line of linesOf(name, status)) io.out(line)
  }
  return Math.max(0, ...states.map(({ status }) => codeOf(status, until)))
}

function summaryOf(status: StoredStatus | undefined) {
  const detail = (status?.report.detail ?? {}) as { phase?: string }
  return {
    phase: detail.phase ?? 'Unknown',
    ready: status?.report.ready ?? false,
    reason: status?.report.reason,
    message: status?.report.message,
    waits: status?.waits ?? [],
  }
}

function linesOf(name: string, status: StoredStatus | undefined): string[] {
  const { phase, message, waits } = summaryOf(status)
  const further = waits.flatMap((wait, index) => [
    ...(wait.message === message ? [] : [`  ${wait.message}`]),
    ...(wait.todo && wait.todo !== waits[index + 1]?.todo ? [`  ${wait.todo}`] : []),
  ])
  return [`${name}: ${phase}. ${message ?? ''}`, ...further]
}

const waitsForPeople = new Set([
  'WaitingForSignOff',
  'WaitingForDisclosure',
  'Missing',
  'HeldByOther',
  'ReleaseTaken',
  'NameTaken',
  'NotYet',
  'WaitingForDestruction',
  'Retained',
  'Withdrawn',
  'Expired',
  'Recalled',
  'Suspended',
  'Frozen',
])

function codeOf(status: StoredStatus | undefined, until: string | undefined): number {
  if (!status) return exit.failed
  if (status.report.ready) return exit.ok
  const [wait] = status.waits
  if (!wait) return until === undefined ? exit.waiting : exit.ok
  if (waitsForPeople.has(wait.reason)) return reached(status, until) ? exit.ok : exit.waiting
  if (status.report.stalled) return exit.invalid
  return exit.failed
}

const order = ['Requested', 'Created', 'Validated', 'SignedOff', 'Staged', 'Disclosed', 'Published']
const phaseAfter: Record<string, string> = {
  create: 'Created',
  validate: 'Validated',
  'sign-off': 'SignedOff',
  'stage-transfer': 'Staged',
  disclosure: 'Disclosed',
  publish: 'Published',
}

/** Where a request has to stand before; `create` and `validate` follow from the merge. */
const phaseBefore: Record<string, string> = { 'stage-transfer': 'SignedOff', publish: 'Disclosed' }

function reached(status: StoredStatus, until: string | undefined): boolean {
  if (until === undefined) return false
  const { phase } = summaryOf(status)
  return order.indexOf(phase) >= order.indexOf(phaseAfter[until] ?? '')
}
