import assert from 'node:assert/strict'
import fc from 'fast-check'
import { arcpUrl } from '../../controller/crate/arcp.ts'

const uuid = '0193a3f0-1c2b-7d3e-8f4a-5b6c7d8e9f01'

describe('arcp URLs', () => {
  it('name a file of a bag and no host', () => {
    assert.equal(arcpUrl(uuid, 'data/outputs/cohort/person.csv'), `arcp://uuid,${uuid}/data/outputs/cohort/person.csv`)
  })

  it('percent-encode what a URL has other uses for', () => {
    assert.equal(arcpUrl(uuid, "data/a b#c?d%25'é.csv"), `arcp://uuid,${uuid}/data/a%20b%23c%3Fd%2525%27%C3%A9.csv`)
  })

  it('give back the path, whatever is in it, and never leave the bag', () => {
    const segment = fc.string({ minLength: 1 })
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), segments => {
        const path = ['data', ...segments].join('/')
        let url: string
        try {
          url = arcpUrl(uuid, path)
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'UnsafePath')
          return
        }
        const parsed = new URL(url)
        assert.equal(parsed.host, `uuid,${uuid}`)
        assert.equal(decodeURIComponent(parsed.pathname.slice(1)), path)
        assert.equal(parsed.search + parsed.hash, '')
      }),
    )
  })

  it('are refused for what is no UUID and for paths that leave the bag', () => {
    for (const wrong of ['', 'evil.example/', uuid.toUpperCase()]) {
      assert.throws(() => arcpUrl(wrong, 'data/x'), { code: 'BagInvalid' })
    }
    for (const wrong of ['data/../x', '/data/x', 'data//x', 'data/\n']) {
      assert.throws(() => arcpUrl(uuid, wrong), { code: 'UnsafePath' })
    }
  })
})
