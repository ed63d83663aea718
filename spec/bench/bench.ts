/** What benches share: printing figures beside their goals, and work in a process of its own, whose memory is its own. */

import { spawn } from 'node:child_process'
import { cpus, loadavg } from 'node:os'

/** The load before the work counts: figures of a busy machine say little. */
export function heading(name: string): void {
  const load = loadavg()[0]?.toFixed(1)
  console.log(`\n${name}   (${cpus().length} cores, load ${load}, Node ${process.version})`)
}

export function figure(what: string, value: string, goal = ''): void {
  console.log(`  ${what.padEnd(58)} ${value.padStart(14)}${goal === '' ? '' : `   goal ${goal}`}`)
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`
export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`

export async function timed<T>(work: () => T | Promise<T>): Promise<{ result: T; ms: number }> {
  const begun = performance.now()
  const result = await work()
  return { result, ms: performance.now() - begun }
}

/** Bytes of this process at its largest. */
export function peakMemory(): number {
  return process.resourceUsage().maxRSS * 1024
}

/** Runs a file of this folder with arguments in a process of its own; its last line of output is its answer. */
export function inProcess<T>(file: string, ...args: readonly string[]): Promise<{ answer: T; ms: number }> {
  const begun = performance.now()
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', chunk => {
      out += chunk
    })
    child.once('error', fail)
    child.once('close', code => {
      if (code !== 0) fail(new Error(`${file} ended with ${code}`))
      else done({ answer: JSON.parse(out.trim().split('\n').at(-1) ?? '') as T, ms: performance.now() - begun })
    })
  })
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2
}
