// `npm run bench`: netref beside what else one would use, in the same minutes on the same machine.
//
//   -- --quick               a minute instead of ten, without the memory of idle sessions
//   -- --only netref,birpc   these contestants (raw-ws always takes part)
//   -- --scenario add,chain  rows whose name has one of these in it
//   -- --rounds 3            how often each is measured
//   -- --json results.json   all figures, as JSON
//   -- --against FOLDER      another build of netref beside this one (where its index.js is)
//   -- --check               `npm run bench:check`: netref and raw-ws alone, fails where netref falls far short
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { chart } from './chart.js'
import { CONTESTANTS } from './contestants/index.js'
import { FAIR, fairness, unfairness } from './fairness.js'
import { growth } from './growth.js'
import { failures, json, occasion, table } from './report.js'
import { BASELINE, measure, median, type Plan, type Row, reaches, start, stop } from './rounds.js'
import { SCENARIOS } from './scenarios.js'
import { type Entrant, inNode, inPython } from './side.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** What `--check` is content with: a part of each target, in the better of two tries. */
const ENOUGH = 0.6
/** One try measures all, and the other one, for longer, what seemed too slow. */
const SOON: Plan = { rounds: 5, ms: 120 }
const WITH_CARE: Plan = { rounds: 9, ms: 200 }

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    only: { type: 'string' },
    scenario: { type: 'string' },
    rounds: { type: 'string' },
    json: { type: 'string' },
    against: { type: 'string' }
  }
})

/** Installs the peers, and builds the contestants and netref as its package is built. */
function setUp(): void {
  if (!values.check && !existsSync(here('node_modules/capnweb'))) {
    console.log('installing the peers of the benchmark into spec/bench/node_modules')
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: here('.'),
      stdio: 'inherit'
    })
  }
  execFileSync(process.execPath, [here('../../node_modules/typescript/bin/tsc'), '-p', here('.')], {
    stdio: 'inherit'
  })
}

/** The Python that has RPyC: where a system has several, it is often not the first. */
function pythonWithRPyC(): string | undefined {
  return ['python3', '/usr/bin/python3'].find(python => {
    try {
      execFileSync(python, ['-c', 'import rpyc'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}

const has = (list: string | undefined, name: string) =>
  list === undefined || list.split(',').some(part => part !== '' && name.includes(part))

/** Ends with an error where part of a list is in no name. */
function checkList(option: string, list: string | undefined, names: readonly string[]): void {
  const unknown = list?.split(',').find(part => !names.some(name => has(part, name)))
  if (unknown === undefined) return
  console.error(`--${option}: no name has "${unknown}" in it; there are:\n  ${names.join('\n  ')}`)
  process.exit(1)
}

function entrants(): Entrant[] {
  const only = values.check ? 'netref' : values.only
  const all = Object.keys(CONTESTANTS).map(name => inNode(name, name))
  const python = pythonWithRPyC()
  if (python) all.push(inPython('RPyC', python))
  else if (has(only, 'RPyC'))
    console.log('RPyC is left out: it is not installed (Debian: apt install python3-rpyc)')
  if (values.against !== undefined) {
    const build = pathToFileURL(resolve(values.against, 'index.js')).href
    all.splice(2, 0, inNode('netref, other', 'netref', build))
  }
  return all.filter(({ name }) => name === BASELINE || has(only, name))
}

const names = () => taking.map(({ name }) => name)

const began = performance.now()
const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

checkList('only', values.only, [...Object.keys(CONTESTANTS), 'RPyC'])
checkList('scenario', values.scenario, [...SCENARIOS.map(({ name }) => name), 'growth', 'fairness'])
setUp()
const taking = entrants()
const scenarios = SCENARIOS.filter(({ name, long }) => has(values.scenario, name) && !(values.quick && long))
const usual = values.check ? SOON : values.quick ? { rounds: 1, ms: 40 } : { rounds: 5, ms: 400 }
const plan = { ...usual, rounds: Number(values.rounds ?? usual.rounds) }

async function measureAll(rows = scenarios, by: Plan = plan): Promise<Row[]> {
  const running = []
  for (const entrant of taking) running.push(await start(entrant))
  try {
    return await measure(running, rows, by, progress)
  } finally {
    for (const contestant of running) stop(contestant)
    progress('')
  }
}

function report(rows: readonly Row[], { rounds } = plan): void {
  console.log(`\n${occasion()}; medians of ${rounds} rounds (least–most), × is the ratio to ${BASELINE}\n`)
  console.log(
    table(
      rows,
      taking.map(({ name }) => name)
    )
  )
  for (const failure of failures(rows)) console.log(`failed: ${failure}`)
}

async function check(): Promise<void> {
  let rows = scenarios
  for (const by of [plan, WITH_CARE]) {
    if (rows.length === 0) break
    const measured = await measureAll(rows, by)
    report(measured, by)
    const slow = measured.filter(row => reaches(row, 'netref', ENOUGH) === false)
    rows = slow.map(({ scenario }) => scenario)
  }
  for (const { name } of rows) console.log(`too slow, in both tries: ${name}`)
  console.log(rows.length > 0 ? 'NOT fast enough' : `nothing is under ${ENOUGH * 100} % of its target`)
  if (rows.length > 0) process.exitCode = 1
}

async function bench(): Promise<void> {
  const rows = await measureAll()
  report(rows)
  const extra = { ...(await growing()), ...(await sharing()) }
  const found = { occasion: occasion(), rounds: plan.rounds, rows: json(rows), ...extra }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(found, null, 2)}\n`)
  const partial = values.quick || values.only !== undefined || values.scenario !== undefined
  if (partial) return
  writeFileSync(here('chart.svg'), chart(rows, names(), occasion()))
  console.log('\nthe chart is in spec/bench/chart.svg')
}

/** How the cost of a call grows, for netref. */
async function growing() {
  const netref = taking.find(({ name }) => name === 'netref')
  if (!netref || !has(values.scenario, 'growth')) return {}
  const grown = await growth(netref, plan.ms, values.quick ? 1000 : 1e6, progress)
  for (const { kind, points, exponent } of grown) {
    const costs = points.map(({ count, cost }) => `${count}: ${cost.toFixed(1)}`).join('  ')
    console.log(`growth with ${kind}: exponent ${exponent.toFixed(3)}; µs per call with ${costs}`)
  }
  return { growth: grown }
}

/** What a greedy client does to others, at netref and at the baseline. */
async function sharing() {
  if (!has(values.scenario, 'fairness')) return {}
  const fair = taking.filter(({ name }) => name === BASELINE || name.startsWith('netref'))
  const p99 = await fairness(fair, { rounds: Math.min(plan.rounds, 3), ms: Math.max(plan.ms, 200) }, progress)
  for (const [name, own] of p99) {
    const times = unfairness(own, p99.get(BASELINE)!)
    const verdict = name === BASELINE ? '' : `, ×${times.toFixed(2)} of ${BASELINE} (at most ×${FAIR})`
    console.log(
      `fairness: beside a client with 10 000 calls in flight, p99 of a lone call at ${name}: ${Math.round(median(own))} µs${verdict}`
    )
  }
  return { fairness: Object.fromEntries(p99) }
}

await (values.check ? check() : bench())
console.log(`\n${((performance.now() - began) / 1000).toFixed(0)} s`)
