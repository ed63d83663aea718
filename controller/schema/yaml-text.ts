/** Writes YAML that `parseYaml` reads back, whatever the texts hold. */

import { Document, Scalar, visit } from 'yaml'

/**
 * Not printable (YAML 1.2.2 §5.1), and so only in quotes, where JSON may have it. A byte order mark is one of them: outside of
 * quotes it is where two files were joined. Control characters below U+0020 need no mention: they are always written as escapes.
 */
export const unprintable = /[\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]/

/** One document, a field on a line. The library by itself would leave such characters bare. */
export function yamlText(value: unknown): string {
  const document = new Document(value)
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string' && unprintable.test(node.value)) node.type = Scalar.QUOTE_DOUBLE
    },
  })
  return document.toString({ lineWidth: 0 })
}
