import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import type { Oid } from '../../controller/git/repository.ts'
import { listBelow, parseListing } from '../../controller/git/tree-object.ts'
import { tempFolder } from '../support/temp.ts'

interface Item {
  readonly mode: string
  readonly name: Buffer
  readonly oid: Oid
}

/** Trees as objects, whatever is in them: git's own tools would refuse to write most. */
class Trees {
  readonly contents = new Map<Oid, Buffer>()

  add(items: readonly Item[]): Oid {
    const sortKey = ({ mode, name }: Item) => (/^0?4/.test(mode) ? Buffer.concat([name, Buffer.from('/')]) : name)
    const sorted = [...items].sort((a, b) => Buffer.compare(sortKey(a), sortKey(b)))
    const parts = sorted.map(({ mode, name, oid }) =>
      Buffer.concat([Buffer.from(`${mode} `), name, Buffer.from([0]), Buffer.from(oid, 'hex')]),
    )
    const content = Buffer.concat(parts)
    const oid = createHash('sha1').update(`tree ${content.length}\0`).update(content).digest('hex')
    this.contents.set(oid, content)
    return oid
  }

  list(path: string, oid: Oid) {
    return listBelow(path, oid, async oids => new Map(oids.map(id => [id, this.contents.get(id)!])))
  }
}

const blob = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
const file = (name: string, mode = '100644'): Item => ({ mode, name: Buffer.from(name), oid: blob })
const folderOf = (name: string, oid: Oid): Item => ({ mode: '40000', name: Buffer.from(name), oid })

describe('a listing of a folder', () => {
  it('is what git ls-tree -r lists, for whatever names and modes', async function () {
    this.timeout(60_000)
    const git = tempFolder()
    execFileSync('git', ['init', '--quiet', '--bare', git])
    const run = (args: string[], input?: Buffer) =>
      execFileSync('git', ['--git-dir', git, ...args], { input, stdio: ['pipe', 'pipe', 'pipe'] })
    run(['hash-object', '-w', '-t', 'blob', '--stdin'], Buffer.alloc(0))
    const name = fc
      .uint8Array({ minLength: 1, maxLength: 6 })
      .map(bytes => Buffer.from(bytes.map(byte => (byte === 0 || byte === 0x2f ? 0x61 : byte))))
    const mode = fc.constantFrom('100644', '100755', '120000', '160000', '100664', '100600')
    type Node = { readonly name: Buffer; readonly mode: string; readonly below?: readonly Node[] }
    const { nodes } = fc.letrec<{ nodes: readonly Node[]; node: Node }>(tie => ({
      node: fc.oneof({ maxDepth: 3 }, fc.record({ name, mode }), fc.record({ name, mode, below: tie('nodes') })),
      nodes: fc.array(tie('node'), { maxLength: 4 }),
    }))
    await fc.assert(
      fc.asyncProperty(nodes, async top => {
        const trees = new Trees()
        const make = (below: readonly Node[]): Oid =>
          trees.add(
            below.map(({ name, mode, below }) =>
              below ? { mode: '40000', name, oid: make(below) } : { mode, name, oid: blob },
            ),
          )
        const oid = make(top)
        for (const content of trees.contents.values())
          run(['hash-object', '-w', '-t', 'tree', '--stdin', '--literally'], content)
        const listed = parseListing(run(['ls-tree', '-r', '-z', oid]))
        assert.deepEqual(
          await trees.list('a/b', oid),
          listed.map(entry => ({ ...entry, path: `a/b/${entry.path}` })),
        )
      }),
      { numRuns: 25 },
    )
  })

  it('shows a name that is there twice twice', async () => {
    const trees = new Trees()
    const oid = trees.add([file('a'), file('a', '120000')])
    assert.deepEqual(
      (await trees.list('f', oid)).map(({ path, mode }) => `${mode} ${path}`),
      ['100644 f/a', '120000 f/a'],
    )
  })

  it('refuses a few trees that stand for millions of files, at once and without the memory for them', async () => {
    const trees = new Trees()
    let oid = trees.add(Array.from({ length: 10 }, (_, index) => file(`file-${index}`)))
    for (let level = 0; level < 12; level++)
      oid = trees.add(Array.from({ length: 10 }, (_, index) => folderOf(`folder-${index}`, oid)))
    const begun = performance.now()
    await assert.rejects(trees.list('bomb', oid), { code: 'TreeTooLarge' })
    assert.ok(performance.now() - begun < 5000)
  })

  it('refuses folders in folders without end', async () => {
    const trees = new Trees()
    let oid = trees.add([file('a')])
    for (let depth = 0; depth < 2000; depth++) oid = trees.add([folderOf('f', oid)])
    await assert.rejects(trees.list('deep', oid), { code: 'TreeTooLarge' })
  })
})
