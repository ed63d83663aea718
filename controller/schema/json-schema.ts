/** Writes a model as JSON Schema 2019-09: closed, without null for what is left out, the same bytes every time. */

import { builtInTypes, type ClassModel, type Model, type RuleModel, type SlotModel, type TypeModel } from './linkml.ts'

export interface JsonSchema {
  readonly [keyword: string]: unknown
}

/**
 * Beside the standard's keywords: `discriminator` (as ajv knows it), `x-unique-keys` (fields that no two elements of an array
 * may share), `x-ignored` (why the field has no effect), `x-secret`.
 */
export function toJsonSchema(model: Model): JsonSchema {
  const definitions: [string, JsonSchema][] = [
    ...[...model.types.values()].map((type): [string, JsonSchema] => [type.name, typeSchema(type)]),
    ...[...model.enums.values()].map(({ name, description, values }): [string, JsonSchema] => [
      name,
      { type: 'string', description, enum: values },
    ]),
    ...[...model.classes.values()].map((definition): [string, JsonSchema] => [
      definition.name,
      classSchema(definition, model),
    ]),
  ]
  return {
    $schema: 'https://json-schema.org/draft/2019-09/schema',
    $id: model.id,
    title: model.title,
    description: model.description,
    $defs: Object.fromEntries(definitions),
  }
}

/** With sorted keys and 2 spaces, and a line feed at the end. */
export function formatJsonSchema(schema: JsonSchema): string {
  const sorted = (_: string, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value
  return `${JSON.stringify(schema, sorted, 2)}\n`
}

function typeSchema({ typeof: base, unionOf, pattern, description, example }: TypeModel): JsonSchema {
  return {
    ...builtInTypes[base],
    description,
    ...(unionOf.length > 0 ? { anyOf: unionOf.map(member => builtInTypes[member]) } : {}),
    ...(pattern === undefined ? {} : { pattern }),
    ...(example === undefined ? {} : { examples: [example] }),
  }
}

function classSchema(definition: ClassModel, model: Model): JsonSchema {
  const { name, description, slots, choices, extra, rules } = definition
  if (definition.any) return { title: name, description }
  const required = slots.filter(slot => slot.required).map(slot => slot.name)
  if (choices.length > 0) {
    const designator = slots.find(({ designatesType }) => designatesType)!
    return {
      title: name,
      description,
      type: 'object',
      discriminator: { propertyName: designator.name },
      oneOf: choices.map(choice => ({ $ref: `#/$defs/${choice}` })),
      required: [designator.name],
    }
  }
  return {
    title: name,
    description,
    type: 'object',
    properties: Object.fromEntries(slots.map(slot => [slot.name, slotSchema(slot, model)])),
    additionalProperties: extra ? (extra.range === undefined ? true : rangeSchema(extra.range)) : false,
    ...(required.length > 0 ? { required } : {}),
    ...(rules.length > 0 ? { allOf: rules.map(ruleSchema) } : {}),
  }
}

function slotSchema(slot: SlotModel, model: Model): JsonSchema {
  const value: JsonSchema = {
    ...(slot.ranges.length === 1 ? rangeSchema(slot.ranges[0]!) : { anyOf: slot.ranges.map(rangeSchema) }),
    ...(slot.equals === undefined ? {} : { const: slot.equals }),
    ...(slot.minimum === undefined ? {} : { minimum: slot.minimum }),
    ...(slot.maximum === undefined ? {} : { maximum: slot.maximum }),
  }
  const uniqueKeys = slot.ranges.flatMap(range => model.classes.get(range)?.uniqueKeys ?? [])
  const shape: JsonSchema = slot.multivalued
    ? {
        type: 'array',
        items: value,
        ...(slot.minimumItems === undefined ? {} : { minItems: slot.minimumItems }),
        ...(slot.maximumItems === undefined ? {} : { maxItems: slot.maximumItems }),
        ...(uniqueKeys.length > 0 ? { 'x-unique-keys': uniqueKeys } : {}),
      }
    : value
  return {
    ...shape,
    description: slot.description,
    ...(slot.default === undefined ? {} : { default: slot.multivalued ? [slot.default] : slot.default }),
    ...(slot.example === undefined ? {} : { examples: [slot.example] }),
    ...(slot.ignored === undefined ? {} : { 'x-ignored': slot.ignored }),
    ...(slot.secret ? { 'x-secret': true } : {}),
  }
}

function rangeSchema(range: string): JsonSchema {
  return range in builtInTypes ? { ...builtInTypes[range as keyof typeof builtInTypes] } : { $ref: `#/$defs/${range}` }
}

function ruleSchema({ description, when, required }: RuleModel): JsonSchema {
  return {
    if: {
      properties: Object.fromEntries(when.map(({ slot, values }) => [slot, { enum: values }])),
      required: when.map(({ slot }) => slot),
    },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { description, required },
  }
}
