import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { StoredStatus } from '../../../controller/engine/store/store.ts'
import { cloneOf, commitAll, git, makeBare, push, writeTree } from '../../support/people.ts'
import { patients, phaseOf, World } from '../../support/world.ts'

const tables = [{ name: 'cohort', tables: [patients] }]

describe('two requests of one name', function () {
  this.timeout(120_000)
  let world: World
  const clone = () => join(world.folder, 'people', 'rob', 'other')

  before(async () => {
    world = await World.make()
    const bare = join(world.folder, 'other.git')
    await makeBare(bare)
    await cloneOf(bare, clone(), world.people.rob)
    writeTree(clone(), { 'README.md': 'others\n' })
    await commitAll(clone(), 'Begin', world.people.rob)
    await push(clone())
    const [projects] = world.platform()['repositories.yaml'] as { spec: object }[]
    const other = {
      kind: 'Repository',
      metadata: { name: 'other' },
      spec: { ...projects!.spec, url: world.urlOf(bare) },
    }
    await world.declare({ 'repositories.yaml': [projects, other] })
  })

  async function askOther(project: string) {
    writeTree(clone(), world.requestFiles(project, tables))
    await commitAll(clone(), `Ask for ${project}`, world.people.rob)
    await push(clone())
  }

  /** Status of the request of that name in each Repository. */
  async function statuses(project: string): Promise<Record<string, StoredStatus | undefined>> {
    const found: Record<string, StoredStatus | undefined> = {}
    await world.run({
      inspect: async ({ store }) => {
        for (const repository of ['projects', 'other'])
          found[repository] = store.status(`requests.cratewright.dev/DataAccessRequest/${repository}/${project}`)
      },
    })
    return found
  }

  const notesOf = (status: StoredStatus | undefined) =>
    (status?.report.detail as { notes?: string[] } | undefined)?.notes

  it('in two Repositories: the one recorded first keeps it, whichever is listed first, and both are told', async () => {
    await world.commit('rob', world.requestFiles('shared-name', tables))
    await world.run()
    await askOther('shared-name')
    const { projects, other } = await statuses('shared-name')
    assert.equal(phaseOf(projects), 'Validated')
    // Seen before the first one's repository was read, it is given an id, and then waits all the same.
    assert.ok(['Requested', 'Created'].includes(phaseOf(other)), phaseOf(other))
    assert.equal(other?.waits[0]?.reason, 'NameTaken')
    assert.match(
      other?.waits[0]?.message ?? '',
      /Repository projects has a request of this name, which was there first/,
    )
    assert.match(notesOf(projects)?.[0] ?? '', /Repository other has a request of this name as well; it waits/)
  })

  it('seen at once: one of them waits, and always the same one', async () => {
    await world.commit('rob', world.requestFiles('at-once', tables))
    await askOther('at-once')
    const waiting: (string | undefined)[] = []
    for (let look = 0; look < 3; look++) {
      const { projects, other } = await statuses('at-once')
      const reasons = [projects, other].map(status => status?.waits[0]?.reason)
      assert.equal(reasons.filter(reason => reason === 'NameTaken').length, 1, `${reasons}`)
      waiting.push(reasons[0])
    }
    assert.equal(new Set(waiting).size, 1)
  })

  it('a request with a name of its own goes on', async () => {
    await git(clone(), 'rm', '-rq', 'projects/shared-name')
    await commitAll(clone(), 'Remove it', world.people.rob)
    await push(clone())
    assert.equal(phaseOf((await statuses('shared-name')).projects), 'Validated')
    await world.commit('rob', world.requestFiles('another-name', tables))
    assert.equal(phaseOf((await statuses('another-name')).projects), 'Validated')
  })
})

describe('a folder that goes and comes back', function () {
  this.timeout(120_000)
  let world: World
  before(async () => {
    world = await World.make()
    await world.walk('there', 'Staged')
  })

  const remove = async () => {
    await git(world.clone('rob'), 'pull', '--quiet', '--rebase', 'origin', 'main')
    await git(world.clone('rob'), 'rm', '-rq', 'projects/there')
    await commitAll(world.clone('rob'), 'Remove it', world.people.rob)
    await push(world.clone('rob'))
  }

  it('is Missing, also for a controller that never saw it, and nothing is destroyed', async () => {
    await remove()
    const before = await world.steps('there')
    const status = (await world.run()).get('there')
    assert.equal(phaseOf(status), 'Missing')
    assert.deepEqual(await world.steps('there'), before)
  })

  it('is back where it was once the folder is', async () => {
    const before = await world.steps('there')
    await git(world.clone('rob'), 'revert', '--no-edit', '--no-gpg-sign', 'HEAD')
    await git(world.clone('rob'), 'reset', '--quiet', '--soft', 'HEAD~1')
    await commitAll(world.clone('rob'), 'Put it back', world.people.rob)
    await push(world.clone('rob'))
    const status = (await world.run()).get('there')
    assert.equal(phaseOf(status), 'Staged')
    assert.deepEqual(await world.steps('there'), before)
  })

  it('under another name is another request, and the first stays Missing', async () => {
    await git(world.clone('rob'), 'mv', 'projects/there', 'projects/elsewhere')
    await commitAll(world.clone('rob'), 'Rename it', world.people.rob)
    await push(world.clone('rob'))
    const statuses = await world.run()
    assert.equal(phaseOf(statuses.get('there')), 'Missing')
    assert.equal(phaseOf(statuses.get('elsewhere')), 'Requested')
    assert.equal(statuses.get('elsewhere')?.waits[0]?.reason, 'ProjectNameMismatch')
  })
})
