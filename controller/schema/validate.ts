/** Checks documents against the generated schemas. Every problem at once, in words for the person who wrote the document. */

import { Ajv2019, type ErrorObject, type ValidateFunction } from 'ajv/dist/2019.js'
import addFormats from 'ajv-formats'
import type { Problem } from '../runtime/errors.ts'
import { definitionOf, type Schema } from './registry.ts'
import type { SourceDocument } from './text.ts'
import { countedMore, explain } from './validation-problem.ts'

export { withDefaults } from './defaults.ts'

export type Path = readonly (string | number)[]

export interface Validated<T> {
  /** The document's value itself; undefined where a problem is an error. */
  readonly value?: T
  /** DocumentInvalid, SecretInRequest; as warnings FieldIgnored. They hold names of fields and never values. */
  readonly problems: Problem[]
}

const maxProblems = 50

/**
 * @param className a class of schemas/*.linkml.yaml
 * @param path where in the document the value is; its root when left out
 */
export function validate<T>(className: string, document: SourceDocument, path: Path = []): Validated<T> {
  const value = path.reduce<unknown>(
    (holder, step) => (holder as Record<string | number, unknown>)?.[step],
    document.value,
  )
  const { check, schema } = validator(className)
  if (check(value)) return { value: value as T, problems: [] }
  const found = check.errors ?? []
  const problems = new Map<string, Problem>()
  let errors = 0
  for (const error of [...found.filter(isFatal), ...found.filter(error => !isFatal(error))]) {
    if (isFatal(error)) errors += 1
    if (problems.size >= maxProblems) continue
    const explained = explain(error, schema, document, path)
    if (explained) problems.set(`${explained.where?.line}:${explained.where?.column} ${explained.message}`, explained)
  }
  const listed = [...problems.values()].sort(
    (a, b) => (a.where?.line ?? 0) - (b.where?.line ?? 0) || (a.where?.column ?? 0) - (b.where?.column ?? 0),
  )
  if (errors === 0) return { value: value as T, problems: listed }
  return {
    problems: errors > maxProblems ? [...listed.slice(0, maxProblems - 1), countedMore(document, path)] : listed,
  }
}

function isFatal({ keyword }: ErrorObject): boolean {
  return keyword !== 'x-ignored'
}

interface Validator {
  readonly check: ValidateFunction
  readonly schema: Schema
}

const validators = new Map<string, Validator>()
let ajv: Ajv2019 | undefined

/** Compiled on first use. */
function validator(className: string): Validator {
  const cached = validators.get(className)
  if (cached) return cached
  ajv ??= makeAjv()
  const schema = definitionOf(className)
  const compiled = { check: ajv.compile(schema), schema }
  validators.set(className, compiled)
  return compiled
}

function makeAjv(): Ajv2019 {
  const instance = new Ajv2019({
    allErrors: true,
    verbose: true,
    messages: false,
    discriminator: true,
    // A field named like something that every object inherits is still missing.
    ownProperties: true,
    // `if` and `then` of rules repeat neither types nor properties.
    strictTypes: false,
  })
  addFormats.default(instance, ['uri', 'date', 'date-time'])
  instance.addKeyword({ keyword: 'x-ignored', schemaType: 'string', validate: () => false })
  instance.addKeyword({ keyword: 'x-secret', schemaType: 'boolean', validate: () => false })
  instance.addKeyword({
    keyword: 'x-unique-keys',
    type: 'array',
    schemaType: 'array',
    errors: 'full',
    validate: uniqueKeys,
  })
  instance.addKeyword('x-words')
  return instance
}

/** ajv takes the errors of a keyword of our own from the function itself. */
function uniqueKeys(keys: readonly (readonly string[])[], items: readonly unknown[]): boolean {
  const errors: Partial<ErrorObject>[] = []
  for (const fields of keys) {
    const seen = new Map<string, number>()
    for (const [index, item] of items.entries()) {
      const values = fields.map(field => (item as Record<string, unknown> | null)?.[field])
      if (values.some(value => typeof value !== 'string' && typeof value !== 'number')) continue
      const key = JSON.stringify(values)
      const first = seen.get(key)
      if (first === undefined) seen.set(key, index)
      else errors.push({ keyword: 'x-unique-keys', params: { index, first, fields } })
    }
  }
  Object.assign(uniqueKeys, { errors })
  return errors.length === 0
}
