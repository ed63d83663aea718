/** Whoever can sign for one key: this process, an agent, or a security key. */

import { asCratewrightError, CratewrightError } from './errors.ts'
import type { SshPrivateKey, SshPublicKey } from './ssh-key.ts'
import { signSsh, verifySsh } from './sshsig.ts'

export interface Signer {
  readonly public: SshPublicKey
  /**
   * The armored signature (SSHSIG) of the data in this namespace. It may wait for a person's touch or passphrase.
   * @throws CratewrightError SigningRefused, AgentUnreachable, KeyNotFound, KeyEncrypted, ProgramMissing; SignatureInvalid where
   * what came back is no signature of the key
   */
  sign(namespace: string, data: Uint8Array): Promise<string>
}

/** Signs in this process. */
export function keySigner(key: SshPrivateKey): Signer {
  return { public: key.public, sign: async (namespace, data) => signSsh(key, namespace, data) }
}

/** Agents and devices may answer wrongly: nothing is kept that the key did not sign. `whose`: “the agent”. */
export function checkedSigner(signer: Signer, whose: string): Signer {
  const { fingerprint } = signer.public
  return {
    public: signer.public,
    async sign(namespace, data) {
      const armored = await signer.sign(namespace, data)
      const found = signerOf(armored, namespace, data, whose)
      if (found !== fingerprint) throw wrongAnswer(whose, `it is of the key ${found}, not of ${fingerprint}`)
      return armored
    },
  }
}

function signerOf(armored: string, namespace: string, data: Uint8Array, whose: string): string {
  try {
    return verifySsh(armored, namespace, data).fingerprint
  } catch (error) {
    throw wrongAnswer(whose, asCratewrightError(error).message)
  }
}

function wrongAnswer(whose: string, why: string): CratewrightError {
  return new CratewrightError('SignatureInvalid', `${whose} gave a signature that does not count: ${why}`, {
    todo: 'Nothing was written. Restart the agent, or sign with another key.',
  })
}
