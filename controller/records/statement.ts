/** Statements: what a person signed. A statement counts for exactly one content, phase and moment of exactly one request. */

import type { PersonSpec, Statement } from '../../schemas/generated/types.ts'
import type { History } from '../engine/kind.ts'
import { sha256Hex } from '../runtime/canonical.ts'
import { asCratewrightError, type Problem } from '../runtime/errors.ts'
import { parsePublicKey, type SshPrivateKey, type SshPublicKey } from '../runtime/ssh-key.ts'
import { signSsh, verifySsh } from '../runtime/sshsig.ts'
import { validate } from '../schema/validate.ts'
import { parseYaml } from '../schema/yaml.ts'
import { yamlText } from '../schema/yaml-text.ts'
import { encodeEntry } from './log.ts'

export type { Statement }

/** The SSHSIG namespace: a signature made for anything else (a commit, a login) is none for a statement. */
export const statementNamespace = 'statement@cratewright.dev'

/** Bytes of a statement or its signature. */
export const maxStatementBytes = 16 * 1024

export interface StatementFile {
  /** Relative to the request's folder: `sign-offs/<digest16>/<phase>-<person>.yaml`. */
  readonly path: string
  readonly text: Uint8Array
  /** The armored signature beside it; undefined where there is none. */
  readonly signature: Uint8Array | undefined
}

export function formatStatement(statement: Statement): string {
  return yamlText(statement)
}

export function parseStatement(text: Uint8Array, file: string): { statement?: Statement; reason?: string } {
  const parsed = parseYaml(text, file, { bytes: maxStatementBytes })
  const document = parsed.documents[0]
  if (!document || parsed.documents.length > 1 || parsed.problems.length > 0) {
    return { reason: reasonOf(parsed.problems) ?? 'is not one YAML document' }
  }
  const { value, problems } = validate<Statement>('Statement', document)
  return value ? { statement: value } : { reason: reasonOf(problems) ?? 'is invalid' }
}

function reasonOf(problems: readonly Problem[]): string | undefined {
  const wrong = problems.find(({ severity }) => severity === 'error')
  if (wrong?.where?.line === undefined) return wrong?.message
  return `${wrong.message} (line ${wrong.where.line}, column ${wrong.where.column ?? 1})`
}

export function signStatement(key: SshPrivateKey, text: Uint8Array): string {
  return signSsh(key, statementNamespace, text)
}

export interface PersonInfo {
  readonly name: string
  readonly spec: PersonSpec & { readonly emailDigests?: readonly string[] }
}

/** What records hold of an address: enough to tell that two are the same, for who has one of them. */
export function addressDigest(email: string): string {
  return sha256Hex(`cratewright.dev/address\0${email.toLowerCase()}`)
}

/** A Person as the platform declares it has addresses; as records keep it, only their digests. */
export function addressesOf({ spec }: PersonInfo): ReadonlySet<string> {
  return new Set([...(spec.emails ?? []).map(addressDigest), ...(spec.emailDigests ?? [])])
}

const parsedKeys = new WeakMap<PersonSpec, readonly SshPublicKey[]>()

/** A key that cannot be read proves nothing for anybody; the platform's reader refuses it with its place. */
export function keysOf({ spec }: PersonInfo): readonly SshPublicKey[] {
  const known = parsedKeys.get(spec)
  if (known) return known
  const keys = (spec.keys ?? []).flatMap(line => {
    try {
      return [parsePublicKey(line)]
    } catch {
      return []
    }
  })
  parsedKeys.set(spec, keys)
  return keys
}

/** The person whose registered key this is. */
export function personOfKey(key: SshPublicKey, persons: readonly PersonInfo[]): PersonInfo | undefined {
  return persons.find(person => keysOf(person).some(({ fingerprint }) => fingerprint === key.fingerprint))
}

/** What a statement has to name in order to count. */
export interface Subject {
  readonly repository: string
  readonly project: string
  readonly phase: 'SignOff' | 'Disclosure' | 'Request'
  readonly release: number
  readonly generation: number
  readonly digests: Statement['digests']
  /** The entry that settled what is to be approved; a statement prepared before it is for something else. */
  readonly since: number
}

export type Reading =
  | {
      readonly state: 'sound'
      readonly statement: Statement
      readonly person: PersonInfo
      readonly fingerprint: string
      readonly sha256: string
    }
  | {
      readonly state: 'ignored'
      readonly reason: string
      readonly statement?: Statement
      /** The key that signed it: it is about this subject, and only who signed it is wrong. That is decided when it is first seen. */
      readonly signer?: string
    }

/** Is it well formed, signed by the person it names, and about this subject? Who may approve is decided elsewhere. */
export function readStatement(
  file: StatementFile,
  subject: Subject,
  history: History,
  persons: readonly PersonInfo[],
): Reading {
  const { statement, reason } = parseStatement(file.text, file.path)
  if (!statement) return { state: 'ignored', reason: `it cannot be read: ${reason}` }
  const ignored = (why: string): Reading => ({ state: 'ignored', reason: why, statement })
  const nobodys = ({ fingerprint }: SshPublicKey, reason: string): Reading =>
    subjectMismatch(statement, subject, history)
      ? { state: 'ignored', reason, statement }
      : { state: 'ignored', reason, statement, signer: fingerprint }
  if (!file.signature) return ignored('it is not signed: there is no .sig file beside it')
  let key: SshPublicKey
  try {
    key = verifySsh(Buffer.from(file.signature).toString('latin1'), statementNamespace, file.text)
  } catch (error) {
    return ignored(`its signature is not valid: ${asCratewrightError(error).message}`)
  }
  const person = personOfKey(key, persons)
  if (!person) return nobodys(key, `it is signed by a key that belongs to nobody registered (${key.fingerprint})`)
  if (person.name !== statement.person)
    return nobodys(key, `it names ${statement.person} and is signed by ${person.name}`)
  const mismatch = subjectMismatch(statement, subject, history)
  if (mismatch) return ignored(mismatch)
  return { state: 'sound', statement, person, fingerprint: key.fingerprint, sha256: sha256Hex(file.text) }
}

function subjectMismatch(statement: Statement, subject: Subject, history: History): string | undefined {
  if (statement.repository !== subject.repository) return `it is for repository ${statement.repository}`
  if (statement.project !== subject.project) return `it is for project ${statement.project}`
  if (statement.phase !== subject.phase)
    return `it is for phase ${statement.phase}, and the request waits for ${subject.phase}`
  if ((statement.release ?? 1) !== subject.release) return `it is for release ${statement.release ?? 1}`
  if (statement.generation !== subject.generation) {
    return `it is for generation ${statement.generation} of the request, which is now at ${subject.generation}: what was approved has changed since`
  }
  for (const name of ['request', 'scope', 'outputs'] as const) {
    if (statement.digests[name] !== subject.digests[name])
      return `its ${name} digest is not that of what is to be approved`
  }
  const { number, sha256 } = statement.log
  const entry = history.entries[number - 1]
  if (!entry || sha256Hex(encodeEntry(entry)) !== sha256) return `it names a log entry ${number} that never was`
  if (number < subject.since)
    return `it was prepared at log entry ${number}, before entry ${subject.since} settled what is to be approved`
  return undefined
}
