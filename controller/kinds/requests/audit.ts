/** Judging the log of a request: was each entry right when it was written? Needs what the log names, and believes none of it. */

import type { Ending, Governance } from '../../../schemas/generated/types.ts'
import type { History, LogEntry } from '../../engine/kind.ts'
import type { Oid } from '../../git/repository.ts'
import { type Barred, type Group, groupsFor, tally, viewOf, whyNot } from '../../records/approval.ts'
import { appended, emptyHistory, entryFile, historyUpTo } from '../../records/log.ts'
import { type PersonInfo, readStatement, type Statement } from '../../records/statement.ts'
import { bad, type Finding, note, unchecked, unreadable } from '../../records/verify.ts'
import { asCratewrightError } from '../../runtime/errors.ts'
import type { SshPublicKey } from '../../runtime/ssh-key.ts'
import { verifySsh } from '../../runtime/sshsig.ts'
import { barredFrom, nobody, requestersOf, standingVotes, subjectOf, whyTakenBack } from './approvals.ts'
import type { Authors } from './authors.ts'
import { outputsDigest, sha512 } from './digests.ts'
import { parseRequest } from './documents.ts'
import { periodOf } from './observe.ts'
import { bagNamespace, renderRelease } from './release.ts'
import {
  type CountedStatement,
  type OutputFile,
  type RequestState,
  refusedKey,
  stateOf,
  type Tre,
  votesOf,
} from './state.ts'

/** What the platform repository said. */
export interface PlatformThen {
  readonly persons: readonly PersonInfo[]
  readonly groups: readonly Group[]
  /** What admins ended, of this request; undefined: not known here. */
  readonly ended?: readonly Ending[]
}

/** What a log names, as far as it is here. */
export interface Evidence {
  /** The request's files at a commit; undefined: the commit is not here. */
  documentsAt(commit: Oid): Promise<ReadonlyMap<string, Uint8Array> | undefined>
  /** People and groups as the platform had them when the entry was written; undefined: that commit is not here. */
  platformAt(entry: LogEntry): Promise<PlatformThen | undefined>
  /** Who wrote a content, of the people known then; undefined: the history of the request is not here. */
  authorsAt(
    state: RequestState,
    projects: Oid | undefined,
    persons: readonly PersonInfo[],
  ): Promise<Authors | undefined>
  /** True for entries that what is here must be enough to judge; the order of steps is judged for all. */
  judges(entry: LogEntry): boolean
  /** Keys that could seal a bag when the entry was written; none: any, which is then noted. */
  signersAt(entry: LogEntry): readonly SshPublicKey[]
  /** The name of the SourceConnection that approvals were for, where it is known. */
  sourceAt(state: RequestState, commit: Oid | undefined): Promise<string | undefined>
}

interface Room {
  readonly history: History
  readonly evidence: Evidence
  readonly findings: Finding[]
}

export async function auditRequest(history: History, evidence: Evidence): Promise<Finding[]> {
  const findings: Finding[] = []
  let before = emptyHistory
  for (const entry of history.entries) {
    try {
      await auditEntry(entry, { history: before, evidence, findings })
    } catch (error) {
      // What comes behind an entry that cannot be read cannot be read either.
      return [...findings, unreadable(entryFile(entry), error)]
    }
    before = appended(before, entry)
  }
  return findings
}

async function auditEntry(entry: LogEntry, room: Room): Promise<void> {
  checkOrder(entry, stateOf(room.history), room.findings)
  if (!room.evidence.judges(entry)) return
  if (entry.event === 'noted' && (entry.action === 'create' || entry.action === 'change'))
    await auditContent(entry, room)
  if (entry.event === 'noted' && entry.action === 'statement') await auditStatement(entry, room)
  if (entry.event === 'noted' && (entry.action === 'sign-off' || entry.action === 'disclosure'))
    await auditDecision(entry, room)
  if (
    entry.event === 'noted' &&
    (entry.action === 'withdraw' || entry.action === 'expire' || entry.action === 'recall')
  )
    await auditEnd(entry, room)
  if (entry.event === 'outcome' && entry.result === 'done') await auditOutcome(entry, room)
}

