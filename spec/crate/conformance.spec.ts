import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkBag } from '../../controller/crate/bag-check.ts'
import type { BagProblemCode, BagVerdict } from '../../controller/crate/bag-verdict.ts'
import { bagFolder } from '../support/bag-folder.ts'
import { sharedOrSkip } from '../support/oracles.ts'

/** The reason for which each bag is invalid; codes of defects that come with it are left out. */
const reasons: Record<string, BagProblemCode> = {
  'v0.97/invalid/baginfo-missing-encoding': 'DeclarationInvalid',
  'v0.97/invalid/bom-in-bagit.txt': 'DeclarationMarked',
  'v0.97/invalid/corrupt-data-file': 'PayloadCorrupt',
  'v0.97/invalid/corrupt-tag-file': 'TagFileCorrupt',
  'v0.97/invalid/extra-file-in-bag': 'PayloadUnlisted',
  'v0.97/invalid/invalid-version-number': 'VersionInvalid',
  'v0.97/invalid/missing-baginfo': 'TagFileMissing',
  'v0.97/invalid/missing-bagit.txt': 'DeclarationMissing',
  'v0.97/invalid/out-of-scope-file-paths-using-dot-notation': 'PathParent',
  'v0.97/invalid/out-of-scope-file-paths-using-dot-notation-for-fetch': 'PathParent',
  'v0.97/invalid/same-filename-listed-twice-with-different-hashes': 'PathRepeatedDifferently',
  'v1.0/invalid/bagit-with-invalid-whitespace': 'DeclarationInvalid',
  'v1.0/invalid/notAllManifestsListAllFiles': 'PayloadUnlisted',
  'v1.0/invalid/same-filename-listed-twice-with-different-hashes': 'PathRepeatedDifferently',
  'v1.0/invalid/same-filename-listed-twice-with-the-same-hash': 'PathRepeated',
  'v0.97/linux-only/out-of-scope-file-paths-using-absolute-path': 'PathAbsolute',
  'v0.97/linux-only/out-of-scope-file-paths-using-absolute-path-for-fetch': 'PathAbsolute',
  'v0.97/linux-only/out-of-scope-file-paths-using-shortcut': 'PathHome',
  'v0.97/linux-only/out-of-scope-file-paths-using-shortcut-for-fetch': 'PathHome',
  'v0.97/linux-only/out-of-scope-file-paths-using-shortcut-username': 'PathHome',
  'v0.97/linux-only/out-of-scope-file-paths-using-shortcut-username-for-fetch': 'PathHome',
  'v0.97/windows-only/out-of-scope-file-paths-using-absolute-path': 'PathDriveLetter',
  'v0.97/windows-only/out-of-scope-file-paths-using-absolute-path-for-fetch': 'PathDriveLetter',
  'v0.97/windows-only/out-of-scope-file-paths-using-shortcut': 'PathVariable',
  'v0.97/windows-only/out-of-scope-file-paths-using-shortcut-for-fetch': 'PathVariable',
  'v0.97/windows-only/out-of-scope-file-paths-using-unc': 'PathUnc',
  'v0.97/windows-only/out-of-scope-file-paths-using-unc-for-fetch': 'PathUnc',
}

/** What each bag is warned of, and the defects of the two that came incomplete in the suite (its README). */
const warnings: Record<string, readonly [BagProblemCode, ...BagProblemCode[]]> = {
  'v0.97/warning/duplicate-file-with-different-case': ['NamesCollide', 'PayloadMissing'],
  'v0.97/warning/made-with-md5sum-tools': ['PathMarked'],
  'v0.97/warning/relative-path': ['PathDotted'],
  'v0.97/warning/same-filename-listed-twice-with-different-normalization': ['NameNormalizedDifferently'],
  'v0.97/warning/same-filename-listed-twice-with-the-same-hash': ['PathRepeated'],
  'v0.97/warning/special-system-files': ['SystemFile', 'PayloadMissing', 'OxumDiffers'],
}

describe('the BagIt conformance suite', () => {
  const verdicts = new Map<string, BagVerdict>()

  before(async function () {
    const suite = sharedOrSkip(this, 'data/03-bagit-conformance-suite')
    const { bags } = JSON.parse(readFileSync(join(suite, 'expected.json'), 'utf8')) as { bags: { bag: string }[] }
    for (const { bag } of bags) verdicts.set(bag, await checkBag(bagFolder(join(suite, bag))))
  })

  const bagsOf = (category: string): string[] => [...verdicts.keys()].filter(bag => bag.split('/')[1] === category)

  it('27 valid bags are valid and complete', () => {
    const bags = bagsOf('valid')
    assert.equal(bags.length, 27)
    for (const bag of bags) {
      const { valid, complete, problems } = verdicts.get(bag)!
      assert.deepEqual({ bag, valid, complete, problems }, { bag, valid: true, complete: true, problems: [] })
    }
  })

  for (const [category, count] of [
    ['invalid', 15],
    ['linux-only', 6],
    ['windows-only', 6],
  ] as const) {
    it(`${count} bags of ${category} are invalid, each for its reason`, () => {
      const bags = bagsOf(category)
      assert.equal(bags.length, count)
      for (const bag of bags) {
        const { valid, problems } = verdicts.get(bag)!
        assert.equal(valid, false, bag)
        assert.ok(
          problems.some(({ code }) => code === reasons[bag]),
          `${bag}: ${problems.map(({ code }) => code)}`,
        )
      }
    })
  }

  it('6 bags of warning are warned of, and valid where the suite has all their files', () => {
    const bags = bagsOf('warning')
    assert.equal(bags.length, 6)
    for (const bag of bags) {
      const verdict = verdicts.get(bag)!
      const [warning, ...defects] = warnings[bag]!
      assert.ok(
        verdict.warnings.some(({ code }) => code === warning),
        bag,
      )
      const codes = [...new Set(verdict.problems.map(({ code }) => code))]
      assert.deepEqual({ bag, codes }, { bag, codes: defects })
    }
  })
})
