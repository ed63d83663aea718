/** A records branch at a real server, controllers that look at it, and whoever else can push. */

import type { CommitSigner, FileChange, GitRepository } from '../../controller/git/repository.ts'
import { RecordsBranch, type RecordsTrust, type RecordsWriter } from '../../controller/records/branch.ts'
import { recordsIdentity, recordsRoot } from '../../controller/records/identity.ts'
import type { Remembered } from '../../controller/records/memory.ts'
import { generateKey, parsePrivateKey, type SshPrivateKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { ticking } from '../engine/lab.ts'
import { makeWorld, never, open, text, type World } from '../git/world.ts'
import { git } from '../support/git-server.ts'

export const ref = 'refs/heads/cratewright/records'
export const newKey = () => parsePrivateKey(generateKey('test').private)
export const signer =
  (key: SshPrivateKey): CommitSigner =>
  payload =>
    signSsh(key, 'git', payload)

/** What a controller remembers outside Git. */
export interface Places {
  own: Remembered | undefined
  others: Remembered[]
}

export type Files = Readonly<Record<string, string | undefined>>

export class BranchLab {
  readonly world: World
  readonly repository: GitRepository
  /** A signer that counts unless told otherwise. */
  readonly key = newKey()
  #serial = 0

  private constructor(world: World) {
    this.world = world
    this.repository = open(world.fileUrl)
  }

  static async make(): Promise<BranchLab> {
    return new BranchLab(await makeWorld())
  }

  /** As a new process sees it, with places of its own unless they are given; `write: false`: it may not answer. */
  controller({
    places = { own: undefined, others: [] },
    trust = {},
    key = this.key,
    write = true,
    events = [],
  }: {
    places?: Places
    trust?: Partial<RecordsTrust>
    key?: SshPrivateKey
    write?: boolean
    events?: string[]
  } = {}): RecordsBranch {
    const memory = {
      read: async () => ({ own: places.own, others: places.others }),
      write: async (remembered: Remembered) => {
        places.own = remembered
        places.others = places.others.map(() => remembered)
      },
    }
    const writer: RecordsWriter = {
      sign: signer(key),
      instance: 'one',
      actor: { type: 'controller', name: 'test', key: key.public.fingerprint },
      clock: ticking(),
      platform: () => 'b'.repeat(40),
      changed: () => void events.push('changed'),
    }
    const signers = [{ key: this.key.public }]
    const all = { signers, own: key.public, root: undefined, accept: undefined, ...trust }
    return new RecordsBranch(open(this.world.fileUrl), ref, all, memory, ...(write ? [writer] : []))
  }

  /** A commit with these files on top of `parent`; undefined: the first. */
  async commit(parent: string | undefined, key = this.key, files: Files = { [`file-${this.#serial++}`]: 'x' }) {
    const changes: FileChange[] = Object.entries(parent === undefined ? {} : files).map(([path, content]) => ({
      path,
      content: content === undefined ? undefined : text(content),
    }))
    // Others have pushed since; what was only made here is not there.
    if (parent !== undefined) await this.repository.fetch(ref, parent, never).catch(() => undefined)
    const what = parent === undefined ? recordsRoot : { message: 'More', time: new Date(1e12) }
    return this.repository.commit(
      { parent, files: changes, ...what, identity: recordsIdentity, sign: signer(key) },
      never,
    )
  }

  async line(length: number, from?: string, key = this.key): Promise<string[]> {
    const commits: string[] = []
    for (let at = 0; at < length; at++) commits.push(await this.commit(commits.at(-1) ?? from, key))
    return commits
  }

  /** Puts the branch to a commit, whatever was there before. */
  async place(tip: string | undefined): Promise<void> {
    if (tip === undefined) return void (await git(this.world.bare, 'update-ref', '-d', ref))
    const isThere = await git(this.world.bare, 'cat-file', '-e', tip).then(
      () => true,
      () => false,
    )
    if (isThere) return void (await git(this.world.bare, 'update-ref', ref, tip))
    // Through a ref of its own: the engine itself never forces.
    const carrier = `refs/heads/carry-${this.#serial++}`
    await this.repository.push(carrier, undefined, tip, never)
    await git(this.world.bare, 'update-ref', ref, tip)
    await git(this.world.bare, 'update-ref', '-d', carrier)
  }

  /** Somebody without a key of any use pushes on top of what is there, unsigned. */
  async vandal(files: Files = { 'status/x.json': 'lies' }): Promise<string> {
    const tip = await this.tip()
    const forged = await this.unsigned(await this.treeOf(tip, files), [tip])
    await git(this.world.bare, 'update-ref', ref, forged)
    return forged
  }

  /** A commit straight into the server, signed by nobody. */
  async unsigned(tree: string, parents: readonly string[]): Promise<string> {
    const of = parents.flatMap(parent => ['-p', parent])
    return git(this.world.bare, '-c', 'user.name=v', '-c', 'user.email=v@v', 'commit-tree', '-m', 'x', ...of, tree)
  }

  async treeOf(commit: string, files: Files): Promise<string> {
    const key = newKey()
    const made = await this.commit(commit, key, files)
    await this.repository.push(`refs/heads/tree-${this.#serial++}`, undefined, made, never)
    return git(this.world.bare, 'rev-parse', `${made}^{tree}`)
  }

  async tip(): Promise<string> {
    return git(this.world.bare, 'rev-parse', ref)
  }

  /** Files at the tip, those of the branch's own log left out. */
  async files(at = ref): Promise<string[]> {
    const listed = await git(this.world.bare, 'ls-tree', '-r', '--name-only', at)
    return listed.split('\n').filter(path => path !== '' && !path.startsWith('log/'))
  }

  /** The branch's own log: `action`s in order. */
  async noted(at = ref): Promise<string[]> {
    const listed = await git(this.world.bare, 'ls-tree', '-r', '--name-only', at, 'log/')
    return listed.split('\n').flatMap(path => /-(\w+)-noted\.json$/.exec(path)?.[1] ?? [])
  }

  async note(number: number): Promise<Record<string, never>> {
    const listed = await git(this.world.bare, 'ls-tree', '-r', '--name-only', ref, 'log/')
    const path = listed.split('\n')[number - 1] ?? ''
    return JSON.parse(await git(this.world.bare, 'show', `${ref}:${path}`))
  }
}
