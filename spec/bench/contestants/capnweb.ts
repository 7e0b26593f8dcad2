// Cap'n Web over `ws`. It looks for a global WebSocket, which Node has from version 22 on: it gets that of `ws`.
import { WebSocket, WebSocketServer } from 'ws'
import { type Client, type Contestant, each, sumOf, type TextFile } from './contestant.js'

Object.assign(globalThis, { WebSocket })
const { newWebSocketRpcSession, RpcTarget } = await import('capnweb')

class Counter extends RpcTarget {
  #count = 0
  increment() {
    return ++this.#count
  }
}

class Node extends RpcTarget {
  #distance: number
  constructor(distance: number) {
    super()
    this.#distance = distance
  }
  next() {
    return new Node(this.#distance + 1)
  }
  value() {
    return this.#distance
  }
}

class Bench extends RpcTarget {
  add(a: number, b: number) {
    return a + b
  }
  echo(value: unknown) {
    return value
  }
  callBack(count: number, atOnce: number, callback: (i: number) => Promise<number>) {
    return sumOf(count, atOnce, i => callback(i))
  }
  async countLines(
    file: { readlines(): Promise<string[]> },
    atOnce: number,
    noisy: (line: string) => Promise<void>
  ) {
    const lines = await file.readlines()
    await each(lines.length, atOnce, i => noisy(lines[i]!))
    return lines.length
  }
  makeCounter() {
    return new Counter()
  }
  node() {
    return new Node(0)
  }
  items(count: number) {
    let next = 0
    return new ReadableStream({
      pull(controller) {
        if (next < count) controller.enqueue(next++)
        else controller.close()
      }
    })
  }
}

class File extends RpcTarget {
  #file: TextFile
  constructor(file: TextFile) {
    super()
    this.#file = file
  }
  readlines() {
    return this.#file.readlines()
  }
}

export const capnweb: Contestant = {
  async serve() {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    server.on('connection', socket => newWebSocketRpcSession(socket, new Bench()))
    await new Promise(resolve => server.once('listening', resolve))
    return `ws://127.0.0.1:${(server.address() as { port: number }).port}`
  },

  async connect(address): Promise<Client> {
    const socket = new WebSocket(address, { perMessageDeflate: false })
    const root = newWebSocketRpcSession(socket)
    return {
      add: (a, b) => root.add(a, b),
      callBack: (count, atOnce, callback) => root.callBack(count, atOnce, callback),
      countLines: (file, atOnce, noisy) => root.countLines(new File(file), atOnce, noisy),
      echo: value => root.echo(value),
      echoBytes: bytes => root.echo(bytes),
      async useCounter() {
        const counter = await root.makeCounter()
        const count = await counter.increment()
        counter[Symbol.dispose]()
        return count
      },
      async chain(length) {
        const nodes = [root.node()]
        for (let i = 0; i < length; i++) nodes.push(nodes.at(-1).next())
        const value = await nodes.at(-1).value()
        for (const node of nodes) node[Symbol.dispose]()
        return value
      },
      async sumItems(count) {
        let sum = 0
        for await (const item of await root.items(count)) sum += item
        return sum
      },
      close: () => socket.close()
    }
  }
}
