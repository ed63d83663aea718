/** People with SSH keys and clones, as the quickstart and the tests need them. Signs in process: no ssh-keygen on the machine. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeCommit } from '../../controller/git/commit-object.ts'
import { runGit } from '../../controller/git/work-tree.ts'
import { generateKey, parsePrivateKey, type SshPrivateKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'

export interface PersonWithKey {
  readonly name: string
  readonly email: string
  readonly key: SshPrivateKey
  readonly publicKey: string
  /** The private key as a file. */
  readonly keyFile: string
}

export function makePerson(name: string, folder: string): PersonWithKey {
  const pair = generateKey(name)
  mkdirSync(folder, { recursive: true })
  const keyFile = join(folder, 'key')
  writeFileSync(keyFile, pair.private, { mode: 0o600 })
  writeFileSync(`${keyFile}.pub`, `${pair.public.trim()}\n`)
  return {
    name,
    email: `${name}@hospital.example`,
    key: parsePrivateKey(pair.private),
    publicKey: pair.public.trim(),
    keyFile,
  }
}

const forever = new AbortController().signal

export async function git(folder: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runGit(folder, args, { signal: forever })
  if (code !== 0) throw new Error(`git ${args.join(' ')} in ${folder}: ${stderr}`)
  return stdout.toString().trim()
}

export async function makeBare(path: string): Promise<void> {
  mkdirSync(path, { recursive: true })
  await git(path, 'init', '--quiet', '--bare', '--initial-branch=main', '.')
  for (const setting of ['http.receivepack', 'uploadpack.allowFilter', 'uploadpack.allowAnySHA1InWant'])
    await git(path, 'config', setting, 'true')
}

export async function cloneOf(bare: string, folder: string, person: PersonWithKey): Promise<void> {
  mkdirSync(folder, { recursive: true })
  await git(folder, 'init', '--quiet', '--initial-branch=main', '.')
  await git(folder, 'remote', 'add', 'origin', bare)
  await git(folder, 'config', 'user.name', person.name)
  await git(folder, 'config', 'user.email', person.email)
  const { code } = await runGit(folder, ['pull', '--quiet', 'origin', 'main'], { signal: forever })
  if (code === 0) await git(folder, 'branch', '--quiet', '--set-upstream-to=origin/main')
}

export function writeTree(folder: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
}

/** Commits everything in the clone; signed with the person's key unless told otherwise. */
export async function commitAll(
  folder: string,
  message: string,
  person: PersonWithKey,
  { time = new Date(), ...options }: { sign?: SshPrivateKey | undefined; time?: Date } = {},
): Promise<string> {
  // `sign: undefined` says that nobody signs; a default of the pattern would sign after all.
  const sign = 'sign' in options ? options.sign : person.key
  await git(folder, 'add', '--all')
  const tree = await git(folder, 'write-tree')
  const head = await runGit(folder, ['rev-parse', '--verify', '--quiet', 'HEAD'], { signal: forever })
  const parent = head.code === 0 ? head.stdout.toString().trim() : undefined
  const branch = await git(folder, 'symbolic-ref', 'HEAD')
  const identity = { name: person.name, email: person.email }
  if (!sign) {
    await git(folder, 'commit', '--quiet', '--allow-empty', '-m', message)
    return git(folder, 'rev-parse', 'HEAD')
  }
  const bytes = makeCommit({ tree, parent, message, time, identity, sign: payload => signSsh(sign, 'git', payload) })
  const { stdout } = await runGit(folder, ['hash-object', '-t', 'commit', '-w', '--stdin'], {
    signal: forever,
    input: bytes,
  })
  const commit = stdout.toString().trim()
  await git(folder, 'update-ref', branch, commit)
  return commit
}

export async function push(folder: string, branch = 'main'): Promise<void> {
  await git(folder, 'push', '--quiet', 'origin', `HEAD:refs/heads/${branch}`)
}
