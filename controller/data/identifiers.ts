/**
 * Forms of direct identifiers in the bytes of one value. Everything is looked at in one pass, and every form is short, so that the
 * work a byte can cause has a bound whatever the value holds. A form says nothing of a person: it is what somebody should look at.
 */

import { isIPv6 } from 'node:net'

/** One bit a form. The names are what reports and their readers see. */
export const forms = {
  nhsNumber: 1,
  /** Whether or not it is a valid NHS number: one in eleven is, by chance. */
  tenDigits: 2,
  postcode: 4,
  email: 8,
  phone: 16,
  nationalInsurance: 32,
  ipAddress: 64,
  /** Not a form of an identifier, but found in the same pass: bytes that no text for people needs. */
  controlCharacters: 128,
  lineBreaks: 256,
} as const

const digit = 1
const upper = 2
const lower = 4
const otherWord = 8
const control = 16
const lineBreak = 32
const letter = upper | lower
const word = digit | letter | otherWord

const classes = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  if (byte >= 0x30 && byte <= 0x39) classes[byte] = digit
  else if (byte >= 0x41 && byte <= 0x5a) classes[byte] = upper
  else if (byte >= 0x61 && byte <= 0x7a) classes[byte] = lower
  else if (byte >= 0x80) classes[byte] = otherWord
  else if (byte === 0x0a || byte === 0x0d) classes[byte] = lineBreak
  else if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) classes[byte] = control
}

const at = 0x40
const plus = 0x2b
const dot = 0x2e
const hyphen = 0x2d
const space = 0x20

/** The 124 postcode areas of the United Kingdom and the Crown dependencies (Royal Mail, Postcode Address File). */
const areas = new Set(
  (
    'AB AL B BA BB BD BH BL BN BR BS BT CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH EN EX FK FY G GL GU ' +
    'GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK ML N NE NG NN NP NR NW OL OX PA PE ' +
    'PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY TA TD TF TN TQ TR TS TW UB W WA WC WD WF WN WR WS WV YO ZE'
  ).split(' '),
)
const areaTable = new Uint8Array(27 * 26)
for (const area of areas) areaTable[areaIndex(area.charCodeAt(0), area.length === 2 ? area.charCodeAt(1) : 0)] = 1

/** Letters never used in the inward part of a postcode: C I K M O V (BS 7666). */
const inward = letterTable('ABDEFGHJLNPQRSTUWXYZ')
/** First and second letter of a National Insurance number (HMRC, National Insurance Manual 39110). */
const firstOfPrefix = letterTable('ABCEGHJKLMNOPRSTWXYZ')
const secondOfPrefix = letterTable('ABCEGHJKLMNPRSTWXYZ')
const neverPrefix = new Set(['BG', 'GB', 'KN', 'NK', 'NT', 'TN', 'ZZ'])

/** The longest form that only counts where it is the whole value; an IPv6 address has up to 45 characters. */
const longestWhole = 45
/** A short value with its digits only, or in capitals. */
const alone = new Uint8Array(longestWhole)

/** The forms that stand in `bytes[start, end)`, UTF-8, as bits of `forms`. */
export function formsIn(bytes: Uint8Array, start: number, end: number): number {
  let found = end - start <= longestWhole ? wholeValue(bytes, start, end) : 0
  let inWord = false
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!
    const kind = classes[byte]!
    if ((kind & word) !== 0) {
      if (kind === otherWord) found |= invisible(bytes, index, end)
      if (!inWord) {
        if (kind === digit) found |= numberAt(bytes, start, index, end)
        else if ((kind & upper) !== 0) found |= codeAt(bytes, index, end)
        inWord = true
      }
      continue
    }
    if (byte === at) found |= emailAround(bytes, start, index, end)
    else if (byte === plus && !inWord) {
      const after = endOfPhone(bytes, index, end)
      if (after > 0) {
        // What its groups of digits look like alone is no matter.
        found |= forms.phone
        index = after - 1
        inWord = true
        continue
      }
    } else if (kind === control) found |= forms.controlCharacters
    else if (kind === lineBreak) found |= forms.lineBreaks
    inWord = false
  }
  return found
}

/** Ten digits of which the last is the check digit: NHS Data Dictionary, NHS NUMBER, modulus 11. */
export function isNhsNumber(digits: string): boolean {
  return /^[0-9]{10}$/.test(digits) && validNhs(Buffer.from(digits), 0, 1, 1)
}

/** Ten digits from `start`, of which three, three and four stand together, `first` and `second` bytes apart. */
function validNhs(bytes: Uint8Array, start: number, first: number, second: number): boolean {
  let sum = 0
  let index = start
  for (let position = 0; position < 9; position++) {
    sum += (bytes[index]! - 0x30) * (10 - position)
    index += position === 2 ? first : position === 5 ? second : 1
  }
  const check = (11 - (sum % 11)) % 11
  return check < 10 && check === bytes[index]! - 0x30
}

