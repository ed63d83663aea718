import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { openDirectoryStore } from '../../controller/data/directory-store.ts'
import type { FileStore } from '../../controller/data/store.ts'

const never = new AbortController().signal
const key = { project: 'asthma', release: 1 }

describe('a directory store', () => {
  let folder: string
  let roots: { staging: string; production: string }
  let store: FileStore
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cratewright-store-'))
    roots = rootsIn(folder, folder)
    store = openDirectoryStore(roots)
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('wants two folders that are there and apart', () => {
    const { staging, production } = roots
    const link = join(folder, 'link')
    symlinkSync(staging, link)
    mkdirSync(join(staging, 'inner'))
    writeFileSync(join(folder, 'file'), '')
    const bad = [
      staging,
      link,
      join(staging, 'inner'),
      join(folder, 'absent'),
      folder,
      join(folder, 'file'),
      'relative',
      '',
    ]
    for (const other of bad) {
      assert.throws(() => openDirectoryStore({ staging, production: other }), { code: 'StoreInvalid' }, other)
    }
    openDirectoryStore({ staging: link, production })
  })

  it('writes, reads, lists and hashes', async () => {
    await store.write(key, 'bag', 'data/outputs/a.csv', Buffer.from('id\n1\n'))
    await store.write(key, 'bag', 'data/outputs/a.csv', Buffer.from('id\n2\n'))
    await store.write(key, 'bag', 'data/Z', Buffer.from(''))
    await store.write(key, 'review', 'report.json', Buffer.from('{}'))
    await store.write(key, 'work', 'attempt.json', Buffer.from('1'))
    const file = await store.prepare(key, 'data/outputs/ä.csv')
    assert.equal(file, join(roots.staging, 'asthma/1/data/outputs/ä.csv'))
    writeFileSync(file, 'id\n')
    const files = [
      { path: 'data/Z', size: 0 },
      { path: 'data/outputs/a.csv', size: 5 },
      { path: 'data/outputs/ä.csv', size: 3 },
    ]
    assert.deepEqual(await store.list(key, 'staging'), files)
    assert.equal(await store.list(key, 'production'), undefined)
    assert.equal((await store.read(key, 'review', 'report.json'))?.toString(), '{}')
    assert.equal(await store.read(key, 'work', 'absent/x'), undefined)
    const seen: number[] = []
    const hashed = await store.hash(key, 'staging', ['data/outputs/a.csv', 'data/outputs/ä.csv'], never, bytes =>
      seen.push(bytes),
    )
    assert.deepEqual(hashed[0], { path: 'data/outputs/a.csv', size: 5, sha512: sha512('id\n2\n') })
    assert.deepEqual(seen, [5, 8])
    assert.equal(statSync(join(roots.staging, 'asthma')).mode & 0o027, 0)
    assert.equal(statSync(join(roots.staging, 'asthma/1/data/Z')).mode & 0o027, 0)
  })

  it('stops hashing when it is told to', async () => {
    await store.write(key, 'bag', 'a', Buffer.from('x'))
    await assert.rejects(store.hash(key, 'staging', ['a'], AbortSignal.abort()), { name: 'AbortError' })
  })

  it('refuses paths and names that lead elsewhere', async () => {
    const paths = [
      '',
      '/',
      '/etc/passwd',
      '..',
      '../x',
      'a/../../x',
      'a//b',
      'a/',
      './a',
      'a\0b',
      'a\nb',
      'a\\b',
      'x'.repeat(256),
      `${'a/'.repeat(1200)}a`,
      '\ud800',
    ]
    for (const path of paths) {
      await assert.rejects(store.prepare(key, path), { code: 'UnsafePath' }, path)
      await assert.rejects(store.write(key, 'work', path, Buffer.from('')), { code: 'UnsafePath' }, path)
      await assert.rejects(store.read(key, 'bag', path), { code: 'UnsafePath' }, path)
      await assert.rejects(store.hash(key, 'staging', [path], never), { code: 'UnsafePath' }, path)
    }
    for (const project of ['', '.', '..', '../x', 'a/b', '.hidden', 'a\0', '-x', 'x'.repeat(101)]) {
      await assert.rejects(store.list({ project, release: 1 }, 'staging'), { code: 'UnsafePath' }, project)
      await assert.rejects(store.discard({ project, release: 1 }), { code: 'UnsafePath' }, project)
    }
    for (const release of [0, -1, 1.5, Number.NaN, 2 ** 60]) {
      await assert.rejects(store.publish({ project: 'a', release }, '', never), { code: 'UnsafePath' })
    }
    assert.deepEqual(readdirSync(roots.staging), [])
  })

  it('stays inside its root for any path', async () => {
    const part = fc.oneof(fc.constantFrom('..', '.', '', 'a', '~', '%2e%2e'), fc.string({ maxLength: 5 }))
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 5 }), async parts => {
        const file = await store.prepare(key, parts.join('/')).catch(error => {
          assert.equal(error.code, 'UnsafePath')
        })
        assert.ok(file === undefined || file.startsWith(join(roots.staging, 'asthma/1/')))
        if (file !== undefined) assert.ok(!file.split('/').includes('..'))
      }),
    )
  })

  it('follows no link, wherever one is put', async () => {
    const outside = join(folder, 'outside')
    mkdirSync(join(outside, 'data'), { recursive: true })
    writeFileSync(join(outside, 'data/secret'), 'secret')
    await store.write(key, 'bag', 'data/a', Buffer.from('a'))
    const release = join(roots.staging, 'asthma/1')
    const untouched = async () => {
      const refused = { code: 'UnsafePath' }
      await assert.rejects(store.read(key, 'bag', 'data/secret'), refused)
      await assert.rejects(store.hash(key, 'staging', ['data/secret'], never), refused)
      await assert.rejects(store.list(key, 'staging'), refused)
    }
    symlinkSync(join(outside, 'data/secret'), join(release, 'data/secret'))
    await untouched()
    await store.write(key, 'bag', 'data/secret', Buffer.from('mine'))
    assert.equal(readFileSync(join(outside, 'data/secret'), 'utf8'), 'secret')
    for (const swapped of [join(release, 'data'), release, join(roots.staging, 'asthma')]) {
      rmSync(swapped, { recursive: true })
      const inside = swapped === release ? outside : swapped.endsWith('data') ? join(outside, 'data') : folder
      symlinkSync(inside, swapped)
      await untouched()
      await assert.rejects(store.write(key, 'bag', 'data/new', Buffer.from('')), { code: 'UnsafePath' })
      await assert.rejects(store.prepare(key, 'data/new'), { code: 'UnsafePath' })
    }
    await assert.rejects(store.discard(key), { code: 'UnsafePath' })
    await assert.rejects(store.publish(key, '', never), { code: 'UnsafePath' })
    assert.deepEqual(readdirSync(join(outside, 'data')), ['secret'])
  })

  it('lists only regular files, and waits for no pipe', async () => {
    await store.write(key, 'bag', 'data/a', Buffer.from('a'))
    execFileSync('mkfifo', [join(roots.staging, 'asthma/1/data/pipe')])
    await assert.rejects(store.list(key, 'staging'), { code: 'UnsafePath' })
    await assert.rejects(store.read(key, 'bag', 'data/pipe'), { code: 'UnsafePath' })
    await assert.rejects(store.hash(key, 'staging', ['data/pipe'], never), { code: 'UnsafePath' })
  })

  it('tells the errno of a file system that fails', async () => {
    await store.write(key, 'bag', 'a', Buffer.from('a'))
    await assert.rejects(store.write(key, 'bag', 'a/b', Buffer.from('')), { code: 'UnsafePath' })
    rmSync(roots.staging, { recursive: true })
    await assert.rejects(store.write(key, 'bag', 'a', Buffer.from('')), {
      code: 'StoreFailed',
      retryable: true,
      message: /ENOENT/,
    })
  })

  it('discards everything staged, and nothing of other releases', async () => {
    for (const release of [1, 11]) {
      for (const area of ['bag', 'review', 'work'] as const)
        await store.write({ ...key, release }, area, 'x', Buffer.from('x'))
    }
    await store.discard(key)
    await store.discard(key)
    assert.deepEqual(readdirSync(join(roots.staging, 'asthma')).sort(), ['11', '11.review', '11.work'])
  })

  publishing('on one file system', () => [tmpdir(), tmpdir()])
  publishing('across file systems', () => [tmpdir(), '/dev/shm'])
})

