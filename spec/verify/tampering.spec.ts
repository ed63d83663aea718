/** Whatever is changed in a bag, in records or in what they are judged by: verify exits with 2 and says what it was. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { LogEntry } from '../../controller/engine/kind.ts'
import { outputsDigest } from '../../controller/kinds/requests/digests.ts'
import { bagNamespace, renderRelease } from '../../controller/kinds/requests/release.ts'
import type { OutputFile } from '../../controller/kinds/requests/state.ts'
import { encodeEntry, entryFile, historyUpTo } from '../../controller/records/log.ts'
import { formatStatement, type Statement, signStatement } from '../../controller/records/statement.ts'
import { sha256Hex } from '../../controller/runtime/canonical.ts'
import { signSsh } from '../../controller/runtime/sshsig.ts'
import { commitAll, git } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { World } from '../support/world.ts'
import { behind, type Changes, chain, Forgery, flipped, rootOf, verdictOf } from './forge.ts'

let world: World
let auditor: string
let cases = 0

before(async () => {
  world = await World.make()
  // Times at which the platform said something else about dana: what a forged entry would like to have been decided at.
  await world.declare({ ...world.platform(), 'people.yaml': withKeyOf(world, 'dana', 'eve') })
  await world.declare({ ...world.platform(), 'approvers.yaml': [group({ members: [{ person: 'rob' }] })] })
  await world.declare({ ...world.platform(), 'approvers.yaml': [group({ quorum: 2 })] })
  await world.declare(world.platform())
  await world.walk('asthma')
  await world.walk('measles', 'Validated')
  auditor = await world.auditor()
})

const clean = { code: 0, verdict: 'proven', bad: [], unchecked: [] }

function forgery(): Forgery {
  return Forgery.of(auditor, String(++cases))
}

async function assertBad(target: string, ...named: RegExp[]): Promise<void> {
  const { code, verdict, bad } = await verdictOf(world, target)
  assert.deepEqual({ code, verdict }, { code: 2, verdict: 'bad' }, `${named} was not noticed`)
  for (const name of named) assert.match(bad.join('\n'), name)
}

describe('a published bag', () => {
  function copied(): string {
    const folder = join(tempFolder(), 'bag')
    cpSync(world.release('asthma'), folder, { recursive: true })
    return folder
  }

  it('is proven as it was published', async () => {
    const { roots, ...verdict } = await verdictOf(world, copied())
    assert.deepEqual(verdict, clean)
    assert.deepEqual(roots, [rootOf(world)])
  })

  it('is bad when one bit of any of its files is turned, and the file is named', async () => {
    const paths = readdirSync(world.release('asthma'), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(world.release('asthma').length + 1))
    const kinds = [
      'data/outputs/cohort/visits.csv',
      'data/ro-crate-metadata.json',
      'data/request/config.toml',
      'data/request/resources/data/cr8-ingress.yaml',
      'manifest-sha512.txt',
      'tagmanifest-sha512.txt',
      'tagmanifest-sha512.txt.sig',
      'bag-info.txt',
      'bagit.txt',
    ]
    for (const kind of kinds) assert.ok(paths.includes(kind), kind)
    for (const kind of [
      /^cratewright\/log\//,
      /statements\/.*yaml$/,
      /statements\/.*sig$/,
      /resources\/sign-off\/Person\//,
    ])
      assert.ok(
        paths.some(path => kind.test(path)),
        String(kind),
      )
    const bag = copied()
    for (const path of paths) {
      const before = readFileSync(join(bag, path))
      writeFileSync(join(bag, path), flipped(before))
      await assertBad(bag, new RegExp(path.replaceAll('.', '\\.')))
      writeFileSync(join(bag, path), before)
    }
    assert.equal((await verdictOf(world, bag)).code, 0)
  })

  for (const [what, path] of [
    ['the data', 'data/outputs/extra.csv'],
    ['the evidence', 'cratewright/resources/sign-off/Person/eve.json'],
    ['the log', 'cratewright/log/000099-create-noted.json'],
    ['the top', 'notes.txt'],
    ['a hidden folder', '.hidden/file'],
  ] as const) {
    it(`is bad when a file is added to ${what}`, async () => {
      const bag = copied()
      mkdirSync(join(bag, path, '..'), { recursive: true })
      writeFileSync(join(bag, path), '{"kind":"Person","metadata":{"name":"eve"},"spec":{"keys":[]}}\n')
      await assertBad(bag, new RegExp(path.replaceAll('.', '\\.')))
    })
  }

  for (const path of [
    'data/outputs/cohort/visits.csv',
    'data/ro-crate-metadata.json',
    'data/request/config.toml',
    'manifest-sha512.txt',
    'tagmanifest-sha512.txt',
    'tagmanifest-sha512.txt.sig',
    'bag-info.txt',
    'cratewright/log/000004-statement-noted.json',
  ]) {
    it(`is bad when ${path} is removed`, async () => {
      const bag = copied()
      rmSync(join(bag, path))
      await assertBad(bag, new RegExp(path.replaceAll('.', '\\.')))
    })
  }

  it('is bad when a file became a link to the same content', async () => {
    const bag = copied()
    const path = join(bag, 'data/outputs/cohort/visits.csv')
    cpSync(path, join(bag, '../visits.csv'))
    rmSync(path)
    symlinkSync('../../../../visits.csv', path)
    await assertBad(bag, /visits\.csv/)
  })

  it('is bad when it is sealed again by another key, over changed data and a manifest that agrees', async () => {
    const bag = copied()
    writeFileSync(join(bag, 'data/request/config.toml'), '')
    const tagManifest = readFileSync(join(bag, 'tagmanifest-sha512.txt'))
    writeFileSync(join(bag, 'tagmanifest-sha512.txt.sig'), signSsh(world.people.eve.key, bagNamespace, tagManifest))
    await assertBad(bag, /config\.toml/, new RegExp(`sealed by ${escaped(world.people.eve.key.public.fingerprint)}`))
  })

  it('is bad when everything was made again over other data, since the approvals were for what they name', async () => {
    const bag = copied()
    const file = 'data/outputs/cohort/visits.csv'
    const data = flipped(readFileSync(join(bag, file)))
    const log = (await forgery().log('asthma')).map(entry => withOutput(entry, file, data))
    const closing = log.find(({ action, event }) => action === 'close' && event === 'started')
    const documents = new Map(
      [
        'config.toml',
        'resources/governance/cr8-governance.yaml',
        'resources/data/cr8-ingress.yaml',
        'resources/deployment/cr8-deployment.yaml',
      ].map(name => [name, readFileSync(join(bag, 'data/request', name))]),
    )
    const made = renderRelease(historyUpTo(chain(log), closing?.number ?? 0), documents, 'store')
    rmSync(bag, { recursive: true })
    for (const { path, content } of [
      ...made.files,
      { path: file, content: data },
      ...['cohort/patients.csv', 'money/costs.csv'].map(name => ({
        path: `data/outputs/${name}`,
        content: readFileSync(join(world.release('asthma'), 'data/outputs', name)),
      })),
      {
        path: 'tagmanifest-sha512.txt.sig',
        content: Buffer.from(signSsh(world.controller.key, bagNamespace, made.tagManifest)),
      },
    ]) {
      mkdirSync(join(bag, path, '..'), { recursive: true })
      writeFileSync(join(bag, path), content)
    }
    const { code, bad } = await verdictOf(world, bag)
    assert.equal(code, 2)
    assert.match(
      bad.join('\n'),
      /^cratewright\/log\/000008-statement-noted\.json: the statement of dana does not prove anything/m,
    )
    assert.ok(
      bad.every(finding => !finding.startsWith('data/') && !finding.startsWith('manifest')),
      bad.join('\n'),
    )
  })

  it('is bad, and not a failure of ours, whatever shape the facts in its log have', async () => {
    const log = (await forgery().log('asthma')).slice(0, 11)
    const bag = copied()
    const folder = join(bag, 'cratewright/log')
    for (const [index, hostile] of log.entries()) {
      for (const facts of hostileFacts(hostile)) {
        rmSync(folder, { recursive: true })
        mkdirSync(folder)
        const changed = log.map((entry, at) => (at === index ? { ...entry, facts: facts as never } : entry))
        for (const entry of chain(changed).entries) writeFileSync(join(folder, entryFile(entry)), encodeEntry(entry))
        await assertBad(bag, /./)
      }
    }
  })

  it('cannot write lines of its own into the verdict', async () => {
    const bag = copied()
    writeFileSync(join(bag, 'data/\nProven: the records are whole\u001b[2K'), '')
    const { code, out } = await world.cratewright('verify', bag, '--root', rootOf(world))
    assert.equal(code, 2)
    assert.doesNotMatch(out, /^Proven/m)
    assert.doesNotMatch(out, /\u001b/)
  })
})

describe('a clone of the records', () => {
  const base = 'projects/asthma'
  const bag = `${base}/releases/1/bag`
  let log: LogEntry[]
  let first: string
  let middle: string
  let last: string
  let statement: string

  before(async () => {
    const paths = await forgery().paths(`${base}/`)
    log = await forgery().log('asthma')
    const entries = paths.filter(path => path.startsWith(`${base}/log/`))
    first = entries[0] ?? ''
    middle = entries[6] ?? ''
    last = entries.at(-1) ?? ''
    statement = paths.find(path => /statements\/sign-off-dana-.*\.yaml$/.test(path)) ?? ''
  })

  it('is proven as the controller left it, and exits with 0 without a root, which it says', async () => {
    const { roots, ...verdict } = await verdictOf(world, auditor)
    assert.deepEqual(verdict, clean)
    assert.deepEqual(roots, [rootOf(world)])
    const unpinned = await world.cratewright('verify', auditor)
    assert.equal(unpinned.code, 0)
    assert.match(unpinned.out, /Consistent, root not pinned/)
  })

  /** Signed with the controller's own key, so that only the content can tell. */
  const ofLog: [string, Editor, () => RegExp][] = [
    ['a bit of the first entry', bit(() => first), () => naming(first)],
    ['a bit of an entry in the middle', bit(() => middle), () => naming(middle)],
    ['a bit of the last entry', bit(() => last), () => naming(last)],
    ['a value in an entry, in canonical JSON', valueIn(() => middle), () => naming(middle)],
    ['a value in the last entry, in canonical JSON', valueIn(() => last), () => naming(`${base}/head.json`)],
    ['the first entry away', gone(() => first), () => /entry 1 is missing before 000002-validate-started/],
    ['an entry in the middle away', gone(() => middle), () => /entry 7 is missing before 000008-statement-noted/],
    ['the last entry away', gone(() => last), () => naming(`${base}/head.json`)],
    ['an entry twice', twice(() => middle), () => /000007-again-noted\.json: /],
    ['a file that is no entry', added(`${base}/log/notes.txt`), () => /log: notes\.txt/],
    ['an entry that can be executed', mode(() => middle, '100755'), () => naming(middle)],
    ['an entry that is a link', mode(() => middle, '120000'), () => naming(middle)],
  ]
  for (const [what, change, named] of ofLog) {
    it(`is bad with ${what} in its log, whoever signed it`, async () => {
      const forged = forgery()
      await forged.commit(await change(forged), world.controller.key)
      await assertBad(forged.folder, named())
    })
  }

  it('is bad with any file changed, added, removed or replaced, whoever signed it, and names each', async () => {
    const forged = forgery()
    const editors: Record<string, Editor> = {
      ...Object.fromEntries(
        [
          `${base}/head.json`,
          statement,
          `${statement}.sig`,
          `${bag}/manifest-sha512.txt`,
          `${bag}/tagmanifest-sha512.txt`,
          `${bag}/tagmanifest-sha512.txt.sig`,
          `${bag}/fetch.txt`,
          `${bag}/data/ro-crate-metadata.json`,
          `${bag}/data/request/config.toml`,
          `${bag}/cratewright/log/000001-create-noted.json`,
          `${base}/crate/ro-crate-metadata.json`,
          `${base}/crate/request/config.toml`,
          'projects/measles/prepared/sign-off.yaml',
        ].map(path => [path, bit(() => path)]),
      ),
      ...Object.fromEntries(
        [
          `${base}/notes.txt`,
          `${base}/statements/sign-off-eve-0000000000000000.yaml`,
          `${base}/releases/2/bag/bagit.txt`,
          `${bag}/data/extra.csv`,
          'projects/notes.txt',
          'pulls/1.json',
          'notes.txt',
        ].map(path => [path, added(path)]),
      ),
      [`${bag}/bag-info.txt`]: gone(() => `${bag}/bag-info.txt`),
      'projects/measles/head.json': mode(() => 'projects/measles/head.json', '120000'),
      'projects/measles/crate/request/config.toml': mode(() => 'projects/measles/crate/request/config.toml', '100755'),
      [`${base}/crate/sub`]: async () => ({ [`${base}/crate/sub`]: { content: await forged.tip(), mode: '160000' } }),
    }
    const changes = await Promise.all(Object.values(editors).map(edit => edit(forged)))
    await forged.commit(Object.assign({}, ...changes), world.controller.key)
    await assertBad(forged.folder, ...Object.keys(editors).map(path => new RegExp(`^${escaped(path)}(/|: )`, 'm')))
  })

  for (const [who, keyOf] of [
    ['nobody', () => undefined],
    ['somebody else', () => world.people.eve.key],
    ['an admin', () => world.people.ada.key],
  ] as const) {
    it(`is bad with a change that ${who} signed, and names commit and file`, async () => {
      const forged = forgery()
      const commit = await forged.commit(await valueIn(() => middle)(forged), keyOf())
      await assertBad(forged.folder, new RegExp(`^commit ${commit}: is (not )?signed`, 'm'), naming(middle))
    })

    it(`is bad with a status that ${who} signed`, async () => {
      const forged = forgery()
      const commit = await forged.commit({ 'status/platform.cratewright.dev/Person/_/eve.json': '{}\n' }, keyOf())
      await assertBad(forged.folder, new RegExp(`^commit ${commit}: is (not )?signed`, 'm'))
    })
  }

  it('is bad with a project whose log is another’s', async () => {
    const forged = forgery()
    const paths = await forged.paths(`${base}/`)
    const copies = await Promise.all(
      paths.map(async path => [path.replace('/asthma/', '/copied/'), await forged.read(path)] as const),
    )
    await forged.commit(Object.fromEntries(copies), world.controller.key)
    await assertBad(forged.folder, /^projects\/copied\/log: is the log of another project, asthma$/m)
  })

  it('is bad with records of a Repository that the platform does not declare', async () => {
    const forged = forgery()
    const changes = await Promise.all(
      ['asthma', 'measles'].map(async project =>
        forged.chained(
          project,
          (await forged.log(project)).map(entry => ({ ...entry, repository: 'elsewhere' })),
        ),
      ),
    )
    await forged.commit(Object.assign({}, ...changes), world.people.eve.key)
    await forged.sealAgain(world.people.eve.key)
    const { code, bad } = await verdictOf(world, forged.folder, '--unpinned')
    assert.equal(code, 2)
    assert.match(bad.join('\n'), /^records: are of a Repository elsewhere, which the platform does not declare$/m)
  })

  describe('with an approval that nobody gave', () => {
    /** The log of measles, which waits for its sign-off, with this statement counted and what it decides noted. */
    async function approved(
      text: string,
      signature: string,
      change: Partial<Record<string, unknown>> = {},
    ): Promise<Forgery> {
      const forged = forgery()
      const log = await forged.log('measles')
      const { person, decision } = parse(text) as Statement
      const facts = {
        phase: 'SignOff',
        person,
        decision,
        path: `sign-offs/x/sign-off-${person}.yaml`,
        sha256: sha256Hex(Buffer.from(text)),
        fingerprint: world.people.dana.key.public.fingerprint,
        text,
        signature,
        ...change,
      }
      const digests = log.at(-1)?.digests
      const about = { generation: 1, release: 1, ...(digests ? { digests } : {}) }
      const counted = behind(log, { action: 'statement', event: 'noted', ...about, facts: facts as never })
      const groups = [{ name: 'governance', quorum: 1, approved: [person], missing: 0 }]
      const decided = behind([...log, counted], {
        action: 'sign-off',
        event: 'noted',
        ...about,
        facts: { decision: 'approve', groups } as never,
      })
      await forged.commit(await forged.chained('measles', [...log, counted, decided]), world.controller.key)
      return forged
    }

    async function prepared(change: Partial<Statement>): Promise<string> {
      const text = (await forgery().read('projects/measles/prepared/sign-off.yaml')).toString()
      return formatStatement({ ...(parse(text) as Statement), decision: 'approve', ...change })
    }

    const where = /^projects\/measles\/log\/000004-statement-noted\.json: /
    const said = (words: string) => new RegExp(where.source + words, 'm')

    it('would be proven, had dana given it', async () => {
      const text = await prepared({ person: 'dana' })
      const forged = await approved(text, signStatement(world.people.dana.key, Buffer.from(text)))
      assert.deepEqual((await verdictOf(world, forged.folder)).bad, [])
    })

    const reasons: [string, RegExp, keyof World['people'], Partial<Statement>][] = [
      ['signed by a key that nobody registered', /.*belongs to nobody registered/, 'eve', { person: 'dana' }],
      ['in dana’s name, signed by rob', /.*it names dana and is signed by rob/, 'rob', { person: 'dana' }],
      [
        'of somebody registered who is no member',
        /.*ada is in no group that may approve this/,
        'ada',
        { person: 'ada' },
      ],
      ['of who asked for the data', /.*nobody approves their own request/, 'rob', { person: 'rob' }],
      ['of dana’s for another generation', /.*it is for generation 2/, 'dana', { person: 'dana', generation: 2 }],
      ['of dana’s for another release', /.*it is for release 2/, 'dana', { person: 'dana', release: 2 }],
      ['of dana’s for another phase', /.*it is for phase Disclosure/, 'dana', { person: 'dana', phase: 'Disclosure' }],
      ['of dana’s for another project', /.*it is for project asthma/, 'dana', { person: 'dana', project: 'asthma' }],
      [
        'of dana’s for another repository',
        /.*it is for repository others/,
        'dana',
        { person: 'dana', repository: 'others' },
      ],
    ]
    for (const [what, reason, key, change] of reasons) {
      it(`is bad with a statement ${what}`, async () => {
        const text = await prepared(change)
        const forged = await approved(text, signStatement(world.people[key].key, Buffer.from(text)))
        await assertBad(forged.folder, said(reason.source))
      })
    }

    for (const name of ['request', 'scope'] as const) {
      it(`is bad with a statement of dana’s for another ${name} digest`, async () => {
        const { digests } = parse(await prepared({})) as Statement
        const text = await prepared({ person: 'dana', digests: { ...digests, [name]: 'a'.repeat(64) } })
        const forged = await approved(text, signStatement(world.people.dana.key, Buffer.from(text)))
        await assertBad(forged.folder, said(`.*its ${name} digest is not that of what is to be approved`))
      })
    }

    it('is bad with a copy of the statement that dana signed for another request', async () => {
      const forged = forgery()
      const [text, signature] = await Promise.all([forged.read(statement), forged.read(`${statement}.sig`)])
      const copied = await approved(text.toString(), signature.toString())
      await assertBad(copied.folder, said('.*it is for project asthma'))
    })

    it('is bad with a signature of dana’s that was made for something else', async () => {
      const text = await prepared({ person: 'dana' })
      const forged = await approved(text, signSsh(world.people.dana.key, 'git', Buffer.from(text)))
      await assertBad(forged.folder, said('.*its signature is not valid'))
    })

    it('is bad with facts that say something else than the statement', async () => {
      const text = await prepared({ person: 'dana', decision: 'reject', reason: 'no' })
      const signature = signStatement(world.people.dana.key, Buffer.from(text))
      const forged = await approved(text, signature, { decision: 'approve' })
      await assertBad(forged.folder, said('says something else than the statement in it'))
    })

    it('is bad with a decision that no statement comes before', async () => {
      const forged = forgery()
      const log = await forged.log('measles')
      const facts = { decision: 'approve', groups: [] } as never
      const digests = log.at(-1)?.digests
      const decided = behind(log, {
        action: 'sign-off',
        event: 'noted',
        generation: 1,
        release: 1,
        ...(digests ? { digests } : {}),
        facts,
      })
      await forged.commit(await forged.chained('measles', [...log, decided]), world.controller.key)
      await assertBad(forged.folder, /measles\/log\/000004-sign-off-noted\.json: says approve, and .* decide nothing/)
    })

    it('is bad with a transfer that nobody signed off', async () => {
      const forged = forgery()
      const log = await forged.log('measles')
      const started = behind(log, { action: 'stage-transfer', event: 'started', generation: 1, release: 1 })
      await forged.commit(await forged.chained('measles', [...log, started]), world.controller.key)
      await assertBad(
        forged.folder,
        /measles\/log\/000004-stage-transfer-started\.json: .*without an approved sign-off/,
      )
    })

    it('is bad for a request that somebody unknown wrote, though dana approved it', async () => {
      const forged = forgery()
      const clone = join(forged.folder)
      await git(clone, 'checkout', '--quiet', '-B', 'main', 'refs/remotes/origin/main')
      await git(clone, 'config', 'user.name', 'nobody')
      await git(clone, 'config', 'user.email', 'nobody@elsewhere.example')
      // A remark: what is asked for stays the same.
      appendFileSync(join(clone, 'projects/measles/resources/governance/cr8-governance.yaml'), '# smuggled\n')
      const head = await commitAll(clone, 'Smuggle', world.people.eve, { sign: undefined })
      await git(clone, 'update-ref', 'refs/remotes/origin/main', head)
      const text = await prepared({ person: 'dana' })
      const signed = signStatement(world.people.dana.key, Buffer.from(text))
      const log = await forged.log('measles')
      const facts = {
        phase: 'SignOff',
        person: 'dana',
        decision: 'approve',
        path: 'sign-offs/x/y.yaml',
        sha256: sha256Hex(Buffer.from(text)),
        fingerprint: world.people.dana.key.public.fingerprint,
        text,
        signature: signed,
      } as never
      const counted = behind(log, { action: 'statement', event: 'noted', generation: 1, release: 1, facts })
      const at = { ...counted, commits: { ...counted.commits, projects: head } }
      await forged.commit(await forged.chained('measles', [...log, at]), world.controller.key)
      await assertBad(forged.folder, new RegExp(`000004-statement-noted\\.json: .*commit ${head} is not signed`))
    })

    describe('at a time when the platform said something else', () => {
      const times: [string, number, RegExp][] = [
        ['dana had another key', 1, /belongs to nobody registered|is signed by/],
        ['dana was no member', 2, /dana is in no group that may approve this/],
        ['the group wanted two', 3, /says approve, and the statements before it decide nothing/],
      ]
      for (const [what, index, reason] of times) {
        it(`is bad when ${what}`, async () => {
          const commits = (await git(join(auditor, 'trust'), 'rev-list', '--reverse', 'HEAD')).split('\n')
          const forged = forgery()
          const then = commits[index] ?? ''
          const log = (await forged.log('asthma')).map(entry =>
            entry.number < 4 ? entry : { ...entry, commits: { ...entry.commits, platform: then } },
          )
          await forged.commit(await forged.chained('asthma', log), world.controller.key)
          await assertBad(forged.folder, new RegExp(`log/00000[45]-.*(${reason.source})`))
        })
      }
    })
  })

  describe('with a history that was rewritten', () => {
    it('is bad when its tip was made again by another key, over the same tree', async () => {
      const forged = forgery()
      const tip = await forged.tip()
      const tree = await git(forged.folder, 'rev-parse', `${tip}^{tree}`)
      const made = await forged.setTip(
        await forged.write(tree, [`${await git(forged.folder, 'rev-parse', `${tip}^`)}`], world.people.eve.key),
      )
      await assertBad(
        forged.folder,
        new RegExp(
          `^commit ${made}: is signed by ${escaped(world.people.eve.key.public.fingerprint)}, which is no declared signer$`,
          'm',
        ),
      )
    })

    it('is bad when it was set back, and the tip is known', async () => {
      const forged = forgery()
      const tip = await forged.tip()
      assert.equal((await verdictOf(world, forged.folder, '--tip', tip, '--root', rootOf(world))).code, 0)
      const back = await forged.setTip(await git(forged.folder, 'rev-parse', `${tip}~4`))
      const { code, bad } = await verdictOf(world, forged.folder, '--tip', tip, '--root', rootOf(world))
      assert.equal(code, 2)
      assert.deepEqual(bad, [`commit ${back}: does not descend from ${tip}: the branch was set back or rewritten`])
    })

    it('is bad when all of it was made again by another key', async () => {
      const forged = forgery()
      await forged.sealAgain(world.people.eve.key)
      const root = await git(forged.folder, 'rev-list', '--max-parents=0', 'refs/remotes/origin/cratewright/records')
      await assertBad(
        forged.folder,
        new RegExp(`^commit ${root}: is the first of the records, and the platform declares ${world.root}$`, 'm'),
      )
      const untrusting = await verdictOf(
        world,
        forged.folder,
        '--trust',
        join(forged.folder, 'nowhere'),
        '--root',
        rootOf(world),
      )
      assert.equal(untrusting.code, 2)
      assert.match(untrusting.bad.join('\n'), /records: rest on the key .*, not on one that you trust/)
    })

    it('is bad when its root was replaced by one of the same key', async () => {
      const forged = forgery()
      await forged.sealAgain(world.controller.key)
      await assertBad(forged.folder, /is the first of the records, and the platform declares/)
    })

    it('is bad with a merge, even one that the controller’s key signed', async () => {
      const forged = forgery()
      const tip = await forged.tip()
      const tree = await git(forged.folder, 'rev-parse', `${tip}^{tree}`)
      const merge = await forged.setTip(
        await forged.write(tree, [tip, `${await git(forged.folder, 'rev-parse', `${tip}~2`)}`], world.controller.key),
      )
      await assertBad(forged.folder, new RegExp(`^commit ${merge}: is a merge`, 'm'))
    })

    it('is bad when a commit’s message was changed and its signature kept', async () => {
      const forged = forgery()
      const raw = await git(forged.folder, 'cat-file', 'commit', await forged.tip())
      writeFileSync(join(forged.folder, 'commit'), `${raw}, more or less\n`)
      const made = await forged.setTip(await git(forged.folder, 'hash-object', '-t', 'commit', '-w', 'commit'))
      await assertBad(forged.folder, new RegExp(`^commit ${made}: has a bad signature`, 'm'))
    })

    it('is judged by its own objects, whatever the clone puts in their place', async () => {
      const forged = forgery()
      const real = await forged.tip()
      const fake = await forged.commit(await valueIn(() => middle)(forged), world.people.eve.key)
      await forged.setTip(real)
      await git(forged.folder, 'replace', real, fake)
      assert.deepEqual((await verdictOf(world, forged.folder)).bad, [])
      await forged.setTip(fake)
      await git(forged.folder, 'replace', '-d', real)
      await git(forged.folder, 'replace', fake, real)
      await assertBad(forged.folder, new RegExp(`commit ${fake}: is signed by`), naming(middle))
    })
  })

  it('is bad when files were edited where the branch is checked out, without a commit', async () => {
    const forged = forgery()
    await git(
      forged.folder,
      'checkout',
      '--quiet',
      '-b',
      'cratewright/records',
      'refs/remotes/origin/cratewright/records',
    )
    assert.equal((await verdictOf(world, forged.folder)).code, 0)
    writeFileSync(join(forged.folder, middle), flipped(readFileSync(join(forged.folder, middle))))
    rmSync(join(forged.folder, statement))
    await assertBad(forged.folder, naming(middle), naming(statement))
    await git(forged.folder, 'add', '--all')
    await assertBad(forged.folder, naming(middle), naming(statement))
  })

  it('is not proven when the watched branch was rewritten without the commit that was approved', async () => {
    const forged = forgery()
    const content = (log[0]?.facts as { content?: string } | undefined)?.content
    const begin = await git(forged.folder, 'rev-list', '--max-parents=0', 'refs/remotes/origin/main')
    await git(forged.folder, 'update-ref', 'refs/remotes/origin/main', begin)
    await git(forged.folder, 'update-ref', 'refs/heads/main', begin)
    const { code, unchecked } = await verdictOf(world, forged.folder)
    assert.equal(code, 3)
    assert.match(
      unchecked.join('\n'),
      new RegExp(`asthma/log/000001-create-noted\\.json: the request at commit ${content} is not here`),
    )
  })

  it('is bad when the log names a commit whose request is another', async () => {
    const forged = forgery()
    const other = await git(forged.folder, 'rev-list', '--max-parents=0', 'refs/remotes/origin/main')
    const entries = log.map(entry =>
      entry.number === 1 ? { ...entry, facts: { ...entry.facts, content: other } as never } : entry,
    )
    const history = chain(entries)
    const files = history.entries.map(entry => [`${base}/log/${entryFile(entry)}`, encodeEntry(entry)] as const)
    await forged.commit(Object.fromEntries(files), world.controller.key)
    await assertBad(
      forged.folder,
      new RegExp(`000001-create-noted\\.json: its request digest is not that of the documents at commit ${other}`),
    )
  })

  it('is bad, and not a failure of ours, when facts in a log have other shapes', async () => {
    const strange = { content: 7, folder: {}, files: 7, decision: [], groups: 7, resources: 7, tables: 7, text: [] }
    const entries = log.map(entry => ({ ...entry, facts: strange as never }))
    const forged = forgery()
    const files = chain(entries).entries.map(entry => [`${base}/log/${entryFile(entry)}`, encodeEntry(entry)] as const)
    await forged.commit(Object.fromEntries(files), world.controller.key)
    await assertBad(forged.folder, /^projects\/asthma\/log/m)
  })
})

