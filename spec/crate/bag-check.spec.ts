import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { buildBag } from '../../controller/crate/bag.ts'
import { type BagCheckOptions, type BagReader, checkBag } from '../../controller/crate/bag-check.ts'
import type { BagProblemCode } from '../../controller/crate/bag-verdict.ts'
import { bagFolder, writeFiles } from '../support/bag-folder.ts'

type Files = Record<string, string | Uint8Array>

/** A bag in memory: as Git has it. */
function bagOf(files: Files): BagReader {
  const content = (path: string): Buffer => {
    const found = files[path]
    assert.ok(found !== undefined, path)
    return Buffer.from(found as string)
  }
  return {
    list: async () => Object.keys(files).map(path => ({ path, kind: 'file', size: content(path).length })),
    read: async path => content(path),
    hash: async (path, algorithms) =>
      Object.fromEntries(
        algorithms.map(name => [name, createHash(name).update(content(path)).digest('hex').toUpperCase()]),
      ),
  }
}

const hex = (algorithm: string, text: string | Uint8Array): string => createHash(algorithm).update(text).digest('hex')
const declaration = (version = '1.0', encoding = 'UTF-8'): string =>
  `BagIt-Version: ${version}\nTag-File-Character-Encoding: ${encoding}\n`
const good: Files = {
  'bagit.txt': declaration(),
  'data/a.csv': 'a\n',
  'manifest-sha512.txt': `${hex('sha512', 'a\n')}  data/a.csv\n`,
}
const sha = hex('sha512', 'a\n')

async function codesOf(files: Files, options?: BagCheckOptions): Promise<BagProblemCode[]> {
  const { valid, problems } = await checkBag(bagOf(files), options)
  assert.equal(valid, problems.length === 0)
  return [...new Set(problems.map(({ code }) => code))].sort()
}

async function warningsOf(files: Files): Promise<BagProblemCode[]> {
  const { valid, warnings } = await checkBag(bagOf(files))
  assert.equal(valid, true)
  return [...new Set(warnings.map(({ code }) => code))].sort()
}

