// What it costs to make a value of its text. V8 reads most of them as fast as it reads JSON; those that take it far
// longer are known by their look.

/** One is about 50 ns. A burst is 20 ms; a peer that goes on and on gets a fifth of the time. */
export const EFFORT = { burst: 400_000, perSecond: 4_000_000 }

/** How a Date writes itself. Others are read by rules of old, which take longer. */
const ISO = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
/** The longest that a Date may be written. */
const DATE_LENGTH = 40
/** No RegExp that a person wrote is as long. */
const REGEXP_LENGTH = 10_000

/** What it costs to read a leaf of that kind, written so. */
export function costOf(kind: string, text: string): number {
  switch (kind) {
    case 'bigint':
      return text.length ** 2 / 10_000
    case 'regexp':
      return costOfRegExp(text)
    case 'URL':
      return costOfURL(text)
    case 'Date':
      return ISO.test(text) ? 0 : text.length <= DATE_LENGTH ? 30 : Number.POSITIVE_INFINITY
    default:
      return 0
  }
}

/**
 * A pattern is read when it is made: back references look at all groups around them, and a property of Unicode, or in
 * a `v` pattern whatever stands for characters, becomes a list of its hundreds or thousands of ranges or strings.
 */
function costOfRegExp(text: string): number {
  if (text.length > REGEXP_LENGTH) return Number.POSITIVE_INFINITY
  const flags = text.slice(text.lastIndexOf('/'))
  const [property, ofStrings, anyClass] = flags.includes('v') ? [20_000, 200_000, 5_000] : [3_000, 3_000, 10]
  let cost = 100 + text.length
  for (const [part] of text.matchAll(/\\(?:[pP]\{(?:RGI_)?|[1-9kwWdDsS])/g)) {
    if (part.endsWith('_')) cost += ofStrings
    else if (part.endsWith('{')) cost += property
    else cost += /[1-9k]$/.test(part) ? 100 : anyClass
  }
  return cost
}

/** It was written as ASCII, where a long name of a host in other letters takes time that grows faster than the name. */
function costOfURL(text: string): number {
  if (!/^[\0-\x7f]*$/.test(text)) return Number.POSITIVE_INFINITY
  return 60 + text.length / 10 + (/xn--/i.test(text) ? 60 + text.length ** 2 / 10_000 : 0)
}

/** How many keys are looked up to learn how long it takes, and how often. */
const SAMPLE = 32
const TRIES = 4
/** What is not usual any more for a key, in ms: of many keys some are not in the cache of the processor. */
const unusual = (count: number) => Math.min(0.0004 + count * 3e-7, 0.005)

/**
 * What it will cost to add so many keys to as many that are there. Numbers can be chosen so that all of them collide, in each engine others: it
 * shows in how long they take to find. The shortest of some tries counts, as much else takes time.
 */
export function costOfKeys(count: number, find: (index: number) => boolean): number {
  const most = SAMPLE * unusual(count)
  let least = Number.POSITIVE_INFINITY
  // Counted, so that no compiler takes the search for idle.
  let found = 0
  for (let tries = 0; tries < TRIES && least > most; tries++) {
    const began = performance.now()
    for (let i = 0; i < SAMPLE; i++) if (find(Math.floor(Math.random() * count))) found++
    least = Math.min(least, performance.now() - began)
  }
  return found > 0 && least > most ? (least / SAMPLE) * 20_000 * count * 1.5 : 0
}
