/** What a validator found, in words. Values are never repeated: one may be a secret in the wrong place. */

import type { ErrorObject } from 'ajv'
import { type Problem, problem, type Where } from '../runtime/errors.ts'
import { nearest } from './nearest.ts'
import type { Schema } from './registry.ts'
import type { SourceDocument } from './text.ts'

type Path = readonly (string | number)[]

/**
 * @param root the schema that `error` was found with
 * @returns undefined for what another problem says better
 */
export function explain(error: ErrorObject, root: Schema, document: SourceDocument, prefix: Path): Problem | undefined {
  const path = [...prefix, ...pointed(error.instancePath, document, prefix)]
  const where = (...below: Path): Where => document.at([...path, ...below])
  const invalid = (message: string, todo?: string, at = where()) =>
    problem('DocumentInvalid', message, { where: at, ...(todo === undefined ? {} : { todo }) })
  const schema = error.parentSchema as Schema
  const { params, keyword } = error
  const field = shown(path)
  switch (keyword) {
    case 'additionalProperties': {
      const name = String(params.additionalProperty)
      const known = Object.keys(schema.properties ?? {})
      const meant = nearest(name, known)
      const todo =
        meant === undefined
          ? `Remove it, or use one of: ${known.join(', ')}.`
          : `Write \`${meant}\` if that is what is meant, or remove it.`
      return invalid(`${shown([...path, name])} is not a known field`, todo, where(name))
    }
    case 'required': {
      const name = String(params.missingProperty)
      const holder = schema.properties || schema.discriminator ? schema : ownerOf(error, root)
      const reason = holder === schema || schema.description === undefined ? '' : `: ${schema.description}`
      return invalid(`${shown([...path, name])} is missing${reason}`, howToAdd(name, holder))
    }
    case 'discriminator': {
      const tag = String(params.tag)
      const choices = choicesOf(schema)
      // `required` has said so.
      if (params.tagValue === undefined) return undefined
      return invalid(
        `${shown([...path, tag])} has to be one of ${choices.join(', ')}`,
        meantOf(params.tagValue, choices),
        where(tag),
      )
    }
    case 'enum':
      return invalid(`${field} has to be one of ${schema.enum?.join(', ')}`, meantOf(error.data, schema.enum ?? []))
    case 'const':
      return invalid(`${field} has to be ${schema.const}`, `Write \`${schema.const}\`.`)
    case 'type':
      return insideChoice(error)
        ? undefined
        : invalid(`${field} has to be ${typeWords(schema)}, and is ${kindOf(error.data)}`, typeTodo(schema, error.data))
    case 'pattern':
    case 'format':
    case 'anyOf':
      // That it has another type is said already.
      if (schema.type === 'string' && typeof error.data !== 'string') return undefined
      return insideChoice(error) ? undefined : invalid(`${field} has to be ${valueWords(schema)}`, exampleTodo(schema))
    case 'minimum':
      return invalid(`${field} has to be ${params.limit} or more`)
    case 'maximum':
      return invalid(`${field} has to be ${params.limit} or less`)
    case 'minItems':
      return invalid(
        `${field} needs ${params.limit} element${params.limit === 1 ? '' : 's'} or more`,
        'Add what is missing to the list.',
      )
    case 'maxItems':
      return invalid(`${field} may have ${params.limit} elements`, 'Remove what is too much from the list.')
    case 'x-unique-keys': {
      const [name, ...more] = params.fields as string[]
      const [again, first] = [shown([...path, params.index]), shown([...path, params.first])]
      const message = `${again} has the same ${[name, ...more].join(' and ')} as ${first}`
      return invalid(message, 'Give one of them another, or remove it.', where(params.index, name!))
    }
    case 'x-ignored':
      return problem('FieldIgnored', `${field} has no effect: ${error.schema}`, { where: where(), severity: 'warning' })
    case 'x-secret':
      return problem('SecretInRequest', `${field} would put a secret into Git`, { where: where() })
    case 'if':
      return undefined
    default:
      return invalid(`${field} is not valid`)
  }
}

/** Stands for problems that are not listed. */
export function countedMore(document: SourceDocument, path: Path): Problem {
  return problem('DocumentInvalid', 'there are more problems than are listed', {
    where: document.at(path),
    todo: 'Correct these first.',
  })
}

