/** `cratewright create | validate | stage-transfer | publish`: one phase of one request, by hand. */

import { CratewrightError } from '../runtime/errors.ts'
import { type Command, commonOptions } from './command.ts'
import { reconcileUntil } from './reconcile.ts'

interface Phase {
  readonly name: 'create' | 'validate' | 'stage-transfer' | 'publish'
  readonly summary: string
  /** What it may do: itself, and the entries that follow from what people have pushed. Never a phase that is somebody's word. */
  readonly actions: readonly string[]
}

const phases: readonly Phase[] = [
  { name: 'create', summary: 'give a merged request its id, and begin its log', actions: ['create'] },
  {
    name: 'validate',
    summary: 'compare a request with the source’s catalogue',
    actions: ['create', 'change', 'validate'],
  },
  {
    name: 'stage-transfer',
    summary: 'extract the data of a request that is signed off to staging',
    actions: ['statement', 'seen', 'sign-off', 'stage-transfer'],
  },
  {
    name: 'publish',
    summary: 'seal and publish a release whose disclosure is approved',
    actions: ['statement', 'seen', 'disclosure', 'close', 'publish'],
  },
]

export const phaseCommands: readonly Command[] = phases.map(({ name, summary, actions }) => ({
  name,
  summary,
  arguments: '<project>',
  options: { ...commonOptions, once: { type: 'boolean', help: 'do not try again what fails' } },
  example: `scripts/cratewright ${name} asthma-outcomes --config .quickstart/cratewright.yaml`,
  run: async (args, io) => {
    const [project] = args.positionals
    if (project === undefined) throw new CratewrightError('UsageInvalid', 'name the project')
    return reconcileUntil({ project, until: name, actions: new Set(actions) }, args, io)
  },
}))
