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
import { importPublic, type KeyMaterial, leftPad, maxRsaBytes, readMaterial, refusal } from './ssh-key-blob.ts'
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
  const refuse: Refuse = reason => new CratewrightError('SignatureInvalid', `the signature cannot be read: ${reason}`)
  const reader = new WireReader(signatureBlob, refuse)
  const algorithm = reader.name()
  const signature = reader.string()
  reader.end()

  const { material } = readMaterial(key.blob)
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

/** @throws CratewrightError KeyInvalid; KeyEncrypted where it needs a passphrase. Neither holds a part of the key. */
export function parsePrivateKey(text: string): SshPrivateKey {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text.slice(0, 4096))) throw encrypted()
  const reader = new WireReader(unarmor(label, text, refusePrivate), refusePrivate)
  if (reader.raw(magic.length).toString('latin1') !== magic) throw refusePrivate('its format is not openssh-key-v1')
  const cipher = reader.name()
  const kdf = reader.name()
  const kdfOptions = reader.string()
  if (cipher !== 'none' || kdf !== 'none') throw encrypted()
  if (kdfOptions.length !== 0) throw refusePrivate('it has options for a cipher it does not name')
  if (reader.uint32() !== 1) throw refusePrivate('it holds more or less than one key')
  const blob = reader.string()
  const secret = reader.string()
  reader.end()

  const { type, material } = readMaterial(blob)
  const jwk = readSecret(secret, type, material)
  const key = usable(publicKeyFromBlob(blob), material, jwk)
  // A public part that is another key's would make signatures that nobody can check.
  const trial = randomBytes(32)
  if (!verifySignature(key.public, trial, key.sign(trial)))
    throw refusePrivate('its private and public parts do not match')
  return key
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

function encrypted(): CratewrightError {
  return new CratewrightError('KeyEncrypted', 'this private key is protected by a passphrase')
}

/** The private fields, which repeat the public ones, as a JWK. */
function readSecret(secret: Buffer, type: string, material: KeyMaterial): webcrypto.JsonWebKey {
  const reader = new WireReader(secret, refusePrivate)
  const check = reader.uint32()
  if (reader.uint32() !== check) throw refusePrivate('its check numbers differ')
  if (reader.name() !== type) throw refusePrivate('its private and public parts do not match')
  const jwk = readNumbers(reader, material)
  reader.string()
  const padding = reader.remaining()
  if (padding.length >= 8 || padding.some((byte, index) => byte !== index + 1))
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
