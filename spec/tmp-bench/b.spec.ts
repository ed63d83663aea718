import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { makeCommit } from '../../controller/git/commit-object.ts'
import { recordsIdentity } from '../../controller/records/identity.ts'
import { verifyCommits } from '../../controller/records/verify.ts'
import { generateKey, parsePrivateKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { makeWorld, never, open } from '../git/world.ts'
import { git } from '../support/git-server.ts'
import { costs, World } from '../support/world.ts'

import { subscribe } from 'node:diagnostics_channel'
let starts = 0; const what = new Map<string, number>()
subscribe('child_process', (m: any) => { starts++; const c = (m.process.spawnargs ?? []).find((a: string) => /^(ls-tree|rev-list|log|merge-base|cat-file|fetch|rev-parse|diff-tree|ls-remote|status|config|version|init|hash-object)$/.test(a)) ?? String(m.process.spawnargs); what.set(c, (what.get(c) ?? 0) + 1) })
describe('bench', () => {
  it('20k', async () => {
    const world = await makeWorld()
    const key = parsePrivateKey(generateKey('t').private)
    const sign = (p: Uint8Array) => signSsh(key, 'git', p)
    const put = (type: string, content: Uint8Array) => {
      const all = Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content])
      const oid = createHash('sha1').update(all).digest('hex')
      const dir = join(world.bare, 'objects', oid.slice(0, 2))
      mkdirSync(dir, { recursive: true })
      writeFileSync(join(dir, oid.slice(2)), deflateSync(all, { level: 1 }))
      return oid
    }
    const tree = (items: [string, string, string][]) =>
      put('tree', Buffer.concat(items.sort((a, b) => (a[1] < b[1] ? -1 : 1)).map(([m, n, o]) => Buffer.concat([Buffer.from(`${m} ${n}\0`), Buffer.from(o, 'hex')]))))
    const n = Number(process.env.N ?? 5000)
    let parent: string | undefined
    const projects = new Map<string, { oid: string; entries: [string, string, string][] }>()
    const empty = tree([])
    parent = put('commit', makeCommit({ tree: empty, parent, message: 'r', time: new Date(0), identity: recordsIdentity, sign }))
    for (let i = 0; i < n; i++) {
      const name = `p${String(Math.floor(i / 20)).padStart(4, '0')}`
      const p = projects.get(name) ?? { oid: '', entries: [] }
      p.entries.push(['100644', `${String(p.entries.length + 1).padStart(6, '0')}-create-noted.json`, put('blob', Buffer.from(`${i}`))])
      p.oid = tree([['40000', 'log', tree(p.entries)]])
      projects.set(name, p)
      const root = tree([['40000', 'projects', tree([...projects].map(([k, v]) => ['40000', k, v.oid] as [string, string, string]))]])
      parent = put('commit', makeCommit({ tree: root, parent, message: `Record ${i}`, time: new Date(i * 1000), identity: recordsIdentity, sign }))
    }
    await git(world.bare, 'update-ref', 'refs/heads/r', parent!)
    await git(world.bare, 'repack', '-adq')
    const repo = open(world.fileUrl)
    let t = performance.now()
    await repo.fetch('refs/heads/r', parent!, never)
    console.log('fetch', performance.now() - t)
    t = performance.now()
    const v = await verifyCommits(repo, parent!, [{ key: key.public }], never)
    console.log('verifyCommits', n, performance.now() - t, v.findings.length, process.memoryUsage().rss / 1e6)
  })
  it('projects', async () => {
    const world = await World.make()
    for (const m of [1, 6]) {
      for (let i = m === 1 ? 0 : 1; i < m; i++) {
        const name = `b${i}`
        await world.commit('rob', world.requestFiles(name, [{ name: 'money', tables: [costs] }]))
        await world.run(); await world.signOff('dana', name); await world.run(); await world.disclose('dana', name); await world.run()
      }
      const auditor = await world.auditor(`a${m}`)
      for (let k = 0; k < 5; k++) {
        starts = 0; what.clear(); const cpu = process.cpuUsage()
        const t = performance.now()
        const { code } = await world.cratewright('verify', auditor)
        console.log('verify', m, code, performance.now() - t, starts, [...what], process.cpuUsage(cpu))
      }
    }
  })
})
