/** Our schemas mean to LinkML's own tools what they mean to us: gen-json-schema, linkml-validate (1.12.1) and our validator agree. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import fc from 'fast-check'
import { parse } from 'yaml'
import { readModel } from '../../controller/schema/linkml.ts'
import { definitionOf, type Schema } from '../../controller/schema/registry.ts'
import { validate } from '../../controller/schema/validate.ts'
import { linkmlOrSkip } from '../support/oracles.ts'
import { tempFolder } from '../support/temp.ts'
import { type Fault, faults, faultsOf, valuesOf } from './schema-cases.ts'

const folder = resolve(import.meta.dirname, '../../schemas')
const files = readdirSync(folder).filter(name => name.endsWith('.linkml.yaml'))
const soak = process.env.CRATEWRIGHT_SOAK === '1'
const samplesOfClass = soak ? 40 : 6
/** The first of which also goes to linkml-validate, which is slow. */
const faultsOfKind = 3
const seed = soak ? Date.now() : 20261121

/** What people write, and the log: linkml-validate makes a schema of its own for each class, which takes a while. */
const documents = [
  ...['Config', 'Governance', 'Ingress', 'Deployment', 'Statement', 'LogEntry', 'Bootstrap', 'Manifest'],
  ...['PersonSpec', 'RepositorySpec', 'ApproverGroupSpec', 'SourceConnectionSpec', 'FileStoreSpec'],
]

interface Case {
  readonly file: string
  readonly class: string
  readonly fault: Fault | 'none'
  readonly at: string
  readonly data: unknown
  readonly validate: boolean
}

interface Judged extends Case {
  readonly ours: boolean
  readonly generated: boolean
  readonly command: boolean | null
}

type Tool = 'gen-json-schema' | 'linkml-validate'

interface Difference {
  readonly what: string
  readonly tools: readonly Tool[]
  readonly taken: 'by us' | 'by them'
  readonly is: (judged: Judged) => boolean
}

const both: readonly Tool[] = ['gen-json-schema', 'linkml-validate']

/** Every way in which verdicts may differ, and why. */
const differences: readonly Difference[] = [
  {
    what: 'the tools match with Python, where `$` also stands before a last line feed; with us it is the end',
    tools: both,
    taken: 'by them',
    is: ({ fault }) => fault === 'a line feed more',
  },
  {
    what: 'linkml-validate takes null for every field that may be left out; a file that says nothing is a slip, and we say so',
    tools: ['linkml-validate'],
    taken: 'by them',
    is: ({ fault }) => fault === 'null',
  },
  {
    what: 'gen-json-schema does not map unique_keys; a key that stands twice is refused by us alone',
    tools: both,
    taken: 'by them',
    is: ({ fault }) => fault === 'a key twice',
  },
  {
    what: 'a field of linkml:Any takes no list in LinkML; the older documents have lists there, and nothing reads them',
    tools: both,
    taken: 'by us',
    is: ({ class: name, data }) => hasAnything(definitionOf(name), data),
  },
  {
    what: 'the abstract class Resource by itself; where a field has it as range, the tools choose by resource_type as we do',
    tools: ['gen-json-schema'],
    taken: 'by us',
    is: ({ class: name }) => name === 'Resource',
  },
]

/** True where a list stands in a field that takes anything. */
function hasAnything(schema: Schema, data: unknown): boolean {
  if (schema.type === undefined && !schema.oneOf && !schema.anyOf) return Array.isArray(data)
  if (Array.isArray(data)) return schema.items !== undefined && data.some(item => hasAnything(schema.items!, item))
  if (typeof data !== 'object' || data === null) return false
  return Object.entries(data).some(([name, value]) => {
    const field = schema.properties?.[name]
    return field ? hasAnything(field, value) : Array.isArray(value)
  })
}

/** LinkML writes `_` for `-` in the names of fields, and TOML files of the older tool have `-`. */
function underscored(data: unknown): unknown {
  if (Array.isArray(data)) return data.map(underscored)
  if (typeof data !== 'object' || data === null) return data
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => [name.replaceAll('-', '_'), underscored(value)]),
  )
}

function ours(className: string, value: unknown): boolean {
  const { problems } = validate(className, { value, at: () => ({ file: 'case' }) })
  return problems.every(({ severity }) => severity !== 'error')
}

function casesOf(file: string): Case[] {
  const contents = new Map(files.map(name => [name, readFileSync(join(folder, name))]))
  const here = [...readModel(contents, file).classes.values()]
  const imported = new Set(
    [...readFileSync(join(folder, file), 'utf8').matchAll(/^ {2}- (\w+\.linkml)$/gm)].flatMap(([, name]) => [
      ...readModel(contents, `${name}.yaml`).classes.keys(),
    ]),
  )
  return here.filter(({ name }) => !imported.has(name)).flatMap(({ name }) => casesOfClass(file, name))
}

