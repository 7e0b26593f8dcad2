// A server of RPyC with a few objects, as Python has them, for specs without Python. It also breaks the protocol on demand.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { BrineValue } from '../../lib/gateways/rpyc/brine.js'
import {
  Channel,
  MSG_EXCEPTION,
  MSG_REPLY,
  MSG_REQUEST,
  type RpycVersion
} from '../../lib/gateways/rpyc/channel.js'
import { Handler, type IdPack } from '../../lib/gateways/rpyc/protocol.js'
import { DEFAULT_LIMITS } from '../../lib/protocol/limits.js'

type Keywords = Readonly<Record<string, unknown>>
type PyFunction = (args: unknown[], keywords: Keywords) => unknown

/** An object of Python. */
export class PyObject {
  constructor(
    readonly className: string,
    readonly attributes: Record<string, unknown> = {},
    readonly call?: PyFunction
  ) {}
}
export const pyFunction = (call: PyFunction): PyObject => new PyObject('builtins.function', {}, call)
/** An exception to throw. */
export class PyException {
  constructor(
    readonly name: string,
    readonly args: readonly unknown[] = []
  ) {}
}
/** A list, or another iterable. */
export const pyList = (items: unknown[], className = 'builtins.list'): PyObject => {
  const list: PyObject = new PyObject(className, {
    __iter__: pyFunction(() => pyIterator(items)),
    __getitem__: pyFunction(([index]) => {
      if ((index as number) < items.length) return items[index as number]
      throw new PyException('IndexError', ['list index out of range'])
    }),
    __setitem__: pyFunction(([index, value]) => void (items[index as number] = value)),
    __delitem__: pyFunction(([index]) => void items.splice(index as number, 1)),
    items: pyFunction(() => pyList(items, 'builtins.dict_items'))
  })
  return Object.assign(list, { items })
}
export const pyDict = (entries: Record<string, unknown>): PyObject =>
  pyList(
    Object.entries(entries).map(entry => entry),
    'builtins.dict'
  )
/** An iterator of a class with `className`; `failure` is raised at its end. */
export const pyIterator = (items: unknown[], className = 'builtins.list_iterator', failure?: PyException) => {
  const iterator: PyObject = new PyObject(className, { __iter__: pyFunction(() => iterator) })
  return Object.assign(iterator, { items: [...items], failure })
}

/** A list, which each batch begins anew, or an iterator. */
type Iterated = PyObject & { readonly items: unknown[]; readonly failure?: PyException | undefined }

/** An object of the client. */
export class Theirs {
  constructor(readonly pack: IdPack) {}
}

export class FakePython {
  readonly #channel: Channel
  readonly #ids = new Map<PyObject, number>()
  readonly #held = new Map<number, { readonly object: PyObject; count: number }>()
  readonly #replies = new Map<number, (reply: { value?: unknown; error?: unknown }) => void>()
  /** Objects of the client that the present request brought. Python's collector gives them back. */
  #received: Theirs[] = []
  #lastSeq = -1
  /** Handlers of the requests, in order. */
  readonly requests: number[] = []
  /** Number of the last request. */
  lastRequest = -1

  constructor(
    readonly socket: Socket,
    private readonly root: unknown,
    version: RpycVersion,
    /** Handlers that are not answered. */
    private readonly deaf: ReadonlySet<number> = new Set()
  ) {
    this.#channel = new Channel(socket, DEFAULT_LIMITS, this, version)
  }

  /** Number of objects that the client holds. */
  get held(): number {
    return this.#held.size
  }

  send(type: 1 | 2 | 3, seq: number, args: unknown): void {
    this.#channel.send(type, seq, args)
  }

  /** Calls an object of the client. */
  call(theirs: Theirs, ...args: unknown[]): Promise<unknown> {
    return this.request(Handler.call, theirs, args, [])
  }

  request(handler: number, ...args: unknown[]): Promise<unknown> {
    const seq = ++this.#lastSeq
    this.#channel.send(MSG_REQUEST, seq, [handler, this.box(args, true)])
    return new Promise((resolve, reject) =>
      /* c8 ignore next: whether an error arrives before the end is up to the connection. */
      this.#replies.set(seq, reply => ('error' in reply ? reject(reply.error) : resolve(reply.value)))
    )
  }

  onMessage(type: number, seq: number, args: BrineValue): void {
    if (type === MSG_REQUEST) return void this.#serve(seq, args as never)
    /* c8 ignore next: as above. */
    this.#replies.get(seq)!(type === MSG_REPLY ? { value: this.#unbox(args) } : { error: args })
  }

  onClosed(): void {}

