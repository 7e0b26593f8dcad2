// How heavy a reference is: 100 000 live ones over a real socket, for the process that holds them and for their home.
// `npm run weight` prints heap per reference, and ends with code 1 where that is over target.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, expose, Netref, Service, serve } from 'netref'

declare const gc: () => void

const COUNT = 100_000
const AT_A_TIME = 10_000
/** In bytes. What is left is nothing but for the noise of a heap of a process that runs: 3 are 300 kB in all. */
const TARGETS = { holder: 300, home: 130, left: 3 }

/** The heap once nothing changes any more: finalizers run, releases go, and what they leave is collected. */
async function heap(): Promise<number> {
  let used = Number.POSITIVE_INFINITY
  for (let rounds = 0; rounds < 8; rounds++) {
    gc()
    await delay(20)
    used = Math.min(used, process.memoryUsage().heapUsed)
  }
  return used
}

class Item {
  exposed_hello() {
    return 'hello'
  }
}

/** The home: what it hands out is there before its heap is measured. */
class Shelf extends Service {
  static readonly items: Record<string, unknown[]> = {
    objects: Array.from({ length: COUNT }, () => new Item()),
    functions: Array.from({ length: COUNT }, () => () => 'hello'),
    'exposed objects': Array.from({ length: COUNT }, () => expose({ hello: () => 'hello' })),
    'member functions': Array.from({ length: COUNT }, () => ({ hello: () => 'hello' }))
  }
  exposed_some(kind: string, from: number) {
    return Shelf.items[kind]!.slice(from, from + AT_A_TIME)
  }
  exposed_heap() {
    return heap()
  }
  exposed_kinds() {
    return Object.keys(Shelf.items)
  }
}

async function home(): Promise<void> {
  const { url } = await serve(Shelf, { port: 0 })
  process.send!(url)
  process.once('disconnect', () => process.exit())
}

type Remote = {
  some(kind: string, from: number): Promise<object[]>
  heap(): Promise<number>
  kinds(): Promise<string[]>
}

interface Heap {
  readonly holder: number
  readonly home: number
}

/** Bytes for each reference: while all live, and when half were released by hand and half collected. */
async function measure(root: Remote, kind: string): Promise<{ live: Heap; left: Heap }> {
  const heaps = async (): Promise<Heap> => ({ holder: await heap(), home: await root.heap() })
  const before = await heaps()
  let refs = new Array<object>(COUNT)
  for (let from = 0; from < COUNT; from += AT_A_TIME) {
    for (const [i, item] of (await root.some(kind, from)).entries())
      refs[from + i] = Netref.is(item) ? item : (item as { hello: object }).hello
  }
  const live = await heaps()
  for (let i = 0; i < COUNT; i += 2) Netref.release(refs[i] as never)
  refs = []
  const after = await heaps()
  const each = (now: Heap, own: number): Heap => ({
    holder: Math.round((now.holder - before.holder) / COUNT) - own,
    home: Math.round((now.home - before.home) / COUNT)
  })
  // A word of the list that holds it here is no part of what a reference weighs.
  return { live: each(live, 8), left: each(after, 0) }
}

async function holder(): Promise<void> {
  const child = fork(process.argv[1]!, ['home'])
  const [url] = (await once(child, 'message')) as [string]
  const conn = connect<object>(url, { limits: { exports: 2 * COUNT } })
  const root = conn.root as unknown as Remote
  const { holder, home, left } = TARGETS
  console.log(
    `${COUNT} live references, heap for each; at most: holder ${holder} B, home ${home} B, released ${left} B`
  )
  let fine = true
  // Once before it counts, so that compiled code and tables grown once are not taken for references.
  await measure(root, 'objects')
  for (const kind of await root.kinds()) {
    const { live, left } = await measure(root, kind)
    const figures = [live.holder, live.home, left.holder, left.home].map(bytes => String(bytes).padStart(4))
    console.log(
      `${kind.padEnd(16)} holder${figures[0]} B, home${figures[1]} B; released: holder${figures[2]} B, home${figures[3]} B`
    )
    fine &&= live.holder <= TARGETS.holder && live.home <= TARGETS.home
    fine &&= left.holder <= TARGETS.left && left.home <= TARGETS.left
  }
  const { imports } = conn.stats
  fine &&= imports === 0
  console.log(`${imports} references left in the table; ${fine ? 'within' : 'NOT within'} the targets`)
  if (!fine) process.exitCode = 1
  await conn.close()
  child.disconnect()
}

await (process.argv[2] === 'home' ? home() : holder())
