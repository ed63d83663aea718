/**
 * Reads LinkML schema files into a model: imports resolved, inheritance rolled down, everything checked. Only what our own
 * files use is known; anything else is refused by name, because a constraint that is skipped silently is a hole.
 * LinkML metamodel: https://w3id.org/linkml/meta
 */

import { CratewrightError } from '../runtime/errors.ts'
import { parseYaml, type SourceDocument } from './yaml.ts'

export type Scalar = string | number | boolean

/** Types that LinkML itself defines (linkml:types), as far as we use them. */
export const builtInTypes = {
  string: { type: 'string' },
  integer: { type: 'integer' },
  float: { type: 'number' },
  boolean: { type: 'boolean' },
  uri: { type: 'string', format: 'uri' },
  date: { type: 'string', format: 'date' },
  datetime: { type: 'string', format: 'date-time' },
} as const

export type BuiltInType = keyof typeof builtInTypes

export interface TypeModel {
  readonly name: string
  readonly typeof: BuiltInType
  /** Where not empty: the value follows one of these. */
  readonly unionOf: readonly BuiltInType[]
  readonly pattern: string | undefined
  /** The pattern in words: what messages show. */
  readonly description: string
  readonly example: Scalar | undefined
}

export interface EnumModel {
  readonly name: string
  readonly description: string
  readonly values: readonly string[]
}

export interface SlotModel {
  /** As written in documents: the alias, where there is one. */
  readonly name: string
  readonly description: string
  /** One name, or several where any of them will do. */
  readonly ranges: readonly string[]
  readonly required: boolean
  readonly multivalued: boolean
  readonly equals: string | undefined
  readonly minimum: number | undefined
  readonly maximum: number | undefined
  readonly minimumItems: number | undefined
  readonly maximumItems: number | undefined
  readonly designatesType: boolean
  readonly default: Scalar | undefined
  readonly example: Scalar | undefined
  /** Why the field has no effect. */
  readonly ignored: string | undefined
  /** True where writing the field at all gives a secret away. */
  readonly secret: boolean
}

export interface RuleModel {
  readonly description: string
  readonly when: readonly { readonly slot: string; readonly values: readonly string[] }[]
  readonly required: readonly string[]
}

export interface ClassModel {
  readonly name: string
  readonly description: string
  readonly abstract: boolean
  /** linkml:Any: every value belongs to it. */
  readonly any: boolean
  /** Values of fields that no slot names; undefined: there may be none. */
  readonly extra: { readonly range: string | undefined } | undefined
  /** By name, inherited ones included. */
  readonly slots: readonly SlotModel[]
  readonly uniqueKeys: readonly (readonly string[])[]
  readonly rules: readonly RuleModel[]
  /** Names of all concrete classes below, where a slot of this class says which one a value is. */
  readonly choices: readonly string[]
}

export interface Model {
  readonly id: string
  readonly name: string
  readonly title: string
  readonly description: string
  readonly types: ReadonlyMap<string, TypeModel>
  readonly enums: ReadonlyMap<string, EnumModel>
  readonly classes: ReadonlyMap<string, ClassModel>
}

type Node = Readonly<Record<string, unknown>>

/** Every part of a schema with the file that it was written in. */
interface Part {
  readonly file: SchemaFile
  readonly path: readonly (string | number)[]
  readonly node: Node
}

interface SchemaFile {
  readonly name: string
  readonly document: SourceDocument
}

interface Sources {
  readonly types: Map<string, Part>
  readonly enums: Map<string, Part>
  readonly slots: Map<string, Part>
  readonly classes: Map<string, Part>
}

const known = {
  schema: 'id name title description license prefixes default_prefix default_range imports types enums slots classes',
  type: 'typeof union_of pattern description examples',
  enum: 'description permissible_values',
  value: 'description',
  class: 'description is_a abstract class_uri attributes slots slot_usage extra_slots unique_keys rules',
  slot:
    'alias description range any_of required multivalued inlined_as_list equals_string minimum_value ' +
    'maximum_value minimum_cardinality maximum_cardinality designates_type ifabsent examples annotations',
  extra: 'allowed range_expression',
  range: 'range',
  key: 'unique_key_slots',
  rule: 'description preconditions postconditions',
  conditions: 'slot_conditions',
  precondition: 'equals_string equals_string_in',
  postcondition: 'required',
  annotations: 'ignored secret',
  example: 'value',
} as const

