/** Writes schemas/generated/ from schemas/*.linkml.yaml; with --check only says which files are not current (exit 1). */

import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { asCratewrightError, showWhere } from '../controller/runtime/errors.ts'
import { generate } from '../controller/schema/generate.ts'

const root = resolve(import.meta.dirname, '..')
const from = join(root, 'schemas')
const to = join(from, 'generated')

async function contents(folder: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter(entry => entry.isFile()).map(({ name }) => name)
  return new Map(await Promise.all(names.map(async name => [name, await readFile(join(folder, name))] as const)))
}

async function main(check: boolean): Promise<number> {
  const wanted = generate(await contents(from))
  const present = await contents(to)
  const stale = [...wanted]
    .filter(([name, text]) => !present.get(name)?.equals(Buffer.from(text)))
    .map(([name]) => name)
  const surplus = [...present.keys()].filter(name => !wanted.has(name))
  if (check) {
    for (const name of [...stale, ...surplus])
      console.error(`schemas/generated/${name} is not current; run scripts/generate`)
    return stale.length + surplus.length > 0 ? 1 : 0
  }
  for (const name of stale) await writeFile(join(to, name), wanted.get(name) ?? '')
  for (const name of surplus) await rm(join(to, name))
  return 0
}

try {
  process.exitCode = await main(process.argv.includes('--check'))
} catch (error) {
  const { where, message } = asCratewrightError(error)
  console.error(where ? `${showWhere(where)}: ${message}` : message)
  process.exitCode = 3
}
