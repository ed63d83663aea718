/**
 * The log of one resource: append-only files that name each other by digest. It is the only thing on a records branch that
 * is not derived; phase, crate, bag and prepared statements follow from it.
 */

import type { BranchEntry, Classes } from '../../schemas/generated/types.ts'
import type { EntryDraft, History, LogEntry } from '../engine/kind.ts'
import { canonicalJson, sha256Hex } from '../runtime/canonical.ts'
import type { SourceDocument } from '../schema/text.ts'
import { validate } from '../schema/validate.ts'
import { parseYaml } from '../schema/yaml.ts'

/** What the first entry names as the one before it. */
export const genesis = '0'.repeat(64)

export const emptyHistory: History = { entries: [], head: genesis, open: undefined, holder: undefined }

/** Bytes an entry may have; a request with ten thousand tables stays below. */
export const maxEntryBytes = 8 * 1024 * 1024

export function entryFile({ number, action, event }: Pick<LogEntry, 'number' | 'action' | 'event'>): string {
  return `${String(number).padStart(6, '0')}-${action}-${event}.json`
}

/** RFC 8785 JSON and a line feed. */
export function encodeEntry(entry: LogEntry | BranchEntry): Uint8Array {
  return Buffer.from(`${canonicalJson(entry)}\n`)
}

export interface EntryFrame {
  readonly time: Date
  readonly instance: string
  readonly actor: LogEntry['actor']
  readonly repository: string
  readonly project: string
}

/** The entry that a draft becomes behind this history. */
export function entryOf(history: History, draft: EntryDraft, frame: EntryFrame): LogEntry {
  const { time, ...rest } = frame
  const entry = {
    log: 'cratewright.dev/log/v1',
    number: history.entries.length + 1,
    previous: history.head,
    time: latest(time.toISOString(), history.entries.at(-1)?.time),
    ...rest,
    ...draft,
  }
  // As it is read from the log later, its keys in the same order: what is projected from it now and then is the same to the byte.
  return JSON.parse(canonicalJson(entry)) as LogEntry
}

export function appended(history: History, entry: LogEntry): History {
  const ofOpen = history.open !== undefined && entry.started === history.open.number
  const entries = [...history.entries, entry]
  const head = sha256Hex(encodeEntry(entry))
  if (entry.event === 'started') return { entries, head, open: entry, holder: entry.instance }
  if (entry.event === 'outcome' && ofOpen) return { entries, head, open: undefined, holder: undefined }
  const taken = entry.action === 'take-over' && ofOpen
  return { entries, head, open: history.open, holder: taken ? entry.instance : history.holder }
}

/** The history as it was right behind entry `number`. */
export function historyUpTo(history: History, number: number): History {
  return history.entries.slice(0, number).reduce(appended, emptyHistory)
}

/**
 * Reads a log folder. `problems` says, by file, everything that makes it no log: gaps, broken chain, changed bytes, entries
 * that do not follow the schema, outcomes without a start. With problems the history ends before the first of them.
 */
export function readLog(files: ReadonlyMap<string, Uint8Array>): { history: History; problems: string[] } {
  const problems: string[] = []
  let history: History = emptyHistory
  for (const name of [...files.keys()].sort()) {
    const content = files.get(name) ?? new Uint8Array()
    const expected = history.entries.length + 1
    const number = /^(\d{6,})-/.exec(name)?.[1]
    if (number === undefined || !name.endsWith('.json')) {
      problems.push(`${name}: is not a log entry`)
      continue
    }
    if (Number(number) !== expected && problems.length === 0) {
      problems.push(
        Number(number) > expected
          ? `entry ${expected} is missing before ${name}`
          : `${name}: there is another entry ${number}`,
      )
    }
    const { entry, reason } = decodeEntry(name, content)
    if (!entry) {
      problems.push(`${name}: ${reason}`)
      continue
    }
    if (problems.length > 0) continue
    const defect = linkDefect(history, entry)
    if (defect) problems.push(`${name}: ${defect}`)
    else history = appended(history, entry)
  }
  return { history, problems }
}

/** Why an entry, once written, could not be read as part of this log again (a NUL in a text, too deep); undefined: it could. */
export function whyUnreadable(history: History, entry: LogEntry): string | undefined {
  return decodeEntry(entryFile(entry), encodeEntry(entry)).reason ?? linkDefect(history, entry)
}

function decodeEntry(name: string, content: Uint8Array): { entry?: LogEntry; reason?: string } {
  return decodeCanonical('LogEntry', name, content, entryFile)
}

/** A file in canonical JSON of a class of the schema, which says its own name. */
export function decodeCanonical<Name extends 'LogEntry' | 'BranchEntry'>(
  type: Name,
  name: string,
  content: Uint8Array,
  fileOf: (entry: Classes[Name]) => string,
): { entry?: Classes[Name]; reason?: string } {
  const quick = plainJson(content, name)
  const parsed = quick ? undefined : parseYaml(content, name, { bytes: maxEntryBytes, nodes: 2_000_000 })
  const document = quick ?? parsed?.documents[0]
  if (!document || (parsed?.problems.length ?? 0) > 0) return { reason: parsed?.problems[0]?.message ?? 'is empty' }
  const { value, problems } = validate<Classes[Name]>(type, document)
  if (!value) return { reason: problems[0]?.message ?? 'is not a log entry' }
  if (!Buffer.from(content).equals(encodeEntry(value))) return { reason: 'its bytes are not canonical' }
  if (fileOf(value) !== name) return { reason: `says that it is ${fileOf(value)}` }
  return { entry: value }
}

/** Entries that everybody reads alike, and ten times faster; what is odd in any way goes to the parser that has limits. */
const odd = /\\u|[^\x20-\x7e\n]|__proto__|\d{16}|[:,[]-?\d[\d.]*[eE]/
const quickBytes = 256 * 1024

/** Undefined: odd. The bytes are compared with the canonical form afterwards, so that doubled keys and spaces show. */
function plainJson(content: Uint8Array, file: string): SourceDocument | undefined {
  const text = content.byteLength > quickBytes ? '' : Buffer.from(content).toString('latin1')
  if (text === '' || odd.test(text) || deepest(text) > 32) return undefined
  try {
    return { value: JSON.parse(text), at: () => ({ file }) }
  } catch {
    return undefined
  }
}

function deepest(text: string): number {
  let depth = 0
  let most = 0
  for (const character of text.replace(/"(?:[^"\\]|\\.)*"/g, '')) {
    if (character === '{' || character === '[') most = Math.max(most, ++depth)
    else if (character === '}' || character === ']') depth--
  }
  return most
}

function linkDefect(history: History, entry: LogEntry): string | undefined {
  if (entry.previous !== history.head) {
    const before = history.entries.at(-1)
    return before
      ? `names another entry than ${entryFile(before)} as the one before it`
      : 'names an entry before the first'
  }
  const last = history.entries.at(-1)
  if (last && entry.time < last.time) return 'is older than the entry before it'
  if (last && (entry.project !== last.project || entry.repository !== last.repository))
    return 'is of another project than the entry before it'
  if (entry.event === 'outcome' && (entry.started !== history.open?.number || entry.action !== history.open?.action))
    return 'is the outcome of a step that was not open'
  if (entry.action === 'take-over' && (!history.open || entry.started !== history.open.number))
    return 'takes over a step that was not open'
  if (entry.event === 'started' && history.open) return `starts a step while ${entryFile(history.open)} is open`
  return undefined
}

/** Canonical times never run backwards, whatever the clock does. */
export function latest(a: string, b: string | undefined): string {
  return b !== undefined && b > a ? b : a
}
