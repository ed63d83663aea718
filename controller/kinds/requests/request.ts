/** DataAccessRequest: the kind. */

import type { Context, Kind, Plan, Resource, StatusReport } from '../../engine/kind.ts'
import type { GitRepository } from '../../git/repository.ts'
import { approverGroupType, fileStoreType, personType, repositoryType, sourceConnectionType } from '../types.ts'
import { applyRequest, type RequestRoom } from './apply.ts'
import { observeRequest, type RequestObserved } from './observe.ts'
import { planRequest } from './plan.ts'
import { projectRequest } from './project.ts'
import { type RequestSpec, requestType } from './reader.ts'
import { type RequestStatus, reportRequest } from './report.ts'
import { stateOf } from './state.ts'
import { detailOf, type RequestStep, type Tre } from './steps.ts'

export interface RequestKindRoom extends RequestRoom {
  /** The projects repository a request lives in. Errors: GitRefMissing. */
  readonly repositoryOf: (name: string) => GitRepository
  readonly tre: Tre
}

export function requestKind(room: RequestKindRoom): Kind<RequestSpec, RequestObserved, RequestStep, RequestStatus> {
  return {
    type: requestType,
    references: resource => [
      { named: true, type: repositoryType, name: resource.namespace },
      ...[approverGroupType, personType, sourceConnectionType, fileStoreType].map(type => ({ named: false as const, type })),
    ],
    observe: (resource: Resource<RequestSpec>, context: Context) => observeRequest(resource, context, room.repositoryOf(resource.namespace), room.tre),
    plan: planRequest,
    intent: detailOf,
    apply: (step, context) => applyRequest(step, context, room),
    report: (resource, observed, plan: Plan<RequestStep>): StatusReport<RequestStatus> => reportRequest(resource, observed, plan),
    documents: history => {
      const { content, closing } = stateOf(history)
      return content === '' ? [] : [...new Set([content, ...closedContents(history), ...(closing ? [content] : [])])]
    },
    project: projectRequest,
  }
}

/** The contents of releases that were closed in earlier generations: their bags are still made from them. */
function closedContents(history: Parameters<NonNullable<Kind['documents']>>[0]): string[] {
  return history.entries
    .filter(entry => entry.action === 'close' && entry.event === 'outcome' && entry.result === 'done')
    .map(({ number }) => stateOf({ ...history, entries: history.entries.slice(0, number) }).content)
}
