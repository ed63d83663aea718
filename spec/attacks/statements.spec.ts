import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { LogEntry } from '../../controller/engine/kind.ts'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import { formatStatement, type Statement } from '../../controller/records/statement.ts'
import { explained, record, requestDetail } from '../kinds/requests/helpers.ts'
import { commitAll, git, makePerson, type PersonWithKey, push, writeTree } from '../support/people.ts'
import { phaseOf, World } from '../support/world.ts'
import {
  type Beat,
  cohort,
  type Files,
  type Member,
  type Row,
  removed,
  rows,
  Stage,
  signedText,
  unknown,
} from './statement-rows.ts'

describe('statements under attack', function () {
  this.timeout(180_000)
  let world: World
  const stages = new Map<string, Stage>()
  const keys = new Map<string, readonly PersonWithKey[]>()
  const members = new Map<string, readonly Member[]>()
  /** What stood after each beat. */
  const seen = new Map<string, { beat: Beat; status: StoredStatus | undefined; text: string; log: LogEntry[] }[]>()

  before(async () => {
    world = await World.make()
    for (const { project, members: first } of rows) {
      const stage = new Stage(world, project)
      stages.set(project, stage)
      members.set(project, first ?? [{ who: 'a' }, { who: 'b' }])
      for (const who of ['a', 'b'] as const) keys.set(stage.name(who), [stage.people[who]])
    }
    await declare()
    for (const { project, coAuthor } of rows) {
      const by = coAuthor ? `\n\nCo-authored-by: A <${coAuthor}-${project}@hospital.example>` : ''
      if (coAuthor) await world.commit('rob', world.requestFiles(project, cohort), { message: `Ask${by}` })
    }
    const plain = rows.filter(({ coAuthor }) => !coAuthor)
    await world.commit('rob', Object.assign({}, ...plain.map(({ project }) => world.requestFiles(project, cohort))))
    await world.run()
    const longest = Math.max(...rows.map(({ beats }) => beats.length))
    for (let number = 0; number < longest; number++) await play(number)
  })

  async function play(number: number): Promise<void> {
    const beats = new Map<string, Beat>()
    for (const { project, beats: all } of rows) {
      const [make, stage] = [all[number], stages.get(project)]
      if (make && stage) beats.set(project, await make(stage))
    }
    const cut = new Set<string>()
    const files: Record<string, string | undefined> = {}
    const requests: Record<string, string> = {}
    let declared = false
    for (const [project, beat] of beats) {
      const stage = stages.get(project)!
      for (const who of ['a', 'b'] as const) if (beat.keys?.[who]) keys.set(stage.name(who), beat.keys[who])
      if (beat.members) members.set(project, beat.members)
      if (beat.cut) cut.add(project)
      if (beat.request) Object.assign(requests, world.requestFiles(project, cohort, { governance: beat.request }))
      declared ||= beat.keys !== undefined || beat.members !== undefined
      for (const [path, content] of Object.entries(beat.files ?? {})) files[`projects/${project}/${path}`] = content
    }
    if (declared) await declare()
    if (Object.keys(requests).length > 0) await world.commit('rob', requests)
    await pushFiles(world, files)
    if (cut.size > 0) await world.run({ stopAfter: ({ name }, { action }) => cut.has(name) && action === 'statement' })
    const statuses = await world.run({ retries: true })
    for (const [project, beat] of beats) {
      const text = await explained(world, project)
      // Each entry is a process of git's.
      const log = beat.votes ? await world.log(project) : []
      seen.set(project, [...(seen.get(project) ?? []), { beat, status: statuses.get(project), text, log }])
    }
  }

  function declare(): Promise<string> {
    const person = ([name, own]: [string, readonly PersonWithKey[]]) => ({
      kind: 'Person',
      metadata: { name },
      spec: { displayName: name, emails: [`${name}@hospital.example`], keys: own.map(({ publicKey }) => publicKey) },
    })
    const group = ({ project, quorum }: Row) => ({
      kind: 'ApproverGroup',
      metadata: { name: project },
      spec: {
        phases: ['SignOff', 'Disclosure'],
        projects: [project],
        sources: ['*'],
        quorum: quorum ?? 1,
        members: members.get(project)?.map(({ who, ...range }) => ({ person: `${who}-${project}`, ...range })),
      },
    })
    return world.declare({ 'own-people.yaml': [...keys].map(person), 'approvers.yaml': rows.map(group) })
  }

  for (const { project, beats } of rows) {
    it(`count as they are meant to, and no other: ${project}`, () => {
      const played = seen.get(project) ?? []
      assert.equal(played.length, beats.length)
      for (const [number, { beat, status, text, log }] of played.entries()) {
        const where = `beat ${number}: ${text}`
        assert.equal(phaseOf(status), beat.phase, where)
        const { statements } = requestDetail(status)
        for (const [name, says] of Object.entries(beat.says ?? {})) {
          const about = statements.filter(({ path }) => path.endsWith(`/${name}.yaml`))
          assert.equal(about.length, 1, `${name} in ${where}`)
          const [{ path, counts, reason } = { path: '', counts: false, reason: '' }] = about
          assert.equal(counts, says === 'counts', `${name}: ${reason} in ${where}`)
          if (says === 'counts') continue
          assert.match(reason ?? '', says)
          assert.ok(text.includes(`does not count: ${path}\n  Because ${reason}.`), text)
        }
        if (beat.votes) assert.deepEqual(votesIn(log), beat.votes, where)
      }
    })
  }

  it('that did not count are in the log once, with the reason, and no file of others keeps theirs from counting', async () => {
    for (const { project } of rows) {
      const noted = (await world.log(project)).filter(({ action }) => action === 'seen')
      const digests = noted.flatMap(({ facts }) =>
        (facts as unknown as { statements: { sha256: string; key: string; reason: string }[] }).statements.map(
          ({ sha256, key }) => `${sha256} ${key}`,
        ),
      )
      assert.equal(new Set(digests).size, digests.length, project)
    }
  })

  it('are not heard again when nothing changes', async () => {
    const before = await git(world.bare('projects'), 'rev-parse', 'refs/heads/cratewright/records')
    await world.run()
    assert.equal(await git(world.bare('projects'), 'rev-parse', 'refs/heads/cratewright/records'), before)
  })

  it('are judged the same by an auditor', async () => {
    const { code, out, err } = await world.cratewright('verify', await world.auditor())
    assert.equal(code, 0, out + err)
  })

  it('prove nothing by a key that two people have, and both are told', async () => {
    const stage = stages.get('two-keys-of-one-person')!
    keys.set(stage.name('b'), [stage.people.b, stage.people.a])
    await declare()
    await pushFiles(world, inProject(stage.project, await stage.sign('b', 'approve', { by: stage.people.a })))
    const status = (await world.run()).get(stage.project)
    assert.equal(phaseOf(status), 'Validated')
    assert.deepEqual(votesIn(await world.log(stage.project)), ['a approve'])
    assert.match(status?.waits[0]?.message ?? '', /while the platform repository has errors/)
    const { statements } = requestDetail(status)
    assert.match(statements.find(({ path }) => path.endsWith('/sign-off-b.yaml'))?.reason ?? '', unknown)
  })
})

