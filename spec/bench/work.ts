// What a client does over and over while it is timed. Every answer is checked.
import { isDeepStrictEqual } from 'node:util'
import { type Client, TextFile } from './contestants/contestant.js'

/** Callbacks of one call, lines of one file, items of one stream. */
const CALLBACKS = 1000
const LINES = 2000
const ITEMS = 2000
const CHAIN = 10
/** About 1 MB of nested JSON. */
const TREE = Array.from({ length: 5600 }, (_, id) => ({
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

/** Does its piece, number `i`. @returns for how many units it counts; undefined where the contestant cannot do it */
type Work = (client: Client, i: number, atOnce: number) => Promise<number> | undefined

export const WORK = {
  async add(client, i) {
    check(await client.add(i, 1), i + 1)
    return 1
  },
  callback(client, _i, atOnce) {
    return client
      .callBack?.(CALLBACKS, atOnce, i => i)
      .then(sum => {
        check(sum, (CALLBACKS * (CALLBACKS - 1)) / 2)
        return CALLBACKS
      })
  },
  lines(client, _i, atOnce) {
    let heard = 0
    const noisy = () => {
      heard++
    }
    return client.countLines?.(FILE, atOnce, noisy).then(count => {
      check(count, LINES)
      check(heard, LINES)
      return LINES
    })
  },
  json(client) {
    return client.echo?.(TREE).then(tree => {
      check(tree.length, TREE.length)
      check(tree.at(-1)!.address.geo.lon, TREE.at(-1)!.address.geo.lon)
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
export type WorkName = keyof typeof WORK

const FILE = new TextFile(Array.from({ length: LINES }, (_, i) => `line ${i} of the file`))

function check(found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`a wrong answer: ${found}, not ${expected}`)
}

/** Whether a contestant gives back deep values as they were: once, before it is timed. */
export async function checkDeeply(client: Client): Promise<void> {
  if (client.echo && !isDeepStrictEqual(await client.echo(TREE), TREE))
    throw new Error('the tree came back changed')
  if (client.echoRich && !isDeepStrictEqual(await client.echoRich(RICH), RICH))
    throw new Error('the rich value came back changed')
  if (client.echoBytes && Buffer.compare(await client.echoBytes(BYTES), BYTES) !== 0)
    throw new Error('the bytes came back changed')
}

/** Where the server itself keeps so many under way, one request at a time is enough. */
const DRIVEN_BY_SERVER: readonly WorkName[] = ['callback', 'lines']

/** @returns units per second, of at least so many ms of work; undefined where the contestant cannot do it */
export async function rate(
  client: Client,
  name: WorkName,
  atOnce: number,
  ms: number
): Promise<number | undefined> {
  const work: Work = WORK[name]
  const began = performance.now()
  let units = 0
  let next = 0
  let able = true
  const worker = async () => {
    do {
      const worth = work(client, next++, atOnce)
      if (worth === undefined) able = false
      else {
        const done = await worth
        units += done
      }
    } while (able && performance.now() - began < ms)
  }
  const workers = DRIVEN_BY_SERVER.includes(name) ? 1 : atOnce
  await Promise.all(Array.from({ length: workers }, worker))
  return able ? (units * 1000) / (performance.now() - began) : undefined
}

/** How long adds take, with so many under way. @returns the quantile, in µs */
export async function latency(client: Client, atOnce: number, ms: number, quantile: number): Promise<number> {
  const times: number[] = []
  const began = performance.now()
  const worker = async () => {
    for (let now = performance.now(); now - began < ms; ) {
      check(await client.add(12, 34), 46)
      const later = performance.now()
      times.push(later - now)
      now = later
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  times.sort((a, b) => a - b)
  return times[Math.floor(times.length * quantile)]! * 1000
}