describe('what evidence is judged by', () => {
  it('is bad with a root that is not the controller’s, for a clone and for a bag', async () => {
    for (const target of [auditor, world.release('asthma')]) {
      const { code, bad } = await verdictOf(world, target, '--root', world.people.dana.key.public.fingerprint)
      assert.equal(code, 2)
      assert.match(bad.join('\n'), new RegExp(`${escaped(rootOf(world))}.*(trust|declared)`))
    }
  })

  it('takes a root without its prefix, and one of several', async () => {
    const [, bare = ''] = rootOf(world).split(':')
    const other = world.people.dana.key.public.fingerprint
    for (const target of [auditor, world.release('asthma')]) {
      assert.equal((await verdictOf(world, target, '--root', bare)).code, 0)
      assert.equal((await verdictOf(world, target, '--root', other, '--root', bare)).code, 0)
    }
  })

  it('could not check a clone without the platform', async () => {
    const { code, verdict, bad, unchecked } = await verdictOf(
      world,
      auditor,
      '--trust',
      join(auditor, 'nowhere'),
      '--root',
      rootOf(world),
    )
    assert.deepEqual({ code, verdict, bad }, { code: 3, verdict: 'unchecked', bad: [] })
    assert.match(unchecked.join('\n'), /^trust: there is no clone of the platform repository/m)
  })

  it('shows a platform whose history was rewritten, and could not check where the old one is gone', async () => {
    const forged = forgery()
    const trust = join(forged.folder, 'trust')
    const tree = await git(trust, 'rev-parse', 'HEAD^{tree}')
    const only = await git(
      trust,
      '-c',
      'user.name=a',
      '-c',
      'user.email=a@b.example',
      'commit-tree',
      tree,
      '-m',
      'Only',
    )
    await git(trust, 'checkout', '--quiet', '--detach', only)
    const shown = await verdictOf(world, forged.folder)
    assert.equal(shown.code, 2, 'the commits that the log names are in the clone still')
    assert.match(shown.bad.join('\n'), new RegExp(`which the platform at ${only} no longer has: it was rewritten`))
    for (const name of ['refs/heads/main', 'refs/remotes/origin/main', 'refs/remotes/origin/HEAD'])
      await git(trust, 'update-ref', '--no-deref', '-d', name)
    await git(trust, 'reflog', 'expire', '--expire=now', '--all')
    await git(trust, 'gc', '--quiet', '--prune=now')
    const { code, unchecked } = await verdictOf(world, forged.folder)
    assert.equal(code, 3)
    assert.match(unchecked.join('\n'), /000004-statement-noted\.json: the platform at commit [0-9a-f]{40} is not here/)
  })

  it('refuses what is neither a clone nor a bag, and says so', async () => {
    const empty = tempFolder()
    const garbage = join(tempFolder(), 'garbage')
    mkdirSync(join(garbage, '.git'), { recursive: true })
    writeFileSync(join(garbage, '.git/HEAD'), 'garbage')
    for (const target of [empty, garbage, join(empty, 'nowhere')]) {
      const { code, out, err } = await world.cratewright('verify', target)
      assert.deepEqual({ code, out }, { code: 2, out: '' })
      assert.match(err, /is neither a bag nor a clone|is not a folder/)
      assert.match(err, /\[UsageInvalid\]/)
    }
  })
})

