/** Folders that come with the program: in a checkout beside controller/, in an installed package above the compiled files. */

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'

/** The nearest folder above this module in which `marker` lies, with that path joined. @throws DocumentMissing */
export function packageFolder(folder: string, marker: string): string {
  for (let at = import.meta.dirname; ; at = dirname(at)) {
    if (existsSync(join(at, folder, marker))) return join(at, folder)
    if (dirname(at) === at) break
  }
  throw new CratewrightError('DocumentMissing', `${folder}/${marker} does not come with this installation`, {
    todo: 'Install the whole package again.',
  })
}
