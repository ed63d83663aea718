/** Who may approve what, and when it is decided. Every group that matches must reach its quorum; one reject rejects. */

import type { ApproverGroupSpec } from '../../schemas/generated/types.ts'
import { endOf, startOf } from '../runtime/dates.ts'
import { matchesAny } from '../runtime/glob.ts'

export interface Group {
  readonly name: string
  readonly spec: ApproverGroupSpec
}

/** Why persons may not approve this request, by person: the requester, its users, and whoever wrote it. */
export type Barred = ReadonlyMap<string, string>

export interface Matter {
  readonly phase: 'SignOff' | 'Disclosure' | 'Confirm'
  readonly project: string
  /** The SourceConnection's name. */
  readonly source: string
}

export interface GroupView {
  readonly name: string
  readonly quorum: number
  /** Members who may approve now, those who have included. */
  readonly eligible: readonly string[]
}

export function groupsFor(groups: readonly Group[], { phase, project, source }: Matter): Group[] {
  return groups
    .filter(
      ({ spec }) =>
        spec.phases.includes(phase) && matchesAny(spec.projects, project) && matchesAny(spec.sources, source),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Members of a group at a time, without those who are barred or nobody. */
export function viewOf(
  group: Group,
  now: Date,
  barred: Barred,
  persons: ReadonlySet<string>,
  zone?: string,
): GroupView {
  const eligible = group.spec.members
    .filter(member => inRange(member, now, zone) && persons.has(member.person) && !barred.has(member.person))
    .map(member => member.person)
  return { name: group.name, quorum: group.spec.quorum ?? 1, eligible: [...new Set(eligible)].sort() }
}

/** Why this person's approval does not count, or undefined. */
export function whyNot(
  person: string,
  groups: readonly Group[],
  views: readonly GroupView[],
  barred: Barred,
): string | undefined {
  const why = barred.get(person)
  if (why) return `${person} ${why}, and nobody approves their own request`
  if (views.some(view => view.eligible.includes(person))) return undefined
  const listed = groups.some(({ spec }) => spec.members.some(member => member.person === person))
  return listed
    ? `${person} is not a member of an approving group at this time`
    : `${person} is in no group that may approve this`
}

export interface Vote {
  readonly person: string
  readonly decision: 'approve' | 'reject' | 'withdraw'
}

export interface Tally {
  readonly decision: 'approve' | 'reject' | undefined
  readonly groups: readonly {
    readonly name: string
    readonly quorum: number
    readonly approved: readonly string[]
    readonly missing: number
  }[]
}

/** Counts persons, not statements. Without any group nothing can be approved: an absent rule is no permission. */
export function tally(views: readonly GroupView[], votes: readonly Vote[]): Tally {
  const rejected = votes.some(
    vote => vote.decision === 'reject' && views.some(view => view.eligible.includes(vote.person)),
  )
  const approvers = new Set(votes.filter(vote => vote.decision === 'approve').map(vote => vote.person))
  const groups = views.map(({ name, quorum, eligible }) => {
    const approved = eligible.filter(person => approvers.has(person))
    return { name, quorum, approved, missing: Math.max(0, quorum - approved.length) }
  })
  const complete = groups.length > 0 && groups.every(group => group.missing === 0)
  return { decision: rejected ? 'reject' : complete ? 'approve' : undefined, groups }
}

/** Groups that can never reach their quorum with the members they have. */
export function unreachable(views: readonly GroupView[]): readonly GroupView[] {
  return views.filter(view => view.eligible.length < view.quorum)
}

function inRange(
  { notBefore, notAfter }: { notBefore?: string; notAfter?: string },
  now: Date,
  zone: string | undefined,
): boolean {
  if (notBefore !== undefined && now < startOf(notBefore, zone)) return false
  return !(notAfter !== undefined && now > endOf(notAfter, zone))
}
