import assert from 'node:assert/strict'
import { makeCommit } from '../../controller/git/commit-object.ts'
import type { CommitSigner, GitRepository } from '../../controller/git/repository.ts'
import { runGit } from '../../controller/git/work-tree.ts'
import { RecordsBranch, type RecordsTrust } from '../../controller/records/branch.ts'
import { recordsIdentity, recordsRoot, rootCommit } from '../../controller/records/identity.ts'
import type { Remembered } from '../../controller/records/memory.ts'
import { generateKey, parsePrivateKey, type SshPrivateKey } from '../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { makeWorld, never, open, text, type World } from '../git/world.ts'
import { git } from '../support/git-server.ts'

const ref = 'refs/heads/cratewright/records'
const newKey = () => parsePrivateKey(generateKey('test').private)
const signer =
  (key: SshPrivateKey): CommitSigner =>
  payload =>
    signSsh(key, 'git', payload)
const [own, second, stranger] = [newKey(), newKey(), newKey()]
const publicOf = ({ public: key }: SshPrivateKey) => key

describe('a records branch', () => {
  let world: World
  let repository: GitRepository
  let remembered: string | undefined
  let serial = 0

  beforeEach(async () => {
    world = await makeWorld()
    repository = open(world.fileUrl)
    remembered = undefined
  })

  function remember(tip: string): void {
    remembered = tip
  }

  /** As a new process sees it. */
  function branch(trust: Partial<RecordsTrust> = {}): RecordsBranch {
    const memory = {
      read: async () => ({ own: remembered === undefined ? undefined : { tip: remembered }, others: [] }),
      write: async ({ tip }: Remembered) => remember(tip),
    }
    const declared = { signers: [{ key: publicOf(own) }], own: publicOf(own), root: undefined, accept: undefined }
    return new RecordsBranch(open(world.fileUrl), ref, { ...declared, ...trust }, memory)
  }

  async function commit(parent: string | undefined, key = own): Promise<string> {
    const files = parent === undefined ? [] : [{ path: `file-${serial++}`, content: text('x') }]
    const what = parent === undefined ? recordsRoot : { message: 'More', time: new Date(1e12) }
    return repository.commit({ parent, files, ...what, identity: recordsIdentity, sign: signer(key) }, never)
  }

  /** Puts commits onto the server, the last at the branch, whatever was there before. */
  async function place(tip: string | undefined): Promise<void> {
    if (tip === undefined) await git(world.bare, 'update-ref', '-d', ref)
    else {
      // Through a ref of its own: the engine itself never forces.
      await repository.push(`refs/heads/carry-${serial++}`, undefined, tip, never)
      await git(world.bare, 'update-ref', ref, tip)
    }
  }

  /** A commit with these bytes, straight into the server. */
  async function raw(bytes: Uint8Array): Promise<string> {
    const { stdout } = await runGit(world.bare, ['hash-object', '-t', 'commit', '-w', '--stdin'], {
      signal: never,
      input: bytes,
    })
    return stdout.toString().trim()
  }

  async function line(length: number, from?: string): Promise<string[]> {
    const commits: string[] = []
    for (let at = 0; at < length; at++) commits.push(await commit(commits.at(-1) ?? from))
    return commits
  }

  const fails = (code: string, message: RegExp, trust: Partial<RecordsTrust> = {}, one = branch(trust)) =>
    assert.rejects(one.tip(never), (error: { code?: string; message: string }) => {
      assert.equal(error.code, code, error.message)
      assert.match(error.message, message)
      return true
    })

  it('may be absent before the first run, with its root declared already', async () => {
    assert.equal(await branch({ root: rootCommit(signer(own)) }).tip(never), undefined)
    assert.equal(remembered, undefined)
  })

  it('begins with the commit that its key alone decides', async () => {
    const [root] = await line(1)
    assert.equal(root, rootCommit(signer(own)))
    await place(root)
    assert.equal(await branch({ root: root! }).tip(never), root)
  })

  it('is trusted where declared signers made every commit, and remembered', async () => {
    const commits = await line(3)
    const tip = await commit(commits[2], second)
    await place(tip)
    const one = branch({ signers: [{ key: publicOf(own) }, { key: publicOf(second) }], root: commits[0]! })
    assert.equal(await one.tip(never), tip)
    assert.equal(remembered, tip)
    const [next] = await line(1, tip)
    await place(next)
    assert.equal(await one.tip(never), next)
    assert.equal(remembered, next)
  })

  it('is forged where a commit is signed by somebody else, wherever it lies', async () => {
    const [root] = await line(1)
    const forged = await commit(root, stranger)
    await place(forged)
    await fails('RecordForged', new RegExp(`${forged}.*no declared signer`))
    await place((await line(2, forged)).at(-1))
    await fails('RecordForged', new RegExp(`${forged}.*no declared signer`))
    assert.equal(remembered, undefined, 'what is forged is not remembered')
  })

  it('is forged where a commit is not signed, or its signature is of other bytes', async () => {
    const [root] = await line(1)
    const tree = await git(world.bare, 'hash-object', '-t', 'tree', '-w', '/dev/null')
    const common = { tree, parent: root, message: 'More', time: new Date(1e12), identity: recordsIdentity }
    await place(root)
    const signed = makeCommit({ ...common, sign: signer(own) }).toString('latin1')
    const unsigned = signed.replace(/gpgsig .*?END SSH SIGNATURE-----\n/s, '')
    assert.notEqual(unsigned, signed)
    for (const [bytes, why] of [
      [unsigned, /is not signed/],
      [signed.replace('More', 'Less'), /has a bad signature/],
      [signed.replace(/BEGIN SSH SIGNATURE/, 'BEGIN PGP SIGNATURE'), /is signed with openpgp/],
    ] as const) {
      await git(world.bare, 'update-ref', ref, await raw(Buffer.from(bytes, 'latin1')))
      await fails('RecordForged', why)
    }
  })

  it('is forged by a merge, whoever signed it', async () => {
    const [root, one] = await line(2)
    const other = await commit(root)
    await place(other)
    await place(one)
    const payload = (await git(world.bare, 'cat-file', 'commit', one!))
      .replace(/gpgsig .*?END SSH SIGNATURE-----\n/s, '')
      .replace(/\nauthor /, `\nparent ${other}\nauthor `)
    const bytes = `${payload}\n`
    const armor = signSsh(own, 'git', Buffer.from(bytes)).trimEnd().replaceAll('\n', '\n ')
    const merge = await raw(Buffer.from(bytes.replace('\n\n', `\ngpgsig ${armor}\n\n`)))
    await git(world.bare, 'update-ref', ref, merge)
    await fails('RecordForged', /is a merge/)
  })

  it('is rewritten where it no longer has the commit last known, by the same process or after a restart', async () => {
    const commits = await line(3)
    await place(commits[2])
    const running = branch()
    await running.tip(never)
    await place((await line(3, commits[0])).at(-1))
    await fails('RecordsRewritten', new RegExp(commits[2]!), {}, running)
    await fails('RecordsRewritten', new RegExp(commits[2]!))
    assert.equal(remembered, commits[2])
  })

  it('is rewritten where it is shorter than it was', async () => {
    const commits = await line(3)
    await place(commits[2])
    const running = branch()
    await running.tip(never)
    await place(commits[1])
    await fails('RecordsRewritten', /does not descend/, {}, running)
    await fails('RecordsRewritten', /does not descend/)
  })

  it('is rewritten where it is gone, and it was there before', async () => {
    const commits = await line(2)
    await place(commits[1])
    const running = branch()
    await running.tip(never)
    await place(undefined)
    await fails('RecordsRewritten', /is gone/, {}, running)
    await fails('RecordsRewritten', /is gone/)
  })

  it('is rewritten where it does not begin with the declared root', async () => {
    const commits = await line(2)
    await place(commits[1])
    await fails('RecordsRewritten', /records.root declares/, { root: 'd'.repeat(40) })
    assert.equal(await branch({ root: commits[0]! }).tip(never), commits[1])
  })

  it('goes on from the commit that an admin accepts, and from no other', async () => {
    const commits = await line(3)
    await place(commits[2])
    await branch().tip(never)
    const other = await line(2, commits[0])
    await place(other[1])
    await fails('RecordsRewritten', /does not descend/, { accept: other[0]! })
    const accepting = branch({ accept: other[1]! })
    assert.equal(await accepting.tip(never), other[1])
    assert.equal(remembered, other[1])
    const [next] = await line(1, other[1])
    await place(next)
    assert.equal(await accepting.tip(never), next)
  })

  it('is not excused by what was accepted once', async () => {
    const commits = await line(4)
    await place(commits[1])
    await branch({ accept: commits[1]! }).tip(never)
    await place(commits[3])
    await branch({ accept: commits[1]! }).tip(never)
    await place(commits[2])
    await fails('RecordsRewritten', /does not descend/, { accept: commits[1]! })
  })

  it('still has to be signed where it was accepted', async () => {
    const commits = await line(2)
    await place(commits[1])
    await branch().tip(never)
    const forged = await commit(commits[0], stranger)
    await place(forged)
    await fails('RecordForged', /no declared signer/, { accept: forged })
  })
})
