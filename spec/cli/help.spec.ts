import assert from 'node:assert/strict'
import { run, spawned } from './command-line.ts'

const verbs = [
  ...['initiate', 'plan', 'reconcile', 'serve', 'get', 'explain', 'sign-off', 'disclosure', 'withdraw'],
  ...['create', 'validate', 'stage-transfer', 'publish', 'suspend', 'resume', 'freeze', 'build', 'verify', 'keys'],
  ...['schema', 'completion'],
]

/** As a shell takes them; examples quote nothing but texts. */
const words = (line = '') => (line.match(/"[^"]*"|\S+/g) ?? []).map(word => word.replace(/^"|"$/g, ''))

describe('the command line', () => {
  it('lists every verb, and what the exit codes mean', async () => {
    for (const argv of [[], ['help'], ['--help'], ['-h']]) {
      const { code, out, err } = await run(argv)
      assert.deepEqual({ code, err }, { code: 0, err: '' })
      const listed = [...out.matchAll(/^ {2}([a-z-]+) {2,}\S/gm)].map(([, verb]) => verb)
      assert.deepEqual(listed, verbs)
      assert.match(out, /0 done; 1 waiting or held; 2 invalid, or bad evidence; 3 failed/)
    }
  })

  for (const verb of verbs) {
    it(`${verb} --help shows every option in words, and an example that it accepts`, async () => {
      const { code, out, err } = await run([verb, '--help'])
      assert.deepEqual({ code, err }, { code: 0, err: '' })
      for (const argv of [
        [verb, '-h'],
        ['help', verb],
      ])
        assert.deepEqual(await run(argv), { code, out, err })
      assert.match(out.split('\n')[0] ?? '', new RegExp(`^cratewright ${verb}( |$)`))
      const options = [...out.matchAll(/^ {2}--([a-z-]+)( <[^>]+>)? {2,}\S.+$/gm)].map(([, name]) => name)
      assert.ok(options.length > 0 || verb === 'completion')
      const example = words(/^ {2}Example: {2}scripts\/cratewright (.+)$/m.exec(out)?.[1])
      assert.equal(example[0], verb)
      // With --help nothing of it is done, and an option that is not known would be refused.
      assert.equal((await run([...example, '--help'])).code, 0)
      for (const word of example.filter(word => word.startsWith('--'))) assert.ok(options.includes(word.slice(2)), word)
    })
  }

  const refused: readonly [string, readonly string[], RegExp][] = [
    ['a verb that there is not', ['approve'], /no command "approve" \[UsageInvalid\]\n.*cratewright help/],
    ['help for a verb that there is not', ['help', 'approve'], /no command "approve" \[UsageInvalid\]/],
    ['an option that there is not', ['get', '--bogus'], /'--bogus'.*\n.*cratewright get --help/],
    ['a value for what takes none', ['get', '--json=3'], /'--json'.*\n.*cratewright get --help/],
    ['an option without its value', ['plan', '--ref'], /'--ref.*\n.*cratewright plan --help/],
    ['more arguments than it takes', ['reconcile', 'asthma', 'money'], /"money".*\n.*cratewright reconcile --help/],
    ['a phase that there is not', ['reconcile', '--until', 'published'], /--until takes one of create, .* "published"/],
    ['explain without a project', ['explain'], /name the project/],
    ['sign-off without a project', ['sign-off', '--key', 'k'], /name the project/],
    ['sign-off without a key', ['sign-off', 'asthma'], /--key/],
    ['disclosure without a decision', ['disclosure', 'asthma'], /approve <project>/],
    ['a rejection without a reason', ['sign-off', 'asthma', '--key', 'k', '--reject'], /--reason/],
    ['initiate without a name', ['initiate'], /name the project/],
    ['a phase without a project', ['publish'], /name the project/],
    ['suspend without a key', ['suspend', 'asthma', '--reason', 'x'], /--key/],
    ['schema without what to do', ['schema'], /schema generate/],
    ['completion without a shell', ['completion'], /completion bash\|zsh\|fish/],
    ['keys without make', ['keys'], /keys make <path>/],
    ['verify without anything', ['verify'], /name a clone or a bag/],
    ['a folder without a platform', ['plan', '--folder', 'x'], /--platform/],
  ]
  for (const [what, argv, message] of refused) {
    it(`refuses ${what}, with exit code 2 and what to do`, async () => {
      const { code, out, err } = await run(argv)
      assert.deepEqual({ code, out }, { code: 2, out: '' })
      assert.match(err, message)
      assert.match(err, /^.+ \[UsageInvalid\]\n {2}\S.+$/)
    })
  }

  it('says the same as a program: answers on stdout, errors on stderr, one exit code', async () => {
    const [help, wrong] = await Promise.all([spawned(['help']), spawned(['approve'])])
    assert.deepEqual(help, { ...(await run(['help'])), out: `${(await run(['help'])).out}\n` })
    assert.deepEqual({ code: wrong.code, out: wrong.out }, { code: 2, out: '' })
    assert.match(wrong.err, /no command "approve"/)
  })
})
