/** What the tests of requests share: what a status says, statements made by hand, trees that no `git add` would make. */

import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { parse } from 'yaml'
import { explain } from '../../../controller/cli/explain.ts'
import type { StatusView } from '../../../controller/cli/records-view.ts'
import type { StoredStatus } from '../../../controller/engine/store/store.ts'
import { makeCommit } from '../../../controller/git/commit-object.ts'
import { runGit } from '../../../controller/git/work-tree.ts'
import type { RequestStatus } from '../../../controller/kinds/requests/report.ts'
import { formatStatement, type Statement, signStatement } from '../../../controller/records/statement.ts'
import type { SshPrivateKey } from '../../../controller/runtime/ssh-key.ts'
import { signSsh } from '../../../controller/runtime/sshsig.ts'
import { git } from '../../support/people.ts'
import type { World } from '../../support/world.ts'

type Person = keyof World['people']

const forever = new AbortController().signal
const records = 'refs/heads/cratewright/records'

/** Bare, valid documents with known line numbers: `more` is line 8 of the governance document. */
export function governanceText(project: string, more = ''): string {
  return `project:\n  name: ${project}\n  description: About it\nrequester: rob\nusers:\n- username: rob\n  email: rob@hospital.example\n${more}`
}

export function requestDetail(status: StoredStatus | undefined): RequestStatus {
  if (!status) throw new Error('there is no status')
  return status.report.detail as RequestStatus
}

export function reasonsOf(status: StoredStatus | undefined): string[] {
  return status?.waits.map(({ reason }) => reason) ?? []
}

/** A file on the records branch; undefined where it is absent. */
export async function record(world: World, path: string): Promise<string | undefined> {
  const { code, stdout } = await runGit(world.bare('projects'), ['show', `${records}:${path}`], { signal: forever })
  return code === 0 ? stdout.toString() : undefined
}

/** What `cratewright explain` prints, from the status on the records branch. */
export async function explained(world: World, project: string): Promise<string> {
  const status = await record(world, `status/requests.cratewright.dev/DataAccessRequest/projects/${project}.json`)
  if (status === undefined) throw new Error(`no status of ${project} on the records branch`)
  return explain(JSON.parse(status) as StatusView).join('\n')
}

/** True where the text stands in any file of the records branch. */
export async function recordsHold(world: World, text: string): Promise<boolean> {
  const { code } = await runGit(world.bare('projects'), ['grep', '-qF', '-e', text, records], { signal: forever })
  return code === 0
}

export async function preparedStatement(
  world: World,
  project: string,
  phase: 'SignOff' | 'Disclosure' = 'SignOff',
): Promise<Statement> {
  const text = await record(
    world,
    `projects/${project}/prepared/${phase === 'SignOff' ? 'sign-off' : 'disclosure'}.yaml`,
  )
  if (text === undefined) throw new Error(`no statement is prepared for ${phase} of ${project}`)
  return { ...(parse(text) as Statement), decision: 'approve', person: 'dana' }
}

/** A statement and its signature where `cratewright sign-off` writes them, in the folder of `project`. */
export function signed(
  project: string,
  statement: Statement,
  key: SshPrivateKey | undefined,
  name = `${statement.phase}-${statement.person}`,
): Record<string, string> {
  const text = formatStatement(statement)
  const path = `projects/${project}/sign-offs/${statement.digests.request.slice(0, 16)}/${name}.yaml`
  return { [path]: text, ...(key ? { [`${path}.sig`]: signStatement(key, Buffer.from(text)) } : {}) }
}

/** Dana approves for each project what is prepared for it, in one commit. */
export async function approveAll(
  world: World,
  projects: readonly string[],
  phase: 'SignOff' | 'Disclosure',
): Promise<void> {
  const made = await Promise.all(
    projects.map(async project =>
      signed(project, await preparedStatement(world, project, phase), world.people.dana.key),
    ),
  )
  await world.commit('dana', Object.assign({}, ...made), { message: `Approve ${phase}` })
}

export interface RawEntry {
  readonly path: string
  readonly mode: '100644' | '100755' | '120000' | '160000'
  /** Of a submodule: a commit id. */
  readonly content: string
}

/** A signed commit on main with entries of any mode and name, made on the server: no working tree holds them. */
export async function commitEntries(world: World, person: Person, entries: readonly RawEntry[]): Promise<string> {
  const tip = await git(world.bare('projects'), 'rev-parse', 'refs/heads/main')
  return commitTree(world, person, await treeWith(world, tip, entries), [tip])
}

/** The tree of a commit with these entries in it. */
export async function treeWith(world: World, base: string, entries: readonly RawEntry[]): Promise<string> {
  const bare = world.bare('projects')
  const indexFile = join(world.folder, `index-${crypto.randomUUID()}`)
  const own = async (args: string[], input?: string) => {
    const options = { signal: forever, indexFile, ...(input === undefined ? {} : { input: Buffer.from(input) }) }
    const { code, stdout, stderr } = await runGit(bare, args, options)
    if (code !== 0 || stderr !== '') throw new Error(`git ${args.join(' ')}: ${stderr}`)
    return stdout.toString().trim()
  }
  await own(['read-tree', base])
  const lines = []
  for (const { path, mode, content } of entries) {
    const oid = mode === '160000' ? content : await own(['hash-object', '-w', '--stdin'], content)
    lines.push(`${mode} ${oid}\t${path}\0`)
  }
  await own(['update-index', '-z', '--index-info'], lines.join(''))
  return own(['write-tree'])
}

/** A commit with this tree and these parents, signed by the person, as the new tip of main. */
export async function commitTree(
  world: World,
  person: Person,
  tree: string,
  parents: readonly string[],
  message = 'Change',
): Promise<string> {
  const { name, email, key } = world.people[person]
  const [first, ...others] = parents
  const extra = others.map(parent => `parent ${parent}\n`).join('')
  const withParents = (bytes: string) => bytes.replace(`parent ${first}\n`, `parent ${first}\n${extra}`)
  const bytes = makeCommit({
    tree,
    parent: first,
    message,
    time: new Date(),
    identity: { name, email },
    sign: payload => signSsh(key, 'git', Buffer.from(withParents(payload.toString()))),
  })
  const { stdout } = await runGit(world.bare('projects'), ['hash-object', '-t', 'commit', '-w', '--stdin'], {
    signal: forever,
    input: Buffer.from(withParents(bytes.toString())),
  })
  const commit = stdout.toString().trim()
  await git(world.bare('projects'), 'update-ref', 'refs/heads/main', commit)
  return commit
}

/** A port in front of a server: counts who comes, and can be closed as if the host were down. */
export interface Gate {
  readonly port: number
  readonly connections: number
  close(): Promise<void>
  open(): Promise<void>
}

export async function openGate(target: number): Promise<Gate> {
  const sockets = new Set<Socket>()
  let connections = 0
  let port = 0
  let server: Server | undefined
  const open = async () => {
    server = createServer(socket => {
      connections++
      const upstream = connect(target, '127.0.0.1')
      for (const [one, other] of [
        [socket, upstream],
        [upstream, socket],
      ] as const) {
        sockets.add(one)
        one.on('error', () => other.destroy()).on('close', () => sockets.delete(one))
        one.pipe(other)
      }
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    port = typeof address === 'object' && address ? address.port : 0
  }
  await open()
  return {
    get port() {
      return port
    },
    get connections() {
      return connections
    },
    open,
    async close() {
      for (const socket of sockets) socket.destroy()
      server?.close()
      if (server?.listening) await once(server, 'close')
    },
  }
}