function publishing(how: string, places: () => [string, string]): void {
  describe(`publishing ${how}`, () => {
    const made: string[] = []
    let roots: { staging: string; production: string }
    let store: FileStore
    let target: string
    let staged: string
    beforeEach(function () {
      const [one, other] = places()
      if (!existsSync(other) || (one !== other && statSync(one).dev === statSync(other).dev)) {
        console.log(`      skipped: ${other} is no second file system`)
        return this.skip()
      }
      made.push(mkdtempSync(join(one, 'cratewright-store-')), mkdtempSync(join(other, 'cratewright-store-')))
      roots = rootsIn(made.at(-2)!, made.at(-1)!)
      store = openDirectoryStore(roots)
      staged = join(roots.staging, 'asthma/1')
      target = join(roots.production, 'asthma/1')
    })
    afterEach(() => {
      for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
    })

    it('moves the bag whole, once, and keeps the review', async () => {
      const digest = await stage(store)
      const files = await store.list(key, 'staging')
      await store.publish(key, digest, never)
      assert.deepEqual(await store.list(key, 'production'), files)
      assert.equal(await store.list(key, 'staging'), undefined)
      assert.deepEqual(readdirSync(join(roots.staging, 'asthma')), ['1.review'])
      assert.deepEqual(readdirSync(join(roots.production, 'asthma')), ['1'])
      assert.equal(statSync(join(roots.production, 'asthma')).mode & 0o777, 0o750)
      assert.equal(readFileSync(join(target, 'data/100% a.csv'), 'utf8'), 'id\n1\n')
      const before = statSync(target).ino
      await store.publish(key, digest, never)
      assert.equal(statSync(target).ino, before)
      await assert.rejects(store.publish(key, sha512('another'), never), { code: 'StorePathTaken' })
    })

    it('goes on wherever it was killed', async () => {
      const digest = await stage(store)
      const whole = join(roots.staging, 'whole')
      cpSync(staged, whole, { recursive: true })
      const project = join(roots.production, 'asthma')
      const half = join(project, '.1.0123456789abcdef.partial')
      // While copying.
      mkdirSync(join(half, 'data'), { recursive: true })
      await store.publish(key, digest, never)
      assert.deepEqual(readdirSync(project), ['1'])
      // After the rename, while the staged files were removed.
      cpSync(whole, staged, { recursive: true })
      rmSync(join(staged, 'manifest-sha512.txt'))
      await store.write(key, 'work', 'x', Buffer.from(''))
      await store.publish(key, digest, never)
      assert.deepEqual(readdirSync(join(roots.staging, 'asthma')), ['1.review'])
      assert.equal(readdirSync(join(target, 'data')).length, 2)
    })

    it('refuses a place that holds something else, also nothing, a file or a link', async () => {
      const digest = await stage(store)
      const fillers = [
        () => mkdirSync(target),
        () => writeFileSync(target, ''),
        () => symlinkSync(staged, target),
        () => cpSync(staged, target, { recursive: true }),
      ]
      mkdirSync(join(roots.production, 'asthma'))
      for (const [index, fill] of fillers.entries()) {
        fill()
        if (index === 3) writeFileSync(join(target, 'manifest-sha512.txt'), 'another')
        await assert.rejects(store.publish(key, digest, never), { code: 'StorePathTaken' })
        rmSync(target, { recursive: true })
      }
      assert.ok(existsSync(staged))
    })

    it('refuses staged data that is not there or not what was closed', async () => {
      await assert.rejects(store.publish(key, sha512(''), never), { code: 'StoreFailed' })
      const digest = await stage(store)
      await store.write(key, 'bag', 'manifest-sha512.txt', Buffer.from('another'))
      await assert.rejects(store.publish(key, digest, never), { code: 'StagedDataChanged' })
      assert.equal(existsSync(target), false)
    })

    it('refuses a link or pipe among the staged files', async () => {
      const digest = await stage(store)
      symlinkSync('/etc/passwd', join(staged, 'data/link'))
      await assert.rejects(store.publish(key, digest, never), { code: 'UnsafePath' })
      assert.deepEqual(readdirSync(join(roots.production, 'asthma')), [])
    })

    it('leaves nothing half when it is told to stop', async () => {
      const digest = await stage(store)
      await assert.rejects(store.publish(key, digest, AbortSignal.abort()), { name: 'AbortError' })
      assert.deepEqual(readdirSync(join(roots.production, 'asthma')), [])
      await store.publish(key, digest, never)
    })

    if (how.startsWith('across')) {
      it('finds what changed since the manifest was made', async () => {
        const digest = await stage(store)
        const changes = [
          () => store.write(key, 'bag', 'data/100% a.csv', Buffer.from('changed')),
          () => store.write(key, 'bag', 'data/extra.csv', Buffer.from('extra')),
          async () => rmSync(join(staged, 'data/b.csv')),
        ]
        for (const change of changes) {
          await change()
          await assert.rejects(store.publish(key, digest, never), { code: 'StagedDataChanged' })
          assert.deepEqual(readdirSync(join(roots.production, 'asthma')), [])
          rmSync(staged, { recursive: true })
          await stage(store)
        }
      })
    }
  })
}

function rootsIn(one: string, other: string): { staging: string; production: string } {
  const roots = { staging: join(one, 'staging'), production: join(other, 'production') }
  for (const root of Object.values(roots)) mkdirSync(root)
  return roots
}

/** A small bag with its manifest; the digest of that. */
async function stage(store: FileStore): Promise<string> {
  const manifest = `${sha512('id\n1\n')}  data/100%25 a.csv\n${sha512('x')}  data/b.csv\n`
  const files = {
    'data/100% a.csv': 'id\n1\n',
    'data/b.csv': 'x',
    'bagit.txt': 'BagIt-Version: 1.0\n',
    'manifest-sha512.txt': manifest,
  }
  for (const [path, text] of Object.entries(files)) await store.write(key, 'bag', path, Buffer.from(text))
  await store.write(key, 'review', 'report.json', Buffer.from('{}'))
  await store.write(key, 'work', 'attempt.json', Buffer.from('{}'))
  return sha512(manifest)
}

function sha512(text: string): string {
  return createHash('sha512').update(text).digest('hex')
}
