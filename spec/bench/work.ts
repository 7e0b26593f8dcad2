// What a client does repeatedly while it is timed. Every reply is checked.
import { isDeepStrictEqual } from 'node:util'
import { type Client, TextFile } from './contestants/contestant.js'
import type { Payload } from './payload.js'
import { SHAPES } from './shapes.js'
import { ORDER, SECOND_SHAPES } from './shapes-second.js'

/** Callbacks of one call, lines of one file, items of one stream. */
const CALLBACKS = 1000
const LINES = 2000
const ITEMS = 2000
const CHAIN = 10
/** About 1 MB of nested JSON. */
const NESTED = Array.from({ length: 5600 }, (_, id) => ({
  id,
  name: `customer ${id}`,
  tags: ['a', 'b', `tag ${id % 17}`],
  address: { street: `${id} Long Road`, geo: { lat: id / 7, lon: -1 - id / 11 } },
  active: id % 3 === 0,
  note: null
}))
const BYTES = new Uint8Array(8 << 20).map((_, i) => i)
const RICH = {
  at: new Date(1e12),
  sizes: new Map([
    ['a', 1],
    ['b', 2]
  ]),
  seen: new Set([1, 2, 3]),
  big: 2n ** 70n,
  nothing: undefined
}

export const PAYLOADS: Readonly<Record<PayloadName, Payload>> = { ...SHAPES, ...SECOND_SHAPES }
export type PayloadName = keyof typeof SHAPES | keyof typeof SECOND_SHAPES

const made = new Map<PayloadName, unknown>()

/** The value of a payload, made when it is first needed. */
export function payloadOf(name: PayloadName): unknown {
  if (!made.has(name)) made.set(name, PAYLOADS[name].make())
  return made.get(name)
}

/**
 * Does its piece, number `i`.
 * @returns the number of units that it counts for; undefined where the contestant cannot do it
 */
type Work = (client: Client, i: number, inFlight: number) => Promise<number> | undefined

const CALLS = {
  async add(client, i) {
    check(await client.add(i, 1), i + 1)
    return 1
  },
  callback(client, _i, inFlight) {
    return client
      .callBack?.(CALLBACKS, inFlight, i => i)
      .then(sum => {
        check(sum, (CALLBACKS * (CALLBACKS - 1)) / 2)
        return CALLBACKS
      })
  },
  lines(client, _i, inFlight) {
    let heard = 0
    const noisy = () => {
      heard++
    }
    return client.countLines?.(FILE, inFlight, noisy).then(count => {
      check(count, LINES)
      check(heard, LINES)
      return LINES
    })
  },
  json(client) {
    return client.echo?.(NESTED).then(nested => {
      check(nested.length, NESTED.length)
      check(nested.at(-1)!.address.geo.lon, NESTED.at(-1)!.address.geo.lon)
      return 1
    })
  },
  bytes(client) {
    return client.echoBytes?.(BYTES).then(bytes => {
      check(bytes.length, BYTES.length)
      check(bytes.at(-1), BYTES.at(-1))
      return 1
    })
  },
  rich(client, i) {
    return client.echoRich?.({ ...RICH, i }).then(value => {
      check(value.at.getTime(), 1e12)
      check(value.sizes.get('b'), 2)
      check(value.seen.has(3), true)
      check(value.big, RICH.big)
      check(value.i, i)
      return 1
    })
  },
  'rich order'(client, i) {
    return client.echoRich?.({ ...ORDER, id: ORDER.id + BigInt(i) }).then(order => {
      check(order.id, ORDER.id + BigInt(i))
      check(order.placedAt.getTime(), ORDER.placedAt.getTime())
      check(order.quantities.get('C-250'), 12)
      check(order.tags.size, ORDER.tags.size)
      return 1
    })
  },
  reference(client) {
    return client.useCounter?.().then(count => {
      check(count, 1)
      return 1
    })
  },
  chain(client) {
    return client.chain?.(CHAIN).then(distance => {
      check(distance, CHAIN)
      return 1
    })
  },
  stream(client) {
    return client.sumItems?.(ITEMS).then(sum => {
      check(sum, (ITEMS * (ITEMS - 1)) / 2)
      return ITEMS
    })
  }
} satisfies Record<string, Work>

