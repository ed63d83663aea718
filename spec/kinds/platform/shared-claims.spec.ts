import assert from 'node:assert/strict'
import { stringify } from 'yaml'
import { readManifests } from '../../../controller/kinds/platform/reader.ts'
import { generateKey } from '../../../controller/runtime/ssh-key.ts'
import type { PersonSpec } from '../../../schemas/generated/types.ts'

const [one, two, three] = [generateKey('one'), generateKey('two'), generateKey('three')].map(key => key.public.trim())

const person = (name: string, spec: object) => ({
  kind: 'Person',
  metadata: { name },
  spec: { displayName: name, ...spec },
})

const repository = (name: string, key: string | undefined) => ({
  kind: 'Repository',
  metadata: { name },
  spec: { url: `https://forge.example/${name}.git`, requests: 'projects/*', records: { signers: [{ key }] } },
})

function read(files: Record<string, object[]>) {
  const texts = Object.entries(files).map(
    ([path, documents]) =>
      [path, Buffer.from(documents.map(document => stringify(document, { lineWidth: 0 })).join('---\n'))] as const,
  )
  const { resources, problems } = readManifests(new Map(texts), { repository: 'platform', commit: 'a'.repeat(40) })
  const specOf = (name: string) => resources.find(found => found.name === name)?.spec as PersonSpec | undefined
  const keysOf = (name: string) => specOf(name)?.keys
  const problemsOf = (name: string) => resources.find(found => found.name === name)?.problems ?? []
  const errors = problems.filter(({ severity }) => severity === 'error')
  const places = errors.map(({ where }) => `${where?.file}:${where?.line}`)
  return { errors, places, specOf, keysOf, problemsOf }
}

describe('what only one Person can have', () => {
  it('is no problem where nobody shares it', () => {
    const { errors, keysOf } = read({
      'people.yaml': [
        person('ada', { keys: [one, one], emails: ['a@x.example', 'a@x.example'] }),
        person('dana', { keys: [two], emails: ['d@x.example'], accounts: [{ host: 'a.example', login: 'x', id: 1 }] }),
        person('eve', { keys: [], accounts: [{ host: 'b.example', login: 'x', id: 1 }] }),
      ],
    })
    assert.deepEqual(errors, [])
    assert.deepEqual(keysOf('ada'), [one, one])
  })

  it('a shared key is named at both places, to both, and counts for neither', () => {
    const { errors, places, keysOf, problemsOf } = read({
      'a.yaml': [person('ada', { keys: [one, three] })],
      // The comment behind a key is no part of it.
      'z.yaml': [person('zoe', { keys: [two, `${one?.split(' ').slice(0, 2).join(' ')} another name`] })],
    })
    assert.deepEqual(places, ['a.yaml:7', 'z.yaml:8'])
    assert.match(
      errors[0]?.message ?? '',
      /^this key is also claimed by Person zoe \(z\.yaml:8:\d+\), and counts for nobody$/,
    )
    assert.match(
      errors[1]?.message ?? '',
      /^this key is also claimed by Person ada \(a\.yaml:7:\d+\), and counts for nobody$/,
    )
    assert.match(errors[0]?.todo ?? '', /keys prove/)
    assert.deepEqual([keysOf('ada'), keysOf('zoe')], [[three], [two]])
    assert.deepEqual([problemsOf('ada'), problemsOf('zoe')], [[errors[0]], [errors[1]]])
  })

  it('a shared address, in any case of letters, or account is named to both, without showing it', () => {
    const account = { host: 'forge.example', id: 4711 }
    const { errors, specOf } = read({
      'a.yaml': [person('ada', { emails: ['Canary@x.example'], accounts: [{ ...account, login: 'ada' }] })],
      'b.yaml': [person('bob', { emails: ['canary@X.example'], accounts: [{ ...account, login: 'bob' }] })],
    })
    assert.deepEqual(
      errors.map(({ message, where }) => `${where?.file} ${message.split(' is')[0]}`),
      ['a.yaml this e-mail address', 'a.yaml this account', 'b.yaml this e-mail address', 'b.yaml this account'],
    )
    assert.doesNotMatch(JSON.stringify(errors), /canary@|4711/i)
    // Kept: whoever has the address is barred by it, both of them.
    assert.deepEqual(specOf('bob')?.emails, ['canary@X.example'])
  })

  it('among many, each is told of some of the others', () => {
    const people = Array.from({ length: 9 }, (_, index) => person(`p${index}`, { keys: [one] }))
    const { errors, keysOf } = read({ 'a.yaml': people })
    assert.equal(errors.length, 9)
    assert.match(errors[0]?.message ?? '', /p1 .*p5 \(a\.yaml:\d+:\d+\) and 3 more, and counts for nobody$/)
    assert.deepEqual(keysOf('p8'), [])
  })

  it('a key that signs records is nobody’s: the controller could approve with it', () => {
    const { errors, keysOf, problemsOf } = read({
      'a.yaml': [person('ada', { keys: [one, two] })],
      'r.yaml': [repository('projects', one)],
    })
    assert.deepEqual(
      errors.map(({ where, message }) => `${where?.file} ${/by (\w+ \w+)/.exec(message)?.[1]}`),
      ['a.yaml Repository projects', 'r.yaml Person ada'],
    )
    assert.deepEqual(keysOf('ada'), [two])
    // A Repository with errors is no longer watched, and this is not its fault.
    assert.deepEqual(problemsOf('projects'), [])
    assert.deepEqual(read({ 'r.yaml': [repository('x', one), repository('y', one)] }).errors, [])
  })

  it('is not shared with a manifest that is refused', () => {
    const { errors, keysOf } = read({
      'a.yaml': [person('ada', { keys: [one] })],
      'b.yaml': [person('bob', { keys: [one], rank: 1 })],
    })
    assert.ok(errors.every(({ where }) => where?.file === 'b.yaml'))
    assert.deepEqual(keysOf('ada'), [one])
  })
})
