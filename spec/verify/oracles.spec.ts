/** What a walk publishes, judged by tools that know nothing of us: bagit-python and roc-validator. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stateOf } from '../../controller/kinds/requests/state.ts'
import { readLog } from '../../controller/records/log.ts'
import { contextCacheOrSkip, oraclesOrSkip } from '../support/oracles.ts'
import { tempFolder } from '../support/temp.ts'
import { World } from '../support/world.ts'
import { Forgery, flipped } from './forge.ts'

interface Ended {
  readonly code: number
  readonly said: string
}

function tool(program: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: 120_000 }, (error, stdout, stderr) => {
      const code = error ? error.code : 0
      if (typeof code === 'number') resolve({ code, said: stdout + stderr })
      else reject(error)
    })
  })
}

describe('independent tools', () => {
  let world: World
  let bin: string

  before(async function () {
    bin = oraclesOrSkip(this)
    world = await World.make()
    await world.walk('asthma')
  })

  it('bagit-python accepts the published bag, and refuses it with one bit turned', async () => {
    const bag = join(tempFolder(), 'bag')
    cpSync(world.release('asthma'), bag, { recursive: true })
    const validate = () => tool(join(bin, 'bagit.py'), '--validate', bag)
    const accepted = await validate()
    assert.equal(accepted.code, 0, accepted.said)
    for (const path of ['data/outputs/cohort/visits.csv', 'cratewright/log/000001-create-noted.json']) {
      const before = readFileSync(join(bag, path))
      writeFileSync(join(bag, path), flipped(before))
      const refused = await validate()
      assert.equal(refused.code, 1, path)
      assert.match(refused.said, new RegExp(path.replaceAll('.', '\\.')))
      writeFileSync(join(bag, path), before)
    }
    assert.equal((await validate()).code, 0)
  })

  describe('roc-validator', () => {
    let cache: string
    let crates: Map<string, string>

    before(async function () {
      cache = contextCacheOrSkip(this)
      crates = await workingCrates(Forgery.of(await world.auditor(), 'crates'))
    })

    /** What RO-Crate 1.2 requires and the crate in this folder does not do. */
    async function requiredIssues(folder: string): Promise<string[]> {
      const out = join(tempFolder(), 'verdict.json')
      const options = ['--offline', '--cache-path', cache, '-p', 'ro-crate-1.2', '--skip-availability-check']
      const args = ['-y', 'validate', ...options, '--no-paging', '-f', 'json', '-o', out, folder]
      const { code, said } = await tool(join(bin, 'rocrate-validator'), ...args)
      // With --offline, a context that is not in the cache would pass as an empty graph.
      assert.doesNotMatch(said, /WARNING.*context/i)
      assert.ok(code === 0 || code === 1, said)
      const { issues } = JSON.parse(readFileSync(out, 'utf8')) as { issues: { message: string }[] }
      assert.equal(code === 0, issues.length === 0)
      return issues.map(({ message }) => message)
    }

    it('accepts the crate in the published bag, files included', async () => {
      assert.deepEqual(await requiredIssues(join(world.release('asthma'), 'data')), [])
    })

    for (const phase of ['Created', 'Validated', 'SignedOff', 'Staged', 'Disclosed', 'Published']) {
      it(`accepts the working crate of a request that is ${phase}`, async () => {
        const folder = crates.get(phase)
        assert.ok(folder, `there is a crate for ${phase}`)
        assert.deepEqual(await requiredIssues(folder), [])
      })
    }

    it('refuses a crate with a file missing, so that the others say something', async () => {
      const folder = join(tempFolder(), 'crate')
      cpSync(crates.get('Created') ?? '', folder, { recursive: true })
      rmSync(join(folder, 'request/config.toml'))
      assert.notDeepEqual(await requiredIssues(folder), [])
    })
  })
})

/** The crate as the records branch had it in each phase, the last of each, as folders. */
async function workingCrates(clone: Forgery): Promise<Map<string, string>> {
  const crates = new Map<string, string>()
  for (const commit of await clone.commits('projects/asthma')) {
    const log = new Map<string, Buffer>()
    for (const path of await clone.paths('projects/asthma/log/', commit))
      log.set(path.slice('projects/asthma/log/'.length), await clone.read(path, commit))
    const folder = tempFolder()
    for (const path of await clone.paths('projects/asthma/crate/', commit)) {
      const target = join(folder, path.slice('projects/asthma/crate/'.length))
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, await clone.read(path, commit))
    }
    crates.set(stateOf(readLog(log).history).phase, folder)
  }
  return crates
}
