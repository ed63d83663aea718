/** What the BagIt conformance suite does not hold: bags on a real file system, as an enemy of their reader would leave them. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { verifyBag } from '../../controller/cli/verify-bag.ts'
import { buildBag } from '../../controller/crate/bag.ts'
import { type BagReader, checkBag } from '../../controller/crate/bag-check.ts'
import type { BagProblemCode } from '../../controller/crate/bag-verdict.ts'
import { folderBag } from '../../controller/data/bag-reader.ts'
import { writeFiles } from '../support/bag-folder.ts'
import { tempFolder } from '../support/temp.ts'

const hex = (content: string | Buffer) => createHash('sha512').update(content).digest('hex')
const line = (path: string, content = 'a\n') => `${hex(content)}  ${path}\n`

describe('a bag on a file system', () => {
  let folder: string
  const at = (path: string) => join(folder, path)
  const manifest = 'manifest-sha512.txt'

  beforeEach(() => {
    folder = tempFolder()
    const files = { 'data/a.csv': 'a\n', 'data/sub/empty.csv': '' }
    const payload = Object.entries(files).map(([path, text]) => ({ path, size: text.length, sha512: hex(text) }))
    writeFiles(folder, [
      ...Object.entries(files).map(([path, text]) => ({ path, content: Buffer.from(text) })),
      ...buildBag({ payload, info: [['Contact-Name', 'Dana']], tagFiles: [] }).files,
    ])
  })

  /** Codes of the problems, and of the warnings with a `?`. */
  async function codes(reader: BagReader = folderBag(folder)): Promise<string[]> {
    const { problems, warnings } = await checkBag(reader)
    return [...new Set([...problems.map(({ code }) => code), ...warnings.map(({ code }) => `${code}?`)])].sort()
  }

  /** Rewrites a tag file and what lists it, so that nothing but its content is wrong. */
  function rewrite(path: string, content: string | Buffer): void {
    const tags = readFileSync(at('tagmanifest-sha512.txt'), 'utf8')
    const others = tags.split('\n').filter(listed => listed !== '' && !listed.endsWith(`  ${path}`))
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), content)
    writeFileSync(at('tagmanifest-sha512.txt'), [...others, `${hex(Buffer.from(content))}  ${path}`, ''].join('\n'))
  }
  const read = (path: string) => readFileSync(at(path), 'utf8')
  const addPayload = (path: string, content = 'a\n') => {
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), content)
  }

  it('with an empty file, and nothing wrong, is valid', async () => assert.deepEqual(await codes(), []))

  describe('refuses what is no file, and neither follows it nor waits for it:', () => {
    const target = () => {
      const outside = join(tempFolder(), 'outside')
      writeFileSync(outside, 'a\n')
      return outside
    }
    const instead = (path: string, make: (path: string) => void) => {
      rmSync(at(path), { recursive: true })
      make(at(path))
    }
    const fifo = (path: string) => void execFileSync('mkfifo', [path])
    const folderLink = () => {
      const elsewhere = join(tempFolder(), 'sub')
      renameSync(at('data/sub'), elsewhere)
      symlinkSync(elsewhere, at('data/sub'))
    }
    const cases: Record<string, [() => void, BagProblemCode[]]> = {
      'a link in the payload to a file with the right content': [
        () => instead('data/a.csv', path => symlinkSync(target(), path)),
        ['FileNotRegular', 'OxumDiffers', 'PayloadMissing'],
      ],
      'a link inside the bag': [
        () => {
          renameSync(at('data/a.csv'), at('data/sub/b.csv'))
          symlinkSync('sub/b.csv', at('data/a.csv'))
        },
        ['FileNotRegular', 'PayloadMissing', 'PayloadUnlisted'],
      ],
      'a link that leads nowhere': [() => symlinkSync('nowhere', at('data/b')), ['FileNotRegular']],
      'a link to itself': [() => symlinkSync('loop', at('data/loop')), ['FileNotRegular']],
      'a linked folder in the payload': [folderLink, ['FileNotRegular', 'OxumDiffers', 'PayloadMissing']],
      'a link to the bag itself': [() => symlinkSync(folder, at('data/again')), ['FileNotRegular']],
      'a link as tag file': [
        () => instead('bag-info.txt', path => symlinkSync(target(), path)),
        ['FileNotRegular', 'TagFileMissing'],
      ],
      'a link as bagit.txt': [
        () => instead('bagit.txt', path => symlinkSync(target(), path)),
        ['DeclarationMissing', 'FileNotRegular'],
      ],
      'a linked manifest': [
        () => {
          const elsewhere = join(tempFolder(), manifest)
          writeFileSync(elsewhere, read(manifest))
          instead(manifest, path => symlinkSync(elsewhere, path))
        },
        ['FileNotRegular', 'ManifestMissing', 'TagFileMissing'],
      ],
      'a pipe in the payload': [() => fifo(at('data/pipe')), ['FileNotRegular']],
      'a pipe as listed payload': [
        () => instead('data/a.csv', fifo),
        ['FileNotRegular', 'OxumDiffers', 'PayloadMissing'],
      ],
      'a pipe as manifest': [() => instead(manifest, fifo), ['FileNotRegular', 'ManifestMissing', 'TagFileMissing']],
      'a pipe as bagit.txt': [() => instead('bagit.txt', fifo), ['DeclarationMissing', 'FileNotRegular']],
    }
    for (const [name, [spoil, expected]] of Object.entries(cases)) {
      it(name, async function () {
        this.timeout(5000)
        spoil()
        assert.deepEqual(await codes(), expected)
      })
    }

    it('a device', async function () {
      try {
        execFileSync('mknod', [at('data/zero'), 'c', '1', '5'], { stdio: 'ignore' })
      } catch {
        console.log('        skipped: only root may make a device')
        this.skip()
      }
      assert.deepEqual(await codes(), ['FileNotRegular'])
    })

    it('a pipe or link that comes into the place of a file after it was listed', async function () {
      this.timeout(5000)
      for (const swap of [fifo, (path: string) => symlinkSync('/etc/hostname', path)]) {
        const reader = folderBag(folder)
        const swapping: BagReader = {
          ...reader,
          hash: async (path, algorithms) => {
            if (path === 'data/a.csv') instead(path, swap)
            return reader.hash(path, algorithms)
          },
        }
        await assert.rejects(checkBag(swapping), { code: 'UnsafePath' })
        rmSync(at('data/a.csv'))
        writeFileSync(at('data/a.csv'), 'a\n')
      }
    })
  })

  it('is not waited for where its seal is a pipe', async function () {
    this.timeout(5000)
    execFileSync('mkfifo', [at('tagmanifest-sha512.txt.sig')])
    const { findings } = await verifyBag(folder, [], new AbortController().signal)
    assert.ok(findings.some(({ where, message }) => /\.sig$/.test(where) && /not sealed/.test(message)))
  })

  it('takes hard links: checked bytes are the same under both names, and copies of a bag lose the link', async () => {
    linkSync(at('data/a.csv'), at('data/b.csv'))
    assert.deepEqual(await codes(), ['OxumDiffers', 'PayloadUnlisted'])
    unlinkSync(at('bag-info.txt'))
    writeFileSync(at('tagmanifest-sha512.txt'), '')
    writeFileSync(at(manifest), `${read(manifest)}${line('data/b.csv')}`)
    assert.deepEqual(await codes(), [])
    appendFileSync(at('data/b.csv'), 'more')
    assert.deepEqual(await codes(), ['PayloadCorrupt'])
  })

  it('is not valid when something comes, goes or grows while it is read', async () => {
    const changes: Record<string, () => void> = {
      comes: () => writeFileSync(at('data/late.csv'), 'late\n'),
      'comes as a tag file': () => writeFileSync(at('late.txt'), 'late\n'),
      goes: () => rmSync(at('bagit.txt')),
      grows: () => appendFileSync(at('bagit.txt'), 'x'),
    }
    for (const [name, change] of Object.entries(changes)) {
      const reader = folderBag(folder)
      let done = false
      const racing: BagReader = {
        ...reader,
        hash: async (path, algorithms) => {
          const found = await reader.hash(path, algorithms)
          if (!done) change()
          done = true
          return found
        },
      }
      assert.ok((await codes(racing)).includes('BagChanged'), name)
      for (const path of ['data/late.csv', 'late.txt']) rmSync(at(path), { force: true })
      writeFileSync(at('bagit.txt'), 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n')
    }
  })

  describe('names', () => {
    const listed: Record<string, [string, string[]]> = {
      'a line feed in a name': ['data/a%0Ab', ['PathControlCharacter']],
      'a carriage return in a name': ['data/a%0db', ['PathControlCharacter']],
      'an absolute path': ['/etc/passwd', ['PathAbsolute']],
      'the home folder': ['~/x', ['PathHome']],
      'somebody’s home folder': ['~root/x', ['PathHome']],
      'a path upwards': ['data/../../x', ['PathParent']],
      'a path upwards behind an escape': ['data/%2e%2e/x', ['PayloadMissing']],
      'a path upwards with backslashes': ['data\\..\\x', ['PathParent']],
      'a folder': ['data/sub', ['PayloadMissing']],
      'a tag file': ['bagit.txt', ['PathOutOfScope']],
      NUL: ['data/\u0000', ['PathControlCharacter']],
      'right-to-left marks, which are only odd': ['data/\u202ea.csv', ['PayloadMissing']],
    }
    for (const [name, [path, expected]] of Object.entries(listed)) {
      it(`in a manifest: ${name}`, async () => {
        rewrite(manifest, `${read(manifest)}${line(path)}`)
        assert.deepEqual(await codes(), expected)
      })
    }

    it('with a line feed, on disk and escaped in the manifest, are refused: readers end a line there', async () => {
      addPayload('data/a\nb')
      rewrite(manifest, `${read(manifest)}${line('data/a%0Ab')}`)
      assert.ok((await codes()).includes('PathControlCharacter'))
    })

    it('that are not UTF-8 are refused, of files and of folders, with a name that can be shown', async () => {
      const raw = (name: string) => Buffer.concat([Buffer.from(`${at('data')}/`), Buffer.from(name, 'latin1')])
      writeFileSync(raw('caf\u00e9.csv'), 'a\n')
      assert.deepEqual(await codes(), ['FileNotRegular'])
      rmSync(raw('caf\u00e9.csv'))
      mkdirSync(raw('caf\u00e9'))
      writeFileSync(Buffer.concat([raw('caf\u00e9'), Buffer.from('/x')]), 'a\n')
      const { problems } = await checkBag(folderBag(folder))
      assert.deepEqual(
        problems.map(({ code, path }) => [code, path]),
        [['FileNotRegular', 'data/caf\ufffd']],
      )
    })

    it('that differ in case or Unicode form only are warned of', async () => {
      for (const path of ['data/A.csv', 'data/\u00e9.csv', 'data/e\u0301.csv']) addPayload(path)
      writeFileSync(at('bag-info.txt'), '')
      rewrite('bag-info.txt', '')
      rewrite(
        manifest,
        ['data/A.csv', 'data/\u00e9.csv', 'data/e\u0301.csv'].map(path => line(path)).join('') + read(manifest),
      )
      assert.deepEqual(await codes(), ['NamesCollide?'])
    })

    it('that are listed in another Unicode form than they have are found, with a warning', async () => {
      addPayload('data/e\u0301.csv')
      rewrite('bag-info.txt', '')
      rewrite(manifest, `${read(manifest)}${line('data/\u00e9.csv')}`)
      assert.deepEqual(await codes(), ['NameNormalizedDifferently?'])
    })
  })

  describe('text', () => {
    it('with a byte-order mark: refused in bagit.txt and manifests, part of the first label in bag-info.txt', async () => {
      rewrite('bag-info.txt', `\ufeff${read('bag-info.txt')}`)
      assert.deepEqual(await codes(), [])
      rewrite(manifest, `\ufeff${read(manifest)}`)
      assert.deepEqual(await codes(), ['ManifestLineInvalid', 'PayloadUnlisted'])
      rewrite('bagit.txt', `\ufeff${read('bagit.txt')}`)
      assert.deepEqual(await codes(), ['DeclarationMarked'])
    })

    it('with CR LF, or CR alone, reads the same', async () => {
      for (const end of ['\r\n', '\r'])
        for (const path of ['bagit.txt', 'bag-info.txt', manifest]) {
          const content = read(path)
          rewrite(path, content.replaceAll('\n', end))
          assert.deepEqual(await codes(), [], `${path} with ${JSON.stringify(end)}`)
          rewrite(path, content)
        }
    })

    it('without an end of the last line reads the same', async () => {
      rewrite(manifest, read(manifest).trimEnd())
      assert.deepEqual(await codes(), [])
    })

    for (const [name, hostile] of Object.entries({
      'hex digits': '0'.repeat(30_000_000),
      blanks: `${'0'.repeat(128)}${' '.repeat(30_000_000)}`,
      './ again and again': `${'0'.repeat(128)}  ${'./'.repeat(15_000_000)}`,
      'one name': `${'0'.repeat(128)}  data/${'x'.repeat(30_000_000)}`,
      'one path of folders': `${'0'.repeat(128)}  data/${'x/'.repeat(15_000_000)}`,
    })) {
      it(`with a line of 30 million bytes is judged soon: ${name}`, async function () {
        this.timeout(20_000)
        rewrite(manifest, `${read(manifest)}${hostile}\n`)
        const { valid, problems } = await checkBag(folderBag(folder))
        assert.equal(valid, false)
        for (const { message, path = '' } of problems) assert.ok(message.length + path.length < 1000)
      })
    }
  })

  describe('fetch.txt', () => {
    const cases: Record<string, [string, string[]]> = {
      'of a file that is there and listed': ['https://x.example/a 2 data/a.csv', []],
      'of a file that is there, with another length': ['https://x.example/a 3 data/a.csv', ['PayloadSizeDiffers']],
      'of a file that no manifest lists': ['https://x.example/a 2 data/b.csv', ['FetchUnlisted']],
      'of a tag file, to be overwritten': ['https://x.example/a 2 bagit.txt', ['PathOutOfScope']],
      'of a path upwards': ['https://x.example/a 2 data/../bagit.txt', ['PathParent']],
      'of a path that climbs behind ./': ['https://x.example/a 2 ./../x', ['PathParent']],
      'of an absolute path': ['file:///etc/passwd 2 /etc/passwd', ['PathAbsolute']],
      'of a local address, which is never fetched': ['file:///etc/passwd 2 data/a.csv', []],
      'of no address': ['/etc/passwd 2 data/a.csv', ['FetchLineInvalid']],
      'of a negative length': ['https://x.example/a -1 data/a.csv', ['FetchLineInvalid']],
      'of a length beyond all numbers': [`https://x.example/a ${'9'.repeat(400)} data/a.csv`, ['FetchLineInvalid']],
      'of a file twice': ['https://x.example/a - data/a.csv\nhttps://y.example/a - data/a.csv', ['PathRepeated']],
    }
    for (const [name, [text, expected]] of Object.entries(cases)) {
      it(name, async () => {
        rewrite('fetch.txt', `${text}\n`)
        assert.deepEqual(await codes(), expected)
      })
    }

    it('does not excuse what is missing, unless the payload may lie elsewhere', async () => {
      rmSync(at('data/a.csv'))
      rewrite('fetch.txt', 'arcp://uuid,x/data/a.csv 2 data/a.csv\n')
      assert.deepEqual(await codes(), ['OxumDiffers', 'PayloadNotFetched'])
      const { valid, complete } = await checkBag(folderBag(folder), { allowFetch: true })
      assert.deepEqual({ valid, complete }, { valid: true, complete: false })
    })
  })
})
