import assert from 'node:assert/strict'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { ManifestReader, readManifests } from '../../../controller/kinds/platform/reader.ts'
import { generateKey } from '../../../controller/runtime/ssh-key.ts'
import { makeWorld, never, open, pushFiles, type World } from '../../git/world.ts'
import { git } from '../../support/git-server.ts'

const from = { repository: 'platform', commit: 'a'.repeat(40) }
const key = newKey()

function newKey(): string {
  return generateKey('').public.trim()
}

/** Everybody has a key of their own, the same each time. */
const keys = new Map<string, string>()
function keyOf(name: string): string {
  const known = keys.get(name) ?? newKey()
  keys.set(name, known)
  return known
}

const person = (name: string, spec: object = {}) => ({
  kind: 'Person',
  metadata: { name },
  spec: { displayName: name, emails: [`${name}@hospital.example`], keys: [keyOf(name)], ...spec },
})

const asYaml = (...documents: unknown[]) =>
  documents.map(one => (typeof one === 'string' ? one : stringify(one))).join('---\n')

/** Where the document behind ada’s begins, counting from 1: behind her lines and the line of dashes. */
const second = asYaml(person('ada')).split('\n').length + 1

function read(files: Record<string, string>) {
  const { resources, problems } = readManifests(
    new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)])),
    from,
  )
  return { names: resources.map(({ type, name }) => `${type.kind} ${name}`), resources, problems }
}

const shown = ({ problems }: ReturnType<typeof read>) =>
  problems.map(({ code, where }) => `${code} ${where?.file}:${where?.line ?? ''}:${where?.column ?? ''}`)

describe('the platform’s manifests', () => {
  it('become resources, several to a file, with the place that each came from', () => {
    const { resources, problems } = read({ 'people.yaml': asYaml(person('ada'), person('dana')), 'empty.yaml': '' })
    assert.deepEqual(problems, [])
    const [ada, dana] = resources
    assert.deepEqual([ada?.name, dana?.name], ['ada', 'dana'])
    assert.deepEqual([ada?.namespace, ada?.origin.commit, ada?.origin.repository], ['', from.commit, 'platform'])
    assert.deepEqual([ada?.origin.where.line, dana?.origin.where.line], [1, second])
  })

  it('get the defaults of their kind', () => {
    const group = {
      kind: 'ApproverGroup',
      metadata: { name: 'g' },
      spec: { phases: ['SignOff'], projects: ['*'], sources: ['*'], members: [{ person: 'dana' }] },
    }
    const [resource] = read({ 'g.yaml': asYaml(group) }).resources
    assert.equal((resource?.spec as { quorum?: number } | undefined)?.quorum, 1)
  })

  for (const [what, text, problem, words] of [
    [
      'an unknown kind',
      { kind: 'Persona', metadata: { name: 'x' }, spec: {} },
      'KindUnknown bad.yaml:1:1',
      /kind Persona/,
    ],
    [
      'another group or version of a kind',
      { apiVersion: 'platform.cratewright.dev/v9', ...person('x') },
      'KindUnknown bad.yaml:1:1',
      /no apiVersion platform.cratewright.dev\/v9/,
    ],
    ['broken YAML', 'kind: [Person\n', 'YamlInvalid bad.yaml', /./],
    ['a key that is there twice', 'kind: Person\nkind: Person\n', 'YamlInvalid bad.yaml', /./],
    ['no metadata', { kind: 'Person', spec: {} }, 'DocumentInvalid bad.yaml', /metadata/],
    ['a name that is none', person('../ada'), 'DocumentInvalid bad.yaml', /name/],
    ['no spec', { kind: 'Person', metadata: { name: 'x' } }, 'DocumentInvalid bad.yaml', /spec/],
    ['a wrong type', person('x', { emails: 'one' }), 'DocumentInvalid bad.yaml', /emails/],
    ['a field that nobody knows', person('x', { rank: 1 }), 'DocumentInvalid bad.yaml', /rank/],
    ['a key that is none', person('x', { keys: [`${key.slice(0, 40)}AAAA`] }), '', /key/],
    ['a text instead of a manifest', 'just words\n', 'DocumentInvalid bad.yaml', /./],
    ['a list instead of a manifest', '- kind: Person\n', 'DocumentInvalid bad.yaml', /./],
  ] as const)
    it(`say where ${what} is, and the others count`, () => {
      const bad = typeof text === 'string' ? text : asYaml(text)
      const result = read({ 'a.yaml': asYaml(person('ada')), 'bad.yaml': bad, 'z.yaml': asYaml(person('zoe')) })
      assert.deepEqual(result.names, ['Person ada', 'Person zoe'])
      assert.ok(result.problems.length > 0)
      assert.equal(shown(result)[0]?.slice(0, problem.length), problem)
      assert.match(result.problems.map(({ message }) => message).join(), words)
      assert.ok(
        result.problems.every(
          ({ severity, todo, where }) => severity === 'error' && todo && where?.file === 'bad.yaml',
        ),
      )
    })

  it('take the other documents of a file in which one is bad', () => {
    const result = read({
      'all.yaml': asYaml(person('ada'), { kind: 'Nothing', metadata: { name: 'x' }, spec: {} }, person('zoe')),
    })
    assert.deepEqual(result.names, ['Person ada', 'Person zoe'])
    assert.deepEqual(shown(result), [`KindUnknown all.yaml:${second}:1`])
  })

  it('keep the first of two with one name, and name the second', () => {
    const result = read({ 'a.yaml': asYaml(person('ada', { displayName: 'First' })), 'b.yaml': asYaml(person('ada')) })
    assert.deepEqual(
      result.resources.map(({ spec }) => (spec as { displayName: string }).displayName),
      ['First'],
    )
    assert.deepEqual(shown(result), ['DuplicateResource b.yaml:1:1'])
    const group = {
      kind: 'FileStore',
      metadata: { name: 'ada' },
      spec: { type: 'directory', staging: '/s', production: '/p' },
    }
    assert.deepEqual(read({ 'a.yaml': asYaml(person('ada'), group) }).problems, [], 'of two kinds it is no duplicate')
  })

  it('never hold values in problems: whoever reads them may not read the platform', () => {
    const secret = 'S3CRET-value'
    const result = read({ 'a.yaml': asYaml(person('x', { emails: [secret], keys: [secret], displayName: [secret] })) })
    assert.ok(result.problems.length >= 2)
    assert.doesNotMatch(JSON.stringify(result.problems), /S3CRET/)
  })

  it('are never more than problems, whatever a file holds', () => {
    const contents = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ unit: 'binary' }).map(text => Buffer.from(text)),
      fc.jsonValue().map(value => Buffer.from(stringify(value))),
      fc
        .record({
          kind: fc.constantFrom('Person', 'Repository', 'ApproverGroup'),
          metadata: fc.jsonValue(),
          spec: fc.jsonValue(),
        })
        .map(value => Buffer.from(stringify(value))),
    )
    fc.assert(
      fc.property(contents, content => {
        const files = new Map<string, Uint8Array>([
          ['any.yaml', content],
          ['good.yaml', Buffer.from(asYaml(person('good')))],
        ])
        const { resources } = readManifests(files, from)
        assert.ok(resources.some(({ name }) => name === 'good'))
      }),
    )
  })
})

