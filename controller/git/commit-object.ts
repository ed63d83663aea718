/** The bytes of a commit object: read as its author wrote them, and made. Format: git's object store, `git help hash-object`. */

import { CratewrightError } from '../runtime/errors.ts'
import { verifySsh } from '../runtime/sshsig.ts'
import type { Commit, CommitIdentity, CommitSignature, CommitSigner, Oid } from './repository.ts'

interface Header {
  readonly name: string
  readonly value: string
  /** With its continuation lines and line ends. */
  readonly raw: Buffer
}

export function parseCommit(oid: Oid, bytes: Buffer): Commit {
  const { headers, body } = split(bytes)
  const value = (name: string) => headers.find(header => header.name === name)?.value ?? ''
  const message = body.toString()
  return {
    oid,
    tree: value('tree'),
    parents: headers.filter(header => header.name === 'parent').map(header => header.value),
    author: identity(value('author')),
    time: Number(/> (\d+) [+-]\d{4}$/.exec(value('committer'))?.[1] ?? 0),
    message,
    coAuthors: [...message.matchAll(/^co-authored-by:[^<\n]*<([^<>\n]*)>/gim)].map(match => match[1]!.trim()),
  }
}

/** `oid` says which of the two signature headers counts: a commit may carry one for each object format. */
export function checkSignature(oid: Oid, bytes: Buffer): CommitSignature {
  const { headers, body } = split(bytes)
  const signatures = headers.filter(header => header.name === signatureHeader(oid))
  const [signature] = signatures
  if (!signature) return { state: 'none' }
  if (signatures.length > 1) return { state: 'bad', reason: 'the commit has more than one signature' }
  const armor = signature.value
  if (!armor.startsWith('-----BEGIN SSH SIGNATURE-----')) return { state: 'unsupported', format: formatOf(armor) }
  const kept = headers.filter(header => !header.name.startsWith('gpgsig')).map(header => header.raw)
  try {
    const key = verifySsh(armor, 'git', Buffer.concat([...kept, Buffer.from('\n'), body]))
    return { state: 'good', key }
  } catch (error) {
    if (error instanceof CratewrightError) return { state: 'bad', reason: error.message }
    throw error
  }
}

interface UnsignedCommit {
  readonly tree: Oid
  readonly parent: Oid | undefined
  readonly message: string
  readonly time: Date
  readonly identity: CommitIdentity
}

/** @throws ConfigInvalid for an identity that would break the format */
export function makeCommit({ sign, ...commit }: UnsignedCommit & { readonly sign: CommitSigner }): Buffer {
  const payload = commitPayload(commit)
  return withSignature(payload, sign(payload))
}

/** The bytes of a commit without its signature: what is signed. @throws ConfigInvalid as `makeCommit` */
export function commitPayload({ tree, parent, message, time, identity: { name, email } }: UnsignedCommit): Buffer {
  if (/[\x00-\x1f\x7f<>]/.test(name + email) || name.trim() === '' || email.trim() === '') {
    throw new CratewrightError(
      'ConfigInvalid',
      'the committer’s name or e-mail is empty or has a control character, < or >',
    )
  }
  const seconds = Math.floor(time.getTime() / 1000)
  if (!(seconds >= 0)) throw new RangeError('the time of a commit is invalid or before 1970')
  const who = `${name} <${email}> ${seconds} +0000`
  const head = `tree ${tree}\n${parent ? `parent ${parent}\n` : ''}author ${who}\ncommitter ${who}\n`
  // A NUL would hide the rest of the message from git.
  const body = `${message.replaceAll('\0', '\uFFFD').trimEnd()}\n`
  return Buffer.from(`${head}\n${body}`)
}

/** `payload`: of `commitPayload`. */
export function withSignature(payload: Buffer, armor: string): Buffer {
  const end = payload.indexOf('\n\n') + 1
  const tree = payload.toString('latin1', 'tree '.length, payload.indexOf('\n'))
  const header = `${signatureHeader(tree)} ${armor.trimEnd().replaceAll('\n', '\n ')}\n`
  return Buffer.concat([payload.subarray(0, end), Buffer.from(header), payload.subarray(end)])
}

function signatureHeader(oid: Oid): string {
  return oid.length === 64 ? 'gpgsig-sha256' : 'gpgsig'
}

function split(bytes: Buffer): { headers: Header[]; body: Buffer } {
  const headers: Header[] = []
  let at = 0
  while (at < bytes.length && bytes[at] !== 0x0a) {
    const start = at
    do at = endOfLine(bytes, at)
    while (bytes[at] === 0x20)
    const raw = bytes.subarray(start, at)
    const text = raw.toString().replace(/\n$/, '')
    const [name = ''] = text.split(' ', 1)
    const value = text.slice(name.length + 1).replaceAll('\n ', '\n')
    headers.push({ name, value, raw })
  }
  return { headers, body: bytes.subarray(at + 1) }
}

function endOfLine(bytes: Buffer, from: number): number {
  const end = bytes.indexOf(0x0a, from)
  return end < 0 ? bytes.length : end + 1
}

function identity(line: string): { name: string; email: string } {
  const [, name = '', email = ''] = /^([^<]*)<([^>]*)>/.exec(line) ?? []
  return { name: name.trim(), email: email.trim() }
}

function formatOf(armor: string): 'openpgp' | 'x509' | 'unknown' {
  if (/^-----BEGIN PGP (SIGNATURE|MESSAGE)-----/.test(armor)) return 'openpgp'
  return armor.startsWith('-----BEGIN SIGNED MESSAGE-----') ? 'x509' : 'unknown'
}
