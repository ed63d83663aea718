/** Certificate authorities of our own for git over HTTPS. */

import { createHash, X509Certificate } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import { writeFileWhole } from '../runtime/files.ts'

/**
 * Writes the certificates (PEM) below `folder`, and returns the settings with which git trusts these and no others. The folder
 * is given as well as the file: without it, curl would go on trusting the authorities of the machine.
 */
export async function trustOnly(pem: string, folder: string): Promise<string[]> {
  const own = join(folder, `ca-${createHash('sha256').update(pem).digest('hex').slice(0, 32)}`)
  const file = join(own, 'ca.pem')
  await mkdir(own, { recursive: true, mode: 0o700 })
  await writeFileWhole(file, pem, 0o600)
  return [`http.sslCAInfo=${file}`, `http.sslCAPath=${own}`]
}

/** @throws DocumentInvalid where the text is not one certificate or more, in PEM */
export function checkAuthorities(pem: string): void {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  const bad = certificates.findIndex(certificate => !readable(certificate))
  if (certificates.length > 0 && bad < 0) return
  const what = bad < 0 ? 'it holds no certificate' : `its certificate ${bad + 1} cannot be read`
  throw new CratewrightError('DocumentInvalid', `the authorities for TLS cannot be used: ${what}`, {
    todo: 'Give certificates in PEM, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.',
  })
}

function readable(certificate: string): boolean {
  try {
    return new X509Certificate(certificate).raw.length > 0
  } catch {
    return false
  }
}
