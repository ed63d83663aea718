import assert from 'node:assert/strict'
import fc from 'fast-check'
import { forms, formsIn, isNhsNumber } from '../../controller/data/identifiers.ts'

function found(text: string): string[] {
  const bytes = Buffer.from(`,"${text}",`)
  const bits = formsIn(bytes, 2, bytes.length - 2)
  return Object.entries(forms).flatMap(([name, bit]) => (bits & bit ? [name] : []))
}

/** The rule written down a second time: weights 10 to 2, eleven less the rest, eleven for 0, ten never. */
function checkDigit(nine: string): number | undefined {
  const sum = [...nine].reduce((all, one, index) => all + Number(one) * (10 - index), 0)
  const check = 11 - (sum % 11)
  return check === 11 ? 0 : check === 10 ? undefined : check
}

const nineDigits = fc.stringMatching(/^[0-9]{9}$/)
const nhsNumber = nineDigits.filter(nine => checkDigit(nine) !== undefined).map(nine => `${nine}${checkDigit(nine)}`)

describe('forms of identifiers', () => {
  it('takes the published example of an NHS number, and the ones of the old rhyme', () => {
    for (const number of ['9434765919', '9434765870', '4010232137']) assert.ok(isNhsNumber(number), number)
    for (const number of ['9434765918', '943476591', '94347659190', '943476591x', '']) assert.ok(!isNhsNumber(number))
  })

  it('takes every NHS number with its check digit, and none with a digit changed', () => {
    fc.assert(
      fc.property(nhsNumber, fc.nat(9), fc.integer({ min: 1, max: 9 }), (number, position, by) => {
        assert.deepEqual(found(number), ['nhsNumber', 'tenDigits'])
        const other = (Number(number[position]) + by) % 10
        const changed = `${number.slice(0, position)}${other}${number.slice(position + 1)}`
        assert.ok(!found(changed).includes('nhsNumber'), changed)
      }),
    )
  })

  it('finds an NHS number in a text, spaced or hyphenated, but not within a longer number or word', () => {
    fc.assert(
      fc.property(
        nhsNumber,
        fc.constantFrom('', ' ', '-'),
        fc.constantFrom('x', '7', '.5', ',5'),
        (number, gap, more) => {
          const shown = [number.slice(0, 3), number.slice(3, 6), number.slice(6)].join(gap)
          for (const text of [`Pt ${shown}.`, `(${shown})`, `NHS:${shown}; seen`, `age 45 ${shown} `]) {
            assert.ok(found(text).includes('nhsNumber'), text)
          }
          assert.ok(!found(`see ${number}${more} now`).includes('nhsNumber'))
          assert.ok(!found(`see 1${number} now`).includes('nhsNumber'))
        },
      ),
    )
    assert.ok(found('94 34 76 59 19').includes('nhsNumber'), 'alone, any separators')
    assert.deepEqual(found('10.9434765919'), [])
  })

  const examples: Readonly<Record<string, readonly (readonly [string, readonly string[]])[]>> = {
    'UK postcodes': [
      ['LS2 9JT', ['postcode']],
      ['ls29jt', ['postcode']],
      ['SW1A 1AA', ['postcode']],
      ['lives in M1 1AE, near', ['postcode']],
      ['EC1A1BB', ['postcode']],
      ['B33 8TH', ['postcode']],
      ['LS2', []],
      ['QX1 1AA', []],
      ['LS2 9JC', []],
      ['vitamin b12 3mg', []],
      ['xLS2 9JT', []],
      ['LS2 9JTX', []],
    ],
    'e-mail addresses': [
      ['a@b.example', ['email']],
      ['write to Ann.O_x+1@mail.nhs.example.', ['email']],
      ['jürgen@münchen.example', ['email']],
      ['a@b', []],
      ['@b.example', []],
      ['a@.example', []],
      ['a@b.1', []],
      ['5 @ 3.50', []],
    ],
    'phone numbers': [
      ['+44 113 496 0000', ['phone']],
      ['+447700900123', ['phone']],
      ['0113 496 0000', ['phone']],
      ['(0113) 496 0000', ['phone']],
      ['07700 900123', ['phone']],
      ['call 07700-900-123 at once', ['phone']],
      ['+1 (212) 555-0100', ['phone']],
      ['+44', []],
      ['+12.5', []],
      ['077009001234', []],
      ['a07700900123', []],
      ['2024-01-31', []],
    ],
    'National Insurance numbers': [
      ['AB123456C', ['nationalInsurance']],
      ['ab 12 34 56 c', ['nationalInsurance']],
      ['NI AB 12 34 56 C,', ['nationalInsurance']],
      ['QQ123456C', []],
      ['GB123456C', []],
      ['AB123456E', []],
      ['AB123456CC', []],
    ],
    'network addresses': [
      ['192.168.1.20', ['ipAddress']],
      ['from 10.0.0.1: login', ['ipAddress']],
      ['2001:db8::1', ['ipAddress']],
      ['1.2.3', []],
      ['1.2.3.4.5', []],
      ['256.1.1.1', []],
      ['12:30:00', []],
    ],
    'what hides or breaks text': [
      ['a\u0001b', ['controlCharacters']],
      ['a\u202eb', ['controlCharacters']],
      ['a\nb', ['lineBreaks']],
      ['a\r\nb', ['lineBreaks']],
      ['a\tb', []],
      ['👩🏽‍⚕️ ž', []],
    ],
  }
  for (const [what, list] of Object.entries(examples)) {
    it(`finds ${what}, and what only looks like them not`, () => {
      for (const [text, expected] of list) assert.deepEqual(found(text), expected, JSON.stringify(text))
    })
  }

  it('reads nothing beside the value, and ends soon whatever it holds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 20 }), (value, beside) => {
        const alone = formsIn(value, 0, value.length)
        const within = Buffer.concat([beside, value, beside])
        assert.equal(formsIn(within, beside.length, beside.length + value.length), alone)
      }),
      { numRuns: 500 },
    )
    for (const piece of ['a@', '@', '0 ', '01 ', 'A1 ', '+1 ', '1.', '123 ', '+1(', 'LS2 ']) {
      const bytes = Buffer.from(piece.repeat(500_000 / piece.length))
      const begun = performance.now()
      formsIn(bytes, 0, bytes.length)
      assert.ok(performance.now() - begun < 500, `${piece}: ${performance.now() - begun} ms for 500 kB`)
    }
  })
})
