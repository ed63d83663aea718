/** Small edits of manifests that people wrote: one entry in, one entry out, and every other byte stays as it is. */

import { isDeepStrictEqual } from 'node:util'
import {
  type Document,
  isCollection,
  isMap,
  isPair,
  isScalar,
  type Pair,
  parseAllDocuments,
  stringify,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { CratewrightError } from '../runtime/errors.ts'

export type ManifestPath = readonly (string | number)[]

interface ManifestValue {
  readonly kind?: unknown
  readonly metadata?: { readonly name?: unknown; readonly annotations?: Readonly<Record<string, unknown>> }
  readonly spec?: Readonly<Record<string, unknown>>
}

/** One document of a file, to be read and changed. */
export interface Manifest {
  readonly index: number
  readonly value: ManifestValue
}

/** The documents of a file that the platform reader accepts. */
export function manifestsIn(text: string): Manifest[] {
  return documentsOf(text).flatMap((document, index) => {
    const value = document.errors.length > 0 ? null : (document.toJS() as ManifestValue | null)
    return typeof value === 'object' && value !== null ? [{ index, value }] : []
  })
}

/** The text with `value` at `path` of a document, or behind the last entry where the path ends in a list. What lies on the way is made. */
export function withEntry(text: string, index: number, path: ManifestPath, value: unknown): string {
  const document = documentAt(text, index)
  const expected = documentAt(text, index)
  if (isList(expected, path)) expected.addIn(path, expected.createNode(value))
  else expected.setIn(path, expected.createNode(value))
  const { holder, rest } = deepest(document, path)
  const edited = insert(text, holder, rest, value)
  return checked(text, edited, index, expected)
}

/** The text without what is at `path` of a document; where its holder would be left empty, without the holder. */
export function withoutEntry(text: string, index: number, path: ManifestPath): string {
  const document = documentAt(text, index)
  let cut = path
  for (let holder = document.getIn(path.slice(0, -1)); isCollection(holder) && holder.items.length === 1; ) {
    cut = cut.slice(0, -1)
    holder = document.getIn(cut.slice(0, -1))
  }
  const expected = documentAt(text, index)
  expected.deleteIn(cut)
  return checked(text, remove(text, document, cut), index, expected)
}

/** The text without a document; undefined where nothing would be left of the file. */
export function withoutDocument(text: string, index: number): string | undefined {
  const documents = documentsOf(text)
  if (documents.length <= 1) return undefined
  const from = documents[index - 1]?.range[2] ?? 0
  const to = documents[index]?.range[2] ?? text.length
  const after = text.slice(0, from) + text.slice(to).replace(index === 0 ? /^---\r?\n/ : /^/, '')
  const values = (list: readonly Document.Parsed[]) => list.map(document => document.toJS() as unknown)
  if (isDeepStrictEqual(values(documentsOf(after)), values(documents.toSpliced(index, 1)))) return after
  throw notFromHere()
}

function documentsOf(text: string): Document.Parsed[] {
  const documents = parseAllDocuments(text, { version: '1.2', schema: 'core', merge: false })
  return 'empty' in documents ? [] : documents
}

function documentAt(text: string, index: number): Document.Parsed {
  const document = documentsOf(text)[index]
  if (!document) throw new CratewrightError('Internal', 'a manifest is not where it was')
  return document
}

function isList(document: Document.Parsed, path: ManifestPath): boolean {
  const node = document.getIn(path)
  return isCollection(node) && !isMap(node)
}

/** How far the path is there already, and what of it has to be made. */
function deepest(document: Document.Parsed, path: ManifestPath): { holder: YAMLMap | YAMLSeq; rest: ManifestPath } {
  for (let length = path.length; length >= 0; length--) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true)
    if (isCollection(node)) return { holder: node as YAMLMap | YAMLSeq, rest: path.slice(length) }
  }
  throw new CratewrightError('Internal', 'a manifest is no mapping')
}

