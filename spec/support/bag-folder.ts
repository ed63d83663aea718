import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { BagFile } from '../../controller/crate/bag.ts'
import type { BagReader } from '../../controller/crate/bag-check.ts'

/** A bag in a folder, as the validator reads it. */
export function bagFolder(folder: string): BagReader {
  return {
    async list() {
      return readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter(entry => !entry.isDirectory())
        .map(entry => {
          const path = join(entry.parentPath, entry.name)
          const kind = entry.isFile() ? 'file' : entry.isSymbolicLink() ? 'symlink' : 'other'
          return { path: relative(folder, path), kind, size: kind === 'file' ? statSync(path).size : 0 }
        })
    },
    async read(path) {
      return readFileSync(join(folder, path))
    },
    async hash(path, algorithms) {
      const content = readFileSync(join(folder, path))
      return Object.fromEntries(algorithms.map(name => [name, createHash(name).update(content).digest('hex')]))
    },
  }
}

export function writeFiles(folder: string, files: readonly BagFile[]): void {
  for (const { path, content } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
}
