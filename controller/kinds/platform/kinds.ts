/** What the platform's kinds report of themselves. They are read from Git and act on nothing. */

import type {
  ApproverGroupSpec,
  FileStoreSpec,
  FreezeSpec,
  PersonSpec,
  RepositorySpec,
  SourceConnectionSpec,
} from '../../../schemas/generated/types.ts'
import type { Context, Kind, Plan, Reference, Resource, ResourceType } from '../../engine/kind.ts'
import { asCratewrightError, catalogue, type ErrorCode } from '../../runtime/errors.ts'
import { overlappedBy } from '../store-overlap.ts'
import {
  approverGroupType,
  fileStoreType,
  freezeType,
  personType,
  repositoryType,
  sourceConnectionType,
} from '../types.ts'

interface Finding {
  readonly code: ErrorCode
  readonly message: string
  readonly todo?: string
  /** Worth knowing, and in nobody's way. */
  readonly passing?: true
}

interface DeclaredKind<Spec> {
  readonly type: ResourceType
  readonly references?: readonly Reference[]
  /** What stands in its way now; empty: it is Ready. */
  readonly findings: (resource: Resource<Spec>, context: Context) => Promise<readonly Finding[]>
  readonly summary: (spec: Spec) => string
}

/** A kind that only declares: observed, reported, never applied. */
function declared<Spec>({
  type,
  references = [],
  findings,
  summary,
}: DeclaredKind<Spec>): Kind<Spec, readonly Finding[]> {
  return {
    type,
    references: () => references,
    observe: (resource, context) => findings(resource, context),
    plan: (_, found): Plan => ({
      steps: [],
      waits: found.map(({ code, message, todo = catalogue[code].todo }) => ({ reason: code, message, todo })),
      later: [],
    }),
    apply: async () => ({ state: 'done' }),
    report: (resource, found) => {
      const inTheWay = found.filter(({ passing }) => !passing)
      const first = inTheWay[0] ?? found[0]
      const stalled = inTheWay.some(({ code }) => !catalogue[code].retryable)
      return {
        ready: inTheWay.length === 0,
        progressing: false,
        stalled,
        reason: first?.code ?? 'Declared',
        message: first?.message ?? summary(resource.spec),
        detail: {},
      }
    },
  }
}

export interface PlatformRoom {
  /** Why the Repository's branch or its records cannot be used, and what was repaired lately. */
  readonly repositoryFindings: (name: string) => readonly Finding[]
  /** Fails where the connection's credential cannot be read. */
  readonly checkConnection: (connection: Resource<SourceConnectionSpec>) => Promise<void>
  /** Fails where the store's folders are not there or not fit. */
  readonly checkStore: (store: Resource<FileStoreSpec>) => Promise<void>
}

export function platformKinds(room: PlatformRoom): Kind[] {
  const person = declared<PersonSpec>({
    type: personType,
    findings: async ({ problems }) => problems.filter(({ severity }) => severity === 'error'),
    // What is written here lies on the records branch for ever: people are named by their ids there, and by nothing else.
    summary: spec => count(spec.keys?.length ?? 0, 'key'),
  })
  const repository = declared<RepositorySpec>({
    type: repositoryType,
    findings: async resource => room.repositoryFindings(resource.name),
    summary: spec => `watching ${spec.ref ?? 'refs/heads/main'}`,
  })
  const approverGroup = declared<ApproverGroupSpec>({
    type: approverGroupType,
    references: [{ named: false, type: personType }],
    findings: async (resource, { snapshot }) => {
      const unknown = resource.spec.members.filter(({ person: name }) => !snapshot.get(personType, name))
      return unknown.map(({ person: name }) => ({
        code: 'DocumentInvalid',
        message: `member ${name} is not a declared Person, and counts for nothing`,
      }))
    },
    summary: spec =>
      `${count(spec.members.length, 'member')}, quorum ${spec.quorum ?? 1}, ${spec.phases.join(' and ')}`,
  })
  const sourceConnection = declared<SourceConnectionSpec>({
    type: sourceConnectionType,
    findings: (resource, { connect }) => (connect ? asFindings(room.checkConnection(resource)) : Promise.resolve([])),
    summary: spec => `${spec.type} at ${spec.host}:${spec.port}`,
  })
  const fileStore = declared<FileStoreSpec>({
    type: fileStoreType,
    references: [{ named: false, type: fileStoreType }],
    findings: async (resource, { snapshot }) => [
      ...overlappedBy(resource, snapshot.list<FileStoreSpec>(fileStoreType)).map(other => ({
        code: 'StoreInvalid' as const,
        message: `its folders overlap those of FileStore ${other}`,
      })),
      ...(await asFindings(room.checkStore(resource))),
    ],
    summary: spec => `${spec.type}, production in ${spec.production}`,
  })
  const freeze = declared<FreezeSpec>({
    type: freezeType,
    findings: async () => [],
    summary: spec => `everything is frozen: ${spec.reason}`,
  })
  return [person, repository, approverGroup, sourceConnection, fileStore, freeze] as Kind[]
}

async function asFindings(check: Promise<void>): Promise<readonly Finding[]> {
  try {
    await check
    return []
  } catch (error) {
    const { code, message } = asCratewrightError(error)
    return [{ code, message }]
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
