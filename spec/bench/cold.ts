// `npm run bench:cold [-- ROUNDS]`: netref in processes that have just started, beside `ws` used by hand.
//
// - Import: CPU time and wall time of a process that imports the package, less those of an empty process.
// - CLI: the same of `netref call URL add 1 2`, from start to exit, beside a program that imports `ws` and makes the
//   same call by hand: JSON of the arguments there, JSON of the result back.
// - First calls: the speed of the first 1000 calls of two new processes, made one at a time, to that of later ones.
//
// The package is laid out as users install it, without its optional peers. Contestants take turns; each row shows
// medians with least and most.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { median } from './rounds.js'

const ROUNDS = Number(process.argv[2] ?? 20)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Writes the CPU time of a process at its exit. All contestants load it. */
const REPORTER = `process.on('exit', () => {
  const { user, system } = process.cpuUsage()
  require('node:fs').writeSync(3, String((user + system) / 1000))
})`

/** Servers: they print their address. */
const SERVERS = {
  netref: `
import { serve } from 'netref'
const { url } = await serve({ add: (a, b) => a + b }, { port: 0 })
console.log(url)`,
  'by hand': `
import { WebSocketServer } from 'ws'
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
server.on('connection', socket => socket.on('message', data => {
  const [id, a, b] = JSON.parse(data)
  socket.send(JSON.stringify([id, a + b]))
}))
server.on('listening', () => console.log('ws://127.0.0.1:' + server.address().port))`
}

/** The call of a shell, by hand. */
const ONE_CALL = `
import { WebSocket } from 'ws'
const socket = new WebSocket(process.argv[1])
socket.on('open', () => socket.send(JSON.stringify([1, 1, 2])))
socket.on('message', data => {
  console.log(JSON.stringify(JSON.parse(data)[1]))
  socket.close()
})`

/** Clients: they declare \`add\`. */
const CLIENTS = {
  netref: `
import { connect } from 'netref'
const conn = connect(process.argv[1])
await conn.ping()
const add = (a, b) => conn.root.add(a, b)`,
  'by hand': `
import { WebSocket } from 'ws'
const socket = new WebSocket(process.argv[1], { perMessageDeflate: false })
const pending = new Map()
let ids = 0
socket.on('message', data => {
  const [id, value] = JSON.parse(data)
  pending.get(id)(value)
  pending.delete(id)
})
const add = (a, b) => new Promise(resolve => {
  pending.set(++ids, resolve)
  socket.send(JSON.stringify([ids, a, b]))
})
await new Promise(resolve => socket.on('open', resolve))`
}

/** Prints the speed of the first calls as a part of the later speed: by CPU time of the client, and by wall time. */
const FIRST_CALLS = `
async function measure() {
  const startedAt = performance.now()
  const before = process.cpuUsage()
  for (let i = 0; i < 1000; i++) await add(i, 1)
  const { user, system } = process.cpuUsage(before)
  return { cpu: (user + system) / 1000, wall: performance.now() - startedAt }
}
const first = await measure()
for (let i = 0; i < 20; i++) await measure()
const later = []
for (let i = 0; i < 5; i++) later.push(await measure())
const speed = kind => later.map(time => time[kind]).sort((a, b) => a - b)[2] / first[kind]
console.log(JSON.stringify({ cpu: speed('cpu'), wall: speed('wall') }))
process.exit()`

interface Cost {
  /** In ms. */
  readonly cpu: number
  readonly wall: number
  readonly output: string
}

const dir = await mkdtemp(join(tmpdir(), 'netref-cold-'))
const servers: ChildProcess[] = []
const program = (source: string, ...args: string[]) => ['--input-type=module', '-e', source, ...args]

/** Runs Node to its end. */
async function cost(args: readonly string[]): Promise<Cost> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, ['-r', './reporter.cjs', ...args], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'inherit', 'pipe']
  })
  const [output, cpu, [code]] = await Promise.all([
    text(child.stdout!),
    text(child.stdio[3] as NodeJS.ReadableStream),
    once(child, 'exit')
  ])
  if (code !== 0) throw new Error(`node ${args.join(' ')} ended with code ${code}`)
  return { cpu: Number(cpu), wall: performance.now() - startedAt, output }
}

