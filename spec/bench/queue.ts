/** A storm of events: how often the loop looks at 1,000 resources when it is told 200,000 times that something changed. */

import { setTimeout } from 'node:timers/promises'
import { Controller } from '../../controller/engine/controller.ts'
import type { Kind } from '../../controller/engine/kind.ts'
import { MemoryStore } from '../../controller/engine/store/memory.ts'
import { systemClock } from '../../controller/runtime/clock.ts'
import { silentLog } from '../../controller/runtime/log.ts'
import { makeSource, repositoryType } from '../engine/git-lab.ts'
import { commitA, declare, Thing, thingKey, thingType } from '../engine/lab.ts'
import { MemoryRecorder, SharedLog } from '../engine/memory-recorder.ts'
import { figure, heading, mebibytes, peakMemory, seconds, timed } from './bench.ts'

const resources = 1_000
const events = 200_000

const store = new MemoryStore(type => type.kind === thingType.kind)
const thing = new Thing()
// A look at the world takes a while: events that come meanwhile must not pile up.
const observe = thing.observe.bind(thing)
thing.observe = async (resource, context) => {
  await setTimeout(2)
  return observe(resource, context)
}
const stop = new AbortController()
const controller = new Controller({
  store,
  kinds: [thing as Kind],
  recorder: new MemoryRecorder(new SharedLog(), systemClock, 'bench'),
  platform: (await makeSource(store, 'platform')).source,
  sourceOf: () => undefined,
  repositoryType,
  clock: systemClock,
  log: silentLog,
  instance: 'bench',
  signal: stop.signal,
  resync: 0,
})
const names = Array.from({ length: resources }, (_, index) => `thing-${index}`)
store.replace('projects', commitA, declare(...names.map(name => ({ name, spec: { steps: [] } }))))
await controller.settled({ retries: true })

heading(`queue: ${events} events on ${resources} keys`)
thing.observations = 0
const adding = await timed(() => {
  for (let event = 0; event < events; event++) controller.add(thingKey(names[event % resources] ?? ''), 'change')
})
const settling = await timed(() => controller.settled({ retries: true }))
figure('reconciles', String(thing.observations), '<= 1100')
figure('adding the events', seconds(adding.ms))
figure('until nothing is left to do', seconds(settling.ms))
figure('peak memory', mebibytes(peakMemory()))
stop.abort()
