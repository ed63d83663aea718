/** Writes models as TypeScript: an interface for each class, a union of texts for each enum. */

import { builtInTypes, type ClassModel, type Model, type SlotModel } from './linkml.ts'

const heading = `/**
 * Generated from schemas/*.linkml.yaml by scripts/generate: change those.
 * Fields are as documents hold them: a default is only there after withDefaults (controller/schema/defaults.ts).
 */
`

/** Types, enums and classes with one name are one thing: those of imported files come with every model. */
export function toTypeScript(models: readonly Model[]): string {
  const enums = merged(models.flatMap(({ enums }) => [...enums.values()]))
  const classes = merged(models.flatMap(({ classes }) => [...classes.values()]))
  const types = merged(models.flatMap(({ types }) => [...types.values()]))
  const primitive = (range: string): string => {
    const declared = types.find(({ name }) => name === range)
    const base = declared ? declared.typeof : range
    if (!(base in builtInTypes)) return range
    const { type } = builtInTypes[base as keyof typeof builtInTypes]
    return type === 'integer' ? 'number' : type
  }
  const parts = [
    heading,
    ...enums.map(
      ({ name, description, values }) =>
        `${comment(description)}export type ${name} = ${values.map(quoted).join(' | ')}\n`,
    ),
    ...classes.map(definition => declaration(definition, primitive)),
    table(
      'Classes',
      'Every class by its name.',
      classes.map(({ name }) => [name, name]),
    ),
    table(
      'Defaults',
      'The fields of a class that withDefaults fills in.',
      classes.flatMap(({ name, slots }): [string, string][] => {
        const filled = slots.filter(slot => slot.default !== undefined)
        return filled.length > 0 ? [[name, filled.map(slot => quoted(slot.name)).join(' | ')]] : []
      }),
    ),
  ]
  return parts.join('\n')
}

function declaration(definition: ClassModel, primitive: (range: string) => string): string {
  const { name, description, slots, choices, extra } = definition
  const head = comment(description)
  if (definition.any) return `${head}export type ${name} = unknown\n`
  if (choices.length > 0) return `${head}export type ${name} = ${choices.join(' | ')}\n`
  const fields = slots.map(slot => {
    const key = /^\w+$/.test(slot.name) ? slot.name : quoted(slot.name)
    return `${comment(slot.description, '  ')}  readonly ${key}${slot.required ? '' : '?'}: ${fieldType(slot, primitive)}\n`
  })
  if (extra)
    fields.push(`  readonly [name: string]: ${extra.range === undefined ? 'unknown' : primitive(extra.range)}\n`)
  return `${head}export interface ${name} {\n${fields.join('')}}\n`
}

function fieldType(slot: SlotModel, primitive: (range: string) => string): string {
  const value = slot.equals === undefined ? slot.ranges.map(primitive).join(' | ') : quoted(slot.equals)
  if (!slot.multivalued) return value
  return `readonly ${value.includes(' | ') ? `(${value})` : value}[]`
}

function table(name: string, description: string, rows: readonly (readonly [string, string])[]): string {
  return `${comment(description)}export interface ${name} {\n${rows.map(([key, value]) => `  readonly ${key}: ${value}\n`).join('')}}\n`
}

function merged<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return [...new Map(items.map(item => [item.name, item])).values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function comment(text: string, indent = ''): string {
  return `${indent}/** ${text.trim().replaceAll('*/', '*\\/')} */\n`
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
