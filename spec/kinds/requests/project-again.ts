/** Run by project.spec.ts in a process of its own: reads logs and documents from standard input, prints what follows from them. */

import { createHash } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { projectRequest } from '../../../controller/kinds/requests/project.ts'
import { readLog } from '../../../controller/records/log.ts'
import { headOf } from '../../../controller/records/recorder.ts'

type Files = Record<string, string>

const { log, documents } = JSON.parse(await text(process.stdin)) as { log: Files; documents: Record<string, Files> }
const filesOf = (files: Files) =>
  new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content, 'base64')]))
const { history, problems } = readLog(filesOf(log))
if (problems.length > 0) throw new Error(problems.join('\n'))
const contents = new Map(Object.entries(documents).map(([commit, files]) => [commit, filesOf(files)]))
const projected = [...projectRequest(history, contents), headOf(history)]
const digests = projected.map(({ path, content }) => [path, createHash('sha256').update(content).digest('hex')])
console.log(JSON.stringify({ zone: new Date(0).getTimezoneOffset(), files: Object.fromEntries(digests) }))
