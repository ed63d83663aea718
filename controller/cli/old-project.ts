/**
 * A project folder of the tool before, read for what a request says: in YAML (cr8-governance.yaml, …) or in the older TOML
 * (project.toml, access.toml, dataset files). What that tool wrote itself, secrets and what nobody knows stay behind, and are named.
 */

import { lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requestFiles } from '../kinds/requests/documents.ts'
import { CratewrightError, type Problem } from '../runtime/errors.ts'
import { definitionOf, type Schema } from '../schema/registry.ts'
import { parseToml } from '../schema/toml.ts'
import { parseYaml } from '../schema/yaml.ts'

type Dict = Record<string, unknown>

export interface LeftOut {
  /** In the old folder. */
  readonly file: string
  /** `users[0].password`. */
  readonly field: string
  readonly why: string
}

export interface OldProject {
  readonly governance?: Dict
  readonly ingress?: Dict
  readonly deployment?: Dict
  /** `[bagit-info]` by its names. */
  readonly config: Dict
  readonly leftOut: readonly LeftOut[]
  /** Files that cannot be read as what they should be. */
  readonly problems: readonly Problem[]
}

const olderFiles = { project: 'resources/governance/project.toml', access: 'resources/access/access.toml' } as const
const maxBytes = 1024 * 1024
const maxDatasets = 200

/** @throws UsageInvalid where the folder is of neither layout */
export async function readOldProject(folder: string): Promise<OldProject> {
  const reader = new Reader(folder)
  const { governance, ingress, deployment } = requestFiles
  const newer = {
    governance: await reader.read(governance, 'Governance'),
    ingress: await reader.read(ingress, 'Ingress'),
    deployment: await reader.read(deployment, 'Deployment'),
  }
  const config = dictAt(await reader.read(requestFiles.config, 'Config'), 'bagit-info')
  const older = newer.governance || newer.ingress ? undefined : await olderProject(reader)
  const found = Object.fromEntries(Object.entries({ ...newer, ...older }).filter(([, value]) => value !== undefined))
  if (Object.keys(found).length === 0 && reader.problems.length === 0) {
    throw new CratewrightError('UsageInvalid', `${folder} holds no project of the tool before`, {
      todo: `Name a folder with ${governance}, or with ${olderFiles.project}.`,
    })
  }
  return { ...found, config, leftOut: reader.leftOut, problems: reader.problems }
}

class Reader {
  readonly folder: string
  readonly leftOut: LeftOut[] = []
  readonly problems: Problem[] = []

  constructor(folder: string) {
    this.folder = folder
  }

  /** The file's content without what is left out; undefined where there is no such file. `className` says what may be in it. */
  async read(name: string, className?: string): Promise<Dict | undefined> {
    const path = join(this.folder, name)
    const found = await lstat(path).catch(() => undefined)
    if (!found?.isFile() || found.size > maxBytes) return undefined
    const content = await readFile(path)
    const parsed = name.endsWith('.toml') ? parseToml(content, path) : parseYaml(content, path)
    this.problems.push(...parsed.problems)
    const document = 'documents' in parsed ? parsed.documents[0] : parsed.document
    const value = document?.value
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const schema = className === undefined ? undefined : definitionOf(className)
    return this.#kept(value, schema, name, '') as Dict
  }

  leave(file: string, field: string, why: string): void {
    this.leftOut.push({ file, field, why })
  }

  #kept(value: unknown, schema: Schema | undefined, file: string, at: string): unknown {
    if (Array.isArray(value)) {
      const items = value.map((item, index) => this.#kept(item, schema?.items, file, `${at}[${index}]`))
      return items.filter(item => item !== undefined)
    }
    if (typeof value !== 'object' || value === null) {
      if (typeof value !== 'string' || !/\{\{.*\}\}/.test(value)) return value
      this.leftOut.push({ file, field: at, why: 'it is a placeholder that was never filled in' })
      return undefined
    }
    const { properties, resourceType } = known(value as Dict, schema)
    const kept: Dict = resourceType === undefined ? {} : { resource_type: resourceType }
    for (const [name, child] of Object.entries(value)) {
      const field = at === '' ? name : `${at}.${name}`
      const why = resourceType !== undefined && name === 'type' ? undefined : whyNot(properties, name)
      if (resourceType !== undefined && name === 'type') continue
      if (why !== undefined) this.leftOut.push({ file, field, why })
      else {
        const inner = this.#kept(child, properties?.[name], file, field)
        if (inner !== undefined) kept[name] = inner
      }
    }
    return kept
  }
}

/** Resources of an earlier state of the documents say `type` for `resource_type`. */
function known(value: Dict, schema: Schema | undefined) {
  const { discriminator, oneOf, properties } = schema ?? {}
  if (!discriminator) return { properties, resourceType: undefined }
  const written = value[discriminator.propertyName]
  const resourceType = written === undefined ? value.type : undefined
  const choice = oneOf?.find(({ title }) => title === (written ?? resourceType))
  return { properties: choice?.properties, resourceType: choice && resourceType }
}

