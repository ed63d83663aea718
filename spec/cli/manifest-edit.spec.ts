import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseAllDocuments, stringify } from 'yaml'
import { manifestsIn, withEntry, withoutDocument, withoutEntry } from '../../controller/cli/manifest-edit.ts'

/** As people write it: comments, columns in line, braces, lists with and without indent. */
const written = `# People
kind: Person
metadata: { name: ada }   # ada
spec:
  displayName:   Ada
---
# What to watch.
kind: Repository
metadata: { name: projects }    # keep
spec:
  url:   https://forge.example/tre/projects.git   # where
  requests: projects/*

  credential: { provider: file,   password_key: projects-token }
  records:
      branch: cratewright/records
      # of the branch

# the end of the Repository
---
kind: FileStore
metadata:
  name: lsc
spec: {type: directory}
`

const suspended = ['spec', 'suspended']
const annotation = ['metadata', 'annotations', 'cratewright.dev/suspend']
const values = (text: string) => parseAllDocuments(text).map(document => document.toJS() as unknown)
/** Lines that are in one text and not in the other. */
const lines = (before: string, after: string) => {
  const known = new Set(before.split('\n'))
  return after.split('\n').filter(line => !known.has(line))
}

describe('an edit of a manifest', () => {
  it('adds a list where there is none, behind what is there, and leaves every other line as it is', () => {
    const after = withEntry(written, 1, suspended, [{ project: 'asthma', reason: 'a: "b" # c' }])
    assert.deepEqual(lines(written, after), ['  suspended:', '    - project: asthma', `      reason: 'a: "b" # c'`])
    assert.deepEqual(lines(after, written), [])
    assert.ok(after.indexOf('# of the branch') < after.indexOf('suspended:'), 'a comment stays with what it is about')
    assert.ok(after.indexOf('suspended:') < after.indexOf('# the end of the Repository'))
  })

  it('adds to a list in the style of the list', () => {
    const rows: readonly [string, string][] = [
      ['spec:\n  suspended:\n    - a: 1\n  url: x\n', 'spec:\n  suspended:\n    - a: 1\n    - a: 2\n  url: x\n'],
      [
        'spec:\n  suspended:\n  - a: 1\n    b: 3\n  url: x',
        'spec:\n  suspended:\n  - a: 1\n    b: 3\n  - a: 2\n  url: x',
      ],
      ['spec: { suspended: [{ a: 1 }] } # c\n', 'spec: { suspended: [{ a: 1 }, {"a":2}] } # c\n'],
      ['spec:\r\n  suspended:\r\n    - a: 1\r\n', 'spec:\r\n  suspended:\r\n    - a: 1\r\n    - a: 2\r\n'],
    ]
    for (const [before, after] of rows) assert.equal(withEntry(before, 0, suspended, { a: 2 }), after)
  })

  it('adds inside braces and to empty ones', () => {
    const after = withEntry(written, 1, annotation, 'why')
    assert.deepEqual(lines(written, after), [
      'metadata: { name: projects, annotations: {"cratewright.dev/suspend":"why"} }    # keep',
    ])
    assert.equal(withEntry('spec: {}\n', 0, suspended, [{ a: 1 }]), 'spec: {suspended: [{"a":1}]}\n')
  })

  it('takes out one entry of a list, and the list with the last', () => {
    const one = withEntry(written, 1, suspended, [{ project: 'asthma', reason: 'x' }])
    const two = withEntry(one, 1, suspended, { project: 'lung', reason: 'two\nlines' })
    assert.deepEqual(lines(two, withoutEntry(two, 1, [...suspended, 0])), [])
    assert.equal(withoutEntry(two, 1, [...suspended, 1]), one)
    assert.equal(withoutEntry(one, 1, [...suspended, 0]), written)
    assert.equal(
      withoutEntry('spec: { suspended: [{ a: 1 }, { a: 2 }] }\n', 0, [...suspended, 0]),
      'spec: { suspended: [{ a: 2 }] }\n',
    )
  })

  it('takes out a document, and says where nothing is left', () => {
    assert.deepEqual(values(withoutDocument(written, 1) ?? ''), [values(written)[0], values(written)[2]])
    assert.deepEqual(values(withoutDocument(written, 0) ?? ''), values(written).slice(1))
    assert.deepEqual(values(withoutDocument(written, 2) ?? ''), values(written).slice(0, 2))
    assert.ok(withoutDocument(written, 1)?.includes('displayName:   Ada'))
    assert.equal(withoutDocument('kind: Freeze\n', 0), undefined)
  })

  it('changes a file with an anchor or a merge of lines by its document, or refuses it, but never silently wrong', () => {
    const text = 'spec: &s\n  url: x\nother: *s\n'
    let after = ''
    try {
      after = withEntry(text, 0, suspended, [{ a: 1 }])
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'DocumentInvalid')
      return
    }
    assert.deepEqual((values(after)[0] as { spec: unknown }).spec, { url: 'x', suspended: [{ a: 1 }] })
  })

  it('passes over documents that are no mapping or have errors', () => {
    assert.deepEqual(manifestsIn(''), [])
    assert.deepEqual(
      manifestsIn('kind: A\n---\njust text\n---\nkind: [\n---\nkind: B\n').map(({ value }) => value.kind),
      ['A', 'B'],
    )
  })

  it('in and out again gives back the very bytes, whatever the manifest holds and however it is laid out', () => {
    const leaf = fc.oneof(fc.string({ maxLength: 12 }), fc.integer(), fc.boolean(), fc.constant(null))
    const mapOf = (value: fc.Arbitrary<unknown>, minKeys: number) =>
      fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), value, { minKeys, maxKeys: 5, noNullPrototype: true })
    const spec = mapOf(fc.oneof(leaf, fc.array(leaf, { maxLength: 3 }), mapOf(leaf, 0)), 1)
    const layout = fc.record({
      indent: fc.constantFrom(2, 4),
      indentSeq: fc.boolean(),
      flowCollectionPadding: fc.boolean(),
    })
    const reason = fc
      .string({ minLength: 1, unit: 'binary' })
      .filter(one => !/[\u0000-\u001f\u007f-\u009f\ufeff]/.test(one) && one.isWellFormed())
    fc.assert(
      fc.property(spec, spec, layout, reason, (first, second, options, why) => {
        const before = [first, second]
          .map(one =>
            stringify({ kind: 'Repository', metadata: { name: 'p' }, spec: one }, { ...options, lineWidth: 0 }),
          )
          .join('---\n')
        const entry = { project: 'asthma', reason: why }
        const after = withEntry(before, 1, suspended, [entry])
        const [same, changed] = values(after) as { spec: object }[]
        assert.deepEqual(same, values(before)[0])
        assert.deepEqual(changed?.spec, { ...second, suspended: [entry] })
        assert.equal(withoutEntry(after, 1, [...suspended, 0]), before)
      }),
      { numRuns: 300 },
    )
  })
})
