import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { arcpUrl } from '../../controller/crate/arcp.ts'
import { type Bag, type BagFile, type BagInput, buildBag, type PayloadFile } from '../../controller/crate/bag.ts'
import { checkBag } from '../../controller/crate/bag-check.ts'
import { bagFolder, writeFiles } from '../support/bag-folder.ts'
import { oraclesOrSkip } from '../support/oracles.ts'

const sha512 = (content: Uint8Array | string): string => createHash('sha512').update(content).digest('hex')
const bytes = (text: string): Uint8Array => Buffer.from(text)
const textOf = ({ files }: Bag, path: string): string => {
  const file = files.find(each => each.path === path)
  assert.ok(file, path)
  return Buffer.from(file.content).toString()
}

const contents: readonly BagFile[] = [
  { path: 'data/outputs/cohort/b.csv', content: bytes('id\n1\n') },
  { path: 'data/outputs/cohort/a b 100%.csv', content: bytes('id\n') },
  { path: 'data/ro-crate-metadata.json', content: bytes('{}') },
]
const payload: readonly PayloadFile[] = contents.map(({ path, content }) => ({
  path,
  size: content.length,
  sha512: sha512(content),
}))
const input: BagInput = {
  payload,
  info: [
    ['Source-Organization', 'Example TRE'],
    ['Bagging-Date', '2026-11-20'],
  ],
  tagFiles: [
    { path: 'statements/sign-off-dana.yaml', content: bytes('decision: approve\n') },
    { path: 'statements/sign-off-dana.yaml.sig', content: bytes('signature') },
  ],
}

