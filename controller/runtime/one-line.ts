/** Text of strangers, shown to people: it must not begin a line of its own, steer a terminal, or turn the direction of reading. */

/**
 * C0, DEL, C1 (U+009B begins an escape sequence on its own), line and paragraph separators, marks of direction (UAX #9), and what
 * takes no room at all, so that two names that look the same are not. The joiners stay: emoji and Persian need them.
 */
const hidden =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff]/g

/** Every such character as its JSON escape; all else stays. */
export function oneLine(text: string): string {
  return text.replace(hidden, escaped)
}

/** As oneLine, for text that has lines of its own. The escapes mean the same inside JSON. */
export function printable(text: string): string {
  return text.replace(hidden, character => (character === '\n' || character === '\t' ? character : escaped(character)))
}

function escaped(character: string): string {
  const json = JSON.stringify(character).slice(1, -1)
  return json === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : json
}
