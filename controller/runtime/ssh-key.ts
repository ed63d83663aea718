/** SSH keys, by Node's crypto: Ed25519 (RFC 8709), ECDSA (RFC 5656), RSA with SHA-2 (RFC 8332). */

import {
  constants,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
  type webcrypto,
} from 'node:crypto'
import { CratewrightError } from './errors.ts'
import {
  importPublic,
  isOnDevice,
  type KeyMaterial,
  leftPad,
  maxRsaBytes,
  readMaterial,
  refusal,
} from './ssh-key-blob.ts'
import { cipherNamed, decryptKey } from './ssh-key-cipher.ts'
import {
  armor,
  type Refuse,
  strictBase64,
  unarmor,
  WireReader,
  wirePositive,
  wireString,
  wireUint32,
} from './ssh-wire.ts'

export interface SshPublicKey {
  /** `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256` … */
  readonly type: string
  /** The key blob of RFC 4253 §6.6, as bytes. */
  readonly blob: Uint8Array
  /** `SHA256:` and unpadded base64, as ssh-keygen prints it. */
  readonly fingerprint: string
}

export interface SshPrivateKey {
  readonly public: SshPublicKey
  /** The signature blob of RFC 4253 §6.6: `string algorithm, string signature`. */
  sign(data: Uint8Array): Uint8Array
}

const maxLine = 16_384
const label = 'OPENSSH PRIVATE KEY'
const magic = 'openssh-key-v1\0'
const refusePrivate = refusal('this private key')

/**
 * One line as in `id_ed25519.pub`: type, base64, and a comment that is ignored.
 * @throws CratewrightError KeyInvalid
 */
export function parsePublicKey(line: string): SshPublicKey {
  const refuse = refusal('this public key')
  if (line.length > maxLine) throw refuse('it is too long')
  const trimmed = line.trim()
  if (trimmed.includes('PRIVATE KEY')) throw refuse('it is a private key')
  if (/[\r\n]/.test(trimmed)) throw refuse('it has more than one line')
  const [type = '', base64 = ''] = trimmed.split(/[ \t]+/)
  const blob = strictBase64(base64)
  if (blob === undefined || blob.length === 0) throw refuse('it is not a type followed by base64')
  const key = publicKeyFromBlob(blob)
  if (key.type !== type) throw refuse(`its first word is not its type, ${key.type}`)
  return key
}

/** @throws CratewrightError KeyInvalid, also for types without support and RSA keys under 2048 bits. */
export function publicKeyFromBlob(blob: Uint8Array): SshPublicKey {
  const bytes = Buffer.from(blob)
  const { type, material } = readMaterial(bytes)
  importPublic(material)
  const fingerprint = `SHA256:${createHash('sha256').update(bytes).digest('base64').replace(/=+$/, '')}`
  return { type, blob: bytes, fingerprint }
}

/** The line of `ssh-keygen -y`, without newline. */
export function formatPublicKey(key: SshPublicKey, comment?: string): string {
  const line = `${key.type} ${Buffer.from(key.blob).toString('base64')}`
  return comment ? `${line} ${comment}` : line
}

/**
 * Whether `signatureBlob` (`string algorithm, string signature`) is this key's signature of `data`.
 * @throws CratewrightError SignatureInvalid where the blob is malformed or its algorithm is not one for this key
 * (`ssh-rsa`, which means SHA-1, is for none); KeyInvalid where the key is.
 */
export function verifySignature(key: SshPublicKey, data: Uint8Array, signatureBlob: Uint8Array): boolean {
  return judgeSignature(key, data, signatureBlob).good
}

export interface Judgement {
  readonly good: boolean
  /** Whether the security key asked for its PIN or a fingerprint; undefined for other keys. */
  readonly userVerified?: boolean
}

/** As `verifySignature`, with what the signature of a security key tells besides. One made without a touch is refused. */
export function judgeSignature(key: SshPublicKey, data: Uint8Array, signatureBlob: Uint8Array): Judgement {
  const refuse: Refuse = reason => new CratewrightError('SignatureInvalid', `the signature cannot be read: ${reason}`)
  const reader = new WireReader(signatureBlob, refuse)
  const algorithm = reader.name()
  const signature = reader.string()
  const { material } = readMaterial(key.blob)
  const application = material.scheme === 'rsa' ? undefined : material.application
  if (application === undefined) {
    reader.end()
    return { good: signed(key, material, data, algorithm, signature, refuse) }
  }
  // PROTOCOL.u2f, “SSH U2F signatures”: flags and counter follow the signature, and are signed with it.
  const state = reader.raw(5)
  reader.end()
  const flags = state[0]!
  const message = Buffer.concat([sha256(application), state, sha256(data)])
  const good = signed(key, material, message, algorithm, signature, refuse)
  if (good && (flags & userPresent) === 0)
    throw new CratewrightError('SignatureInvalid', 'the signature was made without a touch of the security key')
  return { good, userVerified: good && (flags & userVerifiedFlag) !== 0 }
}

const userPresent = 0x01
const userVerifiedFlag = 0x04

