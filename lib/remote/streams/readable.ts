// Streams to read: opened at home, and what stands for them on the other side.

import type { Origin, Source } from '../../codec/iterable-source.js'
import { aboutCall } from '../../codec/peer-errors.js'
import { isWebReadable, NodeEnd, type NodeReadable, sent } from '../../codec/stream-kinds.js'
import { ReadableStream } from '../../util/platform.js'
import { isA } from '../../util/realms.js'
import type { Inflow } from './remote-iterator.js'

/** Bytes of a byte stream go in pieces of that many: what else is to be sent need not wait for long. */
const PIECE = 60 << 10
/** Room for what goes with a piece in its frame. */
const BESIDE = 1 << 10

/** What to read a stream with, whether it is of bytes, and how to give it back unread. */
export interface Opened extends Origin {
  readonly bytes: boolean
}

/** `frameBytes` tells what the peer takes in a frame. */
export function openReadable(stream: object, frameBytes: () => number): Opened {
  const { source, bytes, restore } = isWebReadable(stream)
    ? readerOf(stream)
    : readerOfNode(stream as NodeReadable | NodeEnd)
  const read = bytes ? inPieces(source, () => Math.min(PIECE, frameBytes() - BESIDE)) : source
  return { source: read, open: () => read, bytes, restore }
}

interface Reader {
  readonly source: Source
  readonly bytes: boolean
  readonly restore: () => void
}

function readerOf(stream: ReadableStream<unknown>): Reader {
  const bytes = isByteStream(stream)
  const reader = stream.getReader()
  const source: Source = {
    next: () => reader.read(),
    return: async reason => {
      await reader.cancel(reason)
      return { done: true, value: undefined }
    }
  }
  return { source, bytes, restore: () => reader.releaseLock() }
}

/** A stream does not say of itself that it is one of bytes. */
function isByteStream(stream: ReadableStream): boolean {
  try {
    stream.getReader({ mode: 'byob' }).releaseLock()
    return true
  } catch {
    return false
  }
}

function readerOfNode(object: NodeReadable | NodeEnd): Reader {
  const stream = (object instanceof NodeEnd ? object.stream : object) as NodeReadable
  sent.add(stream)
  // It may fail before it is read: its reader is told.
  stream.on('error', ignore)
  // Where somebody listens, nobody else can make it flow: Node does so when a child process exits.
  stream.on('readable', ignore)
  const bytes = !stream.readableObjectMode && stream.readableEncoding === null
  let chunks: AsyncIterator<unknown> | undefined
  const source: Source = {
    next: () => {
      // It may be written for longer than it is read.
      chunks ??= stream.iterator({ destroyOnReturn: false })
      return chunks.next()
    },
    return: reason => {
      stream.destroy(isA('Error', reason) ? reason : undefined)
      return { done: true, value: undefined }
    }
  }
  const restore = () => {
    sent.delete(stream)
    stream.off('error', ignore)
    stream.off('readable', ignore)
  }
  return { source, bytes, restore }
}

const ignore = () => {}

/** The same bytes, none of them many at a time. */
function inPieces(source: Source, size: () => number): Source {
  let rest = new Uint8Array()
  const piece = () => {
    const value = rest.subarray(0, size())
    rest = rest.subarray(value.byteLength)
    return { done: false, value }
  }
  return {
    async next() {
      if (rest.byteLength > 0) return piece()
      const step = (await source.next()) as { done: boolean; value: ArrayBufferView<ArrayBuffer> }
      if (step.done) return step
      const { buffer, byteOffset, byteLength } = step.value
      rest = new Uint8Array(buffer, byteOffset, byteLength)
      return piece()
    },
    return: reason => source.return!(reason)
  }
}

type Controller = ReadableByteStreamController | ReadableStreamDefaultController

/** A stream to read here what its home sends. */
export function readableOf(inflow: Inflow, bytes: boolean): ReadableStream {
  const enqueue = (controller: Controller, value: unknown) => {
    try {
      controller.enqueue((bytes ? own(value, inflow) : value) as Uint8Array)
    } catch (error) {
      // It was cancelled while the item was on its way here.
      inflow.unread()
      throw error
    }
  }
  const source = {
    async pull(controller: Controller) {
      const { done, value } = await inflow.read()
      if (!done) return enqueue(controller, value)
      controller.close()
      if ('byobRequest' in controller) controller.byobRequest?.respond(0)
    },
    cancel: (reason: unknown) => inflow.drive('return', reason).then(() => {})
  }
  return bytes
    ? new ReadableStream({ ...source, type: 'bytes' })
    : new ReadableStream(source, { highWaterMark: 0 })
}

/** A stream takes the buffer of what it is given: not the one that a whole frame is in. */
function own(chunk: unknown, inflow: Inflow): Uint8Array<ArrayBuffer> {
  if (isA('Uint8Array', chunk) && chunk.byteLength > 0) return new Uint8Array(chunk)
  const error = aboutCall(new TypeError(`${inflow.ref.label}: a chunk of a byte stream that is no bytes`))
  inflow.fail(error)
  throw error
}
