/** Writes schemas/generated/ from schemas/*.linkml.yaml; with --check only says which files are not current (exit 1). */

import { join, resolve } from 'node:path'
import { generatedFrom, staleness, writeGenerated } from '../controller/cli/schema-files.ts'
import { asCratewrightError, showWhere } from '../controller/runtime/errors.ts'

const from = resolve(import.meta.dirname, '../schemas')
const to = join(from, 'generated')

async function main(check: boolean): Promise<number> {
  const wanted = await generatedFrom(from)
  if (!check) {
    await writeGenerated(wanted, to, { surplus: 'removed' })
    return 0
  }
  const { stale, surplus } = await staleness(wanted, to)
  for (const name of [...stale, ...surplus])
    console.error(`schemas/generated/${name} is not current; run scripts/generate`)
  return stale.length + surplus.length > 0 ? 1 : 0
}

try {
  process.exitCode = await main(process.argv.includes('--check'))
} catch (error) {
  const { where, message } = asCratewrightError(error)
  console.error(where ? `${showWhere(where)}: ${message}` : message)
  process.exitCode = 3
}
