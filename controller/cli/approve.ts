/** `cratewright sign-off` and `cratewright disclosure`: an approver's decision, signed with their own key, in their own clone. */

import { lstat, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeCommit } from '../git/commit-object.ts'
import { runGit } from '../git/work-tree.ts'
import { contentPaths, parseRequest, readFolder } from '../kinds/requests/documents.ts'
import { formatStatement, type Statement, signStatement } from '../records/statement.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { writeFileWhole } from '../runtime/files.ts'
import { parsePublicKey, type SshPrivateKey } from '../runtime/ssh-key.ts'
import { signSsh } from '../runtime/sshsig.ts'
import { parseYaml } from '../schema/yaml.ts'
import { type Clone, openClone } from './clone.ts'
import { type Arguments, type Command, commonOptions, exit, type Io, type Option } from './command.ts'
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

interface OwnFile {
  readonly path: string
  readonly content: Uint8Array
}

/** Commits exactly these files on the current branch, signed with the approver's key, whatever else lies in the clone. */
async function commitFiles(
  clone: Clone,
  files: readonly OwnFile[],
  message: string,
  person: string,
  key: SshPrivateKey,
  signal: AbortSignal,
): Promise<string> {
  const branch = await currentBranch(clone, signal)
  for (const { path } of files) await refuseLinks(clone.folder, path)
  for (const { path, content } of files) {
    await mkdir(dirname(join(clone.folder, path)), { recursive: true })
    await writeFileWhole(join(clone.folder, path), content)
  }
  const indexFolder = await mkdtemp(join(tmpdir(), 'cratewright-index-'))
  const indexFile = join(indexFolder, 'index')
  const git = async (args: readonly string[], options: { input?: Uint8Array; indexFile?: string } = {}) => {
    const { code, stdout, stderr } = await runGit(clone.folder, args, { signal, ...options })
    if (code !== 0) throw new CratewrightError('GitFailed', `git ${args[0]} failed: ${stderr.split('\n')[0] ?? ''}`)
    return stdout.toString().trim()
  }
  try {
    const parent = await git(['rev-parse', 'HEAD'])
    await git(['read-tree', parent], { indexFile })
    for (const { path, content } of files) {
      const blob = await git(['hash-object', '-w', '--stdin'], { input: content })
      await git(['update-index', '--add', '--cacheinfo', `100644,${blob},${path}`], { indexFile })
    }
    const tree = await git(['write-tree'], { indexFile })
    // The same decision again, after a push that failed: it is committed already.
    if (tree === (await git(['rev-parse', `${parent}^{tree}`]))) return parent
    const who = await identityOf(clone, person, signal)
    const bytes = makeCommit({
      tree,
      parent,
      message,
      time: new Date(),
      identity: who,
      sign: payload => signSsh(key, 'git', payload),
    })
    const commit = await git(['hash-object', '-t', 'commit', '-w', '--stdin'], { input: bytes })
    await git(['update-ref', branch, commit, parent])
    // The person's own index learns of the new files; what else they have staged stays as it is.
    await git(['update-index', '--add', '--', ...files.map(({ path }) => path)])
    return commit
  } finally {
    await rm(indexFolder, { recursive: true, force: true })
  }
}

/** @throws UsageInvalid where a commit would belong to no branch, or has no files to lie beside */
async function currentBranch(clone: Clone, signal: AbortSignal): Promise<string> {
  const value = async (...args: string[]) => (await runGit(clone.folder, args, { signal })).stdout.toString().trim()
  if ((await value('rev-parse', '--is-inside-work-tree')) !== 'true')
    throw new CratewrightError('UsageInvalid', `${clone.folder} has no working tree`, {
      todo: 'Name a clone that is not bare.',
    })
  const branch = await value('symbolic-ref', '--quiet', 'HEAD')
  if (branch !== '') return branch
  throw new CratewrightError('UsageInvalid', `${clone.folder} is not on a branch`, {
    todo: 'Check out the branch that the statement is to be pushed to.',
  })
}

/** What others committed could lead out of the clone. @throws UnsafePath */
async function refuseLinks(folder: string, path: string): Promise<void> {
  const segments = path.split('/')
  for (let depth = 1; depth <= segments.length; depth++) {
    const part = segments.slice(0, depth).join('/')
    const found = await lstat(join(folder, part)).catch(() => undefined)
    if (found?.isSymbolicLink())
      throw new CratewrightError('UnsafePath', `${part} is a symbolic link; links are never followed`)
  }
}

async function identityOf(clone: Clone, person: string, signal: AbortSignal) {
  const value = async (name: string) =>
    (await runGit(clone.folder, ['config', name], { signal, asPerson: true })).stdout.toString().trim()
  return {
    name: (await value('user.name')) || person,
    email: (await value('user.email')) || `${person}@cratewright.invalid`,
  }
}

async function push(clone: Clone, signal: AbortSignal): Promise<void> {
  const { code, stderr } = await runGit(clone.folder, ['push', '--quiet', 'origin', 'HEAD'], { signal, asPerson: true })
  if (code === 0) return
  throw new CratewrightError('GitDenied', `the push was refused: ${stderr.trim().split('\n').at(-1) ?? ''}`)
}
