/** The release as a bag, made from the log and the request's documents alone: the same bytes wherever it is made. */

import { arcpUrl } from '../../crate/arcp.ts'
import { type BagFile, buildBag, type PayloadFile } from '../../crate/bag.ts'
import type { History } from '../../engine/kind.ts'
import { encodeEntry, entryFile } from '../../records/log.ts'
import { canonicalJson } from '../../runtime/canonical.ts'
import { CratewrightError } from '../../runtime/errors.ts'
import { crateOf } from './crate.ts'
import { releaseUuid, sha512 } from './digests.ts'
import { parseRequest, requestFiles } from './documents.ts'
import type { UsedResource } from './state.ts'
import { type CountedStatement, type RequestState, stateOf } from './state.ts'

/** The SSHSIG namespace of the controller's signature over a bag's tag manifest. */
export const bagNamespace = 'bag@cratewright.dev'

export interface Release {
  readonly manifest: Uint8Array
  readonly tagManifest: Uint8Array
  /** Everything but the extracted data, sorted by the bytes of the path. */
  readonly files: readonly BagFile[]
}

/**
 * `history` ends with the *started* entry of the closing. In the store every payload file is present; in Git the extracted
 * data is listed in fetch.txt, under URLs that name no host.
 */
export function renderRelease(
  history: History,
  documents: ReadonlyMap<string, Uint8Array>,
  place: 'store' | 'git',
): Release {
  const known = rendered.get(documents) ?? new Map<string, Release>()
  rendered.set(documents, known)
  const key = `${place} ${history.head}`
  const release = known.get(key) ?? render(history, documents, place)
  known.set(key, release)
  return release
}

/** The same log and documents make the same release: who judges one asks for it several times. */
const rendered = new WeakMap<ReadonlyMap<string, Uint8Array>, Map<string, Release>>()

function render(history: History, documents: ReadonlyMap<string, Uint8Array>, place: 'store' | 'git'): Release {
  const state = stateOf(history)
  const closing = history.entries.at(-1)
  const config = parseRequest(documents, '').documents?.config
  if (closing?.action !== 'close' || !state.staging || !config) {
    throw new CratewrightError('RecordInvalid', 'the log does not end with the closing of a release')
  }
  const uuid = releaseUuid(state)
  const own: BagFile[] = [
    ...Object.values(requestFiles).map(name => ({
      path: `data/request/${name}`,
      content: documents.get(name) ?? new Uint8Array(),
    })),
    { path: 'data/ro-crate-metadata.json', content: crateOf(history, documents, 'release') },
  ]
  const payload: PayloadFile[] = [
    ...own.map(({ path, content }) => ({ path, size: content.byteLength, sha512: sha512(content) })),
    ...state.staging.files.map(({ path, size, sha512: digest }) => ({ path, size, sha512: digest })),
  ]
  const outputs = new Set(state.staging.files.map(({ path }) => path))
  const bag = buildBag({
    payload,
    info: [
      ['Source-Organization', config['bagit-info']['Source-Organization']],
      ['Organization-Address', config['bagit-info']['Organization-Address']],
      ['Contact-Name', config['bagit-info']['Contact-Name']],
      ['Contact-Email', config['bagit-info']['Contact-Email']],
      ['External-Identifier', `urn:uuid:${uuid}`],
      ['Bagging-Date', closing.time.slice(0, 10)],
      ['Bag-Software-Agent', 'Cratewright'],
    ],
    tagFiles: evidence(history, state, (closing.facts as { resources?: UsedResource[] } | undefined)?.resources ?? []),
    ...(place === 'git' ? { fetchUrl: (path: string) => (outputs.has(path) ? arcpUrl(uuid, path) : undefined) } : {}),
  })
  const tagManifest = bag.files.find(({ path }) => path === 'tagmanifest-sha512.txt')?.content ?? new Uint8Array()
  const files = [...own, ...bag.files].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
  return { manifest: bag.manifest, tagManifest, files }
}

/** What an auditor needs beside the data: the log so far, the statements that counted, and who was whom. */
function evidence(history: History, state: RequestState, resources: readonly UsedResource[]): BagFile[] {
  return [
    ...history.entries.map(entry => ({ path: `cratewright/log/${entryFile(entry)}`, content: encodeEntry(entry) })),
    ...state.counted.flatMap(statement =>
      statementFilesOf(statement).map(({ path, content }) => ({ path: `cratewright/statements/${path}`, content })),
    ),
    ...resourceFiles('sign-off', state.signOff?.resources ?? []),
    ...resourceFiles('disclosure', state.disclosure?.resources ?? []),
    ...resourceFiles('close', resources),
  ]
}

/** By the step that used them: between two approvals a person may get another key, or a group other members. */
function resourceFiles(step: string, resources: readonly UsedResource[]): BagFile[] {
  return resources.map(({ kind, name, spec }) => ({
    path: `cratewright/resources/${step}/${kind}/${name}.json`,
    content: Buffer.from(`${canonicalJson({ kind, metadata: { name }, spec })}\n`),
  }))
}

/** What statements of a phase are called in the names of files. */
export const statementNames = { SignOff: 'sign-off', Disclosure: 'disclosure', Request: 'request' } as const

/** A counted statement and its signature, as files. */
export function statementFilesOf({ phase, person, sha256, text, signature }: CountedStatement): BagFile[] {
  const name = `${statementNames[phase]}-${person}-${sha256.slice(0, 16)}.yaml`
  return [
    { path: name, content: Buffer.from(text) },
    { path: `${name}.sig`, content: Buffer.from(signature) },
  ]
}
