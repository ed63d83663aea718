import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from '../support/temp.ts'
import { run } from './command-line.ts'

const has = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0

describe('completion', () => {
  let script: string
  let folder: string
  before(async function () {
    if (!has('bash')) {
      console.log('      skipped: there is no bash here')
      this.skip()
    }
    script = (await run(['completion', 'bash'])).out
    folder = tempFolder()
    mkdirSync(join(folder, 'a folder'))
    writeFileSync(join(folder, 'a file.yaml'), '')
  })

  /** What bash offers for the last word. */
  function offered(...words: string[]): string[] {
    const line = ['cratewright', ...words].map(word => `'${word}'`).join(' ')
    const program = `${script}
COMP_WORDS=(${line}); COMP_CWORD=${words.length}
_cratewright
printf '%s\\n' "\${COMPREPLY[@]}"
complete -p cratewright >&2`
    const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-u', '-c', program], {
      cwd: folder,
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    assert.match(stderr, /-F _cratewright cratewright/)
    return stdout.split('\n').filter(word => word !== '')
  }

  it('of bash offers every command there is, and none that there is not', async () => {
    const { out } = await run(['help'])
    const verbs = [...out.matchAll(/^ {2}([a-z-]+) {2,}\S/gm)].map(([, verb]) => verb ?? '')
    assert.deepEqual(offered('').sort(), [...verbs, 'help'].sort())
    assert.deepEqual(offered('st'), ['stage-transfer'])
    assert.deepEqual(offered('help', 'disc'), ['disclosure'])
  })

  it('of bash offers the options of each command, as its help has them', async () => {
    for (const verb of offered('').filter(verb => verb !== 'help')) {
      const { out } = await run([verb, '--help'])
      const options = [...out.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, option]) => option ?? '')
      assert.deepEqual(offered(verb, '--').sort(), [...options, '--help'].sort(), verb)
    }
  })

  it('of bash offers the words that a command takes, the values of an option, and files for a path', () => {
    assert.deepEqual(offered('disclosure', 'a'), ['approve'])
    assert.deepEqual(offered('schema', ''), ['generate', 'check', '--out', '--json', '--help'])
    assert.deepEqual(offered('completion', 'b'), ['bash'])
    assert.deepEqual(offered('reconcile', '--until', 's'), ['sign-off', 'stage-transfer'])
    assert.deepEqual(offered('plan', '--folder', 'a').sort(), ['a file.yaml', 'a folder'])
    assert.deepEqual(offered('suspend', '--reason', ''), [], 'nobody knows what a person wants to say')
    assert.deepEqual(offered('no-such-command', ''), [])
  })

  for (const shell of ['zsh', 'fish'] as const) {
    it(`of ${shell} is a script that ${shell} takes, with every command and option`, async function () {
      const { code, out } = await run(['completion', shell])
      assert.equal(code, 0)
      for (const verb of offered('').filter(verb => verb !== 'help')) {
        assert.ok(out.includes(verb), verb)
        for (const option of offered(verb, '--')) assert.ok(out.includes(option.slice(2)), `${verb} ${option}`)
      }
      if (!has(shell)) {
        console.log(`      not run: there is no ${shell} here`)
        this.skip()
      }
      const program = join(tempFolder(), 'completion')
      writeFileSync(program, out)
      const { status, stderr } = spawnSync(shell, ['-n', program], { encoding: 'utf8' })
      assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    })
  }

  it('is refused for a shell that it does not know', async () => {
    const { code, err } = await run(['completion', 'tcsh'])
    assert.equal(code, 2)
    assert.match(err, /completion bash\|zsh\|fish/)
  })
})
