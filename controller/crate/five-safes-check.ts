/**
 * What Five Safes RO-Crate 0.4 demands, and what it means to demand: a phase that is missing, out of order, or failed with its
 * results still inside passes the published rules (last four rules here are our own for that reason).
 */

import { type CrateGraph, type CrateProblem, type GraphEntity, hasType, isTime, references, valuesOf } from './crate-graph.ts'
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
  for (const entity of graph.all()) {
    const types = valuesOf(entity, '@type')
    const phase = phaseOf(entity)
    if (!phase && !types.some(type => typeof type === 'string' && type.endsWith('Action'))) continue
    const id = entity['@id']
    if (!mentioned.has(id)) yield { rule: 'action-mentioned', entity: id, message: 'is not mentioned from the root' }
    if (phase && !types.includes(phaseTypes[phase])) {
      yield { rule: 'phase-type', entity: id, message: `is not of type ${phaseTypes[phase]}` }
    }
    yield* actionProblems(graph, entity)
  }
  yield* orderProblems(graph)
}

function* rootProblems(graph: CrateGraph, root: GraphEntity): Generator<CrateProblem> {
  const entity = iri.root
  if (!references(root, 'conformsTo').includes(iri.fiveSafes)) {
    yield { rule: 'conforms-to-profile', entity, message: `does not conform to ${iri.fiveSafes}` }
  }
  const main = references(root, 'mainEntity')
  if (main.length !== 1 || !graph.get(main[0]!)) yield { rule: 'main-entity', entity, message: 'has not one mainEntity that is described' }
  if (!graph.follow(root, 'sourceOrganization').some(each => hasType(each, 'Project'))) {
    yield { rule: 'source-organization', entity, message: 'has no sourceOrganization that is a Project' }
  }
}

function* executionProblems(graph: CrateGraph, root: GraphEntity): Generator<CrateProblem> {
  const executions = graph.follow(root, 'mentions').filter(each => hasType(each, 'CreateAction'))
  if (executions.length === 0) yield { rule: 'execution', entity: iri.root, message: 'mentions no CreateAction' }
  const main = references(root, 'mainEntity').join()
  const projects = references(root, 'sourceOrganization')
  for (const execution of graph.all('CreateAction')) {
    const entity = execution['@id']
    if (references(execution, 'instrument').join() !== main) {
      yield { rule: 'execution-instrument', entity, message: 'has another instrument than the root’s mainEntity' }
    }
    const agents = graph.follow(execution, 'agent')
    if (!agents.some(agent => hasType(agent, 'Person'))) yield { rule: 'execution-agent', entity, message: 'has no Person as agent' }
    const member = agents.flatMap(agent => references(agent, 'memberOf'))
    if (member.length > 0 && !member.some(id => projects.includes(id))) {
      yield { rule: 'execution-project', entity, message: 'has an agent who is of another project' }
    }
  }
}

function* actionProblems(graph: CrateGraph, action: GraphEntity): Generator<CrateProblem> {
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
  for (const agent of graph.follow(action, 'agent').filter(each => hasType(each, 'SoftwareApplication'))) {
    if (!graph.follow(agent, 'provider').some(each => hasType(each, 'Organization'))) {
      yield { rule: 'software-provider', entity: agent['@id'], message: 'is software without an Organization as provider' }
    }
  }
}

function* orderProblems(graph: CrateGraph): Generator<CrateProblem> {
  const done = (phase: string): boolean =>
    graph.all().some(entity => phaseOf(entity) === phase && valuesOf(entity, 'actionStatus').includes(status('Completed')))
  const executions = graph.all('CreateAction')
  const has = (execution: GraphEntity, name: string): boolean => valuesOf(execution, 'actionStatus').includes(status(name))

  for (const execution of executions) {
    const entity = execution['@id']
    if (!has(execution, 'Potential') && !done(iri.phase.signOff)) {
      yield { rule: 'sign-off-before-execution', entity, message: 'was begun without a completed sign-off' }
    }
    if (!has(execution, 'Completed') && references(execution, 'result').length > 0) {
      yield { rule: 'results-of-completed', entity, message: 'has results, but is not completed' }
    }
  }
  if (done(iri.phase.publish)) {
    const missing = Object.entries(iri.phase).filter(([, phase]) => !done(phase))
    for (const [name] of missing) yield { rule: 'phases-before-publish', entity: iri.root, message: `was published without ${name}` }
    if (!executions.some(execution => has(execution, 'Completed'))) {
      yield { rule: 'phases-before-publish', entity: iri.root, message: 'was published without execution' }
    }
  }
  const refused = graph.all().some(each => phaseOf(each) === iri.phase.disclosure && valuesOf(each, 'actionStatus').includes(status('Failed')))
  const results = executions.some(execution => references(execution, 'result').length > 0)
  if (refused && results) {
    yield { rule: 'disclosure-withholds', entity: iri.root, message: 'has results, although the disclosure check failed' }
  }
}

function phaseOf(entity: GraphEntity): string | undefined {
  return [...references(entity, 'additionalType'), ...valuesOf(entity, 'additionalType')].find(
    (each): each is string => typeof each === 'string' && Object.hasOwn(phaseTypes, each),
  )
}
