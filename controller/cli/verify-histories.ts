/** Do the commits that logs name belong to the branches they are said to be of? A branch that was rewritten shows here. */

import type { RepositorySpec } from '../../schemas/generated/types.ts'
import type { History } from '../engine/kind.ts'
import type { GitRepository, Oid } from '../git/repository.ts'
import { entryFile } from '../records/log.ts'
import { bad, type Finding, note, unchecked } from '../records/verify.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { type Clone, fetchRef } from './clone.ts'

/** Commits that are asked for one by one, since the branch does not have them. */
const maxAsked = 50

export interface Approval {
  readonly where: string
  readonly person: string
  readonly phase: string
  readonly platform: Oid
}

/** What logs name: of each commit the first place. */
export class NamedCommits {
  readonly platform = new Map<Oid, string>()
  readonly projects = new Map<Oid, string>()
  readonly approvals: Approval[] = []
  readonly takeOvers: Finding[] = []

  add(project: string, { entries }: History): void {
    for (const entry of entries) {
      const where = `projects/${project}/log/${entryFile(entry)}`
      const { platform, projects } = entry.commits ?? {}
      if (platform && !this.platform.has(platform)) this.platform.set(platform, where)
      if (projects && !this.projects.has(projects)) this.projects.set(projects, where)
      const facts = (entry.facts ?? {}) as Record<string, unknown>
      if (entry.action === 'take-over')
        this.takeOvers.push(note(where, `instance ${entry.instance} took over the step that ${facts.from} had begun`))
      const { person, phase, decision } = facts
      if (entry.action !== 'statement' || decision !== 'approve' || !platform) continue
      if (typeof person === 'string' && typeof phase === 'string')
        this.approvals.push({ where, person, phase, platform })
    }
  }
}

export interface HistoriesRoom {
  readonly clone: Clone
  readonly trust: Clone | undefined
  readonly declared: RepositorySpec | undefined
  readonly signal: AbortSignal
}

export async function judgeHistories(named: NamedCommits, room: HistoriesRoom): Promise<Finding[]> {
  const { clone, trust, declared, signal } = room
  const findings = [...named.takeOvers]
  const watched = (declared?.ref ?? 'refs/heads/main').replace(/^refs\/heads\//, '')
  const branch = await clone.branch(watched, signal)
  if (branch) {
    await clone.repository.fetch(branch.ref, branch.oid, signal)
    findings.push(...(await belonging(clone.repository, branch, named.projects, `branch ${watched}`, signal)))
  } else if (named.projects.size > 0) {
    findings.push(unchecked(`branch ${watched}`, 'is not in the clone: whether it was rewritten cannot be seen'))
  }
  const oid = trust && (await fetchRef(trust, 'HEAD', signal))
  if (trust && oid)
    findings.push(...(await belonging(trust.repository, { ref: 'HEAD', oid }, named.platform, 'platform', signal)))
  return findings
}

async function belonging(
  repository: GitRepository,
  { ref, oid: tip }: { readonly ref: string; readonly oid: Oid },
  named: ReadonlyMap<Oid, string>,
  what: string,
  signal: AbortSignal,
): Promise<Finding[]> {
  const here = new Set((await repository.history({ tip }, signal)).map(({ oid }) => oid))
  const findings: Finding[] = []
  for (const [oid, where] of [...named].filter(([commit]) => !here.has(commit)).slice(0, maxAsked)) {
    const older = await comesAfter(repository, { ref, oid }, tip, signal)
    findings.push(
      older === false
        ? bad(where, `names commit ${oid}, which the ${what} at ${tip} no longer has: it was rewritten`)
        : unchecked(
            where,
            `names commit ${oid}, and the ${what} of this clone ends at ${tip}, ${older ? 'before it' : 'without it'}`,
          ),
    )
  }
  return findings
}

/** True: the clone is only older than the commit. Undefined: the commit is not here. */
async function comesAfter(
  repository: GitRepository,
  { ref, oid }: { readonly ref: string; readonly oid: Oid },
  tip: Oid,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  try {
    await repository.fetch(ref, oid, signal)
    return await repository.isAncestor(tip, oid, signal)
  } catch (error) {
    if (error instanceof CratewrightError && !['ProgramTimeout'].includes(error.code)) return undefined
    throw error
  }
}
