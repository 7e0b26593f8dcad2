// Random use over real sockets for minutes: calls, callbacks, references, errors, bytes, three parties, sessions that
// come and go. `npm run soak` ends with code 1 when the heap grows, an answer is wrong, or a table is not empty at last.
// It takes 5 minutes, or what `-- --seconds 10` says. Nothing is compiled meanwhile: machine code lies in the heap, too,
// and there comes to be more of it for as long as one cares to look.
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Connection, connect, Netref, Service, serve } from 'netref'

declare const gc: () => void

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '300' } } })
const SECONDS = Number(values.seconds)
const CLIENTS = 6
const SLOTS = 64
/** Of how much the line through the samples may rise from its first to its last, in bytes. */
const GROWTH = 512 * 1024
/** Errors that are part of the use: of what was done badly on purpose, and of sessions that ended under others. */
const EXPECTED = new Set([
  'ours',
  'not-exposed',
  'unsendable',
  'released',
  'closed',
  'connection-lost',
  'unreachable'
])

// biome-ignore lint/suspicious/noExplicitAny: what is used here is not known before it is used
type Loose = any

class Item {
  #count = 0
  exposed_next() {
    return ++this.#count
  }
  exposed_call(fn: Loose, value: number) {
    return fn(value)
  }
}

/** What all clients share: slots where one leaves what another finds. */
const shelf: unknown[] = new Array(SLOTS).fill(undefined)

class Exchange extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_echo(value: unknown) {
    return value
  }
  exposed_make() {
    return new Item()
  }
  exposed_adder(a: number) {
    return (b: number) => a + b
  }
  exposed_leave(slot: number, value: unknown) {
    shelf[slot] = value
  }
  exposed_find(slot: number) {
    return shelf[slot]
  }
  async exposed_each(count: number, fn: Loose) {
    let sum = 0
    for (let i = 0; i < count; i++) sum += await fn(i)
    return sum
  }
  exposed_fail() {
    throw Object.assign(new Error('on purpose'), { code: 'ours' })
  }
}

const below = (n: number) => Math.floor(Math.random() * n)
const faults: string[] = []
const counts = { operations: 0, errors: 0, sessions: 0, cuts: 0 }

function expect(what: string, found: unknown, expected: unknown): void {
  if (!Object.is(found, expected)) faults.push(`${what}: ${String(found)}, not ${String(expected)}`)
}

/** A client that comes, uses the service at random, and goes, over and over. */
class Client {
  #conn!: Connection<object>
  #kept: Loose[] = []
  #ended = false

  constructor(private readonly url: string) {
    this.open()
  }

  open(): void {
    counts.sessions++
    this.#kept = []
    this.#ended = false
    const conn = connect<object>(this.url, { onError: () => {} })
    conn.on('closed', () => {
      if (conn === this.#conn) this.#ended = true
    })
    this.#conn = conn
  }

  get stats() {
    return this.#conn.stats
  }

  async operate(): Promise<void> {
    counts.operations++
    try {
      await this.#one(this.#conn.root)
    } catch (error) {
      counts.errors++
      const { code, message } = error as { code?: string; message: string }
      if (!code || !EXPECTED.has(code)) faults.push(`${code}: ${message}`)
    }
  }

  async #one(root: Loose): Promise<void> {
    const [n, slot] = [below(1000), below(SLOTS)]
    switch (below(18)) {
      case 0:
        return expect('add', await root.add(n, 1), n + 1)
      case 1:
        return expect(
          'echo',
          (await root.echo({ list: [n, { at: new Date(n) }], n: BigInt(n) })).list[1].at.getTime(),
          n
        )
      case 2:
        return expect(
          'bytes',
          (await root.echo(new Uint8Array(n * 64).fill(n))).at(-1),
          n > 0 ? n & 255 : undefined
        )
      case 3:
        return expect('callback', await root.each(5, (i: number) => i * n), 10 * n)
      case 4:
        return expect('result used before it is there', await root.make().next(), 1)
      case 5: {
        using item = await root.make()
        return expect('using', await item.next(), 1)
      }
      case 6:
      case 7:
        return this.#keep(await (n % 2 ? root.make() : root.adder(n)))
      case 8:
      case 9: {
        const [item] = this.#kept.splice(below(this.#kept.length), 1)
        if (item && n % 2) Netref.release(item)
        return
      }
      case 10:
        return root.leave(
          slot,
          n % 3 === 0 ? undefined : n % 3 === 1 ? new Item() : { fn: (x: number) => x + n }
        )
      case 11: {
        const own = new Item()
        return expect('home', await root.echo(own), own)
      }
      case 12:
      case 13:
        return this.#use(await root.find(slot))
      case 14:
        await Promise.all([root.fail(), root.nothing(() => n), root.echo([new Item(), Symbol('no')])])
        return
      case 15:
        for (let i = 0; i < 20; i++) root.add(i, i)
        return
      case 16:
        return root.leave(slot, this.#kept.at(-1))
      default:
        if (n < 980) return
        await this.#conn.close()
        this.open()
    }
  }

  /** Something another client left, or this one. */
  async #use(found: Loose): Promise<void> {
    if (!found) return
    if (found instanceof Item)
      expect(
        'own',
        found.exposed_call((x: number) => x, 1),
        1
      )
    else if (found.fn) await found.fn(1)
    else if (Netref.is(found) && typeof found === 'object') {
      expect('of another', await (found as Loose).call((x: number) => x * 2, 2), 4)
      this.#keep(found)
    }
  }

