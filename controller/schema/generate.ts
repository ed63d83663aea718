/** Everything that schemas/generated/ holds, from what schemas/ holds. */

import { formatJsonSchema, toJsonSchema } from './json-schema.ts'
import { readModel } from './linkml.ts'
import { toTypeScript } from './typescript.ts'

const suffix = '.linkml.yaml'

/**
 * @param files contents by file name; those that are no LinkML schemas are passed over
 * @returns texts by file name
 * @throws CratewrightError as readModel
 */
export function generate(files: ReadonlyMap<string, Uint8Array>): Map<string, string> {
  const names = [...files.keys()].filter(name => name.endsWith(suffix)).sort()
  const models = names.map(name => readModel(files, name))
  return new Map([
    ...models.map((model): [string, string] => [`${model.name}.schema.json`, formatJsonSchema(toJsonSchema(model))]),
    ['types.ts', toTypeScript(models)],
  ])
}
