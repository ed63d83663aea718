/** `cratewright verify`: who approved what, and are the published bytes those? With a clone or a bag, a key, and no network. */

import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { runGit } from '../git/work-tree.ts'
import type { Finding } from '../records/verify.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { type Command, commonOptions, exit, type Io } from './command.ts'
import { verifyBag } from './verify-bag.ts'
import { verifyClone } from './verify-clone.ts'

export interface Verdict {
  readonly findings: readonly Finding[]
  /** Fingerprints that the evidence rests on. */
  readonly roots: readonly string[]
  /** What was found, in words. */
  readonly summary: readonly string[]
}

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'judge a clone with its records branch, or a bag, offline',
  arguments: '<clone | bag>',
  options: {
    trust: {
      type: 'string',
      value: '<path>',
      help: 'a clone of the platform repository (default: the folder `trust` in the clone)',
    },
    root: {
      type: 'string',
      multiple: true,
      value: '<fingerprint>',
      help: 'the fingerprint of the controller’s key, from a source that you trust',
    },
    tip: {
      type: 'string',
      value: '<oid>',
      help: 'a records commit that must be part of the history: shows a branch that was set back',
    },
    records: { type: 'string', value: '<branch>', help: 'the records branch (default: cratewright/records)' },
    json: commonOptions.json,
  },
  example: 'scripts/cratewright verify .quickstart/auditor',
  async run(args, io) {
    const [path] = args.positionals
    if (path === undefined) throw new CratewrightError('UsageInvalid', 'name a clone or a bag')
    const folder = resolve(path)
    const found = await stat(folder).catch(() => undefined)
    if (!found?.isDirectory()) throw new CratewrightError('UsageInvalid', `${folder} is not a folder`)
    const { signal } = io
    const isBag = await readFile(join(folder, 'bagit.txt')).then(
      () => true,
      () => false,
    )
    const isClone = !isBag && (await runGit(folder, ['rev-parse', '--git-dir'], { signal })).code === 0
    if (!isBag && !isClone) throw new CratewrightError('UsageInvalid', `${folder} is neither a bag nor a clone`)
    const roots = args.strings('root').map(root => (root.startsWith('SHA256:') ? root : `SHA256:${root}`))
    const tip = args.string('tip')
    const verdict = isBag
      ? await verifyBag(folder, roots, signal)
      : await verifyClone(folder, {
          trust: args.string('trust') ?? join(folder, 'trust'),
          branch: args.string('records') ?? 'cratewright/records',
          roots,
          signal,
          ...(tip ? { tip } : {}),
        })
    return show(verdict, roots, args.flag('json'), io)
  },
}

function show({ findings, roots: found, summary }: Verdict, roots: readonly string[], json: boolean, io: Io): number {
  const wrong = findings.filter(({ level }) => level === 'bad')
  const open = findings.filter(({ level }) => level === 'unchecked')
  const pinned = roots.length > 0
  const verdict = wrong.length > 0 ? 'bad' : open.length > 0 ? 'unchecked' : pinned ? 'proven' : 'consistent'
  if (json) io.out(JSON.stringify({ verdict, rootPinned: pinned, roots: found, summary, findings }, null, 2))
  else {
    for (const line of summary) io.out(harmless(line))
    for (const { level, where, message } of findings) {
      const said = level === 'bad' ? 'BAD' : level === 'unchecked' ? 'not checked' : 'note'
      io.out(harmless(`${said}: ${where}: ${message}`))
    }
    for (const root of found) io.out(`The evidence rests on the key ${root}.`)
    io.out(wordsFor(verdict, wrong.length, open.length))
  }
  return wrong.length > 0 ? exit.invalid : open.length > 0 ? exit.failed : exit.ok
}

/** What is judged names itself: a file's name must not begin a line of the verdict, or steer the reader's terminal. */
function harmless(line: string): string {
  return line.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
}

function wordsFor(verdict: string, wrong: number, open: number): string {
  switch (verdict) {
    case 'bad':
      return `The evidence is BAD: ${wrong} finding${wrong === 1 ? '' : 's'}.`
    case 'unchecked':
      return `Nothing is wrong with what could be checked; ${open} point${open === 1 ? '' : 's'} could not.`
    case 'proven':
      return 'Proven: the records are whole, and rest on the key that you trust.'
    default:
      return 'Consistent, root not pinned: give --root with the fingerprint of the controller’s key, from a source that you trust.'
  }
}
