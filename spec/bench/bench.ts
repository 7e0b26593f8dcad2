// `npm run bench`: measures netref and its alternatives on this machine, in turn.
//
//   -- --quick               one short round, without the memory of idle sessions
//   -- --cores 1|2|both      server and client on one core, on a core each, or (the default) both, for the rows that
//                            depend on it; the other rows are measured once
//   -- --only netref,birpc   these contestants (raw-ws and "by hand" always take part)
//   -- --scenario add,chain  the rows whose name contains one of these; `second` selects the second set of payloads
//   -- --rounds 3            the number of rounds
//   -- --json results.json   writes all figures as JSON
//   -- --against FOLDER      adds another build of netref (the folder of its index.js)
//   -- --cold                only new processes: import, the command line, first calls (`npm run bench:cold`)
//   -- --check               `npm run bench:check`: netref and the baselines alone; fails where netref misses its targets
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { chart } from './chart.js'
import { CONTESTANTS } from './contestants/index.js'
import { FAIR, fairness, unfairness } from './fairness.js'
import { reportContests } from './gateways/contests.js'
import { FLAT, growth } from './growth.js'
import { type Cores, inNode, inPython, type Launcher, POSSIBLE_CORES, placement } from './launch.js'
import { conditions, environment, failures, json, table } from './report.js'
import { measure, median, type Plan, type Row, reaches, start, stop } from './rounds.js'
import { BASELINES, SCENARIOS, type Scenario } from './scenarios.js'
import { compile, installPeers } from './set-up.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** The part of a target that `--check` demands, in the better of two tries. */
const ENOUGH = 0.6
/** The first try measures all rows; the second, for longer, those that were too slow. */
const FIRST_TRY: Plan = { rounds: 3, ms: 100 }
const SECOND_TRY: Plan = { rounds: 9, ms: 200 }

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    cold: { type: 'boolean', default: false },
    cores: { type: 'string', default: 'both' },
    only: { type: 'string' },
    scenario: { type: 'string' },
    rounds: { type: 'string' },
    json: { type: 'string' },
    against: { type: 'string' }
  }
})

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

/** Ends the program with code 1. */
function refuse(text: string): never {
  console.error(text)
  process.exit(1)
}

/** The names that a list selects: for each of its parts the name that equals it, or else all that contain it. */
function selected(option: 'only' | 'scenario', names: readonly string[]): (name: string) => boolean {
  const list = values[option]
  if (list === undefined) return () => true
  const chosen = new Set<string>()
  for (const part of list.split(',').filter(part => part !== '')) {
    const found = names.includes(part) ? [part] : names.filter(name => name.includes(part))
    if (found.length === 0)
      refuse(`--${option}: no name contains "${part}"; the names are:\n  ${names.join('\n  ')}`)
    for (const name of found) chosen.add(name)
  }
  return name => chosen.has(name)
}

function selectedCores(): readonly Cores[] {
  if (values.cores === 'both') return POSSIBLE_CORES
  const cores = POSSIBLE_CORES.find(cores => `${cores}` === values.cores)
  if (cores === undefined)
    refuse(`--cores ${values.cores}: here it may be ${[...POSSIBLE_CORES, 'both'].join(', ')}`)
  return [cores]
}

function launchers(): Launcher[] {
  const isSelected = values.check
    ? (name: string) => name === 'netref'
    : selected('only', [...Object.keys(CONTESTANTS), 'RPyC'])
  const takesPart = (name: string) => BASELINES.some(baseline => baseline === name) || isSelected(name)
  const all = Object.keys(CONTESTANTS).map(name => inNode(name, name))
  const python = pythonWithRPyC()
  if (python) all.push(inPython('RPyC', python))
  else if (isSelected('RPyC'))
    console.log('RPyC is left out, because it is not installed (Debian: apt install python3-rpyc)')
  const chosen = all.filter(({ name }) => takesPart(name))
  if (values.against !== undefined) {
    const build = pathToFileURL(resolve(values.against, 'index.js')).href
    chosen.push(inNode('netref, other build', 'netref', { NETREF_BUILD: build }))
  }
  return chosen
}

const began = performance.now()
const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

if (values.cold) {
  execFileSync('npm', ['run', '--silent', 'bench:cold'], { cwd: here('../..'), stdio: 'inherit' })
  process.exit()
}
const isRow = selected('scenario', [...SCENARIOS.map(({ name }) => name), 'growth', 'fairness'])
const cores = selectedCores()
const taking = launchers()
if (!values.check) installPeers()
compile()
const names = taking.map(({ name }) => name)
const isShort = values.quick || values.check
const scenarios = SCENARIOS.filter(({ name, long }) => isRow(name) && !(isShort && long))
const usual = values.check ? FIRST_TRY : values.quick ? { rounds: 1, ms: 40 } : { rounds: 5, ms: 300 }
const plan = { ...usual, rounds: Number(values.rounds ?? usual.rounds) }