function sha256(data: string | Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

function signed(
  key: SshPublicKey,
  material: KeyMaterial,
  data: Uint8Array,
  algorithm: string,
  signature: Buffer,
  refuse: Refuse,
): boolean {
  const publicKey = importPublic(material)
  const wrongAlgorithm = () => refuse(`its algorithm “${algorithm}” is not accepted for a key of type ${key.type}`)
  switch (material.scheme) {
    case 'ed25519':
      if (algorithm !== key.type) throw wrongAlgorithm()
      if (signature.length !== 64) throw refuse('it has not the length of an Ed25519 signature')
      return verify(null, data, publicKey, signature)
    case 'ecdsa': {
      if (algorithm !== key.type) throw wrongAlgorithm()
      const { size, hash } = material.curve
      const numbers = new WireReader(signature, refuse)
      const raw = Buffer.concat([leftPad(numbers.positive(size), size), leftPad(numbers.positive(size), size)])
      numbers.end()
      return verify(hash, data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw)
    }
    case 'rsa': {
      const hash = rsaHashes.get(algorithm)
      if (hash === undefined) throw wrongAlgorithm()
      if (signature.length > material.size) throw refuse('it is longer than its key')
      // RFC 8332 §3 asks for the full length, but some signers cut leading zeros; OpenSSH puts them back as well.
      const padded = leftPad(signature, material.size)
      return verify(hash, data, { key: publicKey, padding: constants.RSA_PKCS1_PADDING }, padded)
    }
  }
}

const rsaHashes: ReadonlyMap<string, string> = new Map([
  ['rsa-sha2-256', 'sha256'],
  ['rsa-sha2-512', 'sha512'],
])

/** What a private key file says of itself without its passphrase. Nothing proves that the public key belongs to it. */
export interface PrivateKeyFile {
  readonly public: SshPublicKey
  readonly encrypted: boolean
}

/** @throws CratewrightError KeyInvalid, KeyEncrypted as `parsePrivateKey` */
export function inspectPrivateKey(text: string): PrivateKeyFile {
  const { blob, cipher } = readContainer(text)
  return { public: publicKeyFromBlob(blob), encrypted: cipher !== undefined }
}

/**
 * A file as ssh-keygen writes it. A passphrase that the file does not need is ignored.
 * @throws CratewrightError KeyInvalid, also for a key that is kept on a security key; KeyEncrypted where it needs a passphrase or
 * another one. Neither holds a part of the key.
 */
export function parsePrivateKey(text: string, passphrase?: string): SshPrivateKey {
  const { blob, cipher, kdf, secret, tag } = readContainer(text)
  const { type, material } = readMaterial(blob)
  if (isOnDevice(type)) throw refusePrivate('it is kept on a security key, and the file holds only a handle of it')
  if (cipher && passphrase === undefined) throw encrypted('this private key is protected by a passphrase')
  const wrong = () => encrypted('this is not the passphrase of the private key')
  const plain = cipher ? decryptKey(cipher, kdf, { encrypted: secret, tag }, passphrase ?? '', refusePrivate) : secret
  if (plain === undefined) throw wrong()
  // Two equal numbers stand first so that a wrong passphrase shows (PROTOCOL.key §3).
  if (cipher && (plain.length < 8 || !plain.subarray(0, 4).equals(plain.subarray(4, 8)))) throw wrong()
  const jwk = readSecret(plain, type, material, cipher?.block ?? 8)
  const key = usable(publicKeyFromBlob(blob), material, jwk)
  // A public part that is another key's would make signatures that nobody can check.
  const trial = randomBytes(32)
  if (!verifySignature(key.public, trial, key.sign(trial)))
    throw refusePrivate('its private and public parts do not match')
  return key
}

/** PROTOCOL.key §1 and §2. `cipher` undefined: the private part is not encrypted. */
function readContainer(text: string) {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text.slice(0, 4096)))
    throw encrypted(
      'this private key is protected by a passphrase in the older PEM format, which is not read',
      'Convert it with `ssh-keygen -p -f <file>`.',
    )
  const reader = new WireReader(unarmor(label, text, refusePrivate), refusePrivate)
  if (reader.raw(magic.length).toString('latin1') !== magic) throw refusePrivate('its format is not openssh-key-v1')
  const cipherName = reader.name()
  const kdf = { kdf: reader.name(), kdfOptions: reader.string() }
  const cipher = cipherName === 'none' ? undefined : cipherNamed(cipherName, refusePrivate)
  if (cipher === undefined && (kdf.kdf !== 'none' || kdf.kdfOptions.length !== 0))
    throw refusePrivate('it has options for a cipher it does not name')
  if (reader.uint32() !== 1) throw refusePrivate('it holds more or less than one key')
  const blob = reader.string()
  const secret = reader.string()
  const tag = reader.raw(cipher?.tag ?? 0)
  reader.end()
  return { blob, cipher, kdf, secret, tag }
}

