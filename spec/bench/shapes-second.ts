// The second set of payloads, about 1 MB each and one rich value. They were chosen before netref was optimised for plain
// data, and nothing in netref may be tuned on them: they show whether the figures of `shapes.ts` hold for other data.
import { fill, type Payload, payload } from './payload.js'
import { random } from './random.js'

interface Comment {
  id: number
  author: string
  at: string
  score: number
  text: string
  replies: Comment[]
}

const PACKAGES = 4000
const THREAD_DEPTH = 8
const NAMES = ['ann', 'bela', 'chen', 'dóra', 'emeka', 'femi', 'gül', 'hana', 'ivo', 'jun']
const WORDS = [
  'request',
  'served',
  'from',
  'cache',
  'worker',
  'took',
  'retry',
  'größer',
  'as',
  'expected',
  '漢字'
]
const DAY_MS = 86_400_000
const EPOCH_MS = Date.UTC(2024, 0, 1)

/** A GeoJSON FeatureCollection of polygons. */
function geo() {
  const { integer, decimal, chance, pick } = random(11)
  const ring = () => {
    const [lon, lat] = [decimal(-170, 170, 6), decimal(-80, 80, 6)]
    const points = Array.from({ length: integer(12, 60) }, () => [
      decimal(lon - 1, lon + 1, 6),
      decimal(lat - 1, lat + 1, 6)
    ])
    return [...points, points[0]!]
  }
  return {
    type: 'FeatureCollection',
    features: fill(id => ({
      type: 'Feature',
      id,
      properties: {
        name: `${pick(NAMES)} ${id}`,
        population: integer(0, 1e6),
        region: chance(0.3) ? null : pick(WORDS)
      },
      geometry: { type: 'Polygon', coordinates: Array.from({ length: chance(0.2) ? 2 : 1 }, ring) }
    }))
  }
}

/** A dictionary of 4 000 package names and their records, as in a package-lock file. */
function lockfile() {
  const { integer, chance, pick } = random(12)
  const version = () => `${integer(0, 9)}.${integer(0, 30)}.${integer(0, 20)}`
  const name = (i: number) => `${chance(0.3) ? `@${pick(NAMES)}/` : ''}${pick(WORDS)}-${i}`
  const hash = () => Array.from({ length: 8 }, () => integer(0, 2 ** 32).toString(16)).join('')
  const entry = () => ({
    version: version(),
    resolved: `https://packages.example/${integer(0, 1e6)}.tgz`,
    integrity: `sha512-${hash()}`,
    ...(chance(0.4) && { dev: true }),
    ...(chance(0.6) && { license: 'MIT' }),
    ...(chance(0.5) && { engines: { node: `>=${integer(12, 22)}` } }),
    ...(chance(0.5) && {
      dependencies: Object.fromEntries(
        Array.from({ length: integer(1, 6) }, () => [name(integer(0, PACKAGES)), `^${version()}`])
      )
    })
  })
  return {
    name: 'app',
    lockfileVersion: 3,
    packages: Object.fromEntries(
      Array.from({ length: PACKAGES }, (_, i) => [`node_modules/${name(i)}`, entry()])
    )
  }
}

/** Orders in which each of half of the fields is missing at random. */
function orders() {
  const { integer, decimal, chance, pick } = random(13)
  return fill(id => ({
    id,
    customer: `${pick(NAMES)} ${pick(NAMES)}`,
    total: decimal(1, 2000, 2),
    currency: pick(['EUR', 'USD', 'JPY']),
    items: integer(1, 20),
    ...(chance(0.5) && { coupon: `SAVE${integer(5, 50)}` }),
    ...(chance(0.5) && { note: `${pick(WORDS)} ${pick(WORDS)}` }),
    ...(chance(0.5) && { gift: chance(0.5) }),
    ...(chance(0.5) && { shippedAt: new Date(EPOCH_MS + integer(0, DAY_MS * 365)).toISOString() }),
    ...(chance(0.5) && { address: { city: pick(NAMES), zip: `${integer(10_000, 100_000)}` } })
  }))
}

/** Pairs of a time and a value. */
function series() {
  const { integer, decimal } = random(14)
  let at = EPOCH_MS
  return fill((): [number, number] => [(at += integer(100, 2000)), decimal(-50, 150, 3)])
}

/** Lines of 80 to 300 characters, with characters that JSON escapes and some outside ASCII. */
function logs() {
  const { integer, chance, pick } = random(15)
  return fill(i => {
    const length = integer(80, 301)
    let line = `${new Date(EPOCH_MS + i * 997).toISOString()} "${pick(NAMES)}"\t`
    while (line.length < length)
      line += `${pick(WORDS)}${chance(0.1) ? ' C:\\temp\\a.log' : chance(0.1) ? '\n\tat run' : ' '}`
    return line.slice(0, length)
  })
}

/** Comments, nested in replies about eight levels deep. */
function thread() {
  const { integer, chance, pick } = random(16)
  let id = 0
  const comment = (depth: number): Comment => ({
    id: id++,
    author: pick(NAMES),
    at: new Date(EPOCH_MS + integer(0, DAY_MS)).toISOString(),
    score: integer(-20, 500),
    text: Array.from({ length: integer(3, 25) }, () => pick(WORDS)).join(' '),
    replies:
      depth === 1 ? [] : Array.from({ length: chance(0.7) ? integer(1, 4) : 0 }, () => comment(depth - 1))
  })
  return fill(() => comment(THREAD_DEPTH))
}

export const SECOND_SHAPES = {
  geo: payload(geo, value => value.features.at(-1)!.id),
  lockfile: payload(lockfile, value => value.lockfileVersion),
  orders: payload(orders, value => value.at(-1)!.id),
  series: payload(series, value => value.at(-1)![0]),
  logs: payload(logs, value => value.at(-1)!.length),
  thread: payload(thread, value => value.at(-1)!.id)
} satisfies Record<string, Payload>

/** An order with values that JSON does not have. */
export const ORDER = {
  id: 2n ** 65n + 7n,
  placedAt: new Date(EPOCH_MS),
  quantities: new Map([
    ['A-17', 2],
    ['B-4', 1],
    ['C-250', 12]
  ]),
  tags: new Set(['gift', 'express']),
  total: 129.95,
  coupon: undefined,
  customer: { name: 'Dóra', since: new Date(EPOCH_MS - 400 * DAY_MS) }
}
