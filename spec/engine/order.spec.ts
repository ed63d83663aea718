import assert from 'node:assert/strict'
import { costs, phaseOf, World } from '../support/world.ts'

describe('a start on what is there', () => {
  it('looks at a Repository before the many requests in it, and shows none of them as blocked by it', async function () {
    this.timeout(120_000)
    const world = await World.make()
    // More than there are workers: else the Repository is never far behind.
    const names = Array.from({ length: 24 }, (_, index) => `project-${index}`)
    const files = names.map(name => world.requestFiles(name, [{ name: 'money', tables: [costs] }]))
    await world.commit('rob', Object.assign({}, ...files))
    await world.run()
    const statuses = await world.run()
    for (const name of names) {
      const status = statuses.get(name)
      assert.equal(phaseOf(status), 'Validated')
      const times = status?.conditions.map(({ lastTransitionTime }) => lastTransitionTime)
      assert.equal(new Set(times).size, 1, `${name} was something else before: ${JSON.stringify(status?.conditions)}`)
    }
  })
})
