/** Reads cratewright.yaml: what the controller is told outside Git. */

import { readFile } from 'node:fs/promises'
import { dirname, isAbsolute, resolve } from 'node:path'
import type { Bootstrap } from '../../schemas/generated/types.ts'
import { checkAuthorities } from '../git/authorities.ts'
import { parseHostKeys } from '../git/ssh-access.ts'
import { asCratewrightError, CratewrightError, type Where } from '../runtime/errors.ts'
import { readStart } from '../runtime/files.ts'
import { validate, withDefaults } from '../schema/validate.ts'
import { parseYaml } from '../schema/yaml.ts'

export type { Bootstrap }

/** Bytes of the file with certificates. */
const maxAuthorities = 4 * 1024 * 1024

/** `--config`, then CRATEWRIGHT_CONFIG, then cratewright.yaml in the current folder. */
export function configPath(option: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  return resolve(option || env.CRATEWRIGHT_CONFIG || 'cratewright.yaml')
}

/** Paths in the file are relative to the file. @throws ConfigInvalid */
export async function readBootstrap(path: string): Promise<Bootstrap> {
  const content = await readFile(path).catch(error => {
    throw new CratewrightError('ConfigInvalid', `${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      todo: 'Name the file with --config, or make one: docs/operating.md shows how.',
    })
  })
  const parsed = parseYaml(content, path)
  const [document, another] = parsed.documents
  const checked = document ? validate<Bootstrap>('Bootstrap', document) : { value: undefined, problems: [] }
  const [problem] = [...parsed.problems, ...checked.problems].filter(({ severity }) => severity === 'error')
  if (problem || !checked.value) {
    throw new CratewrightError('ConfigInvalid', problem?.message ?? 'the file is empty', {
      where: problem?.where ?? { file: path },
      ...(problem ? { todo: problem.todo } : {}),
    })
  }
  if (another) {
    throw new CratewrightError('ConfigInvalid', 'the file holds more than one document', { where: another.at([]) })
  }
  refuseWhatIsNotThere(checked.value, path)
  const bootstrap = absolute(withDefaults('Bootstrap', checked.value), dirname(path))
  checkHostKeys(bootstrap, document?.at(['ssh', 'hostKeys']))
  if (bootstrap.tls) await readAuthorities(bootstrap.tls.ca)
  return bootstrap
}

function checkHostKeys({ ssh }: Bootstrap, where: Where | undefined): void {
  try {
    parseHostKeys(ssh?.hostKeys ?? [])
  } catch (error) {
    const { code, message, todo } = asCratewrightError(error)
    throw new CratewrightError(code, message, { todo, ...(where ? { where } : {}) })
  }
}

/** What `tls.ca` names: certificates in PEM. @throws ConfigInvalid */
export async function readAuthorities(path: string): Promise<string> {
  try {
    const pem = (await readStart(path, maxAuthorities)).toString('latin1')
    checkAuthorities(pem)
    return pem
  } catch (error) {
    const known = error instanceof CratewrightError
    const why = known ? error.message : `it cannot be read (${(error as NodeJS.ErrnoException).code})`
    throw new CratewrightError('ConfigInvalid', `tls.ca, ${path}: ${why}`, {
      todo: known ? error.todo : 'Name a file with certificates in PEM.',
    })
  }
}

/** What the schema knows and this version cannot do is refused by name, not ignored. */
function refuseWhatIsNotThere({ store }: Bootstrap, path: string): void {
  const refuse = (what: string, todo: string) => {
    throw new CratewrightError('ConfigInvalid', `${path}: ${what} is not provided yet`, { where: { file: path }, todo })
  }
  if (store === 'kubernetes') refuse('store: kubernetes', 'Write `store: memory`.')
}

function absolute(bootstrap: Bootstrap, base: string): Bootstrap {
  const path = (value: string) => (isAbsolute(value) ? value : resolve(base, value))
  const { secrets, tls } = bootstrap
  return {
    ...bootstrap,
    folder: path(bootstrap.folder),
    controller: { ...bootstrap.controller, key: path(bootstrap.controller.key) },
    ...(tls ? { tls: { ...tls, ca: path(tls.ca) } } : {}),
    ...(secrets?.folder ? { secrets: { ...secrets, folder: path(secrets.folder) } } : {}),
  }
}
