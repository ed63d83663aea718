import { CratewrightError } from '../runtime/errors.ts'
import type { Transport } from './git-command.ts'

/**
 * One spelling for one repository: what the mirror is named after, and what git is given. Credentials have no place in it,
 * because URLs are shown. @throws DocumentInvalid; HostNotAllowed for a transport that the bootstrap file does not list
 */
export function normaliseUrl(text: string, transports: readonly Transport[]): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const transport = url?.protocol.slice(0, -1)
  if (!url || /[\s\x00-\x1f\x7f]/.test(text))
    throw invalid('it is not a URL such as https://forge.example/tre/projects.git')
  // `git@host:path` and `ext::sh -c …` end here too.
  if (!transports.some(allowed => allowed === transport)) {
    throw new CratewrightError('HostNotAllowed', `the transport ${transport} is not allowed for repositories`)
  }
  if (url.password !== '' || (url.username !== '' && transport !== 'ssh')) throw invalid('it holds a credential')
  if (url.search !== '' || url.hash !== '') throw invalid('it has a query or a fragment')
  if (transport === 'file' && url.host !== '') throw invalid('a file URL has three slashes and an absolute path')
  return url.href.replace(/\/+$/, '')
}

function invalid(reason: string): CratewrightError {
  return new CratewrightError('DocumentInvalid', `the url of the repository cannot be used: ${reason}`)
}