describe('the reader of the platform repository', () => {
  let world: World
  beforeEach(async () => {
    world = await makeWorld()
  })
  const readTip = (commit: string) => {
    const repository = open(world.fileUrl)
    return repository
      .fetch('refs/heads/main', commit, never)
      .then(() => new ManifestReader(repository, 'platform').read(commit, never))
  }

  it('reads YAML files wherever they lie, and no others', async () => {
    const commit = await pushFiles(world, {
      'a.yaml': asYaml(person('ada')),
      'teams/deep/b.yml': asYaml(person('bob')),
      'README.md': 'kind: Nothing',
    })
    const { resources, problems } = await readTip(commit)
    assert.deepEqual(
      resources.map(({ name, origin }) => `${name} ${origin.where.file}`),
      ['ada a.yaml', 'bob teams/deep/b.yml'],
    )
    assert.deepEqual(problems, [])
    assert.equal(resources[0]?.origin.commit, commit)
  })

  it('follows no link and no submodule, and says so', async () => {
    await pushFiles(world, { 'a.yaml': asYaml(person('ada')), 'real.txt': asYaml(person('eve')) }, { push: false })
    await git(world.clone, 'update-index', '--add', '--cacheinfo', `120000,${await linkTo('real.txt')},link.yaml`)
    await git(world.clone, 'update-index', '--add', '--cacheinfo', `160000,${'b'.repeat(40)},sub.yaml`)
    await git(world.clone, 'commit', '--quiet', '-m', 'Links')
    await git(world.clone, 'push', '--quiet', 'origin', 'HEAD:main')
    const { resources, problems } = await readTip(await git(world.clone, 'rev-parse', 'HEAD'))
    assert.deepEqual(
      resources.map(({ name }) => name),
      ['ada'],
    )
    assert.deepEqual(
      problems.map(({ code, where }) => [code, where?.file]),
      [
        ['UnsafePath', 'link.yaml'],
        ['UnsafePath', 'sub.yaml'],
      ],
    )
  })

  it('leaves out a file that is too large, and says so', async () => {
    const commit = await pushFiles(world, {
      'a.yaml': asYaml(person('ada')),
      'big.yaml': `${asYaml(person('big'))}# ${'x'.repeat(1024 * 1024)}\n`,
      'z.yaml': asYaml(person('zoe')),
    })
    const { resources, problems } = await readTip(commit)
    assert.deepEqual(
      resources.map(({ name }) => name),
      ['ada', 'zoe'],
    )
    assert.deepEqual(
      problems.map(({ code, where }) => [code, where?.file]),
      [['DocumentTooLarge', 'big.yaml']],
    )
  })

  async function linkTo(target: string): Promise<string> {
    const { writeFileSync } = await import('node:fs')
    writeFileSync(`${world.clone}/../target`, target)
    return git(world.clone, 'hash-object', '-w', '../target')
  }
})
