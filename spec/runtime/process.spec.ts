import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CratewrightError, type ErrorCode } from '../../controller/runtime/errors.ts'
import { type RunOptions, run } from '../../controller/runtime/process.ts'

const never = new AbortController().signal
const path = process.env.PATH ?? ''

function withDefaults(options: Partial<RunOptions> = {}): RunOptions {
  return { env: { PATH: path }, signal: never, deadline: 20_000, maxOutput: 1_000_000, ...options }
}

function node(script: string, options: Partial<RunOptions> = {}) {
  return run(process.execPath, ['-e', script], withDefaults(options))
}

function code(expected: ErrorCode): (error: unknown) => boolean {
  return error => error instanceof CratewrightError && error.code === expected
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  // A zombie answers signal 0, but is gone.
  const status = `/proc/${pid}/status`
  return !existsSync(status) || !/^State:\s+Z/m.test(readFileSync(status, 'utf8'))
}

async function waitUntil(condition: () => boolean, message: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (condition()) return
    await sleep(50)
  }
  assert.fail(message)
}

describe('running a program', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cratewright-run-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  function pidIn(name: string): number {
    try {
      return Number(readFileSync(join(folder, name), 'utf8'))
    } catch {
      return 0
    }
  }

  /** A shell with a child; both ignore SIGTERM and write their process ids. */
  const stubborn = `trap '' TERM; sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 1; done' & echo $$ > parent; wait; sleep 60`

  it('gives its code, output and errors', async () => {
    const result = await node('console.log("out"); console.error("err"); process.exitCode = 7')
    assert.deepEqual({ ...result, stdout: result.stdout.toString() }, { code: 7, stdout: 'out\n', stderr: 'err\n' })
  })

  it('passes arguments and the environment as given, and nothing else', async () => {
    const args = [
      '-e',
      'console.log(JSON.stringify([process.argv.slice(1), process.env]))',
      '--',
      '$HOME; `id`',
      '*',
      '',
    ]
    const { stdout } = await run(process.execPath, args, withDefaults({ env: { ONLY: 'this' }, cwd: folder }))
    assert.deepEqual(JSON.parse(stdout.toString()), [['$HOME; `id`', '*', ''], { ONLY: 'this' }])
  })

  it('streams input of any size', async () => {
    const chunk = Buffer.alloc(65_536, 'x')
    let taken = 0
    async function* input() {
      for (; taken < 400; taken++) yield chunk
    }
    const { stdout } = await run('wc', ['-c'], withDefaults({ input: input() }))
    assert.equal(Number(stdout.toString()), 400 * 65_536)
    const small = await run('cat', [], withDefaults({ input: Buffer.from('whole') }))
    assert.equal(small.stdout.toString(), 'whole')
    assert.equal((await run('cat', [], withDefaults())).stdout.length, 0)
  })

  it('does not mind a program that does not read its input', async () => {
    async function* endless() {
      for (;;) yield Buffer.alloc(65_536)
    }
    assert.equal((await run('true', [], withDefaults({ input: endless() }))).code, 0)
    const { stdout } = await run('head', ['-c', '3'], withDefaults({ input: endless() }))
    assert.equal(stdout.length, 3)
  })

  it('stops the program when its input fails, and gives that error', async () => {
    async function* broken() {
      yield Buffer.from('first')
      throw new Error('the source broke')
    }
    await assert.rejects(run('cat', [], withDefaults({ input: broken() })), /the source broke/)
  })

  it('says when a program is missing, or was ended by a signal', async () => {
    await assert.rejects(run('no-such-program', [], withDefaults()), code('ProgramMissing'))
    await assert.rejects(run('/etc/passwd', [], withDefaults()), code('ProgramMissing'))
    assert.equal((await run('sh', ['-c', 'kill -KILL $$'], withDefaults())).code, 128 + 9)
  })

  it('kills what writes too much, and bounds what is kept of its errors', async () => {
    await assert.rejects(run('yes', [], withDefaults({ maxOutput: 10_000 })), code('ProgramOutputTooLarge'))
    const exact = await run('head', ['-c', '10000', '/dev/zero'], withDefaults({ maxOutput: 10_000 }))
    assert.equal(exact.stdout.length, 10_000)
    const { stderr } = await node('process.stderr.write("x".repeat(500_000) + "the end")')
    assert.equal(stderr.length, 65_536)
    assert.ok(stderr.endsWith('the end'))
  })

  it('ends a program at its deadline', async () => {
    const start = Date.now()
    await assert.rejects(run('sleep', ['30'], withDefaults({ deadline: 200 })), code('ProgramTimeout'))
    assert.ok(Date.now() - start < 1500, 'SIGTERM should have been enough')
  })

  it('fails with the reason of the signal, also before the start', async () => {
    const reason = new Error('stopped by a person')
    await assert.rejects(run('sleep', ['30'], withDefaults({ signal: AbortSignal.abort(reason) })), reason)
    const controller = new AbortController()
    const running = run('sleep', ['30'], withDefaults({ signal: controller.signal }))
    setTimeout(() => controller.abort(reason), 100)
    await assert.rejects(running, reason)
  })

  it('kills the whole group with SIGKILL when SIGTERM is ignored', async () => {
    const controller = new AbortController()
    const running = run('sh', ['-c', stubborn], withDefaults({ signal: controller.signal, cwd: folder }))
    running.catch(() => {})
    await waitUntil(() => pidIn('child') > 0 && pidIn('parent') > 0, 'the processes did not start')
    const start = Date.now()
    controller.abort()
    await assert.rejects(running, { name: 'AbortError' })
    assert.ok(Date.now() - start > 1900, 'SIGTERM gets 2 s')
    await waitUntil(() => !isAlive(pidIn('parent')) && !isAlive(pidIn('child')), 'a process is left')
  })

  it('kills the group of a program that has gone, leaving a child behind', async () => {
    const leaving = `sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 1; done' > /dev/null 2>&1 & while :; do sleep 1; done`
    const controller = new AbortController()
    const running = run('sh', ['-c', leaving], withDefaults({ signal: controller.signal, cwd: folder }))
    running.catch(() => {})
    await waitUntil(() => pidIn('child') > 0, 'the child did not start')
    controller.abort()
    await assert.rejects(running, { name: 'AbortError' })
    await waitUntil(() => !isAlive(pidIn('child')), 'the child is left')
  })

  it('does not wait for a process in another session that holds its output', async () => {
    const start = Date.now()
    const escaped = 'setsid sh -c "echo \\$\\$ > child; sleep 30" & wait'
    await assert.rejects(
      run('sh', ['-c', escaped], withDefaults({ deadline: 500, cwd: folder })),
      code('ProgramTimeout'),
    )
    assert.ok(Date.now() - start < 6000)
    const pid = pidIn('child')
    if (pid > 0) process.kill(-pid, 'SIGKILL')
  })

  it('leaves no program behind when this process exits', async () => {
    const module = JSON.stringify(new URL('../../controller/runtime/process.ts', import.meta.url).href)
    const options = 'env: process.env, signal: new AbortController().signal, deadline: 60000, maxOutput: 9'
    const script = `import { run } from ${module}
      run('sh', ['-c', 'echo $$ > child; sleep 60'], { ${options} })
      setTimeout(() => process.exit(3), 500)`
    const result = await run(process.execPath, ['--input-type=module', '-e', script], withDefaults({ cwd: folder }))
    assert.equal(result.code, 3, result.stderr)
    await waitUntil(() => pidIn('child') > 0 && !isAlive(pidIn('child')), 'the program is left')
  })
})
