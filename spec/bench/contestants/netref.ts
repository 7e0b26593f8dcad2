// netref, as its README says to use it: without busy polling, which is the default, and with it.
import type { Connection, Netref as Remote } from '../../../lib/index.js'
import { type Client, type Contestant, Counter, each, Node, sumOf, type TextFile } from './contestant.js'

/** Another build of netref may stand in for this one: `--against`. */
const built = process.env.NETREF_BUILD ?? '../../../lib/index.js'
export const { connect, expose, Netref, Service, serve } = (await import(
  built
)) as typeof import('../../../lib/index.js')

/** The growth rows exceed the default limits. */
const limits = { exports: 2_000_000, imports: 2_000_000, pendingCalls: 200_000, bufferedBytes: 1 << 28 }
export const OPTIONS = { allowPublicAttrs: true, limits, onError: () => {} }

export class Bench extends Service {
  #held: unknown[] = []

  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_echo(value: unknown) {
    return value
  }
  exposed_callBack(count: number, atOnce: number, callback: Remote<(i: number) => number>) {
    return sumOf(count, atOnce, i => callback(i))
  }
  async exposed_countLines(file: Remote<TextFile>, atOnce: number, noisy: Remote<(line: string) => void>) {
    const lines = await file.readlines()
    await each(lines.length, atOnce, i => noisy(lines[i]!))
    return lines.length
  }
  exposed_makeCounter() {
    return new Counter()
  }
  exposed_node() {
    return new Node(0)
  }
  exposed_counters(count: number) {
    return Array.from({ length: count }, () => new Counter())
  }
  exposed_hold(objects: unknown[]) {
    this.#held.push(...objects)
  }
  async *exposed_items(count: number): AsyncIterableIterator<number> {
    for (let i = 0; i < count; i++) yield i
  }
  exposed_never() {
    return new Promise(() => {})
  }
}

/** How many references one message carries. */
const PART = 10_000

/** What a client does with its session. */
export function clientOf(conn: Connection<Bench>): Client {
  const { root } = conn
  const held: unknown[] = []
  const pending: unknown[] = []
  return {
    add: (a, b) => root.add(a, b),
    callBack: (count, atOnce, callback) => root.callBack(count, atOnce, callback),
    countLines: (file, atOnce, noisy) => root.countLines(file, atOnce, noisy),
    echo: <T>(value: T) => root.echo(value) as Promise<T>,
    echoBytes: bytes => root.echo(bytes) as Promise<Uint8Array>,
    echoRich: <T>(value: T) => root.echo(value) as Promise<T>,
    async useCounter() {
      const counter = await root.makeCounter()
      const count = await counter.increment()
      Netref.release(counter)
      return count
    },
    chain(length) {
      let node = root.node()
      for (let i = 0; i < length; i++) node = node.next()
      return node.value()
    },
    async sumItems(count) {
      let sum = 0
      for await (const item of root.items(count)) sum += item
      return sum
    },
    async hold(what, count) {
      for (let left = count; left > 0; left -= PART) {
        const part = Math.min(left, PART)
        if (what === 'imports') held.push(...(await root.counters(part)))
        else await root.hold(Array.from({ length: part }, () => expose(new Counter())))
      }
    },
    async leavePending(count) {
      for (let i = 0; i < count; i++) pending.push(root.never())
      await conn.ping()
    },
    close: () => conn.close()
  }
}

/** `polling` is empty, not `false`: a build before the option exists refuses it. */
const contestant = (polling: { busyPoll?: true }): Contestant => ({
  serve: async () => (await serve(Bench, { port: 0, ...OPTIONS, ...polling })).url,
  connect: async address => clientOf(connect<Bench>(address, { ...OPTIONS, ...polling }))
})

export const netref = contestant({})
export const netrefPolling = contestant({ busyPoll: true })
