// A channel of ZeroRPC: one call, with its answer or the stream of its results.

import { Netref } from '../../index.js'
import type { GatewayClient } from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { RefusedCallError } from '../support/call-failure.js'
import { giveBack } from '../support/give-back.js'
import { isIterator } from '../support/iterator.js'
import { methodAt } from '../support/methods.js'
import { callBuiltin } from './builtins.js'
import { callErrorOf } from './call-error.js'
import type { ReceivedEvent } from './event.js'
import { toMessagePack } from './value-form.js'

/** Heartbeats, one in 5 s, that a client may leave out. So it is lost after 10 to 15 s. */
const MAX_MISSED_HEARTBEATS = 2
const MAX_SLOTS = 2 ** 31

/** What a channel needs of its connection. */
export interface ChannelPort {
  readonly root: RemoteHandle<unknown>
  readonly client: Pick<GatewayClient, 'limits' | 'exposeStacks'>
  /** Sends an event on the channel, with what `toMessagePack` returned. */
  send(name: string, args: unknown): void
  /** Resolves when the client has read most of what was sent; undefined if it has. */
  whenDrained(): Promise<void> | undefined
  onEnded(): void
}

export class Channel {
  /** Events that the client has room for. Heartbeats do not count. */
  #slots = 1
  #missedHeartbeats = 0
  #hasEnded = false
  readonly #abort = new AbortController()
  /** Continues the stream that waits for a slot. */
  #onSlot: (() => void) | undefined

  constructor(private readonly port: ChannelPort) {}

  /** Performs the call. It has been made, in order with others, when this returns. Never rejects. */
  serve(call: ReceivedEvent): Promise<void> {
    // The bytes of the event are not kept while its call is under way.
    return this.#answer(call.name, this.#call(call))
  }

  async #answer(name: string, call: Promise<unknown>): Promise<void> {
    try {
      const result = await call
      if (isIterator(result)) await this.#sendStream(result)
      else await this.#send('OK', [this.#formOf(result, 'result')])
    } catch (error) {
      await this.#send('ERR', callErrorOf(error, name, this.port.client.exposeStacks))
    }
    this.#hasEnded = true
    this.port.onEnded()
  }

  /** An event of the client on this channel. */
  onEvent(event: ReceivedEvent): void {
    if (event.name === '_zpc_hb') this.#missedHeartbeats = 0
    if (event.name === '_zpc_more') this.#addSlots(event)
    // The one slot that the client has was for the call.
  }

  /** Sends a heartbeat, unless the client has left out too many. */
  beat(): void {
    if (this.#missedHeartbeats === MAX_MISSED_HEARTBEATS) return this.end()
    this.#missedHeartbeats++
    this.port.send('_zpc_hb', [0])
  }

  /** Nothing that the client sent was read: its heartbeats may be on their way. */
  forgiveHeartbeats(): void {
    this.#missedHeartbeats = 0
  }

  /** The client has gone, or waits no more. Aborts the call, and ends its stream. */
  end(): void {
    this.#hasEnded = true
    this.#abort.abort()
    this.#onSlot?.()
  }

  /** The connection ends after what is owed: it is sent without waiting for slots. */
  finish(): void {
    this.#slots = Number.POSITIVE_INFINITY
    this.#onSlot?.()
  }

  #addSlots(event: ReceivedEvent): void {
    let count: unknown
    try {
      ;[count] = event.args() as [unknown]
    } catch {
      return
    }
    if (isSlotCount(count)) this.#slots = Math.min(this.#slots + count, MAX_SLOTS)
    this.#onSlot?.()
  }

  async #call({ name, ...event }: ReceivedEvent): Promise<unknown> {
    const { root, client } = this.port
    const args = event.args()
    if (!Array.isArray(args))
      throw new RefusedCallError('bad-params', `${name}: the arguments are not a list`)
    const method = methodAt(root, name, client.limits.depth)
    return callBuiltin(root, name, args) ?? Netref.with(method, { signal: this.#abort.signal })(...args)
  }

  async #sendStream(stream: AsyncIterable<unknown>): Promise<void> {
    for await (const item of stream) {
      await this.#send('STREAM', this.#formOf(item, 'item'))
      await this.port.whenDrained()
      if (this.#hasEnded) return
    }
    await this.#send('STREAM_DONE', null)
  }

  /** Sends an event when the client has room for it; nothing after the end. */
  async #send(name: string, args: unknown): Promise<void> {
    while (this.#slots === 0 && !this.#hasEnded)
      await new Promise<void>(resolve => {
        this.#onSlot = resolve
      })
    if (this.#hasEnded) return
    this.#slots--
    this.port.send(name, args)
  }

  /** @throws NoFormError. The references in the value are then given back; other values have none. */
  #formOf(value: unknown, what: 'result' | 'item'): unknown {
    try {
      return toMessagePack(value, [what], this.port.client.limits)
    } catch (error) {
      giveBack(value)
      throw error
    }
  }
}

const isSlotCount = (count: unknown): count is number => Number.isSafeInteger(count) && Number(count) > 0