/** Starts a server. @returns its address */
async function start(name: keyof typeof SERVERS): Promise<string> {
  const server = spawn(process.execPath, program(SERVERS[name]), {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  servers.push(server)
  const [address] = await once(server.stdout!.setEncoding('utf8'), 'data')
  return address.trim()
}

async function firstCalls(name: keyof typeof SERVERS): Promise<Record<Kind, number>> {
  const address = await start(name)
  const { output } = await cost(program(CLIENTS[name] + FIRST_CALLS, address))
  servers.pop()!.kill()
  return JSON.parse(output)
}

/** Runs each once to fill the caches of the system, and then in turns. */
async function rounds<T>(contestants: Record<string, () => Promise<T>>): Promise<Record<string, T[]>> {
  const results = Object.fromEntries(Object.keys(contestants).map(name => [name, [] as T[]]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, run] of Object.entries(contestants)) {
      const result = await run()
      if (round > 0) results[name]!.push(result)
    }
  }
  return results
}

function print(name: string, values: readonly number[], unit = ''): void {
  const show = (value: number) => `${value.toFixed(unit ? 1 : 2)}`
  const [least, most] = [Math.min(...values), Math.max(...values)]
  console.log(`${name.padEnd(55)} ${show(median(values))}${unit} (${show(least)}–${show(most)})`)
}

const KINDS = { cpu: 'CPU time', wall: 'wall time' } as const
type Kind = keyof typeof KINDS

/** Prints two contestants and their ratio, less an empty process if there is one. */
function compare(title: string, ours: Cost[], theirs: Cost[], empty: Cost[] = []): void {
  for (const kind of ['cpu', 'wall'] as const) {
    const base = empty.length > 0 ? median(empty.map(cost => cost[kind])) : 0
    const times = (costs: readonly Cost[]) => costs.map(cost => cost[kind] - base)
    const [our, their] = [times(ours), times(theirs)]
    print(`${title}, ${KINDS[kind]}: netref`, our, ' ms')
    print(`${title}, ${KINDS[kind]}: by hand`, their, ' ms')
    const ratios = our.map((value, i) => value / their[i]!)
    print(`${title}, ${KINDS[kind]}: netref to by hand`, ratios)
  }
}
try {
  await mkdir(join(dir, 'node_modules/netref'), { recursive: true })
  for (const part of ['package.json', 'dist'])
    await cp(join(root, part), join(dir, 'node_modules/netref', part), { recursive: true })
  await cp(join(root, 'node_modules/ws'), join(dir, 'node_modules/ws'), { recursive: true })
  await writeFile(join(dir, 'reporter.cjs'), REPORTER)

  const imports = await rounds({
    empty: () => cost(program('0')),
    netref: () => cost(program("import 'netref'")),
    ws: () => cost(program("import 'ws'"))
  })
  compare('import', imports.netref!, imports.ws!, imports.empty)

  const [ours, theirs] = [await start('netref'), await start('by hand')]
  const main = 'node_modules/netref/dist/cli/main.js'
  const calls = await rounds({
    netref: () => cost([main, 'call', ours, 'add', '1', '2']),
    ws: () => cost(program(ONE_CALL, theirs))
  })
  if (calls.netref!.some(({ output }) => output !== '3\n'))
    throw new Error('netref call printed another result')
  compare('netref call', calls.netref!, calls.ws!)

  const first = await rounds({
    netref: () => firstCalls('netref'),
    'by hand': () => firstCalls('by hand')
  })
  for (const kind of ['cpu', 'wall'] as const) {
    for (const [name, speeds] of Object.entries(first)) {
      const values = speeds.map(speed => speed[kind])
      print(`first 1000 calls to later ones, ${KINDS[kind]}: ${name}`, values)
    }
  }
} finally {
  for (const server of servers) server.kill()
  await rm(dir, { recursive: true, force: true })
}