describe('a written bag', () => {
  it('has the tag files of BagIt 1.0, sorted', () => {
    const bag = buildBag(input)
    assert.deepEqual(
      bag.files.map(({ path }) => path),
      [
        'bag-info.txt',
        'bagit.txt',
        'manifest-sha512.txt',
        'statements/sign-off-dana.yaml',
        'statements/sign-off-dana.yaml.sig',
        'tagmanifest-sha512.txt',
      ],
    )
    assert.equal(textOf(bag, 'bagit.txt'), 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n')
    assert.equal(
      textOf(bag, 'bag-info.txt'),
      'Source-Organization: Example TRE\nBagging-Date: 2026-11-20\nPayload-Oxum: 10.3\n',
    )
    assert.equal(textOf(bag, 'manifest-sha512.txt'), Buffer.from(bag.manifest).toString())
  })

  it('lists the payload by the bytes of the path, with % encoded and nothing else', () => {
    const lines = Buffer.from(buildBag(input).manifest).toString().split('\n')
    assert.deepEqual(lines, [
      `${sha512('id\n')}  data/outputs/cohort/a b 100%25.csv`,
      `${sha512('id\n1\n')}  data/outputs/cohort/b.csv`,
      `${sha512('{}')}  data/ro-crate-metadata.json`,
      '',
    ])
  })

  it('lists every tag file but the tag manifest itself, signatures of statements too', () => {
    const bag = buildBag(input)
    const listed = textOf(bag, 'tagmanifest-sha512.txt').trimEnd().split('\n')
    assert.deepEqual(
      listed.map(line => line.slice(130)),
      [
        'bag-info.txt',
        'bagit.txt',
        'manifest-sha512.txt',
        'statements/sign-off-dana.yaml',
        'statements/sign-off-dana.yaml.sig',
      ],
    )
    assert.equal(listed[1]?.slice(0, 128), sha512(textOf(bag, 'bagit.txt')))
  })

  it('is the same whatever the order of what it is made from', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...input.payload], { minLength: 3 }),
        fc.shuffledSubarray([...input.tagFiles], { minLength: 2 }),
        (shuffled, tagFiles) => assert.deepEqual(buildBag({ ...input, payload: shuffled, tagFiles }), buildBag(input)),
      ),
    )
  })

  it('has the same manifest where the data is fetched and where it is present', () => {
    const fetched = buildBag({
      ...input,
      fetchUrl: path => (path.startsWith('data/outputs/') ? `arcp://uuid,x/${encodeURI(path)}` : undefined),
    })
    assert.deepEqual(fetched.manifest, buildBag(input).manifest)
    assert.equal(
      textOf(fetched, 'fetch.txt'),
      'arcp://uuid,x/data/outputs/cohort/a%20b%20100%25.csv 3 data/outputs/cohort/a b 100%25.csv\n' +
        'arcp://uuid,x/data/outputs/cohort/b.csv 5 data/outputs/cohort/b.csv\n',
    )
    assert.match(textOf(fetched, 'tagmanifest-sha512.txt'), / {2}fetch\.txt$/m)
  })

  it('keeps a value of bag-info.txt in its line, whatever it holds', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', ':', '\r', '\n', '\t', '\u0085', '\u2028', '\u0000', 'é', ' ') }),
        value => {
          const text = textOf(buildBag({ ...input, info: [['Contact-Name', value]] }), 'bag-info.txt')
          assert.equal(text.split(/[\r\n\u0085\u2028\u0000]/).length, 3)
          assert.match(text, /^Contact-Name: .*\nPayload-Oxum: 10\.3\n$/)
        },
      ),
    )
    const forged = buildBag({ ...input, info: [['Contact-Name', 'x\r\nExternal-Identifier: urn:uuid:y']] })
    assert.match(textOf(forged, 'bag-info.txt'), /^Contact-Name: x External-Identifier: urn:uuid:y\n/)
  })

  it('counts octets beyond 2^53', () => {
    const file = (path: string): PayloadFile => ({ path, size: Number.MAX_SAFE_INTEGER, sha512: '0'.repeat(128) })
    const bag = buildBag({ payload: [file('data/a'), file('data/b')], info: [], tagFiles: [] })
    assert.equal(textOf(bag, 'bag-info.txt'), 'Payload-Oxum: 18014398509481982.2\n')
  })

  it('is refused with paths that some platform would place elsewhere', () => {
    for (const path of [
      'data/../x',
      '/data/x',
      'data/a\nb',
      'data/a\\b',
      'data//b',
      'x',
      'data',
      'data/a\u2028b',
      'C:/x',
      '~/x',
      '',
    ]) {
      assert.throws(() => buildBag({ ...input, payload: [{ ...payload[0]!, path }] }), { code: 'UnsafePath' }, path)
    }
    for (const path of ['data/x', 'DATA/x', '../x', '/x', 'a\rb', '~x']) {
      assert.throws(
        () => buildBag({ ...input, tagFiles: [{ path, content: bytes('') }] }),
        { code: 'UnsafePath' },
        path,
      )
    }
  })

  it('is refused with names that are taken, or that differ in case or Unicode form only', () => {
    for (const path of [
      'bagit.txt',
      'manifest-sha512.txt',
      'manifest-md5.txt',
      'Fetch.txt',
      'tagmanifest-sha512.txt',
    ]) {
      assert.throws(
        () => buildBag({ ...input, tagFiles: [{ path, content: bytes('') }] }),
        { code: 'BagInvalid' },
        path,
      )
    }
    for (const [a, b] of [
      ['data/a', 'data/a'],
      ['data/a', 'data/A'],
      ['data/\u00e9', 'data/e\u0301'],
    ] as const) {
      const both = [a, b].map(path => ({ ...payload[0]!, path }))
      assert.throws(() => buildBag({ ...input, payload: both }), { code: 'BagInvalid' })
    }
  })

  it('is refused with sizes, checksums, labels and URLs that are none', () => {
    const first = payload[0]!
    for (const wrong of [
      { size: -1 },
      { size: 1.5 },
      { size: Number.NaN },
      { sha512: 'ABC' },
      { sha512: 'F'.repeat(128) },
    ]) {
      assert.throws(() => buildBag({ ...input, payload: [{ ...first, ...wrong }] }), { code: 'BagInvalid' })
    }
    for (const label of ['payload-oxum', 'a b', 'a:b', '', 'a\n']) {
      assert.throws(() => buildBag({ ...input, info: [[label, 'x']] }), { code: 'BagInvalid' })
    }
    for (const url of ['', 'no url', 'arcp://x/ y', 'http://x/\n']) {
      assert.throws(() => buildBag({ ...input, fetchUrl: () => url }), { code: 'BagInvalid' })
    }
  })

  describe('on disk', () => {
    let folder: string
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'cratewright-bag-'))
    })
    afterEach(() => rmSync(folder, { recursive: true, force: true }))

    it('is valid by our own check', async () => {
      writeFiles(folder, [...contents, ...buildBag(input).files])
      assert.deepEqual(await checkBag(bagFolder(folder)), { valid: true, complete: true, problems: [], warnings: [] })
    })

    it('is valid by our own check for any payload', async () => {
      const name = fc.stringMatching(/^[a-zé%(][a-zé%( .]{0,8}[a-z%]$/)
      await fc.assert(
        fc.asyncProperty(fc.uniqueArray(name, { maxLength: 5 }), fc.string(), async (names, text) => {
          const files = names.map(each => ({ path: `data/x/${each}`, content: bytes(text) }))
          const built = buildBag({
            ...input,
            payload: files.map(({ path }) => ({ path, size: bytes(text).length, sha512: sha512(text) })),
          })
          rmSync(folder, { recursive: true, force: true })
          mkdirSync(folder)
          writeFiles(folder, [...files, ...built.files])
          const { problems } = await checkBag(bagFolder(folder))
          assert.deepEqual(problems, [])
        }),
        { numRuns: 30 },
      )
    })

    it('is valid by bagit-python, and no longer after a byte has changed', function () {
      const bin = oraclesOrSkip(this)
      const validate = (): void => {
        execFileSync(join(bin, 'python'), ['-c', 'import bagit,sys; bagit.Bag(sys.argv[1]).validate()', folder], {
          stdio: 'pipe',
        })
      }
      // bagit-python does not encode % (packaging.md §2.4), so its bag has none.
      const plain = contents.filter(({ path }) => !path.includes('%'))
      const built = buildBag({
        ...input,
        payload: payload.filter(({ path }) => !path.includes('%')),
        fetchUrl: path => arcpUrl('0193a3f0-1c2b-7d3e-8f4a-5b6c7d8e9f01', path),
      })
      writeFiles(folder, [...plain, ...built.files])
      validate()
      writeFileSync(join(folder, 'data/outputs/cohort/b.csv'), 'id\n2\n')
      assert.throws(validate, /BagValidationError/)
    })
  })
})
