/**
 * The one parser of untrusted YAML: YAML 1.2 core schema, so that dates stay text and `no` stays `no`. What readers of YAML
 * disagree about is refused: two of them must never see two documents in one file.
 */

import {
  type Alias,
  Composer,
  CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type ParsedNode,
  Parser,
} from 'yaml'
import { type Problem, problem, type Where } from '../runtime/errors.ts'
import { decodeText, type SourceDocument } from './text.ts'
import { unprintable } from './yaml-text.ts'

export type { SourceDocument }

export interface YamlLimits {
  readonly bytes: number
  readonly documents: number
  /** How deep mappings and lists may lie in each other. */
  readonly depth: number
  readonly aliases: number
  /** Scalars, mappings and lists of the file, with what aliases repeat; also tags, comments and lines. */
  readonly nodes: number
}

export interface ParsedYaml {
  /** In order; those with problems are left out. */
  readonly documents: SourceDocument[]
  readonly problems: Problem[]
}

const defaults: YamlLimits = { bytes: 1_048_576, documents: 1_000, depth: 64, aliases: 100, nodes: 200_000 }
const maxProblems = 50

/** Never throws. Problems: YamlInvalid, DocumentTooLarge; they hold names of fields and never values. */
export function parseYaml(bytes: Uint8Array, file: string, limits: Partial<YamlLimits> = {}): ParsedYaml {
  const bounds = { ...defaults, ...limits }
  const decoded = decodeText(bytes, file, bounds.bytes, 'YamlInvalid')
  if (decoded.problem) return { documents: [], problems: [decoded.problem] }
  const reader = new Reader(decoded.text, file, bounds)
  // The library raises an error for each of a hundred thousand mistakes, and their stacks would be half a gigabyte.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return reader.read()
  } catch (error) {
    if (error instanceof Refusal) return { documents: [], problems: [error.problem] }
    // A defect of the library on hostile input must not take the controller down. Its message may quote the file.
    return { documents: [], problems: [problem('YamlInvalid', 'the file cannot be read as YAML', { where: { file } })] }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

class Refusal extends Error {
  readonly problem: Problem

  constructor(reason: Problem) {
    super(reason.message)
    this.problem = reason
  }
}

/**
 * Lexemes of each kind are counted before anything is made of them: what the library makes is a hundred times larger than the
 * text. Of those that are not named here, each belongs to a value.
 */
const lexemes: Readonly<Record<string, string>> = {
  anchor: 'anchors',
  comment: 'comments',
  newline: 'lines',
  space: 'gaps between values',
  tag: 'tags',
}
/** Signals of the lexer that stand for no character of the text. */
const signals = new Set([CST.DOCUMENT, CST.FLOW_END, CST.SCALAR])

/** Of the bytes that a file may have, so many as text, with what aliases repeat: a text costs one value, however long it is. */
const maxRepetition = 4

const unsafeInteger = 'whole numbers go from -9007199254740991 to 9007199254740991; put others in quotes'

const coreTags = new Set(['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map(name => `tag:yaml.org,2002:${name}`))

class Reader {
  readonly #text: string
  readonly #file: string
  readonly #limits: YamlLimits
  readonly #lines = new LineCounter()
  #nodes = 0
  #characters = 0
  /** Where the alias stands whose value is being read again. */
  #repeating: number | undefined

  constructor(text: string, file: string, limits: YamlLimits) {
    this.#text = text
    this.#file = file
    this.#limits = limits
  }

  read(): ParsedYaml {
    const documents: SourceDocument[] = []
    const problems: Problem[] = []
    const composer = new Composer({
      version: '1.2',
      schema: 'core',
      merge: false,
      strict: true,
      prettyErrors: false,
      intAsBigInt: true,
      // The library compares each key with all others, which takes hours for a large mapping: `#mapping` does it.
      uniqueKeys: false,
    })
    for (const document of composer.compose(this.#tokens(), true, this.#text.length)) {
      const before = problems.length
      for (const { code, pos } of [...document.errors, ...document.warnings]) {
        if (problems.length < maxProblems) problems.push(this.#problem(explain(code), pos[0]))
      }
      if (problems.length > before || isEmpty(document)) continue
      try {
        documents.push(this.#document(document))
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        problems.push(error.problem)
      }
      if (problems.length >= maxProblems) break
    }
    return { documents, problems }
  }

  /** Limits hold here already: composing recurses, and what it makes is many times larger than the text. */
  #tokens(): CST.Token[] {
    const { documents, depth, aliases, nodes } = this.#limits
    const parser = new Parser(this.#lines.addNewLine)
    const tokens: CST.Token[] = []
    const counts = new Map<string, number>()
    let offset = 0
    let errors = 0
    let begun = 0
    this.#lines.addNewLine(0)
    const limit = (what: string, count: number, allowed: number, at = offset) => {
      if (count > allowed) throw this.#tooLarge(`the file has more than ${allowed} ${what}`, at)
    }
    const take = (token: CST.Token) => {
      tokens.push(token)
      if (token.type === 'document') limit('documents', ++begun, documents, token.offset)
    }
    for (const lexeme of new Lexer().lex(this.#text)) {
      const type = CST.tokenType(lexeme) ?? 'text'
      const count = (counts.get(type) ?? 0) + 1
      counts.set(type, count)
      if (type === 'alias') limit('aliases', count, aliases)
      limit(lexemes[type] ?? 'values', count, nodes)
      if (type === 'directive-line' && !/^%YAML +1\.2\s*$/.test(lexeme))
        throw this.#refusal('a directive other than %YAML 1.2 is not allowed', offset)
      const foreign = /^["']/.test(lexeme) ? undefined : unprintable.exec(lexeme)
      if (foreign) throw this.#refusal(`${nameOf(foreign[0])} stands outside of quotes`, offset + foreign.index)
      for (const token of parser.next(lexeme)) {
        take(token)
        if (token.type === 'error' && ++errors > maxProblems)
          throw this.#refusal('too much before this is not well formed', offset)
      }
      // On top of the collections the stack holds the document and what is being read.
      if (parser.stack.length > depth + 2) {
        const tooDeep = parser.stack[depth + 1]
        throw this.#tooLarge(`values lie more than ${depth} deep in each other`, tooDeep?.offset ?? offset)
      }
      if (!signals.has(lexeme)) offset += lexeme.length
    }
    for (const token of parser.end()) take(token)
    return tokens
  }

  #document(document: Document.Parsed): SourceDocument {
    const targets = new Map<Alias, ParsedNode>()
    this.#repeating = undefined
    const value = this.#value(document.contents, 0, new Map(), targets)
    const root = document.contents
    return { value, at: path => this.#where(locate(root, path, targets)) }
  }

  /** An alias is read again where it stands: nothing is shared, and what it repeats counts. */
  #value(
    node: ParsedNode | null,
    depth: number,
    anchors: Map<string, ParsedNode>,
    targets: Map<Alias, ParsedNode>,
  ): unknown {
    if (node === null) return null
    this.#nodes += 1
    const [start] = node.range
    this.#limit('values', this.#nodes, this.#limits.nodes, start)
    if (depth >= this.#limits.depth && (isMap(node) || isSeq(node))) {
      throw this.#tooLarge(`values lie more than ${this.#limits.depth} deep in each other`, this.#repeating ?? start)
    }
    if (isAlias(node)) {
      const target = targets.get(node) ?? anchors.get(node.source)
      if (!target) throw this.#refusal('the alias names no anchor before it, or one around it', start)
      targets.set(node, target)
      const outermost = this.#repeating === undefined
      if (outermost) this.#repeating = start
      // What is read again must not bring its anchors back; its own aliases are in `targets`.
      const value = this.#value(target, depth, new Map(), targets)
      if (outermost) this.#repeating = undefined
      return value
    }
    if (node.tag !== undefined && !coreTags.has(node.tag))
      throw this.#refusal('only tags of the YAML core schema are allowed', this.#tagBefore(start))
    // While a value is read its anchor is not to be had, so that no value can hold itself.
    if (node.anchor !== undefined) anchors.delete(node.anchor)
    let value: unknown
    if (isMap(node)) value = this.#mapping(node.items, depth, anchors, targets)
    else if (isSeq(node)) value = node.items.map(item => this.#value(item as ParsedNode, depth + 1, anchors, targets))
    else value = this.#scalar(node.value, start)
    if (node.anchor !== undefined) anchors.set(node.anchor, node)
    return value
  }

  #mapping(
    pairs: readonly { readonly key: unknown; readonly value: unknown }[],
    depth: number,
    anchors: Map<string, ParsedNode>,
    targets: Map<Alias, ParsedNode>,
  ): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    for (const pair of pairs) {
      const keyNode = pair.key as ParsedNode | null
      const key = this.#value(keyNode, depth + 1, anchors, targets)
      const [start] = keyNode?.range ?? (pair.value as ParsedNode | null)?.range ?? [0]
      if (typeof key !== 'string') throw this.#refusal('the name of a field has to be text; put it in quotes', start)
      const shown = JSON.stringify(key.slice(0, 100))
      if (key === '<<') throw this.#refusal('merge keys are not allowed; write the fields out', start)
      if (key === '__proto__') throw this.#refusal(`a field must not be named ${shown}`, start)
      if (Object.hasOwn(object, key)) throw this.#refusal(`the field ${shown} is there twice`, start)
      object[key] = this.#value(pair.value as ParsedNode | null, depth + 1, anchors, targets)
    }
    return object
  }

  #scalar(value: unknown, start: number): unknown {
    if (typeof value === 'bigint') {
      const number = Number(value)
      if (!Number.isSafeInteger(number)) throw this.#refusal(unsafeInteger, start)
      return number
    }
    if (typeof value === 'number' && !Number.isFinite(value))
      throw this.#refusal('the number is not finite; put it in quotes', start)
    // Written as a fraction, such as 9007199254740993.0: readers would still not agree on which number it is.
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw this.#refusal(unsafeInteger, start)
    if (typeof value === 'string' && !value.isWellFormed())
      throw this.#refusal('the text holds half of a surrogate pair', start)
    if (typeof value === 'string' && value.includes('\0')) throw this.#refusal('the text holds a NUL character', start)
    if (typeof value === 'string') {
      this.#characters += value.length
      this.#limit('characters of text', this.#characters, this.#limits.bytes * maxRepetition, start)
    }
    return value
  }

  #limit(what: string, count: number, allowed: number, start: number): void {
    if (count <= allowed) return
    if (this.#repeating === undefined) throw this.#tooLarge(`the file has more than ${allowed} ${what}`, start)
    const message = `with what its aliases repeat, the file has more than ${allowed} ${what}`
    throw this.#tooLarge(message, this.#repeating, 'Write out what is needed, or use fewer aliases.')
  }

  /** The library says where the value is; its tag is before it. */
  #tagBefore(start: number): number {
    const mark = this.#text.lastIndexOf('!', start)
    return this.#text[mark - 1] === '!' ? mark - 1 : Math.max(mark, 0)
  }

  #where(offset: number): Where {
    const { line, col } = this.#lines.linePos(Math.min(offset, this.#text.length))
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }

  #problem(message: string, offset: number): Problem {
    return problem('YamlInvalid', message, { where: this.#where(offset) })
  }

  #refusal(message: string, offset: number): Refusal {
    return new Refusal(this.#problem(message, offset))
  }

  #tooLarge(message: string, offset: number, todo?: string): Refusal {
    const where = this.#where(offset)
    return new Refusal(problem('DocumentTooLarge', message, todo === undefined ? { where } : { where, todo }))
  }
}

/** Nothing between two `---`, or comments only; a written `null` is a value. */
function isEmpty({ contents }: Document.Parsed): boolean {
  return contents === null || (isScalar(contents) && contents.value === null && (contents.source ?? '') === '')
}

function locate(
  root: ParsedNode | null,
  path: readonly (string | number)[],
  targets: ReadonlyMap<Alias, ParsedNode>,
): number {
  let node = root
  let offset = root?.range[0] ?? 0
  for (const step of path) {
    if (isAlias(node)) node = targets.get(node) ?? null
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step)
      if (!pair) return offset
      offset = (pair.key as ParsedNode).range[0]
      node = pair.value as ParsedNode | null
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as ParsedNode | undefined
      if (!item) return offset
      offset = item.range[0]
      node = item
    } else return offset
  }
  return offset
}

function nameOf(character: string): string {
  if (character === '\ufeff') return 'a byte order mark'
  return `the control character U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`
}

/** The library's own messages quote the file. */
function explain(code: string): string {
  return explanations[code] ?? 'the YAML is not well formed here'
}

const explanations: Readonly<Record<string, string>> = {
  BAD_ALIAS: 'an alias or anchor is not written correctly',
  BAD_DIRECTIVE: 'the directive is not understood',
  BAD_DQ_ESCAPE: 'a text in double quotes has an unknown escape after its \\',
  BAD_INDENT: 'the indentation does not fit what is above, or a bracket is not closed',
  BAD_SCALAR_START: 'a text that begins with this character has to be in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a second “: ” stands on the line; put the text in quotes',
  BLOCK_IN_FLOW: 'a list or mapping by indentation stands inside [ ] or { }',
  KEY_OVER_1024_CHARS: 'the name of a field is longer than 1024 characters',
  MISSING_CHAR: 'a character is missing, such as “:”, a quote, “]” or “}”',
  MULTILINE_IMPLICIT_KEY: 'the name of a field has to be on one line, with “:” behind it',
  MULTIPLE_ANCHORS: 'a value has two anchors',
  MULTIPLE_TAGS: 'a value has two tags',
  TAB_AS_INDENT: 'a tab is used for indentation; use spaces',
  TAG_RESOLVE_FAILED: 'only tags of the YAML core schema are allowed, and the value has to be what its tag says',
  UNEXPECTED_TOKEN: 'something stands here that does not belong here',
}
