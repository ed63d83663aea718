/** Columns whose names say that they identify somebody. A name proves nothing, either way. */

/** Words as whole parts of a name: `nhs_no`, `patientDob`, `GP-Tel`. */
const parts: Readonly<Record<string, string>> = {
  nhs: 'an NHS number',
  chi: 'a CHI number',
  mrn: 'a hospital number',
  nino: 'a National Insurance number',
  ssn: 'a social security number',
  name: 'a name',
  names: 'a name',
  dob: 'a date of birth',
  born: 'a date of birth',
  birth: 'a date of birth',
  zip: 'a postcode',
  tel: 'a phone number',
  fax: 'a phone number',
  addr: 'an address',
  ip: 'a network address',
  user: 'an account',
  login: 'an account',
}

/** Words that also count inside a longer one: `homepostcode`, `EMAILADDR`. The first that fits is taken. */
const anywhere: readonly (readonly [string, string])[] = [
  ['nhsn', 'an NHS number'],
  ['nationalinsurance', 'a National Insurance number'],
  ['hospitalnumber', 'a hospital number'],
  ['hospitalno', 'a hospital number'],
  ['medicalrecord', 'a hospital number'],
  ['passport', 'a passport number'],
  ['drivinglicen', 'a driving licence'],
  ['postcode', 'a postcode'],
  ['postalcode', 'a postcode'],
  ['zipcode', 'a postcode'],
  ['email', 'an e-mail address'],
  ['ipaddress', 'a network address'],
  ['address', 'an address'],
  ['telephone', 'a phone number'],
  ['phone', 'a phone number'],
  ['mobile', 'a phone number'],
  ['dateofbirth', 'a date of birth'],
  ['birthdate', 'a date of birth'],
  ['birthday', 'a date of birth'],
  ['surname', 'a name'],
  ['forename', 'a name'],
  ['firstname', 'a name'],
  ['lastname', 'a name'],
  ['middlename', 'a name'],
  ['givenname', 'a name'],
  ['familyname', 'a name'],
  ['fullname', 'a name'],
  ['username', 'an account'],
]

/** What a column's name says it holds, as words for people; undefined where it says nothing. */
export function namedAs(column: string): string | undefined {
  const words = column
    .replace(/(\p{Ll}|\d)(\p{Lu})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}]+/u)
    .filter(word => word !== '')
  const joined = words.join('')
  const within = anywhere.find(([word]) => joined.includes(word))
  if (within) return within[1]
  const part = words.find(word => Object.hasOwn(parts, word))
  return part === undefined ? undefined : parts[part]
}
