// Frames out: when messages leave, and that the other side learns of what has come.
//
// All messages of a tick leave as one frame at its end. What a frame causes at once leaves as one when it has been acted
// on; of much, the first half as soon as it is there. A transport that has enough to carry is given no more.

import { LimitError } from '../errors.js'
import { type FrameData, formatCount } from '../protocol/frame.js'
import { LEAST_FRAME, type PeerLimits } from '../protocol/messages.js'
import { formatMessage, type Trace } from '../protocol/trace.js'
import { ROOM, type Transport } from '../transport/transport.js'
import { afterMicrotasks, inMicrotask } from '../util/scheduler.js'
import { isGivenUp, ownBytes } from '../util/transfer.js'
import { ENVELOPE, Outbox } from './frame-builder.js'
import { KeptFrames } from './replay-buffer.js'

/** What a sender asks of its link. */
export interface Source {
  /** The frames of the peer that were acted on. */
  readonly acted: number
  /** The frames of ours that the peer has counted. */
  readonly counted: number
  /** A message to go along at the end of a tick, if there is one; small ones, and more than one if there is much. */
  trailing(): string | undefined
  /** Whether so much is kept for the peer that who sends more is to wait. */
  readonly crowded: boolean
}

/** What every side takes. */
const LEAST = { jsonBytes: LEAST_FRAME, frameBytes: LEAST_FRAME }
/** A message that is worth a frame at once: it is on its way meanwhile, and its bytes are copied once and not twice. */
const LARGE = 1 << 15
/** Messages of a frame whose replies are worth two frames: the peer reads the first while the second is being made. */
const MANY = 8
/** What may wait for the end of the tick before who sends more is asked to wait for that, too. */
const MUCH = 64 << 10

export class Sender {
  frames = 0
  bytes = 0
  /** The count of frames that the peer was told last. */
  told = 0
  /** Whether nothing leaves after the first frame until the peer has said what it takes. */
  withholds = false
  readonly kept: KeptFrames
  #outbox = new Outbox()
  /** The place in its frame of the message that was sent last. */
  place = 0
  #tickOpen = false
  /** While a frame is acted on, nothing leaves until there are so many messages, and then if the peer may be idle. */
  #corked = false
  #enough = 0
  /** What takes frames, if there is any; and whether it has enough of them. */
  #transport: Transport | undefined
  #full = false
  /** The count that is told alone, if one has not left yet; and whether another one is due then. */
  #telling = false
  #due: { readonly asks: boolean } | undefined
  /** How large a frame of more than one message may be. */
  #most: Pick<PeerLimits, 'jsonBytes' | 'frameBytes'> = LEAST
  #room: Promise<void> | undefined
  #roomy: (() => void) | undefined

  constructor(
    private readonly source: Source,
    /** What the peer takes; what it may take, until it has said so. */
    public peer: PeerLimits,
    keeps: boolean,
    private readonly trace: Trace | undefined,
    /** Whether frames go in parts. */
    private readonly inParts: boolean
  ) {
    this.kept = new KeptFrames(keeps, inParts)
  }

  /** The peer has said what it takes. */
  learn(peer: PeerLimits): void {
    this.peer = this.#most = peer
    if (!this.withholds) return
    this.withholds = false
    this.atEndOfTick()
  }

  /** What waits is the first frame. The rest leaves when the peer has answered it: until then nothing else can be lost. */
  withhold(): void {
    this.withholds = true
    this.#seal()
  }

  /** Whether what is sent now leaves at once. */
  get ready(): boolean {
    return this.#transport !== undefined && !this.#full && !(this.withholds && this.kept.sent > 0)
  }

  /** Whether there is something to be sent. */
  get waits(): boolean {
    return this.kept.waiting || !this.#outbox.empty
  }

  /** Whether there is more than the hello. */
  get waitingForMore(): boolean {
    return this.frames + this.#outbox.length > 1
  }

  /** Bytes of replies that the peer has not acknowledged. */
  get owed(): number {
    return this.kept.owed + this.#outbox.owed
  }

