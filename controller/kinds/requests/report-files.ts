/** The disclosure report: the full one beside the staged data, where only approvers read, and the summary that Git may hold. */

import type { TableReport } from '../../data/source.ts'
import { canonicalJson } from '../../runtime/canonical.ts'
import type { OutputSummary } from './state.ts'

export interface PathReport {
  readonly path: string
  readonly report: TableReport
}

export function summarize(path: string, { rows, columns }: TableReport, threshold: number): OutputSummary {
  const smallCells = columns.reduce((sum, column) => sum + (column.smallCells ?? 0), 0)
  return {
    path,
    rows: rows > 0 && rows < threshold ? 'fewer than the threshold' : rows,
    columns: columns.length,
    smallCells,
  }
}

export function renderReport(project: string, release: number, tables: readonly PathReport[], threshold: number) {
  return [
    { name: 'report.json', content: Buffer.from(`${canonicalJson({ project, release, threshold, tables })}\n`) },
    { name: 'report.md', content: Buffer.from(renderMarkdown(project, release, tables, threshold)) },
  ]
}

function renderMarkdown(project: string, release: number, tables: readonly PathReport[], threshold: number): string {
  const lines = [
    `# Disclosure report: ${project}, release ${release}`,
    '',
    `Counts only; no value of any row. A small cell is a value that stands in fewer than ${threshold} rows of a column with at most 50 distinct values.`,
    'What this report cannot see: whether a text names a person, and what becomes known when tables are joined.',
  ]
  for (const { path, report } of tables) {
    lines.push(
      '',
      `## ${inline(path)}`,
      '',
      `${report.rows} rows`,
      '',
      '| column | type | nulls | distinct | small cells |',
      '|---|---|---:|---:|---:|',
    )
    for (const { name, type, nulls, distinct, smallCells } of report.columns) {
      lines.push(`| ${inline(name)} | ${inline(type)} | ${nulls} | ${distinct} | ${smallCells ?? ''} |`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** Names come from a database and may hold anything: none becomes Markdown or HTML. */
function inline(text: string): string {
  return text
    .replace(/[\u0000-\u001f]/g, ' ')
    .replace(/[\\`*_{}[\]<>()#+!|&~]/g, character => `&#${character.charCodeAt(0)};`)
}
