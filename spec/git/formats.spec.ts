import assert from 'node:assert/strict'
import fc from 'fast-check'
import { checkSignature, makeCommit, parseCommit } from '../../controller/git/commit-object.ts'
import { checkPath, decodePath } from '../../controller/git/paths.ts'
import { parseListing } from '../../controller/git/tree-object.ts'
import { identity, sign } from './world.ts'

const oid = '1'.repeat(40)

describe('the name of a file in a tree', () => {
  it('stays what it is where it is UTF-8 without U+FFFD', () => {
    const name = fc.string({ unit: 'binary' }).filter(text => !text.includes('\uFFFD'))
    fc.assert(fc.property(name, text => decodePath(Buffer.from(text)) === text))
  })

  it('never is the same for two different names', () => {
    const part = fc.constantFrom('61', 'ff', 'efbfbd', '254646', '254546', '254246', '254244', 'c3', 'a4', 'ef')
    const name = fc.array(part, { maxLength: 4 }).map(parts => Buffer.from(parts.join(''), 'hex'))
    fc.assert(
      fc.property(name, name, (a, b) => a.equals(b) || decodePath(a) !== decodePath(b)),
      { numRuns: 2000 },
    )
  })

  it('may be written only where it stays inside the tree', () => {
    const segment = fc.constantFrom('a', '.', '..', '.git', '.GIT', '', 'b c', '.gitignore', '...')
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), segments => {
        const bad = segments.some(name => ['.', '..', '', '.git', '.GIT'].includes(name))
        if (bad) assert.throws(() => checkPath(segments.join('/')), { code: 'UnsafePath' })
        else checkPath(segments.join('/'))
      }),
    )
  })

  it('may hold tabs and line ends in a listing', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1 }).filter(text => !text.includes('\0'))
    fc.assert(
      fc.property(fc.array(name), names => {
        const listing = Buffer.from(names.map(path => `100644 blob ${oid}\t${path}\0`).join(''))
        assert.deepEqual(
          parseListing(listing),
          names.map(path => ({ mode: '100644', oid, path })),
        )
      }),
    )
  })
})

describe('a commit object', () => {
  const message = fc.string({ unit: 'grapheme' }).filter(text => text.trim() !== '')

  it('is read as it was made, and its signature is right', () => {
    fc.assert(
      fc.property(
        message,
        fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }),
        (text, time) => {
          const bytes = makeCommit({ tree: oid, parent: '2'.repeat(40), message: text, time, identity, sign })
          const commit = parseCommit('3'.repeat(40), bytes)
          assert.deepEqual([commit.tree, commit.parents, commit.author], [oid, ['2'.repeat(40)], identity])
          assert.equal(commit.time, Math.floor(time.getTime() / 1000))
          assert.equal(commit.message, `${text.replaceAll('\0', '\uFFFD').trimEnd()}\n`)
          assert.equal(checkSignature('3'.repeat(40), bytes).state, 'good')
        },
      ),
      { numRuns: 50 },
    )
  })

  it('is no longer signed right when one bit of it differs', () => {
    const bytes = makeCommit({ tree: oid, parent: undefined, message: 'M', time: new Date(0), identity, sign })
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
        const changed = Buffer.from(bytes)
        changed[at]! ^= 1 << bit
        assert.notEqual(checkSignature(oid, changed).state, 'good')
      }),
      { numRuns: 500 },
    )
  })

  it('may be any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        assert.equal(parseCommit(oid, Buffer.from(bytes)).oid, oid)
        assert.ok(checkSignature(oid, Buffer.from(bytes)))
      }),
    )
  })
})
