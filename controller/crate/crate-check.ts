/** Judges crates: what RO-Crate 1.2 and Five Safes RO-Crate 0.4 demand. Takes hostile input; fetches nothing. */

import { pathDefect } from './bag-path.ts'
import {
  CrateGraph,
  type CrateProblem,
  type GraphEntity,
  hasType,
  isInCrate,
  isTime,
  referenceOf,
  references,
  valuesOf,
} from './crate-graph.ts'
import { fiveSafesProblems } from './five-safes-check.ts'
import * as iri from './terms.ts'

export type { CrateProblem } from './crate-graph.ts'

const maxBytes = 64 * 1024 * 1024
const maxReported = 1000

/** Every requirement that the crate does not meet, at most 1000; none: it is an RO-Crate 1.2 and a Five Safes crate. */
export function checkCrate(bytes: Uint8Array): CrateProblem[] {
  const read = readGraph(bytes)
  if (!('graph' in read)) return read.problems
  const problems = [...read.problems]
  for (const found of [...roCrateProblems(read.graph), ...fiveSafesProblems(read.graph)]) problems.push(found)
  return problems.slice(0, maxReported)
}

type Read = { readonly problems: CrateProblem[] } | { readonly problems: CrateProblem[]; readonly graph: CrateGraph }

/** RO-Crate 1.2 "RO-Crate JSON-LD": UTF-8, valid JSON, flattened, one entity an @id. */
function readGraph(bytes: Uint8Array): Read {
  const only = (rule: string, message: string): Read => ({ problems: [{ rule, message }] })
  if (bytes.byteLength > maxBytes) return only('json', `the metadata has more than ${maxBytes} bytes`)
  let document: unknown
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    return only('json', 'the metadata is not JSON in UTF-8')
  }
  if (!isObject(document) || !Array.isArray(document['@graph']) || !('@context' in document)) {
    return only('top-level', 'the metadata is not an object of @context and @graph')
  }
  const problems: CrateProblem[] = []
  if (Object.keys(document).length !== 2)
    problems.push({ rule: 'top-level', message: 'there is more than @context and @graph' })
  if (![document['@context']].flat(1).includes(iri.context)) {
    problems.push({ rule: 'context', message: `@context does not refer to ${iri.context}` })
  }
  const entities = new Map<string, GraphEntity>()
  for (const item of document['@graph'] as unknown[]) {
    if (!isObject(item) || typeof item['@id'] !== 'string') {
      problems.push({ rule: 'entity-id', message: 'an entity has no @id' })
      continue
    }
    const entity = item as GraphEntity
    const id = entity['@id']
    if (entities.has(id)) problems.push({ rule: 'entity-unique', entity: id, message: 'is described twice' })
    const types = valuesOf(entity, '@type')
    if (types.length === 0 || types.some(type => typeof type !== 'string')) {
      problems.push({ rule: 'entity-type', entity: id, message: 'has no @type' })
    }
    if (Object.keys(entity).some(key => !key.startsWith('@') && valuesOf(entity, key).some(isNested))) {
      problems.push({ rule: 'flattened', entity: id, message: 'holds another entity instead of referring to it' })
    }
    entities.set(id, entity)
  }
  return { problems, graph: new CrateGraph(entities) }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function isNested(value: unknown): boolean {
  if (Array.isArray(value)) return true
  return (
    isObject(value) && !('@value' in value) && (referenceOf(value) === undefined || Object.keys(value).length !== 1)
  )
}

function* roCrateProblems(graph: CrateGraph): Generator<CrateProblem> {
  yield* descriptorProblems(graph)
  yield* rootProblems(graph)
  yield* dataEntityProblems(graph)
  // Others may stay open: an agent is often known elsewhere.
  for (const entity of graph.all()) {
    for (const key of ['hasPart', 'mentions', 'object', 'result']) {
      for (const id of references(entity, key)) {
        if (graph.get(id) || !(isInCrate(id) || id.startsWith('#'))) continue
        yield {
          rule: 'reference-described',
          entity: entity['@id'],
          message: `${key} refers to something that is not described`,
        }
      }
    }
  }
}

/** RO-Crate 1.2 "Root Data Entity", the metadata descriptor. */
function* descriptorProblems(graph: CrateGraph): Generator<CrateProblem> {
  const rule = 'descriptor'
  const entity = iri.descriptor
  const descriptor = graph.get(entity)
  if (!descriptor) {
    yield { rule, entity, message: 'is not described' }
    return
  }
  if (!hasType(descriptor, 'CreativeWork')) yield { rule, entity, message: 'is not a CreativeWork' }
  if (references(descriptor, 'about').join() !== iri.root) yield { rule, entity, message: 'is not about ./' }
  if (!references(descriptor, 'conformsTo').includes(iri.roCrate)) {
    yield { rule, entity, message: `does not conform to ${iri.roCrate}` }
  }
}

/** RO-Crate 1.2 "Direct properties of the Root Data Entity". */
function* rootProblems({ root }: CrateGraph): Generator<CrateProblem> {
  const entity = iri.root
  if (!root) {
    yield { rule: 'root', entity, message: 'is not described' }
    return
  }
  if (!hasType(root, 'Dataset')) yield { rule: 'root', entity, message: 'is not a Dataset' }
  for (const property of ['name', 'description']) {
    const [value, ...more] = valuesOf(root, property)
    if (typeof value !== 'string' || value.trim() === '' || more.length > 0) {
      yield { rule: `root-${property}`, entity, message: `has not one ${property}` }
    }
  }
  const [published, ...more] = valuesOf(root, 'datePublished')
  const isDate = typeof published === 'string' && /^\d{4}(-\d{2}(-\d{2})?)?$/.test(published)
  if ((!isDate && !isTime(published)) || more.length > 0) {
    yield { rule: 'root-datePublished', entity, message: 'has not one datePublished in ISO 8601' }
  }
  if (valuesOf(root, 'license').length === 0) yield { rule: 'root-license', entity, message: 'has no license' }
}

/** RO-Crate 1.2 "Data Entities": every file and folder is part of the root, and lies below it. */
function* dataEntityProblems(graph: CrateGraph): Generator<CrateProblem> {
  const reached = new Set<string>([iri.root])
  // A Set is walked over what is added while walking; each id once, so circles end.
  for (const id of reached) {
    const entity = graph.get(id)
    if (entity) for (const part of references(entity, 'hasPart')) reached.add(part)
  }
  for (const entity of graph.all()) {
    const id = entity['@id']
    const isFile = hasType(entity, 'File')
    if (id === iri.root || !(isFile || hasType(entity, 'Dataset'))) continue
    if (!reached.has(id) && (isFile || isInCrate(id))) {
      yield { rule: 'data-entity-linked', entity: id, message: 'is not reached from the root by hasPart' }
    }
    if (isInCrate(id) && !isPathInCrate(id)) {
      yield { rule: 'data-entity-path', entity: id, message: 'is not a relative, percent-encoded path below the root' }
    }
  }
}

function isPathInCrate(id: string): boolean {
  if (/[\s\\?#]/.test(id)) return false
  try {
    return pathDefect(decodeURIComponent(id).replace(/^\.\//, '').replace(/\/$/, '')) === undefined
  } catch {
    return false
  }
}