/** An Ed25519 key pair as ssh-keygen writes it: the text of the private file, and the line of the public one. */
export function generateKey(comment: string): { private: string; public: string } {
  if (!/^[^\p{Cc}\u2028\u2029]{0,200}$/u.test(comment)) {
    throw new CratewrightError('UsageInvalid', 'the comment of a key is one line of at most 200 characters')
  }
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const seed = Buffer.from(jwk.d!, 'base64url')
  const point = Buffer.from(jwk.x!, 'base64url')
  const blob = Buffer.concat([wireString('ssh-ed25519'), wireString(point)])
  const check = randomBytes(4)
  const fields = [check, check, blob, wireString(Buffer.concat([seed, point])), wireString(comment)]
  const secret = pad(Buffer.concat(fields))
  const none = [wireString('none'), wireString('none'), wireString('')]
  const file = Buffer.concat([Buffer.from(magic), ...none, wireUint32(1), wireString(blob), wireString(secret)])
  const line = `ssh-ed25519 ${blob.toString('base64')}`
  return { private: armor(label, file), public: comment ? `${line} ${comment}` : line }
}

function encrypted(message: string, todo?: string): CratewrightError {
  return new CratewrightError('KeyEncrypted', message, todo === undefined ? {} : { todo })
}

/** The private fields, which repeat the public ones, as a JWK. */
function readSecret(secret: Buffer, type: string, material: KeyMaterial, block: number): webcrypto.JsonWebKey {
  const reader = new WireReader(secret, refusePrivate)
  const check = reader.uint32()
  if (reader.uint32() !== check) throw refusePrivate('its check numbers differ')
  if (reader.name() !== type) throw refusePrivate('its private and public parts do not match')
  const jwk = readNumbers(reader, material)
  reader.string()
  const padding = reader.remaining()
  if (padding.length >= block || padding.some((byte, index) => byte !== index + 1))
    throw refusePrivate('its padding is wrong')
  return jwk
}

function readNumbers(reader: WireReader, material: KeyMaterial): webcrypto.JsonWebKey {
  switch (material.scheme) {
    case 'ed25519': {
      reader.string()
      const pair = reader.string()
      if (pair.length !== 64) throw refusePrivate('it has not the length of an Ed25519 key')
      return { ...material.jwk, d: base64url(pair.subarray(0, 32)) }
    }
    case 'ecdsa': {
      reader.string()
      reader.string()
      const { size } = material.curve
      const d = reader.positive(size)
      return { ...material.jwk, d: base64url(leftPad(d, size)) }
    }
    case 'rsa': {
      reader.positive(maxRsaBytes)
      reader.positive(maxRsaBytes)
      const [d, qi, p, q] = [1, 2, 3, 4].map(() => reader.positive(maxRsaBytes)) as [Buffer, Buffer, Buffer, Buffer]
      const [dp, dq] = [remainder(d, p), remainder(d, q)]
      const numbers = { d, qi, p, q, dp, dq }
      return { ...material.jwk, ...Object.fromEntries(Object.entries(numbers).map(([k, v]) => [k, base64url(v)])) }
    }
  }
}

/** d mod (p − 1): RFC 8017 §3.2 wants it, the OpenSSH format leaves it out. */
function remainder(d: Buffer, p: Buffer): Buffer {
  const modulus = integer(p) - 1n
  if (modulus < 1n) throw refusePrivate('its numbers are not an RSA key')
  const hex = (integer(d) % modulus).toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
}

function integer(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`)
}

function base64url(bytes: Buffer): string {
  return bytes.toString('base64url')
}

function usable(publicKey: SshPublicKey, material: KeyMaterial, jwk: webcrypto.JsonWebKey): SshPrivateKey {
  const key = attempt(() => createPrivateKey({ key: jwk, format: 'jwk' }))
  switch (material.scheme) {
    case 'ed25519':
      return {
        public: publicKey,
        sign: data =>
          signatureBlob(
            publicKey.type,
            attempt(() => sign(null, data, key)),
          ),
      }
    case 'ecdsa': {
      const { size, hash } = material.curve
      return {
        public: publicKey,
        sign(data) {
          const raw = attempt(() => sign(hash, data, { key, dsaEncoding: 'ieee-p1363' }))
          const numbers = [wirePositive(raw.subarray(0, size)), wirePositive(raw.subarray(size))]
          return signatureBlob(publicKey.type, Buffer.concat(numbers))
        },
      }
    }
    case 'rsa':
      return {
        public: publicKey,
        sign(data) {
          const padding = constants.RSA_PKCS1_PADDING
          return signatureBlob(
            'rsa-sha2-512',
            attempt(() => sign('sha512', data, { key, padding })),
          )
        },
      }
  }
}

/** Without the cause: what OpenSSL says of a private key is not for logs. */
function attempt<T>(work: () => T): T {
  try {
    return work()
  } catch {
    throw refusePrivate('its numbers are no key')
  }
}

function signatureBlob(algorithm: string, signature: Uint8Array): Uint8Array {
  return Buffer.concat([wireString(algorithm), wireString(signature)])
}

/** `PROTOCOL.key`: 1, 2, 3 … up to the block size, which is 8 for the cipher `none`. */
function pad(bytes: Buffer): Buffer {
  const missing = (8 - (bytes.length % 8)) % 8
  return Buffer.concat([bytes, Buffer.from(Array.from({ length: missing }, (_, index) => index + 1))])
}
