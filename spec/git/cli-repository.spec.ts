import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { GitRepository } from '../../controller/git/repository.ts'
import { parsePublicKey } from '../../controller/runtime/ssh-key.ts'
import { type GitServer, git, makeSigningKey, startGitServer } from '../support/git-server.ts'
import { tempFolder } from '../support/temp.ts'
import { controllerKey, identity, main, makeWorld, never, open, pushFiles, sign, text, type World } from './world.ts'

const time = new Date('2026-03-01T10:00:00Z')
const zero = '0'.repeat(40)

/** The only mirror in a mirror folder. */
function mirrorIn(folder: string): string {
  const [name] = readdirSync(folder)
  return join(folder, name!)
}

async function localBlobs(mirror: string): Promise<number> {
  const objects = await git(mirror, 'cat-file', '--batch-all-objects', '--batch-check=%(objecttype)')
  return objects.split('\n').filter(type => type === 'blob').length
}

async function fetchTip(repository: GitRepository): Promise<string> {
  const tip = await repository.resolve(main, never)
  assert.ok(tip)
  await repository.fetch(main, tip, never)
  return tip
}

for (const transport of ['file', 'http'] as const) {
  for (const format of ['sha1', 'sha256'] as const) {
    describe(`a repository over ${transport}, ${format}`, () => {
      let world: World
      let server: GitServer
      let url: string

      beforeEach(async () => {
        world = await makeWorld({ format })
        server = await startGitServer(world.root)
        url = transport === 'file' ? world.fileUrl : server.url('projects.git')
      })
      afterEach(() => server.stop())

      it('finds no ref in an empty repository, and starts one there', async () => {
        const repository = open(url)
        assert.equal(await repository.resolve(main, never), undefined)
        const input = { parent: undefined, files: [], message: 'Root', time, identity, sign }
        const root = await repository.commit(input, never)
        assert.equal(root.length, format === 'sha1' ? 40 : 64)
        assert.equal(await repository.push(main, undefined, root, never), 'pushed')
        assert.equal(await repository.resolve(main, never), root)
      })

      it('follows the ref, and sees it go', async () => {
        const repository = open(url)
        const first = await pushFiles(world, { 'a.txt': '1' })
        assert.equal(await fetchTip(repository), first)
        const second = await pushFiles(world, { 'a.txt': '2' })
        assert.equal(await fetchTip(repository), second)
        assert.equal(await repository.resolve('refs/heads/mai', never), undefined)
        await git(world.bare, 'update-ref', '-d', main)
        assert.equal(await repository.resolve(main, never), undefined)
        await repository.fetch(main, second, never)
      })

      it('lists, finds and reads files at a commit', async () => {
        const tip = await pushFiles(world, { 'b/x.yaml': 'x: 1\n', 'b/y.yaml': '', 'b.txt': 'b', 'ä/ß.txt': 'ü' })
        const repository = open(url)
        await fetchTip(repository)
        const all = await repository.list(tip, '', never)
        const paths = all.map(entry => entry.path)
        assert.deepEqual(paths, ['b.txt', 'b/x.yaml', 'b/y.yaml', 'ä/ß.txt'])
        assert.deepEqual(new Set(all.map(entry => entry.mode)), new Set(['100644']))
        const below = await repository.list(tip, 'b', never)
        assert.deepEqual(
          below.map(entry => entry.path),
          ['b/x.yaml', 'b/y.yaml'],
        )
        assert.deepEqual(await repository.list(tip, 'b.txt', never), [])
        assert.deepEqual(await repository.list(tip, 'nothing', never), [])
        const at = ['b', 'b/x.yaml', 'none', ''].map(path => ({ commit: tip, path }))
        const ids = await repository.ids(at, never)
        assert.equal(ids[0], await git(world.clone, 'rev-parse', 'HEAD:b'))
        assert.equal(ids[1], below[0]!.oid)
        assert.equal(ids[2], undefined)
        assert.equal(ids[3], await git(world.clone, 'rev-parse', 'HEAD^{tree}'))
        const contents = await repository.read(
          below.map(entry => entry.oid),
          10,
          never,
        )
        assert.deepEqual(
          below.map(entry => Buffer.from(contents.get(entry.oid)!).toString()),
          ['x: 1\n', ''],
        )
      })

      it('commits and pushes with compare-and-swap', async () => {
        const tip = await pushFiles(world, { 'keep.txt': 'k', 'old/gone.txt': 'g' })
        const repository = open(url)
        await fetchTip(repository)
        const files = [
          { path: 'old/gone.txt', content: undefined },
          { path: 'old', content: text('now a file') },
          { path: 'log/1.json', content: text('{}') },
        ]
        const input = { parent: tip, files, message: 'Record the start', time, identity, sign }
        const next = await repository.commit(input, never)
        assert.equal(await repository.push(main, tip, next, never), 'pushed')
        assert.equal(await git(world.bare, 'rev-parse', main), next)
        assert.equal(await git(world.bare, 'ls-tree', '-r', '--name-only', main), 'keep.txt\nlog/1.json\nold')
        assert.equal(await git(world.bare, 'cat-file', 'blob', `${main}:log/1.json`), '{}')
        await git(world.bare, 'fsck', '--strict')
        const other = await repository.commit({ ...input, message: 'Another' }, never)
        assert.equal(await repository.push(main, tip, other, never), 'moved')
        assert.equal(await repository.push(main, undefined, other, never), 'moved')
        assert.equal(await repository.push('refs/heads/none', tip, other, never), 'moved')
        assert.equal(await git(world.bare, 'rev-parse', main), next)
      })

      it('makes signed commits that git verifies, and verifies those of git', async () => {
        const researcher = makeSigningKey()
        const signed = await pushFiles(world, { 'a.txt': '1' }, { options: researcher.options })
        const unsigned = await pushFiles(world, { 'a.txt': '2' })
        const repository = open(url)
        await fetchTip(repository)
        const input = {
          parent: unsigned,
          files: [{ path: 'b', content: text('b') }],
          message: 'M',
          time,
          identity,
          sign,
        }
        const ours = await repository.commit(input, never)
        assert.equal(await repository.push(main, unsigned, ours, never), 'pushed')
        await git(world.bare, ...controllerKey.options, 'verify-commit', ours)
        const [first, second, third] = await repository.signatures([signed, unsigned, ours], never)
        assert.deepEqual(first, { state: 'good', key: parsePublicKey(researcher.public) })
        assert.deepEqual(second, { state: 'none' })
        assert.deepEqual(third, { state: 'good', key: parsePublicKey(controllerKey.public) })
      })
    })
  }
}