  /** Bytes that wait to leave, here and in the transport. */
  get buffered(): number {
    return this.kept.unsent + (this.#transport?.buffered ?? 0)
  }

  /** Resolves when all that was sent has been given to a transport, and is not too much. */
  leaving(): Promise<void> {
    this.#room ??= new Promise(resolve => {
      this.#roomy = resolve
    })
    return this.#room
  }

  /** The same, but undefined when most of it has been. */
  room(): Promise<void> | undefined {
    return this.ready && this.#outbox.size < MUCH && !this.source.crowded ? undefined : this.leaving()
  }

  #tellOfRoom(): void {
    this.#room = undefined
    this.#roomy?.()
  }

  /** Bytes that are kept for the peer. */
  get held(): number {
    const { bytes, keeps } = this.kept
    const inTransport = keeps ? 0 : (this.#transport?.buffered ?? 0)
    return bytes + inTransport + this.#outbox.size
  }

  /** The peer has that many frames. */
  acknowledge(count: number): void {
    this.kept.acknowledge(count)
    if (this.#room && this.ready && !this.source.crowded) this.#tellOfRoom()
  }

  /** The transport takes frames from now on: first those that are kept. */
  open(transport: Transport): void {
    this.#transport = transport
    this.#full = this.#telling = false
    this.#due = undefined
    this.flush()
    this.atEndOfTick()
  }

  /** The transport takes no more frames; what it was given may have to be sent again. */
  interrupt(): void {
    this.#transport = undefined
    this.kept.rewind()
  }

  /** Gives the transport all that waits, as the last thing, however much that is. */
  close(): void {
    this.withholds = false
    while (this.#transport) {
      this.#full = false
      this.flush()
      if (!this.waits) break
    }
    this.#transport = undefined
    this.kept.clear()
    this.#tellOfRoom()
  }

  /**
   * Sends a message, with the bytes that belong to it: they are copied unless they leave at once, and moved where they
   * were given up. So many bytes of it are owed to the peer.
   *
   * @returns the number of the frame the message is in
   * @throws LimitError for more than the peer takes; nothing is sent then
   */
  push(message: string, bytes: readonly Uint8Array[], size: number, owed: number): number {
    const { jsonBytes, frameBytes } = this.peer
    const json = message.length + ENVELOPE
    if (json > jsonBytes) throw this.#tooLarge(`${json} characters of JSON`, 'jsonBytes', owed > 0)
    if (json + size > frameBytes) throw this.#tooLarge(`${json + size} bytes`, 'frameBytes', owed > 0)
    this.#takeTrailing()
    if (!this.#outbox.fits(message, size, this.#most)) this.#seal()
    const atOnce = message.length + size > LARGE && this.ready && !this.kept.waiting
    const owns = bytes.length > 0 && (!atOnce || this.inParts || bytes.some(isGivenUp))
    this.place = this.#outbox.length
    this.#outbox.add(message, owns ? ownBytes(bytes) : bytes)
    this.#outbox.owed += owed
    const frame = this.frames + 1
    if (atOnce) this.#seal()
    if (!this.#corked) this.atEndOfTick()
    else if (this.#outbox.length >= this.#enough && this.frames === this.source.counted) this.#seal()
    return frame
  }

  /** Whether a transport was given the frame of that number. */
  left(frame: number): boolean {
    return frame <= this.frames && this.kept.left(frame)
  }

  /** Withdraws a message that has not left; `instead` stands in its place. */
  withdraw(frame: number, place: number, instead: string): void {
    if (frame > this.frames) this.#outbox.withdraw(place, instead)
    else this.kept.withdraw(frame, place, instead)
  }

  /** Ends the frame that is being filled if `size` more would make it larger than `most`. */
  cut(size: number, most: number): void {
    if (!this.#outbox.fits('', size, { jsonBytes: most, frameBytes: most })) this.#seal()
  }

  /** Sees to it that what waits leaves at the end of this tick. */
  atEndOfTick(): void {
    if (this.#tickOpen) return
    this.#tickOpen = true
    inMicrotask(this.#afterPromises)
  }

  /** The end of a tick is when all is done that is under way, promises included, before anything new is read. */
  readonly #afterPromises = () => afterMicrotasks(this.#endTick)

  readonly #endTick = () => {
    this.#tickOpen = false
    this.flush()
  }

  /** A frame with so many messages is going to be acted on. */
  cork(messages: number): void {
    this.#corked = true
    this.#enough = Math.max(MANY, messages) / 2
  }

  /** A frame has been acted on: all it caused at once leaves. */
  uncork(): void {
    this.#corked = false
    if (!this.#tickOpen && !this.#outbox.empty) this.flush()
  }

  /** Sends what waits, if the transport takes it. */
  flush(): void {
    this.#takeTrailing()
    this.#transmit()
    if (this.ready && !this.#outbox.empty) this.#seal()
    if (this.ready && !this.source.crowded) this.#tellOfRoom()
    this.#tellDue()
  }

  /** Asks the peer at the end of the tick what it has received. */
  ask(): void {
    this.#due = { asks: true }
    this.atEndOfTick()
  }

  /**
   * Tells the count alone, once the transport takes it and the one before has left: a peer that asks for many and reads none
   * makes no queue. It must not overtake a message that waits, as that may build on an answer.
   */
  tell(asks: boolean): void {
    const transport = this.#transport
    if (!this.ready || this.#telling) {
      this.#due = { asks: asks || this.#due?.asks === true }
      return
    }
    if (this.#outbox.empty) this.told = this.source.acted
    const count = formatCount(this.told, asks)
    this.bytes += count.length
    this.#telling = true
    transport!.send(count, () => {
      if (transport !== this.#transport) return
      this.#telling = false
      this.#tellDue()
    })
  }

  #tellDue(): void {
    const due = this.#due
    this.#due = undefined
    if (due) this.tell(due.asks)
  }

  /** What is to go along goes before what is sent after it. */
  #takeTrailing(): void {
    for (let message = this.source.trailing(); message !== undefined; message = this.source.trailing()) {
      if (!this.#outbox.fits(message, 0, this.#most)) this.#seal()
      this.#outbox.add(message, [])
    }
  }

  #seal(): void {
    this.told = this.source.acted
    this.#outbox.close(this.told)
    this.frames++
    this.kept.add(this.#outbox)
    this.#outbox = new Outbox()
    this.#transmit()
  }

  #transmit(): void {
    const { kept, trace } = this
    while (this.ready && kept.waiting) {
      if (trace) for (const message of kept.news) trace('→', formatMessage(JSON.parse(message)))
      // Who was told of it may have ended the session.
      if (!kept.waiting) return
      const { sent } = kept
      const frame = kept.next()
      // One that is sent again counts once.
      if (kept.sent > sent) this.bytes += frame.length
      this.#send(this.#transport!, frame)
    }
  }

  #send(transport: Transport, frame: FrameData): void {
    this.#full = transport.buffered + frame.length > ROOM
    if (this.#full) transport.send(frame, () => this.#drained(transport))
    else transport.send(frame)
  }

  #drained(transport: Transport): void {
    if (transport !== this.#transport) return
    this.#full = false
    this.flush()
  }

  /** What is owed is an answer: then it is the peer that reads the error. */
  #tooLarge(size: string, limit: 'jsonBytes' | 'frameBytes', isAnswer: boolean): LimitError {
    const most = this.peer[limit]
    if (isAnswer) {
      return new LimitError(
        'limit',
        `the answer has ${size}, more than its caller takes (its limits.${limit}: ${most}): raise it, or let the method return an iterator`
      )
    }
    const known = this.#most !== LEAST
    const takes = known ? 'takes' : 'is known to take before it has answered'
    const cure = known ? 'send it in parts' : 'await `ping()` first, or send it in parts'
    return new LimitError(
      'limit',
      `${size} are more than the other side ${takes} (limits.${limit}: ${most}): ${cure}`
    )
  }
}
