// References with a flow of their own: iterators, streams, promises and abort signals. Each is a reference like any
// other, in the same two tables; here is what crosses for it beyond calls, and what stands for it on either side.

import { turnBack, unbox } from '../../codec/decode.js'
import { silenceAll, unsend } from '../../codec/dispose.js'
import { boxValue } from '../../codec/encode.js'
import { type Origin, originOf } from '../../codec/iterable-source.js'
import { aboutCall } from '../../codec/peer-errors.js'
import type { FlowKind, Payload } from '../../codec/types.js'
import {
  LimitError,
  ProtocolError,
  type Reason,
  Refusal,
  ReleasedError,
  refusalError,
  SessionEndedError,
  UnsendableError
} from '../../errors.js'
import type { FlowChannel } from '../../protocol/channel.js'
import { type Flowing, formatEnded, Op } from '../../protocol/messages.js'
import { describe } from '../../util/describe.js'
import type { Report } from '../../util/emitter.js'
import { SparseMap } from '../../util/lazy-map.js'
import { inMicrotask } from '../../util/scheduler.js'
import type { CallOptions } from '../call-options.js'
import type { Delivery } from '../delivery.js'
import { type Ref, type Requester, stateOf } from '../proxy.js'
import { Outflow } from './local-iterator.js'
import { ArrivedPromise, ArrivedSignal, HomePromise, HomeSignal, Once } from './promise-signal.js'
import { openReadable, readableOf } from './readable.js'
import { Inflow, RemoteIterator } from './remote-iterator.js'
import type { ArrivedFlow, Ask, FlowPort, HomeFlow } from './types.js'
import { ArrivedWritable, HomeWritable } from './writable.js'

/** Netrefs behind what stands for remote things, and the other way: as long as one is held, so is the other. */
const netrefs = new WeakMap<object, object>()
const facades = new WeakMap<object, object>()

/** The reference that an iterator, promise or signal stands for, if its home is elsewhere. */
export function refBehind(object: object): Ref | undefined {
  const netref = netrefs.get(object)
  return netref && stateOf(netref)?.ref
}

const NOTHING: readonly unknown[] = []
const NO_BYTES: readonly Uint8Array[] = []

export class Flows implements FlowPort {
  readonly #home = new SparseMap<number, HomeFlow>()
  readonly #arrived = new SparseMap<number, ArrivedFlow>()
  /** Those that have items to send at the end of the tick. */
  readonly #waiting = new Set<Outflow>()
  /** Flows of ours that are to tell again how they ended. However often the peer asks for that, each does so once. */
  readonly #retelling = new Set<number>()
  buffered = 0
  settled = 0
  #ended: Reason | undefined
  /** Asks whether the peer may do with a flow of ours what it asks for. */
  ask: Ask | undefined
  /** Runs what makes items for the peer: it may ask who that is. */
  start!: (run: () => void) => void

  constructor(
    readonly channel: FlowChannel,
    readonly references: FlowPort['references'],
    readonly session: Requester,
    readonly report: Report,
    readonly bufferedBytes: number
  ) {}

  // At home.

  /** An object of ours was given, as number `id`, or lent. @returns what is told of it beside that */
  give(kind: FlowKind, id: number, object: object, lent: boolean): readonly unknown[] {
    if (this.#home.has(id)) return NOTHING
    if (kind !== 'r') {
      this.#home.set(id, this.#makeHome(kind, id, object, lent))
      return NOTHING
    }
    const opened = openReadable(object, () => this.channel.peer.frameBytes)
    this.#home.set(id, this.#outflow(id, opened))
    return [opened.bytes ? 1 : 0]
  }

  #outflow(id: number, origin: Origin): Outflow {
    const tell = (ok: boolean, value: unknown) => this.#tell(id, ok, value, false)
    return new Outflow(id, origin, this, this.#waiting, tell)
  }

  #makeHome(kind: Exclude<FlowKind, 'r'>, id: number, object: object, lent: boolean): HomeFlow {
    const tell = (ok: boolean, value: unknown) => this.#tell(id, ok, value, lent)
    const unheard = lent ? silenceAll : (value: unknown) => this.references.letGo(value)
    switch (kind) {
      case 'i':
        return this.#outflow(id, originOf(object))
      case 'w':
        return new HomeWritable(object)
      case 'p':
        return new HomePromise(object as PromiseLike<unknown>, tell, unheard)
      case 'a':
        return new HomeSignal(object as AbortSignal, tell)
    }
  }

