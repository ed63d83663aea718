import assert from 'node:assert/strict'
import { overlappedBy } from '../../controller/kinds/store-overlap.ts'
import type { FileStoreSpec } from '../../schemas/generated/types.ts'

const store = (name: string, staging: string, production: string) => ({
  name,
  spec: { type: 'directory', staging, production } as FileStoreSpec,
})

describe('two FileStores', () => {
  const own = store('own', '/srv/a/staging', '/srv/a/production')
  for (const { other, overlaps } of [
    { other: store('other', '/srv/b/staging', '/srv/b/production'), overlaps: false },
    { other: store('other', '/srv/a/staging', '/srv/b/production'), overlaps: true },
    { other: store('other', '/srv/b/staging', '/srv/a/staging/inside'), overlaps: true },
    { other: store('other', '/srv/b/../a/production', '/srv/b/production'), overlaps: true },
    { other: store('other', '/srv/b/staging', '/srv'), overlaps: true },
    { other: store('other', '/srv/a/staging2', '/srv/a/production-old'), overlaps: false },
    { other: store('own', '/srv/a/staging', '/srv/a/production'), overlaps: false },
  ])
    it(`${other.name} with ${other.spec.staging} and ${other.spec.production} ${overlaps ? 'meet' : 'are apart'}`, () => {
      assert.deepEqual(overlappedBy(own, [own, other]), overlaps ? ['other'] : [])
    })
})