export type WorkName = keyof typeof CALLS | `echo ${PayloadName}`

function workOf(name: WorkName): Work {
  if (name in CALLS) return CALLS[name as keyof typeof CALLS]
  const payload = name.slice('echo '.length) as PayloadName
  const { sample } = PAYLOADS[payload]
  const value = payloadOf(payload)
  const expected = sample(value)
  return client =>
    client.echo?.(value).then(echoed => {
      check(sample(echoed), expected)
      return 1
    })
}

const FILE = new TextFile(Array.from({ length: LINES }, (_, i) => `line ${i} of the file`))

function check(found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`a wrong reply: ${found}, not ${expected}`)
}

/** Checks once, before anything is timed, that a contestant returns deep values unchanged. */
export async function checkDeeply(client: Client, payloads: readonly PayloadName[]): Promise<void> {
  const unchanged = async (what: string, value: unknown, echo: (value: never) => Promise<unknown>) => {
    if (!isDeepStrictEqual(await echo(value as never), value))
      throw new Error(`echo: ${what} came back changed`)
  }
  const { echo, echoRich, echoBytes } = client
  if (echo) {
    await unchanged('the nested JSON', NESTED, echo)
    for (const name of payloads) await unchanged(name, payloadOf(name), echo)
  }
  if (echoRich) {
    await unchanged('the rich value', RICH, echoRich)
    await unchanged('the order', ORDER, echoRich)
  }
  if (echoBytes && Buffer.compare(await echoBytes(BYTES), BYTES) !== 0)
    throw new Error('echo: the bytes came back changed')
}

/** The server itself keeps this work in flight, so the client makes one call at a time. */
const DRIVEN_BY_SERVER: readonly WorkName[] = ['callback', 'lines']

export interface Done {
  readonly units: number
  readonly ms: number
}

/** Works for at least so many ms. @returns undefined where the contestant cannot do it */
export async function repeat(
  client: Client,
  name: WorkName,
  inFlight: number,
  ms: number
): Promise<Done | undefined> {
  const work = workOf(name)
  const start = performance.now()
  let units = 0
  let next = 0
  let able = true
  const lane = async () => {
    do {
      const worth = work(client, next++, inFlight)
      if (worth === undefined) able = false
      else {
        const done = await worth
        units += done
      }
    } while (able && performance.now() - start < ms)
  }
  const lanes = DRIVEN_BY_SERVER.includes(name) ? 1 : inFlight
  await Promise.all(Array.from({ length: lanes }, lane))
  return able ? { units, ms: performance.now() - start } : undefined
}

/** How long adds take. Each lane makes one call at a time; the clients share the lanes. @returns the quantile, in µs */
export async function latency(
  clients: readonly Client[],
  lanes: number,
  ms: number,
  quantile: number
): Promise<number> {
  const times: number[] = []
  const start = performance.now()
  const lane = async (client: Client) => {
    for (let now = performance.now(); now - start < ms; ) {
      check(await client.add(12, 34), 46)
      const later = performance.now()
      times.push(later - now)
      now = later
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, i) => lane(clients[i % clients.length]!)))
  times.sort((a, b) => a - b)
  return times[Math.floor(times.length * quantile)]! * 1000
}

/**
 * Keeps all clients busy: each makes a call every `intervalMs`, spread evenly, and never two at once. With an interval
 * of 0, each has a call in flight all the time.
 * @returns the number of calls
 */
export async function keepBusy(clients: readonly Client[], ms: number, intervalMs: number): Promise<number> {
  const start = performance.now()
  let calls = 0
  const lane = async (client: Client, i: number) => {
    let due = start + (intervalMs * i) / clients.length
    for (;;) {
      const wait = due - performance.now()
      if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait))
      if (performance.now() - start >= ms) return
      check(await client.add(i, 1), i + 1)
      calls++
      due = Math.max(due + intervalMs, performance.now())
    }
  }
  await Promise.all(clients.map(lane))
  return calls
}