  /** Says how a flow ended. What cannot be sent is told as an error; never throws. */
  #tell(id: number, ok: boolean, value: unknown, lent: boolean): void {
    const [good, bad] = lent ? ['value', 'reason'] : ['result', 'error']
    let payload: Payload | undefined
    try {
      if (value !== undefined) payload = boxValue(value, ok ? good : bad, this.references)
      this.channel.reply(formatEnded(id, ok, payload?.json), payload?.bytes ?? [])
    } catch (error) {
      if (payload) unsend(payload, this.references)
      const ours = error instanceof UnsendableError || error instanceof LimitError
      const why = ours ? error : new UnsendableError(`it ended with what cannot be sent: ${describe(error)}`)
      // Where not even that can be sent, it is told that it failed, and not why.
      if (value instanceof UnsendableError || value instanceof LimitError)
        this.channel.owe(formatEnded(id, false), NO_BYTES)
      else this.#tell(id, false, why, lent)
    }
  }

  /** Whether a reference of ours was given with a flow. */
  has(id: number): boolean {
    return this.#home.has(id)
  }

  /** A reference was not sent after all, and nothing else of it was. */
  undo(id: number): void {
    this.#home.get(id)?.undo?.()
    this.#home.delete(id)
  }

  retell(id: number): void {
    if (!this.#home.has(id)) return
    if (this.#retelling.size === 0) inMicrotask(this.#retell)
    this.#retelling.add(id)
  }

  readonly #retell = (): void => {
    for (const id of this.#retelling) {
      const room = this.channel.room()
      if (room) return void room.then(this.#retell)
      this.#home.get(id)?.retell?.()
      this.#retelling.delete(id)
    }
  }

  /** The peer has let go of a reference of ours, or the session has ended. */
  gone(id: number): void {
    const flow = this.#home.get(id)
    this.#home.delete(id)
    flow?.end(this.#ended && new SessionEndedError(this.#ended))
  }

  /** @throws Refusal when there is no flow, or it does not offer that */
  drive(id: number, object: object, method: string, value: unknown, delivery: Delivery | undefined): unknown {
    const flow = this.#home.get(id)
    if (flow?.drive) {
      this.ask?.('call', object, [method], value === undefined ? [] : [value])
      return flow.drive(method, value, delivery)
    }
    throw new Refusal('not-exposed', 'it is no iterator or stream')
  }

  /** Items that are to be sent before anything else is; to be asked for until there are none. */
  trailing(): string | undefined {
    for (const flow of this.#waiting) {
      this.#waiting.delete(flow)
      const message = flow.takeItems()
      if (message !== undefined) return message
    }
    return undefined
  }

  // What has arrived.

  /** What stands for a reference with a flow that has arrived. */
  take(kind: FlowKind, ref: Ref, data: readonly unknown[], delivery: Delivery): object {
    let flow = this.#arrived.get(ref.id)
    if (flow?.ref !== ref) {
      flow = this.#makeArrived(kind, ref, data)
      this.#arrived.set(ref.id, flow)
      if (!(flow instanceof ArrivedSignal)) facades.set(ref.proxy, flow.facade)
      if (this.#ended) flow.lost(new SessionEndedError(this.#ended))
    }
    const { facade } = flow
    netrefs.set(facade, ref.proxy)
    if (flow instanceof Once) delivery.hold(flow)
    return facade
  }

  #makeArrived(kind: FlowKind, ref: Ref, data: readonly unknown[]): ArrivedFlow {
    switch (kind) {
      case 'i':
        return new Inflow(ref, this, inflow => new RemoteIterator(inflow))
      case 'r':
        return new Inflow(ref, this, inflow => readableOf(inflow, data[2] === 1))
      case 'w':
        return new ArrivedWritable(ref)
      case 'p':
        return new ArrivedPromise(ref, this)
      case 'a':
        return new ArrivedSignal(ref, this, data)
    }
  }

  /** A value came as the answer to a call with options. */
  adopt(value: unknown, options: CallOptions): void {
    const ref = typeof value === 'object' && value !== null ? refBehind(value) : undefined
    const flow = ref && this.#arrived.get(ref.id)
    if (flow instanceof Inflow) flow.use(options)
  }

  /** A netref is about to be released that nobody ever had. */
  declined(ref: Ref): void {
    const flow = this.#arrived.get(ref.id)
    if (flow?.ref === ref) flow.declined?.()
  }

  /** A netref was released here. */
  released(ref: Ref): void {
    const flow = this.#arrived.get(ref.id)
    if (flow?.ref !== ref) return
    this.#arrived.delete(ref.id)
    flow.lost(aboutCall(new ReleasedError('released', `${ref.label} was released`), this.references))
  }

  /** @throws ProtocolError when the message does not go with what it is about */
  receive(message: Flowing, bytes: readonly Uint8Array[], size: number): void {
    const [op, id] = message
    if (op === Op.pull) return this.#pull(id, message[2], message[3])
    const flow = this.#arrived.get(id)
    if (!flow) return turnBack(message[3], message[4], this.references)
    let value: unknown
    let delivery: Delivery | undefined
    try {
      value = unbox(message[3], message[4], bytes, this.references)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const refused = refusalError(error.code, flow.ref.label, error.message)
      return flow.ended(false, aboutCall(refused, this.references))
    } finally {
      delivery = this.references.delivered()
      delivery?.letGo()
    }
    if (op === Op.items) flow.items(value as unknown[], message[2] === 1, size, delivery)
    else flow.ended(message[2] === 1, value, size, delivery)
  }

  #pull(id: number, read: number, window: number | undefined): void {
    const flow = this.#home.get(id)
    if (flow?.pull) {
      if (window !== undefined && read === 0 && this.ask) {
        try {
          this.ask('iterate', this.references.objectOf(id), [], [])
        } catch (error) {
          return this.#tell(id, false, error, false)
        }
      }
      const pull = () => this.start(() => flow.pull!(read, window))
      const context = this.references.contextOf(id)
      if (context) context.apart(pull)
      else pull()
    } else if (this.references.holds(id)) throw new ProtocolError(`a pull on ${id}, which has no items`)
  }

  /** The session has ended when so many frames had left. What stands at home ends as its references are given up. */
  end(reason: Reason, framesLeft: number): void {
    this.#ended = reason
    const arrived = [...this.#arrived.values()]
    this.#arrived.clear()
    this.#waiting.clear()
    this.#retelling.clear()
    for (const flow of arrived) flow.lost(new SessionEndedError(reason, undefined, flow.mayRun?.(framesLeft)))
  }
}