describe('the mirror', () => {
  let world: World
  let server: GitServer
  let tip: string
  let mirrorFolder: string
  let repository: GitRepository

  beforeEach(async () => {
    world = await makeWorld()
    server = await startGitServer(world.root)
    tip = await pushFiles(world, Object.fromEntries([...Array(30).keys()].map(n => [`d/${n}.txt`, `file ${n}`])))
    mirrorFolder = tempFolder()
    repository = open(server.url('projects.git'), { mirrorFolder })
    await repository.fetch(main, tip, never)
  })
  afterEach(() => server.stop())

  it('leaves blobs out, and fetches those that are read in one round trip', async () => {
    assert.equal(await localBlobs(mirrorIn(mirrorFolder)), 0)
    const entries = await repository.list(tip, 'd', never)
    assert.equal(await localBlobs(mirrorIn(mirrorFolder)), 0)
    server.requests.length = 0
    const contents = await repository.read(
      entries.map(entry => entry.oid),
      100,
      never,
    )
    assert.equal(contents.size, 30)
    assert.deepEqual(server.requests, [
      'GET /projects.git/info/refs?service=git-upload-pack',
      'POST /projects.git/git-upload-pack',
    ])
    assert.equal(await localBlobs(mirrorIn(mirrorFolder)), 30)
    await repository.read(
      entries.map(entry => entry.oid),
      100,
      never,
    )
    assert.equal(server.requests.length, 2)
  })

  it('asks the server for nothing that it has', async () => {
    server.requests.length = 0
    await repository.fetch(main, tip, never)
    assert.deepEqual(server.requests, [])
  })

  it('serves a new process, which removes what a killed git left', async () => {
    const mirror = mirrorIn(mirrorFolder)
    for (const name of ['config.lock', 'objects/pack/tmp_pack_x1', 'index-1']) writeFileSync(join(mirror, name), '')
    const again = open(server.url('projects.git/'), { mirrorFolder })
    server.requests.length = 0
    assert.equal((await again.list(tip, '', never)).length, 30)
    assert.deepEqual(server.requests, [])
    assert.deepEqual(
      readdirSync(mirror, { recursive: true }).filter(name => /lock|tmp_|index-/.test(String(name))),
      [],
    )
  })

  for (const method of ['list', 'ids', 'signatures', 'commit'] as const) {
    it(`is made again where its packs were cut: ${method}`, async () => {
      const packs = join(mirrorIn(mirrorFolder), 'objects/pack')
      for (const name of readdirSync(packs).filter(name => name.endsWith('.pack'))) {
        chmodSync(join(packs, name), 0o600)
        truncateSync(join(packs, name), 20)
      }
      const work = {
        list: () => repository.list(tip, '', never),
        ids: () => repository.ids([{ commit: tip, path: 'd/1.txt' }], never),
        signatures: () => repository.signatures([tip], never),
        commit: () => repository.commit({ parent: tip, files: [], message: 'M', time, identity, sign }, never),
      }
      assert.ok(await work[method]())
      assert.equal((await repository.list(tip, '', never)).length, 30)
    })
  }

  it('is made again by a new process where its packs are gone', async () => {
    rmSync(join(mirrorIn(mirrorFolder), 'objects/pack'), { recursive: true })
    const again = open(server.url('projects.git'), { mirrorFolder })
    await again.fetch(main, tip, never)
    assert.equal((await again.list(tip, '', never)).length, 30)
  })

  it('is made again where it is gone while in use', async () => {
    rmSync(mirrorIn(mirrorFolder), { recursive: true })
    assert.equal((await repository.history({ tip }, never)).length, 1)
  })

  it('is made again where the repository at the server has another object format now', async () => {
    rmSync(world.bare, { recursive: true })
    const { root } = await makeWorld({ format: 'sha256' })
    execFileSync('mv', [join(root, 'projects.git'), world.bare])
    await git(join(root, 'clone'), 'remote', 'set-url', 'origin', world.bare)
    const next = await pushFiles({ ...world, clone: join(root, 'clone') }, { 'new.txt': 'n' })
    assert.equal(await fetchTip(repository), next)
    assert.equal((await repository.list(next, '', never)).length, 1)
  })

  it('gathers its packs into few', async () => {
    const packs = () => readdirSync(join(mirrorIn(mirrorFolder), 'objects/pack')).filter(name => name.endsWith('.pack'))
    // As many packs as many small fetches leave, without the fetches.
    for (let n = 0; n < 50; n++) {
      const blob = await git(mirrorIn(mirrorFolder), 'hash-object', '-w', join(world.clone, `d/${n % 30}.txt`))
      execFileSync('git', ['pack-objects', '-q', 'objects/pack/pack'], {
        cwd: mirrorIn(mirrorFolder),
        input: `${n % 2 ? tip : blob}\n${n % 30 ? blob : tip}\n`,
      })
    }
    assert.ok(packs().length > 30)
    for (let n = 0; packs().length > 10 && n < 60; n++) {
      tip = await pushFiles(world, { 'n.txt': String(n) })
      await repository.fetch(main, tip, never)
    }
    assert.ok(packs().length <= 10)
    const entries = await repository.list(tip, '', never)
    assert.equal(
      (
        await repository.read(
          entries.map(entry => entry.oid),
          100,
          never,
        )
      ).size,
      31,
    )
  })
})

