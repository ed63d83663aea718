import assert from 'node:assert/strict'
import fc from 'fast-check'
import { outputsDigest, releaseUuid, sha512 } from '../../../controller/kinds/requests/digests.ts'
import { requestDigest } from '../../../controller/kinds/requests/documents.ts'
import { derivedUuid, sha256Hex } from '../../../controller/runtime/canonical.ts'

type Written = Parameters<typeof requestDigest>[0]
type Dict = Record<string, unknown>

const written = (): Written => ({
  governance: {
    project: { name: 'asthma', description: 'About', reference: 'R1' },
    requester: 'rob',
    users: [{ username: 'rob', email: 'rob@x.example' }],
  },
  ingress: {
    source: { name: 'clinical', type: 'postgresql', url: 'db' },
    destination: { type: 'filestore', name: 'lsc' },
    datasets: [
      {
        name: 'cohort',
        schema_name: 'clinic',
        tables: [{ name: 'visits', columns: [{ name: 'id', datatype: 'int' }] }],
      },
      { name: 'money', schema_name: 'clinic', tables: [] },
    ],
  },
  deployment: { environment: { name: 'test' }, resources: [] },
  config: { 'bagit-info': { 'Contact-Name': 'Team' } },
})

/** Every place of a document: the object or list, and the key in it. */
function places(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return []
  return Object.keys(value).flatMap(key => {
    const at = [...path, Array.isArray(value) ? Number(key) : key]
    return [at, ...places((value as Dict)[key], at)]
  })
}

function holderOf(value: unknown, path: readonly (string | number)[]): Dict {
  return path.slice(0, -1).reduce((holder, key) => (holder as Dict)[key] as Dict, value as Dict)
}

const digest = requestDigest(written())

