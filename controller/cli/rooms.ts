/** The pieces that commands put together: repositories, secrets, connections, stores, trust. */

import { randomUUID } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type {
  FileStoreSpec,
  RepositoryCredential,
  RepositorySpec,
  SourceConnectionSpec,
} from '../../schemas/generated/types.ts'
import { openDirectoryStore } from '../data/directory-store.ts'
import { checkHost } from '../data/hosts.ts'
import type { SourceTarget } from '../data/source.ts'
import type { FileStore } from '../data/store.ts'
import type { Resource } from '../engine/kind.ts'
import { openRepository } from '../git/cli-repository.ts'
import type { Transport } from '../git/git-command.ts'
import type { GitRepository, Oid } from '../git/repository.ts'
import { readFolder } from '../kinds/requests/documents.ts'
import { RecordsBranch, type TipMemory } from '../records/branch.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { writeFileWhole } from '../runtime/files.ts'
import { environmentSecrets, fileSecrets, type Redactor, type SecretStore } from '../runtime/secrets.ts'
import { parsePrivateKey, parsePublicKey, type SshPrivateKey, type SshPublicKey } from '../runtime/ssh-key.ts'
import type { Bootstrap } from './bootstrap.ts'

/** Milliseconds one run of git may take. */
const gitDeadline = 10 * 60_000

/** One object a URL: a mirror has one user. */
export class Repositories {
  readonly #bootstrap: Bootstrap
  readonly #open = new Map<string, GitRepository>()

  constructor(bootstrap: Bootstrap) {
    this.#bootstrap = bootstrap
  }

  open(url: string, credential: Credential | undefined): GitRepository {
    const present = this.#open.get(url)
    if (present) return present
    const { folder, transports, networks } = this.#bootstrap
    const repository = openRepository({
      url,
      mirrorFolder: join(folder, 'mirrors'),
      transports: (transports ?? ['https']) as Transport[],
      deadline: gitDeadline,
      ...(credential ? { credential } : {}),
      checkHost: host => checkHost(host, { privateNetworks: networks ?? [] }).then(() => {}),
    })
    this.#open.set(url, repository)
    return repository
  }
}

type Credential = () => Promise<{ readonly username: string; readonly password: string }>

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

export function credentialOf(
  credential: RepositoryCredential | undefined,
  secrets: SecretsByProvider,
): Credential | undefined {
  if (!credential) return undefined
  const { provider, username_key, password_key } = credential
  return async () => ({
    // Forges that take tokens ignore the name beside them.
    username: username_key ? await secrets(provider).read(username_key) : 'git',
    password: await secrets(provider).read(password_key),
  })
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
  await checkHost(spec.host, { privateNetworks: networks ?? [] })
  const from = secrets(spec.credentials.provider)
  const [username, password] = await Promise.all([
    from.read(spec.credentials.username_key),
    from.read(spec.credentials.password_key),
  ])
  return {
    type: 'postgresql',
    host: spec.host,
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

/** Commits whose signer is not listed are not applied: the newest one before them that is signed stands. */
export function signedBy(repository: GitRepository, signers: readonly SshPublicKey[]) {
  return async (tip: Oid, signal: AbortSignal): Promise<Oid | { commit: Oid; problem: CratewrightError }> => {
    const commits = await repository.history({ tip, firstParent: true, limit: maxUnsigned }, signal)
    const oids = commits.map(({ oid }) => oid)
    const signatures = await repository.signatures(oids, signal)
    const index = signatures.findIndex(
      signature =>
        signature.state === 'good' && signers.some(({ fingerprint }) => fingerprint === signature.key.fingerprint),
    )
    if (index === 0) return tip
    const [newest] = signatures
    const why =
      newest?.state === 'good'
        ? `is signed by ${newest.key.fingerprint}, which cratewright.yaml does not list`
        : 'has no good SSH signature'
    const problem = new CratewrightError(
      'UntrustedCommit',
      `commit ${tip} of the platform repository ${why}: it is not applied`,
    )
    const commit = oids[index]
    if (commit === undefined) throw problem
    return { commit, problem }
  }
}

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
  return parsePrivateKey(text)
}

/** Who this is, across restarts: only the same instance resumes a step that it began. */
export async function instanceOf(folder: string): Promise<string> {
  const path = join(folder, 'instance')
  const present = await readFile(path, 'utf8').catch(() => '')
  if (present.trim() !== '') return present.trim()
  const made = randomUUID()
  await writeFileWhole(path, `${made}\n`, 0o600)
  return made
}

/** Where the tip of a Repository's records branch is remembered. */
export function tipMemory(folder: string, name: string): TipMemory {
  const path = join(folder, 'tips', `${name}.txt`)
  return {
    read: async () => (await readFile(path, 'utf8').catch(() => '')).trim() || undefined,
    write: async tip => {
      await mkdir(dirname(path), { recursive: true })
      await writeFileWhole(path, `${tip}\n`, 0o600)
    },
  }
}

/** The records branch that a Repository declares. Where it declares no signer, the controller's own key is the only one. */
export function recordsBranch(
  spec: RepositorySpec,
  repository: GitRepository,
  open: (url: string) => GitRepository,
  own: SshPublicKey,
  memory: TipMemory,
): RecordsBranch {
  const url = spec.records?.url ?? 'same'
  const ref = `refs/heads/${(spec.records?.branch ?? 'cratewright/records').replace(/^refs\/heads\//, '')}`
  const signers = (spec.records?.signers ?? []).map(signer => parsePublicKey(signer.key))
  const trust = {
    signers: signers.length > 0 ? signers : [own],
    root: spec.records?.root,
    accept: spec.records?.accept,
  }
  return new RecordsBranch(url === 'same' ? repository : open(url), ref, trust, memory)
}
