/** `sign-off`, `disclosure` and `withdraw`: what a person decides, signed with their own key, in their own clone. */

import { runGit } from '../git/work-tree.ts'
import { contentPaths, parseRequest, readFolder } from '../kinds/requests/documents.ts'
import { statementNames } from '../kinds/requests/release.ts'
import type { StatementPhase } from '../kinds/requests/state.ts'
import { formatStatement, type Statement, statementNamespace } from '../records/statement.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { parsePublicKey, type SshPublicKey } from '../runtime/ssh-key.ts'
import { parseYaml } from '../schema/yaml.ts'
import { type Clone, openClone } from './clone.ts'
import { type Arguments, type Command, commonOptions, exit, type Io, type Option } from './command.ts'
import { commitFiles, push } from './commit-files.ts'
import { keyOption, onlySigner, openSigner, requireKey } from './signer.ts'

const options = {
  key: keyOption,
  clone: { type: 'string', value: '<path>', help: 'your clone of the projects repository (default: this folder)' },
  records: { type: 'string', value: '<branch>', help: 'the records branch (default: cratewright/records)' },
  as: { type: 'string', value: '<person>', help: 'your name as the platform knows it (default: found by your key)' },
  reason: { type: 'string', value: '<text>', help: 'why you decided so' },
  push: { type: 'boolean', help: 'push the commit to origin' },
  root: {
    type: 'string',
    value: '<fingerprint>',
    help: 'the controller’s key, from a source that you trust; another one is refused',
  },
  yes: { type: 'boolean', help: 'sign without being asked' },
  json: commonOptions.json,
} as const satisfies Record<string, Option>

export const signOffCommand: Command = {
  name: 'sign-off',
  summary: 'approve or reject what a request asks for, with your signature',
  arguments: '<project>',
  options: {
    ...options,
    reject: { type: 'boolean', help: 'reject instead of approving' },
    withdraw: { type: 'boolean', help: 'take your approval back' },
  },
  example:
    'scripts/cratewright sign-off asthma-outcomes --clone .quickstart/people/dana/projects --key .quickstart/people/dana/key --push',
  run: async (args, io) => {
    if (args.flag('reject') && args.flag('withdraw'))
      throw new CratewrightError('UsageInvalid', 'give --reject or --withdraw, not both')
    const decision = args.flag('reject') ? 'reject' : args.flag('withdraw') ? 'withdraw' : 'approve'
    return decide('SignOff', args.positionals[0], decision, args, io)
  },
}

export const withdrawCommand: Command = {
  name: 'withdraw',
  summary: 'take your request back: work on it ends, and what was released is taken away and destroyed',
  arguments: '<project>',
  options,
  example:
    'scripts/cratewright withdraw asthma-outcomes --clone .quickstart/people/rob/projects --key .quickstart/people/rob/key --reason "no longer needed"',
  run: (args, io) => decide('Request', args.positionals[0], 'withdraw', args, io),
}

export const disclosureCommand: Command = {
  name: 'disclosure',
  summary: 'approve or reject the release of what was extracted, with your signature',
  arguments: 'approve|reject|withdraw <project>',
  options,
  example:
    'scripts/cratewright disclosure approve asthma-outcomes --clone .quickstart/people/dana/projects --key .quickstart/people/dana/key --push',
  run: async (args, io) => {
    const [decision, project] = args.positionals
    if (decision !== 'approve' && decision !== 'reject' && decision !== 'withdraw') {
      throw new CratewrightError(
        'UsageInvalid',
        'write `cratewright disclosure approve <project>`, `… reject <project>` or `… withdraw <project>`',
      )
    }
    return decide('Disclosure', project, decision, args, io)
  },
}