function whyNot(properties: Schema['properties'], name: string): string | undefined {
  if (properties === undefined) return undefined
  if (!Object.hasOwn(properties, name)) return 'it is not a known field'
  const field = properties[name] as { readonly 'x-ignored'?: string; readonly 'x-secret'?: boolean }
  if (field['x-secret']) return 'secrets are never copied; it has been in Git, so change it where it was used'
  return field['x-ignored']
}

async function olderProject(reader: Reader): Promise<Pick<OldProject, 'governance' | 'ingress'> | undefined> {
  const project = await reader.read(olderFiles.project)
  const access = await reader.read(olderFiles.access)
  if (!project && !access) return undefined
  const datasets = await olderDatasets(reader)
  const source = access && olderSource(reader, access)
  const destination = project && olderDestination(dictAt(project, 'project'))
  return {
    ...(project ? { governance: olderGovernance(reader, project) } : {}),
    ingress: {
      ...(source ? { source } : {}),
      ...(destination ? { destination } : {}),
      ...(datasets.length > 0 ? { datasets } : {}),
    },
  }
}

function olderGovernance(reader: Reader, project: Dict): Dict {
  const { description, reference, name } = dictAt(project, 'project')
  const agent = dictAt(project, 'requesting_agent')
  const affiliation = dictAt(agent, 'affiliation')
  for (const field of ['project.id', 'project.project_start_time', 'actions', 'repository', 'metadata_sources']) {
    const [first = '', second] = field.split('.')
    const holder = second === undefined ? project : dictAt(project, first)
    if (holder[second ?? first] !== undefined)
      reader.leave(
        olderFiles.project,
        field,
        'what the tool before wrote or needed; the log on the records branch says it',
      )
  }
  const [given, ...family] = typeof agent.name === 'string' ? agent.name.trim().split(/\s+/) : []
  const user = {
    ...(given ? { given_name: given } : {}),
    ...(family.length > 0 ? { family_name: family.join(' ') } : {}),
    ...(typeof affiliation.name === 'string' ? { affiliation: affiliation.name } : {}),
  }
  return {
    project: {
      ...(name ? { name } : {}),
      ...(description ? { description } : {}),
      ...(reference ? { reference } : {}),
    },
    ...(Object.keys(user).length > 0 ? { users: [user] } : {}),
  }
}

/** A table of its own, or two fields of the project: `destination_type` is then the name of the store. */
function olderDestination(project: Dict): Dict {
  const { type, name, format } = dictAt(project, 'destination')
  const { destination_type: flatName, destination_format: flatFormat } = project
  const store = name ?? flatName
  const written = format ?? flatFormat
  return {
    type: type ?? 'filestore',
    ...(typeof store === 'string' ? { name: store } : {}),
    ...(typeof written === 'string' ? { format: written.toLowerCase() } : {}),
  }
}

function olderSource(reader: Reader, access: Dict): Dict {
  const { type, host_url: host, database, port, catalog, http_path: path } = dictAt(access, 'source')
  for (const field of ['credentials', 'extract_config'])
    if (access[field] !== undefined)
      reader.leave(olderFiles.access, field, 'the SourceConnection that an admin declares decides')
  const name = database ?? catalog
  return {
    ...(typeof type === 'string' ? { type } : {}),
    ...(typeof host === 'string' ? { url: host.replace(/^[a-z]+:\/\//i, '').replace(/\/.*$/, '') } : {}),
    ...(typeof port === 'number' ? { port } : {}),
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof catalog === 'string' ? { catalog } : {}),
    ...(typeof path === 'string' ? { http_path: path } : {}),
  }
}

async function olderDatasets(reader: Reader): Promise<Dict[]> {
  const folder = 'resources/metadata'
  const names = await readdir(join(reader.folder, folder)).catch((): string[] => [])
  const files = names.filter(name => name.endsWith('.toml')).sort()
  const datasets: Dict[] = []
  for (const name of files.slice(0, maxDatasets)) {
    const dataset = await reader.read(`${folder}/${name}`, 'Dataset')
    if (!dataset) continue
    const tables = Array.isArray(dataset.tables) ? (dataset.tables as Dict[]) : []
    datasets.push(withoutBlanks({ ...dataset, ...(tables.length > 0 ? { tables } : {}) }) as Dict)
  }
  return datasets
}

/** Empty descriptions say nothing, and are not allowed. */
function withoutBlanks(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBlanks)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(([name, child]) => name !== 'description' || child !== '')
  return Object.fromEntries(kept.map(([name, child]) => [name, withoutBlanks(child)]))
}

function dictAt(holder: Dict | undefined, name: string): Dict {
  const value = holder?.[name]
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Dict) : {}
}
