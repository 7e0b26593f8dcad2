// One connection of RPyC, joined to a session: objects of Python are netrefs there, and netrefs are objects for Python.
//
// Both sides may send requests at any time. Messages of Python take effect in the order in which they arrive. One whose plain
// data is still to be fetched, or whose objects are of classes not met before, holds up those after it; the replies for that
// go ahead of them.

import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Reason } from '../../errors.js'
import { LimitError } from '../../errors.js'
import type { Session } from '../../index.js'
import { type Limits, MAX_BUFFERED_FACTOR } from '../../protocol/limits.js'
import type { OperationCode } from '../../protocol/messages.js'
import { ForeignPeer, type ForeignRequest } from '../../remote/foreign.js'
import { describeValue } from '../../util/describe.js'
import { isThenable } from '../../util/promises.js'
import { Boxing, type BoxingSide } from './boxing.js'
import { BrineComplex, BrineError, type BrineSlice, type BrineValue } from './brine.js'
import {
  Channel,
  type MessageType,
  MSG_EXCEPTION,
  MSG_REPLY,
  MSG_REQUEST,
  type RpycVersion
} from './channel.js'
import { ExportTable } from './export-table.js'
import {
  type Boxed,
  Handler,
  type HandlerCode,
  type IdPack,
  isTuple,
  Label,
  packKey,
  parseBoxed,
  parsePack,
  RpycProtocolError
} from './protocol.js'
import { type CopyingSide, isPlainData, PythonCopies } from './python-copies.js'
import { decodeException, encodeException, pythonError } from './python-error.js'
import { type OperatingSide, performOnPython } from './python-operations.js'
import {
  argumentsOf,
  keywordsOf,
  nameOf,
  OBJECT_REQUESTS,
  type ObjectRequest,
  takesCopies
} from './requests.js'
import { type FunctionOrigin, NetrefView, type View } from './view.js'

export interface BridgeSettings {
  readonly limits: Limits
  /** Whether errors are sent with their stacks, and those of Python get its tracebacks. */
  readonly exposeStacks: boolean
  /** Whether plain data of Python is copied where it is an argument or the result of a call. */
  readonly copies: boolean
  /** The version of the peer. Absent, it is that of its first message. */
  readonly version?: RpycVersion | undefined
  /** The connection has ended. */
  onClosed(reason: Reason): void
}

/** A request of this side that Python has not answered. */
interface PendingReply {
  /** Whether messages that wait are waiting for it. */
  readonly isAhead: boolean
  /** Takes the reply. The promise is that of a reply that holds up the messages after it. */
  onReply(result: Boxed): Promise<unknown> | undefined
  onException(error: Error): void
}

interface WaitingMessage {
  readonly type: MessageType
  readonly seq: number
  readonly args: BrineValue
  readonly bytes: number
}

/** Objects of these classes can be called. Of others, except those of `builtins` and `_io`, Python is asked. */
const CALLABLE_CLASSES: ReadonlySet<string> = new Set(
  'function method builtin_function_or_method type method-wrapper wrapper_descriptor method_descriptor'
    .split(' ')
    .map(name => `builtins.${name}`)
)

/** Maximum number of classes of Python that are remembered. */
const MAX_CLASSES = 1000

const ignore = () => {}
const CLOSED = 'the RPyC peer closed the connection'

export class RpycBridge extends ForeignPeer<IdPack> implements BoxingSide, CopyingSide, OperatingSide {
  readonly limits: Limits
  readonly exports: ExportTable
  readonly #channel: Channel
  readonly #pending = new Map<number, PendingReply>()
  #lastSeq = -1
  /** Messages after one that is not complete yet; undefined while there is none. */
  #waiting: WaitingMessage[] | undefined
  #waitingBytes = 0
  /** Whether the objects of a class of Python can be called. */
  readonly #callableClasses = new Map<string, boolean | Promise<boolean>>()
  #isEnded = false