/** The rows to be measured with so many cores: those that do not depend on it are measured once. */
const rowsWith = (count: Cores) =>
  scenarios.filter(({ dependsOnCores }) => dependsOnCores || count === cores[0])

async function measureAll(rows: (cores: Cores) => readonly Scenario[], by: Plan): Promise<Row[]> {
  const measured: Row[] = []
  for (const count of cores) {
    const toMeasure = rows(count)
    if (toMeasure.length === 0) continue
    const payloads = toMeasure.flatMap(({ payload = [] }) => payload)
    const running = []
    try {
      for (const launcher of taking) running.push(await start(launcher, count, payloads))
      measured.push(...(await measure(running, toMeasure, by, progress)))
    } finally {
      for (const contestant of running) stop(contestant)
      progress('')
    }
  }
  return measured
}

function report(rows: readonly Row[], by: Plan): void {
  const payloads = new Set(rows.flatMap(({ scenario: { payload = [] } }) => payload))
  console.log(`\n${conditions(by, cores, [...payloads])}`)
  for (const count of cores) {
    const measured = rows.filter(({ cores }) => cores === count)
    if (measured.length > 0) console.log(`\n${placement(count)}\n\n${table(measured, names)}`)
  }
  for (const failure of failures(rows)) console.log(`failed: ${failure}`)
}

async function check(): Promise<void> {
  let slow = await tooSlow(rowsWith, plan)
  if (slow.length > 0) {
    const rows = slow
    const again = (count: Cores) =>
      rows.filter(({ cores }) => cores === count).map(({ scenario }) => scenario)
    slow = await tooSlow(again, SECOND_TRY)
  }
  for (const { scenario, cores } of slow)
    console.log(`too slow in both tries: ${scenario.name} (${placement(cores)})`)
  console.log(slow.length > 0 ? 'netref is too slow' : 'netref is fast enough in all rows')
  if (slow.length > 0) process.exitCode = 1
}

async function tooSlow(rows: (cores: Cores) => readonly Scenario[], by: Plan): Promise<Row[]> {
  const measured = await measureAll(rows, by)
  report(measured, by)
  return measured.filter(row => reaches(row, 'netref', row.scenario.enough ?? ENOUGH) === false)
}

async function bench(): Promise<void> {
  const rows = await measureAll(rowsWith, plan)
  report(rows, plan)
  const extra = { ...(await growing()), ...(await sharing()) }
  if (values.only === undefined && values.scenario === undefined)
    await reportContests(plan.rounds, plan.ms / 1000)
  const results = { environment: environment(), cores, ...plan, rows: json(rows), ...extra }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`)
  const isPartial =
    values.quick ||
    values.only !== undefined ||
    values.scenario !== undefined ||
    values.against !== undefined ||
    values.cores !== 'both'
  if (isPartial) return
  writeFileSync(here('chart.svg'), chart(rows, names, environment()))
  console.log('\nthe chart is in spec/bench/chart.svg')
}

/** How the cost of a call to netref grows with what a session holds. */
async function growing() {
  const netref = taking.find(({ name }) => name === 'netref')
  if (!netref || !isRow('growth')) return {}
  const grown = await growth(netref, plan.ms, values.quick ? 1000 : 1e6, progress)
  for (const { kind, points, exponent } of grown) {
    const costs = points.map(({ count, cost }) => `${count}: ${cost.toFixed(1)}`).join('  ')
    const verdict = exponent <= FLAT ? 'flat' : `NOT flat, which is at most ${FLAT}`
    console.log(`growth with ${kind}: exponent ${exponent.toFixed(3)}, ${verdict}; µs per call with ${costs}`)
  }
  return { growth: grown }
}

/** How a client with very many calls in flight delays others, at netref and at raw-ws. */
async function sharing() {
  if (!isRow('fairness')) return {}
  const [baseline] = BASELINES
  const fair = taking.filter(({ name }) => name === baseline || name.startsWith('netref'))
  const p99 = await fairness(fair, { rounds: Math.min(plan.rounds, 3), ms: Math.max(plan.ms, 200) }, progress)
  for (const [name, own] of p99) {
    const times = unfairness(own, p99.get(baseline)!)
    const verdict = name === baseline ? '' : `, ×${times.toFixed(2)} of ${baseline} (at most ×${FAIR})`
    console.log(
      `fairness: p99 of a lone call to ${name} beside a client with 10 000 calls in flight: ${Math.round(median(own))} µs${verdict}`
    )
  }
  return { fairness: Object.fromEntries(p99) }
}

await (values.check ? check() : bench())
console.log(`\n${((performance.now() - began) / 1000).toFixed(0)} s`)