/** A word that begins with a digit. */
function numberAt(bytes: Uint8Array, start: number, index: number, end: number): number {
  const length = digitsFrom(bytes, index, end)
  const after = index + length
  let found = 0
  // The fraction of a number is none.
  if (index - start >= 2 && bytes[index - 1] === dot && classes[bytes[index - 2]!] === digit) return 0
  if (length === 10 && ends(bytes, after, end)) {
    found |= forms.tenDigits | (validNhs(bytes, index, 1, 1) ? forms.nhsNumber : 0)
  } else if (length === 3 && spacedTen(bytes, index, end)) {
    found |= forms.tenDigits | (validNhs(bytes, index, 2, 2) ? forms.nhsNumber : 0)
  } else if (length <= 3 && bytes[after] === dot && isIpv4(bytes, index, end)) found |= forms.ipAddress
  // Geographic and mobile numbers of the United Kingdom (Ofcom, National Telephone Numbering Plan).
  if (bytes[index] === 0x30 && isBritishPhone(bytes, index, end)) found |= forms.phone
  return found
}

/** 943 476 5919 and 943-476-5919. */
function spacedTen(bytes: Uint8Array, index: number, end: number): boolean {
  return (
    end - index >= 12 &&
    separates(bytes[index + 3]!) &&
    digitsFrom(bytes, index + 4, end) === 3 &&
    separates(bytes[index + 7]!) &&
    digitsFrom(bytes, index + 8, end) === 4 &&
    ends(bytes, index + 12, end)
  )
}

function isIpv4(bytes: Uint8Array, from: number, end: number): boolean {
  let index = from
  for (let part = 0; part < 4; part++) {
    const length = digitsFrom(bytes, index, end)
    if (length === 0 || length > 3) return false
    let value = 0
    for (let digitAt = index; digitAt < index + length; digitAt++) value = value * 10 + bytes[digitAt]! - 0x30
    if (value > 255) return false
    index += length
    if (part < 3 && bytes[index++] !== dot) return false
  }
  return ends(bytes, index, end) && bytes[index] !== dot
}

/** 0113 496 0000, (0113) 4960000, 07700 900123. */
function isBritishPhone(bytes: Uint8Array, from: number, end: number): boolean {
  const second = bytes[from + 1]
  if (second !== 0x31 && second !== 0x32 && second !== 0x33 && second !== 0x37 && second !== 0x38 && second !== 0x39) {
    return false
  }
  const { digits, next } = spacedDigits(bytes, from, end, 11)
  return digits === 11 && ends(bytes, next, end)
}

/** E.164: + and 8 to 15 digits, the first of which is not 0. 0: there is none. */
function endOfPhone(bytes: Uint8Array, from: number, end: number): number {
  const first = bytes[from + 1]!
  if (from + 1 >= end || first < 0x31 || first > 0x39) return 0
  const { digits, next } = spacedDigits(bytes, from + 1, end, 15)
  return digits >= 8 && ends(bytes, next, end) ? next : 0
}

/** How many digits follow each other with at most two of space, hyphen and brackets between them. */
function spacedDigits(bytes: Uint8Array, from: number, end: number, most: number): { digits: number; next: number } {
  let digits = 0
  let next = from
  let gap = 0
  for (let index = from; index < end && digits < most && gap <= 2; index++) {
    const byte = bytes[index]!
    if (classes[byte] === digit) {
      digits++
      gap = 0
      next = index + 1
    } else if (byte === space || byte === hyphen || byte === 0x28 || byte === 0x29) gap++
    else break
  }
  return { digits, next }
}

/** A word that begins with a capital: a postcode or a National Insurance number. */
function codeAt(bytes: Uint8Array, index: number, end: number): number {
  const length = postcodeLength(bytes, index, end)
  if (length > 0 && ends(bytes, index + length, end)) return forms.postcode
  if (end - index < 9 || classes[bytes[index + 1]!] !== upper) return 0
  const first = bytes[index]!
  const second = bytes[index + 1]!
  if (!firstOfPrefix[first] || !secondOfPrefix[second] || neverPrefix.has(String.fromCharCode(first, second))) return 0
  let position = index + 2
  for (let pair = 0; pair < 3; pair++) {
    if (bytes[position] === space) position++
    if (position + 2 > end || digitsFrom(bytes, position, position + 2) !== 2) return 0
    position += 2
  }
  if (bytes[position] === space) position++
  const suffix = bytes[position]!
  return position < end && suffix >= 0x41 && suffix <= 0x44 && ends(bytes, position + 1, end)
    ? forms.nationalInsurance
    : 0
}

