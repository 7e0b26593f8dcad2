// The benchmark's own payloads: plain data of seven shapes. netref was tuned on these, but not on `shapes-second.ts`.
import { fill, PAYLOAD_BYTES, type Payload, payload } from './payload.js'
import { random } from './random.js'

interface Tree {
  name: string
  size: number
  children: Tree[]
}

const SENTENCE = 'The quick brown fox, "so called", jumps over\nthe lazy dog; naïve as ever. '
const WORDS = ['blue', 'small', 'old', 'steel', 'round', 'light', 'fast', 'plain']
const TREE_DEPTH = 7
const TREE_WIDTH = 4

function records() {
  const { integer, decimal, chance, pick } = random(1)
  return fill(id => ({
    id,
    name: `${pick(WORDS)} ${pick(WORDS)} ${integer(0, 1000)}`,
    email: `user${id}@example.com`,
    score: decimal(0, 100, 3),
    active: chance(0.5),
    note: chance(0.2) ? null : pick(WORDS)
  }))
}

/** Each record has a random half of the optional fields. */
function optionalFields() {
  const { integer, decimal, chance, pick } = random(2)
  return fill(id => ({
    id,
    ...(chance(0.5) && { name: `${pick(WORDS)} ${integer(0, 1000)}` }),
    ...(chance(0.5) && { email: `user${id}@example.com` }),
    ...(chance(0.5) && { phone: `+1 555 ${integer(1000, 10_000)}` }),
    ...(chance(0.5) && { score: decimal(0, 100, 3) }),
    ...(chance(0.5) && { active: chance(0.5) }),
    ...(chance(0.5) && { tags: [pick(WORDS), pick(WORDS)] })
  }))
}

function numbers() {
  const { integer, decimal, chance } = random(3)
  return fill(() => (chance(0.5) ? integer(-1e6, 1e9) : decimal(-1000, 1000, 6)))
}

/** 100 strings of 10 kB. */
function longStrings() {
  const { pick } = random(4)
  const bytes = PAYLOAD_BYTES / 100
  return Array.from({ length: 100 }, (_, i) => {
    let text = `${i}: `
    while (text.length < bytes) text += `${pick(WORDS)} ${SENTENCE}`
    return text.slice(0, bytes)
  })
}

function tree(): Tree {
  const { integer, pick } = random(5)
  const node = (depth: number): Tree => ({
    name: `${pick(WORDS)}-${integer(0, 1000)}`,
    size: integer(0, 1e6),
    children: depth === 0 ? [] : Array.from({ length: TREE_WIDTH }, () => node(depth - 1))
  })
  return node(TREE_DEPTH)
}

function pairs() {
  const { decimal, pick } = random(6)
  return fill((i): [string, number] => [`${pick(WORDS)} ${i}`, decimal(0, 1000, 4)])
}

/** Prices and names by the number of an article. */
function dictionaries() {
  const { integer, decimal, pick } = random(7)
  const articles = fill(
    i =>
      [`A-${integer(100, 1000)}-${i}`, decimal(0, 500, 2), `A-${i}`, `${pick(WORDS)} ${pick(WORDS)}`] as const
  )
  return {
    prices: Object.fromEntries(articles.map(([article, price]) => [article, price])),
    names: Object.fromEntries(articles.map(([article, , , name]) => [article, name]))
  }
}

export const SHAPES = {
  records: payload(records, value => value.at(-1)!.id),
  'optional fields': payload(optionalFields, value => value.at(-1)!.id),
  numbers: payload(numbers, value => value.at(-1)),
  'long strings': payload(longStrings, value => value.at(-1)!.length),
  trees: payload(tree, value => value.children.at(-1)!.children.at(-1)!.size),
  pairs: payload(pairs, value => value.at(-1)![0]),
  dictionaries: payload(dictionaries, value => Object.keys(value).length)
} satisfies Record<string, Payload>