/**
 * @param files contents by file name, such as `request.linkml.yaml`
 * @throws CratewrightError DocumentInvalid, YamlInvalid: what is not understood, and where
 */
export function readModel(files: ReadonlyMap<string, Uint8Array>, name: string): Model {
  const sources: Sources = { types: new Map(), enums: new Map(), slots: new Map(), classes: new Map() }
  const root = collect(files, name, sources, new Set())
  const types = mapped(sources.types, readType)
  const enums = mapped(sources.enums, readEnum)
  const ranges = new Set([...Object.keys(builtInTypes), ...types.keys(), ...enums.keys(), ...sources.classes.keys()])
  const classes = mapped(sources.classes, (part, className) => readClass(part, className, sources, ranges))
  return {
    id: text(root, 'id'),
    name: text(root, 'name'),
    title: text(root, 'title'),
    description: text(root, 'description'),
    types,
    enums,
    classes,
  }
}

function collect(files: ReadonlyMap<string, Uint8Array>, name: string, sources: Sources, seen: Set<string>): Part {
  seen.add(name)
  const content = files.get(name)
  if (!content) throw new CratewrightError('DocumentMissing', `the schema ${name} is missing`)
  const { documents, problems } = parseYaml(content, name)
  const [problem] = problems
  if (problem) throw new CratewrightError(problem.code, problem.message, problem.where ? { where: problem.where } : {})
  const [document] = documents
  if (!document || documents.length > 1) throw new CratewrightError('DocumentInvalid', `${name} is not one document`)
  const file = { name, document }
  const root = part(file, [], document.value, known.schema)
  for (const imported of list(root, 'imports')) {
    const path = `${imported}.yaml`
    if (imported !== 'linkml:types' && !seen.has(path)) collect(files, path, sources, seen)
  }
  const kinds = { types: known.type, enums: known.enum, slots: known.slot, classes: known.class } as const
  for (const [kind, keys] of Object.entries(kinds) as [keyof Sources, string][]) {
    for (const [key, child] of children(root, kind, keys)) {
      const taken = Object.values(sources).some((map: Map<string, Part>) => map.has(key)) || key in builtInTypes
      if (kind !== 'slots' && taken) throw invalid(child, [], `the name ${key} is taken`)
      sources[kind].set(key, child)
    }
  }
  return root
}

function readType(type: Part, name: string): TypeModel {
  const union = list(type, 'union_of')
  for (const member of [text(type, 'typeof'), ...union]) {
    if (!(member in builtInTypes)) throw invalid(type, [], `${member} is not a type that linkml:types has`)
  }
  return {
    name,
    typeof: text(type, 'typeof') as BuiltInType,
    unionOf: union as BuiltInType[],
    pattern: pattern(type),
    description: text(type, 'description'),
    example: example(type),
  }
}

function readEnum(definition: Part, name: string): EnumModel {
  const values = children(definition, 'permissible_values', known.value).map(([value]) => value)
  return { name, description: text(definition, 'description'), values }
}

