/** Writes schemas/generated/ from schemas/*.linkml.yaml, and docs/errors.md; with --check only says which are not current (exit 1). */

import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { generatedFrom, staleness, writeGenerated } from '../controller/cli/schema-files.ts'
import { asCratewrightError, showWhere } from '../controller/runtime/errors.ts'
import { errorsPage } from './errors-page.ts'

const from = resolve(import.meta.dirname, '../schemas')
const to = join(from, 'generated')
const page = resolve(import.meta.dirname, '../docs/errors.md')

async function main(check: boolean): Promise<number> {
  const wanted = await generatedFrom(from)
  if (!check) {
    await writeGenerated(wanted, to, { surplus: 'removed' })
    if (!(await isPageCurrent())) await writeFile(page, errorsPage())
    return 0
  }
  const { stale, surplus } = await staleness(wanted, to)
  for (const name of [...stale, ...surplus])
    console.error(`schemas/generated/${name} is not current; run scripts/generate`)
  const pageCurrent = await isPageCurrent()
  if (!pageCurrent) console.error('docs/errors.md is not current; run scripts/generate')
  return stale.length + surplus.length > 0 || !pageCurrent ? 1 : 0
}

async function isPageCurrent(): Promise<boolean> {
  return (await readFile(page, 'utf8').catch(() => '')) === errorsPage()
}

try {
  process.exitCode = await main(process.argv.includes('--check'))
} catch (error) {
  const { where, message } = asCratewrightError(error)
  console.error(where ? `${showWhere(where)}: ${message}` : message)
  process.exitCode = 3
}
