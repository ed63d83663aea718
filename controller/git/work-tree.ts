/** Git in a person's own clone, for the commands they run there. The controller itself has no working tree. */

import { type RunResult, run } from '../runtime/process.ts'

interface WorkTreeOptions {
  readonly signal: AbortSignal
  readonly input?: Uint8Array | AsyncIterable<Uint8Array>
  /** True for `push` and `fetch`: the person's own credentials and SSH settings are used. */
  readonly asPerson?: boolean
  /** An index of our own, so that what the person has staged stays theirs. */
  readonly indexFile?: string
}

/** Hooks and external programs of the clone do not run for what we do. */
const quiet = ['-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', '-c', 'commit.gpgSign=false']

/** Runs git in a folder; whatever its exit code. @throws GitNotFound through ProgramMissing, ProgramTimeout */
export function runGit(
  folder: string,
  args: readonly string[],
  { signal, input, asPerson = false, indexFile }: WorkTreeOptions,
): Promise<RunResult> {
  const { PATH = '', HOME = '/nonexistent', SSH_AUTH_SOCK, GIT_SSH_COMMAND, XDG_CONFIG_HOME } = process.env
  const own: Record<string, string> = { PATH, LC_ALL: 'C.UTF-8', GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' }
  const person: Record<string, string> = { HOME }
  for (const [name, value] of Object.entries({ SSH_AUTH_SOCK, GIT_SSH_COMMAND, XDG_CONFIG_HOME }))
    if (value) person[name] = value
  const clean = { HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' }
  // A clone that belongs to somebody else (an auditor's copy) is read, never executed: hooks and filters are off.
  const trust = ['-c', 'safe.directory=*']
  return run('git', ['-C', folder, ...trust, ...quiet, ...args], {
    env: { ...own, ...(asPerson ? person : clean), ...(indexFile ? { GIT_INDEX_FILE: indexFile } : {}) },
    signal,
    deadline: 10 * 60_000,
    maxOutput: 64 * 1024 * 1024,
    ...(input ? { input } : {}),
  })
}
