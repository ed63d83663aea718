/** Log lines on standard error: a static message and fields, so that lines can be counted; every line without known secrets. */

import { createLogger, format, type Logger, transports } from 'winston'
import { CratewrightError } from './errors.ts'
import type { Redactor } from './secrets.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A log whose lines all carry these fields. */
  child(fields: LogFields): Log
}

export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'text'
  readonly redactor: Redactor
}

const maxDepth = 6
const maxItems = 100
const maxString = 4096

export function createLog(options: LogOptions): Log {
  const logger = createLogger({
    level: options.level,
    format: format.combine(format.timestamp(), format.printf(options.format === 'json' ? asJson : asText)),
    transports: [new transports.Console({ stderrLevels: ['debug', 'info', 'warn', 'error'] })],
  })
  return logTo(logger, options.redactor, {})
}

/** For tests and for library use. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}

function logTo(logger: Logger, redactor: Redactor, bound: LogFields): Log {
  function line(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (!logger.isLevelEnabled(level)) return
    // In a field of its own: winston mixes what it is given with its own `level`, `message` and `stack`.
    logger.log({ level, message: redactor.redact(message), fields: shown({ ...bound, ...fields }, redactor, 0) })
  }
  return {
    debug: (message, fields) => line('debug', message, fields),
    info: (message, fields) => line('info', message, fields),
    warn: (message, fields) => line('warn', message, fields),
    error: (message, fields) => line('error', message, fields),
    child: fields => logTo(logger, redactor, { ...bound, ...fields }),
  }
}

/** A value as JSON can hold it, bounded and redacted. Of errors that are not ours the message is left out: it may hold data. */
function shown(value: unknown, redactor: Redactor, depth: number): unknown {
  if (typeof value === 'string') return clip(redactor.redact(value))
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || value === undefined) return value
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object') return typeof value
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString()
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (value instanceof CratewrightError) {
    const { code, message, where } = value
    return shown(where ? { code, message, where } : { code, message }, redactor, depth)
  }
  if (value instanceof Error) {
    const { code } = value as NodeJS.ErrnoException
    return shown(code === undefined ? { name: value.name } : { name: value.name, code }, redactor, depth)
  }
  if (depth >= maxDepth) return '…'
  if (Array.isArray(value)) return value.slice(0, maxItems).map(item => shown(item, redactor, depth + 1))
  const entries =
    value instanceof Map ? [...value] : value instanceof Set ? [...value].entries() : Object.entries(value)
  const pairs = [...entries].slice(0, maxItems).map(([key, item]) => {
    return [clip(redactor.redact(String(key))), shown(item, redactor, depth + 1)]
  })
  return Object.fromEntries(pairs)
}

function clip(text: string): string {
  return text.length > maxString ? `${text.slice(0, maxString)}…` : text
}

interface Line {
  readonly timestamp?: unknown
  readonly level: string
  readonly message: unknown
  readonly fields?: unknown
}

function asJson({ timestamp, level, message, fields }: Line): string {
  return JSON.stringify({ ...(fields as object), time: timestamp, level, message })
}

/** Control characters are escaped, so that no value can begin a line of its own or move the cursor. */
function asText({ timestamp, level, message, fields }: Line): string {
  const pairs = Object.entries(fields as object)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${plain(key)}=${plain(value)}`)
  const line = `${timestamp} ${level.padEnd(5)} ${message}${pairs.join('')}`
  return line.replace(
    /[\0-\x1f\x7f-\x9f\u2028\u2029]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function plain(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value)
}
