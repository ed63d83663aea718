/** Sources on real Git repositories whose files are JSON: `<name>.json` declares the Thing (or Other) of that name. */

import type { Reader, ReadResult } from '../../controller/engine/kind.ts'
import { GitSource, type GitSourceOptions } from '../../controller/engine/source.ts'
import type { Store } from '../../controller/engine/store/store.ts'
import type { GitRepository, Oid } from '../../controller/git/repository.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { main, makeWorld, open, type World } from '../git/world.ts'
import { otherType, thingType } from './lab.ts'

export const repositoryType = { group: 'test.cratewright.dev', version: 'v1', kind: 'Repository' } as const

const types = { Thing: thingType, Other: otherType, Repository: repositoryType }

export class JsonReader implements Reader {
  readonly reads: Oid[] = []
  readonly #repository: GitRepository
  readonly #name: string

  constructor(repository: GitRepository, name: string) {
    this.#repository = repository
    this.#name = name
  }

  async read(commit: Oid, signal: AbortSignal): Promise<ReadResult> {
    this.reads.push(commit)
    const entries = (await this.#repository.list(commit, '', signal)).filter(({ path }) => path.endsWith('.json'))
    if (entries.some(({ path }) => path === 'huge.json')) throw new CratewrightError('TreeTooLarge', 'far too large')
    const oids = entries.map(({ oid }) => oid)
    const blobs = await this.#repository.read(oids, 10_000, signal)
    return {
      resources: entries.map(({ path, oid }) => {
        const { kind, spec } = JSON.parse(Buffer.from(blobs.get(oid)!).toString('utf8')) as {
          kind: keyof typeof types
          spec: unknown
        }
        return {
          type: types[kind],
          namespace: kind === 'Thing' ? 'projects' : '',
          name: path.replace('.json', ''),
          spec,
          problems: [],
          origin: { repository: this.#name, commit, where: { file: path } },
        }
      }),
      problems: [],
    }
  }
}

export interface GitLab {
  readonly world: World
  readonly source: GitSource
  readonly reader: JsonReader
}

/** A server with one repository, a clone to push from, and the source that watches it. */
export async function makeSource(
  store: Store,
  name: string,
  options: Partial<Pick<GitSourceOptions, 'accept' | 'interval'>> = {},
): Promise<GitLab> {
  const world = await makeWorld()
  const repository = open(world.fileUrl)
  const reader = new JsonReader(repository, name)
  const source = new GitSource({ name, repository, ref: main, reader, store, log: silentLog, interval: 50, ...options })
  return { world, source, reader }
}

export const json = (kind: keyof typeof types, spec: unknown = {}) => JSON.stringify({ kind, spec })
