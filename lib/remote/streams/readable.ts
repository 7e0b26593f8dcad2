// Readable streams by reference: the source at the owner, and the stream that the receiver reads.

import { markConfidential } from '../../codec/confidential-errors.js'
import type { ItemSource, SourceProvider } from '../../codec/iterable-source.js'
import {
  isWebReadable,
  type NodeReadableLike,
  NodeStreamEnd,
  sentNodeStreams
} from '../../codec/stream-kinds.js'
import { ReadableStream } from '../../util/platform.js'
import { isInstanceOf } from '../../util/realms.js'
import type { ReadAheadBuffer } from './remote-iterator.js'

/** Maximum size of a chunk of a byte stream, so that other messages do not wait for long. */
const MAX_CHUNK_BYTES = 60 << 10
/** Room in a frame for what surrounds a chunk. */
const FRAME_OVERHEAD_BYTES = 1 << 10

/** The source of a stream's chunks, and a function that unlocks the stream if it is not sent. */
export interface OpenedReadable extends SourceProvider {
  readonly isByteStream: boolean
}

/** `frameBytes` returns the peer's limit for a frame. */
export function openReadable(stream: object, frameBytes: () => number): OpenedReadable {
  const { source, isByteStream, restore } = isWebReadable(stream)
    ? openWebReadable(stream)
    : openNodeReadable(stream as NodeReadableLike | NodeStreamEnd)
  const chunks = isByteStream
    ? splitChunks(source, () => Math.min(MAX_CHUNK_BYTES, frameBytes() - FRAME_OVERHEAD_BYTES))
    : source
  return { source: chunks, open: () => chunks, isByteStream: isByteStream, restore }
}

interface ReadableSource {
  readonly source: ItemSource
  readonly isByteStream: boolean
  readonly restore: () => void
}

function openWebReadable(stream: ReadableStream<unknown>): ReadableSource {
  const bytes = supportsByteReader(stream)
  const reader = stream.getReader()
  const source: ItemSource = {
    next: () => reader.read(),
    return: async reason => {
      await reader.cancel(reason)
      return { done: true, value: undefined }
    }
  }
  return { source, isByteStream: bytes, restore: () => reader.releaseLock() }
}

/** A stream has no property that tells whether it is a byte stream. */
function supportsByteReader(stream: ReadableStream): boolean {
  try {
    stream.getReader({ mode: 'byob' }).releaseLock()
    return true
  } catch {
    return false
  }
}

function openNodeReadable(object: NodeReadableLike | NodeStreamEnd): ReadableSource {
  const stream = (object instanceof NodeStreamEnd ? object.stream : object) as NodeReadableLike
  sentNodeStreams.add(stream)
  // The stream may fail before it is read; its reader gets that error.
  stream.on('error', ignore)
  // A `readable` listener keeps other code from starting the flow: Node does so when a child process exits.
  stream.on('readable', ignore)
  const bytes = !stream.readableObjectMode && stream.readableEncoding === null
  let chunks: AsyncIterator<unknown> | undefined
  const source: ItemSource = {
    next: () => {
      // The stream may be written after its reader is done.
      chunks ??= stream.iterator({ destroyOnReturn: false })
      return chunks.next()
    },
    return: reason => {
      stream.destroy(isInstanceOf('Error', reason) ? reason : undefined)
      return { done: true, value: undefined }
    }
  }
  const restore = () => {
    sentNodeStreams.delete(stream)
    stream.off('error', ignore)
    stream.off('readable', ignore)
  }
  return { source, isByteStream: bytes, restore }
}

const ignore = () => {}

/** The same bytes in chunks of limited size. */
function splitChunks(source: ItemSource, maxBytes: () => number): ItemSource {
  let remaining = new Uint8Array()
  const takeChunk = () => {
    const value = remaining.subarray(0, maxBytes())
    remaining = remaining.subarray(value.byteLength)
    return { done: false, value }
  }
  return {
    async next() {
      if (remaining.byteLength > 0) return takeChunk()
      const next = (await source.next()) as { done: boolean; value: ArrayBufferView<ArrayBuffer> }
      if (next.done) return next
      const { buffer, byteOffset, byteLength } = next.value
      remaining = new Uint8Array(buffer, byteOffset, byteLength)
      return takeChunk()
    },
    return: reason => source.return!(reason)
  }
}

type Controller = ReadableByteStreamController | ReadableStreamDefaultController

/** The stream that the receiver reads. */
export function createReadable(buffer: ReadAheadBuffer, isByteStream: boolean): ReadableStream {
  const enqueue = (controller: Controller, value: unknown) => {
    try {
      controller.enqueue((isByteStream ? copyChunk(value, buffer) : value) as Uint8Array)
    } catch (error) {
      // The stream was cancelled before the item arrived.
      buffer.discardLastItem()
      throw error
    }
  }
  const source = {
    async pull(controller: Controller) {
      const { done, value } = await buffer.read()
      if (!done) return enqueue(controller, value)
      controller.close()
      if ('byobRequest' in controller) controller.byobRequest?.respond(0)
    },
    cancel: (reason: unknown) => buffer.call('return', reason).then(() => {})
  }
  return isByteStream
    ? new ReadableStream({ ...source, type: 'bytes' })
    : new ReadableStream(source, { highWaterMark: 0 })
}

/** A byte stream transfers the buffer of a chunk, so it must not be the buffer of a whole frame. */
function copyChunk(chunk: unknown, buffer: ReadAheadBuffer): Uint8Array<ArrayBuffer> {
  if (isInstanceOf('Uint8Array', chunk) && chunk.byteLength > 0) return new Uint8Array(chunk)
  const error = markConfidential(
    new TypeError(`${buffer.reference.label}: a chunk of a byte stream is not bytes`)
  )
  buffer.error(error)
  throw error
}