  /** @param session its root is what Python gets as the root of the connection */
  constructor(
    session: Session,
    stream: Duplex,
    private readonly settings: BridgeSettings
  ) {
    super(session)
    this.limits = settings.limits
    this.exports = new ExportTable(settings.limits.exports)
    this.#channel = new Channel(stream, settings.limits, this, settings.version)
    // Calls that the end of the session rejects are answered first.
    void session.closed.then(() => setImmediate(() => this.disconnect()))
  }

  /** The root of Python's side. */
  async fetchRoot(): Promise<object> {
    const root = await this.#ask(Handler.getRoot, [Label.value, []], false)
    if (typeof root === 'object' && root !== null) return root
    throw new RpycProtocolError('the root of the peer is no object')
  }

  /** Ends the connection, after what is owed to Python. */
  disconnect(): void {
    this.#channel.end()
  }

  // Messages.

  onMessage(type: MessageType, seq: number, args: BrineValue, bytes: number): void {
    const message: WaitingMessage = { type, seq, args, bytes }
    if (type === MSG_REQUEST ? isAhead(args) : this.#pendingReply(seq).isAhead) this.#process(message)
    else if (this.#waiting) this.#wait(message, this.#waiting)
    else this.#processInOrder(message)
  }

  #wait(message: WaitingMessage, waiting: WaitingMessage[]): void {
    const { pendingCalls, bufferedBytes } = this.limits
    this.#waitingBytes += message.bytes
    if (waiting.length >= pendingCalls)
      throw new RpycProtocolError(`${pendingCalls} messages wait (limits.pendingCalls)`)
    if (this.#waitingBytes > MAX_BUFFERED_FACTOR * bufferedBytes)
      throw new RpycProtocolError(`messages of ${this.#waitingBytes} bytes wait (limits.bufferedBytes)`)
    waiting.push(message)
  }

  onClosed(error: Error | undefined): void {
    this.#isEnded = true
    const reason: Reason = !error
      ? { code: 'closed', message: CLOSED }
      : error instanceof RpycProtocolError || error instanceof BrineError || error.name === 'ChannelError'
        ? { code: 'protocol', message: `it received ${error.message}`, cause: error }
        : { code: 'connection-lost', message: error.message, cause: error }
    this.end(reason)
    this.#waiting = undefined
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    this.exports.clear()
    for (const { onException } of pending) onException(new Error(reason.message))
    this.settings.onClosed(reason)
  }

  #pendingReply(seq: number): PendingReply {
    const pending = this.#pending.get(seq)
    if (pending) return pending
    throw new RpycProtocolError(`a reply to the request ${seq}, which was not made`)
  }

  /** Processes a message. If it is not complete, those after it wait. */
  #processInOrder(message: WaitingMessage): void {
    const incomplete = this.#process(message)
    if (!incomplete) return
    this.#waiting ??= []
    const goOn = () => {
      try {
        this.#processWaiting()
      } catch (error) {
        this.#channel.destroy(error as Error)
      }
    }
    void incomplete.then(goOn, goOn)
  }

  #processWaiting(): void {
    const messages = this.#waiting
    this.#waiting = undefined
    if (!messages) return
    for (const [index, message] of messages.entries()) {
      this.#waitingBytes -= message.bytes
      this.#processInOrder(message)
      if (this.#waiting) {
        ;(this.#waiting as WaitingMessage[]).push(...messages.slice(index + 1))
        return
      }
    }
  }

