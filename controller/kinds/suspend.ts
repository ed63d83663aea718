/** Who halts a resource: a freeze of the whole platform, the Repository of a request, or its own manifest. Pure. */

import type { FreezeSpec, RepositorySpec, Suspension as Suspended } from '../../schemas/generated/types.ts'
import type { Resource, Snapshot } from '../engine/kind.ts'
import type { Suspension } from '../engine/suspend.ts'
import { matchesGlob } from '../runtime/glob.ts'
import { freezeType, repositoryType } from './types.ts'

/** The platform's own kinds act on nothing: there is nothing to halt, and their status goes on saying what is there. */
export function suspensionOf(resource: Resource, snapshot: Snapshot): Suspension | undefined {
  if (resource.type.group === freezeType.group) return undefined
  const [freeze] = snapshot.list<FreezeSpec>(freezeType)
  if (freeze) {
    return {
      reason: 'Frozen',
      message: sentence('everything is frozen', freeze.spec),
      todo: 'Wait. An admin lifts the freeze with `cratewright resume --all`.',
    }
  }
  const { name, suspended } = resource
  if (suspended !== undefined)
    return { reason: 'Suspended', message: sentence('it is suspended', { reason: suspended }), todo }
  const repository = snapshot.get<RepositorySpec>(repositoryType, resource.namespace)
  const entry = repository?.spec.suspended?.find(({ project }) => matchesGlob(project, name))
  if (entry) return { reason: 'Suspended', message: sentence('it is suspended', entry), todo }
  if (repository?.suspended === undefined) return undefined
  const what = `Repository ${repository.name} is suspended`
  return { reason: 'Suspended', message: sentence(what, { reason: repository.suspended }), todo }
}

const todo = 'Wait. An admin ends it with `cratewright resume`.'

function sentence(what: string, { reason, by, since }: Pick<Suspended, 'reason' | 'by' | 'since'>): string {
  return `${what}${by ? ` by ${by}` : ''}${since ? ` since ${since}` : ''}: ${reason}`
}
