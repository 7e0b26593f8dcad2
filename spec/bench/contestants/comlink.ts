// Comlink with a worker thread as the server: it has no network, so there is nothing else that it could be.
import { parentPort, Worker } from 'node:worker_threads'
import { type Client, type Contestant, Counter, each, Node, sumOf, type TextFile } from './contestant.js'

const Comlink = await import('comlink')
const { default: endpoint } = await import('comlink/dist/esm/node-adapter.mjs')

const bench = {
  add: (a: number, b: number) => a + b,
  echo: (value: unknown) => value,
  callBack(count: number, atOnce: number, callback: (i: number) => Promise<number>) {
    return sumOf(count, atOnce, i => callback(i))
  },
  async countLines(
    file: { readlines(): Promise<string[]> },
    atOnce: number,
    noisy: (line: string) => Promise<void>
  ) {
    const lines = await file.readlines()
    await each(lines.length, atOnce, i => noisy(lines[i]!))
    return lines.length
  },
  makeCounter: () => Comlink.proxy(new Counter()),
  node: () => proxied(new Node(0))
}

/** What a method returns goes by reference only if it says so. */
const proxied = (node: Node): unknown =>
  Comlink.proxy({ next: () => proxied(node.next()), value: () => node.value() })

// The worker runs this very module.
if (parentPort) Comlink.expose(bench, endpoint(parentPort))

export const comlink: Contestant = {
  async serve() {
    return 'a worker'
  },

  async connect(): Promise<Client> {
    const worker = new Worker(new URL(import.meta.url))
    const root = Comlink.wrap(endpoint(worker))
    return {
      add: (a, b) => root.add(a, b),
      callBack: (count, atOnce, callback) => root.callBack(count, atOnce, Comlink.proxy(callback)),
      countLines: (file: TextFile, atOnce, noisy) =>
        root.countLines(Comlink.proxy(file), atOnce, Comlink.proxy(noisy)),
      echo: value => root.echo(value),
      echoBytes: bytes => root.echo(bytes),
      echoRich: value => root.echo(value),
      async useCounter() {
        const counter = await root.makeCounter()
        const count = await counter.increment()
        counter[Comlink.releaseProxy]()
        return count
      },
      async chain(length) {
        const nodes = [await root.node()]
        for (let i = 0; i < length; i++) nodes.push(await nodes.at(-1).next())
        const value = await nodes.at(-1).value()
        for (const node of nodes) node[Comlink.releaseProxy]()
        return value
      },
      close: () => worker.terminate().then(() => {})
    }
  }
}
