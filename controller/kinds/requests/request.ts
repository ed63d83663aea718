/** DataAccessRequest: the kind. */

import type { Context, History, Kind, Plan, Resource, StatusReport } from '../../engine/kind.ts'
import type { GitRepository, Oid } from '../../git/repository.ts'
import {
  approverGroupType,
  fileStoreType,
  freezeType,
  personType,
  repositoryType,
  sourceConnectionType,
} from '../types.ts'
import { applyRequest } from './apply.ts'
import { observeRequest, type RequestObserved } from './observe.ts'
import { planRequest } from './plan.ts'
import { closedReleases, projectRequest } from './project.ts'
import { type RequestSpec, requestType } from './reader.ts'
import { type RequestStatus, reportRequest } from './report.ts'
import type { Tre } from './state.ts'
import { stateOf } from './state.ts'
import { detailOf, type RequestStep } from './steps.ts'
import type { RequestRoom } from './task.ts'

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
      { named: false, type: requestType, name: resource.name },
      ...[approverGroupType, personType, sourceConnectionType, fileStoreType, freezeType].map(type => ({
        named: false as const,
        type,
      })),
    ],
    observe: (resource: Resource<RequestSpec>, context: Context) =>
      observeRequest(resource, context, room.repositoryOf(resource.namespace), room.tre),
    plan: planRequest,
    intent: detailOf,
    apply: (step, context) => applyRequest(step, context, room),
    report: (resource, observed, plan: Plan<RequestStep>): StatusReport<RequestStatus> =>
      reportRequest(resource, observed, plan),
    documents: contentsOf,
    project: projectRequest,
  }
}

/** The current content, and those of releases that were closed: their bags are still made from them. */
export function contentsOf(history: History): { commit: Oid; folder: string }[] {
  const states = [stateOf(history), ...closedReleases(history).map(({ state }) => state)]
  const found = new Map(states.filter(({ content }) => content !== '').map(({ content, folder }) => [content, folder]))
  return [...found].map(([commit, folder]) => ({ commit, folder }))
}
