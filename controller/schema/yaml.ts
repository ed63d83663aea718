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

export type { SourceDocument }

export interface YamlLimits {
  readonly bytes: number
  readonly documents: number
  /** How deep mappings and lists may lie in each other. */
  readonly depth: number
  readonly aliases: number
  /** Scalars, mappings and lists of the file, with what aliases repeat. */
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
  try {
    return reader.read()
  } catch (error) {
    if (error instanceof Refusal) return { documents: [], problems: [error.problem] }
    // A defect of the library on hostile input must not take the controller down. Its message may quote the file.
    return { documents: [], problems: [problem('YamlInvalid', 'the file cannot be read as YAML', { where: { file } })] }
  }
}

class Refusal extends Error {
  readonly problem: Problem

  constructor(reason: Problem) {
    super(reason.message)
    this.problem = reason
  }
}

/** Which lexemes begin a node, so that nodes are counted before any is made; each kind alone is a lower bound. */
const counted = new Set([
  'scalar',
  'single-quoted-scalar',
  'double-quoted-scalar',
  'block-scalar-header',
  'flow-map-start',
  'flow-seq-start',
  'seq-item-ind',
  'map-value-ind',
  'explicit-key-ind',
  'comma',
])
/** Signals of the lexer that stand for no character of the text. */
const signals = new Set([CST.DOCUMENT, CST.FLOW_END, CST.SCALAR])

const coreTags = new Set(['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map(name => `tag:yaml.org,2002:${name}`))

class Reader {
  readonly #text: string
  readonly #file: string
  readonly #limits: YamlLimits
  readonly #lines = new LineCounter()
  #nodes = 0

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
    this.#lines.addNewLine(0)
    const limit = (what: string, count: number, allowed: number) => {
      if (count > allowed) throw this.#tooLarge(`the file has more than ${allowed} ${what}`, offset)
    }
    for (const lexeme of new Lexer().lex(this.#text)) {
      const type = CST.tokenType(lexeme) ?? 'text'
      const count = (counts.get(type) ?? 0) + 1
      counts.set(type, count)
      if (type === 'alias') limit('aliases', count, aliases)
      if (type === 'doc-start') limit('documents', count, documents)
      if (counted.has(type)) limit('values', count, nodes)
      if (type === 'directive-line' && !/^%YAML +1\.2\s*$/.test(lexeme))
        throw this.#refusal('a directive other than %YAML 1.2 is not allowed', offset)
      // JSON may hold one inside a text; anywhere else it is where two files were joined.
      if (lexeme.includes('\ufeff') && !/^["']/.test(lexeme))
        throw this.#refusal('a byte order mark stands inside the file', offset)
      for (const token of parser.next(lexeme)) {
        tokens.push(token)
        if (token.type === 'error' && ++errors > maxProblems)
          throw this.#refusal('too much before this is not well formed', offset)
      }
      // On top of the collections the stack holds the document and what is being read.
      if (parser.stack.length > depth + 2)
        throw this.#tooLarge(`values lie more than ${depth} deep in each other`, offset)
      if (!signals.has(lexeme)) offset += lexeme.length
    }
    for (const token of parser.end()) tokens.push(token)
    limit('documents', tokens.filter(({ type }) => type === 'document').length, documents)
    return tokens
  }

  #document(document: Document.Parsed): SourceDocument {
    const targets = new Map<Alias, ParsedNode>()
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
    if (this.#nodes > this.#limits.nodes)
      throw this.#tooLarge(`the file has more than ${this.#limits.nodes} values`, start)
    if (depth >= this.#limits.depth && (isMap(node) || isSeq(node))) {
      throw this.#tooLarge(`values lie more than ${this.#limits.depth} deep in each other`, start)
    }
    if (isAlias(node)) {
      const target = targets.get(node) ?? anchors.get(node.source)
      if (!target) throw this.#refusal('the alias names no anchor before it, or one around it', start)
      targets.set(node, target)
      // What is read again must not bring its anchors back; its own aliases are in `targets`.
      return this.#value(target, depth, new Map(), targets)
    }
    if (node.tag !== undefined && !coreTags.has(node.tag))
      throw this.#refusal('only tags of the YAML core schema are allowed', start)
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
      if (!Number.isSafeInteger(number))
        throw this.#refusal('whole numbers go from -9007199254740991 to 9007199254740991; put others in quotes', start)
      return number
    }
    if (typeof value === 'number' && !Number.isFinite(value))
      throw this.#refusal('the number is not finite; put it in quotes', start)
    if (typeof value === 'string' && !value.isWellFormed())
      throw this.#refusal('the text holds half of a surrogate pair', start)
    if (typeof value === 'string' && value.includes('\0')) throw this.#refusal('the text holds a NUL character', start)
    return value
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

  #tooLarge(message: string, offset: number): Refusal {
    return new Refusal(problem('DocumentTooLarge', message, { where: this.#where(offset) }))
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
  TAG_RESOLVE_FAILED: 'only tags of the YAML core schema are allowed',
  UNEXPECTED_TOKEN: 'something stands here that does not belong here',
}
