/** The pieces that commands put together: repositories, secrets, connections, stores, trust. */

import { randomUUID } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FileStoreSpec, RepositorySpec, SourceConnectionSpec } from '../../schemas/generated/types.ts'
import { openDirectoryStore } from '../data/directory-store.ts'
import { checkHost } from '../data/hosts.ts'
import type { SourceTarget } from '../data/source.ts'
import type { FileStore } from '../data/store.ts'
import type { Resource } from '../engine/kind.ts'
import type { GitRepository, Oid } from '../git/repository.ts'
import { readFolder } from '../kinds/requests/documents.ts'
import { RecordsBranch, type RecordsTrust, type RecordsWriter } from '../records/branch.ts'
import type { DeclaredSigner } from '../records/line.ts'
import { maxEntryBytes } from '../records/log.ts'
import type { RecordsMemory } from '../records/memory.ts'
import { asCratewrightError, CratewrightError } from '../runtime/errors.ts'
import { writeFileWhole } from '../runtime/files.ts'
import { environmentSecrets, fileSecrets, type Redactor, type SecretStore } from '../runtime/secrets.ts'
import { parsePrivateKey, parsePublicKey, type SshPrivateKey, type SshPublicKey } from '../runtime/ssh-key.ts'
import type { Bootstrap } from './bootstrap.ts'

export type SecretsByProvider = (provider: string) => SecretStore

export function secretsOf(
  bootstrap: Bootstrap,
  redactor: Redactor,
  env: Readonly<Record<string, string | undefined>>,
): SecretsByProvider {
  const { folder, environmentPrefix } = bootstrap.secrets ?? {}
  const missing = (what: string): SecretStore => ({
    read: async name => {
      throw new CratewrightError('SecretNotFound', `secret ${name} cannot be read: cratewright.yaml has no ${what}`)
    },
  })
  const file = folder ? fileSecrets(folder, redactor) : missing('secrets.folder')
  const environment = environmentPrefix
    ? environmentSecrets(environmentPrefix, redactor, env)
    : missing('secrets.environmentPrefix')
  return provider =>
    provider === 'file' ? file : provider === 'environment' ? environment : missing(`provider ${provider}`)
}

/** The release's credential decides, never one in the request. */
export async function targetOf(
  connection: Resource<SourceConnectionSpec>,
  database: string,
  secrets: SecretsByProvider,
  { networks }: Bootstrap,
): Promise<SourceTarget> {
  const { spec } = connection
  if (spec.type !== 'postgresql')
    throw new CratewrightError('SourceNotSupported', `sources of type ${spec.type} are not supported yet`)
  const addresses = await checkHost(spec.host, { privateNetworks: networks ?? [] })
  const from = secrets(spec.credentials.provider)
  const [username, password] = await Promise.all([
    from.read(spec.credentials.username_key),
    from.read(spec.credentials.password_key),
  ])
  return {
    type: 'postgresql',
    host: spec.host,
    addresses,
    port: spec.port,
    database,
    username,
    password,
    tls: spec.tls ?? 'verify-full',
    ...(spec.ca ? { ca: spec.ca } : {}),
    connectTimeout: (spec.connectTimeoutSeconds ?? 10) * 1000,
    statementTimeout: (spec.statementTimeoutSeconds ?? 3600) * 1000,
  }
}

export async function openStore({ spec }: Resource<FileStoreSpec>): Promise<FileStore> {
  if (spec.type !== 'directory')
    throw new CratewrightError('StoreInvalid', `stores of type ${spec.type} are not supported yet`)
  return openDirectoryStore({ staging: spec.staging, production: spec.production })
}

