import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import addFormats from 'ajv-formats'
import { generate } from '../../controller/schema/generate.ts'
import { toJsonSchema } from '../../controller/schema/json-schema.ts'
import { readModel } from '../../controller/schema/linkml.ts'

const schemas = resolve(import.meta.dirname, '../../schemas')

function sources(): Map<string, Uint8Array> {
  const names = readdirSync(schemas).filter(name => name.endsWith('.linkml.yaml'))
  return new Map(names.map(name => [name, readFileSync(resolve(schemas, name))]))
}

function schemaOf(classes: string): string {
  return `id: https://example.org/x\nname: x\ntitle: X\ndescription: X.\ndefault_range: string\nimports: [linkml:types]\nclasses:\n${classes}`
}

function compile(text: string) {
  return toJsonSchema(readModel(new Map([['x.linkml.yaml', Buffer.from(text)]]), 'x.linkml.yaml')).$defs as Record<
    string,
    Record<string, unknown>
  >
}

describe('LinkML', () => {
  it('gives what schemas/generated holds, the same every time and in whichever order the files come', () => {
    const files = sources()
    const first = generate(files)
    deepEqual(generate(new Map([...files].reverse())), first)
    for (const [name, text] of first)
      equal(
        readFileSync(resolve(schemas, 'generated', name), 'utf8'),
        text,
        `${name} is not current; run scripts/generate`,
      )
    deepEqual(readdirSync(resolve(schemas, 'generated')).sort(), [...first.keys()].sort())
  })

  it('gives JSON Schemas that another user of ajv can compile', () => {
    for (const [name, text] of generate(sources())) {
      if (!name.endsWith('.json')) continue
      const ajv = new Ajv2019({ discriminator: true, strictTypes: false })
      for (const keyword of ['x-ignored', 'x-secret', 'x-unique-keys']) ajv.addKeyword(keyword)
      addFormats.default(ajv)
      const schema = JSON.parse(text)
      ajv.addSchema(schema)
      for (const definition of Object.keys(schema.$defs))
        ok(ajv.getSchema(`${schema.$id}#/$defs/${definition}`), `${name} ${definition}`)
    }
  })

  it('closes classes, rolls inheritance down and lists the choices of a designated type', () => {
    const { A, B, H } = compile(
      schemaOf(`  A:
    description: a
    abstract: true
    attributes:
      kind: {description: k, designates_type: true, required: true}
      n: {description: n, range: integer, required: true, minimum_value: 1}
  B:
    description: b
    is_a: A
    slot_usage:
      n: {required: false, maximum_value: 9}
  C: {description: c, is_a: A}
  H:
    description: h
    attributes:
      list: {description: l, range: A, multivalued: true, minimum_cardinality: 1}
`),
    )
    deepEqual(A, {
      title: 'A',
      description: 'a',
      type: 'object',
      required: ['kind'],
      discriminator: { propertyName: 'kind' },
      oneOf: [{ $ref: '#/$defs/B' }, { $ref: '#/$defs/C' }],
    })
    deepEqual(H!.properties, { list: { type: 'array', items: { $ref: '#/$defs/A' }, description: 'l', minItems: 1 } })
    equal(B!.additionalProperties, false)
  })

  it('maps unions, aliases, constants, defaults, unique keys, rules and annotations', () => {
    const { A, B } = compile(
      schemaOf(`  A:
    description: a
    attributes:
      a_b: {alias: a-b, description: d, any_of: [{range: string}, {range: integer}]}
      v: {description: v, equals_string: one, annotations: {ignored: no use}}
      s: {description: s, annotations: {secret: true}}
      d: {description: d, range: integer, ifabsent: int(4)}
      l: {description: l, multivalued: true, ifabsent: string(x)}
    unique_keys:
      k: {unique_key_slots: [v, d]}
    rules:
      - description: because
        preconditions: {slot_conditions: {v: {equals_string: one}}}
        postconditions: {slot_conditions: {d: {required: true}}}
  B:
    description: b
    attributes:
      as: {description: as, range: A, multivalued: true}
`),
    )
    deepEqual(A!.properties, {
      'a-b': { anyOf: [{ type: 'string' }, { type: 'integer' }], description: 'd' },
      v: { type: 'string', const: 'one', description: 'v', 'x-ignored': 'no use' },
      s: { type: 'string', description: 's', 'x-secret': true },
      d: { type: 'integer', description: 'd', default: 4 },
      l: { type: 'array', items: { type: 'string' }, description: 'l', default: ['x'] },
    })
    deepEqual(A!.allOf, [
      {
        if: { properties: { v: { enum: ['one'] } }, required: ['v'] },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { description: 'because', required: ['d'] },
      },
    ])
    deepEqual((B!.properties as Record<string, unknown>).as, {
      type: 'array',
      items: { $ref: '#/$defs/A' },
      description: 'as',
      'x-unique-keys': [['v', 'd']],
    })
  })

  it('takes slots that classes share, and what one class makes of them', () => {
    const classes =
      '  A: {description: a, slots: [s]}\n  B: {description: b, slots: [s], slot_usage: {s: {required: true}}}\n'
    const { A, B } = compile(`${schemaOf(classes)}slots:\n  s: {description: s, range: boolean}\n`)
    deepEqual(A!.properties, { s: { type: 'boolean', description: 's' } })
    deepEqual([A!.required, B!.required], [undefined, ['s']])
  })

  for (const [what, classes, expected] of [
    [
      'a feature it does not know',
      '  A: {description: a, mixins: [B]}\n',
      /classes\.A\.mixins: the LinkML feature mixins is not understood/,
    ],
    [
      'a feature of a slot',
      '  A: {description: a, attributes: {b: {description: b, recommended: true}}}\n',
      /feature recommended/,
    ],
    [
      'a rule it would not apply whole',
      '  A: {description: a, rules: [{description: r, elseconditions: {}}]}\n',
      /feature elseconditions/,
    ],
    [
      'a range that is not there',
      '  A: {description: a, attributes: {b: {description: b, range: Nope}}}\n',
      /there is no range Nope/,
    ],
    ['a parent that is not there', '  A: {description: a, is_a: Nope}\n', /there is no class Nope/],
    ['a slot that is not there', '  A: {description: a, slot_usage: {b: {required: true}}}\n', /there is no slot b/],
    ['a class without description', '  A: {}\n', /description is missing/],
    [
      'a default it does not know',
      '  A: {description: a, attributes: {b: {description: b, ifabsent: bnode}}}\n',
      /bnode is not understood/,
    ],
  ] as const) {
    it(`refuses ${what}, and says where`, () => {
      throws(
        () => compile(schemaOf(classes)),
        (error: Error & { where?: { line?: number } }) => {
          match(error.message, expected)
          ok((error.where?.line ?? 0) >= 7)
          return true
        },
      )
    })
  }

  it('refuses a pattern that does not hold for the whole value', () => {
    const text = `${schemaOf('  A: {description: a}\n')}types:\n  T: {typeof: string, description: t, pattern: 'a+'}\n`
    throws(() => compile(text), /types\.T\.pattern: write it as \^…\$/)
  })

  it('refuses imports that are not there', () => {
    throws(
      () => compile(schemaOf('  A: {description: a}\n').replace('[linkml:types]', '[other]')),
      /other\.yaml is missing/,
    )
  })
})
