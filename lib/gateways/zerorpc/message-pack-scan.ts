// Looks through MessagePack before it is decoded, so that a decoder need not be trusted with counts and depth.

import { ProtocolError } from './protocol-error.js'

/** Whether 64-bit integers of a value are beyond those that a number has exactly. */
interface Findings {
  hasLargeIntegers: boolean
}

/** A value in a message. */
export interface ValueRange extends Readonly<Findings> {
  readonly start: number
  readonly end: number
}

/** The one extension type that is decoded: a time. */
const TIMESTAMP_TYPE = -1
const MAX_SAFE_HIGH_WORD = 0x1f_ffff
/** Bytes of the numbers with the heads 0xca to 0xd3: two floats, four unsigned and four signed integers. */
const NUMBER_BYTES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8]
const UINT64 = 0xcf
const INT64 = 0xd3

type Kind = 'bytes' | 'extension' | 'list' | 'map'
/** Values whose length is a number of so many bytes, by head. */
const SIZED = new Map<number, { readonly kind: Kind; readonly lengthBytes: number }>(
  (
    [
      ['bytes', 0xc4, 1],
      ['extension', 0xc7, 1],
      ['bytes', 0xd9, 1],
      ['list', 0xdc, 2],
      ['map', 0xde, 2]
    ] as const
  ).flatMap(([kind, firstHead, firstLength]) =>
    [1, 2, 4]
      .filter(lengthBytes => lengthBytes >= firstLength)
      .map((lengthBytes, i) => [firstHead + i, { kind, lengthBytes }] as const)
  )
)

/**
 * Finds the end of a value.
 *
 * @param maxDepth maximum number of lists and maps around a value
 * @throws ProtocolError if it is cut or malformed, has more parts than bytes, is too deep, or has an unknown extension
 */
export function scanValue(bytes: Buffer, start: number, maxDepth: number): ValueRange {
  const findings: Findings = { hasLargeIntegers: false }
  let position = start
  /** Values to come in the innermost container, in those around it, and in all. */
  let left = 1
  const outer: number[] = []
  let owed = 1
  while (owed > 0) {
    while (left === 0) left = outer.pop()!
    left--
    owed--
    const [next, parts] = scanHead(bytes, position, findings)
    position = next
    owed += parts
    // Each value has at least one byte. So a short message cannot make a decoder reserve much memory.
    if (owed > bytes.length - position) throw new ProtocolError('the message is cut')
    if (parts === 0) continue
    outer.push(left)
    if (outer.length > maxDepth) throw new ProtocolError(`a value is deeper than ${maxDepth} (limits.depth)`)
    left = parts
  }
  return { start, end: position, ...findings }
}

/** @returns the position behind a head and its bytes, and the number of values that follow as its parts */
function scanHead(
  bytes: Buffer,
  position: number,
  findings: Findings
): readonly [next: number, parts: number] {
  const head = bytes[position]!
  const next = position + 1
  if (head < 0x80 || head >= 0xe0 || head === 0xc0 || head === 0xc2 || head === 0xc3) return [next, 0]
  if (head < 0x90) return [next, 2 * (head & 0x0f)]
  if (head < 0xa0) return [next, head & 0x0f]
  if (head < 0xc0) return [next + (head & 0x1f), 0]
  const numberBytes = NUMBER_BYTES[head - 0xca]
  if (numberBytes !== undefined) {
    if ((head === UINT64 || head === INT64) && !isSafe(bytes, next, head === INT64))
      findings.hasLargeIntegers = true
    return [next + numberBytes, 0]
  }
  if (head >= 0xd4 && head <= 0xd8) return [endOfExtension(bytes, next, 1 << (head - 0xd4)), 0]
  const sized = SIZED.get(head)
  if (!sized) throw new ProtocolError('the message has a byte that MessagePack does not use')
  const { kind, lengthBytes } = sized
  const bodyStart = next + lengthBytes
  if (bodyStart > bytes.length) throw new ProtocolError('the message is cut')
  const length = bytes.readUIntBE(next, lengthBytes)
  if (kind === 'bytes') return [bodyStart + length, 0]
  if (kind === 'extension') return [endOfExtension(bytes, bodyStart, length), 0]
  return [bodyStart, kind === 'map' ? 2 * length : length]
}

function endOfExtension(bytes: Buffer, typeAt: number, length: number): number {
  const type = typeAt < bytes.length ? bytes.readInt8(typeAt) : TIMESTAMP_TYPE
  if (type !== TIMESTAMP_TYPE) throw new ProtocolError(`a value has the extension type ${type}`)
  return typeAt + 1 + length
}

/** Whether a number has the 64-bit integer exactly. A cut one is refused later. */
function isSafe(bytes: Buffer, at: number, isSigned: boolean): boolean {
  if (at + 8 > bytes.length) return true
  const high = isSigned ? bytes.readInt32BE(at) : bytes.readUInt32BE(at)
  return high >= -MAX_SAFE_HIGH_WORD && high <= MAX_SAFE_HIGH_WORD
}
