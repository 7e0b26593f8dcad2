// How a connection of net/rpc begins: with gob, or with a request of HTTP from which on it is gob.

/** The request of Go's `rpc.DialHTTP`. Its lines end with a line feed only. */
export const CONNECT_REQUEST = 'CONNECT /_goRPC_ HTTP/1.0\n\n'
/** The answer to it, as Go's server gives it. */
export const CONNECT_RESPONSE = 'HTTP/1.0 200 Connected to Go RPC\n\n'

/** Whether a server accepts the request. @param status the first line of its answer */
export const isConnected = (status: string): boolean => /^HTTP\/1\.\d 200 Connected to Go RPC$/.test(status)

const CONNECT_START = Buffer.from('CONNECT /_goRPC_ ')
/** Maximum length of the head of a request or a response. */
const MAX_HEAD_BYTES = 8192
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Whether a connection begins with the request of HTTP; undefined if more bytes must tell. */
export function isConnect(bytes: Uint8Array): boolean | undefined {
  const length = Math.min(bytes.length, CONNECT_START.length)
  if (!CONNECT_START.subarray(0, length).equals(bytes.subarray(0, length))) return false
  return length === CONNECT_START.length || undefined
}

/** Behind the number of the type: a struct, its name, and the length of the name. */
const REQUEST_DEFINITION = Buffer.from('\x03\x01\x01\x07Request', 'latin1')

const MIN_DEFINITION_BYTES = 0x20
/** The number −64, that of the first type. */
const FIRST_TYPE = 0x7f
const MAX_ID_BYTES = 4

/** Whether a connection begins with the definition of the type `Request`; undefined if more bytes must tell. */
export function isGob(bytes: Uint8Array): boolean | undefined {
  const [length = MIN_DEFINITION_BYTES, first = FIRST_TYPE] = bytes
  // The number of the type is negative. A program that has many types has a large one.
  const idBytes = first === FIRST_TYPE ? 0 : 0x100 - first
  if (length < MIN_DEFINITION_BYTES || length >= 0x80 || idBytes > MAX_ID_BYTES) return false
  const found = bytes.subarray(2 + idBytes, 2 + idBytes + REQUEST_DEFINITION.length)
  if (!REQUEST_DEFINITION.subarray(0, found.length).equals(found)) return false
  return found.length === REQUEST_DEFINITION.length || undefined
}

/** Reads the head of a request or a response: the lines until an empty one. */
export class HeadReader {
  #received = Buffer.alloc(0)

  /**
   * @returns the head and the bytes behind it; undefined if it goes on
   * @throws RangeError for a head that is too long
   */
  read(chunk: Buffer): { readonly head: string; readonly rest: Buffer } | undefined {
    this.#received = Buffer.concat([this.#received, chunk])
    const end = endOfHead(this.#received.subarray(0, MAX_HEAD_BYTES))
    if (end !== undefined)
      return { head: this.#received.subarray(0, end).toString('latin1'), rest: this.#received.subarray(end) }
    if (this.#received.length >= MAX_HEAD_BYTES) throw new RangeError('a head of HTTP that is too long')
    return undefined
  }
}

/** Where an empty line ends. Lines end with a line feed, or a carriage return and a line feed. */
function endOfHead(bytes: Buffer): number | undefined {
  for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1)) {
    const next = bytes[at + 1] === CARRIAGE_RETURN ? at + 2 : at + 1
    if (bytes[next] === LINE_FEED) return next + 1
  }
  return undefined
}