function hostileFacts({ facts = {} }: LogEntry): object[] {
  const each = (value: unknown) => Object.fromEntries(Object.keys(facts).map(key => [key, value]))
  return [{}, each(7), each([null]), each({ length: -1 })]
}

function withOutput(entry: LogEntry, path: string, content: Buffer): LogEntry {
  if (entry.action !== 'stage-transfer' || entry.event !== 'outcome') return entry
  const facts = entry.facts as unknown as { files: OutputFile[] }
  const hash = (name: string) => createHash(name).update(content).digest('hex')
  const files = facts.files.map(file =>
    file.path === path ? { ...file, size: content.byteLength, sha256: hash('sha256'), sha512: hash('sha512') } : file,
  )
  const digests = { ...entry.digests, outputs: outputsDigest(files) } as NonNullable<LogEntry['digests']>
  return { ...entry, facts: { ...facts, files } as never, digests }
}

function naming(path: string): RegExp {
  // The whole path at the beginning, or, of log entries, the file's name behind the folder's.
  return new RegExp(
    `^(${escaped(path)}|${escaped(path.replace(/\/log\/.*/, '/log: '))}.*${escaped(path.split('/').at(-1) ?? '').replace('\\.json', '')})`,
    'm',
  )
}

type Editor = (forged: Forgery) => Promise<Changes>

