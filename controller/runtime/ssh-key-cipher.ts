/** The encrypted part of an OpenSSH private key file: PROTOCOL.key; ciphers as OpenSSH's cipher.c names them. */

import { createDecipheriv, timingSafeEqual } from 'node:crypto'
import { bcryptPbkdf } from './bcrypt-pbkdf.ts'
import { type Refuse, WireReader } from './ssh-wire.ts'

export interface KeyCipher {
  /** As Node's crypto calls it. */
  readonly node: string
  /** Bytes. */
  readonly key: number
  readonly iv: number
  readonly block: number
  /** Bytes behind the encrypted part that prove it unchanged; 0 where the cipher does not. */
  readonly tag: number
}

const ciphers: ReadonlyMap<string, KeyCipher> = new Map([
  ...(['128', '192', '256'] as const).flatMap(bits => {
    const sizes = { key: Number(bits) / 8, iv: 16, block: 16, tag: 0 }
    const modes = ['ctr', 'cbc'].map(mode => [`aes${bits}-${mode}`, { ...sizes, node: `aes-${bits}-${mode}` }] as const)
    const gcm = { ...sizes, node: `aes-${bits}-gcm`, iv: 12, tag: 16 }
    return [...modes, ...(bits === '192' ? [] : [[`aes${bits}-gcm@openssh.com`, gcm] as const])]
  }),
  ['3des-cbc', { node: 'des-ede3-cbc', key: 24, iv: 8, block: 8, tag: 0 }],
  ['chacha20-poly1305@openssh.com', { node: 'chacha20', key: 64, iv: 0, block: 8, tag: 16 }],
])

/** Some seconds of work; a file that asks for more is made to keep the machine busy. */
const maxRounds = 2000

export function cipherNamed(name: string, refuse: Refuse): KeyCipher {
  const cipher = ciphers.get(name)
  if (!cipher)
    throw refuse(`its cipher “${name}” is not supported; \`ssh-keygen -p -f <file>\` writes it with a usual one`)
  return cipher
}

/** The plain private part; undefined where the passphrase is wrong as far as the cipher can tell. */
export function decryptKey(
  cipher: KeyCipher,
  { kdf, kdfOptions }: { kdf: string; kdfOptions: Buffer },
  { encrypted, tag }: { encrypted: Buffer; tag: Buffer },
  passphrase: string,
  refuse: Refuse,
): Buffer | undefined {
  if (kdf !== 'bcrypt') throw refuse(`its way to make a key from a passphrase, “${kdf}”, is not supported`)
  if (encrypted.length === 0 || encrypted.length % cipher.block !== 0)
    throw refuse('its encrypted part has a wrong length')
  const options = new WireReader(kdfOptions, refuse)
  const salt = options.string()
  const rounds = options.uint32()
  options.end()
  if (salt.length === 0) throw refuse('it has no salt')
  if (rounds < 1 || rounds > maxRounds)
    throw refuse(
      `it asks for ${rounds} rounds, and may ask for 1 to ${maxRounds}; \`ssh-keygen -p -a 64 -f <file>\` changes that`,
    )
  const made = bcryptPbkdf(Buffer.from(passphrase), salt, cipher.key + cipher.iv, rounds)
  const [key, iv] = [made.subarray(0, cipher.key), made.subarray(cipher.key)]
  if (cipher.node === 'chacha20') return chachaPoly(key, encrypted, tag)
  if (cipher.tag > 0) {
    const gcm = createDecipheriv(cipher.node as 'aes-256-gcm', key, iv, { authTagLength: cipher.tag }).setAuthTag(tag)
    const plain = gcm.update(encrypted)
    try {
      return Buffer.concat([plain, gcm.final()])
    } catch {
      return undefined
    }
  }
  const decipher = createDecipheriv(cipher.node, key, iv).setAutoPadding(false)
  return Buffer.concat([decipher.update(encrypted), decipher.final()])
}

/** PROTOCOL.chacha20poly1305 with sequence number 0 and no length field: the second half of the key has no use. */
function chachaPoly(key: Buffer, encrypted: Buffer, tag: Buffer): Buffer | undefined {
  const stream = (block: number, bytes: Buffer) => {
    const iv = Buffer.alloc(16)
    iv.writeUInt32LE(block)
    return createDecipheriv('chacha20', key.subarray(0, 32), iv).update(bytes)
  }
  const tagHere = poly1305(stream(0, Buffer.alloc(32)), encrypted)
  return timingSafeEqual(tagHere, tag) ? stream(1, encrypted) : undefined
}

/** RFC 8439 §2.5, which Node's crypto has only as a part of AEAD_CHACHA20_POLY1305. */
function poly1305(key: Buffer, message: Buffer): Buffer {
  const littleEndian = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
  const r = littleEndian(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn
  let sum = 0n
  for (let at = 0; at < message.length; at += 16) {
    const block = message.subarray(at, at + 16)
    sum = ((sum + littleEndian(block) + (1n << BigInt(8 * block.length))) * r) % (2n ** 130n - 5n)
  }
  const tag = (sum + littleEndian(key.subarray(16))) & (2n ** 128n - 1n)
  return Buffer.from(tag.toString(16).padStart(32, '0'), 'hex').reverse()
}
