/** Requests that people really wrote, put into a projects repository as they are. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StoredStatus } from '../../controller/engine/store/store.ts'
import { sharedOrSkip } from '../support/oracles.ts'
import { phaseOf, World } from '../support/world.ts'

describe('real requests of the system before', () => {
  let world: World
  let statuses: Map<string, StoredStatus>
  let shown: Map<string, string>
  const outcomes: readonly { readonly example: string; readonly folder: string; readonly says: readonly RegExp[] }[] = [
    // The documents are taken as they are, and what they name is not here.
    {
      example: 'karectl-linkml-project',
      folder: 'linkmlproj',
      says: [
        /^DestinationNotSupported .*destination type postgresql is not supported yet/m,
        /^ConnectionNotMatched .*no SourceConnection lets project linkmlproj read postgresql database opal-resource-db/m,
      ],
    },
    {
      example: 'karectl-linkml-project-with-generated-crs',
      folder: 'example-project',
      // An earlier state of the model, with `type` where `resource_type` is now required: so says its own newest schema.
      says: [/^DocumentInvalid .*cr8-deployment\.yaml:5:7: resources\[0\]\.resource_type is missing/m],
    },
    {
      example: 'request-omop-two-datasets',
      folder: 'omop-cohort',
      says: [/^DestinationNotSupported .*destination type postgresql is not supported yet/m],
    },
    {
      example: 'karectl-simple_project-toml',
      folder: 'p002',
      says: [/^DocumentMissing .*resources\/governance\/project\.toml is of the older layout, in TOML/m],
    },
    {
      example: 'lsc-cookiecutter-template',
      folder: 'template',
      says: [/^DocumentMissing .*resources\/governance\/project\.toml is of the older layout, in TOML/m],
    },
    {
      example: 'karectl-mssql_source-toml',
      folder: 'mssql',
      says: [/^DocumentMissing .*resources\/access\/access\.toml is of the older layout, in TOML/m],
    },
    {
      example: 'karectl-postgresql_source-toml',
      folder: 'postgresql',
      says: [/^DocumentMissing .*resources\/access\/access\.toml is of the older layout, in TOML/m],
    },
  ]

  before(async function () {
    const examples = sharedOrSkip(this, 'data/01-cr8tor-projects')
    world = await World.make()
    for (const { example, folder } of outcomes)
      await world.commit('rob', folderOf(join(examples, example), `projects/${folder}`), {
        message: `Ask as ${example}`,
      })
    statuses = await world.run()
    shown = new Map([...statuses].map(([name, status]) => [name, saidOf(status)]))
  })

  for (const { example, folder, says } of outcomes) {
    it(`${example} is answered with its reason`, () => {
      for (const words of says) assert.match(shown.get(folder) ?? '', words)
    })
  }

  it('has nothing to refuse in documents of the newest layout', () => {
    for (const name of ['linkmlproj', 'omop-cohort'])
      assert.deepEqual(
        { name, errors: errorsOf(statuses.get(name)), phase: phaseOf(statuses.get(name)) },
        { name, errors: [], phase: 'Created' },
      )
  })

  it('says of the older layout what to do, and once', () => {
    for (const name of ['p002', 'template', 'mssql', 'postgresql']) {
      const older = statuses.get(name)?.problems.filter(({ message }) => message.includes('older layout')) ?? []
      assert.equal(older.length, 1, name)
      assert.match(older[0]?.todo ?? '', /cratewright initiate <project> --from/)
      assert.equal(statuses.get(name)?.problems[0], older[0], 'it comes first')
    }
  })

  it('warns of what the old tool wrote into the documents, field by field', () => {
    const warnings = statuses.get('example-project')?.problems.filter(({ severity }) => severity === 'warning') ?? []
    for (const field of [
      'project.id',
      'project.start_time',
      'project.actions',
      'users[0].groups',
      'source.credentials',
    ])
      assert.ok(
        warnings.some(({ code, message }) => code === 'FieldIgnored' && message.startsWith(`${field} has no effect`)),
        field,
      )
  })
})

function errorsOf(status: StoredStatus | undefined): string[] {
  return (status?.problems ?? [])
    .filter(({ severity }) => severity === 'error')
    .map(({ code, message }) => `${code} ${message}`)
}

function saidOf({ problems, waits }: StoredStatus): string {
  return [
    ...problems.map(({ code, message }) => `${code} ${message}`),
    ...waits.map(({ reason, message }) => `${reason} ${message}`),
  ].join('\n')
}

function folderOf(from: string, to: string): Record<string, Buffer> {
  const files = readdirSync(from, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name)
      return [join(to, path.slice(from.length)), readFileSync(path)]
    }),
  )
}