/** Bytes of a postcode in capitals, with or without its space; 0 where there is none. Forms: BS 7666. */
function postcodeLength(bytes: Uint8Array, from: number, end: number): number {
  let index = from + 1
  let second = 0
  if (index < end && classes[bytes[index]!] === upper) second = bytes[index++]!
  if (index >= end || classes[bytes[index]!] !== digit) return 0
  if (!areaTable[areaIndex(bytes[from]!, second)]) return 0
  index++
  // A1, A11, A1A: the third is a digit or a letter, and may be what the inward part begins with.
  for (const extra of [1, 0]) {
    let position = index
    if (extra === 1) {
      if (position >= end || (classes[bytes[position]!]! & (digit | upper)) === 0) continue
      position++
    }
    if (bytes[position] === space && position < end) position++
    if (
      position + 3 <= end &&
      classes[bytes[position]!] === digit &&
      inward[bytes[position + 1]!] === 1 &&
      inward[bytes[position + 2]!] === 1
    ) {
      return position + 3 - from
    }
  }
  return 0
}

/** The local part and the domain of RFC 5321 as people use them: no quotes, at least one dot, a last label of letters. */
function emailAround(bytes: Uint8Array, start: number, index: number, end: number): number {
  const before = index > start ? bytes[index - 1]! : 0
  if ((classes[before]! & word) === 0 && !'_%+-'.includes(String.fromCharCode(before))) return 0
  let labelStart = index + 1
  let dots = 0
  let position = index + 1
  let letters = true
  // A domain has at most 253 bytes.
  for (const last = Math.min(end, index + 255); position < last; position++) {
    const byte = bytes[position]!
    const kind = classes[byte]!
    if (byte === dot) {
      if (position === labelStart) break
      // A full stop at the end of a sentence is none of the domain.
      if (position + 1 >= end || (classes[bytes[position + 1]!]! & word) === 0) break
      dots++
      labelStart = position + 1
      letters = true
    } else if ((kind & word) !== 0 || byte === hyphen) letters &&= (kind & (letter | otherWord)) !== 0
    else break
  }
  return dots > 0 && letters && position - labelStart >= 2 ? forms.email : 0
}

/** What counts only alone, since in a text it would be found by chance: any case, any separators. */
function wholeValue(bytes: Uint8Array, start: number, end: number): number {
  let digits = 0
  let colons = 0
  let separators = 0
  let small = false
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!
    const kind = classes[byte]!
    if (kind === digit) alone[digits++] = byte
    else if (separates(byte)) separators++
    else if (byte === 0x3a) colons++
    else if (kind === lower) small = true
  }
  const size = end - start
  if (digits === 10 && separators > 0 && digits + separators === size) {
    return forms.tenDigits | (validNhs(alone, 0, 1, 1) ? forms.nhsNumber : 0)
  }
  if (colons >= 2 && isIPv6(Buffer.from(bytes.subarray(start, end)).toString('latin1'))) return forms.ipAddress
  // In capitals they are found anyway.
  const shaped = (size >= 5 && size <= 8 && digits >= 2 && digits <= 3) || (size >= 9 && size <= 13 && digits === 6)
  if (!small || !shaped || (classes[bytes[start]!]! & letter) === 0) return 0
  for (let index = 0; index < size; index++) {
    const byte = bytes[start + index]!
    alone[index] = classes[byte] === lower ? byte - 0x20 : byte
  }
  const found = codeAt(alone, 0, size)
  return found === forms.postcode && postcodeLength(alone, 0, size) !== size ? 0 : found
}

/** Characters that turn, join or hide what stands beside them: U+200B–200F, U+202A–202E, U+2066–2069, U+FEFF. */
function invisible(bytes: Uint8Array, index: number, end: number): number {
  if (index + 2 >= end) return 0
  const lead = bytes[index]!
  const second = bytes[index + 1]!
  const third = bytes[index + 2]!
  if (lead === 0xe2 && second === 0x80 && ((third >= 0x8b && third <= 0x8f) || (third >= 0xaa && third <= 0xae))) {
    // The zero-width joiner holds emoji together.
    return third === 0x8d ? 0 : forms.controlCharacters
  }
  if (lead === 0xe2 && second === 0x81 && third >= 0xa6 && third <= 0xa9) return forms.controlCharacters
  return lead === 0xef && second === 0xbb && third === 0xbf ? forms.controlCharacters : 0
}

function digitsFrom(bytes: Uint8Array, from: number, end: number): number {
  let index = from
  while (index < end && classes[bytes[index]!] === digit) index++
  return index - from
}

/** No letter or digit goes on here, nor the fraction of a number. */
function ends(bytes: Uint8Array, index: number, end: number): boolean {
  if (index >= end) return true
  const byte = bytes[index]!
  if ((classes[byte]! & word) !== 0) return false
  return !((byte === dot || byte === 0x2c) && index + 1 < end && classes[bytes[index + 1]!] === digit)
}

function separates(byte: number): boolean {
  return byte === space || byte === hyphen
}

function areaIndex(first: number, second: number): number {
  return (first - 0x41) * 27 + (second === 0 ? 26 : second - 0x41)
}

function letterTable(letters: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const one of letters) table[one.charCodeAt(0)] = 1
  return table
}