function readClass(definition: Part, name: string, sources: Sources, ranges: ReadonlySet<string>): ClassModel {
  const uri = definition.node.class_uri
  if (uri !== undefined && uri !== 'linkml:Any')
    throw invalid(definition, ['class_uri'], 'only linkml:Any is understood')
  const slots = [...slotsOf(definition, sources)].map(([key, parts]) => readSlot(key, parts, ranges))
  const designator = slots.find(({ designatesType }) => designatesType)
  const below = designator ? [...sources.classes].filter(([key]) => ancestors(key, sources).includes(name)) : []
  const choices = below.filter(([, { node }]) => node.abstract !== true).map(([key]) => key)
  if (designator && choices.length > 0 && definition.node.abstract !== true) {
    throw invalid(definition, [], 'a class with classes below it and a slot that tells them apart has to be abstract')
  }
  return {
    name,
    description: text(definition, 'description'),
    abstract: definition.node.abstract === true,
    any: uri !== undefined,
    extra: extraSlots(definition, ranges),
    slots: slots
      .map(slot => (slot === designator && choices.length === 0 ? { ...slot, equals: name } : slot))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    uniqueKeys: children(definition, 'unique_keys', known.key).map(([, key]) => list(key, 'unique_key_slots')),
    rules: lineage(definition, sources).flatMap(ancestor => readRules(ancestor)),
    choices: choices.sort(),
  }
}

/** The class and the classes above it, topmost first. */
function lineage(definition: Part, sources: Sources): Part[] {
  const parent = definition.node.is_a
  if (parent === undefined) return [definition]
  const above = sources.classes.get(String(parent))
  if (!above) throw invalid(definition, ['is_a'], `there is no class ${parent}`)
  return [...lineage(above, sources), definition]
}

function ancestors(name: string, sources: Sources): string[] {
  const parent = sources.classes.get(name)?.node.is_a
  return typeof parent === 'string' ? [parent, ...ancestors(parent, sources)] : []
}

/** By slot, the parts that say something about it: what comes later overrides. */
function slotsOf(definition: Part, sources: Sources): Map<string, Part[]> {
  const slots = new Map<string, Part[]>()
  for (const level of lineage(definition, sources)) {
    for (const name of list(level, 'slots')) {
      const shared = sources.slots.get(name)
      if (!shared) throw invalid(level, ['slots'], `there is no slot ${name}`)
      slots.set(name, [shared])
    }
    for (const [name, attribute] of children(level, 'attributes', known.slot)) slots.set(name, [attribute])
    for (const [name, usage] of children(level, 'slot_usage', known.slot)) {
      const parts = slots.get(name)
      if (!parts) throw invalid(usage, [], `there is no slot ${name} to refine`)
      slots.set(name, [...parts, usage])
    }
  }
  return slots
}

function readSlot(key: string, parts: readonly Part[], ranges: ReadonlySet<string>): SlotModel {
  const first = parts[0]!
  const slot: Part = { ...first, node: Object.assign({}, ...parts.map(({ node }) => node)) }
  const union = elements(slot, 'any_of', known.range).map(option => text(option, 'range'))
  const defaultRange = (first.file.document.value as Node).default_range
  const chosen = union.length > 0 ? union : [String(slot.node.range ?? defaultRange ?? 'string')]
  for (const range of chosen) if (!ranges.has(range)) throw invalid(slot, ['range'], `there is no range ${range}`)
  const annotations = part(
    slot.file,
    [...slot.path, 'annotations'],
    slot.node.annotations ?? {},
    known.annotations,
  ).node
  return {
    name: String(slot.node.alias ?? key),
    description: text(slot, 'description'),
    ranges: chosen,
    required: slot.node.required === true,
    multivalued: slot.node.multivalued === true,
    equals: slot.node.equals_string as string | undefined,
    minimum: slot.node.minimum_value as number | undefined,
    maximum: slot.node.maximum_value as number | undefined,
    minimumItems: slot.node.minimum_cardinality as number | undefined,
    maximumItems: slot.node.maximum_cardinality as number | undefined,
    designatesType: slot.node.designates_type === true,
    default: absentValue(slot),
    example: example(slot),
    ignored: annotations.ignored as string | undefined,
    secret: annotations.secret === true,
  }
}

function extraSlots(definition: Part, ranges: ReadonlySet<string>): ClassModel['extra'] {
  if (definition.node.extra_slots === undefined) return undefined
  const extra = part(definition.file, [...definition.path, 'extra_slots'], definition.node.extra_slots, known.extra)
  if (extra.node.range_expression === undefined) return extra.node.allowed === true ? { range: undefined } : undefined
  const expression = part(extra.file, [...extra.path, 'range_expression'], extra.node.range_expression, known.range)
  const range = text(expression, 'range')
  if (!ranges.has(range)) throw invalid(expression, ['range'], `there is no range ${range}`)
  return { range }
}

