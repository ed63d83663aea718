/** `cratewright keys make`: the controller's own key. */

import { lstat, writeFile } from 'node:fs/promises'
import { rootCommit } from '../records/identity.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { generateKey, parsePrivateKey, parsePublicKey } from '../runtime/ssh-key.ts'
import { signSsh } from '../runtime/sshsig.ts'
import { type Arguments, exit, type Io } from './command.ts'

export async function makeKey(args: Arguments, io: Io): Promise<number> {
  const path = args.positionals[1]
  if (path === undefined) throw new CratewrightError('UsageInvalid', 'write `cratewright keys make <path>`')
  const files = [path, `${path}.pub`] as const
  for (const file of files) {
    const present = await lstat(file).then(
      () => true,
      () => false,
    )
    if (present)
      throw new CratewrightError('UsageInvalid', `${file} exists; a key is never overwritten`, {
        todo: 'Give another path.',
      })
  }
  const pair = generateKey(args.string('comment') ?? 'cratewright')
  await writeKey(files[0], pair.private, 0o600)
  await writeKey(files[1], pair.public.endsWith('\n') ? pair.public : `${pair.public}\n`, 0o644)
  const key = parsePrivateKey(pair.private)
  const { fingerprint } = parsePublicKey(pair.public)
  const root = rootCommit(payload => signSsh(key, 'git', payload))
  if (args.flag('json')) io.out(JSON.stringify({ key: pair.public.trim(), fingerprint, root }))
  else {
    io.out(`key          ${pair.public.trim()}`)
    io.out(`fingerprint  ${fingerprint}`)
    io.out(`root         ${root}`)
    io.out('Declare them in the Repository: records.signers gets the key, records.root the root.')
  }
  return exit.ok
}

async function writeKey(path: string, content: string, mode: number): Promise<void> {
  await writeFile(path, content, { mode, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    throw new CratewrightError('UsageInvalid', `${path} cannot be written (${error.code})`, {
      todo: 'Give a path in a folder that exists and that you may write to.',
    })
  })
}
