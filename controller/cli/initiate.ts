/** `cratewright initiate`: a request folder to start from, asked for field by field, given by options, or taken from an old project. */

import { lstat, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { parseRequest } from '../kinds/requests/documents.ts'
import { CratewrightError, type Problem, showWhere } from '../runtime/errors.ts'
import { type Arguments, type Command, commonOptions, exit, type Io, type Option } from './command.ts'
import { type LeftOut, readOldProject } from './old-project.ts'
import { type DraftPath, RequestDraft } from './request-draft.ts'

interface Field {
  readonly option: string
  readonly path: DraftPath
  readonly question: string
  /** A request cannot do without it: it is asked for, and left for the person to fill in. */
  readonly needed?: true
  readonly value?: string
  /** What the option's text says, where it is not the value itself. @throws UsageInvalid */
  readonly read?: (texts: readonly string[]) => unknown
}

/** In the order in which a person is asked. */
const fields: readonly Field[] = [
  {
    option: 'description',
    path: ['governance', 'project', 'description'],
    question: 'what the project does',
    needed: true,
  },
  {
    option: 'reference',
    path: ['governance', 'project', 'reference'],
    question: 'what the project is called elsewhere',
  },
  { option: 'requester', path: ['governance', 'requester'], question: 'your name as the platform knows it' },
  { option: 'purpose', path: ['governance', 'purpose'], question: 'what the data will be used for' },
  { option: 'agreement', path: ['governance', 'agreement'], question: 'the agreement, as text or address' },
  {
    option: 'user',
    path: ['governance', 'users'],
    question: 'who will work with it, as `rob <rob@university.example>`; may be given again',
    needed: true,
    value: '<user>',
    read: texts => texts.map(userOf),
  },
  {
    option: 'organisation',
    path: ['config', 'Source-Organization'],
    question: 'the organisation that releases',
    needed: true,
  },
  { option: 'address', path: ['config', 'Organization-Address'], question: 'its postal address', needed: true },
  { option: 'contact', path: ['config', 'Contact-Name'], question: 'whom to ask there', needed: true },
  {
    option: 'contact-email',
    path: ['config', 'Contact-Email'],
    question: 'the e-mail address to ask at',
    needed: true,
  },
  {
    option: 'source-host',
    path: ['ingress', 'source', 'url'],
    question: 'the host of the database server',
    needed: true,
  },
  {
    option: 'source-port',
    path: ['ingress', 'source', 'port'],
    question: 'its port',
    read: ([text = '']) => portOf(text),
  },
  { option: 'database', path: ['ingress', 'source', 'name'], question: 'the database', needed: true },
  { option: 'store', path: ['ingress', 'destination', 'name'], question: 'the FileStore that takes the data' },
  {
    option: 'dataset',
    path: ['ingress', 'datasets'],
    question: 'a table, as `schema.table:column:type,column:type`; may be given again',
    needed: true,
    value: '<table>',
    read: datasetsOf,
  },
  {
    option: 'environment',
    path: ['deployment', 'environment', 'name'],
    question: 'the research environment',
    needed: true,
  },
]

const fieldOptions: Record<string, Option> = Object.fromEntries(
  fields.map(({ option, question, value = '<text>', read }) => [
    option,
    { type: 'string', value, help: question, ...(read && option !== 'source-port' ? { multiple: true } : {}) },
  ]),
)

export const initiateCommand: Command = {
  name: 'initiate',
  summary: 'write a request folder to start from, or from a project of the tool before',
  arguments: '<project>',
  options: {
    folder: { type: 'string', value: '<path>', help: 'the folder that holds the requests (default: projects)' },
    from: {
      type: 'string',
      value: '<path>',
      help: 'a project folder of the tool before, to take over what it asks for',
    },
    ...fieldOptions,
    json: commonOptions.json,
  },
  example:
    'scripts/cratewright initiate my-project --folder .quickstart/people/rob/projects/projects --database warehouse --dataset clinical.patients:patient_id:integer,born:date',
  async run(args, io) {
    const [project] = args.positionals
    if (project === undefined || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(project)) {
      throw new CratewrightError(
        'UsageInvalid',
        'name the project: lower-case letters, digits and hyphens, at most 63',
        {
          todo: 'Write `cratewright initiate my-project`.',
        },
      )
    }
    const target = await targetOf(project, args.string('folder'))
    const draft = await RequestDraft.fromTemplate()
    const from = args.string('from')
    const taken = from === undefined ? { leftOut: [], problems: [], notes: [] } : await takeOver(draft, from, project)
    draft.set(['governance', 'project', 'name'], project)
    await fillIn(draft, args, io)
    const files = draft.files()
    await write(target, files)
    const { problems } = parseRequest(files, shownPath(target))
    show({ target, files: [...files.keys()], ...taken, problems: [...taken.problems, ...problems] }, args, io)
    return problems.some(({ severity }) => severity === 'error') ? exit.waiting : exit.ok
  },
}

/** Where the request is written; there is nothing yet. */
async function targetOf(project: string, folder: string | undefined): Promise<string> {
  const holder = resolve(folder ?? 'projects')
  const there = await lstat(folder === undefined ? holder : dirname(holder)).catch(() => undefined)
  if (!there?.isDirectory()) {
    throw new CratewrightError(
      'UsageInvalid',
      `there is no folder ${folder === undefined ? holder : dirname(holder)}`,
      {
        todo: 'Run it in a clone of the projects repository, or name the folder of the requests with --folder.',
      },
    )
  }
  const target = join(holder, project)
  if (await lstat(target).catch(() => undefined))
    throw new CratewrightError('UsageInvalid', `${target} exists; a request is never overwritten`, {
      todo: 'Choose another name, or change the files that are there.',
    })
  return target
}

async function takeOver(draft: RequestDraft, from: string, project: string) {
  const old = await readOldProject(resolve(from))
  const notes: string[] = []
  for (const name of ['governance', 'ingress', 'deployment'] as const) {
    const value = old[name]
    if (value) draft.replace(name, value)
  }
  for (const [name, value] of Object.entries(old.config))
    if (typeof value === 'string' && value !== '') draft.set(['config', name], value)
  const named = (old.governance?.project as { readonly name?: unknown } | undefined)?.name
  if (typeof named === 'string' && named !== project) {
    notes.push(`the project was called ${JSON.stringify(named)}`)
    if (!draft.has(['governance', 'project', 'reference'])) draft.set(['governance', 'project', 'reference'], named)
  }
  const { type, format } = (old.ingress?.destination ?? {}) as { readonly type?: unknown; readonly format?: unknown }
  if (type !== undefined && type !== 'filestore')
    notes.push('only `destination.type: filestore` is provided: change it')
  if (format !== undefined && format !== 'csv') notes.push('only `destination.format: csv` is provided: change it')
  const source = (old.ingress?.source ?? {}) as { readonly type?: unknown }
  if (source.type !== undefined && source.type !== 'postgresql')
    notes.push('only sources of type postgresql are provided: an admin has to offer the data there')
  return { leftOut: old.leftOut, problems: old.problems, notes }
}

async function fillIn(draft: RequestDraft, args: Arguments, io: Io): Promise<void> {
  for (const { option, path, question, needed, read } of fields) {
    const many = fieldOptions[option]?.multiple === true
    const single = args.string(option)
    let given = many ? args.strings(option) : single === undefined ? [] : [single]
    if (given.length === 0 && needed && io.prompt && !args.flag('json') && !draft.has(path))
      given = await answers(io.prompt, question, many)
    if (given.length > 0) draft.set(path, read ? read(given) : given[0])
    else if (!needed) draft.drop(path)
  }
}

/** Until nothing is answered, where more than one is possible. */
async function answers(prompt: NonNullable<Io['prompt']>, question: string, many: boolean): Promise<string[]> {
  const given: string[] = []
  for (;;) {
    const answer = (await prompt(`${question}${given.length > 0 ? ' (empty: no more)' : ''}: `)).trim()
    if (answer !== '') given.push(answer)
    if (answer === '' || !many) return given
  }
}

function userOf(text: string): { username: string; email: string } {
  const [, username, email] = /^\s*([^<>]+?)\s*<([^<>\s]+)>\s*$/.exec(text) ?? []
  if (username === undefined || email === undefined)
    throw new CratewrightError('UsageInvalid', `${JSON.stringify(text)} is no user`, {
      todo: 'Write it as `rob <rob@university.example>`.',
    })
  return { username, email }
}

function portOf(text: string): number {
  if (/^[0-9]{1,5}$/.test(text)) return Number(text)
  throw new CratewrightError('UsageInvalid', `${JSON.stringify(text)} is no port`, { todo: 'Write a number.' })
}

/** Tables of one schema make one dataset, of the schema's name; what is put before `=` names another. */
function datasetsOf(texts: readonly string[]) {
  const datasets = new Map<string, { name: string; schema_name: string; tables: unknown[] }>()
  for (const text of texts) {
    const [, named, schema = '', table = '', columns = ''] =
      /^(?:([^=:.]+)=)?([^.:]+)\.([^:]+):(.+)$/.exec(text.trim()) ?? []
    const parts = columns.split(/,(?![^()]*\))/).map(part => /^\s*([^:]+?)\s*:\s*(.+?)\s*$/.exec(part))
    if (schema === '' || parts.some(part => part === null)) {
      throw new CratewrightError('UsageInvalid', `${JSON.stringify(text)} is no table`, {
        todo: 'Write it as schema.table:column:type,column:type, such as clinical.patients:patient_id:integer,born:date. Odd names go into the file.',
      })
    }
    const name = named ?? schema
    const dataset = datasets.get(name) ?? { name, schema_name: schema, tables: [] }
    if (dataset.schema_name !== schema)
      throw new CratewrightError('UsageInvalid', `dataset ${name} has tables of two schemas`, {
        todo: 'Give each schema a dataset of its own, as in `other=schema.table:…`.',
      })
    dataset.tables.push({ name: table, columns: parts.map(part => ({ name: part?.[1], datatype: part?.[2] })) })
    datasets.set(name, dataset)
  }
  return [...datasets.values()]
}

