import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { checkCrate } from '../../controller/crate/crate-check.ts'
import { renderCrate } from '../../controller/crate/ro-crate.ts'
import { sharedOrSkip } from '../support/oracles.ts'
import { closedCrate } from './samples.ts'

type Entity = Record<string, unknown>
interface Document {
  '@context': unknown
  '@graph': Entity[]
}

/** Rules that a good crate breaks after one change. */
function rulesAfter(change: (entity: (id: string) => Entity, document: Document & Entity) => void): string[] {
  const document = JSON.parse(Buffer.from(renderCrate(closedCrate())).toString()) as Document & Entity
  const entity = (id: string): Entity => {
    const found = document['@graph'].find(each => each['@id'] === id)
    assert.ok(found, id)
    return found
  }
  change(entity, document)
  return [...new Set(checkCrate(Buffer.from(JSON.stringify(document))).map(({ rule }) => rule))].sort()
}

const specification = 'request/resources/data/cr8-ingress.yaml'
const signOffs = ['#action-sign-off-dana', '#action-sign-off-eli']

describe('the check of a crate', () => {
  it('finds nothing wrong with a good one', () =>
    assert.deepEqual(
      rulesAfter(() => {}),
      [],
    ))

  const changes: Record<string, [string[], Parameters<typeof rulesAfter>[0]]> = {
    'another context': [['context'], (_, document) => (document['@context'] = 'https://w3id.org/ro/crate/1.1/context')],
    'more than context and graph': [['top-level'], (_, document) => (document.more = 1)],
    'an entity without id': [['entity-id'], (_, document) => document['@graph'].push({ '@type': 'Thing' })],
    'an entity without type': [['entity-type'], (_, document) => document['@graph'].push({ '@id': '#x' })],
    'an entity twice': [['entity-unique'], (entity, document) => document['@graph'].push({ ...entity(specification) })],
    'an entity in an entity': [['flattened'], entity => (entity('./').keywords = { '@id': '#x', name: 'x' })],
    'no descriptor': [['descriptor'], entity => (entity('ro-crate-metadata.json')['@id'] = '#other')],
    'a descriptor of another version': [
      ['descriptor'],
      entity => (entity('ro-crate-metadata.json').conformsTo = { '@id': 'https://w3id.org/ro/crate/1.1' }),
    ],
    'no root': [
      ['descriptor', 'root'],
      entity => {
        entity('ro-crate-metadata.json').about = { '@id': './x/' }
        Object.assign(entity('./'), { '@id': './x/', hasPart: [], mentions: [], '@type': 'Thing' })
        for (const each of [
          specification,
          'request/config.toml',
          'outputs/cohort/person.csv',
          'outputs/cohort/visit%20%28old%29.csv',
          'outputs/cohort/',
        ]) {
          entity(each)['@type'] = 'Thing'
        }
        for (const each of ['check-1', 'validation-1', 'sign-off-dana', 'sign-off-eli', 'disclosure-dana', 'publish-1'])
          delete entity(`#action-${each}`).object
      },
    ],
    'a root that is no Dataset': [['root'], entity => (entity('./')['@type'] = 'Thing')],
    'no name': [['root-name'], entity => delete entity('./').name],
    'an empty description': [['root-description'], entity => (entity('./').description = ' ')],
    'a date that is none': [['root-datePublished'], entity => (entity('./').datePublished = 'soon')],
    'no license': [['root-license'], entity => delete entity('./').license],
    'a file that is part of nothing': [['data-entity-linked'], entity => delete entity('outputs/cohort/').hasPart],
    'a file outside the crate': [
      ['data-entity-path'],
      entity => {
        entity('outputs/cohort/person.csv')['@id'] = 'outputs/%2e%2e/%2e%2e/x'
        entity('outputs/cohort/').hasPart = [
          { '@id': 'outputs/%2e%2e/%2e%2e/x' },
          { '@id': 'outputs/cohort/visit%20%28old%29.csv' },
        ]
      },
    ],
    'a part that is not described': [
      ['reference-described'],
      entity =>
        (entity('outputs/cohort/').hasPart = [
          { '@id': 'x' },
          { '@id': 'outputs/cohort/person.csv' },
          { '@id': 'outputs/cohort/visit%20%28old%29.csv' },
        ]),
    ],
    'another profile': [['conforms-to-profile'], entity => delete entity('./').conformsTo],
    'no main entity': [['execution-instrument', 'main-entity'], entity => delete entity('./').mainEntity],
    'no project': [['execution-project', 'source-organization'], entity => delete entity('./').sourceOrganization],
    'a second execution': [
      ['action-mentioned', 'execution'],
      (entity, document) => document['@graph'].push({ ...entity('#action-execution-1'), '@id': '#more' }),
    ],
    'another instrument': [
      ['execution-instrument'],
      entity => (entity('#action-execution-1').instrument = { '@id': '#cratewright' }),
    ],
    'software as who asked': [
      ['execution-agent'],
      entity => (entity('#action-execution-1').agent = { '@id': '#cratewright' }),
    ],
    'somebody of another project': [
      ['execution-project'],
      entity => (entity('#person-rae').memberOf = { '@id': '#agreement-DSA-7' }),
    ],
    'a sign-off of another type': [['phase-type'], entity => (entity(signOffs[0]!)['@type'] = 'ReviewAction')],
    'a sign-off without approver': [['approver'], entity => delete entity(signOffs[0]!).agent],
    'a sign-off by software': [['approver'], entity => (entity(signOffs[0]!).agent = { '@id': '#cratewright' })],
    'a short name': [['action-name'], entity => (entity(signOffs[0]!).name = 'Sign-off')],
    'a time without zone': [['action-time'], entity => (entity(signOffs[0]!).endTime = '2026-11-20T09:30:00')],
    'a time that is none': [['action-time'], entity => (entity(signOffs[0]!).endTime = '2026-13-41T09:30:00Z')],
    'a status that is an entity': [
      ['action-status'],
      entity => (entity(signOffs[0]!).actionStatus = { '@id': 'http://schema.org/CompletedActionStatus' }),
    ],
    'an error of what succeeded': [['action-error'], entity => (entity('#action-execution-1').error = 'x')],
    'software of nobody': [['software-provider'], entity => delete entity('#cratewright').provider],
    'an action that the root does not mention': [
      ['action-mentioned'],
      entity => (entity('./').mentions = (entity('./').mentions as Entity[]).slice(1)),
    ],
    'an execution that nobody approved': [
      ['phases-before-publish', 'sign-off-before-execution'],
      entity => {
        for (const id of signOffs) entity(id).actionStatus = 'http://schema.org/PotentialActionStatus'
      },
    ],
    'a release that nobody checked for disclosure': [
      ['phases-before-publish'],
      entity => {
        entity('#action-disclosure-dana').actionStatus = 'http://schema.org/ActiveActionStatus'
      },
    ],
    'results after a disclosure check failed': [
      ['disclosure-withholds', 'phases-before-publish'],
      entity => {
        entity('#action-disclosure-dana').actionStatus = 'http://schema.org/FailedActionStatus'
      },
    ],
    'results of what failed': [
      ['phases-before-publish', 'results-of-completed'],
      entity => {
        entity('#action-execution-1').actionStatus = 'http://schema.org/FailedActionStatus'
      },
    ],
  }
  for (const [name, [rules, change]] of Object.entries(changes)) {
    it(`names ${name}`, () => assert.deepEqual(rulesAfter(change), rules))
  }

  it('says of anything that it is no crate, and never fails on it', () => {
    for (const text of [
      '',
      '{',
      '[]',
      'null',
      '{"@graph":[]}',
      '\ufeff{"@context":1,"@graph":[]}',
      '{"@context":null,"@graph":{}}',
    ]) {
      assert.notDeepEqual(checkCrate(Buffer.from(text)), [], text)
    }
    assert.deepEqual(checkCrate(Buffer.from([0xff]))[0]?.rule, 'json')
    const keys = fc.constantFrom(
      '@id',
      '@type',
      '@context',
      '@graph',
      'hasPart',
      'mentions',
      'agent',
      'additionalType',
      '__proto__',
    )
    const leaf = fc.oneof(
      fc.constantFrom('./', 'ro-crate-metadata.json', '%', 'File', 'CreateAction', 'https://w3id.org/shp#SignOff'),
      fc.boolean(),
      fc.constant(null),
    )
    const { node } = fc.letrec(tie => ({
      node: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(keys, tie('node'), { maxKeys: 4 }),
      ),
    }))
    fc.assert(
      fc.property(fc.array(node, { maxLength: 5 }), graph => {
        const bytes = Buffer.from(JSON.stringify({ '@context': 'x', '@graph': graph }))
        assert.ok(checkCrate(bytes).length > 0)
      }),
    )
  })

  it('agrees with the Five Safes profile, and finds what that does not: missing phases, failed disclosure, nobody who approved', function () {
    const folder = sharedOrSkip(this, 'data/04-ro-crate')
    const { crates } = JSON.parse(readFileSync(join(folder, 'verdicts-five-safes.json'), 'utf8')) as {
      crates: { crate: string; passed_required: boolean }[]
    }
    const ours = ['no-sign-off', 'disclosure-failed', 'sign-off-without-agent', 'conforms-to-missing']
    assert.equal(crates.length, 16)
    for (const { crate, passed_required: passed } of crates) {
      const problems = checkCrate(readFileSync(join(folder, 'five-safes', crate, 'ro-crate-metadata.json')))
      assert.equal(problems.length === 0, passed && !ours.includes(crate), `${crate}: ${JSON.stringify(problems)}`)
    }
  })
})
