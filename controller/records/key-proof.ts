/** Proof that whoever holds a key says that it is a person's: asked for before an admin registers the key. */

import { CratewrightError } from '../runtime/errors.ts'
import type { Signer } from '../runtime/signer.ts'
import type { SshPublicKey } from '../runtime/ssh-key.ts'
import { inspectSsh } from '../runtime/sshsig.ts'

/** Not that of statements or commits: nothing else that a person signs passes for a proof, and no proof for anything else. */
export const keyProofNamespace = 'key@cratewright.dev'

/** Bytes of a proof. */
export const maxProofBytes = 16 * 1024

const beginSignature = '-----BEGIN SSH SIGNATURE-----'

/** What is signed. It names the key too, so that a proof shows on its face what it is about. */
function claim(person: string, fingerprint: string): string {
  return `person: ${person}\nkey: ${fingerprint}\n`
}

/** The claim with its signature below, as text for a mail or a pull request. */
export async function proveKeyOf(person: string, signer: Signer): Promise<string> {
  const text = claim(person, signer.public.fingerprint)
  return text + (await signer.sign(keyProofNamespace, Buffer.from(text)))
}

/**
 * Whether `proof` shows that the holder of `key` says to be `person`. Line ends and white space around may have changed on the way.
 * @throws CratewrightError SignatureInvalid
 */
export function checkKeyProof(
  proof: string,
  person: string,
  key: SshPublicKey,
): { readonly userVerified: boolean | undefined } {
  const text = proof.replaceAll('\r\n', '\n').trim()
  const at = text.indexOf(beginSignature)
  if (at < 0) throw refuse('it has no signature')
  const expected = claim(person, key.fingerprint)
  if (text.slice(0, at).trim() !== expected.trim())
    throw refuse(`it is not about ${person} and the key ${key.fingerprint}`)
  const found = inspectSsh(text.slice(at), keyProofNamespace, Buffer.from(expected))
  if (found.key.fingerprint !== key.fingerprint)
    throw refuse(`it is signed by the key ${found.key.fingerprint}, not by ${key.fingerprint}`)
  return { userVerified: found.userVerified }
}

function refuse(why: string): CratewrightError {
  return new CratewrightError('SignatureInvalid', `the proof is not accepted: ${why}`, {
    todo: 'Ask the person for a new one: `cratewright keys prove --person <name>`. Register nothing before it is good.',
  })
}
