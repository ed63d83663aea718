/** Holds the direction of imports between the rooms of controller/ (ARCHITECTURE.md): down the list, never up, and no kind another. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

/** From the top to the ground. A room may import itself and what stands behind it. */
export const rooms = [
  'main',
  'cli',
  'server',
  'kinds',
  'records',
  'forge',
  'data',
  'engine',
  'kube',
  'crate',
  'schema',
  'git',
  'runtime',
]

export interface Violation {
  readonly file: string
  readonly imports: string
  readonly why: string
}

/** `files`: paths below the controller's folder, with their text. */
export function violations(files: ReadonlyMap<string, string>): Violation[] {
  const found: Violation[] = []
  for (const [file, text] of files) {
    for (const imported of importsOf(file, text)) {
      const why = whyNot(file, imported)
      if (why) found.push({ file, imports: imported, why })
    }
  }
  return found
}

function importsOf(file: string, text: string): string[] {
  // `from '…'`, `import '…'`, `import('…')`: rather one too many, in a comment, than one too few.
  const specifiers = text.matchAll(/\b(?:from|import)\s*\(?\s*['"`](\.[^'"`]+)['"`]/g)
  return [...specifiers].map(match => join(dirname(file), match[1] ?? ''))
}

function whyNot(from: string, to: string): string | undefined {
  if (to.startsWith('..')) return to.startsWith('../schemas/generated/') ? undefined : 'leaves controller/'
  const [room, group] = placeOf(from)
  const [target, targetGroup] = placeOf(to)
  const [here, there] = [rooms.indexOf(room), rooms.indexOf(target)]
  if (here < 0 || there < 0) return `there is no room ${here < 0 ? room : target}`
  if (there < here) return `${room} stands below ${target}`
  if (room === 'kinds' && target === 'kinds' && group && targetGroup && group !== targetGroup)
    return 'kinds never import each other'
  return undefined
}

/** The room, and within kinds/ the group; files of kinds/ itself belong to none. */
function placeOf(file: string): [room: string, group: string | undefined] {
  const [first = '', second, third] = file.split('/')
  return [first.replace(/\.ts$/, ''), third === undefined ? undefined : second]
}

export function readController(root: string): Map<string, string> {
  const folder = join(root, 'controller')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.ts'))
  return new Map(files.map(path => [relative(folder, join(folder, path)), readFileSync(join(folder, path), 'utf8')]))
}

if (process.argv[1] && resolve(process.argv[1]) === import.meta.filename) {
  const found = violations(readController(resolve(import.meta.dirname, '..')))
  for (const { file, imports, why } of found) console.error(`controller/${file} imports ${imports}: ${why}`)
  process.exitCode = found.length > 0 ? 1 : 0
}