/** As short as a person would write it. */
function shownPath(target: string): string {
  const short = relative('.', target)
  return short.startsWith('..') ? target : short
}

async function write(target: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const refused = (error: NodeJS.ErrnoException) => {
    throw new CratewrightError('UsageInvalid', `${target} cannot be written (${error.code})`, {
      todo: 'Check the folder and your rights there.',
    })
  }
  await mkdir(dirname(target), { recursive: true }).catch(refused)
  await mkdir(target).catch(refused)
  for (const [path, content] of files) {
    await mkdir(dirname(join(target, path)), { recursive: true }).catch(refused)
    await writeFile(join(target, path), content, { flag: 'wx' }).catch(refused)
  }
}

interface Shown {
  readonly target: string
  readonly files: readonly string[]
  readonly leftOut: readonly LeftOut[]
  readonly notes: readonly string[]
  readonly problems: readonly Problem[]
}

function show({ target, files, leftOut, notes, problems }: Shown, args: Arguments, io: Io): void {
  const folder = shownPath(target)
  if (args.flag('json')) {
    io.out(JSON.stringify({ folder, files, leftOut, notes, problems }, null, 2))
    return
  }
  io.out(`Written to ${folder}: ${files.join(', ')}.`)
  for (const { file, field, why } of leftOut) io.out(`Left out: ${field} of ${file}: ${why}.`)
  for (const note of notes) io.out(`Note: ${note}.`)
  if (problems.length > 0) io.out('Still to fill in or to correct:')
  for (const { where, message, todo } of problems)
    io.out(`  ${where ? `${showWhere(where)}: ` : ''}${message}\n    ${todo}`)
  io.out(
    `Next: \`cratewright plan --folder ${folder} --platform <a clone of the platform repository>\`, then commit it, signed.`,
  )
}
