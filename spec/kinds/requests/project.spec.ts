/** What follows from a log is the same, bit for bit, wherever and whenever it is made. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { projectRequest } from '../../../controller/kinds/requests/project.ts'
import { historyUpTo, readLog } from '../../../controller/records/log.ts'
import { headOf } from '../../../controller/records/recorder.ts'
import { git } from '../../support/people.ts'
import { World } from '../../support/world.ts'

const records = 'refs/heads/cratewright/records'
const documentNames = [
  'config.toml',
  'resources/governance/cr8-governance.yaml',
  'resources/data/cr8-ingress.yaml',
  'resources/deployment/cr8-deployment.yaml',
]

describe('what follows from the log of a request', () => {
  let world: World
  let onBranch: Map<string, Buffer>
  let log: Map<string, Buffer>
  let documents: Map<string, Map<string, Buffer>>

  before(async () => {
    world = await World.make()
    await world.walk('asthma')
    onBranch = filesAt(records)
    log = new Map(
      [...onBranch].filter(([path]) => path.startsWith('log/')).map(([path, file]) => [path.slice(4), file]),
    )
    const [created] = await world.log('asthma')
    const { content } = (created?.facts ?? {}) as unknown as { content: string }
    const files = documentNames.map(name => [name, blob(`${content}:projects/asthma/${name}`)] as const)
    documents = new Map([[content, new Map(files)]])
  })

  function blob(name: string): Buffer {
    return execFileSync('git', ['-C', world.bare('projects'), 'cat-file', 'blob', name], {
      maxBuffer: 64 * 1024 * 1024,
    })
  }

  /** The files of the project at a commit of the records, by their path below the project's folder. */
  function filesAt(commit: string): Map<string, Buffer> {
    const args = ['-C', world.bare('projects'), 'ls-tree', '-r', '--name-only', commit, 'projects/asthma/']
    const paths = execFileSync('git', args, { encoding: 'utf8' }).split('\n').slice(0, -1)
    return new Map(paths.map(path => [path.slice('projects/asthma/'.length), blob(`${commit}:${path}`)]))
  }

  it('is what lies on the branch, at every commit of it', async () => {
    const { history } = readLog(log)
    const commits = (
      await git(world.bare('projects'), 'rev-list', '--reverse', records, '--', 'projects/asthma')
    ).split('\n')
    assert.ok(commits.length >= 8)
    for (const commit of commits) {
      const there = filesAt(commit)
      const entries = [...there.keys()].filter(path => path.startsWith('log/')).length
      const upTo = historyUpTo(history, entries)
      const made = [...projectRequest(upTo, documents), headOf(upTo)].map(({ path, content }) => [path, hash(content)])
      const derived = [...there].filter(([path]) => !path.startsWith('log/'))
      assert.deepEqual(Object.fromEntries(made), hashes(derived), `after ${entries} entries`)
    }
  })

  for (const [zone, offset] of [
    ['Asia/Kathmandu', -330],
    ['America/St_Johns', 210],
  ] as const) {
    it(`is the same in ${zone}, with a Turkish locale and a strict umask, in another process`, () => {
      const encoded = (files: ReadonlyMap<string, Buffer>) =>
        Object.fromEntries([...files].map(([path, content]) => [path, content.toString('base64')]))
      const input = JSON.stringify({
        log: encoded(log),
        documents: Object.fromEntries([...documents].map(([commit, files]) => [commit, encoded(files)])),
      })
      const script = join(import.meta.dirname, 'project-again.ts')
      const said = execFileSync('/bin/sh', ['-c', 'umask 077; exec "$0" "$1"', process.execPath, script], {
        input,
        encoding: 'utf8',
        cwd: '/',
        env: { TZ: zone, LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8', PATH: process.env.PATH },
        maxBuffer: 64 * 1024 * 1024,
      })
      const { zone: found, files } = JSON.parse(said) as { zone: number; files: Record<string, string> }
      // Kathmandu was at +5:30 in 1970: the time zone had effect.
      assert.equal(found, offset)
      assert.deepEqual(files, hashes([...onBranch].filter(([path]) => !path.startsWith('log/'))))
    })
  }
})

function hash(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

function hashes(files: readonly (readonly [string, Buffer])[]): Record<string, string> {
  return Object.fromEntries(files.map(([path, content]) => [path, hash(content)]))
}