/** The files of a request at a commit. */
export async function documentsIn(
  repository: GitRepository,
  folder: string,
  commit: Oid,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array>> {
  return (await readFolder(repository, commit, folder, signal)).files
}

/** How far back a platform's newest applicable commit is looked for. */
const maxUnsigned = 100

type Accepted = Oid | { commit: Oid; problem: CratewrightError }

/**
 * Commits whose signer is not listed are not applied. From the commit applied last, every commit on the way has to be signed:
 * a signature on top does not answer for what was pushed below it. Without such a memory, the newest signed commit begins.
 */
export function signedBy(repository: GitRepository, signers: readonly SshPublicKey[], memory: TipMemory = noMemory) {
  const defectOf = async (oids: readonly Oid[], signal: AbortSignal): Promise<(string | undefined)[]> =>
    (await repository.signatures(oids, signal)).map((signature, index) => {
      if (signature.state !== 'good')
        return `commit ${oids[index]} of the platform repository has no good SSH signature`
      const listed = signers.some(({ fingerprint }) => fingerprint === signature.key.fingerprint)
      return listed
        ? undefined
        : `commit ${oids[index]} of the platform repository is signed by ${signature.key.fingerprint}, which cratewright.yaml does not list`
    })
  const untrusted = (why: string) => new CratewrightError('UntrustedCommit', `${why}: it is not applied`)

  async function fromMemory(tip: Oid, last: Oid, signal: AbortSignal): Promise<Accepted> {
    if (tip === last) return tip
    if (!(await repository.isAncestor(last, tip, signal).catch(() => false))) {
      return {
        commit: last,
        problem: untrusted(
          `commit ${tip} of the platform repository does not come after ${last}, the one applied last`,
        ),
      }
    }
    const line = (await repository.history({ tip, since: last, firstParent: true, limit: maxUnsigned }, signal)).map(
      ({ oid }) => oid,
    )
    let why = ''
    for (const candidate of line) {
      const between = (await repository.history({ tip: candidate, since: last }, signal)).map(({ oid }) => oid)
      const defect = (await defectOf(between, signal)).find(found => found !== undefined)
      if (defect === undefined) return candidate === tip ? tip : { commit: candidate, problem: untrusted(why) }
      why ||= defect
    }
    return { commit: last, problem: untrusted(why) }
  }

  async function fromNothing(tip: Oid, signal: AbortSignal): Promise<Accepted> {
    const oids = (await repository.history({ tip, firstParent: true, limit: maxUnsigned }, signal)).map(
      ({ oid }) => oid,
    )
    const defects = await defectOf(oids, signal)
    const commit = oids[defects.indexOf(undefined)]
    if (commit === tip) return tip
    const problem = untrusted(defects[0] ?? '')
    if (commit === undefined) throw problem
    return { commit, problem }
  }

  return async (tip: Oid, signal: AbortSignal): Promise<Accepted> => {
    const last = await memory.read()
    const accepted = last === undefined ? await fromNothing(tip, signal) : await fromMemory(tip, last, signal)
    await memory.write(typeof accepted === 'string' ? accepted : accepted.commit)
    return accepted
  }
}

/** Remembers across restarts where a branch was. */
export interface TipMemory {
  read(): Promise<Oid | undefined>
  write(tip: Oid): Promise<void>
}

/** A look remembers nothing: what it has not seen before it cannot miss. */
export const noMemory: TipMemory = { read: async () => undefined, write: async () => {} }

/** The controller's own key. @throws KeyInvalid, KeyEncrypted */
export async function readKey(path: string): Promise<SshPrivateKey> {
  const text = await readFile(path, 'utf8').catch(error => {
    throw new CratewrightError(
      'KeyInvalid',
      `the key ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`,
      {
        todo: 'Make one with `cratewright keys make`.',
      },
    )
  })
  try {
    return parsePrivateKey(text)
  } catch (error) {
    if (!(error instanceof CratewrightError) || error.code !== 'KeyEncrypted') throw error
    throw new CratewrightError('KeyEncrypted', `the key ${path} cannot be used: ${error.message}`, {
      todo: 'Nobody is there to type a passphrase: give the controller a key without one, made with `cratewright keys make`.',
    })
  }
}

/** Who this is, across restarts: only the same instance resumes a step that it began. */
export async function instanceOf(folder: string): Promise<string> {
  const path = join(folder, 'instance')
  const present = await readIfThere(path)
  if (present !== '') return present
  const made = randomUUID()
  await writeFileWhole(path, `${made}\n`, 0o600)
  return made
}

/** Where the tip of the platform repository is remembered. */
export function tipMemory(folder: string, name: string): TipMemory {
  const path = join(folder, 'tips', `${name}.txt`)
  return {
    read: async () => (await readIfThere(path)) || undefined,
    write: async tip => {
      await mkdir(dirname(path), { recursive: true })
      await writeFileWhole(path, `${tip}\n`, 0o600)
    },
  }
}

/** The records branch that a Repository declares. Where it declares no signer, the controller's own key decides. */
export function recordsBranch(
  spec: RepositorySpec,
  repository: GitRepository,
  open: (url: string) => GitRepository,
  own: SshPublicKey,
  memory: RecordsMemory,
  writer?: RecordsWriter,
): RecordsBranch {
  const url = spec.records?.url ?? 'same'
  const ref = `refs/heads/${(spec.records?.branch ?? 'cratewright/records').replace(/^refs\/heads\//, '')}`
  return new RecordsBranch(url === 'same' ? repository : open(url), ref, recordsTrust(spec, own), memory, writer)
}

export function recordsTrust(spec: RepositorySpec, own: SshPublicKey): RecordsTrust {
  return { signers: declaredSigners(spec), own, root: spec.records?.root, accept: spec.records?.accept }
}

export function declaredSigners({ records }: RepositorySpec): DeclaredSigner[] {
  return (records?.signers ?? []).map(({ key, from, until }) => ({
    key: parsePublicKey(key),
    ...(from ? { from } : {}),
    ...(until ? { until } : {}),
  }))
}

/** Requests of a Repository that have a log. A branch that cannot be trusted now is dealt with where it is written to. */
export async function recordedIn(branch: RecordsBranch, signal: AbortSignal): Promise<readonly string[]> {
  try {
    const tip = await branch.tip(signal)
    if (tip === undefined) return []
    const entries = await branch.list(tip, 'projects', signal)
    // Every log is read one by one after a start: of an empty working folder that would be a round trip each.
    await branch.repository.prefetch(
      entries.map(({ oid }) => oid),
      maxEntryBytes,
      signal,
    )
    const first = entries.filter(({ path }) => /^projects\/[^/]+\/log\/000001-/.test(path))
    return first.map(({ path }) => path.split('/')[1] ?? '')
  } catch (error) {
    const { code, retryable } = asCratewrightError(error)
    if (retryable && code !== 'GitRefMissing') throw error
    return []
  }
}

/** The trimmed text of a small file; '' where there is none. A disk that fails is not the same as a file that is absent. */
export async function readIfThere(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return ''
    throw new CratewrightError('FolderUnreadable', `${path} cannot be read (${code})`)
  }
}
