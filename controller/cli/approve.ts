/** `cratewright sign-off` and `cratewright disclosure`: an approver's decision, signed with their own key, in their own clone. */

import { runGit } from '../git/work-tree.ts'
import { contentPaths, parseRequest, readFolder } from '../kinds/requests/documents.ts'
import { formatStatement, type Statement, signStatement } from '../records/statement.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { parsePublicKey, type SshPrivateKey } from '../runtime/ssh-key.ts'
import { parseYaml } from '../schema/yaml.ts'
import { type Clone, openClone } from './clone.ts'
import { type Arguments, type Command, commonOptions, exit, type Io, type Option } from './command.ts'
import { commitFiles, push } from './commit-files.ts'
import { readKey } from './rooms.ts'

const options = {
  key: { type: 'string', value: '<path>', help: 'your private SSH key' },
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
  options: { ...options, reject: { type: 'boolean', help: 'reject instead of approving' } },
  example:
    'scripts/cratewright sign-off asthma-outcomes --clone .quickstart/people/dana/projects --key .quickstart/people/dana/key --push',
  run: (args, io) => decide('SignOff', args.positionals[0], args.flag('reject') ? 'reject' : 'approve', args, io),
}

export const disclosureCommand: Command = {
  name: 'disclosure',
  summary: 'approve or reject the release of what was extracted, with your signature',
  arguments: 'approve|reject <project>',
  options,
  example:
    'scripts/cratewright disclosure approve asthma-outcomes --clone .quickstart/people/dana/projects --key .quickstart/people/dana/key --push',
  run: async (args, io) => {
    const [decision, project] = args.positionals
    if (decision !== 'approve' && decision !== 'reject') {
      throw new CratewrightError(
        'UsageInvalid',
        'write `cratewright disclosure approve <project>` or `… reject <project>`',
      )
    }
    return decide('Disclosure', project, decision, args, io)
  },
}

async function decide(
  phase: 'SignOff' | 'Disclosure',
  project: string | undefined,
  decision: 'approve' | 'reject',
  args: Arguments,
  io: Io,
): Promise<number> {
  const keyPath = args.string('key')
  if (project === undefined) throw new CratewrightError('UsageInvalid', 'name the project')
  if (keyPath === undefined) throw new CratewrightError('UsageInvalid', 'name your key with --key')
  if (decision === 'reject' && !args.string('reason'))
    throw new CratewrightError(
      'UsageInvalid',
      'a rejection needs --reason, so that the researcher knows what to change',
    )
  const as = args.string('as')
  if (as !== undefined && !/^[a-z0-9][a-z0-9.-]{0,252}$/.test(as))
    throw new CratewrightError('UsageInvalid', '--as takes the name of a Person: lower-case letters, digits, - and .')
  const key = await readKey(keyPath)
  const { signal } = io
  const clone = await openClone(args.string('clone') ?? '.', signal)
  try {
    // As fresh as the network allows; a clone that cannot fetch still decides about what it has.
    await runGit(clone.folder, ['fetch', '--quiet', 'origin'], { signal, asPerson: true }).catch(() => undefined)
    const found = await prepared(clone, project, phase, args.string('records') ?? 'cratewright/records', signal)
    if (!found) {
      io.err(`There is no ${phase === 'SignOff' ? 'sign-off' : 'disclosure'} to decide for ${project} now.`)
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
    const folder = await requestFolder(clone, project, found.statement.digests.request, signal)
    const person = as ?? found.personOf(key)
    if (!person) {
      throw new CratewrightError(
        'UsageInvalid',
        `the key ${key.public.fingerprint} is not that of an approver of ${project}`,
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
    const name = `${phase === 'SignOff' ? 'sign-off' : 'disclosure'}-${person}.yaml`
    const path = [folder, 'sign-offs', statement.digests.request.slice(0, 16), name]
      .filter(part => part !== '')
      .join('/')
    const signature = Buffer.from(signStatement(key, text))
    const commit = await commitFiles(
      clone,
      [
        { path, content: text },
        { path: `${path}.sig`, content: signature },
      ],
      `${phase === 'SignOff' ? 'Sign off' : 'Decide the disclosure of'} ${project}: ${decision}`,
      person,
      key,
      signal,
    )
    if (args.flag('push')) await push(clone, signal)
    if (args.flag('json'))
      io.out(JSON.stringify({ project, phase, decision, person, path, commit, pushed: args.flag('push') }))
    else {
      io.out(`Signed by ${person} (${key.public.fingerprint}): ${decision}.`)
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

interface Prepared {
  readonly statement: Omit<Statement, 'person' | 'decision'>
  readonly explanation: string
  /** Who signed the commit that the statement was read from. */
  readonly signer: string
  personOf(key: SshPrivateKey): string | undefined
}

async function prepared(
  clone: Clone,
  project: string,
  phase: string,
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
  const text = await show(`projects/${project}/prepared/${phase === 'SignOff' ? 'sign-off' : 'disclosure'}.yaml`)
  const document = text && parseYaml(text, 'prepared statement').documents[0]
  if (!text || !document) return undefined
  const statement = document.value as Prepared['statement']
  const status = await show(`status/requests.cratewright.dev/DataAccessRequest/${statement.repository}/${project}.json`)
  const known = status
    ? (JSON.parse(status.toString()) as { detail?: { approvals?: { keys?: { person: string; key: string }[] } } })
        .detail?.approvals?.keys
    : []
  return {
    statement,
    signer: signature.key.fingerprint,
    explanation: text
      .toString()
      .split('\n')
      .filter(line => line.startsWith('#'))
      .map(line => line.replace(/^# ?/, '  '))
      .join('\n'),
    personOf: key => known?.find(entry => parsePublicKey(entry.key).fingerprint === key.public.fingerprint)?.person,
  }
}

/** The request in this clone must be the one that the statement is about: nobody signs what they have not got. */
async function requestFolder(clone: Clone, project: string, digest: string, signal: AbortSignal): Promise<string> {
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
  throw new CratewrightError(
    'StatementInvalid',
    `the request ${project} in this clone is not the one that the statement is about (${digest.slice(0, 16)})`,
    {
      todo: 'Pull the watched branch, and look at what changed before you sign.',
    },
  )
}
