import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BagVerdict, checkBag } from '../../controller/crate/bag-check.ts'
import { bagFolder } from '../support/bag-folder.ts'
import { sharedOrSkip } from '../support/oracles.ts'

describe('the BagIt conformance suite', () => {
  const verdicts = new Map<string, { category: string; verdict: BagVerdict }>()

  before(async function () {
    const suite = sharedOrSkip(this, 'data/03-bagit-conformance-suite')
    const { bags } = JSON.parse(readFileSync(join(suite, 'expected.json'), 'utf8'))
    for (const { bag, category } of bags) {
      verdicts.set(bag, { category, verdict: await checkBag(bagFolder(join(suite, bag))) })
    }
  })

  const of = (category: string) => [...verdicts].filter(([, each]) => each.category === category)
  const codes = (category: string, list: 'problems' | 'warnings') =>
    Object.fromEntries(
      of(category).map(([bag, { verdict }]) => [bag, [...new Set(verdict[list].map(({ code }) => code))].sort()]),
    )

  it('x', () => {
    console.log(JSON.stringify(codes('valid', 'problems'), null, 1))
    for (const c of ['invalid', 'linux-only', 'windows-only', 'warning'])
      console.log(JSON.stringify(codes(c, 'problems'), null, 1))
    console.log(JSON.stringify(codes('warning', 'warnings'), null, 1))
    console.log(JSON.stringify(codes('valid', 'warnings'), null, 1))
    assert.ok(true)
  })
})