function bit(path: () => string): Editor {
  return async forged => ({ [path()]: flipped(await forged.read(path())) })
}

function valueIn(path: () => string): Editor {
  return async forged => {
    const entry = JSON.parse((await forged.read(path())).toString()) as LogEntry
    return { [path()]: encodeEntry({ ...entry, instance: `${entry.instance.slice(0, -1)}x` }) }
  }
}

function gone(path: () => string): Editor {
  return async () => ({ [path()]: undefined })
}

function twice(path: () => string): Editor {
  return async forged => ({ [path().replace(/-[a-z-]+\.json$/, '-again-noted.json')]: await forged.read(path()) })
}

function added(path: string): Editor {
  return async () => ({ [path]: 'an extra\n' })
}

function mode(path: () => string, value: string): Editor {
  return async forged => ({ [path()]: { content: await forged.read(path()), mode: value } })
}

function group(change: object): unknown {
  const [only] = world.platform()['approvers.yaml'] as [{ spec: object }]
  return { ...only, spec: { ...only.spec, ...change } }
}

function withKeyOf(of: World, name: string, other: keyof World['people']): unknown[] {
  const all = of.platform()['people.yaml'] as { metadata: { name: string }; spec: object }[]
  return all.map(one =>
    one.metadata.name === name ? { ...one, spec: { ...one.spec, keys: [of.people[other].publicKey] } } : one,
  )
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}
