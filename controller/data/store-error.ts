import { CratewrightError } from '../runtime/errors.ts'

/** An error of the file system as StoreFailed, with its errno; one of ours unchanged. */
export function storeError(error: unknown, doing: string): unknown {
  if (error instanceof CratewrightError || !(error instanceof Error)) return error
  const { code } = error as NodeJS.ErrnoException
  // An AbortError has a number there.
  return typeof code === 'string' ? new CratewrightError('StoreFailed', `${doing}: ${code}`, { cause: error }) : error
}