async function decide(
  phase: StatementPhase,
  project: string | undefined,
  decision: Statement['decision'],
  args: Arguments,
  io: Io,
): Promise<number> {
  const key = args.string('key')
  if (project === undefined) throw new CratewrightError('UsageInvalid', 'name the project')
  requireKey(key, io)
  if (decision !== 'approve' && !args.string('reason'))
    throw new CratewrightError('UsageInvalid', 'this needs --reason, so that others know what to do')
  const as = args.string('as')
  if (as !== undefined && !/^[a-z0-9][a-z0-9.-]{0,252}$/.test(as))
    throw new CratewrightError('UsageInvalid', '--as takes the name of a Person: lower-case letters, digits, - and .')
  const named = key === undefined ? undefined : await openSigner(key, io)
  const { signal } = io
  const clone = await openClone(args.string('clone') ?? '.', signal)
  try {
    // As fresh as the network allows; a clone that cannot fetch still decides about what it has.
    await runGit(clone.folder, ['fetch', '--quiet', 'origin'], { signal, asPerson: true }).catch(() => undefined)
    const records = args.string('records') ?? 'cratewright/records'
    const found = await prepared(clone, project, phase, decision, records, signal)
    if (!found) {
      io.err(`There is no ${statementNames[phase]} to decide for ${project} now.`)
      io.err(`  See \`cratewright explain ${project}\`.`)
      return exit.waiting
    }
    const root = args.string('root')
    if (root !== undefined && root !== found.signer) {
      throw new CratewrightError(
        'RecordForged',
        `what lies ready to sign was written by the key ${found.signer}, not by ${root}`,
      )
    }
    const folder = await requestFolder(clone, project, found.statement.digests.request, decision, signal)
    const isMine = (known: SshPublicKey) =>
      as === undefined ? found.personOf(known) !== undefined : found.personOf(known) === as
    const signer = named ?? (await onlySigner(isMine, io))
    const person = as ?? found.personOf(signer.public)
    if (!person) {
      throw new CratewrightError(
        'UsageInvalid',
        `the key ${signer.public.fingerprint} is not that of ${phase === 'Request' ? 'the requester' : 'an approver'} of ${project}`,
        {
          todo: 'Give the key that is registered for you, or say who you are with --as.',
        },
      )
    }
    if (!args.flag('json')) {
      io.out(found.explanation)
      io.out(`  Prepared by the key ${found.signer}.`)
    }
    if (io.ask && !args.flag('yes') && !(await io.ask(`Sign this as ${person}: ${decision}?`))) {
      io.err('Nothing was signed.')
      return exit.waiting
    }
    const reason = args.string('reason')
    const statement: Statement = { ...found.statement, decision, person, ...(reason ? { reason } : {}) }
    const text = Buffer.from(formatStatement(statement))
    const name = `${decision === 'withdraw' ? 'withdraw-' : ''}${statementNames[phase]}-${person}.yaml`
    const path = [folder, 'sign-offs', statement.digests.request.slice(0, 16), name]
      .filter(part => part !== '')
      .join('/')
    const signature = Buffer.from(await signer.sign(statementNamespace, text))
    const commit = await commitFiles(
      clone,
      [
        { path, content: text },
        { path: `${path}.sig`, content: signature },
      ],
      `${verbs[phase]} ${project}: ${decision}`,
      person,
      signer,
      signal,
    )
    if (args.flag('push')) await push(clone, signal)
    if (args.flag('json'))
      io.out(JSON.stringify({ project, phase, decision, person, path, commit, pushed: args.flag('push') }))
    else {
      io.out(`Signed by ${person} (${signer.public.fingerprint}): ${decision}.`)
      io.out(`  ${path}`)
      io.out(
        args.flag('push')
          ? 'Pushed.'
          : 'Committed. Push it, or open a pull request with it: it counts once it is on the watched branch.',
      )
    }
    return exit.ok
  } finally {
    await clone.close()
  }
}

const verbs = { SignOff: 'Sign off', Disclosure: 'Decide the disclosure of', Request: 'Take back' } as const

/** What lies ready for a decision: what is waited for, or, to take back what was decided, the statement for that. */
function preparedNames(phase: StatementPhase, decision: Statement['decision']): string[] {
  const name = statementNames[phase]
  return [...(phase === 'Request' ? [] : [name]), ...(decision === 'approve' ? [] : [`withdraw-${name}`])]
}

