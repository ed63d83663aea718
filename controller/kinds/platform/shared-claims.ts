/**
 * What only one Person can have: a key, an e-mail address, an account on a forge. Where two claim one, nobody can tell who acted:
 * both are told, and a shared key counts for neither.
 */

import type { PersonSpec, RepositorySpec } from '../../../schemas/generated/types.ts'
import type { Resource } from '../../engine/kind.ts'
import { type Problem, problem, showWhere, type Where } from '../../runtime/errors.ts'
import { parsePublicKey } from '../../runtime/ssh-key.ts'
import type { SourceDocument } from '../../schema/yaml.ts'
import { personType, repositoryType } from '../types.ts'

export interface Claim {
  /** Equal where two claim the same. Never shown: problems may be read by people who may not read the platform. */
  readonly value: string
  readonly what: 'key' | 'e-mail address' | 'account'
  /** `Person dana`, or `Repository projects`: its records are signed with the key, and no Person may have that. */
  readonly holder: string
  readonly where: Where
}

type Read = Pick<Resource, 'type' | 'name' | 'spec' | 'problems'>

/** What a sound manifest claims. */
export function claimsOf({ type, name, spec }: Read, document: SourceDocument): Claim[] {
  const holder = `${type.kind} ${name}`
  const claim = (what: Claim['what'], value: string, path: (string | number)[]): Claim => ({
    what,
    value: `${what} ${value}`,
    holder,
    where: document.at(path),
  })
  if (type.kind === repositoryType.kind) {
    const { signers = [] } = (spec as RepositorySpec).records ?? {}
    return signers.map(({ key }, index) =>
      claim('key', parsePublicKey(key).fingerprint, ['spec', 'records', 'signers', index, 'key']),
    )
  }
  if (type.kind !== personType.kind) return []
  const { keys = [], emails = [], accounts = [] } = spec as PersonSpec
  return [
    ...keys.map((line, index) => claim('key', parsePublicKey(line).fingerprint, ['spec', 'keys', index])),
    ...emails.map((email, index) => claim('e-mail address', email.toLowerCase(), ['spec', 'emails', index])),
    ...accounts.map(({ host, id }, index) =>
      claim('account', `${host.toLowerCase()} ${id}`, ['spec', 'accounts', index]),
    ),
  ]
}

/** The same resources, told what they share, and the Persons without the keys that they share. */
export function refuseShared<R extends Read>(
  resources: readonly R[],
  claims: readonly Claim[],
): { resources: R[]; problems: Problem[] } {
  const problems = new Map<string, Problem[]>()
  const sharedKeys = new Set<string>()
  for (const same of Map.groupBy(claims, ({ value }) => value).values()) {
    const holders = new Set(same.map(({ holder }) => holder))
    if (holders.size < 2 || ![...holders].some(isPerson)) continue
    for (const { what, value, holder, where } of same) {
      if (what === 'key' && isPerson(holder)) sharedKeys.add(value)
      const others = same.filter(other => other.holder !== holder)
      problems.set(holder, [...(problems.get(holder) ?? []), told(what, others, where)])
    }
  }
  return {
    resources: resources.map(resource => {
      const own = problems.get(`${resource.type.kind} ${resource.name}`)
      // A Repository with an error is no longer watched: what a Person claims must not stop it.
      if (!own || resource.type.kind !== personType.kind) return resource
      return { ...withoutKeys(resource, sharedKeys), problems: [...resource.problems, ...own] }
    }),
    problems: [...problems.values()].flat(),
  }
}

function isPerson(holder: string): boolean {
  return holder.startsWith(`${personType.kind} `)
}

const maxNamed = 5

function told(what: Claim['what'], others: readonly Claim[], where: Where): Problem {
  const named = others.slice(0, maxNamed).map(other => `${other.holder} (${showWhere(other.where)})`)
  const more = others.length > maxNamed ? ` and ${others.length - maxNamed} more` : ''
  const message = `this ${what} is also claimed by ${named.join(', ')}${more}${what === 'key' ? ', and counts for nobody' : ''}`
  return problem('DocumentInvalid', message, {
    where,
    todo:
      what === 'key'
        ? 'Find out whose key it is (`cratewright keys prove`), and remove it from the other.'
        : `Find out whose ${what} it is, and remove it from the other.`,
  })
}

function withoutKeys<R extends Read>(resource: R, shared: ReadonlySet<string>): R {
  const spec = resource.spec as PersonSpec
  const keys = (spec.keys ?? []).filter(line => !shared.has(`key ${parsePublicKey(line).fingerprint}`))
  return { ...resource, spec: { ...spec, keys } }
}
