import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { readController, rooms, violations } from '../scripts/rooms.ts'

const found = (file: string, text: string) =>
  violations(new Map([[file, text]])).map(({ imports, why }) => `${imports}: ${why}`)

describe('the rooms of the controller', () => {
  const files = readController(resolve(import.meta.dirname, '..'))

  it('are all there is, and import down only', () => {
    assert.ok(files.size > 90, `${files.size} files`)
    assert.deepEqual(violations(files), [])
    for (const file of files.keys()) assert.ok(rooms.includes(file.split('/')[0]!.replace(/\.ts$/, '')), file)
  })

  it('are found out by any way of importing what stands above', () => {
    for (const text of [
      "import { wire } from '../cli/wire.ts'",
      "import type { Wired } from '../cli/wire.ts'",
      'import { wire } from "../cli/wire.ts"',
      "import {\n  type Wired,\n  wire,\n} from '../cli/wire.ts'",
      "import * as cli from '../cli/wire.ts'",
      "import '../cli/wire.ts'",
      "export { wire } from '../cli/wire.ts'",
      "export * from '../cli/wire.ts'",
      "const { wire } = await import('../cli/wire.ts')",
      "const { wire } = await import(\n  '../cli/wire.ts'\n)",
      'const { wire } = await import(`../cli/wire.ts`)',
      "type Wired = import('../cli/wire.ts').Wired",
      "import { a } from './a.ts'; import { wire } from '../cli/wire.ts'",
    ])
      assert.deepEqual(found('engine/x.ts', text), ['cli/wire.ts: engine stands below cli'], text)
  })

  it('may import what stands beside and below', () => {
    for (const text of [
      "import { a } from './a.ts'",
      "import { a } from './store/a.ts'",
      "import { a } from '../git/a.ts'",
      "import { a } from 'node:fs'",
      "import { a } from 'pg'",
      '// as in import { wire } of the command line',
    ])
      assert.deepEqual(found('engine/x.ts', text), [], text)
    assert.deepEqual(found('engine/store/x.ts', "import type { A } from '../../../schemas/generated/types.ts'"), [])
    assert.deepEqual(found('main.ts', "import { runCommand } from './cli/run.ts'"), [])
  })

  it('are held in every direction between any two', () => {
    for (const [at, from] of rooms.entries())
      for (const [below, to] of rooms.entries()) {
        if (from === 'main' || to === 'main') continue
        const result = found(`${from}/x.ts`, `import { a } from '../${to}/y.ts'`)
        assert.equal(result.length, below < at ? 1 : 0, `${from} imports ${to}`)
      }
  })

  it('keep kinds from each other, but not from what they share', () => {
    assert.deepEqual(found('kinds/requests/a.ts', "import { b } from '../platform/b.ts'"), [
      'kinds/platform/b.ts: kinds never import each other',
    ])
    for (const [file, to] of [
      ['kinds/requests/a.ts', '../types.ts'],
      ['kinds/requests/a.ts', './b.ts'],
      ['kinds/requests/deep/a.ts', '../b.ts'],
      ['kinds/registry.ts', './platform/kinds.ts'],
    ] as const)
      assert.deepEqual(found(file, `import { b } from '${to}'`), [], `${file} ${to}`)
    assert.equal(found('records/a.ts', "import { b } from '../kinds/types.ts'").length, 1)
  })

  it('have no doors to elsewhere, and none to rooms that are not there', () => {
    assert.deepEqual(found('cli/a.ts', "import { b } from '../../spec/b.ts'"), ['../spec/b.ts: leaves controller/'])
    assert.deepEqual(found('cli/a.ts', "import { b } from '../../scripts/rooms.ts'"), [
      '../scripts/rooms.ts: leaves controller/',
    ])
    assert.deepEqual(found('cli/a.ts', "import { b } from '../utils/b.ts'"), ['utils/b.ts: there is no room utils'])
    assert.deepEqual(found('helpers/a.ts', "import { b } from '../git/b.ts'"), ['git/b.ts: there is no room helpers'])
  })
})