/** No step without the one before it. */
function checkOrder(entry: LogEntry, state: RequestState, findings: Finding[]): void {
  if (entry.event !== 'started') return
  const missing =
    entry.action === 'stage-transfer' && state.signOff?.decision !== 'approve'
      ? 'an approved sign-off'
      : entry.action === 'close' && state.disclosure?.decision !== 'approve'
        ? 'an approved disclosure'
        : entry.action === 'publish'
          ? missingToPublish(entry, state)
          : undefined
  if (entry.action === 'revoke' || entry.action === 'destroy') checkRemoval(entry, state, findings)
  if (missing) findings.push(bad(entryFile(entry), `starts ${entry.action} without ${missing}`))
  for (const name of ['request', 'scope', 'outputs'] as const) {
    const digest = entry.digests?.[name]
    const held =
      name === 'request' ? state.requestDigest : name === 'scope' ? state.validation?.scope : state.staging?.outputs
    if (digest !== undefined && digest !== held)
      findings.push(bad(entryFile(entry), `is for another ${name} digest than what was approved`))
  }
}

function missingToPublish({ time }: LogEntry, state: RequestState): string | undefined {
  if (!state.closing) return 'a closed release'
  if (state.signOff?.decision !== 'approve') return 'an approved sign-off'
  if (state.disclosure?.decision !== 'approve') return 'an approved disclosure'
  if (state.end) return `a request that goes on: it was ${state.end.how} before`
  return state.from !== undefined && time < state.from ? 'the day from which the data may be used' : undefined
}

/** Nothing is taken away or destroyed but what has ended, was called back, or nobody's approval stands for. */
function checkRemoval(entry: LogEntry, state: RequestState, findings: Finding[]): void {
  const { release, what } = (entry.facts ?? {}) as { release?: number; what?: string }
  const where = entryFile(entry)
  if (what === 'staged') {
    const stands =
      state.staged?.generation === state.generation &&
      state.signOff?.decision === 'approve' &&
      state.disclosure?.decision !== 'reject' &&
      !state.end
    if (stands) findings.push(bad(where, 'destroys staged data that was approved'))
    return
  }
  const one = state.releases.find(found => found.release === release)
  if (entry.action === 'revoke' && state.publishing?.release === release) return
  if (!one) findings.push(bad(where, `is about release ${release}, which was never published`))
  else if (!one.recalled) findings.push(bad(where, `is about release ${release}, which nobody ended`))
  else if (entry.action === 'destroy' && one.state !== 'revoked')
    findings.push(bad(where, `destroys release ${release} without having taken it out of production`))
}

/** Why a request or a release ended: because of a statement, of what an admin listed, or of its date. */
async function auditEnd(entry: LogEntry, { history, evidence, findings }: Room): Promise<void> {
  const where = entryFile(entry)
  const state = stateOf(history)
  const late = (until: string | undefined) => until !== undefined && entry.time > until
  if (entry.action === 'expire') {
    if (!late(state.until)) findings.push(bad(where, 'says that the time is over, and it is not'))
    return
  }
  const { release, by } = (entry.facts ?? {}) as { release?: number; by?: string }
  const one = state.releases.find(found => found.release === release)
  const phases = entry.action === 'withdraw' ? (['Request'] as const) : (['SignOff', 'Disclosure'] as const)
  const said = phases.flatMap(phase => votesOf(state.counted, phase)).some(({ decision }) => decision !== 'approve')
  if ((said && by !== 'platform') || (entry.action === 'recall' && late(one?.until))) return
  const platform = await evidence.platformAt(entry)
  if (!platform?.ended) {
    findings.push(unchecked(where, `whether an admin ended this cannot be seen here`))
    return
  }
  const listed = platform.ended.some(one =>
    entry.action === 'withdraw' ? one.release === undefined : one.release === release,
  )
  if (!listed) findings.push(bad(where, 'names an end that neither a statement nor the platform repository asks for'))
}

async function auditContent(entry: LogEntry, { history, evidence, findings }: Room): Promise<void> {
  const where = entryFile(entry)
  const content = (entry.facts as { content?: Oid } | undefined)?.content
  const files = content === undefined ? undefined : await evidence.documentsAt(content)
  if (!files) {
    findings.push(unchecked(where, `the request at commit ${content} is not here`))
    return
  }
  const documents = parseRequest(files, '').documents
  if (documents?.digest !== entry.digests?.request)
    findings.push(bad(where, `its request digest is not that of the documents at commit ${content}`))
  if (!documents) return
  const { tre, from, until } = (entry.facts ?? {}) as { tre?: Tre; from?: string; until?: string }
  const period = periodOf(documents.governance, (tre ?? stateOf(history).tre).timeZone)
  if (period.from !== from || period.until !== until)
    findings.push(bad(where, 'says another time for which the data may be used than the documents'))
  if ((documents.governance.release ?? 1) !== entry.release)
    findings.push(bad(where, 'is for another release than the documents ask for'))
}