interface Prepared {
  readonly statement: Omit<Statement, 'person' | 'decision'>
  readonly explanation: string
  /** Who signed the commit that the statement was read from. */
  readonly signer: string
  personOf(key: SshPublicKey): string | undefined
}

async function prepared(
  clone: Clone,
  project: string,
  phase: StatementPhase,
  decision: Statement['decision'],
  branch: string,
  signal: AbortSignal,
): Promise<Prepared | undefined> {
  const records = await clone.branch(branch, signal)
  if (!records) return undefined
  await clone.repository.fetch(records.ref, records.oid, signal)
  const [signature] = await clone.repository.signatures([records.oid], signal)
  if (signature?.state !== 'good') {
    throw new CratewrightError(
      'RecordForged',
      `the newest commit on ${branch} has no good signature: nothing on it is to be signed`,
    )
  }
  const show = async (path: string) => {
    const { code, stdout } = await runGit(clone.folder, ['cat-file', 'blob', `${records.oid}:${path}`], { signal })
    return code === 0 ? stdout : undefined
  }
  let text: Buffer | undefined
  for (const name of preparedNames(phase, decision)) text ??= await show(`projects/${project}/prepared/${name}.yaml`)
  const document = text && parseYaml(text, 'prepared statement').documents[0]
  if (!text || !document) return undefined
  const statement = document.value as Prepared['statement']
  if (statement.phase !== phase || statement.project !== project) {
    throw new CratewrightError(
      'RecordForged',
      `what lies ready to sign is for ${statement.phase} of ${statement.project}, not for ${phase} of ${project}`,
    )
  }
  const status = await show(`status/requests.cratewright.dev/DataAccessRequest/${statement.repository}/${project}.json`)
  const { detail } = status ? (JSON.parse(status.toString()) as { detail?: KnownKeys }) : {}
  // Who approves has to be one of the approvers; who takes something back has said something before, or asks for the data.
  const known = [...(detail?.approvals?.keys ?? []), ...(decision === 'approve' ? [] : (detail?.keys ?? []))]
  return {
    statement,
    signer: signature.key.fingerprint,
    explanation: text
      .toString()
      .split('\n')
      .filter(line => line.startsWith('#'))
      .map(line => line.replace(/^# ?/, '  '))
      .join('\n'),
    personOf: key => known.find(entry => parsePublicKey(entry.key).fingerprint === key.fingerprint)?.person,
  }
}

interface KnownKeys {
  readonly approvals?: { readonly keys?: readonly { person: string; key: string }[] }
  readonly keys?: readonly { person: string; key: string }[]
}

/** The request in this clone must be the one that the statement is about: nobody signs what they have not got. */
async function requestFolder(
  clone: Clone,
  project: string,
  digest: string,
  decision: Statement['decision'],
  signal: AbortSignal,
): Promise<string> {
  const head = (await runGit(clone.folder, ['rev-parse', 'HEAD'], { signal })).stdout.toString().trim()
  await clone.repository.fetch('HEAD', head, signal)
  const folders = (await clone.repository.list(head, '', signal))
    .filter(({ path }) => path.endsWith(`/${contentPaths[0]}`) || path === contentPaths[0])
    .map(({ path }) => path.split('/').slice(0, -1).join('/'))
    .filter(folder => folder === '' || folder.split('/').at(-1) === project)
  for (const folder of folders) {
    const { files } = await readFolder(clone.repository, head, folder, signal)
    if (parseRequest(files, folder).documents?.digest === digest) return folder
  }
  // To say no, nobody has to have what is said no to.
  const [any] = folders
  if (any !== undefined && decision !== 'approve') return any
  throw new CratewrightError(
    'StatementInvalid',
    `the request ${project} in this clone is not the one that the statement is about (${digest.slice(0, 16)})`,
    {
      todo: 'Pull the watched branch, and look at what changed before you sign.',
    },
  )
}
