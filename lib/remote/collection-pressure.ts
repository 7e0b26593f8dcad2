// To the collector of this side a netref weighs next to nothing, however much its home keeps for it; and a process that
// idles does not collect at all. So netrefs that nobody may hold any more are counted. Where there are many, memory
// outside the heap is asked for and dropped: an engine accounts for it, and collects in the background, as it does for any
// program that uses much of it. Nothing is written there, so it takes up no memory of the machine.
import { clock, type Timer, unref } from '../util/clock.js'

/** So many are left to the engine while more come. */
const COLLECT_WHILE_BUSY_FROM_NETREFS = 400
/** So many are left to it when no more have come for so long, in ms. */
const COLLECT_WHEN_IDLE_FROM_NETREFS = 100
const IDLE_MS = 1000
/** V8 begins to collect after 64 MiB, in bytes. */
const ALLOCATION_BYTES = 65 * 2 ** 20
/** Of so many for each ms that it takes a collection is worth it. */
const MIN_NETREFS_PER_COLLECTION_MS = 5
/** So many times as long as it took goes by before the next one: at most a fifth of the time goes to collections. */
const PAUSE_PER_COLLECTION_RATIO = 4

/** What is known here of a netref. */
export interface CollectionCandidate {
  /** The period between two collections in which it was counted last, if it was. */
  candidateInCycle: number
}

let cycle = 1
/** How many were counted in this period and are not released. */
let candidates = 0
/** Whether none was counted since that was last looked at. */
let isIdle = false
let idleTimer: Timer | undefined
/** Whether a collection was asked for that has not come yet. */
let isCollectionRequested = false
/** How long one takes, in ms. Most that take far longer wait for something else. */
let collectionMs = 10
let nextCollectionAt = 0

const sentinels = new FinalizationRegistry<number>(began => {
  const now = clock.now()
  const took = now - began
  collectionMs = Math.min(took, 1.25 * collectionMs)
  nextCollectionAt = now + PAUSE_PER_COLLECTION_RATIO * took
  isCollectionRequested = false
  if (candidates >= COLLECT_WHEN_IDLE_FROM_NETREFS) collectWhenIdle()
})

/** A netref has come, or the call that it came with is over: it may be that nobody holds it. */
export function addCandidate(netref: CollectionCandidate): void {
  if (netref.candidateInCycle !== cycle) candidates++
  netref.candidateInCycle = cycle
  isIdle = false
  if (candidates >= COLLECT_WHEN_IDLE_FROM_NETREFS) collectWhenIdle()
  if (
    candidates >= COLLECT_WHILE_BUSY_FROM_NETREFS &&
    candidates >= MIN_NETREFS_PER_COLLECTION_MS * collectionMs &&
    clock.now() >= nextCollectionAt
  )
    requestCollection()
}

/** It was released. */
export function removeCandidate(netref: CollectionCandidate): void {
  if (netref.candidateInCycle === cycle) candidates--
}

/** Collects when no more come. */
function collectWhenIdle(): void {
  if (idleTimer !== undefined || isCollectionRequested) return
  isIdle = true
  idleTimer = clock.setTimeout(() => {
    idleTimer = undefined
    if (candidates < COLLECT_WHEN_IDLE_FROM_NETREFS) return
    if (isIdle && clock.now() >= nextCollectionAt) requestCollection()
    else collectWhenIdle()
  }, IDLE_MS)
  unref(idleTimer)
}

function requestCollection(): void {
  if (isCollectionRequested) return
  isCollectionRequested = true
  candidates = 0
  cycle++
  sentinels.register({}, clock.now())
  try {
    new ArrayBuffer(ALLOCATION_BYTES)
  } catch {
    // There is no such memory: an engine has collected all it could before it says so.
  }
}
