// Frames as they cross a WebSocket (RFC 6455), each in one piece where that is quicker: a socket takes as long for a
// second small piece as for the first.
import { randomFillSync } from 'node:crypto'

const [TEXT, BINARY, FINAL, MASKED] = [0x01, 0x02, 0x80, 0x80]
const [LENGTH_IN_2, LENGTH_IN_8] = [126, 127]
/** Bytes up to which copying them costs less than a piece of their own. */
const COPIED = 1 << 14
const KEY_SIZE = 4

/**
 * With what key a frame is masked: a server's with none, a client's with one that nobody can foresee, so that nobody
 * can make what is between them take the content for something else. Where nothing between can read it, zero will do.
 */
export type Masking = 'none' | 'zero' | 'random'

const ALONE = /^wss:|^ws:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])[:/]/

/** How a client masks its frames to that address: over TLS and on this very machine nothing between can read them. */
export const maskingFor = (address: string): Masking => (ALONE.test(address) ? 'zero' : 'random')

/** Keys to come, many drawn at once. */
const keys = new Int32Array(2048)
let drawn = keys.length

function drawKey(): number {
  if (drawn === keys.length) {
    randomFillSync(keys)
    drawn = 0
  }
  return keys[drawn++]!
}

/** The pieces that a frame crosses in: the second, if there is one, is the frame itself. */
export function formatSocketFrame(
  frame: string | Uint8Array,
  masking: Masking
): [piece: Uint8Array, rest?: Uint8Array] {
  const isText = typeof frame === 'string'
  const length = isText ? Buffer.byteLength(frame) : frame.byteLength
  const start = (length < LENGTH_IN_2 ? 2 : length < 1 << 16 ? 4 : 10) + (masking === 'none' ? 0 : KEY_SIZE)
  const whole = isText || masking === 'random' || length <= COPIED
  const piece = allocate(start, whole ? length : 0)
  piece[0] = FINAL | (isText ? TEXT : BINARY)
  const masked = masking === 'none' ? 0 : MASKED
  if (length < LENGTH_IN_2) piece[1] = masked | length
  else if (length < 1 << 16) {
    piece[1] = masked | LENGTH_IN_2
    piece.writeUInt16BE(length, 2)
  } else {
    piece[1] = masked | LENGTH_IN_8
    piece.writeBigUInt64BE(BigInt(length), 2)
  }
  if (isText) piece.write(frame, start)
  else if (whole) piece.set(frame, start)
  if (masking === 'zero') piece.fill(0, start - KEY_SIZE, start)
  if (masking === 'random') mask(piece, start)
  return whole ? [piece] : [piece, frame as Uint8Array]
}

/** Room for a head and what follows it, which begins where a word begins. */
function allocate(start: number, length: number): Buffer {
  const room = Buffer.allocUnsafe(start + length + KEY_SIZE)
  const offset = -(room.byteOffset + start) & (KEY_SIZE - 1)
  return room.subarray(offset, offset + start + length)
}

/** Masks all from `start` on, which is where a word begins, and writes the key before it. */
function mask(piece: Buffer, start: number): void {
  const key = start - KEY_SIZE
  const words = new Int32Array(piece.buffer, piece.byteOffset + key, (piece.length - key) >> 2)
  words[0] = drawKey()
  for (let i = 1; i < words.length; i++) words[i]! ^= words[0]!
  for (let i = key + words.length * KEY_SIZE; i < piece.length; i++)
    piece[i]! ^= piece[key + ((i - key) & 3)]!
}
