import assert from 'node:assert/strict'
import { stringify } from 'yaml'
import { keyOf, type Resource } from '../../controller/engine/kind.ts'
import { MemoryStore } from '../../controller/engine/store/memory.ts'
import { readManifests } from '../../controller/kinds/platform/reader.ts'
import { requestType } from '../../controller/kinds/requests/reader.ts'
import { suspensionOf } from '../../controller/kinds/suspend.ts'
import { repositoryType } from '../../controller/kinds/types.ts'

const from = { repository: 'platform', commit: '1'.repeat(40) }

interface RepositoryWish {
  readonly suspended?: readonly object[]
  readonly annotations?: Readonly<Record<string, string>>
}

function repository({ suspended, annotations }: RepositoryWish = {}): object {
  return {
    kind: 'Repository',
    metadata: { name: 'projects', ...(annotations ? { annotations } : {}) },
    spec: {
      url: 'https://forge.example/tre/projects.git',
      requests: 'projects/*',
      ...(suspended ? { suspended } : {}),
    },
  }
}

const freeze = (spec: object | undefined, metadata: object = { name: 'platform' }) => ({
  kind: 'Freeze',
  metadata,
  ...(spec ? { spec } : {}),
})

function platform(...manifests: readonly object[]) {
  const text = manifests.map(manifest => stringify(manifest)).join('---\n')
  const read = readManifests(new Map([['all.yaml', Buffer.from(text)]]), from)
  const store = new MemoryStore(() => false)
  store.replace('platform', from.commit, read)
  return { read, snapshot: store.snapshot() }
}

function request(name: string, more: Partial<Resource> = {}): Resource {
  return {
    key: keyOf(requestType, name, 'projects'),
    type: requestType,
    namespace: 'projects',
    name,
    spec: {},
    generation: 1,
    origin: { repository: 'projects', commit: '2'.repeat(40), where: { file: name } },
    problems: [],
    missing: false,
    ...more,
  }
}

describe('who halts a request', () => {
  const rows: readonly [string, readonly object[], string | undefined][] = [
    ['nobody', [repository()], undefined],
    ['no entry for another project', [repository({ suspended: [{ project: 'lung-*', reason: 'x' }] })], undefined],
    [
      'an entry of its Repository',
      [repository({ suspended: [{ project: 'asthma', reason: 'a look', by: 'ada', since: '2026-11-21' }] })],
      'Suspended: it is suspended by ada since 2026-11-21: a look',
    ],
    [
      'an entry for several projects',
      [
        repository({
          suspended: [
            { project: 'lung', reason: 'no' },
            { project: 'as*', reason: 'all of them' },
          ],
        }),
      ],
      'Suspended: it is suspended: all of them',
    ],
    [
      'its Repository as a whole',
      [repository({ annotations: { 'cratewright.dev/suspend': 'the server moves' } })],
      'Suspended: Repository projects is suspended: the server moves',
    ],
    ['a freeze', [repository(), freeze({ reason: 'a stolen key' })], 'Frozen: everything is frozen: a stolen key'],
    [
      'a freeze before anything else',
      [repository({ suspended: [{ project: '*', reason: 'x' }] }), freeze({ reason: 'a stolen key', by: 'ada' })],
      'Frozen: everything is frozen by ada: a stolen key',
    ],
  ]
  for (const [who, manifests, says] of rows) {
    it(who, () => {
      const { read, snapshot } = platform(...manifests)
      assert.deepEqual(read.problems, [])
      const found = suspensionOf(request('asthma'), snapshot)
      assert.equal(found && `${found.reason}: ${found.message}`, says)
    })
  }

  it('its own manifest, where it has one', () => {
    const { snapshot } = platform(repository())
    assert.equal(
      suspensionOf(request('asthma', { suspended: 'restoring' }), snapshot)?.message,
      'it is suspended: restoring',
    )
  })

  it('never the platform’s own resources, which act on nothing', () => {
    const { snapshot } = platform(repository(), freeze({ reason: 'x' }))
    const [own] = snapshot.list(repositoryType)
    assert.ok(own)
    assert.equal(suspensionOf(own, snapshot), undefined)
  })
})

describe('a freeze that was written in haste', () => {
  const rows: readonly [string, object][] = [
    ['without a reason', freeze({})],
    ['without a spec', freeze(undefined)],
    ['without a name', freeze({ reason: 'now' }, {})],
    ['with a field that there is not', freeze({ reason: 'now', until: 'tomorrow' })],
  ]
  for (const [how, manifest] of rows) {
    it(`freezes ${how}, and the error is said`, () => {
      const { read, snapshot } = platform(repository(), manifest)
      assert.ok(read.problems.some(({ severity }) => severity === 'error'))
      assert.equal(suspensionOf(request('asthma'), snapshot)?.reason, 'Frozen')
    })
  }
})

describe('a freeze that is no YAML', () => {
  const rows: readonly [string, string, string][] = [
    ['a second colon in its reason', 'kind: Freeze\nspec:\n  reason: key stolen: stop all\n', 'YamlInvalid'],
    ['an unclosed quote', 'kind: "Freeze"\nspec: {reason: "stop}\n', 'YamlInvalid'],
    ['a tab', "kind:  'Freeze'\nspec:\n\treason: stop\n", 'YamlInvalid'],
    ['a doubled key', 'metadata: {}\r\nkind: Freeze\r\nkind: Freeze\r\n', 'YamlInvalid'],
    [
      'another document that is broken before it',
      'kind: [Person\n---\nkind: Freeze\nspec: {reason: x}\n',
      'YamlInvalid',
    ],
  ]
  const snapshotOf = (files: Record<string, string>) => {
    const read = readManifests(new Map(Object.entries(files).map(([file, text]) => [file, Buffer.from(text)])), from)
    const store = new MemoryStore(() => false)
    store.replace('platform', from.commit, read)
    return { read, snapshot: store.snapshot() }
  }
  for (const [what, text, code] of rows) {
    it(`freezes for all of ${what}, and the error is said`, () => {
      const { read, snapshot } = snapshotOf({ 'a.yaml': stringify(repository()), 'stop.yaml': text })
      assert.ok(read.problems.some(one => one.code === code && one.where?.file === 'stop.yaml'))
      const found = suspensionOf(request('asthma'), snapshot)
      assert.equal(found?.reason, 'Frozen')
      assert.match(found?.message ?? '', /stop\.yaml says so/)
    })
  }

  it('freezes nothing where another kind is broken, or only words speak of it', () => {
    for (const text of [
      'kind: Freezer\nx: [\n',
      'kind: Person\nkind: Person\n',
      '# kind: Freeze\nx: [\n',
      'x: kind: Freeze\n',
    ]) {
      const { read, snapshot } = snapshotOf({ 'a.yaml': stringify(repository()), 'stop.yaml': text })
      assert.ok(read.problems.length > 0)
      assert.equal(suspensionOf(request('asthma'), snapshot), undefined, text)
    }
  })
})

describe('suspending what acts on nothing', () => {
  it('has no effect, and a warning says so where it is written', () => {
    const person = {
      kind: 'Person',
      metadata: { name: 'ada', annotations: { 'cratewright.dev/suspend': 'on leave' } },
      spec: { displayName: 'Ada' },
    }
    const { read } = platform(person)
    const [warning] = read.resources[0]?.problems ?? []
    assert.deepEqual(
      [warning?.code, warning?.severity, warning?.message, warning?.where?.line],
      ['FieldIgnored', 'warning', 'suspending a Person has no effect: nothing is done for it', 5],
    )
  })
})