async function auditStatement(entry: LogEntry, { history, evidence, findings }: Room): Promise<void> {
  const where = entryFile(entry)
  const state = stateOf(history)
  const statement = entry.facts as unknown as Omit<CountedStatement, 'entry'>
  const platform = await evidence.platformAt(entry)
  if (!platform) {
    findings.push(unchecked(where, `the platform at commit ${entry.commits?.platform} is not here`))
    return
  }
  const subject = subjectOf(statement.phase, { namespace: entry.repository, name: entry.project }, state)
  const file = { path: statement.path, text: Buffer.from(statement.text), signature: Buffer.from(statement.signature) }
  const reading = readStatement(file, subject, history, platform.persons)
  if (reading.state === 'ignored') {
    findings.push(bad(where, `the statement of ${statement.person} does not prove anything: ${reading.reason}`))
    return
  }
  const { person, decision } = reading.statement
  const same =
    person === statement.person &&
    decision === statement.decision &&
    reading.sha256 === statement.sha256 &&
    reading.fingerprint === statement.fingerprint
  if (!same) {
    findings.push(bad(where, 'says something else than the statement in it'))
  }
  // Who wrote this content, ever, may take it back; who wrote it since it was approved may not approve it.
  const written =
    statement.phase === 'Request'
      ? await writtenBy(state.content, { ...state, approved: undefined }, evidence, platform.persons)
      : await writtenBy(entry.commits?.projects, state, evidence, platform.persons)
  const source = await evidence.sourceAt(state, entry.commits?.platform)
  const needsSource = statement.phase !== 'Request' && decision !== 'withdraw'
  if (!written || (needsSource && source === undefined)) {
    findings.push(unchecked(where, `whether ${person} wrote the request cannot be seen here`))
    return
  }
  // To say no, nobody has to know who wrote what is said no to.
  const unattributed = decision === 'approve' ? written.authors.unattributed : []
  for (const { commit, reason } of unattributed)
    findings.push(
      bad(
        where,
        `the statement should not have counted: commit ${commit} ${reason}, so nobody can tell who wrote this`,
      ),
    )
  const reason = whyNotCounted(
    { ...statement, log: reading.statement.log },
    entry,
    state,
    source ?? '',
    platform,
    written,
  )
  if (reason) findings.push(bad(where, `the statement should not have counted: ${reason}`))
}

function whyNotCounted(
  { phase, decision, person, sha256, fingerprint, log }: Omit<CountedStatement, 'entry'> & Pick<Statement, 'log'>,
  entry: LogEntry,
  state: RequestState,
  source: string,
  platform: PlatformThen,
  { authors, barred, governance }: Written,
): string | undefined {
  const before = state.refused.get(refusedKey(sha256, fingerprint))
  if (before !== undefined) return `it was refused when it was first seen: ${before}`
  if (phase === 'Request') {
    const may = requestersOf(governance, authors, platform.persons).has(person)
    return may ? undefined : `${person} neither asks for this data nor wrote this request`
  }
  const vote = votesOf(state.counted, phase).find(one => one.person === person)
  if (decision === 'withdraw') {
    return vote?.decision === 'approve' ? undefined : `${person} had given no approval`
  }
  const groups = groupsFor(platform.groups, { phase, project: entry.project, source })
  const names = new Set(platform.persons.map(({ name }) => name))
  const bars = decision === 'approve' ? barred : barredFrom(governance, nobody, platform.persons)
  const views = groups.map(group => viewOf(group, new Date(entry.time), bars, names, state.tre.timeZone))
  return whyNot(person, groups, views, bars) ?? whyTakenBack({ decision, person, log }, vote)
}

interface Written {
  readonly authors: Authors
  readonly barred: Barred
  readonly governance: Governance
}

/** Who wrote what was to be approved, and whom that bars, with the people that the platform knew then. */
async function writtenBy(
  tip: Oid | undefined,
  state: RequestState,
  evidence: Evidence,
  persons: readonly PersonInfo[],
): Promise<Written | undefined> {
  const documents = await evidence.documentsAt(state.content)
  const governance = documents && parseRequest(documents, '').documents?.governance
  const authors = governance && (await evidence.authorsAt(state, tip, persons))
  return authors && { authors, governance, barred: barredFrom(governance, authors, persons) }
}

