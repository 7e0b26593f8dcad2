// The rows as a bar chart: SVG, readable on a light page and a dark one. The longest bar of a row is its full width.
import type { ContestantName } from './contestants/index.js'
import { median, type Row, ratios } from './rounds.js'
import { BASELINES } from './scenarios.js'

const [BASELINE] = BASELINES
/** Shown where busy polling may change the figure. */
const POLLING: ContestantName = 'netref, busy polling'

const WIDTH = 880
const COLUMNS = 2
const GAP = 40
const LABEL = 140
const VALUE = 56
const BAR = 12
const LINE = 17
const HEAD = 34
const BETWEEN = 18
const TOP = 56

const NOTE = '“by hand” sends one frame per tick; comlink has a worker thread for a server.'

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .work { font-weight: 600 }
  .note, .value { fill: #57606a }
  .bar { fill: #b6bec8 }
  .netref .bar { fill: #0969da }
  .netref text { fill: #0969da; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note, .value { fill: #9198a1 }
    .bar { fill: #545d68 }
    .netref .bar { fill: #4493f8 }
    .netref text { fill: #4493f8 }
  }`

/** The table alone has the second set of payloads, and most figures on two cores. */
const isInChart = ({ scenario: { better, lone, name }, cores }: Row, first: Row) =>
  better === 'more' && (cores === first.cores || lone) && !name.startsWith('second set')

/** Bars of the rows in which more is better, one for each contestant that can do the work. */
export function chart(rows: readonly Row[], names: readonly string[], environment: string): string {
  const inChart = rows.filter(row => isInChart(row, rows[0]!))
  // The figures of one core and of two stand side by side.
  const ordered = [...new Set(inChart.map(({ scenario }) => scenario))].flatMap(scenario =>
    inChart.filter(row => row.scenario === scenario)
  )
  const groups = ordered.map(row => group(row, names))
  const width = (WIDTH - GAP * (COLUMNS - 1)) / COLUMNS
  const heights: number[] = new Array(COLUMNS).fill(TOP)
  const placed = groups.map(({ height, draw }) => {
    const column = heights.indexOf(Math.min(...heights))
    const svg = draw(column * (width + GAP), heights[column]!, width)
    heights[column]! += height + BETWEEN
    return svg
  })
  const height = Math.max(...heights)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="netref and its peers, as ratios to a hand-written WebSocket echo">
<style>${STYLE}
</style>
${text(0, 18, `How fast, as a ratio to ${BASELINE}: a WebSocket echo written by hand`, 'title')}
${text(0, 37, `Longer is better. ${environment}. ${NOTE}`, 'note')}
${placed.join('\n')}
</svg>
`
}

function group(row: Row, names: readonly string[]) {
  const { scenario, cores } = row
  const title = `${scenario.name}${scenario.dependsOnCores ? `, ${cores === 1 ? 'one core' : 'two cores'}` : ''}`
  const shown = names.filter(name => scenario.lone || name !== POLLING)
  const bars = shown.flatMap(name => {
    const found = ratios(row, name, BASELINE)
    return found.length === 0 ? [] : [{ name, ratio: median(found) }]
  })
  const longest = Math.max(...bars.map(({ ratio }) => ratio))
  const draw = (x: number, y: number, width: number) => {
    const room = width - LABEL - VALUE
    const lines = bars.map(({ name, ratio }, i) => {
      const at = y + HEAD + i * LINE
      const length = Math.max((room * ratio) / longest, 1).toFixed(1)
      const bar = `<rect class="bar" x="${x + LABEL}" y="${at - BAR + 2}" width="${length}" height="${BAR}" rx="2"/>`
      const value = text(
        x + LABEL + Number(length) + 6,
        at,
        `×${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(2)}`,
        'value'
      )
      return `<g${name.startsWith('netref') ? ' class="netref"' : ''}>${text(x, at, name)}${bar}${value}</g>`
    })
    return [text(x, y + 12, title, 'work'), ...lines].join('\n')
  }
  return { height: HEAD + (bars.length - 1) * LINE + 4, draw }
}

const text = (x: number, y: number, words: string, kind?: string) =>
  `<text x="${x}" y="${y}"${kind ? ` class="${kind}"` : ''}>${words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`
