/** The disclosure report: the full one beside the staged data, where only approvers read, and the summary that Git may hold. */

import { canonicalJson } from '../../runtime/canonical.ts'
import { concernsOf, type DisclosureReport, levelTitles, type PathReport, viewOf } from './disclosure.ts'
import { type FlagKind, levels } from './disclosure-flags.ts'
import type { Policy } from './disclosure-policy.ts'
import { renderHtml } from './report-html.ts'
import type { OutputSummary } from './state.ts'

/** The files of the review area: for machines, for a browser, for a terminal. */
export function renderReport(report: DisclosureReport): { name: string; content: Uint8Array }[] {
  return [
    { name: 'report.json', content: Buffer.from(`${canonicalJson(report)}\n`) },
    { name: 'report.html', content: Buffer.from(renderHtml(report)) },
    { name: 'report.md', content: Buffer.from(renderMarkdown(report)) },
  ]
}

/** What Git may hold of a file: how often what was flagged, and no count of rows below the threshold. */
export function summarize({ path, report }: PathReport, policy: Policy): OutputSummary {
  const view = viewOf({ path, report }, policy)
  const raised = [...view.flags, ...view.columns.flatMap(({ flags }) => flags)]
  const flags: Partial<Record<FlagKind, number>> = {}
  for (const { kind } of raised) flags[kind] = (flags[kind] ?? 0) + 1
  const few = report.rows > 0 && report.rows < policy.minimumCount
  return {
    path,
    rows: few ? 'fewer than the threshold' : report.rows,
    columns: report.columns.length,
    // Where the values of a category stand; of other columns the flags tell.
    smallCells: report.columns.reduce((sum, { smallCells = 0 }, index) => {
      const category = view.columns[index]?.flags.some(({ kind }) => kind === 'small-cells')
      return category && !few ? sum + smallCells : sum
    }, 0),
    flags,
  }
}

function renderMarkdown(report: DisclosureReport): string {
  const { project, release, files, unseen, method } = report
  const concerns = concernsOf(report)
  const lines = [
    `# Disclosure report: ${inline(project)}, release ${release}`,
    '',
    'Counts only; no value of any row. The same with explanations is in report.html, for machines in report.json.',
  ]
  for (const level of levels) {
    const found = concerns.filter(({ flag }) => flag.level === level)
    if (found.length === 0) continue
    lines.push('', `## ${levelTitles[level]}`, '')
    for (const { path, column, flag } of found) {
      const where = column === undefined ? inline(path) : `${inline(path)}, column ${inline(column)}`
      const rows = flag.rows === undefined ? '' : ` Rows: ${flag.rows}.`
      lines.push(`- ${flag.kind}: ${where}. ${inline(flag.reason)}${rows}`)
    }
  }
  for (const { path, rows, columns } of files) {
    lines.push(
      '',
      `## ${inline(path)}`,
      '',
      `Rows: ${rows}`,
      '',
      '| column | type | missing | different values | small cells |',
      '|---|---|---:|---:|---:|',
    )
    for (const { name, type, nulls, distinct, estimated, smallCells } of columns) {
      const values = estimated ? `about ${distinct}` : distinct
      lines.push(`| ${inline(name)} | ${inline(type)} | ${nulls} | ${values} | ${smallCells ?? 'not counted'} |`)
    }
  }
  lines.push('', '## What this report cannot see', '', ...unseen.map(one => `- ${inline(one)}`))
  lines.push('', '## How it was counted', '', ...method.map(one => `- ${inline(one)}`))
  return `${lines.join('\n')}\n`
}

/** Names come from a database and may hold anything: none becomes Markdown or HTML. */
function inline(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .replace(/[\\`*_{}[\]<>()#+!|&~]/g, character => `&#${character.charCodeAt(0)};`)
}