  box(value: unknown, isTuple = false): unknown {
    if (value instanceof PyObject) return [4, this.pack(value)]
    if (value instanceof Theirs) return [3, value.pack]
    if (!isTuple && !Array.isArray(value)) return [1, value]
    const items = (value as unknown[]).map(item => this.box(item)) as [number, unknown][]
    return items.every(([label]) => label === 1) ? [1, items.map(item => item[1])] : [2, items]
  }

  /** Counts that an object is sent. */
  pack(object: PyObject): unknown {
    let id = this.#ids.get(object)
    if (id === undefined) {
      id = this.#ids.size + 1000
      this.#ids.set(object, id)
    }
    const held = this.#held.get(id)
    if (held) held.count++
    else this.#held.set(id, { object, count: 1 })
    return [object.className, 7, id]
  }

  #unbox(boxed: BrineValue): unknown {
    const [label, value] = boxed as [number, BrineValue[]]
    if (label === 1) return value
    if (label === 2) return value.map(item => this.#unbox(item))
    if (label === 4) {
      const theirs = new Theirs(value as never)
      this.#received.push(theirs)
      return theirs
    }
    return this.#object(value)
  }

  #object(pack: BrineValue[]): PyObject {
    const held = this.#held.get(pack[2] as number)
    /* c8 ignore next: mutated replies lead here, not each time. */
    if (!held) throw new PyException('KeyError', [pack])
    return held.object
  }

  async #serve(seq: number, [handler, boxed]: [number, BrineValue]): Promise<void> {
    this.requests.push(handler)
    this.lastRequest = seq
    if (this.deaf.has(handler)) return
    try {
      const args = this.#unbox(boxed) as unknown[]
      const received = this.#received.splice(0)
      const result = await this.#perform(handler, args)
      this.#channel.send(MSG_REPLY, seq, this.box(result))
      for (const theirs of [...received, ...this.#received.splice(0)])
        this.request(Handler.delete, theirs, 1).catch(() => {})
    } catch (error) {
      /* c8 ignore next: an error of JavaScript, to which mutated replies lead, has no arguments. */
      const { name, args = [] } = error as PyException
      const record = [
        ['builtins', name],
        args,
        [['_remote_version', '6.0.2']],
        `Traceback\n${name}: ${args[0]}`
      ]
      this.#channel.send(MSG_EXCEPTION, seq, record)
    }
  }

  #perform(handler: number, [target, ...args]: unknown[]): unknown {
    const object = target as PyObject
    switch (handler) {
      case Handler.getRoot:
        return this.root
      case Handler.getAttribute:
        return this.#attribute(object, args[0] as string)
      case Handler.setAttribute:
        object.attributes[args[0] as string] = args[1]
        return null
      case Handler.deleteAttribute:
        delete object.attributes[args[0] as string]
        return null
      case Handler.call:
        return this.#call(object, args[0], args[1])
      case Handler.callAttribute: {
        const method = this.#attribute(object, args[0] as string)
        return this.#call(method as PyObject, args[1], args[2])
      }
      case Handler.dir:
        return Object.keys(object.attributes)
      case Handler.inspect: {
        const { attributes } = this.#object(target as BrineValue[])
        const methods = Object.entries(attributes).filter(
          ([, value]) => value instanceof PyObject && value.call
        )
        return methods.map(([name]) => [name, `About ${name}.`])
      }
      case Handler.buffiter:
        return this.#take(object as Iterated, args[0] as number)
      case Handler.delete: {
        const id = this.#ids.get(object)!
        const held = this.#held.get(id)!
        held.count -= args[0] as number
        if (held.count <= 0) this.#held.delete(id)
        return null
      }
      /* c8 ignore next 2: the connection asks for nothing else. */
      default:
        throw new PyException('ValueError', [`no handler ${handler}`])
    }
  }

  #take(iterator: Iterated, count: number): unknown {
    const items = 'failure' in iterator ? iterator.items.splice(0, count) : iterator.items.slice(0, count)
    if (items.length === 0 && iterator.failure) throw iterator.failure
    return items
  }

  #attribute(object: PyObject, name: string): unknown {
    if (Object.hasOwn(object.attributes, name)) return object.attributes[name]
    throw new PyException('AttributeError', [`no attribute ${name}`])
  }

  #call(callee: PyObject, args: unknown, keywords: unknown): unknown {
    /* c8 ignore next: mutated replies lead here, not each time. */
    if (!callee.call) throw new PyException('TypeError', ['not callable'])
    return callee.call(args as unknown[], Object.fromEntries(keywords as [string, unknown][]))
  }
}

/** Serves connections, one after the other, each by the function of its index or the last. */
export async function serveSockets(
  t: Test,
  ...serve: ((socket: Socket) => unknown)[]
): Promise<{ readonly port: number; readonly address: string; readonly count: () => number }> {
  let count = 0
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    serve[Math.min(count++, serve.length - 1)]!(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, address: `127.0.0.1:${port}`, count: () => count }
}
