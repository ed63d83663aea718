import assert from 'node:assert/strict'
import type { StoredStatus } from '../../../controller/engine/store/store.ts'
import { runGit } from '../../../controller/git/work-tree.ts'
import type { Problem } from '../../../controller/runtime/errors.ts'
import { git } from '../../support/people.ts'
import { patients, phaseOf, World } from '../../support/world.ts'
import { commitEntries, commitTree, explained, type RawEntry, reasonsOf } from './helpers.ts'

const governanceFile = 'resources/governance/cr8-governance.yaml'
const submodule = 'a'.repeat(40)

interface UnsafeEntry {
  readonly project: string
  readonly entry: Omit<RawEntry, 'path'> & { readonly path: string }
  readonly says: string
}

/** One unsafe entry each, in a folder that is a valid request otherwise. */
const rows: readonly UnsafeEntry[] = [
  {
    project: 'link-for-document',
    entry: { path: governanceFile, mode: '120000', content: '../../../good/resources/governance/cr8-governance.yaml' },
    says: `projects/link-for-document/${governanceFile} is a symbolic link; links are never followed`,
  },
  {
    project: 'link-elsewhere',
    entry: { path: 'notes', mode: '120000', content: '/etc/passwd' },
    says: 'projects/link-elsewhere/notes is a symbolic link; links are never followed',
  },
  {
    project: 'link-among-sign-offs',
    entry: { path: 'sign-offs/0/sign-off-dana.yaml', mode: '120000', content: '/etc/passwd' },
    says: 'projects/link-among-sign-offs/sign-offs/0/sign-off-dana.yaml is a symbolic link; links are never followed',
  },
  {
    project: 'submodule-within',
    entry: { path: 'resources/more', mode: '160000', content: submodule },
    says: 'projects/submodule-within/resources/more is a submodule; submodules are never fetched',
  },
  {
    project: 'submodule-for-document',
    entry: { path: 'config.toml', mode: '160000', content: submodule },
    says: 'projects/submodule-for-document/config.toml is a submodule; submodules are never fetched',
  },
  {
    project: 'control-characters',
    entry: { path: 'notes\u001b[2J\n.txt', mode: '100644', content: 'x' },
    says: 'projects/control-characters/notes\\u001b[2J\\n.txt has control characters in its name',
  },
]

/** Entries of `projects/` that are no request. */
const noProjects: readonly (RawEntry & { readonly says: string })[] = [
  {
    path: 'projects/linked',
    mode: '120000',
    content: 'good',
    says: 'projects/linked is a symbolic link; links are never followed',
  },
  {
    path: 'projects/vendored',
    mode: '160000',
    content: submodule,
    says: 'projects/vendored is a submodule; submodules are never fetched',
  },
  { path: 'projects/Upper/config.toml', mode: '100644', content: 'x', says: '"Upper" is no project name' },
  { path: 'projects/-first/config.toml', mode: '100644', content: 'x', says: '"-first" is no project name' },
  { path: 'projects/two words/config.toml', mode: '100644', content: 'x', says: '"two words" is no project name' },
  { path: 'projects/bell\u0007/config.toml', mode: '100644', content: 'x', says: '"bell\\u0007" is no project name' },
  {
    path: `projects/${'n'.repeat(64)}/config.toml`,
    mode: '100644',
    content: 'x',
    says: `"${'n'.repeat(64)}" is no project name`,
  },
]

const datasets = [{ name: 'cohort', tables: [patients] }]

