/** `cratewright schema generate | check`: JSON Schemas and TypeScript types from the LinkML schemas. */

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import { type Command, commonOptions, exit } from './command.ts'
import { packageFolder } from './package-folder.ts'
import { generatedFrom, staleness, writeGenerated } from './schema-files.ts'

export const schemaCommand: Command = {
  name: 'schema',
  summary: 'write JSON Schemas and types of every document, or check that those that are used are current',
  arguments: 'generate|check',
  options: {
    out: { type: 'string', value: '<path>', help: 'with generate: the folder that takes the files (default: schemas)' },
    json: commonOptions.json,
  },
  example: 'scripts/cratewright schema generate --out .quickstart/schemas',
  async run(args, io) {
    const [verb] = args.positionals
    if (verb !== 'generate' && verb !== 'check')
      throw new CratewrightError('UsageInvalid', 'write `cratewright schema generate` or `cratewright schema check`')
    const from = packageFolder('schemas', 'common.linkml.yaml')
    const wanted = await generatedFrom(from)
    if (verb === 'generate') {
      const out = resolve(args.string('out') ?? 'schemas')
      const { stale } = await writeGenerated(wanted, out, { surplus: 'kept' })
      if (args.flag('json')) io.out(JSON.stringify({ folder: out, written: stale }))
      else io.out(stale.length === 0 ? `${out} is current.` : `Written to ${out}: ${stale.join(', ')}.`)
      return exit.ok
    }
    if (args.string('out') !== undefined) throw new CratewrightError('UsageInvalid', '--out goes with generate only')
    const folder = packageFolder('schemas/generated', 'common.schema.json')
    // An installed package holds what a compiler made of types.ts.
    const types = existsSync(join(folder, 'types.ts'))
    const { stale } = await staleness(new Map([...wanted].filter(([name]) => types || !name.endsWith('.ts'))), folder)
    if (args.flag('json')) io.out(JSON.stringify({ folder, stale }))
    else if (stale.length === 0) io.out('The generated schemas are current.')
    for (const name of stale) io.err(`${join(folder, name)} is not current`)
    return stale.length === 0 ? exit.ok : exit.invalid
  },
}
