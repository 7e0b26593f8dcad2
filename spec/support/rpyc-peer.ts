// A peer of RPyC for specs: it sends any request, and answers those for objects of its own as Python does.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { BrineValue } from '../../lib/gateways/rpyc/brine.js'
import {
  Channel,
  type MessageType,
  MSG_EXCEPTION,
  MSG_REPLY,
  MSG_REQUEST,
  type RpycVersion
} from '../../lib/gateways/rpyc/channel.js'
import { type Boxed, Handler, type IdPack } from '../../lib/gateways/rpyc/protocol.js'
import { type RpycOptions, rpyc } from '../../lib/gateways/rpyc.js'
import { type ServeOptions, type Server, type ServiceSource, type Session, serve } from '../../lib/index.js'
import { DEFAULT_LIMITS } from '../../lib/protocol/limits.js'
import { assertClean, waitUntil } from './helpers.js'

/** An exception record that arrived. */
export class RaisedError extends Error {
  constructor(readonly record: BrineValue) {
    super(`${(record as [readonly string[]])[0]?.[1] ?? record}`)
  }
  get exceptionClass(): unknown {
    return (this.record as readonly unknown[])[0]
  }
  get exceptionArgs(): unknown {
    return (this.record as readonly unknown[])[1]
  }
}

/** What an object of the peer does with a request: it returns what is boxed in the reply, or throws a record. */
type Answer = (handler: number, args: readonly Boxed[]) => Boxed | Promise<Boxed>

/** A request of the gateway: its handler and arguments, the first of which is the object. */
export interface Heard {
  readonly handler: number
  readonly args: readonly Boxed[]
}

export const value = (plain: unknown): Boxed => [1, plain]
export const tuple = (...items: Boxed[]): Boxed => [2, items]
export const own = (pack: IdPack): Boxed => [4, pack]
export const theirs = (pack: IdPack): Boxed => [3, pack]
export const packOf = ([label, pack]: Boxed): IdPack => {
  /* c8 ignore next: only a test that fails gets here. */
  if (label !== 4) throw new Error(`no reference: ${label}`)
  return pack as IdPack
}
/** An exception record, as Python sends it. */
export const exception = (name: string, ...args: BrineValue[]): BrineValue => [
  ['builtins', name],
  args,
  [
    ['errno', 7],
    ['add_note', '<method>'],
    ['_remote_version', '5.3.0']
  ] as unknown as BrineValue,
  `Traceback (most recent call last):\n  File "x.py"\n${name}: ${args.join(', ')}`
]

export class RpycPeer {
  readonly heard: Heard[] = []
  /** The references that were sent, one for each time. */
  readonly sent: IdPack[] = []
  /** Why the channel closed; undefined while it is open. */
  closedBy: { readonly error: Error | undefined } | undefined
  readonly channel: Channel
  readonly #answers = new Map<string, Answer>()
  readonly #pending = new Map<number, { resolve(boxed: Boxed): void; reject(error: Error): void }>()
  #lastSeq = -1
  #lastId = 0
  /** Holds back the answers to requests until it is called. */
  #held: (() => void)[] | undefined