describe('reading a repository', () => {
  let world: World
  beforeEach(async () => {
    world = await makeWorld()
  })

  it('works with a server that has no filters', async () => {
    world = await makeWorld({ filter: false })
    const tip = await pushFiles(world, { a: 'a' })
    const repository = open(world.fileUrl)
    await fetchTip(repository)
    const [entry] = await repository.list(tip, '', never)
    assert.equal((await repository.read([entry!.oid], 1, never)).size, 1)
  })

  it('fetches a commit that the ref has left', async () => {
    const left = await pushFiles(world, { a: '1' })
    await git(world.clone, 'checkout', '--quiet', '--orphan', 'other')
    const tip = await pushFiles(world, { a: '2' }, { push: false })
    await git(world.clone, 'push', '--quiet', '--force', 'origin', 'HEAD:main')
    const repository = open(world.fileUrl)
    await repository.fetch(main, left, never)
    assert.equal((await repository.history({ tip: left }, never)).length, 1)
    await assert.rejects(
      repository.history({ tip }, never).then(() => repository.fetch(main, zero, never)),
      {
        code: 'GitObjectMissing',
      },
    )
  })

  it('says so where something was not fetched, or is not there', async () => {
    const tip = await pushFiles(world, { a: '1' })
    const repository = open(world.fileUrl)
    const missing = { code: 'GitObjectMissing' }
    await assert.rejects(repository.list(tip, '', never), missing)
    await fetchTip(repository)
    const gone = '1'.repeat(40)
    await assert.rejects(repository.list(gone, '', never), missing)
    await assert.rejects(repository.ids([{ commit: gone, path: 'a' }], never), missing)
    await assert.rejects(repository.read([gone], 10, never), missing)
    await assert.rejects(repository.history({ tip: gone }, never), missing)
    await assert.rejects(repository.history({ tip, since: gone }, never), missing)
    await assert.rejects(repository.isAncestor(gone, tip, never), missing)
    await assert.rejects(repository.signatures([gone], never), missing)
    await assert.rejects(repository.fetch(main, gone, never), missing)
    await assert.rejects(repository.list('--all', '', never), missing)
    await assert.rejects(
      repository.read([(await repository.ids([{ commit: tip, path: '' }], never))[0]!], 99, never),
      missing,
    )
  })

  it('refuses blobs over the limit', async () => {
    const tip = await pushFiles(world, { a: 'x'.repeat(101) })
    const repository = open(world.fileUrl)
    await fetchTip(repository)
    const [entry] = await repository.list(tip, '', never)
    await assert.rejects(repository.read([entry!.oid], 100, never), { code: 'DocumentTooLarge' })
    assert.equal((await repository.read([entry!.oid], 101, never)).get(entry!.oid)!.length, 101)
  })

  it('shows names that are not UTF-8 so that two do not become one, and every mode as it is', async () => {
    await pushFiles(world, { a: 'a' })
    const blob = await git(world.clone, 'rev-parse', 'HEAD:a')
    const index = ['\xff', '\xfe', 'line\nbreak', 'tab\t"quote"'].map(name => `100755 ${blob}\tn${name}\0`)
    index.push(`120000 ${blob}\tlink\0`, `160000 ${await git(world.clone, 'rev-parse', 'HEAD')}\tmodule\0`)
    execFileSync('git', ['update-index', '-z', '--index-info'], {
      cwd: world.clone,
      input: Buffer.from(index.join(''), 'latin1'),
    })
    await git(world.clone, 'commit', '--quiet', '-m', 'Names')
    await git(world.clone, 'push', '--quiet', 'origin', 'HEAD:main')
    const repository = open(world.fileUrl)
    const entries = await repository.list(await fetchTip(repository), '', never)
    assert.deepEqual(
      entries.map(({ path, mode }) => `${mode} ${path}`),
      [
        '100644 a',
        '120000 link',
        '160000 module',
        '100755 nline\nbreak',
        '100755 ntab\t"quote"',
        '100755 n\uFFFD%FE',
        '100755 n\uFFFD%FF',
      ],
    )
  })

  it('reads on where a commit is too large to be read, and takes nobody for its author', async () => {
    const first = await pushFiles(world, { 'p/a': '1' }, { message: 'First' })
    const commit = async (parents: readonly string[], author: string, body: string) => {
      const who = `${author} <dana@uni.example> 1700000000 +0000`
      const tree = await git(world.clone, 'rev-parse', `${first}^{tree}`)
      const lines = [`tree ${tree}`, ...parents.map(oid => `parent ${oid}`), `author ${who}`, `committer ${who}`]
      const args = ['hash-object', '-t', 'commit', '-w', '--stdin']
      return execFileSync('git', args, { cwd: world.clone, input: `${lines.join('\n')}\n\n${body}` })
        .toString()
        .trim()
    }
    const long = 'x'.repeat(1_100_000)
    const message = await commit([first], 'Dana', `${long}\nCo-authored-by: Ada <ada@uni.example>\n`)
    const name = await commit([message, first], long, 'Merge\n')
    await git(world.clone, 'push', '--quiet', 'origin', `${name}:refs/heads/main`)
    await git(world.clone, 'reset', '--quiet', '--hard', name)
    const tip = await pushFiles(world, { 'p/a': '2' }, { message: 'After' })
    const repository = open(world.fileUrl)
    assert.equal(await fetchTip(repository), tip)
    // Twice: what is kept of the first time must say the same.
    for (let time = 0; time < 2; time++) {
      const history = await repository.history({ tip }, never)
      assert.deepEqual(
        history.map(({ oid, parents }) => [oid, parents]),
        [
          [tip, [name]],
          [name, [message, first]],
          [message, [first]],
          [first, []],
        ],
      )
      const nobody = { author: { name: '', email: '' }, message: '', coAuthors: [], time: 1_700_000_000 }
      const tree = history.at(-1)!.tree
      assert.deepEqual(history[1], { oid: name, tree, parents: [message, first], ...nobody })
      assert.deepEqual(history[2], { oid: message, tree, parents: [first], ...nobody })
      const signatures = await repository.signatures([first, name, message], never)
      assert.deepEqual(
        signatures.map(({ state }) => state),
        ['none', 'bad', 'bad'],
      )
      assert.match(JSON.stringify(signatures[2]), /more than the 1048576 bytes/)
      for (const oid of [name, message]) {
        assert.deepEqual(
          (await repository.list(oid, 'p', never)).map(({ path }) => path),
          ['p/a'],
        )
        assert.ok((await repository.ids([{ commit: oid, path: 'p/a' }], never))[0])
      }
    }
  })

  it('gives the history of literal paths through merges', async () => {
    const first = await pushFiles(world, { 'p/a': '1', 'p*/a': 'star' }, { message: 'First' })
    await git(world.clone, 'checkout', '--quiet', '-b', 'side')
    const message = 'Second\n\nBody\n\nCo-authored-by: Ada <ada@uni.example>\nco-authored-by: Bob <bob@uni.example>'
    const second = await pushFiles(world, { 'p/a': '2' }, { message, push: false })
    const third = await pushFiles(world, { 'p/a': '1' }, { message: 'Back', push: false })
    await git(world.clone, 'checkout', '--quiet', 'main')
    const fourth = await pushFiles(world, { other: 'x' }, { push: false })
    await git(world.clone, 'merge', '--quiet', '--no-ff', '-m', 'Merge', 'side')
    await git(world.clone, 'push', '--quiet', 'origin', 'main')
    const repository = open(world.fileUrl)
    const tip = await fetchTip(repository)
    const oids = async (query: object) => (await repository.history({ tip, ...query }, never)).map(commit => commit.oid)
    // Simplified, git would show only the first: in the end nothing in `p` differs.
    assert.deepEqual(await oids({ paths: ['p'] }), [third, second, first])
    assert.deepEqual(await oids({ paths: ['p*'] }), [first])
    assert.deepEqual(await oids({ paths: ['p'], since: first }), [third, second])
    assert.deepEqual(await oids({ paths: [''], since: first }), await oids({ since: first }))
    assert.deepEqual(await oids({ firstParent: true }), [tip, fourth, first])
    assert.deepEqual(await oids({ limit: 1 }), [tip])
    assert.equal((await oids({})).length, 5)
    const [commit] = await repository.history({ tip: second, limit: 1 }, never)
    assert.deepEqual(commit, {
      oid: second,
      tree: await git(world.clone, 'rev-parse', `${second}^{tree}`),
      parents: [first],
      author: { name: 'Rae Researcher', email: 'rae@uni.example' },
      time: Number(await git(world.clone, 'show', '-s', '--format=%ct', second)),
      message: `${message}\n`,
      coAuthors: ['ada@uni.example', 'bob@uni.example'],
    })
    assert.equal(await repository.isAncestor(second, tip, never), true)
    assert.equal(await repository.isAncestor(tip, second, never), false)
    assert.equal(await repository.isAncestor(tip, tip, never), true)
  })

  it('resolves a signed tag to its commit', async () => {
    const tip = await pushFiles(world, { a: '1' })
    await git(world.clone, 'tag', '-a', '-m', 'v1', 'v1')
    await git(world.clone, 'push', '--quiet', 'origin', 'v1')
    const repository = open(world.fileUrl)
    assert.equal(await repository.resolve('refs/tags/v1', never), tip)
    await repository.fetch('refs/tags/v1', tip, never)
  })

  it('tells signatures that are wrong, foreign or doubled', async () => {
    const signed = await pushFiles(world, { a: '1' }, { options: controllerKey.options })
    const raw = `${await git(world.clone, 'cat-file', 'commit', signed)}\n`
    const armor = /gpgsig (?:.*\n )*.*\n/.exec(raw)![0]
    const pgp = raw.replace(armor, 'gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n')
    const variants = [
      raw.replace('Change files', 'Changed files'),
      pgp,
      raw.replace(armor, armor.replaceAll('SSH SIGNATURE', 'SIGNED MESSAGE')),
      raw.replace(armor, armor + armor),
      raw.replace(armor, `${armor}gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n abc\n`),
      raw.replace(armor, armor.slice(0, 100)),
    ]
    const oids = variants.map(content =>
      execFileSync('git', ['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], {
        cwd: world.clone,
        input: content,
      })
        .toString()
        .trim(),
    )
    for (const [n, oid] of oids.entries())
      await git(world.clone, 'push', '--quiet', 'origin', `${oid}:refs/heads/v${n}`)
    const repository = open(world.fileUrl)
    for (const [n, oid] of oids.slice(0, 5).entries()) await repository.fetch(`refs/heads/v${n}`, oid, never)
    const found = await repository.signatures(oids.slice(0, 5), never)
    assert.deepEqual(
      found.map(signature => ('format' in signature ? signature.format : signature.state)),
      ['bad', 'openpgp', 'x509', 'bad', 'good'],
    )
  })
})

