/** What changed between two contents of a request, in lines for people: the first thing that an approver of a renewed request reads. */

import { canonicalJson } from '../../runtime/canonical.ts'
import type { RequestDocuments } from './documents.ts'
import type { ScopeTable } from './state.ts'

/** Lines that are kept; an approver who needs more reads the commits. */
const maxLines = 100
/** Characters of one value. */
const maxValue = 120

/** How the things in a list are told apart: by these fields, or by where they stand. */
const names = ['name', 'username', 'resource_type', 'host'] as const

/** One line for each value that came, went or changed: `governance.purpose: "a" -> "b"`. */
export function changesBetween(before: RequestDocuments, after: RequestDocuments): string[] {
  const parts = (documents: RequestDocuments) => {
    const { governance, ingress, deployment, config } = documents
    return flatten({ governance, ingress, deployment, config })
  }
  return differences(parts(before), parts(after))
}

/** The same for what the request resolves to: tables, kinds, columns and types as the source has them. */
export function scopeChanges(before: readonly ScopeTable[], after: readonly ScopeTable[]): string[] {
  const parts = (tables: readonly ScopeTable[]) =>
    new Map(
      tables.flatMap(({ dataset, schema, table, kind, columns }) => {
        const path = `source.${dataset}.${schema}.${table}`
        return [[path, kind] as const, ...columns.map(({ name, type }) => [`${path}.${name}`, type] as const)]
      }),
    )
  return differences(parts(before), parts(after))
}

function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const lines: string[] = []
  // What is said of people is said by field: these lines stay in the log, and the documents do not have to.
  const shown = (path: string, value: string) => (path.startsWith('governance.users[') ? '' : `: ${value}`)
  for (const [path, value] of before) {
    const now = after.get(path)
    if (now === undefined) lines.push(`removed ${path}${shown(path, short(value))}`)
    else if (now !== value) lines.push(`changed ${path}${shown(path, `${short(value)} -> ${short(now)}`)}`)
  }
  for (const [path, value] of after) if (!before.has(path)) lines.push(`added   ${path}${shown(path, short(value))}`)
  const more = lines.length - maxLines
  return more > 0 ? [...lines.slice(0, maxLines), `and ${more} more`] : lines
}

/** Every value by its path; the things of a list by their names, so that one that moved is no change. */
function flatten(value: unknown, path = '', found = new Map<string, string>()): Map<string, string> {
  if (Array.isArray(value)) {
    const seen = new Map<string, number>()
    for (const [index, item] of value.entries()) {
      const label = labelOf(item) ?? String(index)
      const times = (seen.get(label) ?? 0) + 1
      seen.set(label, times)
      flatten(item, `${path}[${times > 1 ? `${label} #${times}` : label}]`, found)
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, path === '' ? key : `${path}.${key}`, found)
  } else if (value !== undefined) found.set(path, typeof value === 'string' ? value : canonicalJson(value))
  return found
}

function labelOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined
  const key = names.find(name => typeof (item as Record<string, unknown>)[name] === 'string')
  return key && String((item as Record<string, unknown>)[key])
}

function short(value: string): string {
  return JSON.stringify(value.length > maxValue ? `${value.slice(0, maxValue)}…` : value)
}
