/**
 * Writes `ro-crate-metadata.json`: RO-Crate 1.2 with the terms of Five Safes RO-Crate 0.4. The caller gives facts; every
 * decision about the format is here. Pure: the same facts give the same bytes.
 */

import { CratewrightError } from '../runtime/errors.ts'
import { encodePath } from './arcp.ts'
import { pathDefect, showPath } from './bag-path.ts'
import * as iri from './terms.ts'

export interface CrateInput {
  /** The release's, lower case: the same UUID as the bag's External-Identifier `urn:uuid:…`. */
  readonly uuid: string
  readonly name: string
  readonly description: string
  /** RFC 3339 with zone: when the request was first seen merged. */
  readonly dateCreated: string
  /** RFC 3339 with zone. RO-Crate wants one before anything is published: then the time of the last log entry. */
  readonly datePublished: string
  /** Absent: no licence, use under the agreement only. */
  readonly license?: Document
  /** The TRE: publishes, and answers for the software. */
  readonly publisher: Organization
  /** RO-Crate 1.2 requires the url of software. */
  readonly software: { readonly version: string; readonly url: string }
  readonly project: {
    readonly id: string
    readonly name: string
    readonly description: string
    readonly reference?: string
  }
  /** What is known of people that actions name or that work on the project. Who is only named by an action gets the name as title. */
  readonly persons: readonly Person[]
  /** The policy that sign-offs are made under. */
  readonly agreement: Document
  /** What is extracted: the ingress document. Must be one of `files`. */
  readonly specification: string
  /** By reference: a name that says nothing of host or credential. */
  readonly source: { readonly id: string; readonly name: string; readonly description?: string }
  /** Empty in a crate that stands for a request at work, but for the request's own files. */
  readonly files: readonly CrateFile[]
  readonly datasets: readonly CrateDataset[]
  /** In the order of events; exactly one of phase `execution` (RO-Crate readers find the main one by its being alone). */
  readonly actions: readonly CrateAction[]
}

/** An id here is a name within the crate (`agreement-7`), not an IRI. */
export interface Document {
  readonly id: string
  readonly name: string
  readonly description: string
}

export interface Organization {
  readonly id: string
  readonly name: string
  readonly url?: string
}

export interface Person {
  /** metadata.name or a pseudonym. */
  readonly id: string
  readonly name: string
  readonly affiliation?: Organization
  /** True for people of the project. */
  readonly member?: boolean
}

export interface CrateFile {
  /** From the crate's root, which is the bag's `data/`: `outputs/cohort/person.csv`. */
  readonly path: string
  readonly name: string
  readonly description?: string
  /** Media type. */
  readonly encodingFormat: string
  /** Bytes. */
  readonly contentSize: number
  /** Hex. */
  readonly sha256?: string
  readonly sha512?: string
}

export interface CrateDataset {
  /** A folder from the crate's root: `outputs/cohort/`. It has as parts the files below it. */
  readonly path: string
  readonly name: string
  readonly description?: string
}

export type Agent = { readonly person: string } | 'controller'

export type ActionStatus = 'Potential' | 'Active' | 'Completed' | 'Failed'

interface ActionFacts {
  /** Unique in the crate. */
  readonly id: string
  /** For people; at least 10 characters (Five Safes). */
  readonly name: string
  readonly description?: string
  readonly status: ActionStatus
  readonly agent: Agent
  /** RFC 3339 with zone. */
  readonly startTime?: string
  readonly endTime?: string
  /** Only of a failed action. */
  readonly error?: string
}

export type CrateAction =
  /** Checksums of the request's own files were computed. */
  | (ActionFacts & { readonly phase: 'check'; readonly agent: 'controller' })
  /** The request was compared with the source's catalogue. */
  | (ActionFacts & { readonly phase: 'validation'; readonly agent: 'controller' })
  /** One for each approver. */
  | (ActionFacts & { readonly phase: 'sign-off'; readonly agent: { readonly person: string } })
  /** The extraction; the agent is who asked for it. */
  | (ActionFacts & { readonly phase: 'execution' })
  /** One for each approver. */
  | (ActionFacts & { readonly phase: 'disclosure'; readonly agent: { readonly person: string } })
  /** The manifests were written. */
  | (ActionFacts & { readonly phase: 'publish'; readonly agent: 'controller' })

interface Ref {
  readonly '@id': string
}
type Value = string | Ref | readonly Value[] | undefined
type Entity = { readonly '@id': string; readonly '@type': string | readonly string[]; readonly [key: string]: Value }

const noLicense: Document = {
  id: 'no-license',
  name: 'No licence',
  description:
    'No licence is granted. The data may be used only within the trusted research environment and under the agreement.',
}