function readRules(definition: Part): RuleModel[] {
  return elements(definition, 'rules', known.rule).map(rule => {
    const conditions = (side: 'preconditions' | 'postconditions', keys: string) => {
      const holder = part(rule.file, [...rule.path, side], rule.node[side], known.conditions)
      return children(holder, 'slot_conditions', keys)
    }
    return {
      description: text(rule, 'description'),
      when: conditions('preconditions', known.precondition).map(([slot, condition]) => {
        const one = condition.node.equals_string
        return { slot, values: typeof one === 'string' ? [one] : list(condition, 'equals_string_in') }
      }),
      required: conditions('postconditions', known.postcondition).map(([slot]) => slot),
    }
  })
}

/** `int(4)`, `float(0.95)`, `string(same)`, `TlsMode(verify-full)`, `true`, `false`. For a list: its only element. */
function absentValue(slot: Part): Scalar | undefined {
  const written = slot.node.ifabsent
  if (written === undefined) return undefined
  if (written === 'true' || written === 'false') return written === 'true'
  const [, kind, value] = /^(\w+)\((.*)\)$/.exec(String(written)) ?? []
  if (kind === undefined || value === undefined) throw invalid(slot, ['ifabsent'], `${written} is not understood`)
  return kind === 'int' || kind === 'float' ? Number(value) : value
}

/** Patterns hold for the whole value: LinkML's generators only anchor what is written with anchors. Only types have them, as words go with them. */
function pattern(holder: Part): string | undefined {
  const written = holder.node.pattern
  if (written === undefined) return undefined
  if (typeof written !== 'string' || !/^\^.*\$$/s.test(written)) throw invalid(holder, ['pattern'], 'write it as ^…$')
  return written
}

function example(holder: Part): Scalar | undefined {
  return elements(holder, 'examples', known.example)[0]?.node.value as Scalar | undefined
}

function mapped<T>(parts: ReadonlyMap<string, Part>, read: (part: Part, name: string) => T): Map<string, T> {
  return new Map([...parts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, read(value, name)]))
}

function part(file: SchemaFile, path: Part['path'], node: unknown, keys: string): Part {
  const here: Part = { file, path, node: (node ?? {}) as Node }
  if (typeof here.node !== 'object' || Array.isArray(node)) throw invalid(here, [], 'a mapping is needed')
  for (const key of Object.keys(here.node)) {
    if (!keys.split(' ').includes(key)) throw invalid(here, [key], `the LinkML feature ${key} is not understood here`)
  }
  return here
}

function children(holder: Part, field: string, keys: string): [string, Part][] {
  const path = [...holder.path, field]
  const all = (holder.node[field] ?? {}) as Node
  return Object.entries(all).map(([name, node]) => [name, part(holder.file, [...path, name], node, keys)])
}

function elements(holder: Part, field: string, keys: string): Part[] {
  const all = (holder.node[field] ?? []) as unknown[]
  return all.map((node, index) => part(holder.file, [...holder.path, field, index], node, keys))
}

function list(holder: Part, field: string): string[] {
  const written = holder.node[field] ?? []
  if (!Array.isArray(written)) throw invalid(holder, [field], 'a list is needed')
  return written.map(String)
}

function text(holder: Part, field: string): string {
  const written = holder.node[field]
  if (typeof written !== 'string' || written === '') throw invalid(holder, [field], `${field} is missing`)
  return written
}

function invalid({ file, path }: Part, below: Part['path'], message: string): CratewrightError {
  const shown = [...path, ...below].join('.')
  return new CratewrightError('DocumentInvalid', `${shown}: ${message}`, {
    where: file.document.at([...path, ...below]),
    todo: 'Correct the schema, or teach controller/schema/linkml.ts what it says.',
  })
}
