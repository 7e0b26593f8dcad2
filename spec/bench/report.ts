// The figures of a run as tables in Markdown and as JSON, and the conditions of the run in words.
import { cpus, loadavg } from 'node:os'
import { type Cores, placement } from './launch.js'
import { baselineOf, median, type Plan, type Row, ratios, reaches, warmUpMs } from './rounds.js'
import { LONG_WARM_UP_MS } from './scenarios.js'
import { type PayloadName, payloadOf } from './work.js'

/** When and where: `2026-01-31, Node 20.1.0, 2 × AMD EPYC`. */
export function environment(): string {
  const [cpu] = cpus()
  const machine = `${cpus().length} × ${cpu?.model.trim() ?? 'unknown processor'}`
  return `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${machine}`
}

/** How the figures were measured. */
export function conditions(plan: Plan, cores: readonly Cores[], payloads: readonly PayloadName[]): string {
  const sizes = payloads.map(
    name => `${name} ${(Buffer.byteLength(JSON.stringify(payloadOf(name))) / 1e6).toFixed(2)}`
  )
  return [
    `- machine: ${environment()}; load average ${loadavg()[0]!.toFixed(1)}`,
    ...cores.map(cores => `- ${placement(cores)}`),
    '- contestants: raw-ws is JSON by hand on ws, one frame per message; by hand is the same, one frame per tick;',
    '  netref does not poll; "netref, busy polling" has busyPoll: true on both sides',
    `- warm-up: ${warmUpMs(plan)} ms of each row for each contestant, in the processes that are measured; rows of CPU time and of chains: ${LONG_WARM_UP_MS} ms`,
    `- figures: medians of ${plan.rounds} rounds of at least ${plan.ms} ms (least–most); contestants take turns within a round`,
    '- ×: the ratio to raw-ws in the same round, or to "by hand" where the target says so',
    ...(sizes.length > 0 ? [`- payloads, in MB of JSON: ${sizes.join(', ')}`] : [])
  ].join('\n')
}

export function table(rows: readonly Row[], names: readonly string[]): string {
  const head = ['work', ...names, 'netref is to reach']
  const lines = rows.map(row => {
    const { name, unit, target, better } = row.scenario
    const sign = better === 'more' ? '≥' : '≤'
    const of = 'of' in target ? ` of ${target.of}` : ''
    const goal = 'ratio' in target ? `${sign} ×${target.ratio}${of}` : `${sign} ${target.figure}`
    const reached = reaches(row, 'netref')
    const mark = reached === undefined ? '' : reached ? ' ✓' : ' ✗'
    return [`${name} (${unit})`, ...names.map(contestant => cell(row, contestant)), `${goal}${mark}`]
  })
  return [head, head.map(() => '---'), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** Ratios with their range; figures for the baseline, and where the target is a figure. */
function cell(row: Row, name: string): string {
  const { figures, failure } = row.series.get(name)!
  if (failure !== undefined) return 'failed'
  if (figures.length === 0) return '–'
  const isFigure = name === baselineOf(row.scenario) || 'figure' in row.scenario.target
  return isFigure ? range(figures, figure) : `×${range(ratios(row, name), ratio)}`
}

function range(values: readonly number[], format: (value: number) => string): string {
  if (values.length === 0) return '?'
  const middle = format(median(values))
  const [least, most] = [format(Math.min(...values)), format(Math.max(...values))]
  return least === most ? middle : `${middle} (${least}–${most})`
}

const figure = (value: number) =>
  value >= 100
    ? Math.round(value).toLocaleString('en').replaceAll(',', ' ')
    : Number(value.toPrecision(2)).toString()
const ratio = (value: number) => (value >= 10 ? value.toFixed(0) : value.toFixed(2))

/** What failed and why, a line for each. */
export function failures(rows: readonly Row[]): string[] {
  return rows.flatMap(({ scenario, series }) =>
    [...series].flatMap(([name, { failure }]) =>
      failure === undefined ? [] : [`${scenario.name}: ${name}: ${failure.split('\n')[0]}`]
    )
  )
}

export const json = (rows: readonly Row[]): unknown =>
  rows.map(row => {
    const { name, unit, better, target } = row.scenario
    const series = [...row.series].map(([name, { figures, failure }]) => [
      name,
      { figures, ratios: ratios(row, name), failure }
    ])
    return { name, cores: row.cores, unit, better, target, series: Object.fromEntries(series) }
  })
