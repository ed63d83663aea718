/**
 * bcrypt_pbkdf, by which OpenSSH makes a cipher's key from a passphrase: OpenBSD's bcrypt_pbkdf(3), over Blowfish (Schneier 1993).
 * Node's crypto has neither. Only for reading a key file: nothing here runs in constant time.
 */

import { createHash } from 'node:crypto'

const wordsOfP = 18
const wordsOfS = 4 * 256

/** `rounds`: ssh-keygen writes 16 or 24; about 10 ms each for every 32 bytes. */
export function bcryptPbkdf(passphrase: Uint8Array, salt: Uint8Array, length: number, rounds: number): Buffer {
  const key = Buffer.alloc(length)
  const blocks = Math.ceil(length / 32)
  const perBlock = Math.ceil(length / blocks)
  const hashedPassphrase = sha512(passphrase)
  for (let block = 0; block < blocks; block++) {
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(block + 1)
    let last = bcryptHash(hashedPassphrase, sha512(Buffer.concat([salt, counter])))
    const out = Buffer.from(last)
    for (let round = 1; round < rounds; round++) {
      last = bcryptHash(hashedPassphrase, sha512(last))
      for (let index = 0; index < out.length; index++) out[index] = out[index]! ^ last[index]!
    }
    // Unlike PBKDF2, the blocks are interleaved byte by byte.
    for (let index = 0; index < perBlock && index * blocks + block < length; index++)
      key[index * blocks + block] = out[index]!
  }
  return key
}

function bcryptHash(passphrase: Buffer, salt: Buffer): Buffer {
  const blowfish = new Blowfish()
  const [key, data] = [wordsOf(passphrase), wordsOf(salt)]
  blowfish.expand(key, data)
  for (let turn = 0; turn < 64; turn++) {
    blowfish.expand(data, undefined)
    blowfish.expand(key, undefined)
  }
  const text = wordsOf(Buffer.from('OxychromaticBlowfishSwatDynamite'))
  for (let at = 0; at < text.length; at += 2) {
    for (let turn = 0; turn < 64; turn++) blowfish.encipher(text, at)
  }
  const out = Buffer.alloc(32)
  text.forEach((word, index) => void out.writeUInt32LE(word, index * 4))
  return out
}

class Blowfish {
  /** P, and the four S behind it: in the order in which a key changes them. */
  readonly #state = initialState().slice()
  readonly #pair = new Uint32Array(2)

  /** The key schedule; with `data`, the salted one of bcrypt. */
  expand(key: Uint32Array, data: Uint32Array | undefined): void {
    const state = this.#state
    const pair = this.#pair.fill(0)
    for (let index = 0; index < wordsOfP; index++) state[index] = state[index]! ^ key[index % key.length]!
    for (let index = 0; index < state.length; index += 2) {
      if (data !== undefined) {
        pair[0] = pair[0]! ^ data[index % data.length]!
        pair[1] = pair[1]! ^ data[(index + 1) % data.length]!
      }
      this.encipher(pair, 0)
      state[index] = pair[0]!
      state[index + 1] = pair[1]!
    }
  }

  encipher(words: Uint32Array, at: number): void {
    const state = this.#state
    let left = words[at]! ^ state[0]!
    let right = words[at + 1]!
    for (let round = 1; round <= 16; round++) {
      const mixed =
        (((state[wordsOfP + (left >>> 24)]! + state[wordsOfP + 256 + ((left >>> 16) & 255)]!) ^
          state[wordsOfP + 512 + ((left >>> 8) & 255)]!) +
          state[wordsOfP + 768 + (left & 255)]!) |
        0
      const next = right ^ mixed ^ state[round]!
      right = left
      left = next
    }
    words[at] = right ^ state[17]!
    words[at + 1] = left
  }
}

let fractionOfPi: Uint32Array | undefined

/** Blowfish begins with the first bits of the fraction of π; made once, in about 20 ms, instead of a page of numbers. */
function initialState(): Uint32Array {
  if (fractionOfPi) return fractionOfPi
  const bits = BigInt((wordsOfP + wordsOfS) * 32)
  const guard = 64n
  const one = 1n << (bits + guard)
  // Machin: π = 16 arctan(1/5) − 4 arctan(1/239).
  const pi = (16n * arctanOfInverse(5n, one) - 4n * arctanOfInverse(239n, one)) >> guard
  const hex = (pi & ((1n << bits) - 1n)).toString(16).padStart(Number(bits) / 4, '0')
  fractionOfPi = wordsOf(Buffer.from(hex, 'hex'))
  return fractionOfPi
}

function arctanOfInverse(divisor: bigint, one: bigint): bigint {
  let power = one / divisor
  let sum = power
  for (let index = 3n; power !== 0n; index += 2n) {
    power = -power / (divisor * divisor)
    sum += power / index
  }
  return sum
}

function wordsOf(bytes: Buffer): Uint32Array {
  return Uint32Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32BE(index * 4))
}

function sha512(bytes: Uint8Array): Buffer {
  return createHash('sha512').update(bytes).digest()
}
