import { createHash } from 'node:crypto'
import type { BagFile } from '../../controller/crate/bag.ts'
import type { CrateAction, CrateInput } from '../../controller/crate/ro-crate.ts'

const time = '2026-11-20T09:30:00+00:00'
const specification = 'request/resources/data/cr8-ingress.yaml'

/** A request that was just merged: nothing is extracted, everything is to come. */
export function workingCrate(): CrateInput {
  return {
    uuid: '0193a3f0-1c2b-7d3e-8f4a-5b6c7d8e9f01',
    name: 'Asthma admissions, release 1',
    description: 'Admissions for asthma, pseudonymised, for project asthma-2026.',
    dateCreated: time,
    datePublished: time,
    publisher: { id: 'tre', name: 'Example TRE', url: 'https://tre.example/' },
    software: { version: '0.1.0', url: 'https://cratewright.example/' },
    project: {
      id: 'asthma-2026',
      name: 'Asthma 2026',
      description: 'Why admissions rise in autumn.',
      reference: 'IRAS-12345',
    },
    persons: [
      {
        id: 'rae',
        name: 'Rae Researcher',
        member: true,
        affiliation: { id: 'uni', name: 'University', url: 'https://uni.example/' },
      },
      { id: 'dana', name: 'Dana Reviewer' },
    ],
    agreement: { id: 'DSA-7', name: 'Data sharing agreement 7', description: 'Between the TRE and the University.' },
    specification,
    source: { id: 'warehouse', name: 'Clinical warehouse', description: 'Database of the hospital.' },
    files: [file(specification, 'What is extracted', 'application/yaml', 'x: 1\n')],
    datasets: [],
    actions: [
      { ...done('check-1', 'Checksums of the request computed'), phase: 'check', agent: 'controller' },
      {
        id: 'execution-1',
        name: 'Extraction of the datasets',
        phase: 'execution',
        agent: { person: 'rae' },
        status: 'Potential',
      },
    ],
  }
}

/** A release whose disclosure was accepted by two people. */
export function closedCrate(): CrateInput {
  const working = workingCrate()
  const actions: CrateAction[] = [
    { ...done('check-1', 'Checksums of the request computed'), phase: 'check', agent: 'controller' },
    { ...done('validation-1', 'Request compared with the source'), phase: 'validation', agent: 'controller' },
    { ...done('sign-off-dana', 'Sign-off by Dana Reviewer'), phase: 'sign-off', agent: { person: 'dana' } },
    { ...done('sign-off-eli', 'Sign-off by another approver'), phase: 'sign-off', agent: { person: 'eli' } },
    { ...done('execution-1', 'Extraction of the datasets'), phase: 'execution', agent: { person: 'rae' } },
    { ...done('disclosure-dana', 'Disclosure check by Dana Reviewer'), phase: 'disclosure', agent: { person: 'dana' } },
    { ...done('publish-1', 'Manifests of the bag written'), phase: 'publish', agent: 'controller' },
  ]
  return {
    ...working,
    files: [
      ...working.files,
      file('request/config.toml', 'Organisation and contact', 'application/toml', '[x]\n'),
      file('outputs/cohort/person.csv', 'person', 'text/csv', 'id\n1\n'),
      file('outputs/cohort/visit (old).csv', 'visit', 'text/csv', 'id\n2\n'),
    ],
    datasets: [{ path: 'outputs/cohort/', name: 'cohort', description: 'The cohort.' }],
    actions,
  }
}

const contents: Record<string, string> = {
  [specification]: 'x: 1\n',
  'request/config.toml': '[x]\n',
  'outputs/cohort/person.csv': 'id\n1\n',
  'outputs/cohort/visit (old).csv': 'id\n2\n',
}

/** The files of a sample crate as they lie below `data/`. */
export function contentOf({ files }: CrateInput): BagFile[] {
  return files.map(({ path }) => ({ path, content: Buffer.from(contents[path] ?? '') }))
}

function file(path: string, name: string, encodingFormat: string, content: string): CrateInput['files'][number] {
  const hash = (algorithm: string): string => createHash(algorithm).update(content).digest('hex')
  return { path, name, encodingFormat, contentSize: content.length, sha256: hash('sha256'), sha512: hash('sha512') }
}

function done(
  id: string,
  name: string,
): { id: string; name: string; status: 'Completed'; startTime: string; endTime: string } {
  return { id, name, status: 'Completed', startTime: time, endTime: time }
}