describe('the check of a bag', () => {
  it('finds nothing wrong with a good one', async () => {
    assert.deepEqual(await checkBag(bagOf(good)), { valid: true, complete: true, problems: [], warnings: [] })
  })

  const defects: Record<string, [Files, BagProblemCode[]]> = {
    'no bagit.txt': [{ 'data/a': '' }, ['DeclarationMissing']],
    'a third line in bagit.txt': [{ ...good, 'bagit.txt': `${declaration()}X: y\n` }, ['DeclarationInvalid']],
    'labels in another case': [
      { ...good, 'bagit.txt': declaration().replace('BagIt', 'Bagit') },
      ['DeclarationInvalid'],
    ],
    'whitespace before the colon': [{ ...good, 'bagit.txt': declaration().replace(':', ' :') }, ['DeclarationInvalid']],
    'a byte-order mark': [{ ...good, 'bagit.txt': `\ufeff${declaration()}` }, ['DeclarationMarked']],
    'a version that is no number': [{ ...good, 'bagit.txt': declaration('.97') }, ['VersionInvalid']],
    'a version of the future': [{ ...good, 'bagit.txt': declaration('1.1') }, ['VersionUnsupported']],
    'an unknown encoding': [{ ...good, 'bagit.txt': declaration('1.0', 'EBCDIC') }, ['EncodingUnsupported']],
    'bytes that are not UTF-8': [{ ...good, 'bag-info.txt': Buffer.from([0x41, 0x3a, 0xff]) }, ['TagFileNotText']],
    'no manifest': [{ 'bagit.txt': declaration(), 'data/a': '' }, ['ManifestMissing']],
    'only an algorithm nobody knows': [
      { 'bagit.txt': declaration(), 'manifest-rot13.txt': '', 'data/a': '' },
      ['AlgorithmUnsupported'],
    ],
    'two manifests of one algorithm': [{ ...good, 'manifest-sha-512.txt': '' }, ['ManifestRepeated']],
    'a manifest line without path': [
      { ...good, 'manifest-sha512.txt': `${sha}\n${sha}  data/a.csv\n` },
      ['ManifestLineInvalid'],
    ],
    'a checksum of another length': [
      { ...good, 'manifest-sha512.txt': 'abcd  data/a.csv\n' },
      ['ChecksumInvalid', 'PayloadUnlisted'],
    ],
    'a payload manifest that lists a tag file': [
      { ...good, 'manifest-sha512.txt': `${good['manifest-sha512.txt']}${hex('sha512', declaration())}  bagit.txt\n` },
      ['PathOutOfScope'],
    ],
    'a tag manifest that lists payload': [
      { ...good, 'tagmanifest-sha512.txt': `${sha}  data/a.csv\n` },
      ['PathOutOfScope'],
    ],
    'a tag file that is absent': [{ ...good, 'tagmanifest-sha512.txt': `${sha}  bag-info.txt\n` }, ['TagFileMissing']],
    'a tag file that changed': [{ ...good, 'tagmanifest-sha512.txt': `${sha}  bagit.txt\n` }, ['TagFileCorrupt']],
    'a file listed twice': [{ ...good, 'manifest-sha512.txt': `${sha}  data/a.csv\n`.repeat(2) }, ['PathRepeated']],
    'a file listed twice, differently': [
      { ...good, 'manifest-sha512.txt': `${sha}  data/a.csv\n${'0'.repeat(128)}  data/a.csv\n` },
      ['PathRepeatedDifferently', 'PayloadCorrupt'],
    ],
    'payload that is absent': [
      { ...good, 'manifest-sha512.txt': `${good['manifest-sha512.txt']}${sha}  data/b.csv\n` },
      ['PayloadMissing'],
    ],
    'payload that is not listed': [{ ...good, 'data/b.csv': '' }, ['PayloadUnlisted']],
    'payload that one of two manifests does not list': [{ ...good, 'manifest-md5.txt': '' }, ['PayloadUnlisted']],
    'payload that changed': [{ ...good, 'data/a.csv': 'b\n' }, ['PayloadCorrupt']],
    'a file name with a control character': [{ ...good, 'a\nb': '' }, ['PathControlCharacter']],
    'a file name with a backslash': [{ ...good, 'a\\b': '' }, ['PathBackslash']],
    'a fetch line that is none': [{ ...good, 'fetch.txt': 'data/a.csv\n' }, ['FetchLineInvalid']],
    'a fetch entry outside data/': [{ ...good, 'fetch.txt': 'http://x/ 1 bagit.txt\n' }, ['PathOutOfScope']],
    'a fetch entry that no manifest lists': [{ ...good, 'fetch.txt': 'http://x/ 1 data/b.csv\n' }, ['FetchUnlisted']],
    'a fetch entry twice': [{ ...good, 'fetch.txt': 'http://x/ - data/a.csv\n'.repeat(2) }, ['PathRepeated']],
    'a fetch entry with another length': [{ ...good, 'fetch.txt': 'http://x/ 3 data/a.csv\n' }, ['PayloadSizeDiffers']],
    'a line of bag-info.txt without label': [{ ...good, 'bag-info.txt': 'no label\n' }, ['InfoLineInvalid']],
    'a Payload-Oxum that is none': [{ ...good, 'bag-info.txt': 'Payload-Oxum: many\n' }, ['OxumInvalid']],
    'a Payload-Oxum that differs': [{ ...good, 'bag-info.txt': 'Payload-Oxum: 2.2\n' }, ['OxumDiffers']],
    'two Payload-Oxum': [{ ...good, 'bag-info.txt': 'Payload-Oxum: 2.1\nPayload-Oxum: 2.1\n' }, ['OxumRepeated']],
  }
  for (const [name, [files, codes]] of Object.entries(defects)) {
    it(`names ${name}`, async () => assert.deepEqual(await codesOf(files), codes))
  }

  it('refuses every path that leaves the bag on some platform, in manifests and in fetch.txt', async () => {
    const paths: Record<string, BagProblemCode> = {
      '../x': 'PathParent',
      'data/../../x': 'PathParent',
      '/etc/passwd': 'PathAbsolute',
      '~/x': 'PathHome',
      '~root/x': 'PathHome',
      'C:/x': 'PathDriveLetter',
      'C:\\x': 'PathDriveLetter',
      '\\\\?\\UNC\\x': 'PathUnc',
      '//server/x': 'PathUnc',
      '%HomeDrive%\\x': 'PathVariable',
      'data\\x': 'PathBackslash',
      'data/\u0000x': 'PathControlCharacter',
      'data/%0Ax': 'PathControlCharacter',
      'data//x': 'PathNotNormal',
      'data/./x': 'PathNotNormal',
    }
    for (const [path, code] of Object.entries(paths)) {
      const manifest = `${good['manifest-sha512.txt']}${sha}  ${path}\n`
      assert.deepEqual(await codesOf({ ...good, 'manifest-sha512.txt': manifest }), [code], path)
      assert.deepEqual(await codesOf({ ...good, 'fetch.txt': `http://x/ 1 ${path}\n` }), [code], path)
    }
  })

  it('reads checksums in upper case, other algorithms and other line ends', async () => {
    for (const algorithm of ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512']) {
      const manifest = `${hex(algorithm, 'a\n').toUpperCase()} \t data/a.csv\r\n`
      assert.deepEqual(await codesOf({ ...good, [`manifest-${algorithm}.txt`]: manifest }), [])
    }
    assert.deepEqual(await codesOf({ ...good, 'bagit.txt': declaration().replaceAll('\n', '\r') }), [])
  })

  it('reads tag files in ISO-8859-1 and UTF-16', async () => {
    const line = `${sha}  data/é.csv\n`
    for (const [encoding, bytes] of [
      ['ISO-8859-1', Buffer.from(line, 'latin1')],
      ['UTF-16', Buffer.from(`\ufeff${line}`, 'utf16le')],
      ['UTF-16', Buffer.from(line, 'utf16le').swap16()],
      ['UTF-16LE', Buffer.from(line, 'utf16le')],
    ] as const) {
      const files = { 'bagit.txt': declaration('0.97', encoding), 'manifest-sha512.txt': bytes, 'data/é.csv': 'a\n' }
      assert.deepEqual(await codesOf(files), [], encoding)
    }
    // Windows-1252, for which WHATWG takes ISO-8859-1, would make a euro sign of byte 80.
    const euro = {
      'bagit.txt': declaration('0.97', 'ISO-8859-1'),
      'manifest-sha512.txt': Buffer.from(`${sha}  data/\u0080\n`, 'latin1'),
    }
    assert.deepEqual(await codesOf(euro), ['PathControlCharacter'])
  })

  it('takes % literally before 1.0, and both ways after, with a warning for the wrong one', async () => {
    const bag = (version: string, listed: string, name: string): Files => ({
      'bagit.txt': declaration(version),
      'manifest-sha512.txt': `${sha}  ${listed}\n`,
      [name]: 'a\n',
    })
    assert.deepEqual(await warningsOf(bag('0.97', 'data/100%25', 'data/100%25')), [])
    assert.deepEqual(await warningsOf(bag('1.0', 'data/100%25', 'data/100%')), [])
    assert.deepEqual(await warningsOf(bag('1.0', 'data/100%', 'data/100%')), [])
    assert.deepEqual(await warningsOf(bag('1.0', 'data/100%25', 'data/100%25')), ['PercentNotEncoded'])
  })

  it('warns of names that some file system takes for one', async () => {
    const manifest = `${sha}  data/a.csv\n${sha}  data/A.csv\n${sha}  data/\u00e9\n${sha}  data/e\u0301\n`
    const files = {
      ...good,
      'manifest-sha512.txt': manifest,
      'data/A.csv': 'a\n',
      'data/\u00e9': 'a\n',
      'data/e\u0301': 'a\n',
    }
    assert.deepEqual(await warningsOf(files), ['NamesCollide'])
  })

  it('lets files be absent that fetch.txt lists, where that is allowed', async () => {
    const files: Files = {
      ...good,
      'manifest-sha512.txt': `${good['manifest-sha512.txt']}${hex('sha512', 'b')}  data/b.csv\n`,
      'fetch.txt': 'arcp://uuid,x/data/b.csv 1 data/b.csv\n',
      'bag-info.txt': 'Payload-Oxum: 3.2\n',
    }
    const { valid, complete, warnings } = await checkBag(bagOf(files), { allowFetch: true })
    assert.deepEqual({ valid, complete, warnings }, { valid: true, complete: false, warnings: [] })
    assert.deepEqual(await codesOf(files), ['OxumDiffers', 'PayloadNotFetched'])
    assert.deepEqual(await codesOf({ ...files, 'data/a.csv': 'b\n' }, { allowFetch: true }), ['PayloadCorrupt'])
    assert.deepEqual(await codesOf({ ...files, 'data/b.csv': 'x' }, { allowFetch: true }), ['PayloadCorrupt'])
    assert.deepEqual(await codesOf({ ...files, 'fetch.txt': '' }, { allowFetch: true }), [
      'OxumDiffers',
      'PayloadMissing',
    ])
    const unknown = await checkBag(bagOf({ ...files, 'fetch.txt': 'arcp://x/ - data/b.csv\n' }), { allowFetch: true })
    assert.deepEqual(
      unknown.warnings.map(({ code }) => code),
      ['OxumUnchecked'],
    )
  })

  it('is not slowed down or filled up by hostile tag files', async () => {
    const spaces = ' '.repeat(900_000)
    const files: Files = {
      ...good,
      'manifest-sha512.txt': `${'\n'.repeat(1_000_000)}${`abc${spaces}\u2028\n`}${'x\n'.repeat(100_000)}`,
      'bag-info.txt': `a${spaces}\nb${spaces}:${spaces}\n`,
      'fetch.txt': `http://x${spaces}\u2028${spaces}\n`,
    }
    const started = performance.now()
    const { valid, problems } = await checkBag(bagOf(files))
    assert.equal(valid, false)
    assert.equal(problems.length, 1000)
    assert.ok(performance.now() - started < 3000)
    assert.deepEqual(await codesOf({ ...good, 'bag-info.txt': `a: ${spaces}${spaces}` }), ['TagFileTooLarge'])
  })

  it('stops when it is told to', async () => {
    const reason = new Error('enough')
    await assert.rejects(checkBag(bagOf(good), { signal: AbortSignal.abort(reason) }), reason)
  })

  it('never says in a message what only a terminal would understand', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), async (a, b) => {
        const files = { ...good, [`data/${a}`]: b, 'fetch.txt': b, 'bag-info.txt': a, 'manifest-md5.txt': `${a} ${b}` }
        const { problems, warnings } = await checkBag(bagOf(files))
        for (const { path, message } of [...problems, ...warnings])
          assert.doesNotMatch(`${path}${message}`, /[\u0000-\u001f\u007f-\u009f]/)
      }),
    )
  })

  describe('on disk', () => {
    let folder: string
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'cratewright-bag-'))
      const content = Buffer.from('a\n')
      const payload = [{ path: 'data/a.csv', size: 2, sha512: sha }]
      writeFiles(folder, [{ path: 'data/a.csv', content }, ...buildBag({ payload, info: [], tagFiles: [] }).files])
    })
    afterEach(() => rmSync(folder, { recursive: true, force: true }))

    const codes = async (): Promise<BagProblemCode[]> =>
      (await checkBag(bagFolder(folder))).problems.map(({ code }) => code).sort()

    it('refuses a link to a file, inside the bag or out of it, listed or not', async () => {
      symlinkSync('/etc/passwd', join(folder, 'data/secret'))
      assert.deepEqual(await codes(), ['FileNotRegular'])
      rmSync(join(folder, 'data/secret'))
      rmSync(join(folder, 'data/a.csv'))
      writeFileSync(join(folder, 'a.csv'), 'a\n')
      symlinkSync('../a.csv', join(folder, 'data/a.csv'))
      assert.ok((await codes()).includes('FileNotRegular'))
    })

    it('refuses a linked folder, which bagit-python does not see', async () => {
      const elsewhere = join(folder, 'elsewhere')
      mkdirSync(elsewhere)
      symlinkSync(elsewhere, join(folder, 'data/more'))
      assert.deepEqual(await codes(), ['FileNotRegular'])
    })
  })
})
