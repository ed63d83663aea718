/** The store without a cluster: in memory, rebuilt from Git at every start. */

import type { Oid } from '../../git/repository.ts'
import type { Problem } from '../../runtime/errors.ts'
import { type Key, keyOf, type ReadResult, type Resource, type ResourceType, type Snapshot } from '../kind.ts'
import type { Store, StoredStatus } from './store.ts'

interface Held {
  resource: Resource
  source: string
  fingerprint: string
}

export class MemoryStore implements Store {
  readonly #held = new Map<Key, Held>()
  readonly #status = new Map<Key, StoredStatus>()
  readonly #commits = new Map<string, Oid>()
  readonly #problems = new Map<string, readonly Problem[]>()
  readonly #listeners: ((key: Key, what: 'spec' | 'ready') => void)[] = []
  #snapshot: Snapshot | undefined
  readonly #keepsMissing: (type: ResourceType) => boolean

  constructor(keepsMissing: (type: ResourceType) => boolean) {
    this.#keepsMissing = keepsMissing
  }

  replace(source: string, commit: Oid, read: ReadResult): void {
    const changed: Key[] = []
    const seen = new Set<Key>()
    for (const fresh of read.resources) {
      const key = keyOf(fresh.type, fresh.name, fresh.namespace)
      seen.add(key)
      const fingerprint = JSON.stringify([fresh.spec, fresh.problems, fresh.suspended])
      const held = this.#held.get(key)
      const same = held?.fingerprint === fingerprint && !held.resource.missing
      const generation = same ? held.resource.generation : (held?.resource.generation ?? 0) + 1
      // An unchanged resource keeps where it comes from, so that a commit elsewhere changes nothing about it.
      const origin = same ? held.resource.origin : fresh.origin
      this.#held.set(key, { resource: { ...fresh, key, origin, generation, missing: false }, source, fingerprint })
      if (!same) changed.push(key)
    }
    for (const gone of read.missing ?? []) {
      const key = keyOf(gone.type, gone.name, gone.namespace)
      if (this.#held.has(key)) continue
      this.#held.set(key, { resource: { ...gone, key, generation: 1, missing: true }, source, fingerprint: '' })
      changed.push(key)
    }
    for (const [key, held] of this.#held) {
      if (held.source !== source || seen.has(key) || held.resource.missing) continue
      if (this.#keepsMissing(held.resource.type)) held.resource = { ...held.resource, missing: true }
      else {
        this.#held.delete(key)
        this.#status.delete(key)
      }
      changed.push(key)
    }
    this.#commits.set(source, commit)
    this.#problems.set(source, read.problems)
    this.#snapshot = undefined
    for (const key of changed) this.#tell(key, 'spec')
  }

  get(key: Key): Resource | undefined {
    return this.#held.get(key)?.resource
  }

  keys(): readonly Key[] {
    return [...this.#held.keys()]
  }

  snapshot(): Snapshot {
    this.#snapshot ??= this.#takeSnapshot()
    return this.#snapshot
  }

  #takeSnapshot(): Snapshot {
    const held = new Map([...this.#held].map(([key, { resource }]) => [key, resource]))
    return {
      get: <Spec>(type: ResourceType, name: string, namespace?: string) =>
        held.get(keyOf(type, name, namespace)) as Resource<Spec> | undefined,
      list: <Spec>(type: ResourceType) =>
        [...held.values()].filter(
          resource => resource.type.kind === type.kind && resource.type.group === type.group,
        ) as Resource<Spec>[],
      commits: new Map(this.#commits),
      problems: new Map(this.#problems),
    }
  }

  status(key: Key): StoredStatus | undefined {
    return this.#status.get(key)
  }

  setStatus(key: Key, status: StoredStatus): void {
    const before = this.#status.get(key)
    this.#status.set(key, status)
    if (before?.report.ready !== status.report.ready) this.#tell(key, 'ready')
  }

  onChange(listener: (key: Key, what: 'spec' | 'ready') => void): void {
    this.#listeners.push(listener)
  }

  #tell(key: Key, what: 'spec' | 'ready'): void {
    for (const listener of this.#listeners) listener(key, what)
  }
}
