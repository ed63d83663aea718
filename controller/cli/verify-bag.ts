/** Judging a bag alone: with the controller key's fingerprint, and nothing else. */

import type { ApproverGroupSpec, PersonSpec } from '../../schemas/generated/types.ts'
import type { BagReader } from '../crate/bag-check.ts'
import { checkBag } from '../crate/bag-check.ts'
import { checkCrate } from '../crate/crate-check.ts'
import { folderBag } from '../data/bag-reader.ts'
import type { History } from '../engine/kind.ts'
import { auditRequest, type Evidence } from '../kinds/requests/audit.ts'
import { requestFiles } from '../kinds/requests/documents.ts'
import { bagNamespace, renderRelease } from '../kinds/requests/release.ts'
import type { UsedResource } from '../kinds/requests/state.ts'
import { type RequestState, stateOf } from '../kinds/requests/state.ts'
import { readLog } from '../records/log.ts'
import { bad, type Finding, unreadable } from '../records/verify.ts'
import { asCratewrightError } from '../runtime/errors.ts'
import type { SshPublicKey } from '../runtime/ssh-key.ts'
import { verifySsh } from '../runtime/sshsig.ts'
import type { Verdict } from './verify.ts'

/** Bytes of one file that is read into memory. */
const maxFile = 64 * 1024 * 1024
const sealFile = 'tagmanifest-sha512.txt.sig'

export async function verifyBag(folder: string, roots: readonly string[], signal: AbortSignal): Promise<Verdict> {
  return judgeBag(folderBag(folder), {
    roots,
    place: 'store',
    signal,
    signature: await folderBag(folder)
      .read(sealFile, maxFile)
      .catch(() => undefined),
  })
}

interface BagRoom {
  readonly roots: readonly string[]
  readonly place: 'store' | 'git'
  readonly signature: Uint8Array | undefined
  readonly signal: AbortSignal
}

export async function judgeBag(reader: BagReader, { roots, place, signature, signal }: BagRoom): Promise<Verdict> {
  const findings: Finding[] = []
  const checked = await checkBag(reader, { allowFetch: place === 'git', signal })
  for (const { code, message, path } of checked.problems) findings.push(bad(path ?? 'the bag', `${message} [${code}]`))
  const listed = await reader.list()
  const read = async (path: string) =>
    listed.some(file => file.path === path && file.kind === 'file') ? reader.read(path, maxFile) : undefined

  const signer = await sealOf(read, signature, findings)
  if (signer && roots.length > 0 && !roots.includes(signer.fingerprint))
    findings.push(bad(sealFile, `the bag is sealed by ${signer.fingerprint}, not by the key that you trust`))
  const documents = new Map<string, Uint8Array>()
  for (const name of Object.values(requestFiles)) {
    const content = await read(`data/request/${name}`)
    if (content) documents.set(name, content)
  }
  const history = await logOf(
    listed.map(({ path }) => path),
    read,
    findings,
  )
  let summary: string[] = []
  if (history.entries.length > 0) {
    const paths = listed.map(({ path }) => path)
    try {
      const evidence = bagEvidence(history, documents, signer ? [signer] : [])
      const audited = await auditRequest(history, evidence)
      findings.push(...audited.map(finding => ({ ...finding, where: `cratewright/log/${finding.where}` })))
      await compareFiles(history, documents, place, read, paths, findings)
      summary = summaryOf(history, stateOf(history))
    } catch (error) {
      findings.push(unreadable('cratewright/log', error))
    }
    const crate = await read('data/ro-crate-metadata.json')
    for (const { rule, message } of crate ? checkCrate(crate) : [])
      findings.push(bad('data/ro-crate-metadata.json', `${message} [${rule}]`))
  }
  return { findings, roots: signer ? [signer.fingerprint] : [], summary }
}

async function sealOf(
  read: (path: string) => Promise<Uint8Array | undefined>,
  signature: Uint8Array | undefined,
  findings: Finding[],
): Promise<SshPublicKey | undefined> {
  const tagManifest = await read('tagmanifest-sha512.txt')
  if (!signature || !tagManifest) {
    findings.push(bad(sealFile, 'the bag is not sealed: the signature or the tag manifest is missing'))
    return undefined
  }
  try {
    return verifySsh(Buffer.from(signature).toString('latin1'), bagNamespace, tagManifest)
  } catch (error) {
    findings.push(bad(sealFile, `the seal is not valid: ${asCratewrightError(error).message}`))
    return undefined
  }
}

