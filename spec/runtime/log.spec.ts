import assert from 'node:assert/strict'
import { run } from '../../controller/runtime/process.ts'

const signal = new AbortController().signal
const modules = new URL('../../controller/runtime/', import.meta.url).href

/** What a process of its own writes when `body` uses `log`; nothing may come on standard output. */
async function linesOf(options: { format: 'json' | 'text'; level?: string }, body: string): Promise<string[]> {
  const { format, level = 'info' } = options
  const script = `
    import { createLog } from '${modules}log.ts'
    import { Redactor } from '${modules}secrets.ts'
    import { CratewrightError } from '${modules}errors.ts'
    const redactor = new Redactor()
    redactor.add('s3cret')
    const log = createLog({ level: '${level}', format: '${format}', redactor })
    ${body}`
  const env = { PATH: process.env.PATH ?? '' }
  const args = ['--input-type=module', '-e', script]
  const result = await run(process.execPath, args, { env, signal, deadline: 30_000, maxOutput: 1_000_000 })
  assert.equal(result.code, 0, result.stderr)
  assert.equal(result.stdout.length, 0)
  return result.stderr.split('\n').filter(line => line !== '')
}

describe('the log', () => {
  it('writes one JSON object a line to standard error, from its level on', async () => {
    const lines = await linesOf(
      { format: 'json' },
      `log.debug('not shown')
       log.child({ repository: 'projects' }).child({ key: 1 }).info('read', { files: 3, at: new Date(0), none: undefined })
       log.warn('two\\nlines')
       log.error('failed', { level: 'x', message: 'y' })`,
    )
    const [first, second, third] = lines.map(line => JSON.parse(line))
    const { time, ...rest } = first
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000)
    const fields = { repository: 'projects', key: 1, files: 3, at: '1970-01-01T00:00:00.000Z' }
    assert.deepEqual(rest, { level: 'info', message: 'read', ...fields })
    assert.equal(second.message, 'two\nlines')
    assert.deepEqual([third.level, third.message], ['error', 'failed'])
    assert.equal(lines.length, 3)
  })

  for (const format of ['json', 'text'] as const) {
    it(`shows no secret, wherever it stands, as ${format}`, async () => {
      const lines = await linesOf(
        { format },
        `const deep = { a: [{ b: 's3cret' }], 's3cret': 1, map: new Map([['s3cret', 's3cret']]), set: new Set(['s3cret']) }
         const error = new CratewrightError('GitFailed', 'url has s3cret', { where: { file: 's3cret.yaml' } })
         log.child({ bound: 's3cret' }).info('message with s3cret', { deep, error, basic: btoa('user:s3cret') })`,
      )
      const [line = ''] = lines
      assert.ok(!line.includes('s3cret'))
      assert.ok(!line.includes(btoa('user:s3cret')))
      assert.match(line, /message with \[redacted\]/)
      assert.match(line, /GitFailed/)
    })

    it(`shows of errors that are not ours only the name, as ${format}`, async () => {
      const lines = await linesOf(
        { format },
        `const error = Object.assign(new TypeError('row value 42'), { code: 'E1', detail: 'row value 42' })
         log.error('failed', { error, nested: [new Error('row value 42', { cause: error })] })
         log.error('failed', { error: new CratewrightError('Internal', 'ours', { cause: error }) })`,
      )
      assert.ok(!lines.join().includes('42'))
      assert.match(lines[0]!, /TypeError/)
      assert.match(lines[1]!, /ours/)
    })
  }

  it('writes text in which no value can begin a line or move the cursor', async () => {
    const lines = await linesOf(
      { format: 'text' },
      `log.info('read', { file: 'a/b.yaml:3', text: 'x\\n2026 error forged\\x1b[2J\\x9b', 'key\\n': true, n: 1, none: null })`,
    )
    assert.equal(lines.length, 1)
    assert.match(
      lines[0]!,
      /^\S+Z info {2}read file=a\/b\.yaml:3 text="x\\n2026 error forged\\u001b\[2J\\u009b" .*n=1 none=null$/,
    )
    assert.match(lines[0]!, /^[ -~]*$/)
  })

  it('is bounded, whatever it is given', async () => {
    const lines = await linesOf(
      { format: 'json' },
      `const circle = { items: Array.from({ length: 10_000 }, (_, i) => i), text: 'x'.repeat(1_000_000), f() {}, big: 1n }
       circle.self = circle
       circle.bytes = Buffer.alloc(9)
       log.info('much', circle)`,
    )
    assert.ok(lines[0]!.length < 40_000)
    const line = JSON.parse(lines[0]!)
    assert.equal(line.bytes, '9 bytes')
    assert.equal(line.big, '1')
  })
})