function casesOfClass(file: string, name: string): Case[] {
  const schema = definitionOf(name)
  const values = fc.sample(valuesOf(schema), { seed, numRuns: samplesOfClass }).filter(value => ours(name, value))
  assert.ok(values.length > 0, `no sample of ${name} is valid`)
  const isDocument = documents.includes(name)
  const valid = values.map(data => ({ file, class: name, fault: 'none' as const, at: '', data, validate: isDocument }))
  const seen = new Map<string, number>()
  const faulty: Case[] = []
  for (const value of values) {
    for (const { fault, at, value: data } of faultsOf(schema, value)) {
      const where = at.filter(step => typeof step === 'string').join('.')
      const kind = `${where} ${fault}`
      const count = (seen.get(kind) ?? 0) + 1
      seen.set(kind, count)
      if (count <= faultsOfKind)
        faulty.push({ file, class: name, fault, at: where, data, validate: isDocument && count === 1 })
    }
  }
  return [...valid, ...faulty]
}

describe('LinkML’s own tools', () => {
  let bin: string
  let judged: Judged[]
  let definitions: Map<string, readonly string[]>

  before(function () {
    bin = linkmlOrSkip(this)
    const cases = files.map(file => ({ file, cases: casesOf(file) }))
    const input = JSON.stringify(
      cases.map(({ file, cases }) => ({
        file: join(folder, file),
        cases: cases.map(({ class: name, data, validate }) => ({ class: name, data: underscored(data), validate })),
      })),
    )
    const { status, stdout, stderr } = spawnSync(join(bin, 'python'), [join(import.meta.dirname, 'linkml_tools.py')], {
      input,
      encoding: 'utf8',
      maxBuffer: 256 * 1024 * 1024,
      timeout: 500_000,
    })
    assert.equal(status, 0, stderr.slice(-2000))
    const answers = JSON.parse(stdout) as { definitions: string[]; verdicts: [boolean, boolean | null][] }[]
    definitions = new Map(answers.map((answer, index) => [files[index]!, answer.definitions]))
    judged = cases.flatMap(({ cases }, index) =>
      cases.map((one, at) => {
        const [generated, command] = answers[index]!.verdicts[at]!
        return { ...one, ours: ours(one.class, one.data), generated, command }
      }),
    )
  })

  it('read every class and every list of values that our compiler reads', () => {
    const contents = new Map(files.map(name => [name, readFileSync(join(folder, name))]))
    for (const file of files) {
      const { classes, enums } = readModel(contents, file)
      const named = [...classes.keys(), ...enums.keys()]
      assert.deepEqual(
        named.filter(name => !definitions.get(file)?.includes(name)),
        [],
        file,
      )
    }
  })

  it('take what we take and refuse what we refuse, but for the differences that are listed', () => {
    const unexplained = new Map<string, string>()
    const used = new Set<Difference>()
    for (const one of judged) {
      for (const [tool, theirs] of [
        ['gen-json-schema', one.generated],
        ['linkml-validate', one.command],
      ] as const) {
        if (theirs === null || theirs === one.ours) continue
        const taken = theirs ? 'by them' : 'by us'
        const known = differences.find(known => known.tools.includes(tool) && known.taken === taken && known.is(one))
        if (known) used.add(known)
        else
          unexplained.set(`${tool}: ${one.class}.${one.at}: ${one.fault} is taken ${taken}`, JSON.stringify(one.data))
      }
    }
    const refused = judged.filter(({ ours }) => !ours)
    console.log(
      `      ${judged.length} values of ${new Set(judged.map(one => one.class)).size} classes, ${refused.length} refused by us`,
    )
    assert.deepEqual([...unexplained].slice(0, 20), [])
    // A difference that is gone is taken out of the list.
    assert.deepEqual(
      differences.filter(difference => !used.has(difference)).map(({ what }) => what),
      [],
    )
    assert.ok(judged.length - refused.length > 200 && refused.length > 2000)
  })

  it('find every kind of fault', () => {
    const kinds = new Set(judged.filter(({ ours }) => !ours).map(({ fault }) => fault))
    assert.deepEqual([...kinds].sort(), [...faults].sort())
  })

  it('are run as commands by people, and say the same', () => {
    const made = JSON.parse(
      execFileSync(join(bin, 'gen-json-schema'), ['--closed', join(folder, 'request.linkml.yaml')], {
        encoding: 'utf8',
        maxBuffer: 64 * 1024 * 1024,
      }),
    ) as { $defs: object }
    assert.ok(Object.hasOwn(made.$defs, 'Governance'))
    const file = join(tempFolder(), 'governance.json')
    const example = join(folder, '../examples/projects/asthma-outcomes/resources/governance/cr8-governance.yaml')
    const good = parse(readFileSync(example, 'utf8')) as object
    const args = ['-s', join(folder, 'request.linkml.yaml'), '-C', 'Governance', file]
    for (const [data, code] of [
      [good, 0],
      [{ ...good, project: 7 }, 1],
    ] as const) {
      writeFileSync(file, JSON.stringify(data))
      assert.equal(spawnSync(join(bin, 'linkml-validate'), args, { encoding: 'utf8' }).status, code)
    }
  })
})