  /** @returns a promise of the time when it is complete, if it is not */
  #process({ type, seq, args }: WaitingMessage): Promise<unknown> | undefined {
    if (type === MSG_REQUEST) return this.#serve(seq, args)
    const pending = this.#pendingReply(seq)
    // A reply of another form ends the connection, and with it the request.
    if (type === MSG_REPLY) {
      const result = parseBoxed(args)
      this.#pending.delete(seq)
      return pending.onReply(result)
    }
    const error = decodeException(args, this.settings.exposeStacks)
    this.#pending.delete(seq)
    pending.onException(error)
    return undefined
  }

  // Requests of Python.

  #serve(seq: number, request: BrineValue): Promise<unknown> | undefined {
    if (!isTuple(request, 2)) throw new RpycProtocolError('a request without a handler and arguments')
    const handler = request[0] as HandlerCode
    const boxed = parseBoxed(request[1])
    try {
      const perform = OBJECT_REQUESTS.get(handler)
      if (perform) return this.#serveOnObject(seq, handler, boxed, perform)
      this.#reply(seq, this.#serveOnConnection(handler, boxed))
    } catch (error) {
      if (error instanceof RpycProtocolError) throw error
      this.#fail(seq, error)
    }
    return undefined
  }

  /** Requests that nothing precedes: their arguments are plain. */
  #serveOnConnection(handler: HandlerCode, boxed: Boxed): unknown {
    const [first, second] = itemsOf(boxed)
    switch (handler) {
      case Handler.ping:
        return first && this.unbox(first)
      case Handler.close:
        this.disconnect()
        return undefined
      case Handler.getRoot:
        return this.carrier.root
      case Handler.delete:
        return this.#release(this.#localPack(first), second ? second[1] : 1)
      case Handler.hash:
        return this.#localPack(first)[2]
      case Handler.inspect:
        return this.exports.get(parsePack(first?.[1])).inspect()
      default:
        throw pythonError('ValueError', `${describeValue(handler)} is no request of RPyC`)
    }
  }

  /** Python gives back an object. A result with it that has just arrived may still be on its way to the session. */
  async #release(pack: IdPack, count: unknown): Promise<void> {
    await nextTurn()
    if (!this.#isEnded) this.exports.release(pack, count)
  }

  #serveOnObject(
    seq: number,
    handler: HandlerCode,
    boxed: Boxed,
    perform: ObjectRequest
  ): Promise<unknown> | undefined {
    const [target, ...rest] = itemsOf(boxed)
    const view = this.exports.get(this.#localPack(target))
    const copies = this.settings.copies && takesCopies(handler) ? new PythonCopies(this) : undefined
    const start = (args: readonly unknown[]) => {
      const origin =
        handler === Handler.getAttribute && view instanceof NetrefView
          ? { owner: view, name: nameOf(args[0]) }
          : undefined
      const { values: maxItems, depth } = this.limits
      this.#reply(seq, perform(view, args, { maxItems, depth }), origin)
    }
    const args = this.#unboxItems(rest, copies, 0)
    const complete = args instanceof Promise && copies ? copies.complete(args) : args
    const ordered = withKeywords(handler, view, complete)
    if (!(ordered instanceof Promise)) {
      start(ordered)
      return undefined
    }
    return ordered.then(start).catch(error => this.#fail(seq, error))
  }

  /** @throws TypeError of Python if the value is no object of this side */
  #localPack(boxed: Boxed | undefined): IdPack {
    if (boxed?.[0] === Label.local) return boxed[1] as IdPack
    throw pythonError('TypeError', 'the request is on no object of this side')
  }

  #reply(seq: number, result: unknown, origin?: FunctionOrigin): void {
    if (isThenable(result))
      result.then(
        value => this.#sendReply(seq, value, origin),
        error => this.#fail(seq, error)
      )
    else this.#sendReply(seq, result, origin)
  }

  #sendReply(seq: number, value: unknown, origin: FunctionOrigin | undefined): void {
    try {
      this.#send(MSG_REPLY, seq, boxing => boxing.box(value, origin))
    } catch (error) {
      this.#fail(seq, error)
    }
  }

  #fail(seq: number, error: unknown): void {
    try {
      this.#sendException(seq, error)
    } catch {
      this.#sendException(seq, new Error('the method threw an error that cannot be sent'))
    }
  }

  /** @throws BrineError if a text in the error has lone surrogates */
  #sendException(seq: number, error: unknown): void {
    const record = encodeException(error, this.#channel.version!, this.settings.exposeStacks)
    this.#channel.send(MSG_EXCEPTION, seq, record)
  }

  /** @throws the error of a value that cannot be sent; what was counted for it is taken back */
  #send(type: MessageType, seq: number, box: (boxing: Boxing) => unknown): void {
    const boxing = new Boxing(this)
    try {
      this.#channel.send(type, seq, box(boxing))
    } catch (error) {
      boxing.rollback()
      throw error
    }
  }

  // Requests to Python.

  protected perform(request: ForeignRequest<IdPack>): unknown {
    return performOnPython(this, request)
  }

  protected onReleased(pack: IdPack, count: number): void {
    this.giveBack(pack, count)
  }

  giveBack(pack: IdPack, count: number): void {
    if (this.#isEnded) return
    const pending: PendingReply = { isAhead: true, onReply: () => undefined, onException: ignore }
    this.#request(
      Handler.delete,
      () => [
        Label.tuple,
        [
          [Label.local, pack],
          [Label.value, count]
        ]
      ],
      pending
    )
  }

  ask(handler: HandlerCode, target: IdPack, ...args: unknown[]): Promise<unknown> {
    return this.#ask(handler, targetedBy(target, args), this.settings.copies)
  }

  refer(handler: HandlerCode, target: IdPack, ...args: unknown[]): Promise<unknown> {
    return this.#ask(handler, targetedBy(target, args), false)
  }

  fetch(handler: HandlerCode, target: IdPack, ...args: unknown[]): Promise<Boxed> {
    return this.#fetch(handler, targetedBy(target, args))
  }

  copy(target: IdPack): Promise<unknown> {
    const copies = new PythonCopies(this)
    return copies.complete(copies.copyHeld(target, 0))
  }

  async inspect(target: IdPack): Promise<readonly (readonly [name: string, help: unknown])[]> {
    const methods = await this.#ask(Handler.inspect, [Label.value, [target]], false)
    if (!Array.isArray(methods)) throw new RpycProtocolError('a list of methods of another form')
    return methods.filter(
      (method): method is [string, unknown] => isTuple(method, 2) && typeof method[0] === 'string'
    )
  }

  override operateLocally(
    op: OperationCode,
    value: unknown,
    path: readonly string[],
    operand: unknown
  ): unknown {
    return super.operateLocally(op, value, path, operand)
  }

  #ask(handler: HandlerCode, args: RequestArguments, takesCopies: boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onReply = (boxed: Boxed) => {
        const copies = takesCopies ? new PythonCopies(this) : undefined
        try {
          const value = this.unbox(boxed, copies)
          if (!(value instanceof Promise)) return void resolve(value)
          const complete = copies ? copies.complete(value) : value
          return complete.then(resolve, reject)
        } catch (error) {
          reject(error as Error)
        }
        return undefined
      }
      this.#request(handler, args, { isAhead: false, onReply, onException: reject })
    })
  }

  #fetch(handler: HandlerCode, args: RequestArguments): Promise<Boxed> {
    return new Promise((resolve, reject) => {
      const onReply = (boxed: Boxed) => void resolve(boxed)
      this.#request(handler, args, { isAhead: true, onReply, onException: reject })
    })
  }

  #request(handler: HandlerCode, args: RequestArguments, pending: PendingReply): void {
    if (this.#isEnded) return pending.onException(new Error(CLOSED))
    const seq = ++this.#lastSeq
    this.#pending.set(seq, pending)
    try {
      this.#send(MSG_REQUEST, seq, boxing => [handler, typeof args === 'function' ? args(boxing) : args])
    } catch (error) {
      this.#pending.delete(seq)
      throw error
    }
  }

  // Values of Python.

  /** @returns the value; a promise of it if it is not complete */
  unbox([label, value]: Boxed, copies?: PythonCopies, depth = 0): unknown {
    switch (label) {
      case Label.value:
        return fromBrine(value as BrineValue)
      case Label.tuple:
        return this.#unboxItems(value as readonly Boxed[], copies, depth)
      case Label.local:
        return this.exports.get(value as IdPack).value
      case Label.remote:
        return this.#receive(value as IdPack, copies, depth)
    }
  }

  #unboxItems(
    items: readonly Boxed[],
    copies: PythonCopies | undefined,
    depth: number
  ): unknown[] | Promise<unknown[]> {
    let isComplete = true
    const values: unknown[] = []
    for (const item of items) {
      let value: unknown
      try {
        value = this.unbox(item, copies, depth + 1)
      } catch (error) {
        if (isComplete) throw error
        // Those before it are waited for: they may fail, too.
        value = Promise.reject(error)
      }
      isComplete &&= !(value instanceof Promise)
      values.push(value)
    }
    return isComplete ? values : Promise.all(values)
  }

  #receive(pack: IdPack, copies: PythonCopies | undefined, depth: number): unknown {
    if (copies && isPlainData(pack)) return copies.copy(pack, depth)
    const isCallable = this.#isCallable(pack)
    if (typeof isCallable === 'boolean') return this.#netrefOf(pack, isCallable)
    return isCallable.then(isCallable => this.#netrefOf(pack, isCallable))
  }

  #netrefOf(pack: IdPack, isCallable: boolean): object {
    if (this.held < this.limits.imports) return this.netref(packKey(pack), pack, pack[0], isCallable)
    this.giveBack(pack, 1)
    throw new LimitError('limit', `${this.limits.imports} netrefs are held (limits.imports): release some`)
  }

  #isCallable(pack: IdPack): boolean | Promise<boolean> {
    const [name, classId, id] = pack
    if (id === 0 || CALLABLE_CLASSES.has(name)) return true
    if (name.startsWith('builtins.') || name.startsWith('_io.')) return false
    const key = `${classId} ${name}`
    const known = this.#callableClasses.get(key)
    if (known !== undefined) return known
    const asked = this.#fetch(Handler.inspect, [Label.value, [pack]]).then(
      ([, methods]) =>
        Array.isArray(methods) && methods.some(method => Array.isArray(method) && method[0] === '__call__'),
      () => false
    )
    if (this.#callableClasses.size >= MAX_CLASSES) this.#callableClasses.clear()
    this.#callableClasses.set(key, asked)
    void asked.then(isCallable => this.#callableClasses.set(key, isCallable))
    return asked
  }
}

