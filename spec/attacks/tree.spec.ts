import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import type { GitRepository } from '../../controller/git/repository.ts'
import { runGit } from '../../controller/git/work-tree.ts'
import { RequestReader } from '../../controller/kinds/requests/reader.ts'
import type { Problem } from '../../controller/runtime/errors.ts'
import { type World as GitWorld, identity, main, makeWorld, open } from '../git/world.ts'
import { commitTree, explained, governanceText, preparedStatement, signed } from '../kinds/requests/helpers.ts'
import { git } from '../support/people.ts'
import { patients, phaseOf, World } from '../support/world.ts'
import { blob, entriesOf, graft, type RawEntry, sorted, tree } from './raw-tree.ts'

const never = new AbortController().signal
const datasets = [{ name: 'cohort', tables: [patients] }]
const megabyte = 1024 * 1024
const lfs = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 1073741824\n`

interface HostileFolder {
  readonly project: string
  /** The entries of the folder as they are to be, from those of a request that is sound. */
  readonly make: (entries: readonly RawEntry[], bare: string) => RawEntry[] | Promise<RawEntry[]>
  /** Each error, by code, file and message. */
  readonly says: readonly string[]
}

function adding(mode: RawEntry['mode'], name: string | Buffer, content: string): HostileFolder['make'] {
  return async (entries, bare) => sorted([...entries, { mode, name, oid: await blob(bare, content) }])
}

/** A folder with one file in it. */
function addingFolder(name: string, file: string, levels = 1): HostileFolder['make'] {
  return async (entries, bare) => {
    let oid = await tree(bare, [{ mode: '100644', name: file, oid: await blob(bare, 'x') }])
    for (let level = 1; level < levels; level++) oid = await tree(bare, [{ mode: '40000', name, oid }])
    return sorted([...entries, { mode: '40000', name, oid }])
  }
}

function unsafe(project: string, file: string, why: string): string {
  return `UnsafePath projects/${project}/${file}: projects/${project}/${file} ${why}`
}

const gitName = 'has a name that a checkout would take for a folder of git'
const documents = ['governance/cr8-governance.yaml', 'data/cr8-ingress.yaml', 'deployment/cr8-deployment.yaml']
const missing = (project: string) =>
  documents.map(name => `DocumentMissing projects/${project}/resources/${name}: resources/${name} is missing`)

const folders: readonly HostileFolder[] = [
  {
    project: 'not-utf-8',
    make: adding('100644', Buffer.from('n\xff.txt', 'latin1'), 'x'),
    says: [unsafe('not-utf-8', 'n\ufffd%FF.txt', 'has a name that is not UTF-8')],
  },
  { project: 'dot-git', make: addingFolder('.git', 'config'), says: [unsafe('dot-git', '.git/config', gitName)] },
  { project: 'dot-git-file', make: adding('100644', '.GIT', 'x'), says: [unsafe('dot-git-file', '.GIT', gitName)] },
  {
    project: 'git-of-windows',
    make: addingFolder('git~1', 'config'),
    says: [unsafe('git-of-windows', 'git~1/config', gitName)],
  },
  {
    project: 'git-and-space',
    make: addingFolder('.git ', 'config'),
    says: [unsafe('git-and-space', '.git /config', gitName)],
  },
  {
    project: 'git-of-hfs',
    make: addingFolder('.g\u200cit', 'config'),
    says: [unsafe('git-of-hfs', '.g\u200cit/config', gitName)],
  },
  {
    project: 'dot',
    make: addingFolder('.', 'config.toml'),
    says: [unsafe('dot', './config.toml', 'leads out of its folder')],
  },
  {
    project: 'dot-dot',
    make: addingFolder('..', 'good', 3),
    says: [unsafe('dot-dot', '../../../good', 'leads out of its folder')],
  },
  {
    project: 'backslash',
    make: adding('100644', '..\\good\\config.toml', 'x'),
    says: [unsafe('backslash', '..\\good\\config.toml', 'has a backslash in its name')],
  },
  {
    project: 'turned-around',
    make: adding('100644', 'lmot.\u202egifnoc\n', 'x'),
    says: [unsafe('turned-around', 'lmot.\\u202egifnoc\\n', 'has control characters in its name')],
  },
  {
    project: 'case',
    make: adding('100644', 'CONFIG.TOML', 'x'),
    says: [
      unsafe('case', 'config.toml', 'and projects/case/CONFIG.TOML are one name where case or accents are folded'),
    ],
  },
  {
    project: 'case-of-folders',
    make: addingFolder('Resources', 'governance'),
    says: [
      unsafe(
        'case-of-folders',
        'resources/data/cr8-ingress.yaml',
        'and projects/case-of-folders/Resources are one name where case or accents are folded',
      ),
      unsafe(
        'case-of-folders',
        'resources/deployment/cr8-deployment.yaml',
        'and projects/case-of-folders/Resources are one name where case or accents are folded',
      ),
      unsafe(
        'case-of-folders',
        'resources/governance/cr8-governance.yaml',
        'and projects/case-of-folders/Resources are one name where case or accents are folded',
      ),
    ],
  },
  {
    project: 'accents',
    make: async (entries, bare) => {
      const oid = await blob(bare, 'x')
      return sorted([
        ...entries,
        ...['\u00e9.txt', 'e\u0301.txt'].map(name => ({ mode: '100644' as const, name, oid })),
      ])
    },
    says: [
      unsafe('accents', '\u00e9.txt', 'and projects/accents/e\u0301.txt are one name where case or accents are folded'),
    ],
  },
  {
    project: 'twice-one-file',
    make: async (entries, bare) => {
      const oid = await blob(bare, '[bagit-info]\n')
      return entries.flatMap(entry => (entry.name === 'config.toml' ? [entry, { ...entry, oid }] : [entry]))
    },
    says: [unsafe('twice-one-file', 'config.toml', 'is there twice')],
  },
  {
    project: 'file-and-folder',
    make: async (entries, bare) => [...entries, { mode: '100644', name: 'resources', oid: await blob(bare, 'x') }],
    says: [unsafe('file-and-folder', 'resources', 'is there twice')],
  },
  {
    project: 'slash-in-name',
    make: async (entries, bare) => [
      ...entries,
      {
        mode: '100644',
        name: documents.map(name => `resources/${name}`)[0]!,
        oid: await blob(bare, governanceText('good')),
      },
    ],
    says: [unsafe('slash-in-name', `resources/${documents[0]}`, 'is there twice')],
  },
  {
    project: 'link-for-folder',
    make: async (entries, bare) => [
      ...entries.filter(({ name }) => name !== 'resources'),
      { mode: '120000', name: 'resources', oid: await blob(bare, '../good/resources') },
    ],
    says: [
      unsafe('link-for-folder', 'resources', 'is a symbolic link; links are never followed'),
      ...missing('link-for-folder'),
    ],
  },
  {
    project: 'file-for-folder',
    make: async (entries, bare) => [
      ...entries.filter(({ name }) => name !== 'resources'),
      { mode: '100644', name: 'resources', oid: await blob(bare, 'x') },
    ],
    says: missing('file-for-folder'),
  },
  {
    project: 'folder-for-file',
    make: async (entries, bare) => [
      {
        mode: '40000',
        name: 'config.toml',
        oid: await tree(bare, [{ mode: '100644', name: 'x', oid: await blob(bare, 'x') }]),
      },
      ...entries.filter(({ name }) => name !== 'config.toml'),
    ],
    says: ['DocumentMissing projects/folder-for-file/config.toml: config.toml is missing'],
  },
  {
    project: 'lfs-pointer',
    make: async (entries, bare) => {
      const oid = await blob(bare, lfs)
      return entries.map(entry => (entry.name === 'config.toml' ? { ...entry, oid } : entry))
    },
    says: [
      'DocumentInvalid projects/lfs-pointer/config.toml:1:1: config.toml is a Git LFS pointer; what it points to is never fetched',
    ],
  },
  {
    project: 'forty-folders',
    make: addingFolder('d', 'x', 40),
    says: [unsafe('forty-folders', `${'d/'.repeat(40)}x`, 'lies in more than 31 folders')],
  },
  {
    project: 'long-name',
    make: adding('100644', 'n'.repeat(100_000), 'x'),
    says: [unsafe('long-name', `${'n'.repeat(281)}…`, '')],
  },
  {
    project: 'a-hundred-thousand',
    make: async (entries, bare) => [{ mode: '40000', name: 'a', oid: await manyFiles(bare) }, ...entries],
    says: ['TreeTooLarge projects/a-hundred-thousand: the folder holds 100004 files, and may hold 2000'],
  },
  {
    project: 'a-large-document',
    make: async (entries, bare) => {
      // Cannot be compressed: as many bytes would come as it has.
      const oid = await blob(bare, randomBytes(48 * megabyte))
      return entries.map(entry => (entry.name === 'config.toml' ? { ...entry, oid } : entry))
    },
    says: [
      'DocumentTooLarge projects/a-large-document/config.toml: the file has more than the 1048576 bytes that it may have',
    ],
  },
]

async function manyFiles(bare: string): Promise<string> {
  const oid = await blob(bare, 'x')
  return tree(bare, sorted(Array.from({ length: 100_000 }, (_, index) => ({ mode: '100644', name: `f${index}`, oid }))))
}

async function* zeros(megabytes: number): AsyncIterable<Uint8Array> {
  const chunk = Buffer.alloc(16 * megabyte)
  for (let left = megabytes; left > 0; left -= 16) yield chunk
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

const shown = ({ code, message, where }: Problem) =>
  `${code} ${where?.file}${where?.line ? `:${where.line}:${where.column}` : ''}: ${message}`

describe('a hostile tree', () => {
  let world: World
  let statuses: Map<string, StoredStatus>
  let problems: readonly Problem[]
  let gigabyte: string

  before(async function () {
    this.timeout(180_000)
    world = await World.make()
    const bare = world.bare('projects')
    const names = [...folders.map(({ project }) => project), 'good', 'twice', 'extra', 'asthma']
    await world.commit('rob', Object.assign({}, ...names.map(name => world.requestFiles(name, datasets))))
    const tip = await git(bare, 'rev-parse', 'refs/heads/main')
    let root = await git(bare, 'rev-parse', `${tip}^{tree}`)
    for (const { project, make } of folders) {
      const oid = await tree(bare, await make(await entriesOf(bare, `${tip}:projects/${project}`), bare))
      root = await graft(bare, root, `projects/${project}`, { mode: '40000', oid })
    }
    gigabyte = await blob(bare, zeros(1024))
    root = await graft(bare, root, 'projects/extra/film.bin', { mode: '100644', oid: gigabyte })
    root = await graft(bare, root, 'attic', { mode: '40000', oid: await manyFiles(bare) })
    const sound = await git(bare, 'rev-parse', `${tip}:projects/good`)
    const others = (await entriesOf(bare, `${root}:projects`)).filter(({ name }) => name !== 'twice')
    const more: RawEntry[] = [
      'Asthma',
      '\u00e9',
      'e\u0301',
      'con.',
      Buffer.from('\xff', 'latin1'),
      'twice',
      'twice',
    ].map(name => ({
      mode: '40000',
      name,
      oid: sound,
    }))
    const oid = await tree(bare, sorted([...others, ...more]))
    root = await graft(bare, root, 'projects', { mode: '40000', oid })
    await commitTree(world, 'rob', root, [tip])
    statuses = await world.run({
      inspect: async ({ store }) => {
        problems = store.snapshot().problems.get('projects') ?? []
      },
    })
  })

  for (const { project, says } of folders)
    it(`is refused, and why is said: ${project}`, async () => {
      const errors = statuses.get(project)?.problems.map(shown).sort()
      if (project === 'long-name') assert.deepEqual(errors, [])
      else assert.deepEqual(errors, says.toSorted())
      assert.equal(phaseOf(statuses.get(project)), project === 'long-name' ? 'Validated' : 'Requested')
    })

  it('has names that are no projects, each told once, and read by nobody', async () => {
    const name = (shownName: string) =>
      `UnsafePath projects/${shownName}: ${JSON.stringify(shownName)} is no project name`
    assert.deepEqual(
      problems.map(shown).sort(),
      [
        name('Asthma'),
        name('con.'),
        name('\u00e9'),
        name('e\u0301'),
        name('\ufffd%FF'),
        'UnsafePath projects/twice: projects/twice is there twice in one tree; neither is read',
      ].sort(),
    )
    assert.equal(statuses.get('twice'), undefined)
    assert.equal(phaseOf(statuses.get('asthma')), 'Validated')
  })

  it('is told by the commands as well', async () => {
    for (const project of ['dot-git', 'case', 'twice-one-file', 'a-large-document']) {
      const { code, out, err } = await world.cratewright('plan', project)
      assert.equal(code, 2, err)
      const [first = ''] = statuses.get(project)?.problems ?? []
      assert.ok(out.includes((first as Problem).message), out)
      assert.ok((await explained(world, project)).includes((first as Problem).message))
    }
    const { err } = await world.cratewright('reconcile')
    assert.match(err, /projects\/twice is there twice in one tree; neither is read/)
  })

  it('does not make the mirror large: no file is fetched that is not read', async () => {
    const work = join(world.folder, 'work')
    assert.ok(bytesBelow(work) < 16 * megabyte, `${bytesBelow(work)} bytes`)
    const heads = readdirSync(work, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('/HEAD'))
    assert.ok(heads.length > 0)
    for (const head of heads) {
      const folder = join(work, head, '..')
      const { code } = await runGit(folder, ['cat-file', '-e', gigabyte], { signal: never })
      assert.notEqual(code, 0)
    }
  })

  it('holds up no other project: they go on to their next step', async () => {
    const bare = world.bare('projects')
    for (const project of ['good', 'extra']) {
      assert.equal(phaseOf(statuses.get(project)), 'Validated')
      const files = signed(project, await preparedStatement(world, project), world.people.dana.key)
      for (const [path, text] of Object.entries(files)) {
        const tip = await git(bare, 'rev-parse', 'refs/heads/main')
        const root = await graft2(bare, tip, path, await blob(bare, text))
        await commitTree(world, 'dana', root, [tip])
      }
    }
    const after = await world.run()
    for (const project of ['good', 'extra']) assert.equal(phaseOf(after.get(project)), 'Staged')
  })

  /** As graft, past the folder in which a name is there twice. */
  async function graft2(bare: string, tip: string, path: string, oid: string): Promise<string> {
    const [, project = '', ...rest] = path.split('/')
    const made = await graft(bare, `${tip}:projects/${project}`, rest.join('/'), { mode: '100644', oid })
    const entries = (await rawProjects(bare, tip)).map(entry =>
      entry.name === project ? { ...entry, oid: made } : entry,
    )
    return graft(bare, tip, 'projects', { mode: '40000', oid: await tree(bare, entries) })
  }

  /** With names that are no text as they are. */
  async function rawProjects(bare: string, tip: string): Promise<RawEntry[]> {
    const { stdout } = await runGit(bare, ['ls-tree', '-z', `${tip}:projects`], { signal: never })
    return stdout
      .toString('latin1')
      .split('\0')
      .slice(0, -1)
      .map(line => {
        const [what = '', name = ''] = line.split('\t')
        const [mode = '', , oid = ''] = what.split(' ')
        const bytes = Buffer.from(name, 'latin1')
        return {
          mode: mode.replace(/^0/, '') as RawEntry['mode'],
          name: /^[\x20-\x7e]*$/.test(name) ? name : bytes,
          oid,
        }
      })
  }
})

describe('the folder of all requests', () => {
  let world: GitWorld
  let repository: GitRepository
  let sound: string

  before(async () => {
    world = await makeWorld()
    repository = open(world.fileUrl)
    sound = await tree(world.bare, [{ mode: '100644', name: 'README', oid: await blob(world.bare, 'x') }])
  })

  async function read(entries: readonly RawEntry[], pattern: string, recorded: readonly string[] = []) {
    const { bare } = world
    const root = await tree(bare, entries)
    const who = ['-c', `user.name=${identity.name}`, '-c', `user.email=${identity.email}`]
    const commit = await git(bare, ...who, 'commit-tree', root, '-m', 'Hostile')
    await git(bare, 'update-ref', main, commit)
    await repository.fetch(main, commit, never)
    return new RequestReader(repository, 'projects', pattern, async () => recorded).read(commit, never)
  }

  for (const [what, entry, pattern, says] of [
    [
      'a link',
      { mode: '120000', name: 'projects' },
      'projects/*',
      'projects is a symbolic link; links are never followed',
    ],
    ['a link, further up', { mode: '120000', name: 'a' }, 'a/b/c/*', 'a is a symbolic link; links are never followed'],
    [
      'a submodule',
      { mode: '160000', name: 'projects' },
      'projects/*',
      'projects is a submodule; submodules are never fetched',
    ],
    ['a file', { mode: '100644', name: 'projects' }, 'projects/*', 'projects is a file, and has to be a folder'],
  ] as const)
    it(`that is ${what} is not followed, and what had a log is missing`, async () => {
      const oid = await blob(world.bare, '/etc')
      const { resources, problems, missing } = await read([{ ...entry, oid }], pattern, ['asthma'])
      assert.deepEqual(problems.map(shown), [`UnsafePath ${entry.name}: ${says}`])
      assert.deepEqual(resources, [])
      assert.deepEqual(
        missing?.map(({ name }) => name),
        ['asthma'],
      )
    })

  it('may hold 5,000: those that have a log come first, and the others are named', async function () {
    this.timeout(120_000)
    const names = Array.from({ length: 5_003 }, (_, index) => `p${String(index).padStart(4, '0')}`)
    const oid = await tree(world.bare, sorted([...names, 'zebra'].map(name => ({ mode: '40000', name, oid: sound }))))
    const { resources, problems } = await read([{ mode: '40000', name: 'projects', oid }], 'projects/*', ['zebra'])
    assert.equal(resources.length, 5_000)
    assert.ok(resources.some(({ name }) => name === 'zebra'))
    assert.deepEqual(problems.map(shown), [
      'TreeTooLarge projects: projects holds 5004 folders, and may hold 5000: p4999, p5000, p5001, p5002 are not read',
    ])
  })
})
