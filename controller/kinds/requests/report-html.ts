/**
 * The disclosure report as one page that needs nothing else: no script, no address, no picture. Names come from a database, where
 * anybody may have chosen them.
 */

import { createHash } from 'node:crypto'
import { type ColumnView, concernsOf, type DisclosureReport, levelTitles } from './disclosure.ts'
import { type Flag, levels } from './disclosure-flags.ts'
import type { Count } from './disclosure-policy.ts'

const style = `
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
caption { text-align: left; font-weight: bold; padding: .5rem 0; }
th, td { border: 1px solid; padding: .4rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
td.count { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.name { font-family: ui-monospace, monospace; unicode-bidi: isolate; }
`
/** The browser applies this style and loads or runs nothing, even if a name got through the escaping. */
const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`

export function renderHtml(report: DisclosureReport): string {
  const { project, release, files } = report
  const title = `Disclosure report: ${escapeHtml(project)}, release ${release}`
  const parts = [
    '<!DOCTYPE html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${title}</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    '<main>',
    `<h1>${title}</h1>`,
    '<p>This page helps to decide whether the extracted data may leave. It holds counts and names of columns, and no value of any row.',
    'It finds what can be found by looking at values one by one. What it cannot see stands at its end: that is why a person decides.</p>',
    ...concernParts(report),
    '<h2>The files, column by column</h2>',
    ...files.flatMap(({ path, rows, columns }) => [
      '<table>',
      `<caption>${nameHtml(path)}: ${countText(rows)} ${rows === 1 ? 'row' : 'rows'}</caption>`,
      '<thead><tr><th scope="col">Column</th><th scope="col">Type</th><th scope="col">Rows without a value</th><th scope="col">Different values</th><th scope="col">Small cells</th><th scope="col">Flags</th></tr></thead>',
      '<tbody>',
      ...columns.map(columnRow),
      '</tbody>',
      '</table>',
    ]),
    '<h2>What this report cannot see</h2>',
    ...listParts(report.unseen),
    '<h2>How it was counted</h2>',
    ...listParts(report.method),
    '</main>',
    '</body>',
    '</html>',
  ]
  return `${parts.join('\n')}\n`
}

function concernParts(report: DisclosureReport): string[] {
  const concerns = concernsOf(report)
  if (concerns.length === 0) return ['<p>Nothing was flagged.</p>']
  return levels.flatMap(level => {
    const found = concerns.filter(({ flag }) => flag.level === level)
    if (found.length === 0) return []
    return [
      `<h2>${levelTitles[level]}</h2>`,
      '<table>',
      `<caption>${found.length} ${found.length === 1 ? 'flag' : 'flags'}</caption>`,
      '<thead><tr><th scope="col">Where</th><th scope="col">What</th><th scope="col">Rows</th><th scope="col">Consider</th></tr></thead>',
      '<tbody>',
      ...found.map(({ path, column, flag }) => {
        const where = column === undefined ? nameHtml(path) : `column ${nameHtml(column)} of ${nameHtml(path)}`
        return `<tr><th scope="row">${where}</th><td>${escapeHtml(flag.reason)} <span class="name">(${flag.kind})</span></td>${countCell(flag.rows)}<td>${escapeHtml(flag.consider)}</td></tr>`
      }),
      '</tbody>',
      '</table>',
    ]
  })
}

function columnRow({ name, type, nulls, distinct, estimated, smallCells, flags }: ColumnView): string {
  const values = estimated ? `about ${countText(distinct)}` : countText(distinct)
  const small = smallCells === undefined ? 'not counted' : countText(smallCells)
  const raised = flags.map(({ kind }: Flag) => kind).join(', ') || 'none'
  return `<tr><th scope="row">${nameHtml(name)}</th><td>${nameHtml(type)}</td>${countCell(nulls)}<td class="count">${values}</td><td class="count">${small}</td><td>${raised}</td></tr>`
}

function countCell(count: Count | undefined): string {
  return count === undefined ? '<td>not counted in rows</td>' : `<td class="count">${countText(count)}</td>`
}

function countText(count: Count): string {
  return typeof count === 'number' ? count.toLocaleString('en-GB') : count
}

function listParts(items: readonly string[]): string[] {
  return ['<ul>', ...items.map(item => `<li>${escapeHtml(item)}</li>`), '</ul>']
}

function nameHtml(name: string): string {
  return `<span class="name">${escapeHtml(name)}</span>`
}

/** For text and for attributes in double quotes. What cannot be seen, or turns what stands beside it, is named instead. */
export function escapeHtml(text: string): string {
  return text
    .replace(
      /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
      one => `[U+${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/[&<>"'`]/g, one => `&#${one.charCodeAt(0)};`)
}
