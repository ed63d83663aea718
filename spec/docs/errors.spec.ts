import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { catalogue } from '../../controller/runtime/errors.ts'
import { errorsPage } from '../../scripts/errors-page.ts'

const docs = resolve(import.meta.dirname, '../../docs')
const page = readFileSync(join(docs, 'errors.md'), 'utf8')
const remedy =
  'write what a new code means into scripts/errors-page.ts, then run scripts/generate (docs/errors.md is made by it)'

/** The page as a reader sees it: what stands below each heading. */
function sections(): Map<string, string> {
  return new Map(
    page
      .split(/^### /m)
      .slice(1)
      .map(section => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n'))] as const),
  )
}

describe('docs/errors.md', () => {
  it('is what the catalogue makes', () => {
    assert.ok(page === errorsPage(), `docs/errors.md is not current: ${remedy}`)
  })

  it('has every code of the catalogue and none else, with a meaning of its own', () => {
    assert.deepEqual([...sections().keys()], Object.keys(catalogue).sort(), remedy)
    const meanings = [...sections().values()].map(text => text.trim().split('\n')[0] ?? '')
    assert.equal(new Set(meanings.map(meaning => meaning.split('. Which of the two')[0])).size, meanings.length)
    for (const meaning of meanings) assert.match(meaning, /^[A-Z`].{10,}\.$/)
  })

  it('says of each what to do in the words of the catalogue, and whether it is tried again', () => {
    const found = sections()
    for (const [code, { todo, retryable }] of Object.entries(catalogue)) {
      const text = found.get(code) ?? ''
      assert.ok(text.includes(`- **What to do:** ${todo}\n`), `${code}: ${remedy}`)
      assert.equal(text.includes('It is tried again by itself'), retryable, `${code}: ${remedy}`)
    }
  })

  it('is where links to a code in other pages lead', () => {
    const known = new Set(Object.keys(catalogue).map(code => code.toLowerCase()))
    for (const name of readdirSync(docs).filter(name => name.endsWith('.md')))
      for (const [, anchor = ''] of readFileSync(join(docs, name), 'utf8').matchAll(/\]\(errors\.md#([^)]*)\)/g))
        assert.ok(known.has(anchor), `docs/${name} links to errors.md#${anchor}, and there is no such code`)
  })
})
