import assert from 'node:assert/strict'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { holdFolder } from '../../controller/cli/hold.ts'
import { git } from '../support/people.ts'
import { tempFolder } from '../support/temp.ts'
import { costs, patients, visits, World } from '../support/world.ts'
import { checkout, propose, run, traces } from './command-line.ts'

const cohort = { name: 'cohort', tables: [patients, visits] }
const money = { name: 'money', tables: [costs] }

/** A source that only counts who comes. */
async function startTrap(): Promise<{ port: number; connections: () => number; server: Server }> {
  let connections = 0
  const server = createServer(socket => {
    connections++
    socket.destroy()
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  server.unref()
  const address = server.address()
  return { server, port: typeof address === 'object' && address ? address.port : 0, connections: () => connections }
}

describe('plan of a branch', () => {
  let world: World
  let trap: Awaited<ReturnType<typeof startTrap>>
  let untouched: Record<string, string>

  const plan = (...argv: string[]) => world.cratewright('plan', ...argv)
  const trapped = (project: string) =>
    world.requestFiles(project, [cohort], {
      ingress: { source: { name: 'trap', type: 'postgresql', url: '127.0.0.1' } },
    })

  before(async () => {
    trap = await startTrap()
    world = await World.make({
      manifests: world => ({
        'trap.yaml': [
          {
            kind: 'SourceConnection',
            metadata: { name: 'trap' },
            spec: {
              type: 'postgresql',
              host: '127.0.0.1',
              port: trap.port,
              tls: 'disable',
              databases: ['trap'],
              projects: ['*'],
              credentials: { provider: 'file', username_key: 'db-user', password_key: 'db-password' },
            },
          },
        ],
        ...world.platform(),
      }),
    })
    await world.ask('asthma')
    await world.run()
  })
  after(() => trap.server.close())

  beforeEach(async () => {
    untouched = await traces(world)
  })
  /** What every plan has to leave as it was, refs that the test itself pushed aside. */
  async function wroteNothing(): Promise<void> {
    const after = await traces(world)
    const known = (refs = '') => refs.split('\n').filter(ref => /refs\/heads\/(main|cratewright\/records)$/.test(ref))
    assert.deepEqual(
      { ...after, projects: known(after.projects) },
      { ...untouched, projects: known(untouched.projects) },
    )
  }
  afterEach(wroteNothing)

  it('says what a merge of a new request would do, and who would have to agree', async () => {
    await propose(world, 'rob', 'new', world.requestFiles('wards', [cohort, money]))
    const { code, out, err } = await plan('--ref', 'new')
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    assert.match(out, /^Plan for wards\n/)
    assert.match(out, /from {2}postgresql database \S+, by SourceConnection warehouse\n/)
    assert.match(out, /table cohort: clinic\.visits, 4 columns {2}-> {2}data\/outputs\/cohort\/visits\.csv\n/)
    assert.match(out, /table money: clinic\.costs, 2 columns {2}-> {2}data\/outputs\/money\/costs\.csv\n/)
    assert.match(out, /The source has every table and column asked for, with the types asked for\./)
    assert.match(out, /sign-off needs 1 of governance \(dana/)
    assert.match(out, /next: give the request an id and begin its log\nthen: validate/)
    assert.doesNotMatch(out, /asthma|canary-password/)
  })

  it('takes a full ref as well, and is one JSON document with --json', async () => {
    await propose(world, 'rob', 'new', world.requestFiles('wards', [cohort]))
    const { code, out, err } = await plan('--ref', 'refs/heads/new', '--json')
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    const [preview, ...more] = JSON.parse(out) as Record<string, unknown>[]
    assert.deepEqual(more, [])
    assert.deepEqual([preview?.project, preview?.problems, preview?.findings], ['wards', [], []])
    assert.match(String(preview?.digest), /^[0-9a-f]{64}$/)
    assert.match(String(preview?.planDigest), /^[0-9a-f]{64}$/)
  })

  it('compares with the source: every table and type that is wrong, at once', async () => {
    const wrong = {
      name: 'cohort',
      tables: [
        { ...patients, columns: { id: 'text', nobody: 'integer' } },
        { name: 'absent', columns: { id: 'integer' } },
        { name: 'secret', columns: { id: 'integer' } },
      ],
    }
    await propose(world, 'rob', 'wrong', world.requestFiles('wards', [wrong]))
    const { code, out } = await plan('--ref', 'wrong')
    assert.equal(code, 2)
    for (const code of ['ColumnTypeDiffers', 'ColumnNotAvailable', 'TableNotAvailable'])
      assert.ok(out.includes(code), out)
    assert.equal(
      out.split('TableNotAvailable').length - 1,
      2,
      'a table without rights looks like one that is not there',
    )
    assert.match(out, /Nothing would be done beyond this: the request has errors\./)
  })

  it('places what is wrong in a request by file, line and column', async () => {
    const files = world.requestFiles('wards', [cohort])
    const file = 'projects/wards/resources/governance/cr8-governance.yaml'
    await propose(world, 'rob', 'invalid', { ...files, [file]: `${files[file]}purpos: none\n` })
    const { code, out } = await plan('--ref', 'invalid')
    assert.equal(code, 2)
    const line = files[file]?.split('\n').length ?? 0
    assert.match(
      out,
      new RegExp(`error: ${file}:${line}:1: purpos is not a known field \\[DocumentInvalid\\]\\n.*\`purpose\``),
    )
    assert.match(out, /Nothing would be done: the request has errors\.\n/)
    assert.equal(JSON.parse((await plan('--ref', 'invalid', '--json')).out)[0].problems[0].where.line, line)
  })

  it('names a folder that can be no project', async () => {
    const files = Object.entries(world.requestFiles('wards', [cohort]))
    await propose(
      world,
      'rob',
      'bad-name',
      Object.fromEntries(files.map(([path, text]) => [path.replace('wards', 'Bad_Wards'), text])),
    )
    const { code, out, err } = await plan('--ref', 'bad-name')
    assert.equal(code, 2, out)
    assert.match(err, /projects\/Bad_Wards: "Bad_Wards" is no project name/)
  })

  it('says that nothing is changed by a branch that changes no request', async () => {
    await propose(world, 'rob', 'readme', { 'README.md': 'other\n' })
    const { code, out, err } = await plan('--ref', 'readme')
    assert.deepEqual({ code, err }, { code: 0, err: '' })
    assert.match(out, /^No request is changed/)
    assert.deepEqual(JSON.parse((await plan('--ref', 'readme', '--json')).out), [])
  })

  it('refuses a branch that there is not', async () => {
    const { code, out, err } = await plan('--ref', 'absent')
    assert.notEqual(code, 0, out)
    assert.match(err, /refs\/heads\/absent.*\[GitRefMissing\]\n {2}\S/)
  })

  it('refuses a project that there is not', async () => {
    const { code, out, err } = await plan('absent')
    assert.notEqual(code, 0, out)
    assert.match(err, /absent.*\[DocumentMissing\]\n {2}\S/)
  })

  const unknown: readonly [string, () => Promise<void>][] = [
    ['nobody signed', () => propose(world, 'rob', 'trap', trapped('wards'), { sign: false })],
    ['a stranger signed', () => propose(world, 'eve', 'trap', trapped('wards'))],
    [
      'a stranger signed under the name of someone known',
      async () => {
        const clone = world.clone('eve')
        await git(clone, 'config', 'user.name', 'rob')
        await git(clone, 'config', 'user.email', 'rob@hospital.example')
        await propose(world, 'eve', 'trap', trapped('wards'))
      },
    ],
    [
      'a stranger signed on top of what someone known signed',
      async () => {
        await propose(world, 'rob', 'trap', trapped('wards'))
        const clone = world.clone('eve')
        await git(clone, 'fetch', '--quiet', 'origin', 'trap')
        await git(clone, 'checkout', '--quiet', '-B', 'trap', 'FETCH_HEAD')
        await git(clone, 'commit', '--quiet', '--allow-empty', '-m', 'more')
        await git(clone, 'push', '--quiet', '--force', 'origin', 'trap')
        await git(clone, 'checkout', '--quiet', 'main')
      },
    ],
  ]
  for (const [what, push] of unknown) {
    it(`connects to nothing for a tip that ${what}`, async () => {
      await push()
      const came = trap.connections()
      const { out } = await plan('--ref', 'trap')
      assert.match(out, /The source was not asked: the newest commit is not signed by a person whom the platform knows/)
      assert.equal(trap.connections(), came)
    })
  }

  it('connects for a tip that someone known signed, and says that a source is down: failed, not invalid', async () => {
    await propose(world, 'rob', 'trap', trapped('wards'))
    const came = trap.connections()
    const { code, out } = await plan('--ref', 'trap')
    assert.ok(trap.connections() > came)
    assert.match(out, /\[Source\w+\]/)
    assert.doesNotMatch(out, /canary-password/)
    assert.equal(code, 3, out)
  })

  it('works beside a controller that holds the working folder', async () => {
    await propose(world, 'rob', 'new', world.requestFiles('wards', [cohort]))
    const hold = await holdFolder(join(world.folder, 'work'))
    try {
      assert.equal((await plan('--ref', 'new')).code, 0)
    } finally {
      await hold.release()
    }
  })

  it('prints no control characters of a request on the terminal', async () => {
    const evil = 'a\u001b]0;owned\u0007\u001b[2Jb'
    const files = world.requestFiles('wards', [{ name: 'cohort', tables: [{ name: evil, columns: { [evil]: evil } }] }])
    await propose(world, 'rob', 'evil', files)
    const { out, err } = await plan('--ref', 'evil')
    assert.doesNotMatch(out + err, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
  })
})

describe('plan of the watched branch', () => {
  it('says at each phase what comes next, and writes nothing', async () => {
    const world = await World.make()
    const expect = async (next: RegExp, absent?: RegExp) => {
      const before = await traces(world)
      const { code, out, err } = await world.cratewright('plan', 'asthma')
      assert.deepEqual({ code, err }, { code: 0, err: '' }, out)
      assert.match(out, /^Plan for asthma\n/)
      assert.match(out, next)
      if (absent) assert.doesNotMatch(out, absent)
      assert.deepEqual(await traces(world), before)
    }
    await world.ask('asthma')
    await expect(/^next: give the request an id and begin its log\nthen: validate/m)
    await world.run({ stopAfter: (_, { action }) => action === 'create' })
    await expect(/^next: compare tables, columns and types with the source’s catalogue\nthen: sign-off/m)
    await world.run()
    await expect(/^waits: group governance: 1 more approval needed, from dana\nthen: stage-transfer/m, /^next/m)
    await world.signOff('dana', 'asthma')
    await expect(/^next: count the statement .*sign-off-dana\.yaml$/m)
    await world.run({ stopAfter: (_, { action }) => action === 'sign-off' })
    await expect(/^next: extract 3 tables to staging\nthen: disclosure/m)

    await propose(world, 'rob', 'more', world.requestFiles('asthma', [{ name: 'cohort', tables: [patients] }]))
    const change = await world.cratewright('plan', '--ref', 'more')
    assert.equal(change.code, 0)
    assert.match(
      change.out,
      /^next: note that the request was changed by commit [0-9a-f]{12}, which voids its approvals\nthen: validate/m,
    )

    await world.run()
    await expect(/^waits: group governance: 1 more approval needed, from dana\nthen: close/m)
    await world.disclose('dana', 'asthma')
    await world.run({ stopAfter: (_, { action }) => action === 'disclosure' })
    await expect(/^next: seal release 1 as a bag\nthen: publish/m)
    await world.run()
    await expect(/request digest/, /^(next|waits|then)/m)
  })

  it('says on stderr that the platform has errors, which are none of the request', async () => {
    const world = await World.make()
    await world.ask('asthma')
    await world.declare({
      'broken.yaml': [
        { kind: 'ApproverGroup', metadata: { name: 'second' }, spec: { phases: ['SignOff'], quorun: 2 } },
      ],
    })
    const { code, out, err } = await world.cratewright('plan', 'asthma')
    assert.equal(code, 0, out)
    assert.match(out, /^Plan for asthma\n/)
    assert.match(err, /broken\.yaml:\d+:\d+: .*quorun is not a known field/)
  })
})

describe('plan of a folder on disk', () => {
  const project = join(checkout, 'examples/projects/asthma-outcomes')
  const platform = join(checkout, 'examples/platform')
  const plan = (folder: string, manifests: string, ...more: string[]) =>
    run(['plan', '--folder', folder, '--platform', manifests, ...more])
  /** A copy of the examples, changed. */
  function copy(change: (request: string, manifests: string) => void): [string, string] {
    const folder = tempFolder()
    const request = join(folder, 'asthma-outcomes')
    const manifests = join(folder, 'platform')
    cpSync(project, request, { recursive: true })
    cpSync(platform, manifests, { recursive: true })
    change(request, manifests)
    return [request, manifests]
  }
  function edit(path: string, from: string | RegExp, to: string): void {
    const text = readFileSync(path, 'utf8')
    assert.match(text, typeof from === 'string' ? new RegExp(from.replaceAll(/[[\]{}()*+?.\\^$|]/g, '\\$&')) : from)
    writeFileSync(path, text.replace(from, to))
  }
  const governance = 'resources/governance/cr8-governance.yaml'
  const ingress = 'resources/data/cr8-ingress.yaml'

  it('plans the example, with neither configuration nor network', async () => {
    const { code, out, err } = await plan(project, platform)
    assert.deepEqual({ code, err }, { code: 0, err: '' }, out)
    assert.match(out, /^Plan for asthma-outcomes\n/)
    assert.doesNotMatch(out, /error:|warning:/)
    assert.match(out, /by SourceConnection warehouse/)
    assert.match(out, /The source was not asked: a plan of a folder connects to nothing\./)
    assert.match(out, /sign-off needs 1 of data-governance \(dana, ada\)/)
    assert.match(out, /^next: give the request an id/m)
  })

  it('is one JSON document with --json', async () => {
    const { out } = await plan(project, platform, '--json')
    const [preview] = JSON.parse(out) as { project: string; connection: string; digest: string }[]
    assert.deepEqual([preview?.project, preview?.connection], ['asthma-outcomes', 'warehouse'])
    assert.match((await plan(project, platform)).out, new RegExp(`request digest ${preview?.digest}`))
  })

  it('gives the same digest wherever the folder lies and whatever its comments say, and another when a word changes', async () => {
    const digest = async ([request, manifests]: [string, string]) =>
      /request digest (\S+)/.exec((await plan(request, manifests)).out)?.[1]
    const original = await digest([project, platform])
    assert.match(original ?? '', /^[0-9a-f]{64}$/)
    assert.equal(await digest(copy(request => edit(join(request, governance), / # the folder.s name/, ''))), original)
    assert.notEqual(await digest(copy(request => edit(join(request, governance), 'DAR-0042', 'DAR-0043'))), original)
  })

  const broken: readonly [string, (request: string, manifests: string) => void, RegExp][] = [
    [
      'an unknown field',
      request => edit(join(request, governance), 'purpose:', 'purposes:'),
      /cr8-governance\.yaml:\d+:1: purposes is not a known field/,
    ],
    [
      'no YAML',
      request => writeFileSync(join(request, ingress), 'source: [\n'),
      /cr8-ingress\.yaml:\d+:\d+: .*\[YamlInvalid\]/,
    ],
    [
      'no TOML',
      request => writeFileSync(join(request, 'config.toml'), '[bagit-info\n'),
      /config\.toml:1:\d+: .*\[TomlInvalid\]/,
    ],
    ['a document missing', request => rmSync(join(request, ingress)), /cr8-ingress\.yaml.*\[DocumentMissing\]/],
    ['nothing in it', request => rmSync(request, { recursive: true }), /\[DocumentMissing\]/],
    [
      'another name than its folder',
      request => edit(join(request, governance), 'name: asthma-outcomes', 'name: other'),
      /\[ProjectNameMismatch\]/,
    ],
    [
      'a source that nobody declared',
      request => edit(join(request, ingress), 'name: clinical ', 'name: payroll '),
      /cr8-ingress\.yaml.*no SourceConnection .*payroll.*\[ConnectionNotMatched\]/,
    ],
    [
      'a store that nobody declared',
      request => edit(join(request, ingress), 'name: lsc', 'name: elsewhere'),
      /no FileStore elsewhere .*\[StoreNotMatched\]/,
    ],
    [
      'a password in it',
      request => edit(join(request, ingress), 'url:', 'password: hunter2-canary\n  url:'),
      /cr8-ingress\.yaml:\d+:3: source\.password is not a known field/,
    ],
    [
      'a broken platform',
      (_, manifests) => edit(join(manifests, 'approvers.yaml'), 'quorum: 1', 'quorum: none'),
      /approvers\.yaml:\d+:\d+: .*quorum/,
    ],
    [
      'a platform without sources',
      (_, manifests) => rmSync(join(manifests, 'sources.yaml')),
      /\[ConnectionNotMatched\]/,
    ],
  ]
  for (const [what, change, message] of broken) {
    it(`with ${what} is invalid, and says where`, async () => {
      const [request, manifests] = copy(change)
      const { code, out, err } = await plan(request, manifests)
      assert.deepEqual({ code, err }, { code: 2, err: '' }, out)
      assert.match(out, message)
      assert.match(out, /Nothing would be done/)
      assert.doesNotMatch(out, /hunter2/)
      assert.equal((JSON.parse((await plan(request, manifests, '--json')).out) as unknown[]).length, 1)
    })
  }

  it('names a platform folder that there is not', async () => {
    const { code, err } = await plan(project, join(platform, 'absent'))
    assert.equal(code, 2)
    assert.match(err, /platform\/absent .*\[UsageInvalid\]/)
  })
})