async function logOf(
  paths: readonly string[],
  read: (path: string) => Promise<Uint8Array | undefined>,
  findings: Finding[],
): Promise<History> {
  const prefix = 'cratewright/log/'
  const files = new Map<string, Uint8Array>()
  for (const path of paths.filter(path => path.startsWith(prefix)))
    files.set(path.slice(prefix.length), (await read(path)) ?? new Uint8Array())
  const { history, problems } = readLog(files)
  for (const problem of problems) findings.push(bad('cratewright/log', problem))
  if (files.size === 0) findings.push(bad('cratewright/log', 'the bag holds no log: it was not made by Cratewright'))
  return history
}

/**
 * A bag shows who signed, and that the groups had their quorum; who wrote the request only its repository shows. It carries
 * what its release rests on: earlier content, and approvals that became void, are in its log and nowhere else.
 */
function bagEvidence(
  history: History,
  documents: ReadonlyMap<string, Uint8Array>,
  signers: readonly SshPublicKey[],
): Evidence {
  const { since, counted, signOff, staging, disclosure } = stateOf(history)
  const standing = [{ entry: since }, ...counted, signOff, staging, disclosure].map(fact => fact?.entry)
  const closing = history.entries.at(-1)?.facts as { resources?: UsedResource[] } | undefined
  return {
    judges: ({ number }) => standing.includes(number),
    documentsAt: async () => documents,
    // The files below `cratewright/resources` are compared with these, as all that follows from the log.
    platformAt: async ({ action, facts }) => {
      const ofSignOff = action === 'sign-off' || (facts as { phase?: string } | undefined)?.phase === 'SignOff'
      const resources = (ofSignOff ? signOff : disclosure)?.resources ?? []
      return {
        persons: ofKind<PersonSpec>(resources, 'Person'),
        groups: ofKind<ApproverGroupSpec>(resources, 'ApproverGroup'),
      }
    },
    authorsAt: async () => ({ persons: [], coAuthors: [], unattributed: [] }),
    sourceAt: async () => closing?.resources?.find(({ kind }) => kind === 'SourceConnection')?.name,
    signersAt: () => signers,
  }
}

function ofKind<Spec>(resources: readonly UsedResource[], wanted: string): { name: string; spec: Spec }[] {
  return resources.filter(({ kind }) => kind === wanted).map(({ name, spec }) => ({ name, spec: spec as Spec }))
}

async function compareFiles(
  history: History,
  documents: ReadonlyMap<string, Uint8Array>,
  place: 'store' | 'git',
  read: (path: string) => Promise<Uint8Array | undefined>,
  paths: readonly string[],
  findings: Finding[],
): Promise<void> {
  let made: ReturnType<typeof renderRelease>
  try {
    made = renderRelease(history, documents, place)
  } catch (error) {
    findings.push(bad('the bag', `cannot be made from its own log: ${asCratewrightError(error).message}`))
    return
  }
  const outputs = new Set(stateOf(history).staging?.files.map(({ path }) => path))
  for (const { path, content } of made.files) {
    const present = await read(path)
    if (!present) findings.push(bad(path, 'follows from the log and is missing'))
    else if (!Buffer.from(content).equals(present))
      findings.push(bad(path, 'is not what the log makes: it was changed'))
  }
  const wanted = new Set(made.files.map(({ path }) => path))
  for (const path of paths)
    if (!wanted.has(path) && !outputs.has(path) && path !== sealFile)
      findings.push(bad(path, 'is not part of the release'))
}

function summaryOf(history: History, state: RequestState): string[] {
  const [first] = history.entries
  if (!first) return []
  return [
    `Project ${first.project} of repository ${first.repository}, release ${state.release}.`,
    ...state.counted.map(
      ({ phase, person, decision }) =>
        `  ${phase}: ${person} ${decision === 'approve' ? 'approved' : decision}, with their own signature.`,
    ),
    `  ${state.staging?.files.length ?? 0} files of data, outputs digest ${state.staging?.outputs ?? 'none'}.`,
  ]
}
