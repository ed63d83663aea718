import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeLeftovers, writeFileWhole } from '../../controller/runtime/files.ts'
import { run } from '../../controller/runtime/process.ts'

describe('files that appear whole', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cratewright-files-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('are written and replaced, with their mode, and leave nothing else', async () => {
    const path = join(folder, 'secret')
    await writeFileWhole(path, 'old')
    await writeFileWhole(path, Buffer.from('new'), 0o600)
    assert.equal(readFileSync(path, 'utf8'), 'new')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(folder), ['secret'])
  })

  it('leave nothing behind when they cannot be written', async () => {
    const taken = join(folder, 'taken')
    mkdirSync(taken)
    await assert.rejects(writeFileWhole(taken, 'x'))
    await assert.rejects(writeFileWhole(join(folder, 'absent', 'x'), 'x'), { code: 'ENOENT' })
    assert.deepEqual(readdirSync(folder), ['taken'])
  })

  it('are old or new, never half, when the process is killed; what is left is removed', async () => {
    const path = join(folder, 'file')
    const module = JSON.stringify(new URL('../../controller/runtime/files.ts', import.meta.url).href)
    const script = `import { writeFileWhole } from ${module}
      for (let i = 0; ; i = (i + 1) % 10) await writeFileWhole(${JSON.stringify(path)}, String(i).repeat(3_000_000))`
    const env = { PATH: process.env.PATH ?? '' }
    for (const ms of [350, 410, 470]) {
      const signal = AbortSignal.timeout(ms)
      const args = [
        '-c',
        'exec "$0" --input-type=module -e "$1" & sleep "$2"; kill -9 $!; wait',
        process.execPath,
        script,
      ]
      await run('sh', [...args, String(ms / 1000)], {
        env,
        signal: new AbortController().signal,
        deadline: 30_000,
        maxOutput: 1000,
      })
      assert.ok(signal.aborted)
      const content = readFileSync(path, 'utf8')
      assert.equal(content, content[0]!.repeat(3_000_000))
    }
    await removeLeftovers(folder)
    assert.deepEqual(readdirSync(folder), ['file'])
  })

  it('are the only ones whose leftovers are removed', async () => {
    const names = [
      '.cratewright-0123456789abcdef.tmp',
      '.cratewright-x.tmp',
      'cratewright-0123456789abcdef.tmp',
      'data.tmp',
    ]
    for (const name of names) writeFileSync(join(folder, name), '')
    await removeLeftovers(folder)
    assert.deepEqual(readdirSync(folder).sort(), names.slice(1).sort())
    await removeLeftovers(join(folder, 'absent'))
  })

  it('that others may be writing now are left, where their age is asked for', async () => {
    const names = ['.cratewright-0123456789abcdef.tmp', '.cratewright-fedcba9876543210.tmp']
    for (const name of names) writeFileSync(join(folder, name), '')
    const hourAgo = new Date(Date.now() - 3_600_000)
    utimesSync(join(folder, names[0]!), hourAgo, hourAgo)
    await removeLeftovers(folder, 60_000)
    assert.deepEqual(readdirSync(folder), names.slice(1))
  })
})
