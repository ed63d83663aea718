/** From a schema: values that follow it, and values with a single fault each. */

import fc from 'fast-check'
import type { Schema } from '../../controller/schema/registry.ts'

export const faults = [
  'missing field',
  'field too many',
  'wrong type',
  'null',
  'not in the list',
  'not the pattern',
  'a line feed more',
  'not the format',
  'out of range',
  'too few elements',
  'another constant',
  'a key twice',
] as const
export type Fault = (typeof faults)[number]

export interface Faulty {
  readonly fault: Fault
  readonly at: readonly (string | number)[]
  readonly value: unknown
}

interface Bounded extends Schema {
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly 'x-unique-keys'?: readonly (readonly string[])[]
  readonly 'x-secret'?: boolean
  readonly 'x-ignored'?: string
}

const formats: Readonly<Record<string, readonly string[]>> = {
  date: ['2026-09-30', '2024-02-29'],
  'date-time': ['2026-09-30T17:00:00.000Z', '2024-02-29T00:00:00.123Z'],
  uri: ['https://tre.example/a', 'urn:uuid:01a1fe2f-0200-7dbf-9317-d3baa832ea12'],
}
/** Texts that few patterns take, and dates and addresses that are none. */
const oddTexts = [
  '',
  '\u0000',
  ' ',
  '-',
  '\n',
  '*/*',
  '~',
  '..',
  'é',
  '2026-02-30',
  '2026-13-01T00:00:00Z',
  'x'.repeat(20_001),
]

/** Values that follow the schema but for what only the whole object knows (rules, unique keys). */
export function valuesOf(node: Schema): fc.Arbitrary<unknown> {
  const schema = node as Bounded
  const choices =
    schema.oneOf ?? schema.anyOf?.map(option => ({ ...schema, ...option, anyOf: undefined }) as unknown as Schema)
  if (choices) return fc.oneof(...choices.map(valuesOf))
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  switch (schema.type) {
    case 'string':
      return textsOf(schema)
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -1000, max: Math.min(schema.maximum ?? 1000, 2 ** 31 - 1) })
    case 'number':
      return fc.double({ min: schema.minimum ?? -1000, max: schema.maximum ?? 1000, noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'array': {
      const { minItems = 0, maxItems = 3 } = schema
      return fc.array(valuesOf(schema.items!), {
        minLength: minItems,
        maxLength: Math.max(minItems, Math.min(maxItems, 3)),
      })
    }
    case 'object':
      return objectsOf(schema)
    default:
      return fc.constantFrom<unknown>('anything', 7, true, ['a'], { b: 'c' })
  }
}

function textsOf({ pattern, format, examples = [] }: Bounded): fc.Arbitrary<string> {
  const given = examples.map(String)
  const known = format ? [...(formats[format] ?? []), ...given] : given
  if (format) return fc.constantFrom(...known)
  const made = pattern ? fc.stringMatching(new RegExp(pattern, 'u'), { size: 'xsmall' }) : fc.string({ maxLength: 12 })
  return known.length > 0 ? fc.oneof(fc.constantFrom(...known), made) : made
}

function objectsOf({ properties = {}, required = [], additionalProperties }: Bounded): fc.Arbitrary<unknown> {
  const written = Object.entries(properties).filter(([, field]) => !(field as Bounded)['x-secret'])
  const fields = Object.fromEntries(written.map(([name, field]) => [name, valuesOf(field)]))
  const named = fc.record(fields, { requiredKeys: required as string[] })
  if (!additionalProperties) return named
  const extra =
    additionalProperties === true ? fc.constantFrom<unknown>('text', 7, ['x']) : valuesOf(additionalProperties)
  return fc
    .tuple(named, fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), extra, { maxKeys: 2 }))
    .map(([a, b]) => ({ ...b, ...a }))
}

/** The value again and again, each time with one fault, wherever the schema says something. */
export function* faultsOf(node: Schema, value: unknown, at: readonly (string | number)[] = []): Generator<Faulty> {
  const schema = node as Bounded
  if (schema.oneOf) {
    const chosen = schema.oneOf.find(choice => fits(choice, value, schema.discriminator!.propertyName))
    if (chosen) yield* faultsOf(chosen, value, at)
    return
  }
  if (schema.type === undefined && !schema.anyOf && schema.const === undefined) return
  const fault = (kind: Fault, changed: unknown): Faulty => ({ fault: kind, at, value: changed })
  yield fault('null', null)
  if (schema.const !== undefined) yield fault('another constant', `${schema.const}x`)
  else if (schema.enum) yield fault('not in the list', 'no such value')
  if (typeof value === 'string') {
    if (!schema.anyOf) yield* [7, true, ['a'], { a: 'b' }].map(other => fault('wrong type', other))
    const { pattern, format } = schema
    if (pattern) {
      const regexp = new RegExp(pattern, 'u')
      for (const odd of oddTexts) if (!regexp.test(odd)) yield fault('not the pattern', odd)
      if (!regexp.test(`${value}\n`)) yield fault('a line feed more', `${value}\n`)
    }
    if (format)
      yield* ['tomorrow', '2026-02-30', '2026-13-01T00:00:00.000Z', ''].map(odd => fault('not the format', odd))
  } else if (typeof value === 'number') {
    yield* ['7', true, [7]].map(other => fault('wrong type', other))
    if (schema.type === 'integer') yield fault('wrong type', value + 0.5)
    if (schema.minimum !== undefined) yield fault('out of range', schema.minimum - 1)
    if (schema.maximum !== undefined) yield fault('out of range', schema.maximum + 1)
  } else if (typeof value === 'boolean') yield* ['true', 1, []].map(other => fault('wrong type', other))
  else if (Array.isArray(value)) yield* faultsOfList(schema, value, at)
  else if (typeof value === 'object' && value !== null)
    yield* faultsOfObject(schema, value as Record<string, unknown>, at)
}

function* faultsOfList(schema: Bounded, value: readonly unknown[], at: Faulty['at']): Generator<Faulty> {
  yield { fault: 'wrong type', at, value: { a: 'b' } }
  yield { fault: 'wrong type', at, value: value[0] ?? 'text' }
  if (schema.minItems) yield { fault: 'too few elements', at, value: value.slice(0, schema.minItems - 1) }
  if (schema['x-unique-keys'] && value.length > 0) yield { fault: 'a key twice', at, value: [...value, value[0]] }
  for (const [index, item] of value.entries()) {
    for (const inner of faultsOf(schema.items!, item, [...at, index]))
      yield { ...inner, value: value.map((one, other) => (other === index ? inner.value : one)) }
  }
}

function* faultsOfObject(schema: Bounded, value: Record<string, unknown>, at: Faulty['at']): Generator<Faulty> {
  yield { fault: 'wrong type', at, value: 'text' }
  yield { fault: 'wrong type', at, value: [value] }
  if (schema.additionalProperties === false) yield { fault: 'field too many', at, value: { ...value, zzUnknown: 'x' } }
  for (const name of schema.required ?? []) {
    const { [name]: _, ...rest } = value
    yield { fault: 'missing field', at: [...at, name], value: rest }
  }
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (!(name in value)) continue
    for (const inner of faultsOf(field, value[name], [...at, name]))
      yield { ...inner, value: { ...value, [name]: inner.value } }
  }
}

function fits(choice: Schema, value: unknown, designator: string): boolean {
  const field = choice.properties?.[designator]
  return typeof value === 'object' && value !== null && field?.const === (value as Record<string, unknown>)[designator]
}
