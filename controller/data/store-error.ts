import { CratewrightError } from '../runtime/errors.ts'

/** An error of the file system as StoreFailed, with its errno; one of ours unchanged. */
export function storeError(error: unknown, doing: string): unknown {
  if (error instanceof CratewrightError || !(error instanceof Error) || !('code' in error)) return error
  return new CratewrightError('StoreFailed', `${doing}: ${String(error.code)}`, { cause: error })
}
