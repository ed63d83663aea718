/** Fills in what LinkML's `ifabsent` says. Digests are over documents as written: only what acts on a document uses this. */

import type { Classes, Defaults } from '../../schemas/generated/types.ts'
import { definitionOf, type Schema } from './registry.ts'

/** The class with its defaults filled in. Those of fields inside fields are there too, though the type does not say so. */
export type Defaulted<Name extends keyof Classes> = Name extends keyof Defaults
  ? Classes[Name] & { readonly [Field in Defaults[Name] & keyof Classes[Name]]-?: NonNullable<Classes[Name][Field]> }
  : Classes[Name]

/** A copy, at every depth; `value` has been validated. */
export function withDefaults<Name extends keyof Classes>(className: Name, value: Classes[Name]): Defaulted<Name>
export function withDefaults<T>(className: string, value: T): T
export function withDefaults(className: string, value: unknown): unknown {
  return filled(definitionOf(className), value)
}

function filled(schema: Schema, value: unknown): unknown {
  const { items, properties = {}, discriminator, oneOf } = schema
  if (Array.isArray(value)) return items ? value.map(item => filled(items, item)) : structuredClone(value)
  if (typeof value !== 'object' || value === null) return value
  const object = value as Record<string, unknown>
  if (discriminator) {
    const choice = oneOf?.find(option => option.title === object[discriminator.propertyName])
    return choice ? filled(choice, value) : structuredClone(value)
  }
  const present = Object.entries(object).map(([name, child]) => [name, filled(properties[name] ?? {}, child)])
  const absent = Object.entries(properties)
    .filter(([name, { default: fallback }]) => fallback !== undefined && object[name] === undefined)
    .map(([name, { default: fallback }]) => [name, structuredClone(fallback)])
  return Object.fromEntries([...present, ...absent])
}
