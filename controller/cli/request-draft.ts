/** A request that is being written: documents that keep the comments of their template, filled in field by field. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Document, isScalar, parseDocument } from 'yaml'
import { requestFiles } from '../kinds/requests/documents.ts'
import { CratewrightError } from '../runtime/errors.ts'
import { packageFolder } from './package-folder.ts'

export type DraftDocument = 'governance' | 'ingress' | 'deployment' | 'config'
export type DraftPath = readonly [DraftDocument, ...string[]]

export class RequestDraft {
  readonly #documents: Map<DraftDocument, Document>
  /** config.toml is filled in line by line: it has four. */
  #config: string

  private constructor(documents: Map<DraftDocument, Document>, config: string) {
    this.#documents = documents
    this.#config = config
  }

  static async fromTemplate(): Promise<RequestDraft> {
    const folder = packageFolder('templates/request', requestFiles.config)
    const read = (name: string) => readFile(join(folder, name), 'utf8')
    const documents = new Map<DraftDocument, Document>()
    for (const name of ['governance', 'ingress', 'deployment'] as const)
      documents.set(name, parseDocument(await read(requestFiles[name])))
    return new RequestDraft(documents, await read(requestFiles.config))
  }

  /** Puts what was converted in the place of the template. */
  replace(name: Exclude<DraftDocument, 'config'>, value: object): void {
    this.#documents.set(name, new Document(value))
  }

  has([name, ...path]: DraftPath): boolean {
    if (name === 'config') return !new RegExp(`^${path[0]} = ''$`, 'm').test(this.#config)
    const value = this.#documents.get(name)?.getIn(path)
    return value !== undefined && value !== null
  }

  set([name, ...path]: DraftPath, value: unknown): void {
    if (name === 'config') {
      // What JSON writes is a basic string of TOML too.
      const line = new RegExp(`^${path[0]} = .*$`, 'm')
      this.#config = this.#config.replace(line, () => `${path[0]} = ${JSON.stringify(value)}`)
      return
    }
    const document = this.#documents.get(name)
    if (!document) throw new CratewrightError('Internal', `there is no draft of ${name}`)
    const node = document.getIn(path, true)
    if (isScalar(node) && typeof value !== 'object') node.value = value
    else {
      const fresh = document.createNode(value)
      if (isScalar(node) && node.comment) fresh.commentBefore = node.comment
      document.setIn(path, fresh)
    }
  }

  /** Takes away what may be left out and was. */
  drop(path: DraftPath): void {
    const [name, ...rest] = path
    if (name === 'config' || this.has(path)) return
    const document = this.#documents.get(name)
    if (document?.hasIn(rest)) document.deleteIn(rest)
  }

  /** By their paths in the request's folder. */
  files(): Map<string, Uint8Array> {
    const texts = [...this.#documents].map(([name, document]) => [
      requestFiles[name],
      Buffer.from(document.toString({ lineWidth: 0, nullStr: '' })),
    ])
    return new Map([...texts, [requestFiles.config, Buffer.from(this.#config)]] as [string, Uint8Array][])
  }
}
