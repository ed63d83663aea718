import assert from 'node:assert/strict'
import { endOf, isTimeZone, startOf } from '../../controller/runtime/dates.ts'

describe('dates in manifests', () => {
  const days = [
    { day: '2026-01-15', zone: 'UTC', from: '2026-01-15T00:00:00.000Z', to: '2026-01-15T23:59:59.999Z' },
    { day: '2026-01-15', zone: 'Europe/London', from: '2026-01-15T00:00:00.000Z', to: '2026-01-15T23:59:59.999Z' },
    { day: '2026-07-15', zone: 'Europe/London', from: '2026-07-14T23:00:00.000Z', to: '2026-07-15T22:59:59.999Z' },
    // The days on which clocks change have 23 and 25 hours.
    { day: '2026-03-29', zone: 'Europe/London', from: '2026-03-29T00:00:00.000Z', to: '2026-03-29T22:59:59.999Z' },
    { day: '2026-10-25', zone: 'Europe/London', from: '2026-10-24T23:00:00.000Z', to: '2026-10-25T23:59:59.999Z' },
    { day: '2026-05-01', zone: 'Asia/Kolkata', from: '2026-04-30T18:30:00.000Z', to: '2026-05-01T18:29:59.999Z' },
    { day: '2026-05-01', zone: 'Nowhere/Atall', from: '2026-05-01T00:00:00.000Z', to: '2026-05-01T23:59:59.999Z' },
  ]
  for (const { day, zone, from, to } of days) {
    it(`${day} in ${zone} is from its first moment to its last`, () => {
      assert.equal(startOf(day, zone).toISOString(), from)
      assert.equal(endOf(day, zone).toISOString(), to)
    })
  }

  it('a moment is itself', () => {
    assert.equal(startOf('2026-09-30T17:00:00+02:00', 'Asia/Kolkata').toISOString(), '2026-09-30T15:00:00.000Z')
    assert.equal(endOf('2026-09-30T17:00:00Z', 'Asia/Kolkata').toISOString(), '2026-09-30T17:00:00.000Z')
  })

  it('knows names of time zones', () => {
    assert.ok(isTimeZone('Europe/Berlin'))
    assert.ok(!isTimeZone('Mars/Olympus'))
  })
})
