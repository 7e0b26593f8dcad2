// What people write by hand on a `ws` socket: JSON messages with numbers, a switch, a table of objects.
import { SuperJSON } from 'superjson'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { type Client, type Contestant, Counter, each, Node, sumOf, type TextFile } from './contestant.js'

type Message =
  | { id: number; method: string; params: unknown[] }
  | { method: string; params: unknown[] }
  | { id: number; result?: unknown; error?: string }

interface Settling {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** How messages become frames: each on its own, or all of a tick as a list. */
type Framing = (send: (frame: string) => void) => (message: Message) => void

const oneByOne: Framing = send => message => send(JSON.stringify(message))

const oncePerTick: Framing = send => {
  let messages: Message[] = []
  return message => {
    if (messages.push(message) > 1) return
    setImmediate(() => {
      send(JSON.stringify(messages))
      messages = []
    })
  }
}

/** Calls both ways. */
class Peer {
  readonly #pending = new Map<number, Settling>()
  #last = 0
  readonly #send: (message: Message) => void
  /** Echoes of bytes that are awaited; frames arrive in order. */
  readonly #echoes: ((bytes: Uint8Array) => void)[] = []

  constructor(
    private readonly socket: WebSocket,
    framing: Framing,
    private readonly handle: (method: string, params: never[]) => unknown
  ) {
    this.#send = framing(frame => socket.send(frame))
    socket.on('message', (data: RawData, isBinary: boolean) => {
      if (isBinary) return this.#bytes(data as Buffer)
      const frame = JSON.parse(String(data)) as Message | Message[]
      if (!Array.isArray(frame)) this.#receive(frame)
      else for (const message of frame) this.#receive(message)
    })
  }

  call(method: string, ...params: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.#last
      this.#pending.set(id, { resolve, reject })
      this.#send({ id, method, params })
    })
  }

  notify(method: string, ...params: unknown[]): void {
    this.#send({ method, params })
  }

  echoBytes(bytes: Uint8Array): Promise<Uint8Array> {
    return new Promise(resolve => {
      this.#echoes.push(resolve)
      this.socket.send(bytes)
    })
  }

  #bytes(bytes: Buffer): void {
    const awaited = this.#echoes.shift()
    if (awaited) awaited(bytes)
    else this.socket.send(bytes)
  }

  #receive(message: Message): void {
    if ('method' in message) return this.#act(message)
    const settling = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (message.error === undefined) settling?.resolve(message.result)
    else settling?.reject(new Error(message.error))
  }

  #act(message: { id?: number; method: string; params: unknown[] }): void {
    const { id } = message
    try {
      const result = this.handle(message.method, message.params as never[])
      if (id === undefined) return
      if (!(result instanceof Promise)) return this.#send({ id, result })
      result.then(
        result => this.#send({ id, result }),
        error => this.#send({ id, error: String(error) })
      )
    } catch (error) {
      if (id !== undefined) this.#send({ id, error: String(error) })
    }
  }
}

/** What the server does: its objects have numbers that the client chooses. */
function service(peer: () => Peer): (method: string, params: never[]) => unknown {
  const objects = new Map<number, unknown>()
  const methods: Record<string, (...params: never[]) => unknown> = {
    add: (a: number, b: number) => a + b,
    echo: (value: unknown) => value,
    echoRich: (sent: never) => SuperJSON.serialize(SuperJSON.deserialize(sent)),
    callBack(count: number, atOnce: number) {
      return sumOf(count, atOnce, i => peer().call('callback', i))
    },
    async countLines(atOnce: number) {
      const lines = (await peer().call('readlines')) as string[]
      await each(lines.length, atOnce, i => peer().call('noisy', lines[i]!))
      return lines.length
    },
    makeCounter: (id: number) => void objects.set(id, new Counter()),
    increment: (id: number) => (objects.get(id) as Counter).increment(),
    makeNode: (id: number) => void objects.set(id, new Node(0)),
    next: (id: number, nextId: number) => void objects.set(nextId, (objects.get(id) as Node).next()),
    value: (id: number) => (objects.get(id) as Node).value(),
    release(...ids: number[]) {
      for (const id of ids) objects.delete(id)
    },
    items(count: number) {
      for (let i = 0; i < count; i++) peer().notify('item', i)
    }
  }
  return (method, params) => methods[method]!(...params)
}

class HandWritten implements Contestant {
  constructor(
    private readonly framing: Framing,
    /** Whether a call may leave before the object it is made on is there. */
    private readonly pipelines: boolean
  ) {}

  async serve(): Promise<string> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    server.on('connection', socket => {
      const peer: Peer = new Peer(
        socket,
        this.framing,
        service(() => peer)
      )
    })
    await new Promise(resolve => server.once('listening', resolve))
    return `ws://127.0.0.1:${(server.address() as { port: number }).port}`
  }

  async connect(address: string): Promise<Client> {
    const socket = new WebSocket(address, { perMessageDeflate: false })
    await new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    const { pipelines } = this
    let lastObject = 0
    let callback: (i: number) => number
    let noisy: (line: string) => void
    let file: TextFile
    let sum = 0
    const methods: Record<string, (...params: never[]) => unknown> = {
      callback: (i: number) => callback(i),
      noisy: (line: string) => noisy(line),
      readlines: () => file.readlines(),
      item: (i: number) => (sum += i)
    }
    const peer = new Peer(socket, this.framing, (method, params) => methods[method]!(...params))
    return {
      add: (a, b) => peer.call('add', a, b) as Promise<number>,
      callBack(count, atOnce, given) {
        callback = given
        return peer.call('callBack', count, atOnce) as Promise<number>
      },
      countLines(given, atOnce, say) {
        file = given
        noisy = say
        return peer.call('countLines', atOnce) as Promise<number>
      },
      echo: <T>(value: T) => peer.call('echo', value) as Promise<T>,
      echoBytes: bytes => peer.echoBytes(bytes),
      echoRich: async <T>(value: T) =>
        SuperJSON.deserialize<T>((await peer.call('echoRich', SuperJSON.serialize(value))) as never),
      async useCounter() {
        const id = ++lastObject
        await peer.call('makeCounter', id)
        const count = (await peer.call('increment', id)) as number
        peer.notify('release', id)
        return count
      },
      async chain(length) {
        const ids = Array.from({ length: length + 1 }, () => ++lastObject)
        const made = [peer.call('makeNode', ids[0])]
        for (let i = 0; i < length; i++) {
          if (!pipelines) await made.at(-1)
          made.push(peer.call('next', ids[i], ids[i + 1]))
        }
        if (!pipelines) await made.at(-1)
        const value = (await peer.call('value', ids.at(-1))) as number
        peer.notify('release', ...ids)
        return value
      },
      async sumItems(count) {
        sum = 0
        await peer.call('items', count)
        return sum
      },
      close: () => socket.close()
    }
  }
}

export const rawWs: Contestant = new HandWritten(oneByOne, false)
export const oneFramePerTick: Contestant = new HandWritten(oncePerTick, true)
