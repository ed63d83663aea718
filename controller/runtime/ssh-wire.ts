/**
 * The data types of RFC 4251 §5 and the text armor of OpenSSH. Bytes that were read are hostile: every length is checked
 * against what is there, and only the one encoding that the RFC allows is accepted, so that a key has one fingerprint.
 */

import type { CratewrightError } from './errors.ts'

/** Makes the error for a reason; the caller knows whether a key or a signature is being read. */
export type Refuse = (reason: string) => CratewrightError

export class WireReader {
  readonly #bytes: Buffer
  readonly #refuse: Refuse
  #offset = 0

  constructor(bytes: Uint8Array, refuse: Refuse) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#refuse = refuse
  }

  raw(length: number): Buffer {
    const end = this.#offset + length
    if (end > this.#bytes.length) throw this.#refuse('it ends too early')
    const part = this.#bytes.subarray(this.#offset, end)
    this.#offset = end
    return part
  }

  uint32(): number {
    return this.raw(4).readUInt32BE()
  }

  string(): Buffer {
    return this.raw(this.uint32())
  }

  /** A name of RFC 4251 §6: printable US-ASCII, so that it can be shown. */
  name(): string {
    const name = this.string().toString('latin1')
    if (!/^[!-~]{0,255}$/.test(name)) throw this.#refuse('a name in it is not printable ASCII')
    return name
  }

  /** A positive integer, big-endian without leading zeros, of at most `maxBytes`. */
  positive(maxBytes: number): Buffer {
    const bytes = this.string()
    const first = bytes[0] ?? 0
    const padded = first === 0
    if (bytes.length === 0 || first >= 0x80 || (padded && (bytes[1] ?? 0) < 0x80)) {
      throw this.#refuse('a number in it is not a positive integer in its shortest form')
    }
    const magnitude = padded ? bytes.subarray(1) : bytes
    if (magnitude.length > maxBytes) throw this.#refuse('a number in it is too large')
    return magnitude
  }

  remaining(): Buffer {
    return this.raw(this.#bytes.length - this.#offset)
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) throw this.#refuse('bytes follow after its end')
  }
}

export function wireUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function wireString(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([wireUint32(bytes.length), bytes])
}

/** `magnitude`: big-endian, any number of leading zeros. */
export function wirePositive(magnitude: Uint8Array): Buffer {
  const start = magnitude.findIndex(byte => byte !== 0)
  const bytes = start === -1 ? Buffer.alloc(0) : Buffer.from(magnitude.subarray(start))
  return wireString(bytes.length > 0 && bytes[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes)
}

/** Base64 without anything a lenient decoder would skip over; `undefined` where it is not. */
export function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** As OpenSSH writes it: 70 characters a line (`sshbuf_dtob64`), a newline at the end. */
export function armor(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,70}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/** Lines of any length and of either line ending are read; nothing but white space may stand around the armor. */
export function unarmor(label: string, text: string, refuse: Refuse): Buffer {
  if (text.length > 65_536) throw refuse('it is larger than 64 KiB')
  const begin = `-----BEGIN ${label}-----`
  const end = `-----END ${label}-----`
  const trimmed = text.trim()
  if (!trimmed.startsWith(begin)) throw refuse(`it does not begin with “${begin}”`)
  if (!trimmed.endsWith(end)) throw refuse(`it does not end with “${end}”`)
  const bytes = strictBase64(trimmed.slice(begin.length, -end.length).replace(/[\r\n]+/g, ''))
  if (bytes === undefined) throw refuse('the text inside is not base64')
  return bytes
}
