/** `cratewright keys`: each of its words in a file of its own. */

import { CratewrightError } from '../runtime/errors.ts'
import { type Command, commonOptions } from './command.ts'
import { checkProof } from './keys-check.ts'
import { makeKey } from './keys-make.ts'
import { proveKey } from './keys-prove.ts'
import { rotateKeys } from './keys-rotate.ts'
import { showKeys } from './keys-show.ts'

const words: ReadonlyMap<string, Command['run']> = new Map([
  ['make', makeKey],
  ['prove', proveKey],
  ['check', checkProof],
  ['show', showKeys],
  ['rotate', rotateKeys],
])

export const keysCommand: Command = {
  name: 'keys',
  summary: 'make, show or rotate the key that the controller signs its records with; prove whose key an approver’s is',
  arguments: 'make <path> | show | rotate | prove | check <file>',
  options: {
    comment: { type: 'string', value: '<text>', help: 'make: a comment for the public key (default: cratewright)' },
    person: { type: 'string', value: '<name>', help: 'prove, check: the name of the Person' },
    key: {
      type: 'string',
      value: '<key>',
      help: 'prove: your key, as for sign-off; check: the public key that the proof has to be of, as one line in quotes',
    },
    new: { type: 'string', value: '<path>', help: 'rotate: the key that takes the place of the present one' },
    'in-place': { type: 'boolean', help: 'rotate: put the new key where the present one is, and keep that beside it' },
    config: commonOptions.config,
    json: commonOptions.json,
  },
  example: 'scripts/cratewright keys make controller-key',
  async run(args, io) {
    const run = words.get(args.positionals[0] ?? '')
    if (!run || args.positionals.length > 2)
      throw new CratewrightError(
        'UsageInvalid',
        'write `cratewright keys make <path>`, `… keys show`, `… keys rotate --new <path>`, `… keys prove` or `… keys check <file>`',
      )
    return run(args, io)
  },
}