describe('files of a vandal among the sign-offs', function () {
  this.timeout(180_000)
  let world: World

  before(async () => {
    world = await World.make()
    await world.commit('rob', { ...world.requestFiles('calm', cohort), ...world.requestFiles('crowded', cohort) })
    await world.run()
  })

  it('do not hide what approvers sign, and cost little: ten thousand of them', async () => {
    const elapsed = async () => {
      const start = performance.now()
      await world.run()
      return performance.now() - start
    }
    const without = await elapsed()
    const { digests } = parse((await record(world, 'projects/crowded/prepared/sign-off.yaml')) ?? '') as Statement
    const junk: Record<string, string> = {}
    for (let number = 0; number < 10_000; number++)
      junk[`sign-offs/${digests.request.slice(0, 16)}/a${number}.yaml`] = `${number}`
    await pushFiles(world, inProject('crowded', junk))
    const before = (await world.log('crowded')).length
    const first = await elapsed()
    assert.equal((await world.log('crowded')).length, before, 'junk writes nothing into the log')
    assert.ok(first < without * 3 + 5_000, `${first} ms with ten thousand files, ${without} ms without`)
    await world.signOff('dana', 'crowded')
    const status = (await world.run()).get('crowded')
    assert.equal(phaseOf(status), 'Staged', status?.report.message ?? '')
    const { statements } = requestDetail(status)
    assert.ok(statements.length <= 51)
    assert.ok(statements.some(({ reason }) => reason === 'only 50 of its 10001 statements are looked at'))
  })

  it('fill the log with no more than a hundred notes, whatever they are signed with', async () => {
    const text = (await record(world, 'projects/calm/prepared/sign-off.yaml')) ?? ''
    const statement = { ...(parse(text) as Statement), decision: 'approve' as const, person: 'dana' }
    const many = Array.from({ length: 12 }, (_, at) => makePerson(`x${at}`, join(world.folder, 'people', `x${at}`)))
    let removal: Files = {}
    const lengths: number[] = []
    for (let wave = 0; wave < 6; wave++) {
      const files: Record<string, string> = {}
      for (let number = 0; number < 50; number++) {
        const own = formatStatement({ ...statement, reason: `wave ${wave}, ${number}` })
        Object.assign(files, signedText(own, many[number % many.length]!, `a${number}`, statement.digests.request))
      }
      await pushFiles(world, inProject('calm', { ...removal, ...files }))
      removal = removed(files)
      await world.run()
      lengths.push((await world.log('calm')).length)
    }
    const log = await world.log('calm')
    const noted = log
      .filter(({ action }) => action === 'seen')
      .flatMap(({ facts }) => (facts as unknown as { statements: unknown[] }).statements)
    assert.equal(noted.length, 100)
    assert.deepEqual(votesIn(log), [])
    // Once it is full, three hundred more cost no entry.
    assert.equal(lengths.at(-1), lengths[1])
    await world.signOff('dana', 'calm')
    assert.equal(phaseOf((await world.run()).get('calm')), 'Staged')
  })

  it('are nothing that an auditor minds', async () => {
    const { code, out, err } = await world.cratewright('verify', await world.auditor())
    assert.equal(code, 0, out + err)
  })
})

function inProject(project: string, files: Files): Files {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [`projects/${project}/${path}`, content]))
}

/** Whoever pushes a statement adds nothing to it: eve is nobody, and her commit is not signed. */
async function pushFiles(world: World, files: Files): Promise<void> {
  const clone = world.clone('eve')
  await git(clone, 'pull', '--quiet', '--rebase', 'origin', 'main')
  for (const [path, content] of Object.entries(files)) {
    if (content === undefined) rmSync(join(clone, path), { force: true })
    else writeTree(clone, { [path]: content })
  }
  await commitAll(clone, 'Statements', world.people.eve, { sign: undefined })
  await push(clone)
}

function votesIn(log: readonly LogEntry[]): string[] {
  return log
    .filter(({ action }) => action === 'statement')
    .map(({ facts }) => {
      const { person, decision } = facts as { person: string; decision: string }
      return `${person.replace(/^([ab])-.*/, '$1')} ${decision}`
    })
}
