/** A parsed `ro-crate-metadata.json`, and how rules look at it. */

import * as iri from './terms.ts'

export interface CrateProblem {
  /** Stable name of the requirement that is not met. */
  readonly rule: string
  /** The @id that it is about. */
  readonly entity?: string
  readonly message: string
}

export interface GraphEntity {
  readonly '@id': string
  readonly [key: string]: unknown
}

export class CrateGraph {
  readonly #entities: ReadonlyMap<string, GraphEntity>

  /** @param entities by @id */
  constructor(entities: ReadonlyMap<string, GraphEntity>) {
    this.#entities = entities
  }

  get root(): GraphEntity | undefined {
    return this.#entities.get(iri.root)
  }

  get(id: string): GraphEntity | undefined {
    return this.#entities.get(id)
  }

  all(type?: string): GraphEntity[] {
    const entities = [...this.#entities.values()]
    return type === undefined ? entities : entities.filter(entity => hasType(entity, type))
  }

  /** The entities that a property refers to, as far as they are described. */
  follow(entity: GraphEntity, property: string): GraphEntity[] {
    return references(entity, property).flatMap(id => this.#entities.get(id) ?? [])
  }
}

/** A property's values; one value and a list of one are the same in JSON-LD. */
export function valuesOf(entity: GraphEntity, property: string): readonly unknown[] {
  const value = Object.hasOwn(entity, property) ? entity[property] : undefined
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]
}

/** The ids a property refers to; a string is not a reference. */
export function references(entity: GraphEntity, property: string): string[] {
  return valuesOf(entity, property).flatMap(value => referenceOf(value) ?? [])
}

export function referenceOf(value: unknown): string | undefined {
  const id = value !== null && typeof value === 'object' ? (value as Record<string, unknown>)['@id'] : undefined
  return typeof id === 'string' ? id : undefined
}

export function hasType(entity: GraphEntity, type: string): boolean {
  return valuesOf(entity, '@type').includes(type)
}

/** Relative to the crate: a file or folder of it. Fragments and absolute IRIs are something else. */
export function isInCrate(id: string): boolean {
  return !id.startsWith('#') && !id.startsWith('_:') && !/^[A-Za-z][A-Za-z0-9+.-]*:/.test(id)
}

/** RFC 3339 §5.6 with zone. */
export function isTime(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(value) &&
    !Number.isNaN(Date.parse(value))
  )
}
