// What was measured, as a table in Markdown and as JSON.
import { cpus } from 'node:os'
import { BASELINE, median, type Row, reaches, type Series } from './rounds.js'
import { BINDS } from './side.js'

/** When and where: `2026-01-31, Node 20.1.0, 2 × AMD EPYC, a core for each side`. */
export function occasion(): string {
  const [cpu] = cpus()
  const machine = `${cpus().length} × ${cpu?.model.trim() ?? 'unknown processor'}`
  const sides = BINDS ? ', a core for each side' : ''
  return `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${machine}${sides}`
}

export function table(rows: readonly Row[], names: readonly string[]): string {
  const head = ['work', ...names, 'netref is to reach']
  const lines = rows.map(row => {
    const { name, unit, target, better } = row.scenario
    const sign = better === 'more' ? '≥' : '≤'
    const goal = 'ratio' in target ? `${sign} ×${target.ratio}` : `${sign} ${target.figure}`
    const reached = reaches(row, 'netref')
    const mark = reached === undefined ? '' : reached ? ' ✓' : ' ✗'
    return [`${name} (${unit})`, ...names.map(contestant => cell(row, contestant)), `${goal}${mark}`]
  })
  return [head, head.map(() => '---'), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** Ratios with their range; figures for the baseline, and where no ratio is asked for. */
function cell({ scenario, series }: Row, name: string): string {
  const { figures, ratios, failure } = series.get(name)!
  if (failure !== undefined) return 'failed'
  if (figures.length === 0) return '–'
  if (name === BASELINE || 'figure' in scenario.target) return range(figures, figure)
  return `×${range(ratios, ratio)}`
}

const range = (values: readonly number[], format: (value: number) => string) => {
  const middle = format(median(values))
  const [least, most] = [format(Math.min(...values)), format(Math.max(...values))]
  return least === most ? middle : `${middle} (${least}–${most})`
}

const figure = (value: number) =>
  value >= 100
    ? Math.round(value).toLocaleString('en').replaceAll(',', ' ')
    : Number(value.toPrecision(2)).toString()
const ratio = (value: number) => (value >= 10 ? value.toFixed(0) : value.toFixed(2))

/** What failed, and why: a line for each. */
export function failures(rows: readonly Row[]): string[] {
  return rows.flatMap(({ scenario, series }) =>
    [...series].flatMap(([name, { failure }]) =>
      failure === undefined ? [] : [`${scenario.name}: ${name}: ${failure.split('\n')[0]}`]
    )
  )
}

export const json = (rows: readonly Row[]): unknown =>
  rows.map(({ scenario: { name, unit, better, target }, series }) => ({
    name,
    unit,
    better,
    target,
    series: Object.fromEntries([...series].map(([name, series]): [string, Series] => [name, series]))
  }))
