/** The files of schemas/ and what is generated from them. Used by `cratewright schema` and scripts/generate.ts alike. */

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import { generate } from '../schema/generate.ts'

/** File names; `surplus` is what lies there and is generated from nothing. */
export interface Staleness {
  readonly stale: readonly string[]
  readonly surplus: readonly string[]
}

/** Texts by file name. @throws CratewrightError as `generate`, DocumentMissing where there are no schemas */
export async function generatedFrom(folder: string): Promise<ReadonlyMap<string, string>> {
  const files = await contents(folder)
  if (![...files.keys()].some(name => name.endsWith('.linkml.yaml'))) {
    throw new CratewrightError('DocumentMissing', `${folder} holds no *.linkml.yaml`, {
      todo: 'Install the package again, or name a checkout.',
    })
  }
  return generate(files)
}

export async function staleness(wanted: ReadonlyMap<string, string>, folder: string): Promise<Staleness> {
  const present = await contents(folder)
  return {
    stale: [...wanted].filter(([name, text]) => !present.get(name)?.equals(Buffer.from(text))).map(([name]) => name),
    surplus: [...present.keys()].filter(name => !wanted.has(name)),
  }
}

/** Writes what differs. */
export async function writeGenerated(
  wanted: ReadonlyMap<string, string>,
  folder: string,
  { surplus }: { readonly surplus: 'kept' | 'removed' },
): Promise<Staleness> {
  await mkdir(folder, { recursive: true })
  const found = await staleness(wanted, folder)
  for (const name of found.stale) await writeFile(join(folder, name), wanted.get(name) ?? '')
  if (surplus === 'removed') for (const name of found.surplus) await rm(join(folder, name))
  return found
}

async function contents(folder: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter(entry => entry.isFile()).map(({ name }) => name)
  return new Map(await Promise.all(names.map(async name => [name, await readFile(join(folder, name))] as const)))
}
