/** The generated JSON Schemas, found by the name of a class, type or enum. */

import bootstrap from '../../schemas/generated/bootstrap.schema.json' with { type: 'json' }
import platform from '../../schemas/generated/platform.schema.json' with { type: 'json' }
import record from '../../schemas/generated/record.schema.json' with { type: 'json' }
import request from '../../schemas/generated/request.schema.json' with { type: 'json' }
import statement from '../../schemas/generated/statement.schema.json' with { type: 'json' }
import { CratewrightError } from '../runtime/errors.ts'

/** What of JSON Schema the generated files use, with references written out. */
export interface Schema {
  /** The name of a class. */
  readonly title?: string
  readonly description?: string
  /** A type's own description, where the field it stands at has another. */
  readonly 'x-words'?: string
  readonly type?: string
  readonly pattern?: string
  readonly format?: string
  readonly const?: string
  readonly enum?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly discriminator?: { readonly propertyName: string }
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly default?: unknown
  readonly examples?: readonly unknown[]
}

/** A name that two files have is the same thing in both: it comes from a file that both import. */
const written: Readonly<Record<string, object>> = Object.assign(
  {},
  ...[bootstrap, platform, record, request, statement].map(({ $defs }) => $defs),
)

/**
 * Without references, because ajv copies all errors so far whenever it comes back from one: a document with 100 000 faults
 * would take minutes. Our classes do not hold themselves.
 */
export function definitionOf(name: string): Schema {
  if (!Object.hasOwn(written, name)) throw new CratewrightError('Internal', `there is no schema ${name}`)
  return expanded(written[name]) as Schema
}

function expanded(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(expanded)
  if (typeof node !== 'object' || node === null) return node
  const { $ref, ...rest } = node as { readonly $ref?: string }
  const here = Object.fromEntries(Object.entries(rest).map(([keyword, value]) => [keyword, expanded(value)]))
  if ($ref === undefined) return here
  const target = definitionOf($ref.replace('#/$defs/', ''))
  return { ...target, ...(target.description === undefined ? {} : { 'x-words': target.description }), ...here }
}
