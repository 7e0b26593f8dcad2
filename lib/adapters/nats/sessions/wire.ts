// The messages between the two ends of a transport over NATS.
//
//   u8 kind | u32 number, big-endian | body
//
// Each end numbers its messages from 0, so that a lost one is noticed. The kinds:
//   0 text, 1 binary   the last or only part of a frame
//   2 part             a part of a frame, which goes on in the next message
//   3 credit           u32 bytes read so far, modulo 2^32 | u32 window: the bytes that may be on their way
//   4 bye              the close reason, as text; the last message
//   5 lost             not numbered: the sender does not have this transport any more
//   6 hello            the answer to a dial, as JSON: { "to": subject, "window", "id", "version", "metadata" }
// A dial is not framed: it is a message with JSON, { "window" }, whose reply subject is that of the client's end.
import { isUtf8 } from 'node:buffer'
import type { PeerInstance } from '../../../types/session.js'
import { isMetadata, isVersion } from '../discovery/service-facts.js'
import { isName, processOf } from '../subjects.js'

export const Kind = { text: 0, binary: 1, part: 2, credit: 3, bye: 4, lost: 5, hello: 6 } as const

export const HEADER_BYTES = 5
/** Smallest and largest window, in bytes. */
export const MIN_WINDOW_BYTES = 16 << 10
export const MAX_WINDOW_BYTES = 1 << 20

/** A message without its body, with room for it. */
export function allocateMessage(kind: number, number: number, bodyBytes: number): Buffer {
  const message = Buffer.allocUnsafe(HEADER_BYTES + bodyBytes)
  message[0] = kind
  message.writeUInt32BE(number, 1)
  return message
}

export function formatText(kind: number, number: number, text: string): Buffer {
  const message = allocateMessage(kind, number, Buffer.byteLength(text))
  message.write(text, HEADER_BYTES)
  return message
}

export function formatCredit(number: number, readBytes: number, windowBytes: number): Buffer {
  const message = allocateMessage(Kind.credit, number, 8)
  message.writeUInt32BE(readBytes % 2 ** 32, HEADER_BYTES)
  message.writeUInt32BE(windowBytes, HEADER_BYTES + 4)
  return message
}

/** @returns undefined if the body is malformed */
export function parseCredit(
  body: Buffer
): { readonly readBytes: number; readonly windowBytes: number } | undefined {
  if (body.length !== 8) return undefined
  const windowBytes = body.readUInt32BE(4)
  return isWindow(windowBytes) ? { readBytes: body.readUInt32BE(0), windowBytes } : undefined
}

const isWindow = (bytes: unknown): bytes is number =>
  Number.isInteger(bytes) && (bytes as number) >= MIN_WINDOW_BYTES && (bytes as number) <= MAX_WINDOW_BYTES

export const formatDial = (windowBytes: number): string => JSON.stringify({ window: windowBytes })

/** The window of a client; undefined if the dial is malformed. */
export function parseDial(data: Uint8Array): number | undefined {
  const { window } = parseObject(data) ?? {}
  return isWindow(window) ? window : undefined
}

/** The answer to a dial. */
export interface Hello extends PeerInstance {
  /** Subject of the server's end. */
  readonly to: string
  readonly windowBytes: number
}

export const formatHello = ({ to, windowBytes, id, version, metadata }: Hello): Buffer =>
  formatText(Kind.hello, 0, JSON.stringify({ to, window: windowBytes, id, version, metadata }))

/** @returns undefined if the answer is malformed */
export function parseHello(body: Buffer): Hello | undefined {
  const { to, window: windowBytes, id, version, metadata } = parseObject(body) ?? {}
  if (typeof to !== 'string' || processOf(to) === undefined || !isWindow(windowBytes)) return undefined
  if (!isName(id) || !isVersion(version) || !isMetadata(metadata)) return undefined
  return { to, windowBytes, id, version, metadata }
}

function parseObject(data: Uint8Array): Record<string, unknown> | undefined {
  if (!isUtf8(data)) return undefined
  try {
    const value = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString())
    return Object(value) === value ? value : undefined
  } catch {
    return undefined
  }
}
