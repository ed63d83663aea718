/** Parsers under bytes that nobody meant for them: an answer or one of our errors, in bounded time, and the same every time. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseRemoteUrl } from '../../controller/git/remote-url.ts'
import { parseHostKeys } from '../../controller/git/ssh-access.ts'
import { parseTree } from '../../controller/git/tree-object.ts'
import { readBranchLog } from '../../controller/records/branch-log.ts'
import { readLog } from '../../controller/records/log.ts'
import { parseStatement } from '../../controller/records/statement.ts'
import { CratewrightError } from '../../controller/runtime/errors.ts'
import { matchesGlob } from '../../controller/runtime/glob.ts'
import { oneLine, printable } from '../../controller/runtime/one-line.ts'
import { generateKey } from '../../controller/runtime/ssh-key.ts'

const oid = 'a'.repeat(40)
const bytes = (words: readonly string[]) =>
  fc
    .array(fc.oneof(fc.constantFrom(...words), fc.string({ unit: 'binary', maxLength: 8 })), { maxLength: 20 })
    .map(parts => Buffer.from(parts.join('')))

/** An answer, or the code of our error. */
function outcome(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof CratewrightError)) throw error
    assert.notEqual(error.code, 'Internal')
    return `${error.code}: ${error.message}`
  }
}

function holds(name: string, words: readonly string[], parse: (given: Buffer) => unknown): void {
  it(`${name}: an answer or an error of ours for any bytes, and twice the same`, () => {
    fc.assert(
      fc.property(fc.oneof(bytes(words), fc.uint8Array({ maxLength: 100 }).map(Buffer.from)), given => {
        assert.deepEqual(
          outcome(() => parse(given)),
          outcome(() => parse(Buffer.from(given))),
        )
      }),
      { numRuns: 400 },
    )
  })
}

describe('bytes of strangers', () => {
  const id = '\x01'.repeat(20)
  holds('a tree object', ['100644 ', '40000 ', 'name', '\0', `100644 a\0${id}`, id], given => parseTree(oid, given))
  holds('a statement', ['statement: ', 'project', ': ', '\n', '- ', '{', '}', '&a ', '*a', '"'], given =>
    parseStatement(given, 'x.yaml'),
  )
  const json = ['{', '}', '"number":', '1', ',', '"log":', '"cratewright.dev/log/v1"', '\n', '[', ']', '1e999']
  holds('a log', json, given => readLog(new Map([['000001-create-noted.json', given]])))
  holds('the log of a branch', json, given => readBranchLog(new Map([['000001-restore-noted.json', given]])))
  holds(
    'the URL of a repository',
    ['https://', 'ssh://', 'git@', 'host', ':22', '/', '..', '@', 'ext::', '[::1]', '-o'],
    given => parseRemoteUrl(given.toString(), ['https', 'ssh']),
  )
  const line = generateKey('host').public.trim()
  holds('lines of host keys', ['host', ',', ' ', '[host]:22', line, 'ssh-ed25519', '@revoked', '|1|', '\n'], given =>
    parseHostKeys([given.toString()]),
  )

  it('a tree object that is cut anywhere within an entry is refused, and whole it is read', () => {
    const entry = (name: string) => Buffer.concat([Buffer.from(`100644 ${name}\0`), Buffer.alloc(20, 1)])
    const whole = Buffer.concat([entry('a'), entry('bc')])
    assert.deepEqual([...parseTree(oid, whole).keys()], ['a', 'bc'])
    for (let length = 1; length < whole.length; length++) {
      if (length === entry('a').length) continue
      assert.throws(() => parseTree(oid, whole.subarray(0, length)), { code: 'GitFailed' }, String(length))
    }
  })

  it('the URL of a repository has one spelling, which holds no credential and names what is connected to', () => {
    const url = fc.webUrl({ validSchemes: ['https'], withQueryParameters: false, withFragments: false })
    fc.assert(
      fc.property(url, text => {
        const once = parseRemoteUrl(text, ['https'])
        assert.deepEqual(parseRemoteUrl(once.url, ['https']), once)
        assert.equal(new URL(once.url).hostname.replace(/^\[(.*)\]$/, '$1'), once.host)
        assert.doesNotMatch(once.url, /@.*@|[?#]/)
      }),
    )
  })

  it('a glob means what its regular expression means, and takes no longer for a hostile one', () => {
    const small = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.'), maxLength: 10 })
    fc.assert(
      fc.property(small, small, (pattern, text) => {
        const expression = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^]*')}$`)
        assert.equal(matchesGlob(pattern, text), expression.test(text))
      }),
      { numRuns: 2000 },
    )
    const begun = performance.now()
    assert.equal(matchesGlob(`${'a*'.repeat(10_000)}b`, 'a'.repeat(100_000)), false)
    assert.ok(performance.now() - begun < 1000)
  })

  it('what is shown has one line, steers nothing, and loses nothing that can be seen', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), text => {
        const shown = oneLine(text)
        assert.doesNotMatch(shown, /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u)
        assert.equal(oneLine(shown), shown)
        assert.equal(printable(printable(text)), printable(text))
      }),
      { numRuns: 1000 },
    )
  })
})