/** The arguments of a request, boxed or to be boxed. */
type RequestArguments = Boxed | ((boxing: Boxing) => Boxed)

/** The arguments of a request on an object of Python. */
const targetedBy =
  (target: IdPack, args: readonly unknown[]) =>
  (boxing: Boxing): Boxed => [Label.tuple, [[Label.local, target], ...args.map(arg => boxing.box(arg))]]

/** Whether a request may be served before those that wait: it has no effect. */
const isAhead = (request: BrineValue): boolean => Array.isArray(request) && request[0] === Handler.inspect

/** The boxed items of arguments. */
function itemsOf([label, value]: Boxed): readonly Boxed[] {
  if (label === Label.tuple) return value as readonly Boxed[]
  if (label !== Label.value || !Array.isArray(value))
    throw new RpycProtocolError('arguments that are no tuple')
  return value.map(item => [Label.value, item])
}

/** Turns the keyword arguments of a call into positional ones. */
function withKeywords(
  handler: HandlerCode,
  view: View,
  args: unknown[] | Promise<unknown[]>
): unknown[] | Promise<unknown[]> {
  const index = handler === Handler.call ? 0 : handler === Handler.callAttribute ? 1 : undefined
  if (index === undefined) return args
  const order = (all: unknown[]): unknown[] | Promise<unknown[]> => {
    const keywords = keywordsOf(all[index + 1])
    if (Object.keys(keywords).length === 0) return all
    const name = index === 0 ? undefined : nameOf(all[0])
    return view
      .withKeywords(name, argumentsOf(all[index]), keywords)
      .then(ordered => [...all.slice(0, index), ordered])
  }
  return args instanceof Promise ? args.then(order) : order(args)
}

/** What brine has and JavaScript has not becomes plain data. */
function fromBrine(value: BrineValue): unknown {
  if (typeof value !== 'object') return typeof value === 'symbol' ? undefined : value
  if (value === null || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(fromBrine)
  if (value instanceof Set) return new Set([...value].map(fromBrine))
  if (value instanceof BrineComplex) return { real: value.real, imag: value.imaginary }
  const { start, stop, step } = value as BrineSlice
  return { start: fromBrine(start), stop: fromBrine(stop), step: fromBrine(step) }
}
