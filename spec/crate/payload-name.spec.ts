import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { datasetFolder, payloadName } from '../../controller/crate/payload-name.ts'

describe('payload names', () => {
  it('leave a plain name as it is', () => {
    for (const name of ['person', '2024_visits', 'a', 'a'.repeat(100), 'visits-20240101']) {
      assert.equal(payloadName('public', name), name)
    }
    assert.equal(datasetFolder('cohort'), 'cohort')
  })

  it('make every other name a slug with 8 hex of SHA-256 (schema, NUL, table)', () => {
    const hash = createHash('sha256').update(Buffer.from('Clinical\0Patient Visits (2024)')).digest('hex')
    assert.equal(payloadName('Clinical', 'Patient Visits (2024)'), `patient-visits-2024-${hash.slice(0, 8)}`)
    assert.match(payloadName('s', 'a'.repeat(101)), /^a{91}-[0-9a-f]{8}$/)
    assert.match(payloadName('s', '患者'), /^unnamed-[0-9a-f]{8}$/)
    assert.match(payloadName('s', '-x'), /^x-[0-9a-f]{8}$/)
    assert.match(payloadName('s', ''), /^unnamed-[0-9a-f]{8}$/)
  })

  it('never are a device of Windows', () => {
    for (const name of ['con', 'nul', 'aux', 'prn', 'com1', 'com9', 'lpt1', 'CON']) {
      assert.match(payloadName('s', name), /^[a-z0-9]+-[0-9a-f]{8}$/)
    }
    assert.equal(payloadName('s', 'com10'), 'com10')
  })

  it('are safe on every file system, whatever the table is called', () => {
    const anyName = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('..', '../x', 'a/../../b', 'C:\\x', '~root', 'x\0y', 'nul.csv'),
    )
    fc.assert(
      fc.property(anyName, anyName, (schema, table) => {
        const name = payloadName(schema, table)
        assert.match(name, /^[a-z0-9][a-z0-9_-]{0,99}$/)
        assert.equal(payloadName(schema, table), name)
        assert.doesNotMatch(name, /^(con|prn|aux|nul|com\d|lpt\d)$/)
      }),
    )
  })

  it('differ for names that differ in case, and for schemas that differ', () => {
    const letters = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'é', '7'), fc.boolean(), fc.boolean()), {
      minLength: 1,
      maxLength: 12,
    })
    fc.assert(
      fc.property(letters, spelled => {
        const [a, b] = [1, 2].map(at => spelled.map(each => (each[at] ? each[0].toUpperCase() : each[0])).join(''))
        assert.equal(payloadName('s', a!) === payloadName('s', b!), a === b)
      }),
    )
    assert.notEqual(payloadName('a', 'Person'), payloadName('b', 'Person'))
  })
})
