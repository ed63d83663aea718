/** A security key in software: what PROTOCOL.u2f says that a device answers, byte by byte, with Node's crypto. */

import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { publicKeyFromBlob, type SshPublicKey } from '../../controller/runtime/ssh-key.ts'
import { wirePositive, wireString, wireUint32 } from '../../controller/runtime/ssh-wire.ts'

export const deviceTypes = ['sk-ssh-ed25519@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com'] as const
export type DeviceType = (typeof deviceTypes)[number]

export interface Touch {
  readonly flags?: number
  readonly counter?: number
  /** For which application the device signs, whatever the key says. */
  readonly application?: string
}

export interface Authenticator {
  readonly blob: Buffer
  readonly public: SshPublicKey
  /** The line of the .pub file. */
  readonly line: string
  /** `string algorithm, string signature, byte flags, uint32 counter` */
  sign(data: Uint8Array, touch?: Touch): Buffer
}

export function deviceBlob(type: DeviceType, point: Uint8Array, application: string): Buffer {
  const curve = type.startsWith('sk-ecdsa') ? [wireString('nistp256')] : []
  return Buffer.concat([wireString(type), ...curve, wireString(point), wireString(application)])
}

export function makeAuthenticator(type: DeviceType, application = 'ssh:'): Authenticator {
  const ed25519 = type === 'sk-ssh-ed25519@openssh.com'
  const { privateKey } = ed25519
    ? generateKeyPairSync('ed25519')
    : generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const { x = '', y = '' } = privateKey.export({ format: 'jwk' })
  const numbers = [x, y].map(part => Buffer.from(part, 'base64url')) as [Buffer, Buffer]
  const blob = deviceBlob(type, ed25519 ? numbers[0] : Buffer.concat([Buffer.of(4), ...numbers]), application)
  return {
    blob,
    public: publicKeyFromBlob(blob),
    line: `${type} ${blob.toString('base64')} of a device`,
    sign(data, { flags = 1, counter = 7, application: signedFor = application } = {}) {
      const state = Buffer.concat([Buffer.of(flags), wireUint32(counter)])
      const message = Buffer.concat([sha256(signedFor), state, sha256(data)])
      const raw = ed25519
        ? sign(null, message, privateKey)
        : sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
      const signature = ed25519
        ? raw
        : Buffer.concat([wirePositive(raw.subarray(0, 32)), wirePositive(raw.subarray(32))])
      return Buffer.concat([wireString(type), wireString(signature), state])
    },
  }
}

function sha256(data: string | Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}
