/** Shows how far long work is: a bar that is rewritten on a terminal, a line now and then elsewhere. */

import type { Progress } from '../engine/kind.ts'
import { oneLine } from '../runtime/one-line.ts'
import type { Io } from './command.ts'

const barWidth = 24
/** Milliseconds between lines where lines cannot be rewritten. */
const lineInterval = 2_000

export class ProgressLine {
  readonly #io: Io
  #startedAt = 0
  #lastAt = 0
  #lastMessage = ''
  #open = false

  constructor(io: Io) {
    this.#io = io
  }

  show(name: string, progress: Progress): void {
    const now = performance.now()
    if (progress.message !== this.#lastMessage) this.#startedAt = now
    this.#lastMessage = progress.message
    const seconds = (now - this.#startedAt) / 1000
    const line = oneLine(`  ${name}: ${describe(progress, seconds)}`)
    if (this.#io.interactive) {
      process.stderr.write(`\r\u001b[K${line}`)
      this.#open = true
    } else if (now - this.#lastAt >= lineInterval) {
      this.#lastAt = now
      this.#io.err(line)
    }
  }

  end(): void {
    if (this.#open) process.stderr.write('\r\u001b[K')
    this.#open = false
  }
}

export function describe({ message, rows, bytes, fraction }: Progress, seconds: number): string {
  const parts = [message]
  if (fraction !== undefined) {
    const filled = Math.round(fraction * barWidth)
    parts.push(`[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ${Math.round(fraction * 100)} %`)
  }
  if (rows !== undefined) parts.push(`${rows.toLocaleString('en-GB')} rows`)
  if (bytes !== undefined) parts.push(size(bytes))
  if (bytes !== undefined && seconds > 0.2) parts.push(`${size(bytes / seconds)}/s`)
  if (fraction !== undefined && fraction > 0.01 && fraction < 1 && seconds > 0.2)
    parts.push(`${Math.ceil((seconds / fraction) * (1 - fraction))} s left`)
  return parts.join('  ')
}

export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  // What is shown is rounded, and 1024 of a unit is one of the next.
  while (Number(value.toFixed(unit === 0 ? 0 : 1)) >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
