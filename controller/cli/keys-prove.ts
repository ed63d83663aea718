/** `cratewright keys prove`: a text by which an admin sees that the holder of a key says whose it is. */

import { proveKeyOf } from '../records/key-proof.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { formatPublicKey } from '../runtime/ssh-key.ts'
import { type Arguments, exit, type Io } from './command.ts'
import { onlySigner, openSigner, requireKey } from './signer.ts'

export async function proveKey(args: Arguments, io: Io): Promise<number> {
  if (args.positionals.length > 1)
    throw new CratewrightError('UsageInvalid', 'write `cratewright keys prove --person <name>`')
  const person = personArgument(args)
  const key = args.string('key')
  requireKey(key, io)
  const signer = key === undefined ? await onlySigner(() => true, io) : await openSigner(key, io)
  const proof = await proveKeyOf(person, signer)
  const line = formatPublicKey(signer.public, person)
  if (args.flag('json')) io.out(JSON.stringify({ person, key: line, fingerprint: signer.public.fingerprint, proof }))
  else {
    io.out(proof.trimEnd())
    io.err(`Send this to an admin, with your public key:\n  ${line}`)
  }
  return exit.ok
}

/** @throws UsageInvalid */
export function personArgument(args: Arguments): string {
  const person = args.string('person')
  if (person === undefined || !/^[a-z0-9][a-z0-9.-]{0,252}$/.test(person))
    throw new CratewrightError(
      'UsageInvalid',
      '--person takes the name of a Person: lower-case letters, digits, - and .',
    )
  return person
}