/** `datasets[0].tables[2].name` */
function shown(path: Path): string {
  const text = path
    .map(step => {
      if (typeof step === 'number') return `[${step}]`
      const name = step.slice(0, 100)
      return /^[\w-]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
    })
    .join('')
  return text === '' ? 'the document' : text.replace(/^\./, '')
}

/** A JSON pointer (RFC 6901) as a path; what is a number depends on what it points into. */
function pointed(pointer: string, document: SourceDocument, prefix: Path): (string | number)[] {
  let holder = prefix.reduce<unknown>(
    (value, step) => (value as Record<string | number, unknown>)?.[step],
    document.value,
  )
  return pointer
    .split('/')
    .slice(1)
    .map(part => {
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
      const step = Array.isArray(holder) ? Number(name) : name
      holder = (holder as Record<string | number, unknown> | undefined)?.[step]
      return step
    })
}

/** The class whose rule asks for a field: the `then` that ajv names does not know the fields. */
function ownerOf({ schemaPath }: ErrorObject, root: Schema): Schema {
  const steps = schemaPath.slice(2, schemaPath.lastIndexOf('/allOf/')).split('/')
  const walk = (schema: unknown, step: string) => (schema as Record<string, unknown> | undefined)?.[step]
  return (schemaPath.startsWith('#/allOf/') ? root : (steps.reduce(walk, root as unknown) as Schema | undefined)) ?? {}
}

/** What one branch of a choice says is of no use: the choice itself is explained. */
function insideChoice({ schemaPath }: ErrorObject): boolean {
  return /\/anyOf\/\d/.test(schemaPath)
}

function choicesOf({ oneOf = [] }: Schema): string[] {
  return oneOf.flatMap(({ title }) => title ?? [])
}

function howToAdd(name: string, holder: Schema): string {
  if (holder.discriminator) return `Add \`${name}\` with one of ${choicesOf(holder).join(', ')}.`
  const slot = holder.properties?.[name]
  if (!slot) return `Add \`${name}\`.`
  const what = slot.description === undefined ? '' : ` — ${slot.description.replace(/\.$/, '')}`
  const example = exampleOf(slot)
  if (slot.type === 'array') {
    const element = exampleOf(slot.items ?? {}) ?? example
    return element === undefined ? `Add the list \`${name}\`${what}.` : `Add \`${name}: [${element}]\`${what}.`
  }
  return example === undefined ? `Add \`${name}\`${what}.` : `Add \`${name}: ${example}\`${what}.`
}

function exampleOf(slot: Schema): string | undefined {
  const example = slot.examples?.[0] ?? slot.const ?? slot.enum?.[0] ?? (slot.type === 'boolean' ? true : undefined)
  return example === undefined ? undefined : String(example)
}

function meantOf(written: unknown, allowed: readonly string[]): string {
  const meant = typeof written === 'string' ? nearest(written, allowed) : undefined
  return meant === undefined ? `Use one of ${allowed.join(', ')}.` : `Write \`${meant}\` if that is what is meant.`
}

const formats: Readonly<Record<string, string>> = {
  uri: 'an address with its scheme, such as https://tre.example',
  date: 'a date such as 2026-09-30',
  'date-time': 'a date and time with zone, such as 2026-09-30T17:00:00Z',
}

/** In the words of the type: what describes the field says something else. */
function valueWords({ format, anyOf, ...schema }: Schema): string {
  const words = schema['x-words'] ?? (schema.pattern === undefined ? undefined : schema.description)
  if (words !== undefined) return words
  if (format !== undefined) return formats[format] ?? format
  return (anyOf ?? []).map(valueWords).join(' or ')
}

function exampleTodo(schema: Schema): string | undefined {
  const example = schema.examples?.[0]
  return example === undefined ? undefined : `Write it like \`${example}\`.`
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
}

function typeWords({ type = '' }: Schema): string {
  return typeNames[type] ?? type
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null) return 'empty'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'number') return Number.isInteger(value) ? 'a whole number' : 'a number with a fraction'
  return typeNames[typeof value] ?? typeof value
}

function typeTodo({ type }: Schema, value: unknown): string | undefined {
  if (value === null || value === undefined) return 'Give it a value, or remove the field.'
  if (type === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return 'Put it in quotes.'
  if (typeof value === 'string' && type !== 'array' && type !== 'object') return 'Write it without quotes.'
  if (type === 'array') return 'Write each element on a line of its own that begins with “- ”.'
  return undefined
}
