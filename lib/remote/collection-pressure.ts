// Requests garbage collections when many netrefs may be unreachable. A netref is small for the local garbage collector,
// however much memory its owner keeps for it. An idle process does not collect at all. So this module counts the
// netrefs that may be unreachable. If there are many, it allocates memory outside the heap and drops it. The engine
// accounts for that memory, and collects in the background. Nothing is written there, so it uses no physical memory.
import { clock, type Timer, unref } from '../util/clock.js'

/** Number of candidates that starts a collection while more arrive. */
const COLLECT_WHILE_BUSY_FROM_NETREFS = 400
/** Number of candidates that starts a collection after `IDLE_MS` without new ones. */
const COLLECT_WHEN_IDLE_FROM_NETREFS = 100
const IDLE_MS = 1000
/** V8 starts a collection after 64 MiB of external memory. */
const ALLOCATION_BYTES = 65 * 2 ** 20
/** Number of candidates that justifies each millisecond of a collection. */
const MIN_NETREFS_PER_COLLECTION_MS = 5
/** Pause after a collection, as a multiple of its duration: at most a fifth of the time is spent on collections. */
const PAUSE_PER_COLLECTION_RATIO = 4

/** What this module stores in a netref. */
export interface CollectionCandidate {
  /**
   * Number of the cycle in which it was last counted; 0 if it never was. A cycle lasts from one collection to the next.
   */
  candidateInCycle: number
}

let cycle = 1
/** Netrefs that were counted in this cycle and are not released. */
let candidates = 0
/** Whether no netref was counted since the idle timer was set. */
let isIdle = false
let idleTimer: Timer | undefined
/** Whether a collection was requested and is not finished. */
let isCollectionRequested = false
/** Estimated duration of a collection, in ms. A much longer measurement usually includes waiting for something else. */
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

/** Counts a netref that may be unreachable: it has just arrived, or the call that it arrived with has ended. */
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

/** Does not count a netref any more, because it was released. */
export function removeCandidate(netref: CollectionCandidate): void {
  if (netref.candidateInCycle === cycle) candidates--
}

/** Requests a collection once no more candidates arrive. */
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
    // The allocation failed. The engine has then collected all it could.
  }
}