describe('writing to a repository', () => {
  let world: World
  let repository: GitRepository
  let tip: string
  beforeEach(async () => {
    world = await makeWorld()
    tip = await pushFiles(world, { a: '1', 'd/b': '2' })
    repository = open(world.fileUrl)
    await fetchTip(repository)
  })
  const input = (files: { path: string; content: Uint8Array | undefined }[]) => ({
    parent: tip,
    files,
    message: 'Write',
    time,
    identity,
    sign,
  })

  it('gives the same commit for the same input on another machine', async () => {
    const files = [{ path: 'x/y', content: text('z') }]
    const here = await repository.commit(input(files), never)
    const other = open(world.fileUrl)
    await other.fetch(main, tip, never)
    assert.equal(await other.commit(input(files), never), here)
    assert.equal(await repository.commit(input(files), never), here)
  })

  it('gives the parent where nothing would change', async () => {
    assert.equal(await repository.commit(input([{ path: 'a', content: text('1') }]), never), tip)
    assert.equal(await repository.commit(input([{ path: 'none', content: undefined }]), never), tip)
  })

  it('writes many files at once', async () => {
    const files = [...Array(300).keys()].map(n => ({ path: `many/${n}`, content: Buffer.alloc(n, n) }))
    const next = await repository.commit(input(files), never)
    assert.equal(await repository.push(main, tip, next, never), 'pushed')
    await git(world.bare, 'fsck', '--strict')
    assert.equal((await repository.list(next, 'many', never)).length, 300)
  })

  it('refuses paths that leave the tree or that git or a checkout would misread', async () => {
    const paths = ['/abs', '../up', 'a/../b', 'a//b', 'a/', '', '.', '.git/config', 'x/.GIT/y', 'git~1/x', '.git. /x']
    for (const path of [...paths, 'a\0b', 'a\nb', 'a\\b', '\ud800', 'x\x7f']) {
      await assert.rejects(repository.commit(input([{ path, content: text('x') }]), never), { code: 'UnsafePath' })
    }
    // HFS+ ignores U+200C; git's own check knows.
    await assert.rejects(repository.commit(input([{ path: '.g\u200cit/x', content: text('x') }]), never), {
      code: 'UnsafePath',
    })
    for (const name of ['A <b', 'A\nparent x', '']) {
      const bad = { ...input([{ path: 'x', content: text('x') }]), identity: { ...identity, name } }
      await assert.rejects(repository.commit(bad, never), { code: 'ConfigInvalid' })
    }
  })

  it('refuses a file where a folder is, rather than to remove what is in it', async () => {
    await assert.rejects(repository.commit(input([{ path: 'd', content: text('x') }]), never), { code: 'UnsafePath' })
  })

  it('never pushes what would drop commits', async () => {
    const second = await pushFiles(world, { a: '2' })
    await fetchTip(repository)
    await assert.rejects(repository.push(main, second, tip, never), { code: 'GitFailed', message: /drop commits/ })
    assert.equal(await git(world.bare, 'rev-parse', main), second)
  })

  it('reports a hook that declines as WriteBackBlocked, without control characters', async () => {
    const hook = join(world.bare, 'hooks/pre-receive')
    writeFileSync(hook, '#!/bin/sh\nprintf "\\033[2Jnon-fast-forward fetch first\\n" >&2\nexit 1\n', { mode: 0o755 })
    const next = await repository.commit(input([{ path: 'x', content: text('x') }]), never)
    await assert.rejects(repository.push(main, tip, next, never), {
      code: 'WriteBackBlocked',
      message: /hook declined/,
    })
  })

  it('reports a ref that is locked at the server as moved', async () => {
    const next = await repository.commit(input([{ path: 'x', content: text('x') }]), never)
    writeFileSync(join(world.bare, `${main}.lock`), '')
    assert.equal(await repository.push(main, tip, next, never), 'moved')
  })
})
