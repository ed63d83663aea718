/**
 * Key blobs (RFC 4253 §6.6) as what Node's crypto takes: Ed25519 (RFC 8709), ECDSA (RFC 5656), RSA, and the keys that never
 * leave a security key (OpenSSH's PROTOCOL.u2f).
 */

import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto'
import { CratewrightError } from './errors.ts'
import { type Refuse, WireReader } from './ssh-wire.ts'

/** RFC 5656 §6.2.1 binds the hash to the size of the curve. `size`: bytes of a coordinate. */
export const curves = {
  nistp256: { jwk: 'P-256', size: 32, hash: 'sha256' },
  nistp384: { jwk: 'P-384', size: 48, hash: 'sha384' },
  nistp521: { jwk: 'P-521', size: 66, hash: 'sha512' },
} as const

export type Curve = (typeof curves)[keyof typeof curves]

/** What Node's crypto needs to use a key, by the scheme of its signatures. `application`: only of a key on a security key. */
export type KeyMaterial =
  | { readonly scheme: 'ed25519'; readonly jwk: webcrypto.JsonWebKey; readonly application?: string }
  | {
      readonly scheme: 'ecdsa'
      readonly jwk: webcrypto.JsonWebKey
      readonly curve: Curve
      readonly application?: string
    }
  | { readonly scheme: 'rsa'; readonly jwk: webcrypto.JsonWebKey; readonly size: number }

/** The types of keys on security keys. */
const onDevice: ReadonlyMap<string, 'ed25519' | 'ecdsa'> = new Map([
  ['sk-ssh-ed25519@openssh.com', 'ed25519'],
  ['sk-ecdsa-sha2-nistp256@openssh.com', 'ecdsa'],
])

export function isOnDevice(type: string): boolean {
  return onDevice.has(type)
}

/** The largest RSA key that OpenSSH accepts (`SSHBUF_MAX_BIGNUM`): 16384 bits. */
export const maxRsaBytes = 2048
/** NIST SP 800-131A: shorter RSA keys are no longer accepted. */
const minRsaBits = 2048

/** Reads a key blob. The point of an ECDSA key is checked when it is imported. */
export function readMaterial(blob: Uint8Array): { type: string; material: KeyMaterial } {
  const refuse = refusal('this public key')
  const reader = new WireReader(blob, refuse)
  const type = reader.name()
  const material = readFields(type, reader, refuse)
  reader.end()
  return { type, material }
}

function readFields(type: string, reader: WireReader, refuse: Refuse): KeyMaterial {
  if (type === 'ssh-ed25519') return readEd25519(reader.string(), refuse)
  const device = onDevice.get(type)
  if (device === 'ed25519') {
    const material = readEd25519(reader.string(), refuse)
    return { ...material, application: readApplication(reader, refuse) }
  }
  if (device === 'ecdsa') {
    if (reader.name() !== 'nistp256') throw refuse('it names two different curves')
    const material = readPoint(curves.nistp256, reader.string(), refuse)
    return { ...material, application: readApplication(reader, refuse) }
  }
  if (type === 'ssh-rsa') {
    const e = reader.positive(8)
    const n = reader.positive(maxRsaBytes)
    if (n.length * 8 - Math.clz32(n[0]!) + 24 < minRsaBits) throw refuse(`its RSA key is under ${minRsaBits} bits`)
    if (n.at(-1)! % 2 === 0 || e.at(-1)! % 2 === 0 || e.equals(Buffer.of(1)))
      throw refuse('its numbers are not an RSA key')
    return {
      scheme: 'rsa',
      size: n.length,
      jwk: { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') },
    }
  }
  if (type.startsWith('ecdsa-sha2-')) {
    const name = type.slice('ecdsa-sha2-'.length)
    const curve = Object.hasOwn(curves, name) ? curves[name as keyof typeof curves] : undefined
    if (curve !== undefined) {
      if (reader.name() !== name) throw refuse('it names two different curves')
      return readPoint(curve, reader.string(), refuse)
    }
  }
  const shown = type.length > 64 ? `${type.slice(0, 64)}…` : type
  throw refuse(
    `the type “${shown}” is not supported; use ssh-ed25519, ecdsa-sha2-nistp256/384/521, ssh-rsa or a security key’s (sk-…)`,
  )
}

function readEd25519(x: Buffer, refuse: Refuse) {
  if (x.length !== 32) throw refuse('it has not the length of an Ed25519 key')
  refuseWeakPoint(x, refuse)
  return { scheme: 'ed25519', jwk: { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') } } as const
}

/** Keys made for websites have a host here: what such a key signs for a login must not count as an approval. */
function readApplication(reader: WireReader, refuse: Refuse): string {
  const application = reader.name()
  if (!application.startsWith('ssh:')) throw refuse('it is a security key’s for something else than SSH')
  return application
}

/** Of Curve25519: the prime (RFC 8032 §5.1), and the y of the points of order 8. */
const prime = 2n ** 255n - 19n
const yOfOrder8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n
const weak: ReadonlySet<bigint> = new Set([0n, 1n, prime - 1n, yOfOrder8, prime - yOfOrder8])

/**
 * Anyone can sign for a point of order 1, 2, 4 or 8, so its owner could deny every approval. ssh-keygen 9.2 and OpenSSL 3.0 take it.
 * A y of the prime or more is a second encoding (RFC 8032 §5.1.3).
 */
function refuseWeakPoint(point: Buffer, refuse: Refuse): void {
  const bigEndian = Buffer.from(point).reverse()
  bigEndian[0] = bigEndian[0]! & 0x7f
  const y = BigInt(`0x${bigEndian.toString('hex')}`)
  if (y >= prime || weak.has(y)) throw refuse('anyone could sign with it')
}

/** RFC 5656 §3.1 allows compressed points; OpenSSH does not, and neither form should get a second fingerprint. */
function readPoint(curve: Curve, point: Buffer, refuse: Refuse) {
  const { size } = curve
  if (point.length !== 1 + 2 * size || point[0] !== 4) throw refuse('its point is not in uncompressed form')
  const x = point.subarray(1, 1 + size).toString('base64url')
  const y = point.subarray(1 + size).toString('base64url')
  return { scheme: 'ecdsa', curve, jwk: { kty: 'EC', crv: curve.jwk, x, y } } as const
}

export function importPublic(material: KeyMaterial): KeyObject {
  try {
    return createPublicKey({ key: material.jwk, format: 'jwk' })
  } catch (cause) {
    throw new CratewrightError('KeyInvalid', 'this public key cannot be used: its numbers are no key', { cause })
  }
}

export function refusal(what: string): Refuse {
  return reason => new CratewrightError('KeyInvalid', `${what} cannot be used: ${reason}`)
}

export function leftPad(bytes: Buffer, length: number): Buffer {
  return Buffer.concat([Buffer.alloc(length - bytes.length), bytes])
}
