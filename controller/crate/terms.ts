/** The IRIs of RO-Crate 1.2 and Five Safes RO-Crate 0.4 that our crates use. */

export const descriptor = 'ro-crate-metadata.json'
export const root = './'
export const controller = '#cratewright'

export const context = 'https://w3id.org/ro/crate/1.2/context'
export const roCrate = 'https://w3id.org/ro/crate/1.2'
export const fiveSafes = 'https://w3id.org/5s-crate/0.4'

/** The context of RO-Crate 1.2 has `sha256` only; the term for the other is that of Workflow Run RO-Crate. */
export const sha512Property = 'https://w3id.org/ro/terms/workflow-run#sha512'
export const sha512Algorithm = 'https://www.iana.org/assignments/named-information#sha-512'

export const phase = {
  check: 'https://w3id.org/shp#CheckValue',
  validation: 'https://w3id.org/shp#ValidationCheck',
  signOff: 'https://w3id.org/shp#SignOff',
  disclosure: 'https://w3id.org/shp#DisclosureCheck',
  publish: 'https://w3id.org/shp#GenerateCheckValue',
} as const
