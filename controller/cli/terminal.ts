/** What is typed and must not be seen. */

import { StringDecoder } from 'node:string_decoder'
import type { ReadStream } from 'node:tty'

const maxLength = 1024

/**
 * Asks for a line that is not shown. Undefined: the person gave up (Ctrl-D on an empty line, or over 1024 characters).
 * The terminal is as it was afterwards, however it ends. @throws the signal's reason
 */
export async function askSecret(
  question: string,
  input: ReadStream,
  output: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<string | undefined> {
  signal.throwIfAborted()
  const decoder = new StringDecoder('utf8')
  const typed: string[] = []
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>()
  function onData(bytes: Buffer): void {
    for (const character of decoder.write(bytes)) {
      const state = take(character, typed)
      if (state === 'more') continue
      // As the terminal does it for a program that reads lines; whoever listens for it aborts the signal.
      if (state === 'interrupt') process.kill(process.pid, 'SIGINT')
      else resolve(state === 'line' ? typed.join('') : undefined)
      return
    }
  }
  const onEnd = () => resolve(undefined)
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  input.on('data', onData).once('end', onEnd)
  // Raw mode turns the echo off, and with it all that the terminal does of its own: erasing, ending, interrupting.
  input.setRawMode(true).resume()
  output.write(question)
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', onAbort)
    input.off('data', onData).off('end', onEnd)
    input.setRawMode(false).pause()
    output.write('\n')
  }
}

function take(character: string, typed: string[]): 'more' | 'line' | 'given up' | 'interrupt' {
  if (character === '\r' || character === '\n') return 'line'
  if (character === '\u0003') return 'interrupt'
  if (character === '\u0004') return typed.length === 0 ? 'given up' : 'more'
  if (character === '\u007f' || character === '\b') typed.pop()
  else if (character === '\u0015') typed.length = 0
  else if (character >= ' ') typed.push(character)
  return typed.length > maxLength ? 'given up' : 'more'
}