/** As written beside the last entry of the holder: in its line where it is in braces, in lines of its own where it is not. */
function insert(text: string, holder: YAMLMap | YAMLSeq, rest: ManifestPath, value: unknown): string {
  const made = rest
    .slice(1)
    .reduceRight<unknown>((inner, key) => (typeof key === 'number' ? [inner] : { [key]: inner }), value)
  const [first] = rest
  const last = holder.items.at(-1)
  const fresh = first === undefined ? made : { [first]: made }
  if (holder.flow || last === undefined) {
    const end = last === undefined ? (holder.range?.[0] ?? 0) + 1 : contentEnd(last)
    const inner = first === undefined ? JSON.stringify(made) : `${plainKey(String(first))}: ${JSON.stringify(made)}`
    return `${text.slice(0, end)}${last === undefined ? '' : ', '}${inner}${text.slice(end)}`
  }
  const begin = contentStart(last)
  const lineStart = text.lastIndexOf('\n', begin - 1) + 1
  // An entry of a list begins at its dash, a few characters before its content.
  const indent = /^[ ]*/.exec(text.slice(lineStart))?.[0] ?? ''
  const written = stringify(first === undefined ? [fresh] : fresh, { lineWidth: 0 }).trimEnd()
  const end = behindComments(text, lineEnd(text, contentEnd(last)), indent.length)
  const newline = text.includes('\r\n') ? '\r\n' : '\n'
  const lines = written.split('\n').map(line => `${newline}${indent}${line}`)
  return `${text.slice(0, end)}${lines.join('')}${text.slice(end)}`
}

function remove(text: string, document: Document.Parsed, path: ManifestPath): string {
  const holder = document.getIn(path.slice(0, -1)) as YAMLMap | YAMLSeq
  const key = path.at(-1)
  const position = isMap(holder)
    ? holder.items.findIndex(item => isScalar(item.key) && item.key.value === key)
    : Number(key)
  const item = holder.items[position]
  if (item === undefined) throw new CratewrightError('Internal', 'an entry is not where it was')
  if (holder.flow) {
    const before = holder.items[position - 1]
    const after = holder.items[position + 1]
    const from = before === undefined ? contentStart(item) : contentEnd(before)
    const to = before === undefined && after !== undefined ? contentStart(after) : contentEnd(item)
    return text.slice(0, from) + text.slice(to)
  }
  const from = text.lastIndexOf('\n', contentStart(item) - 1) + 1
  const to = lineEnd(text, contentEnd(item))
  return text.slice(0, from) + text.slice(to).replace(/^\r?\n/, '')
}

type Item = Pair | { readonly range?: readonly [number, number, number] | null } | null

function contentStart(item: unknown): number {
  return rangeOf(isPair(item) ? item.key : item)[0]
}

/** Behind the last character that says something: the range of a block collection goes on over the comments behind it. */
function contentEnd(item: unknown): number {
  const node = isPair(item) ? (item.value ?? item.key) : item
  const last = isCollection(node) && !node.flow ? node.items.at(-1) : undefined
  return last === undefined ? rangeOf(node)[1] : contentEnd(last)
}

function rangeOf(node: unknown): readonly [number, number, number] {
  const range = (node as (Item & { range?: readonly [number, number, number] }) | null)?.range
  if (!range) throw new CratewrightError('Internal', 'a manifest has a part without a place')
  return range
}

function lineEnd(text: string, offset: number): number {
  // A block scalar ends behind its own line break.
  if (text[offset - 1] === '\n') return offset - (text[offset - 2] === '\r' ? 2 : 1)
  const end = text.indexOf('\n', offset)
  const at = end < 0 ? text.length : end
  return text[at - 1] === '\r' ? at - 1 : at
}

/** Comments that are indented deeper belong to what stands above them. */
function behindComments(text: string, end: number, indent: number): number {
  const [, comments = ''] = new RegExp(`^((?:\\r?\\n {${indent + 1},}#[^\\r\\n]*)*)`).exec(text.slice(end)) ?? []
  return end + comments.length
}

function plainKey(key: string): string {
  return /^[A-Za-z][A-Za-z0-9./_-]*$/.test(key) ? key : JSON.stringify(key)
}

/** Nothing but what was wanted has changed. Where a file is written in a way that the small edit does not fit, its document is written anew. */
function checked(before: string, after: string, index: number, expected: Document.Parsed): string {
  const wanted = documentsOf(before).map((document, at) => (at === index ? expected : document).toJS() as unknown)
  const same = (text: string) => {
    const documents = documentsOf(text)
    return (
      documents.every(({ errors }) => errors.length === 0) &&
      isDeepStrictEqual(
        documents.map(document => document.toJS() as unknown),
        wanted,
      )
    )
  }
  if (same(after)) return after
  const anew = documentsOf(before)
    .map((document, at) => (at === index ? expected : document).toString({ lineWidth: 0 }))
    .join('')
  if (same(anew)) return anew
  throw notFromHere()
}

function notFromHere(): CratewrightError {
  return new CratewrightError('DocumentInvalid', 'the manifest is written in a way that cannot be changed from here', {
    todo: 'Change the file by hand.',
  })
}
