/** Every kind there is, registered by hand. */

import type { Kind, ResourceType } from '../engine/kind.ts'
import { type PlatformRoom, platformKinds } from './platform/kinds.ts'
import { requestType } from './requests/reader.ts'
import { type RequestKindRoom, requestKind } from './requests/request.ts'

export function allKinds(room: PlatformRoom & RequestKindRoom): Kind[] {
  return [...platformKinds(room), requestKind(room) as Kind]
}

/** A request whose folder disappears stays known: its log and its releases do. */
export function keepsMissing(type: ResourceType): boolean {
  return type.kind === requestType.kind
}
