import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { checkCrate } from '../../controller/crate/crate-check.ts'
import { type CrateInput, renderCrate } from '../../controller/crate/ro-crate.ts'
import { writeFiles } from '../support/bag-folder.ts'
import { contextCacheOrSkip, oraclesOrSkip } from '../support/oracles.ts'
import { closedCrate, contentOf, workingCrate } from './samples.ts'

type Entity = Record<string, unknown> & { '@id': string }

function graphOf(input: CrateInput): Map<string, Entity> {
  const { '@graph': graph } = JSON.parse(Buffer.from(renderCrate(input)).toString()) as { '@graph': Entity[] }
  return new Map(graph.map(entity => [entity['@id'], entity]))
}

const ref = (id: string): { '@id': string } => ({ '@id': id })

describe('a written crate', () => {
  it('meets every rule of our own check, while it is worked on and when it is closed', () => {
    assert.deepEqual(checkCrate(renderCrate(workingCrate())), [])
    assert.deepEqual(checkCrate(renderCrate(closedCrate())), [])
  })

  it('begins with the descriptor and the root, then by @id, with sorted keys, two spaces and LF', () => {
    const text = Buffer.from(renderCrate(closedCrate())).toString()
    const ids = [...graphOf(closedCrate()).keys()]
    assert.deepEqual(ids.slice(0, 2), ['ro-crate-metadata.json', './'])
    assert.deepEqual(ids.slice(2), ids.slice(2).sort())
    assert.match(text, /^\{\n {2}"@context": \[\n/)
    assert.match(text, /\n\}\n$/)
    for (const entity of graphOf(closedCrate()).values())
      assert.deepEqual(Object.keys(entity), Object.keys(entity).sort())
  })

  it('is the same whatever the order of files, folders and people', () => {
    const input = closedCrate()
    const shuffled = <T>(items: readonly T[]): fc.Arbitrary<T[]> =>
      fc.shuffledSubarray([...items], { minLength: items.length })
    fc.assert(
      fc.property(shuffled(input.files), shuffled(input.persons), (files, persons) => {
        assert.deepEqual(renderCrate({ ...input, files, persons }), renderCrate(input))
      }),
    )
  })

  it('refers to nothing that it does not describe, but RO-Crate itself and the phases of Five Safes', () => {
    const graph = graphOf(closedCrate())
    const open = [...graph.values()].flatMap(entity =>
      Object.values(entity).flatMap(value => [value].flat().map(each => (each as Partial<Entity>)['@id'])),
    )
    const missing = open.filter(id => id !== undefined && !graph.has(id) && !id.startsWith('https://w3id.org/shp#'))
    assert.deepEqual(missing, ['https://w3id.org/ro/crate/1.2'])
  })

  it('names the extraction specification as main entity and as instrument of the only CreateAction', () => {
    const graph = graphOf(closedCrate())
    const specification = 'request/resources/data/cr8-ingress.yaml'
    assert.deepEqual(graph.get('./')?.mainEntity, ref(specification))
    assert.deepEqual(graph.get(specification)?.['@type'], ['File', 'SoftwareSourceCode'])
    const executions = [...graph.values()].filter(entity => entity['@type'] === 'CreateAction')
    assert.equal(executions.length, 1)
    assert.deepEqual(executions[0]?.instrument, ref(specification))
    assert.deepEqual(executions[0]?.object, ref('#source-warehouse'))
    assert.deepEqual(executions[0]?.result, ref('outputs/cohort/'))
    assert.deepEqual(executions[0]?.agent, ref('#person-rae'))
  })

  it('says of a release who approved it, of what, under which agreement', () => {
    const signOff = graphOf(closedCrate()).get('#action-sign-off-eli')
    assert.deepEqual(signOff, {
      '@id': '#action-sign-off-eli',
      '@type': 'AssessAction',
      actionStatus: 'http://schema.org/CompletedActionStatus',
      additionalType: ref('https://w3id.org/shp#SignOff'),
      agent: ref('#person-eli'),
      endTime: '2026-11-20T09:30:00+00:00',
      instrument: ref('#agreement-DSA-7'),
      name: 'Sign-off by another approver',
      object: [ref('./'), ref('request/resources/data/cr8-ingress.yaml'), ref('#project-asthma-2026')],
      startTime: '2026-11-20T09:30:00+00:00',
    })
  })

  it('says of software whose it is, and gives no licence where none is given', () => {
    const graph = graphOf(workingCrate())
    assert.deepEqual(graph.get('#cratewright')?.provider, ref('#organization-tre'))
    assert.equal(graph.get('#cratewright')?.version, '0.1.0')
    assert.deepEqual(graph.get('./')?.license, ref('#license-no-license'))
    assert.match(String(graph.get('#license-no-license')?.description), /^No licence is granted/)
  })

  it('has files below the innermost folder that is described, with names as URLs want them', () => {
    const graph = graphOf(closedCrate())
    assert.deepEqual(graph.get('outputs/cohort/')?.hasPart, [
      ref('outputs/cohort/person.csv'),
      ref('outputs/cohort/visit%20%28old%29.csv'),
    ])
    assert.equal(graph.get('outputs/cohort/person.csv')?.contentSize, '5')
  })

  it('stays valid, whatever people are called and wherever they say they work', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 }).filter(each => each.trim() !== '')
    const person = fc.record({
      id: text,
      name: text,
      affiliation: fc.record({ id: fc.constantFrom('tre', 'uni'), name: text, url: text }),
    })
    fc.assert(
      fc.property(fc.array(person, { maxLength: 4 }), text, (others, agent) => {
        const input = closedCrate()
        const actions = input.actions.map(each =>
          each.phase === 'sign-off' ? { ...each, agent: { person: agent } } : each,
        )
        const crate = renderCrate({ ...input, name: agent, persons: [...input.persons, ...others], actions })
        assert.deepEqual(checkCrate(crate), [])
        const graph = JSON.parse(Buffer.from(crate).toString())['@graph'] as Entity[]
        assert.equal(graph.find(each => each['@id'] === '#organization-tre')?.name, 'Example TRE')
      }),
    )
  })

  it('is refused with paths that leave it, its own name among its files, and things of one id', () => {
    const input = workingCrate()
    for (const path of ['../x', '/x', 'a//b', 'a\nb', 'ro-crate-metadata.json', '']) {
      const files = [...input.files, { ...input.files[0]!, path }]
      assert.throws(() => renderCrate({ ...input, files }), { code: 'UnsafePath' }, path)
    }
    assert.throws(() => renderCrate({ ...input, files: [...input.files, input.files[0]!] }), { code: 'Internal' })
    assert.throws(() => renderCrate({ ...input, files: [] }), { code: 'Internal' })
    assert.throws(() => renderCrate({ ...input, actions: [] }), { code: 'Internal' })
    assert.throws(() => renderCrate({ ...input, datasets: [{ path: 'outputs/cohort', name: 'cohort' }] }), {
      code: 'Internal',
    })
  })

  describe('by roc-validator', () => {
    let folder: string
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'cratewright-crate-'))
    })
    afterEach(() => rmSync(folder, { recursive: true, force: true }))

    function requiredIssues(test: Mocha.Context, input: CrateInput, crate = renderCrate(input)): string[] {
      const validator = join(oraclesOrSkip(test), 'rocrate-validator')
      const cache = contextCacheOrSkip(test)
      writeFiles(join(folder, 'crate'), [...contentOf(input), { path: 'ro-crate-metadata.json', content: crate }])
      const out = join(folder, 'verdict.json')
      const args = [
        '-y',
        'validate',
        '--offline',
        '--cache-path',
        cache,
        '-p',
        'ro-crate-1.2',
        '--skip-availability-check',
      ]
      try {
        execFileSync(validator, [...args, '--no-paging', '-f', 'json', '-o', out, join(folder, 'crate')], {
          stdio: 'pipe',
        })
      } catch (error) {
        // 1: not valid. Anything else is no verdict.
        assert.equal((error as { status?: number }).status, 1)
      }
      const { passed, issues } = JSON.parse(readFileSync(out, 'utf8')) as {
        passed: boolean
        issues: { message: string }[]
      }
      assert.equal(passed, issues.length === 0)
      return issues.map(({ message }) => message)
    }

    it('a crate that is worked on meets what RO-Crate 1.2 requires', function () {
      assert.deepEqual(requiredIssues(this, workingCrate()), [])
    })

    it('a closed crate meets what RO-Crate 1.2 requires, files included', function () {
      assert.deepEqual(requiredIssues(this, closedCrate()), [])
    })

    it('a crate without licence does not, so that the two above say something', function () {
      const text = Buffer.from(renderCrate(closedCrate()))
        .toString()
        .replace(/"license": \{[^}]*\},/, '')
      assert.ok(requiredIssues(this, closedCrate(), Buffer.from(text)).some(message => /license/.test(message)))
    })
  })
})