  constructor(
    readonly socket: Socket,
    version: RpycVersion
  ) {
    this.channel = new Channel(
      socket,
      DEFAULT_LIMITS,
      {
        onMessage: (type, seq, args) => this.#onMessage(type, seq, args),
        onClosed: error => {
          this.closedBy = { error }
          for (const { reject } of this.#pending.values()) reject(new Error('closed'))
        }
      },
      version
    )
  }

  /** An object of the peer, of a class with that name. */
  object(name: string, answer: Answer = () => value(null), id: number | bigint = ++this.#lastId): IdPack {
    const pack: IdPack = [name, 7n + 2n ** 62n, id]
    this.#answers.set(String(pack), answer)
    return pack
  }

  function(call: (...args: unknown[]) => Boxed | Promise<Boxed>): IdPack {
    return this.object('builtins.function', (handler, [, args]) => {
      if (handler !== Handler.call) throw exception('AttributeError', 'cannot access it')
      return call(...itemsOf(args!))
    })
  }

  /** A list, tuple or set. */
  iterable(name: string, items: readonly Boxed[]): IdPack {
    return this.object(name, (handler, args) => {
      if (handler === Handler.buffiter) return tuple(...items.slice(0, args[1]![1] as number))
      if (handler === Handler.callAttribute && args[1]![1] === '__iter__') return own(this.iterator(items))
      /* c8 ignore next: the gateway asks for nothing else. */
      throw exception('AttributeError', `cannot access ${String(args[1]?.[1])}`)
    })
  }

  iterator(items: readonly Boxed[]): IdPack {
    const rest = [...items]
    return this.object(`builtins.list_iterator`, (_, args) => tuple(...rest.splice(0, args[1]![1] as number)))
  }

  /** A dict; without `items` its client allows safe attributes only. */
  dict(entries: readonly (readonly [Boxed, Boxed])[], allowsItems = true): IdPack {
    return this.object('builtins.dict', (handler, args) => {
      if (handler === Handler.buffiter) return tuple(...entries.map(([key]) => key))
      const name = args[1]![1]
      if (name === 'items' && allowsItems)
        return own(
          this.iterable(
            'builtins.dict_items',
            entries.map(([key, item]) => tuple(key, item))
          )
        )
      if (name === '__getitem__') {
        const [key] = itemsOf(args[2]!)
        return entries.find(([one]) => String(one[1]) === String(key))![1]
      }
      throw exception('AttributeError', `cannot access ${String(name)}`)
    })
  }

  /** Sends a request. @throws RaisedError */
  ask(handler: number, ...args: readonly Boxed[]): Promise<Boxed> {
    return this.send([
      handler,
      args.every(([label]) => label === 1) ? value(args.map(([, one]) => one)) : tuple(...args)
    ])
  }

  send(request: unknown): Promise<Boxed> {
    const seq = ++this.#lastSeq
    this.#note((request as readonly unknown[])[1])
    this.channel.send(MSG_REQUEST, seq, request)
    return new Promise((resolve, reject) => this.#pending.set(seq, { resolve, reject }))
  }

  async root(): Promise<IdPack> {
    return packOf(await this.ask(Handler.getRoot))
  }

  /** `object.name(*args, **keywords)` in one request. */
  call(
    object: IdPack,
    name: string,
    args: readonly Boxed[] = [],
    keywords: readonly Boxed[] = []
  ): Promise<Boxed> {
    return this.ask(Handler.callAttribute, theirs(object), value(name), boxTuple(args), boxTuple(keywords))
  }

  get(object: IdPack, name: string): Promise<Boxed> {
    return this.ask(Handler.getAttribute, theirs(object), value(name))
  }

  /** Number of references that were given back, by class name. */
  givenBack(name: string): number {
    return this.heard
      .filter(({ handler, args }) => handler === Handler.delete && (args[0]![1] as IdPack)[0] === name)
      .reduce((sum, { args }) => sum + (args[1]![1] as number), 0)
  }

  /** Answers nothing until `answer` is called. */
  hold(): void {
    this.#held = []
  }
  answer(): void {
    const held = this.#held!
    this.#held = undefined
    for (const go of held) go()
  }

  async close(): Promise<void> {
    if (this.closedBy) return
    this.channel.end()
    await once(this.socket, 'close')
  }

  #onMessage(type: MessageType, seq: number, args: BrineValue): void {
    if (type === MSG_REQUEST) {
      const [handler, boxed] = args as unknown as [number, Boxed]
      const heard = {
        handler,
        args: boxed[0] === 2 ? (boxed[1] as Boxed[]) : (boxed[1] as unknown[]).map(value)
      }
      this.heard.push(heard)
      const go = () => void this.#answer(seq, heard)
      if (this.#held) this.#held.push(go)
      else go()
      return
    }
    const { resolve, reject } = this.#pending.get(seq)!
    this.#pending.delete(seq)
    if (type === MSG_REPLY) resolve(args as unknown as Boxed)
    else reject(new RaisedError(args))
  }

  #note(boxed: unknown): void {
    const [label, content] = boxed as Boxed
    if (label === 4) this.sent.push(content as IdPack)
    if (label === 2) for (const item of content as unknown[]) this.#note(item)
  }

  async #answer(seq: number, { handler, args }: Heard): Promise<void> {
    try {
      const boxed = await this.#perform(handler, args)
      this.#note(boxed)
      this.channel.send(MSG_REPLY, seq, boxed)
    } catch (record) {
      this.channel.send(MSG_EXCEPTION, seq, record)
    }
  }

  #perform(handler: number, args: readonly Boxed[]): Boxed | Promise<Boxed> {
    if (handler === Handler.delete) return value(null)
    const answer = this.#answers.get(String(args[0]![1]))
    /* c8 ignore next: the gateway asks only for objects that it was given. */
    if (!answer) throw exception('KeyError', 'no such object')
    return answer(handler, args)
  }
}

export const boxTuple = (items: readonly Boxed[]): Boxed =>
  items.every(([label]) => label === 1) ? value(items.map(([, one]) => one)) : tuple(...items)

/** The plain values of a boxed tuple; references as boxes. */
export const itemsOf = ([label, items]: Boxed): unknown[] =>
  label === 2 ? (items as Boxed[]).map(one => (one[0] === 1 ? one[1] : one)) : [...(items as unknown[])]

interface PeerOptions extends ServeOptions {
  readonly rpyc?: RpycOptions
  readonly version?: RpycVersion
}

/** Runs `use` with a peer of a server's gateway, then asserts that nothing of the client is left. */
export async function withPeer(
  t: Test,
  service: ServiceSource<object>,
  use: (peer: RpycPeer, root: IdPack, server: Server) => Promise<void>,
  { rpyc: options = {}, version = 5, ...serveOptions }: PeerOptions = {}
): Promise<void> {
  const server = await serve(service, { port: 0, gateways: [rpyc(options)], ...serveOptions })
  const sessions: Session[] = []
  server.on('session', session => sessions.push(session))
  try {
    const peer = await openPeer(server, version)
    try {
      await use(peer, await peer.root(), server)
    } finally {
      await peer.close()
    }
    await waitUntil(
      () => server.sessions.size + server.metrics.gateways.rpyc!.clients === 0,
      'the end of the session'
    )
    await assertClean(t, ...sessions)
  } finally {
    await server.close()
  }
}

export async function openPeer(server: Server, version: RpycVersion = 5): Promise<RpycPeer> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.setNoDelay(true)
  return new RpycPeer(socket, version)
}