  #keep(item: Loose): void {
    this.#kept.push(item)
    if (this.#kept.length > 50) this.#kept.shift()
  }

  drop(): void {
    this.#kept = []
  }

  reopenIfEnded(): void {
    if (this.#ended) this.open()
  }

  ping(): Promise<unknown> {
    return this.#conn.ping().catch(() => {})
  }

  close(): Promise<void> {
    return this.#conn.close()
  }
}

/** The heap when all is quiet. */
async function heap(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    await delay(5)
    gc()
  }
  return process.memoryUsage().heapUsed
}

/** How much the line of least squares through the samples rises from the first to the last. */
function rise(samples: readonly number[]): number {
  const middle = (samples.length - 1) / 2
  const mean = samples.reduce((sum, y) => sum + y, 0) / samples.length
  const above = samples.reduce((sum, y, x) => sum + (x - middle) * (y - mean), 0)
  const spread = samples.reduce((sum, _, x) => sum + (x - middle) ** 2, 0)
  return (above / spread) * (samples.length - 1)
}

const http = createServer()
const sockets = new Set<Socket>()
http.on('connection', socket => {
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket))
})
await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
const server = await serve(Exchange, { server: http, onError: () => {} })
const clients = Array.from(
  { length: CLIENTS },
  () => new Client(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`)
)

const samples: number[] = []
const began = performance.now()
const elapsed = () => (performance.now() - began) / 1000
const every = Math.max(SECONDS / 60, 0.4)
let told = 0
while (elapsed() < SECONDS) {
  const end = elapsed() + every
  await Promise.all(
    clients.map(async client => {
      while (elapsed() < end) await Promise.all([client.operate(), client.operate(), client.operate()])
    })
  )
  const cut = [...sockets][below(sockets.size)]
  if (cut) {
    counts.cuts++
    cut.destroy()
    await delay(5)
  }
  for (const client of clients) client.reopenIfEnded()
  for (const client of clients) await client.ping()
  samples.push(await heap())
  if (elapsed() - told < Math.min(5, SECONDS / 5)) continue
  told = elapsed()
  const { operations, errors, sessions, cuts } = counts
  const held = clients.reduce((sum, { stats }) => sum + stats.exports + stats.imports, 0)
  console.log(
    `${told.toFixed(0).padStart(4)} s  heap ${(samples.at(-1)! / 1e6).toFixed(2)} MB  ${operations} operations, ` +
      `${errors} errors, ${sessions} sessions, ${cuts} cut, ${held} references held`
  )
}

// Everything is let go.
shelf.fill(undefined)
for (const client of clients) client.drop()
const left = () =>
  [...clients, ...server.sessions].reduce(
    (sum, { stats }) => sum + stats.exports + stats.imports + stats.pending,
    0
  )
for (let i = 0; i < 50 && left() > 0; i++) {
  for (const client of clients) await client.ping()
  await heap()
}
if (left() > 0) faults.push(`${left()} entries left in the tables`)
await Promise.all(clients.map(client => client.close()))
await server.close()
if (server.sessions.size > 0) faults.push(`${server.sessions.size} sessions left`)
http.close()

const warm = samples.slice(Math.ceil(samples.length / 5))
const grown = rise(warm)
if (grown > GROWTH)
  faults.push(`the heap grew by ${Math.round(grown / 1024)} KiB, of ${GROWTH / 1024} KiB allowed`)
const perOperation = (grown / (counts.operations * 0.8)).toFixed(2)
console.log(
  `${warm.length} samples after warm-up: ${(Math.min(...warm) / 1e6).toFixed(2)} to ${(Math.max(...warm) / 1e6).toFixed(2)} MB, ` +
    `rising by ${Math.round(grown / 1024)} KiB (${perOperation} B per operation); tables empty: ${left() === 0}`
)
for (const fault of faults.slice(0, 10)) console.log(`FAULT ${fault}`)
console.log(faults.length === 0 ? 'flat' : `${faults.length} faults`)
process.exitCode = faults.length === 0 ? 0 : 1