describe('the request digest', () => {
  it('is that of the canonical JSON of all four documents and the version of the form', () => {
    const canonical = (value: unknown): string =>
      Array.isArray(value)
        ? `[${value.map(canonical).join(',')}]`
        : typeof value === 'object' && value !== null
          ? `{${Object.keys(value)
              .sort()
              .map(key => `${JSON.stringify(key)}:${canonical((value as Dict)[key])}`)
              .join(',')}}`
          : JSON.stringify(value)
    assert.equal(digest, sha256Hex(canonical({ schema: 'cratewright.dev/request/v1', ...written() })))
  })

  it('leaves out what the old tool wrote into the documents, and does not touch them', () => {
    const withOld = written() as unknown as { governance: { project: Dict }; ingress: { datasets: Dict[] } }
    Object.assign(withOld.governance.project, { id: 'x', start_time: '2026-01-01', actions: [{ id: 'a' }] })
    for (const dataset of withOld.ingress.datasets)
      Object.assign(dataset, { locations: [{ path: '/x' }], staging_path: '/s', publish_path: '/p' })
    const before = structuredClone(withOld)
    assert.equal(requestDigest(withOld as unknown as Written), digest)
    assert.deepEqual(withOld, before)
  })

  it('changes with those fields anywhere else', () => {
    for (const key of ['id', 'start_time', 'actions', 'locations', 'staging_path', 'publish_path']) {
      const places: [string, (value: Written & Dict) => Dict][] = [
        ['governance', value => value.governance as Dict],
        ['user', value => (value.governance as { users: Dict[] }).users[0]!],
        ['ingress', value => value.ingress as Dict],
        ['source', value => (value.ingress as { source: Dict }).source],
        ['table', value => (value.ingress as { datasets: { tables: Dict[] }[] }).datasets[0]!.tables[0]!],
        ['deployment', value => value.deployment as Dict],
        ['config', value => value.config as Dict],
      ]
      for (const [place, at] of places) {
        const changed = written() as Written & Dict
        at(changed)[key] = 'x'
        assert.notEqual(requestDigest(changed), digest, `${key} of ${place}`)
      }
    }
    for (const key of ['locations', 'staging_path']) {
      const changed = written() as unknown as { governance: { project: Dict } }
      changed.governance.project[key] = 'x'
      assert.notEqual(requestDigest(changed as unknown as Written), digest, `${key} of the project`)
    }
    for (const key of ['id', 'start_time', 'actions']) {
      const changed = written() as unknown as { ingress: { datasets: Dict[] } }
      changed.ingress.datasets[0]![key] = 'x'
      assert.notEqual(requestDigest(changed as unknown as Written), digest, `${key} of a dataset`)
    }
  })

  it('changes with anything that is changed, added or removed', () => {
    // Whole documents are always there: the request has errors without them.
    const all = places(written()).filter(path => path.length > 1)
    fc.assert(
      fc.property(
        fc.constantFrom(...all),
        fc.constantFrom('change', 'add', 'remove'),
        fc.string(),
        (path, how, text) => {
          const changed = written()
          const holder = holderOf(changed, path)
          const key = path.at(-1)!
          if (how === 'change') holder[key] = `${text} `
          else if (how === 'remove') delete holder[key]
          else if (Array.isArray(holder)) holder.push(text)
          else holder[`new_${text}`] = text
          if (how === 'remove' && Array.isArray(holder)) holder.splice(Number(key), 1)
          assert.notEqual(requestDigest(changed), digest, `${how} ${path.join('.')}`)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('does not depend on the order in which fields are written', () => {
    const reversed = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(reversed)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, inner]) => [key, reversed(inner)]),
            )
          : value
    assert.equal(requestDigest(reversed(written()) as Written), digest)
  })
})

describe('the outputs digest', () => {
  const file = fc.record({
    path: fc.string({ minLength: 1 }).map(name => `data/outputs/${name}`),
    size: fc.nat(),
    sha512: fc.string().map(sha512Of),
  })
  const files = fc.uniqueArray(file, { selector: ({ path }) => path, minLength: 1, maxLength: 6 })

  it('does not depend on the order of files, or on what else is known of them', () => {
    fc.assert(
      fc.property(files, fc.nat(), (all, turn) => {
        const turned = [...all.slice(turn % all.length), ...all.slice(0, turn % all.length)]
        assert.equal(outputsDigest(turned.map(one => ({ ...one, table: 'x' }))), outputsDigest(all))
      }),
    )
  })

  it('changes with any path, size or content, and with a file more or less', () => {
    fc.assert(
      fc.property(files, fc.nat(), fc.constantFrom('path', 'size', 'sha512', 'less', 'twice'), (all, at, what) => {
        const index = at % all.length
        const one = all[index]!
        const other = { ...one, ...(what === 'size' ? { size: one.size + 1 } : { [what]: `${one.path}+` }) }
        const changed =
          what === 'less' ? all.toSpliced(index, 1) : what === 'twice' ? [...all, one] : all.with(index, other)
        assert.notEqual(outputsDigest(changed), outputsDigest(all))
      }),
    )
  })

  it('sorts by the bytes of the path, not by UTF-16', () => {
    // U+FF5E comes before U+1F600 as bytes (ef < f0), and behind it as UTF-16 (ff5e > d83d).
    const [low, high] = ['～', '😀'].map(path => ({ path, size: 1, sha512: 'x' })) as [Entry, Entry]
    const json = JSON.stringify([low, high].map(({ path, size, sha512 }) => ({ path, sha512, size })))
    assert.equal(outputsDigest([high, low]), sha256Hex(json))
  })
})

interface Entry {
  readonly path: string
  readonly size: number
  readonly sha512: string
}

function sha512Of(text: string): string {
  return sha512(Buffer.from(text))
}

describe('the id of a release', () => {
  const id = `urn:uuid:${derivedUuid(new Date('2026-03-01T12:00:00Z'), 'seed')}`

  it('is one for each request and release, of the request’s time, and the same whenever it is made', () => {
    const other = `urn:uuid:${derivedUuid(new Date('2026-03-01T12:00:00Z'), 'other')}`
    const ids = [id, other].flatMap(one => [1, 2, 3].map(release => releaseUuid({ id: one, release })))
    assert.equal(new Set(ids).size, 6)
    assert.deepEqual(
      ids,
      [id, other].flatMap(one => [1, 2, 3].map(release => releaseUuid({ id: one, release }))),
    )
    for (const one of ids) {
      assert.match(one, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.equal(one.slice(0, 13), id.slice('urn:uuid:'.length, 'urn:uuid:'.length + 13))
    }
  })
})
