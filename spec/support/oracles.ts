/**
 * The independent tools of `../shared/oracles` (bagit-python, roc-validator, LinkML's own), in a Python virtual environment: the one that
 * CRATEWRIGHT_ORACLES names, or one in the cache folder, made at first use unless CRATEWRIGHT_NO_ORACLES is set.
 */

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

const packages = ['bagit==1.9.0', 'roc-validator==0.13.0']
const linkml = 'linkml==1.12.1'

/** Files given to the project that are not part of it; tests that use them skip where they are absent. */
export const shared = resolve(import.meta.dirname, '../../../shared')

interface Test {
  skip(): never
  timeout(ms: number): unknown
}

/** The folder with the oracles' programs; skips the test, and says why, where there is none. */
export function oraclesOrSkip(test: Test): string {
  // Python starts slowly, and the first test may have to install the tools.
  test.timeout(found ? 60_000 : 600_000)
  found ??= find()
  return 'bin' in found ? found.bin : skip(test, `no oracles: ${found.reason}`)
}

/** The same, with LinkML's tools in it, which are many times as large. */
export function linkmlOrSkip(test: Test): string {
  const bin = oraclesOrSkip(test)
  test.timeout(600_000)
  if (existsSync(join(bin, 'linkml-validate'))) return bin
  if (process.env.CRATEWRIGHT_ORACLES !== undefined) return skip(test, `no oracles: ${bin} is without ${linkml}`)
  try {
    execFileSync(join(bin, 'pip'), ['install', '--quiet', linkml], { timeout: 300_000, stdio: 'pipe' })
    return bin
  } catch (error) {
    return skip(test, `no oracles: ${linkml} cannot be installed (${error instanceof Error ? error.name : 'why ever'})`)
  }
}

/** A path below `../shared`; skips the test, and says why, where it is absent. */
export function sharedOrSkip(test: Test, path: string): string {
  const absolute = join(shared, path)
  return existsSync(absolute) ? absolute : skip(test, `${absolute} is absent`)
}

/** JSON-LD contexts for roc-validator, which otherwise asks w3id.org for them. */
export function contextCacheOrSkip(test: Test): string {
  const bin = oraclesOrSkip(test)
  const seeder = sharedOrSkip(test, 'oracles/seed_roc_cache.py')
  const contexts = sharedOrSkip(test, 'data/04-ro-crate/contexts')
  const cache = join(bin, '../contexts')
  if (!existsSync(`${cache}.sqlite`))
    execFileSync(join(bin, 'python'), [seeder, contexts, cache], { timeout: 60_000, stdio: 'pipe' })
  return cache
}

let found: { readonly bin: string } | { readonly reason: string } | undefined

function find(): NonNullable<typeof found> {
  const named = process.env.CRATEWRIGHT_ORACLES
  const folder = named ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'cratewright/oracles')
  const bin = join(folder, 'bin')
  if (existsSync(join(bin, 'rocrate-validator')) && existsSync(join(bin, 'bagit.py'))) return { bin }
  if (named !== undefined) return { reason: `${named} is not an environment with ${packages.join(' and ')}` }
  if (process.env.CRATEWRIGHT_NO_ORACLES !== undefined) return { reason: 'CRATEWRIGHT_NO_ORACLES is set' }
  try {
    execFileSync('python3', ['-m', 'venv', folder], { timeout: 60_000, stdio: 'pipe' })
    execFileSync(join(bin, 'pip'), ['install', '--quiet', ...packages], { timeout: 300_000, stdio: 'pipe' })
    return { bin }
  } catch (error) {
    return { reason: error instanceof Error ? error.message.split('\n')[0]! : 'cannot be installed' }
  }
}

function skip(test: Test, reason: string): never {
  console.log(`      skipped: ${reason}`)
  return test.skip()
}
