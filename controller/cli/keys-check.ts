/** `cratewright keys check`: what an admin runs on a proof before the key is registered. */

import { checkKeyProof, maxProofBytes } from '../records/key-proof.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { readStart } from '../runtime/files.ts'
import { parsePublicKey } from '../runtime/ssh-key.ts'
import { type Arguments, exit, type Io } from './command.ts'
import { personArgument } from './keys-prove.ts'

export async function checkProof(args: Arguments, io: Io): Promise<number> {
  const [, path] = args.positionals
  const line = args.string('key')
  if (path === undefined || line === undefined)
    throw new CratewrightError(
      'UsageInvalid',
      'write `cratewright keys check <file> --person <name> --key "<public key>"`',
    )
  const person = personArgument(args)
  const key = parsePublicKey(line)
  const proof = await readProof(path)
  const { fingerprint, type } = key
  try {
    const { userVerified } = checkKeyProof(proof, person, key)
    if (args.flag('json')) io.out(JSON.stringify({ good: true, person, fingerprint, type, userVerified }))
    else {
      io.out(`Good: the holder of ${fingerprint} says to be ${person}.`)
      if (userVerified !== undefined)
        io.out(
          `The key is on a security key, which ${userVerified ? 'asked for a PIN or a fingerprint' : 'was touched'}.`,
        )
      io.out('Whether the proof came from the person is for you to know: ask on a second way.')
    }
    return exit.ok
  } catch (error) {
    if (!(error instanceof CratewrightError) || error.code !== 'SignatureInvalid') throw error
    if (args.flag('json')) io.out(JSON.stringify({ good: false, person, fingerprint, type, reason: error.message }))
    else io.err(`${error.message} [${error.code}]\n  ${error.todo}`)
    return exit.invalid
  }
}

async function readProof(path: string): Promise<string> {
  const bytes = await readStart(path, maxProofBytes + 1).catch((error: NodeJS.ErrnoException) => {
    throw new CratewrightError('UsageInvalid', `${path} cannot be read (${error.code})`)
  })
  if (bytes.length > maxProofBytes)
    throw new CratewrightError('UsageInvalid', `${path} is too large for a proof: over ${maxProofBytes} bytes`)
  return bytes.toString()
}
