import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from '../support/temp.ts'
import { checkout, run } from './command-line.ts'

describe('schema', () => {
  it('generate writes what lies in schemas/generated, byte for byte, and keeps what else is there', async () => {
    const out = join(tempFolder(), 'made')
    assert.equal((await run(['schema', 'generate', '--out', out])).code, 0)
    writeFileSync(join(out, 'mine.txt'), 'mine')
    const generated = join(checkout, 'schemas/generated')
    assert.deepEqual(readdirSync(out).sort(), [...readdirSync(generated), 'mine.txt'].sort())
    for (const name of readdirSync(generated))
      assert.ok(readFileSync(join(out, name)).equals(readFileSync(join(generated, name))), name)
    const again = await run(['schema', 'generate', '--out', out, '--json'])
    assert.deepEqual(JSON.parse(again.out), { folder: out, written: [] })
  })

  it('check is content in this checkout', async () => {
    const { code, out, err } = await run(['schema', 'check'])
    assert.deepEqual({ code, out, err }, { code: 0, out: 'The generated schemas are current.', err: '' })
  })

  it('check names what is not current, wherever the program was put', async () => {
    const copy = tempFolder()
    for (const name of ['controller', 'schemas', 'scripts', 'templates', 'package.json'])
      cpSync(join(checkout, name), join(copy, name), { recursive: true })
    symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'))
    appendFileSync(join(copy, 'schemas/generated/request.schema.json'), '\n')
    const program = join(copy, 'controller/main.ts')
    const { status, stderr } = spawnSync(process.execPath, [program, 'schema', 'check'], { cwd: '/', encoding: 'utf8' })
    assert.equal(status, 2)
    assert.equal(stderr, `${join(copy, 'schemas/generated/request.schema.json')} is not current\n`)
  })

  for (const argv of [[], ['make'], ['check', '--out', 'x']]) {
    it(`refuses ${JSON.stringify(argv)}`, async () => {
      const { code, err } = await run(['schema', ...argv])
      assert.equal(code, 2)
      assert.match(err, /\[UsageInvalid\]/)
    })
  }
})