describe('a tree that is not made of plain files', () => {
  let world: World
  let statuses: Map<string, StoredStatus>
  let problems: readonly Problem[]

  before(async () => {
    world = await World.make()
    const all = [...rows.map(({ project }) => project), 'good', 'other-name', 'executable']
    const files = all.flatMap(name => Object.entries(world.requestFiles(name, datasets)))
    await world.commit('rob', {
      ...Object.fromEntries(files),
      'projects/README.md': 'no request\n',
      'projects/other-name/resources/governance/cr8-governance.yaml': world.requestFiles('good', datasets)[
        'projects/good/resources/governance/cr8-governance.yaml'
      ]!,
    })
    await commitEntries(world, 'rob', [
      ...rows.map(({ project, entry }) => ({ ...entry, path: `projects/${project}/${entry.path}` })),
      ...noProjects,
      {
        path: `projects/executable/${governanceFile}`,
        mode: '100755',
        content: world.requestFiles('executable', datasets)[`projects/executable/${governanceFile}`]!,
      },
    ])
    statuses = await world.run({
      inspect: async ({ store }) => {
        problems = store.snapshot().problems.get('projects') ?? []
      },
    })
  })

  for (const { project, says } of rows) {
    it(`is refused by name: ${project}`, async () => {
      const status = statuses.get(project)
      assert.deepEqual(
        status?.problems.map(({ code, message }) => `${code} ${message}`),
        [`UnsafePath ${says}`],
      )
      assert.equal(phaseOf(status), 'Requested')
      assert.deepEqual(await world.log(project), [])
      const text = await explained(world, project)
      assert.ok(text.includes(`${says} [UnsafePath]`), text)
      assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f]/)
    })
  }

  it('has entries beside the requests that are named, and are no requests', async () => {
    assert.deepEqual(
      problems.map(({ code, message }) => `${code} ${message}`).sort(),
      noProjects.map(({ says }) => `UnsafePath ${says}`).sort(),
    )
    for (const { where } of problems) assert.match(where?.file ?? '', /^projects\/[^\u0000-\u001f]+$/)
    for (const name of ['linked', 'vendored', 'Upper', 'README.md']) assert.equal(statuses.get(name), undefined, name)
    const { err } = await world.cratewright('reconcile')
    assert.match(err, /projects\/Upper: "Upper" is no project name/)
    assert.match(err, /projects\/linked is a symbolic link/)
  })

  it('is refused where folder and project.name differ', async () => {
    const status = statuses.get('other-name')
    assert.deepEqual(reasonsOf(status), ['ProjectNameMismatch'])
    assert.match(await explained(world, 'other-name'), /the folder is other-name, and project\.name is good/)
    assert.deepEqual(await world.log('other-name'), [])
  })

  it('does not hold up what is a plain file, executable or not', () => {
    assert.equal(phaseOf(statuses.get('good')), 'Validated')
    assert.equal(phaseOf(statuses.get('executable')), 'Validated')
  })

  it('makes a request Missing whose folder became a link, and lets it go on when that is undone', async () => {
    const bare = world.bare('projects')
    const tip = await git(bare, 'rev-parse', 'refs/heads/main')
    const steps = await world.steps('good')
    const after = await world.run({
      inspect: async ({ controller, store }) => {
        await commitEntries(world, 'rob', [{ path: 'projects/good', mode: '120000', content: 'executable' }])
        await controller.lookNow()
        await controller.settled({ retries: false })
        const missing = store.status(store.keys().find(key => key.endsWith('/good')) ?? '')
        assert.equal(phaseOf(missing), 'Missing')
        assert.deepEqual(reasonsOf(missing), ['Missing'])
        const now = await git(bare, 'rev-parse', 'refs/heads/main')
        await commitTree(world, 'rob', await git(bare, 'rev-parse', `${tip}^{tree}`), [now], 'Undo')
        await controller.lookNow()
        await controller.settled({ retries: false })
      },
    })
    assert.equal(phaseOf(after.get('good')), 'Validated')
    assert.deepEqual((await world.steps('good')).slice(0, steps.length), steps)
  })

  it('is refused where a name leads out of its folder, and the others go on', async () => {
    const tip = await git(world.bare('projects'), 'rev-parse', 'refs/heads/main')
    const steps = await world.steps('good')
    await addDotDot(world, 'projects/good')
    const after = await world.run()
    assert.deepEqual(reasonsOf(after.get('good')), ['UnsafePath'])
    assert.match(after.get('good')?.waits[0]?.message ?? '', /leads out of its folder/)
    assert.equal(after.get('projects')?.report.ready, true)
    assert.equal(phaseOf(after.get('executable')), 'Validated')
    assert.deepEqual(await world.steps('good'), steps)
    await git(world.bare('projects'), 'update-ref', 'refs/heads/main', tip)
    assert.equal(phaseOf((await world.run()).get('good')), 'Validated')
  })
})

/** git's index refuses such a name; `mktree` does not, and neither does a hostile client. */
async function addDotDot(world: World, folder: string): Promise<void> {
  const bare = world.bare('projects')
  const signal = new AbortController().signal
  const tip = await git(bare, 'rev-parse', 'refs/heads/main')
  const mktree = async (listing: string) => {
    const { stdout } = await runGit(bare, ['mktree'], { signal, input: Buffer.from(listing) })
    return stdout.toString().trim()
  }
  const blob = await runGit(bare, ['hash-object', '-w', '--stdin'], { signal, input: Buffer.from('escaped') })
  let path = `${folder}/resources`
  const inner = await mktree(`100644 blob ${blob.stdout.toString().trim()}\tescaped.txt\n`)
  let tree = await mktree(`${await git(bare, 'ls-tree', `${tip}:${path}`)}\n040000 tree ${inner}\t..\n`)
  while (path !== '') {
    const parts = path.split('/')
    const name = parts.pop()
    path = parts.join('/')
    const entries = (await git(bare, 'ls-tree', `${tip}:${path}`))
      .split('\n')
      .filter(line => !line.endsWith(`\t${name}`))
    tree = await mktree(`${entries.join('\n')}\n040000 tree ${tree}\t${name}\n`)
  }
  await commitTree(world, 'rob', tree, [tip])
}
