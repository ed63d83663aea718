/**
 * What Five Safes RO-Crate 0.4 demands, and what it means to demand: a phase that is missing, out of order, or failed with its
 * results still inside passes the published rules, so the rules about order and approvers are our own.
 */

import {
  type CrateGraph,
  type CrateProblem,
  type GraphEntity,
  hasType,
  isTime,
  references,
  valuesOf,
} from './crate-graph.ts'
import * as iri from './terms.ts'

const status = (name: string): string => `http://schema.org/${name}ActionStatus`
const statuses: readonly unknown[] = ['Potential', 'Active', 'Completed', 'Failed'].map(status)

const phaseTypes: Readonly<Record<string, string>> = {
  [iri.phase.check]: 'AssessAction',
  [iri.phase.validation]: 'AssessAction',
  [iri.phase.signOff]: 'AssessAction',
  [iri.phase.disclosure]: 'AssessAction',
  [iri.phase.publish]: 'UpdateAction',
}

export function* fiveSafesProblems(graph: CrateGraph): Generator<CrateProblem> {
  if (!graph.root) return
  yield* rootProblems(graph, graph.root)
  yield* executionProblems(graph, graph.root)
  const mentioned = new Set(references(graph.root, 'mentions'))
  const agents = new Set<GraphEntity>()
  for (const entity of graph.all()) {
    const types = valuesOf(entity, '@type')
    const phase = phaseOf(entity)
    if (!phase && !types.some(type => typeof type === 'string' && type.endsWith('Action'))) continue
    const id = entity['@id']
    if (!mentioned.has(id)) yield { rule: 'action-mentioned', entity: id, message: 'is not mentioned from the root' }
    if (phase && !types.includes(phaseTypes[phase])) {
      yield { rule: 'phase-type', entity: id, message: `is not of type ${phaseTypes[phase]}` }
    }
    const own = graph.follow(entity, 'agent')
    if (phase === iri.phase.signOff || phase === iri.phase.disclosure) {
      // Who is described elsewhere is taken for a person; who is described here has to be one.
      if (references(entity, 'agent').length === 0 || own.some(each => !hasType(each, 'Person'))) {
        yield { rule: 'approver', entity: id, message: 'has no Person as agent' }
      }
    }
    for (const agent of own) agents.add(agent)
    yield* actionProblems(entity)
  }
  for (const agent of agents) {
    if (!hasType(agent, 'SoftwareApplication')) continue
    if (graph.follow(agent, 'provider').some(each => hasType(each, 'Organization'))) continue
    yield {
      rule: 'software-provider',
      entity: agent['@id'],
      message: 'is software without an Organization as provider',
    }
  }
  yield* orderProblems(graph)
}

function* rootProblems(graph: CrateGraph, root: GraphEntity): Generator<CrateProblem> {
  const entity = iri.root
  if (!references(root, 'conformsTo').includes(iri.fiveSafes)) {
    yield { rule: 'conforms-to-profile', entity, message: `does not conform to ${iri.fiveSafes}` }
  }
  const main = references(root, 'mainEntity')
  if (main.length !== 1 || !graph.get(main[0]!))
    yield { rule: 'main-entity', entity, message: 'has not one mainEntity that is described' }
  if (!graph.follow(root, 'sourceOrganization').some(each => hasType(each, 'Project'))) {
    yield { rule: 'source-organization', entity, message: 'has no sourceOrganization that is a Project' }
  }
}

/** One extraction makes a release; Five Safes would allow more, if all had the same instrument. */
function* executionProblems(graph: CrateGraph, root: GraphEntity): Generator<CrateProblem> {
  const executions = graph.all('CreateAction')
  const [execution] = executions
  if (!execution || executions.length > 1 || !references(root, 'mentions').includes(execution['@id'])) {
    yield { rule: 'execution', entity: iri.root, message: 'does not mention one CreateAction, the only one' }
  }
  if (!execution) return
  const entity = execution['@id']
  if (references(execution, 'instrument').join() !== references(root, 'mainEntity').join()) {
    yield { rule: 'execution-instrument', entity, message: 'has another instrument than the root’s mainEntity' }
  }
  const agents = graph.follow(execution, 'agent')
  if (!agents.some(agent => hasType(agent, 'Person')))
    yield { rule: 'execution-agent', entity, message: 'has no Person as agent' }
  const projects = new Set(references(root, 'sourceOrganization'))
  const member = agents.flatMap(agent => references(agent, 'memberOf'))
  if (member.length > 0 && !member.some(id => projects.has(id))) {
    yield { rule: 'execution-project', entity, message: 'has an agent who is of another project' }
  }
}

function* actionProblems(action: GraphEntity): Generator<CrateProblem> {
  const entity = action['@id']
  const [name] = valuesOf(action, 'name')
  if (typeof name !== 'string' || [...name].length < 10) {
    yield { rule: 'action-name', entity, message: 'has no name of 10 characters or more' }
  }
  const [state, ...more] = valuesOf(action, 'actionStatus')
  if (!statuses.includes(state) || more.length > 0) {
    yield { rule: 'action-status', entity, message: 'has no actionStatus of the four, as a plain string' }
  }
  for (const property of ['startTime', 'endTime']) {
    if (valuesOf(action, property).some(value => !isTime(value))) {
      yield { rule: 'action-time', entity, message: `has a ${property} that is no RFC 3339 time with zone` }
    }
  }
  if (valuesOf(action, 'error').length > 0 && state !== status('Failed')) {
    yield { rule: 'action-error', entity, message: 'has an error, but did not fail' }
  }
}

function* orderProblems(graph: CrateGraph): Generator<CrateProblem> {
  const completed = new Set<string>()
  const failed = new Set<string>()
  let begun = false
  let executed = false
  let results = false
  for (const entity of graph.all()) {
    const [state] = valuesOf(entity, 'actionStatus')
    const phase = phaseOf(entity)
    if (phase && state === status('Completed')) completed.add(phase)
    if (phase && state === status('Failed')) failed.add(phase)
    if (!hasType(entity, 'CreateAction')) continue
    const has = valuesOf(entity, 'result').length > 0
    begun ||= state !== status('Potential')
    executed ||= state === status('Completed')
    results ||= has
    if (has && state !== status('Completed')) {
      yield { rule: 'results-of-completed', entity: entity['@id'], message: 'has results, but is not completed' }
    }
  }
  const entity = iri.root
  if (begun && !completed.has(iri.phase.signOff)) {
    yield { rule: 'sign-off-before-execution', entity, message: 'was executed without a completed sign-off' }
  }
  if (completed.has(iri.phase.publish)) {
    const missing = Object.entries(iri.phase).flatMap(([name, phase]) => (completed.has(phase) ? [] : name))
    if (!executed) missing.push('execution')
    if (missing.length > 0)
      yield { rule: 'phases-before-publish', entity, message: `was closed without ${missing.join(', ')}` }
  }
  if (failed.has(iri.phase.disclosure) && results) {
    yield { rule: 'disclosure-withholds', entity, message: 'has results, although a disclosure check failed' }
  }
}

function phaseOf(entity: GraphEntity): string | undefined {
  return [...references(entity, 'additionalType'), ...valuesOf(entity, 'additionalType')].find(
    (each): each is string => typeof each === 'string' && Object.hasOwn(phaseTypes, each),
  )
}
