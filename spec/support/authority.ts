/** A certificate authority of our own, made by openssl, and certificates from it. */

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from './temp.ts'

export interface Authority {
  /** PEM. */
  readonly certificate: string
  /** For a server of this name or address; both in PEM. */
  issue(name: string): { readonly key: string; readonly cert: string }
}

/** undefined where there is no openssl. */
export function makeAuthority(): Authority | undefined {
  const folder = tempFolder()
  const at = (name: string) => join(folder, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const root = ['-x509', '-days', '2', '-subj', '/CN=Hospital CA', '-keyout', at('ca.key'), '-out', at('ca.pem')]
  if (!openssl('req', ...key, ...root)) return undefined
  let issued = 0
  return {
    certificate: readFileSync(at('ca.pem'), 'utf8'),
    issue(name) {
      const number = ++issued
      const own = (suffix: string) => at(`${number}.${suffix}`)
      const kind = /^[0-9.]+$/.test(name) ? 'IP' : 'DNS'
      writeFileSync(own('ext'), `subjectAltName=${kind}:${name}\n`)
      const asked = openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', own('key'), '-out', own('csr'))
      const by = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2']
      if (!asked || !openssl('x509', '-req', '-in', own('csr'), ...by, '-extfile', own('ext'), '-out', own('crt')))
        throw new Error(`openssl makes no certificate for ${name}`)
      return { key: readFileSync(own('key'), 'utf8'), cert: readFileSync(own('crt'), 'utf8') }
    },
  }
}

function openssl(...args: string[]): boolean {
  return spawnSync('openssl', args, { stdio: 'ignore' }).status === 0
}