/**
 * Canonical: keys sorted, the descriptor first, the root second, the rest by @id, two spaces, LF at the end.
 * @throws CratewrightError UnsafePath for a path that cannot be in a bag; Internal where the input breaks its own rules
 */
export function renderCrate(input: CrateInput): Uint8Array {
  const graph = new Map<string, Entity>()
  for (const entity of entitiesOf(input)) {
    const known = graph.get(entity['@id'])
    // Researchers write down who works where, each in their own way: the first one counts, and the publisher is before all.
    if (known && (entity['@type'] === 'Organization' || entity['@type'] === 'Person')) continue
    if (known) throw new CratewrightError('Internal', `two things of the crate have the id ${entity['@id']}`)
    graph.set(entity['@id'], entity)
  }
  const rank = (id: string): number => (id === iri.descriptor ? 0 : id === iri.root ? 1 : 2)
  const sorted = [...graph.values()].sort(
    (a, b) => rank(a['@id']) - rank(b['@id']) || Buffer.compare(Buffer.from(a['@id']), Buffer.from(b['@id'])),
  )
  const document = { '@context': [iri.context, { sha512: iri.sha512Property }], '@graph': sorted }
  return Buffer.from(`${JSON.stringify(document, sortedKeys, 2)}\n`)
}

function entitiesOf(input: CrateInput): Entity[] {
  const { publisher, project, agreement, license = noLicense, source, files, datasets, actions } = input
  const mainEntity = fileId(input.specification)
  if (!files.some(({ path }) => path === input.specification)) {
    throw new CratewrightError('Internal', 'the extraction specification is not a file of the crate')
  }
  if (actions.filter(({ phase }) => phase === 'execution').length !== 1) {
    throw new CratewrightError('Internal', 'a crate has exactly one execution')
  }
  const parts = partsOf(files, datasets)
  const ids = {
    mainEntity,
    project: local('project', project.id),
    agreement: local('agreement', agreement.id),
    source: local('source', source.id),
    datasets: datasets.map(({ path }) => folderId(path)),
  }
  return [
    { '@id': iri.descriptor, '@type': 'CreativeWork', about: ref(iri.root), conformsTo: ref(iri.roCrate) },
    {
      '@id': iri.root,
      '@type': 'Dataset',
      name: input.name,
      description: input.description,
      identifier: `urn:uuid:${input.uuid}`,
      dateCreated: input.dateCreated,
      datePublished: input.datePublished,
      conformsTo: ref(iri.fiveSafes),
      license: ref(local('license', license.id)),
      publisher: ref(organizationId(publisher)),
      sourceOrganization: ref(ids.project),
      mainEntity: ref(mainEntity),
      hasPart: refs(parts.get(iri.root) ?? []),
      mentions: refs(actions.map(({ id }) => local('action', id))),
    },
    { '@id': iri.fiveSafes, '@type': ['CreativeWork', 'Profile'], name: 'Five Safes RO-Crate 0.4' },
    { '@id': iri.sha512Algorithm, '@type': 'DefinedTerm', name: 'sha-512' },
    documentEntity(local('license', license.id), license),
    documentEntity(ids.agreement, agreement),
    organizationEntity(publisher),
    {
      '@id': iri.controller,
      '@type': 'SoftwareApplication',
      name: 'Cratewright',
      version: input.software.version,
      url: input.software.url,
      provider: ref(organizationId(publisher)),
    },
    {
      '@id': ids.project,
      '@type': 'Project',
      name: project.name,
      description: project.description,
      identifier: project.reference,
    },
    ...personEntities(input, ids.project),
    { '@id': ids.source, '@type': 'Service', name: source.name, description: source.description },
    ...files.map(file => fileEntity(file, file.path === input.specification)),
    ...datasets.map(({ path, name, description }) => ({
      '@id': folderId(path),
      '@type': 'Dataset',
      name,
      description,
      hasPart: refs(parts.get(path) ?? []),
    })),
    ...actions.map(action => actionEntity(action, ids)),
  ]
}

/** Files and folders by the innermost folder that the crate describes. */
function partsOf(files: readonly CrateFile[], datasets: readonly CrateDataset[]): Map<string, string[]> {
  const parts = new Map<string, string[]>([
    [iri.root, []],
    ...datasets.map(({ path }) => [path, []] as [string, string[]]),
  ])
  const home = (path: string): string => {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const folder = path.slice(0, end + 1)
      if (folder !== path && parts.has(folder)) return folder
    }
    return iri.root
  }
  for (const { path } of files) parts.get(home(path))?.push(fileId(path))
  for (const { path } of datasets) parts.get(home(path))?.push(folderId(path))
  for (const list of parts.values()) list.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return parts
}