async function auditDecision(entry: LogEntry, { history, evidence, findings }: Room): Promise<void> {
  const where = entryFile(entry)
  const state = stateOf(history)
  const phase = entry.action === 'sign-off' ? 'SignOff' : 'Disclosure'
  const platform = await evidence.platformAt(entry)
  const source = await evidence.sourceAt(state, entry.commits?.platform)
  const written = platform && (await writtenBy(entry.commits?.projects, state, evidence, platform.persons))
  if (!platform || !written || source === undefined) {
    findings.push(unchecked(where, 'whether every group had its quorum cannot be seen here'))
    return
  }
  const names = new Set(platform.persons.map(({ name }) => name))
  const views = groupsFor(platform.groups, { phase, project: entry.project, source }).map(group =>
    viewOf(group, new Date(entry.time), written.barred, names, state.tre.timeZone),
  )
  const { decision } = tally(views, standingVotes(state.counted, phase, platform.persons))
  const noted = (entry.facts as { decision?: string } | undefined)?.decision
  if (decision !== noted) {
    findings.push(
      bad(
        where,
        `says ${noted}, and the statements before it ${decision === undefined ? 'decide nothing' : `say ${decision}`}`,
      ),
    )
  }
}

async function auditOutcome(entry: LogEntry, { history, evidence, findings }: Room): Promise<void> {
  const where = entryFile(entry)
  const state = stateOf(history)
  if (entry.action === 'stage-transfer') {
    const { files = [] } = (entry.facts ?? {}) as { files?: OutputFile[] }
    if (outputsDigest(files) !== entry.digests?.outputs)
      findings.push(bad(where, 'its outputs digest is not that of its files'))
  }
  if (entry.action === 'publish') {
    const { manifestSha512 } = (entry.facts ?? {}) as { manifestSha512?: string }
    if (manifestSha512 !== state.closing?.manifestSha512)
      findings.push(bad(where, 'says that another bag was published than was closed'))
  }
  if (entry.action === 'revoke' || entry.action === 'destroy') auditRemoved(entry, history, findings)
  if (entry.action === 'close') await auditClosing(entry, history, evidence, findings)
}

/** What was done is what was begun; where it lay is where it was released to, or somebody should know. */
function auditRemoved(entry: LogEntry, { open, ...history }: History, findings: Finding[]): void {
  const where = entryFile(entry)
  type Removed = { release?: number; store?: string; what?: string; location?: string }
  const done = (entry.facts ?? {}) as Removed
  const begun = (open?.facts ?? {}) as Removed
  if (done.release !== begun.release || done.store !== begun.store || done.what !== begun.what)
    findings.push(bad(where, 'says that something else was done than was begun'))
  const one = stateOf({ open, ...history }).releases.find(({ release }) => release === done.release)
  if (done.what !== 'staged' && one && one.location !== '' && done.location !== one.location)
    findings.push(
      note(where, `was done in ${done.location}, and release ${one.release} was published to ${one.location}`),
    )
}

interface ClosingFacts {
  readonly manifestSha512: string
  readonly tagmanifestSha512: string
  readonly signature: string
  readonly gitSignature: string
}

async function auditClosing(entry: LogEntry, history: History, evidence: Evidence, findings: Finding[]): Promise<void> {
  const where = entryFile(entry)
  const facts = (entry.facts ?? {}) as unknown as ClosingFacts
  const documents = await evidence.documentsAt(stateOf(history).content)
  if (!documents) {
    findings.push(unchecked(where, 'the documents that were sealed are not here'))
    return
  }
  const upToStart = historyUpTo(history, entry.started ?? 0)
  try {
    const store = renderRelease(upToStart, documents, 'store')
    const git = renderRelease(upToStart, documents, 'git')
    if (sha512(store.manifest) !== facts.manifestSha512)
      findings.push(bad(where, 'its manifest is not the one that the log makes'))
    if (sha512(store.tagManifest) !== facts.tagmanifestSha512)
      findings.push(bad(where, 'its tag manifest is not the one that the log makes'))
    for (const [signature, content] of [
      [facts.signature, store.tagManifest],
      [facts.gitSignature, git.tagManifest],
    ] as const) {
      const finding = sealFinding(where, signature, content, evidence.signersAt(entry))
      if (finding) findings.push(finding)
    }
  } catch (error) {
    findings.push(bad(where, `a bag cannot be made from this log: ${asCratewrightError(error).message}`))
  }
}

/** What is wrong with the controller's signature over a tag manifest. */
export function sealFinding(
  where: string,
  signature: string,
  tagManifest: Uint8Array,
  signers: readonly SshPublicKey[],
): Finding | undefined {
  try {
    const key = verifySsh(signature, bagNamespace, tagManifest)
    if (signers.length === 0) return note(where, `the bag is sealed by ${key.fingerprint}`)
    return signers.some(({ fingerprint }) => fingerprint === key.fingerprint)
      ? undefined
      : bad(where, `the bag is sealed by ${key.fingerprint}, which is no declared signer`)
  } catch (error) {
    return bad(where, `the seal of the bag is not valid: ${asCratewrightError(error).message}`)
  }
}
