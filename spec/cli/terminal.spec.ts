import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { startKeygen } from '../runtime/ssh-keygen.ts'
import { hasProgram } from '../support/ssh-agent.ts'
import { checkout } from './command-line.ts'

const passphrase = 'canary offen ü'

/** The command on a terminal of its own, which `script` of util-linux makes; types once it is asked. */
async function onTerminal(
  argv: readonly string[],
  typed: readonly string[],
  after = '',
): Promise<{ code: number | null; shown: string }> {
  const command = [join(checkout, 'scripts/cratewright'), ...argv].join(' ')
  const child = spawn('script', ['-qec', `${command}${after}`, '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: '/', TERM: 'dumb' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let shown = ''
  const waiting = [...typed]
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
    if (/assphrase[^:]*: $/.test(shown)) child.stdin.write(waiting.shift() ?? '')
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, shown }
}

describe('asking for a passphrase on a terminal', () => {
  const keygen = startKeygen()
  after(() => keygen.remove())
  let prove: string[] = []

  before(function () {
    const linux = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux')
    if (!linux || !hasProgram('ssh-keygen')) {
      console.log('      there is no script of util-linux, or no ssh-keygen')
      this.skip()
    }
    prove = ['keys', 'prove', '--person', 'dana', '--key', keygen.make('ed25519', passphrase).path]
  })

  it('shows nothing of it, takes back what was erased, and asks again when it was wrong', async () => {
    const { code, shown } = await onTerminal(prove, ['wrong canary\r', `canaries\u0015${passphrase}x\u007f\r`])
    assert.equal(code, 0, shown)
    assert.match(shown, /Passphrase of \S+: \r?\n.*That was not it\. Passphrase: \r?\n/)
    assert.match(shown, /-----BEGIN SSH SIGNATURE-----/)
    assert.doesNotMatch(shown, /canar/)
  })

  it('ends with Ctrl-D where nothing was typed, and with Ctrl-C anywhere', async () => {
    const given = await onTerminal(prove, ['\u0004'])
    assert.equal(given.code, 2)
    assert.match(given.shown, /no passphrase was given \[KeyEncrypted\]/)
    const stopped = await onTerminal(prove, ['canary\u0003'])
    assert.equal(stopped.code, 130)
    assert.doesNotMatch(stopped.shown, /canary|BEGIN/)
  })

  it('leaves the terminal as it was, whatever came of it', async () => {
    for (const typed of [`${passphrase}\r`, '\u0004', 'x\u0003']) {
      const { shown } = await onTerminal(prove, [typed], '; stty -a')
      assert.match(shown, / echo /)
      assert.match(shown, / icanon /)
    }
  })
})