function fileEntity(file: CrateFile, isSpecification: boolean): Entity {
  return {
    '@id': fileId(file.path),
    // What is run, as well as a file of the crate.
    '@type': isSpecification ? ['File', 'SoftwareSourceCode'] : 'File',
    name: file.name,
    description: file.description,
    encodingFormat: file.encodingFormat,
    contentSize: String(file.contentSize),
    sha256: file.sha256,
    sha512: file.sha512,
  }
}

function documentEntity(id: string, { name, description }: Document): Entity {
  return { '@id': id, '@type': 'CreativeWork', name, description }
}

function organizationEntity(organization: Organization): Entity {
  return {
    '@id': organizationId(organization),
    '@type': 'Organization',
    name: organization.name,
    url: organization.url,
  }
}

function personEntities({ persons, actions }: CrateInput, projectId: string): Entity[] {
  const known = new Set(persons.map(({ id }) => id))
  const others = new Set(
    actions.flatMap(({ agent }) => (agent === 'controller' || known.has(agent.person) ? [] : agent.person)),
  )
  const all: readonly Person[] = [...persons, ...[...others].map(id => ({ id, name: id }))]
  return all.flatMap(({ id, name, affiliation, member }) => [
    {
      '@id': local('person', id),
      '@type': 'Person',
      name,
      affiliation: affiliation && ref(organizationId(affiliation)),
      memberOf: member ? ref(projectId) : undefined,
    },
    ...(affiliation ? [organizationEntity(affiliation)] : []),
  ])
}

interface ActionIds {
  readonly mainEntity: string
  readonly project: string
  readonly agreement: string
  readonly source: string
  readonly datasets: readonly string[]
}

function actionEntity(action: CrateAction, ids: ActionIds): Entity {
  return {
    '@id': local('action', action.id),
    name: action.name,
    description: action.description,
    agent: ref(action.agent === 'controller' ? iri.controller : local('person', action.agent.person)),
    // A plain string: Five Safes 0.4 takes no reference here.
    actionStatus: `http://schema.org/${action.status}ActionStatus`,
    startTime: action.startTime,
    endTime: action.endTime,
    error: action.error,
    ...phaseTerms(action, ids),
  }
}

/** Five Safes RO-Crate 0.4, "Review process": what each phase is and acts on. */
function phaseTerms(
  { phase, status }: CrateAction,
  ids: ActionIds,
): { readonly '@type': string; readonly [key: string]: Value } {
  const root = ref(iri.root)
  switch (phase) {
    case 'check':
      return {
        '@type': 'AssessAction',
        additionalType: ref(iri.phase.check),
        object: root,
        instrument: ref(iri.sha512Algorithm),
      }
    case 'validation':
      return {
        '@type': 'AssessAction',
        additionalType: ref(iri.phase.validation),
        object: root,
        instrument: ref(iri.fiveSafes),
      }
    case 'sign-off':
      return {
        '@type': 'AssessAction',
        additionalType: ref(iri.phase.signOff),
        object: [root, ref(ids.mainEntity), ref(ids.project)],
        instrument: ref(ids.agreement),
      }
    case 'execution':
      return {
        '@type': 'CreateAction',
        object: ref(ids.source),
        instrument: ref(ids.mainEntity),
        result: status === 'Completed' ? refs(ids.datasets) : undefined,
      }
    case 'disclosure':
      return {
        '@type': 'AssessAction',
        additionalType: ref(iri.phase.disclosure),
        object: root,
        instrument: ref(ids.agreement),
      }
    case 'publish':
      return {
        '@type': 'UpdateAction',
        additionalType: ref(iri.phase.publish),
        object: root,
        instrument: ref(iri.sha512Algorithm),
      }
  }
}

function fileId(path: string): string {
  const defect = pathDefect(path)
  if (defect) throw new CratewrightError('UnsafePath', `${showPath(path)}: cannot be in a crate (${defect})`)
  if (path.toLowerCase() === iri.descriptor) {
    throw new CratewrightError('UnsafePath', `${showPath(path)}: is the crate's own metadata`)
  }
  return encodePath(path)
}

function folderId(path: string): string {
  if (!path.endsWith('/')) throw new CratewrightError('Internal', `${showPath(path)}: a folder of the crate ends in /`)
  return `${fileId(path.slice(0, -1))}/`
}

/** What people named gets its own part of the namespace, so that no name can stand for something else of the crate. */
function local(kind: string, id: string): string {
  return `#${kind}-${encodePath(id)}`
}

function organizationId({ id }: Organization): string {
  return local('organization', id)
}

function ref(id: string): Ref {
  return { '@id': id }
}

/** One value stands alone, none is left out (RO-Crate 1.2, "RO-Crate JSON-LD"). */
function refs(ids: readonly string[]): Value {
  return ids.length === 1 ? ref(ids[0]!) : ids.length === 0 ? undefined : ids.map(ref)
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
