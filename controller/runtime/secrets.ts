/** Secrets are named in Git and read from here; what was read is kept out of every line that leaves the process. */

import { constants, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { CratewrightError } from './errors.ts'

export const redacted = '[redacted]'

/** Shorter values would blank out ordinary words. */
const minSecret = 4
/** What a Kubernetes Secret can hold. */
const maxSecretBytes = 1_048_576

/** Takes known secrets out of text. Add each value when it is read; what was written before is not changed by it. */
export class Redactor {
  readonly #forms = new Set<string>()

  /** Values under 4 characters are ignored. */
  add(secret: string): void {
    if (secret.length < minSecret) return
    for (const form of formsOf(secret)) if (form.length >= minSecret) this.#forms.add(form)
  }

  redact(text: string): string {
    let result = ''
    let end = 0
    for (const [from, to] of this.#found(text)) {
      // Overlapping finds are one: else the rest of the longer secret would stay readable.
      if (from >= end) result += text.slice(end, from) + redacted
      end = Math.max(end, to)
    }
    return result + text.slice(end)
  }

  #found(text: string): [number, number][] {
    const found: [number, number][] = []
    for (const form of this.#forms) {
      for (let at = text.indexOf(form); at !== -1; at = text.indexOf(form, at + 1)) found.push([at, at + form.length])
    }
    return found.sort((a, b) => a[0] - b[0])
  }
}

export interface SecretStore {
  /** @throws CratewrightError SecretNotFound, without any part of a value */
  read(name: string): Promise<string>
}

/** One file a secret, as Kubernetes mounts them (through symlinks). One newline at the end, as editors leave it, is cut. */
export function fileSecrets(folder: string, redactor: Redactor): SecretStore {
  return {
    async read(name) {
      checkName(name)
      const text = await readSecretFile(resolve(folder, name), name)
      return usable(name, text.replace(/\r?\n$/, ''), redactor)
    },
  }
}

/** `warehouse-password` is read from `<prefix>WAREHOUSE_PASSWORD`. */
export function environmentSecrets(
  prefix: string,
  redactor: Redactor,
  env: Readonly<Record<string, string | undefined>>,
): SecretStore {
  return {
    async read(name) {
      checkName(name)
      const variable = prefix + name.toUpperCase().replace(/[^A-Z0-9]/g, '_')
      const value = env[variable]
      if (value === undefined) throw notFound(name, `the environment variable ${variable} is not set`)
      return usable(name, value, redactor)
    },
  }
}

/** The names that Kubernetes allows for keys of a Secret; they cannot leave the folder. */
function checkName(name: string): void {
  if (!/^[A-Za-z0-9._-]{1,253}$/.test(name) || name === '.' || name.includes('..')) {
    throw notFound(name, 'a name holds only letters, digits, “.”, “_” and “-”, and no “..”')
  }
}

async function readSecretFile(path: string, name: string): Promise<string> {
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = await file.stat()
    if (!stat.isFile()) throw notFound(name, 'it is not a file')
    if (stat.size > maxSecretBytes) throw notFound(name, 'its file is larger than 1 MiB')
    const content = Buffer.alloc(stat.size)
    const { bytesRead } = await file.read(content, 0, content.length, 0)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content.subarray(0, bytesRead))
  } catch (error) {
    if (error instanceof CratewrightError) throw error
    const code = (error as NodeJS.ErrnoException).code
    throw notFound(
      name,
      code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8 text' : `reading it gives ${code}`,
    )
  }
}

function usable(name: string, value: string, redactor: Redactor): string {
  if (value === '') throw notFound(name, 'it is empty')
  redactor.add(value)
  return value
}

function notFound(name: string, reason: string): CratewrightError {
  return new CratewrightError(
    'SecretNotFound',
    `the secret ${JSON.stringify(name.slice(0, 253))} cannot be read: ${reason}`,
  )
}

/** How a secret looks inside URLs, JSON, and base64 such as the header of Basic authentication. */
function formsOf(secret: string): string[] {
  const text = secret.toWellFormed()
  const percent = encodeURIComponent(text)
  const form = new URLSearchParams([['', text]]).toString().slice(1)
  const escaped = JSON.stringify(text).slice(1, -1)
  const base64 = [0, 1, 2].flatMap(offset => base64Forms(Buffer.from(text), offset))
  return [secret, percent, percent.replace(/%../g, hex => hex.toLowerCase()), form, escaped, ...base64]
}

/**
 * Base64 of bytes that stand `offset` bytes after a multiple of 3, in both alphabets: only the characters that do not
 * depend on what stands before and after; for an offset of 0 also the whole.
 */
function base64Forms(bytes: Buffer, offset: number): string[] {
  const whole = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  const bits = (offset + bytes.length) * 8
  const inner = whole.slice(Math.ceil((offset * 8) / 6), Math.floor(bits / 6))
  const forms = offset === 0 ? [inner, whole, whole.replace(/=+$/, '')] : [inner]
  return forms.flatMap(form => [form, form.replaceAll('+', '-').replaceAll('/', '_')])
}
