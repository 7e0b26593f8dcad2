// ZMTP 3, the protocol of ZeroMQ over TCP, on the side of a ROUTER without security: the greeting, commands and frames.

import { ProtocolError } from './protocol-error.js'

export const GREETING_BYTES = 64
/** Its first byte, eight bytes of any value, and its last byte. */
const SIGNATURE_BYTES = 10
const SIGNATURE_START = 0xff
const SIGNATURE_END = 0x7f
const MAJOR_VERSION = 3
const MINOR_VERSION = 1
const MECHANISM = { name: 'NULL', start: 12, end: 32 } as const

/** Bits of the flags of a frame. */
export const Flag = { more: 1, long: 2, command: 4 } as const
/** Longest body of a frame whose length is one byte. */
const MAX_SHORT_BYTES = 255
export const LONG_LENGTH_BYTES = 8

/** Whether a connection begins with the signature of ZMTP; undefined asks for more bytes. */
export function isGreeting(firstBytes: Uint8Array): boolean | undefined {
  if (firstBytes[0] !== SIGNATURE_START) return firstBytes.length === 0 ? undefined : false
  if (firstBytes.length < SIGNATURE_BYTES) return undefined
  return firstBytes[SIGNATURE_BYTES - 1] === SIGNATURE_END
}

/** @throws ProtocolError for another version, or a security mechanism */
export function checkGreeting(greeting: Buffer): void {
  if (!isGreeting(greeting)) throw new ProtocolError('the greeting is not of ZMTP')
  const version = greeting[SIGNATURE_BYTES]!
  if (version < MAJOR_VERSION) throw new ProtocolError(`ZMTP ${version} is not supported`)
  const mechanism = greeting.toString('latin1', MECHANISM.start, MECHANISM.end)
  if (mechanism !== MECHANISM.name.padEnd(MECHANISM.end - MECHANISM.start, '\0'))
    throw new ProtocolError('the security mechanism is not NULL')
}

/** What the server sends first: its greeting, and the command that it is ready. */
export function formatOpening(): Buffer {
  const greeting = Buffer.alloc(GREETING_BYTES)
  greeting[0] = SIGNATURE_START
  greeting[SIGNATURE_BYTES - 2] = 1
  greeting[SIGNATURE_BYTES - 1] = SIGNATURE_END
  greeting[SIGNATURE_BYTES] = MAJOR_VERSION
  greeting[SIGNATURE_BYTES + 1] = MINOR_VERSION
  greeting.write(MECHANISM.name, MECHANISM.start)
  const ready = formatCommand('READY', Buffer.from('\x0bSocket-Type\0\0\0\x06ROUTER', 'latin1'))
  return Buffer.concat([greeting, ready])
}

/** A command with a short body. */
export function formatCommand(name: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Uint8Array.of(name.length), Buffer.from(name), data])
  return Buffer.concat([Uint8Array.of(Flag.command, body.length), body])
}

/** A message of these frames. */
export const formatMessage = (frames: readonly Uint8Array[]): Buffer =>
  Buffer.concat(
    frames.flatMap((frame, i) => [frameHead(frame.length, i < frames.length - 1 ? Flag.more : 0), frame])
  )

function frameHead(length: number, flags: number): Buffer {
  if (length <= MAX_SHORT_BYTES) return Buffer.of(flags, length)
  const head = Buffer.alloc(1 + LONG_LENGTH_BYTES)
  head[0] = flags | Flag.long
  head.writeUIntBE(length, 1 + LONG_LENGTH_BYTES - 6, 6)
  return head
}

/** A command: `READY`, `PING` or another. */
export interface Command {
  readonly name: string
  readonly data: Buffer
}

/** @throws ProtocolError if it has no name */
export function parseCommand(body: Buffer): Command {
  const end = 1 + (body[0] ?? 0)
  if (body.length < Math.max(2, end)) throw new ProtocolError('a command has no name')
  return { name: body.toString('latin1', 1, end), data: body.subarray(end) }
}

/** Checks the metadata of a client that is ready. @throws ProtocolError if it cannot be a client of a ROUTER here */
export function checkSocketType(metadata: Buffer): void {
  for (let start = 0; start < metadata.length; ) {
    const nameEnd = start + 1 + metadata[start]!
    const valueStart = nameEnd + 4
    if (valueStart > metadata.length) break
    const valueEnd = valueStart + metadata.readUInt32BE(nameEnd)
    if (valueEnd > metadata.length) break
    const name = metadata.toString('latin1', start + 1, nameEnd)
    const value = metadata.toString('latin1', valueStart, valueEnd)
    if (name.toLowerCase() === 'socket-type' && value === 'DEALER') return
    start = valueEnd
  }
  throw new ProtocolError('the socket of the client is not a DEALER')
}
