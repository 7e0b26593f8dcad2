// To the collector of this side a netref weighs next to nothing, however much its home keeps for it; and a process that
// idles does not collect at all. So netrefs that nobody may hold any more are counted. Where there are many, memory
// outside the heap is asked for and dropped: an engine accounts for it, and collects in the background, as it does for any
// program that uses much of it. Nothing is written there, so it takes up no memory of the machine.
import { clock, type Timer, unref } from '../util/clock.js'

/** So many are left to the engine while more come. */
const MANY = 400
/** So many are left to it when no more have come for so long, in ms. */
const FEW = 100
const IDLE = 1000
/** V8 begins to collect after 64 MiB, in bytes. */
const WEIGHT = 65 * 2 ** 20
/** Of so many for each ms that it takes a collection is worth it. */
const WORTH = 5
/** So many times as long as it took goes by before the next one: at most a fifth of the time goes to collections. */
const REST = 4

/** What is known here of a netref. */
export interface Loose {
  /** The period between two collections in which it was counted last, if it was. */
  period: number
}

let period = 1
/** How many were counted in this period and are not released. */
let loose = 0
/** Whether none was counted since that was last looked at. */
let quiet = false
let timer: Timer | undefined
/** Whether a collection was asked for that has not come yet. */
let asked = false
/** How long one takes, in ms. Most that take far longer wait for something else. */
let takes = 10
let notBefore = 0

const collections = new FinalizationRegistry<number>(began => {
  const now = clock.now()
  const took = now - began
  takes = Math.min(took, 1.25 * takes)
  notBefore = now + REST * took
  asked = false
  if (loose >= FEW) wait()
})

/** A netref has come, or the call that it came with is over: it may be that nobody holds it. */
export function loosen(netref: Loose): void {
  if (netref.period !== period) loose++
  netref.period = period
  quiet = false
  if (loose >= FEW) wait()
  if (loose >= MANY && loose >= WORTH * takes && clock.now() >= notBefore) collect()
}

/** It was released. */
export function tighten(netref: Loose): void {
  if (netref.period === period) loose--
}

/** Collects when no more come. */
function wait(): void {
  if (timer !== undefined || asked) return
  quiet = true
  timer = clock.setTimeout(() => {
    timer = undefined
    if (loose < FEW) return
    if (quiet && clock.now() >= notBefore) collect()
    else wait()
  }, IDLE)
  unref(timer)
}

function collect(): void {
  if (asked) return
  asked = true
  loose = 0
  period++
  collections.register({}, clock.now())
  try {
    new ArrayBuffer(WEIGHT)
  } catch {
    // There is no such memory: an engine has collected all it could before it says so.
  }
}
