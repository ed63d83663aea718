/** What git says on standard error, as errors of the catalogue. The messages are those of git with LC_ALL=C. */

import { CratewrightError, type ErrorCode } from '../runtime/errors.ts'
import type { RunResult } from '../runtime/process.ts'
import type { Redactor } from '../runtime/secrets.ts'

/**
 * First match counts. What the server says ("remote: …") is untrusted text: it is shown, but only git's own lines are
 * looked at, except for the one answer that upload-pack gives as an error packet.
 */
const causes: readonly (readonly [ErrorCode, RegExp])[] = [
  // strerror(3) of ENOSPC, EROFS and EDQUOT: the mirror's disk.
  ['FolderUnreadable', /no space left on device|read-only file system|disk quota exceeded/i],
  ['GitRefMissing', /couldn't find remote ref/],
  [
    'GitObjectMissing',
    /not our ref|unadvertised object|bad object|not a valid (object|commit) name|not a tree object/i,
  ],
  ['GitDenied', /authentication failed|could not read (username|password)|returned error: 40[13]\b/i],
  ['HostKeyMismatch', /^host key verification failed/i],
  ['GitDenied', /permission denied|access denied|dubious ownership|too many authentication failures/i],
  // The shell that git starts ssh with.
  ['ProgramMissing', /\bssh: (command )?not found|cannot run ssh/],
  [
    'GitUnreachable',
    /unable to access|could not resolve|(failed|unable|couldn't) to? ?connect|connection (refused|reset|closed)|timed out/i,
  ],
  ['GitUnreachable', /hung up|early eof|rpc failed|unexpected disconnect|could not read from remote/i],
  // An answer that ends before it is whole.
  ['GitUnreachable', /bytes of (body|length header)|expected (flush|response end|ref listing|packfile)/i],
  [
    'GitUnreachable',
    /does not appear to be a git repository|repository '.*' (not found|does not exist)|not valid: is this/i,
  ],
]

/** Damage of the local mirror: a file cut by a crash of the machine, removed or changed by someone. */
const damage = new RegExp(
  [
    '^(error|fatal): (packfile|index file|object file|loose object|inflate) ',
    'does not match index|is corrupt|unable to (unpack|parse) |unable to read tree|could not read [0-9a-f]{40}',
    'bad object refs/|did not send all necessary objects|failed to traverse parents',
    'not a git repository|bad config',
  ].join('|'),
  'i',
)

/** GnuTLS, then OpenSSL, as curl puts it. */
const untrusted = /certificate verification failed|SSL certificate problem|SSL: (no alternative )?certificate subject/i

const maxMessage = 500

/** The mirror must be made again; reaches callers only where that has not helped. */
export class MirrorDamaged extends CratewrightError {}

export function gitFailure(command: string, result: RunResult, redactor: Redactor): CratewrightError {
  const own = result.stderr.split('\n').filter(line => !line.startsWith('remote:'))
  const said =
    visible(redactor.redact(result.stderr.replaceAll(/\/\/[^/\s]*@/g, '//***@'))) || `it ended with code ${result.code}`
  const message = `git ${command}: ${said}`
  if (own.some(line => damage.test(line))) return new MirrorDamaged('GitFailed', message)
  const code = causes.find(([, pattern]) => own.some(line => pattern.test(line)))?.[0] ?? 'GitFailed'
  if (code === 'HostKeyMismatch') return new CratewrightError(code, `git ${command}: ${hostKeyShown(result.stderr)}`)
  if (code === 'GitUnreachable' && own.some(line => untrusted.test(line))) {
    return new CratewrightError(code, message, {
      todo: 'Check the server’s certificate and name, and the authorities in `ca` of the Repository or `tls.ca` of cratewright.yaml.',
    })
  }
  return new CratewrightError(code, message)
}

/** Of the banner that ssh prints, what helps: which key was shown. */
function hostKeyShown(stderr: string): string {
  const [, type, fingerprint] =
    /fingerprint for the (\S+) key sent by the remote host is\s+(SHA256:\S+?)\.?\s/.exec(stderr) ?? []
  const shown = fingerprint === undefined ? 'a host key' : `the host key ${fingerprint} (${type})`
  return `the server shows ${shown} that is not listed for it`
}

/** One line without control characters: a server's text must not move the cursor of whoever reads the log. */
export function visible(text: string): string {
  const line = text
    .trim()
    .replaceAll(/\s*\n\s*/g, '; ')
    .replaceAll(/[\x00-\x1f\x7f-\x9f]/g, ' ')
  return line.length > maxMessage ? `${line.slice(0, maxMessage)}…` : line
}
