// Recognizes streams of the web and of Node, and decides whether they may be sent. `remote/streams/` reads and writes them.

import { ProtocolError } from '../errors.js'
import { isChildOutput } from '../util/child-output.js'
import type { StreamTag } from './types.js'

/** The members of a Node stream that netref uses. Browsers have no `node:stream`. */
export interface NodeReadableLike extends AsyncIterable<unknown> {
  readonly readableObjectMode: boolean
  readonly readableEncoding: string | null
  iterator(options: { destroyOnReturn: boolean }): AsyncIterator<unknown>
  destroy(error?: Error): void
  on(name: string, listener: () => void): void
  off(name: string, listener: () => void): void
}
export interface NodeWritableLike {
  write(chunk: unknown, done: (error?: Error | null) => void): boolean
  end(done: () => void): void
  destroy(error?: Error): void
  on(name: string, listener: (error: Error) => void): void
  off(name: string, listener: (error: Error) => void): void
}

/** One side of a Node stream that is readable and writable. */
export class NodeStreamEnd {
  constructor(readonly stream: object) {}
}

/** Streams of Node's that were sent: they have no lock that would say so. */
export const sentNodeStreams = new WeakSet<object>()

/** A TransformStream, a CompressionStream, and whatever else has both. */
interface WebStreamPair {
  readonly readable: ReadableStream
  readonly writable: WritableStream
}

export const isWebReadable = (object: object): object is ReadableStream =>
  'getReader' in object && 'locked' in object
export const isWebWritable = (object: object): object is WritableStream =>
  'getWriter' in object && 'locked' in object

/** Accessors run only where there are both. */
function isWebStreamPair(object: object): object is WebStreamPair {
  if (!('readable' in object && 'writable' in object)) return false
  const { readable, writable } = object
  return isObject(readable) && isWebReadable(readable) && isObject(writable) && isWebWritable(writable)
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** The names of references to streams. */
export const STREAM_NAMES: Readonly<Record<StreamTag, string>> = {
  i: 'iterator',
  r: 'stream',
  w: 'stream',
  p: 'promise',
  a: 'signal'
}

/** The name with its article, for error texts. */
export const streamLabel = (tag: StreamTag): string => `${tag === 'i' ? 'an' : 'a'} ${STREAM_NAMES[tag]}`

/** What to do in a program that has not imported the streams, for error texts. */
export const IMPORT_STREAMS = "import 'netref/streams' before you connect"

export type StreamKind = 'readable' | 'writable' | 'pair'

/** Which kind of stream an instance of a class is, if it is one. */
export function streamKindOf(object: object): StreamKind | undefined {
  if (isWebReadable(object)) return 'readable'
  if (isWebWritable(object)) return 'writable'
  return nodeStreamKindOf(object) ?? (isWebStreamPair(object) ? 'pair' : undefined)
}

/** What Node itself looks at: a Duplex may lack a side from the start. One that has ended is still a Duplex. */
interface NodeStreamLike {
  readonly _readableState?: { readonly readable?: boolean } | null
  readonly _writableState?: { readonly writable?: boolean } | null
}

function nodeStreamKindOf(object: NodeStreamLike): StreamKind | undefined {
  if ('_writableState' in object) {
    if (
      !('_readableState' in object) ||
      object._readableState?.readable === false ||
      isTerminalOutput(object)
    )
      return 'writable'
    const isReadOnly = object._writableState?.writable === false || isTerminalInput(object)
    return isReadOnly || isChildOutput(object) ? 'readable' : 'pair'
  }
  if ('_readableState' in object) return 'readable'
  return isOutgoingMessage(object) ? 'writable' : undefined
}

/** Node's tty streams are Sockets; a stdin or stdout is no other kind of stream because it is a terminal. */
const isTerminalInput = (stream: object): boolean => 'setRawMode' in stream
const isTerminalOutput = (stream: object): boolean => 'getWindowSize' in stream

/** Requests and responses of HTTP are Writable by their documentation, and not by their class. */
const isOutgoingMessage = (object: object): boolean =>
  'writableFinished' in object && 'write' in object && 'end' in object

/** What to read and what to write of a pair of streams. */
export function streamEnds(pair: object): { readonly readable: object; readonly writable: object } {
  // Those of a class of the web's are accessors of its prototype.
  if (isWebStreamPair(pair)) return { readable: pair.readable, writable: pair.writable }
  return { readable: new NodeStreamEnd(pair), writable: new NodeStreamEnd(pair) }
}

export const isLocked = (stream: object): boolean =>
  (stream as { locked?: boolean }).locked === true || sentNodeStreams.has(stream)

/** Ends a stream that is not read or written, and never will be. Its errors are ignored. */
export function discardStream(end: object): void {
  const stream = end instanceof NodeStreamEnd ? end.stream : end
  if (isLocked(stream)) return
  if (isWebReadable(stream)) stream.cancel().catch(noop)
  else if (isWebWritable(stream)) stream.abort().catch(noop)
  else {
    const { on, destroy } = stream as NodeReadableLike | NodeWritableLike
    on.call(stream, 'error', noop)
    destroy.call(stream)
  }
}

const noop = () => {}

/** A pair of received streams as one object, as the owner has it. The accessors of the class reject objects it did not make. */
export function createTransform(ends: unknown): object {
  const [readable, writable] = (Array.isArray(ends) ? ends : []) as unknown[]
  if (!(readable instanceof ReadableStream && writable instanceof WritableStream))
    throw new ProtocolError('a stream pair without a readable and a writable stream')
  return Object.create(TransformStream.prototype, {
    readable: { value: readable, enumerable: true },
    writable: { value: writable, enumerable: true }
  })
}
