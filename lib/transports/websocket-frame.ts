// Frames as they cross a WebSocket (RFC 6455), each in one piece where that is quicker: a socket takes as long for a
// second small piece as for the first.
import { randomFillSync } from 'node:crypto'

const [TEXT, BINARY, FINAL, MASKED] = [0x01, 0x02, 0x80, 0x80]
const [LENGTH_IN_2, LENGTH_IN_8] = [126, 127]
/** Bytes up to which copying them costs less than a piece of their own. */
const COPIED = 1 << 14
const KEY_SIZE = 4

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

/**
 * The pieces that a frame crosses in; the last may be the frame itself. What a client sends is masked, with a key that
 * nobody can foresee.
 */
export function formatSocketFrame(
  frame: string | Uint8Array,
  masked: boolean
): [piece: Uint8Array, rest?: Uint8Array] {
  const isText = typeof frame === 'string'
  const length = isText ? Buffer.byteLength(frame) : frame.byteLength
  const start = (length < LENGTH_IN_2 ? 2 : length < 1 << 16 ? 4 : 10) + (masked ? KEY_SIZE : 0)
  const whole = isText || masked || length <= COPIED
  const piece = allocate(start, whole ? length : 0)
  piece[0] = FINAL | (isText ? TEXT : BINARY)
  if (length < LENGTH_IN_2) piece[1] = length
  else if (length < 1 << 16) {
    piece[1] = LENGTH_IN_2
    piece.writeUInt16BE(length, 2)
  } else {
    piece[1] = LENGTH_IN_8
    piece.writeBigUInt64BE(BigInt(length), 2)
  }
  if (isText) piece.write(frame, start)
  else if (whole) piece.set(frame, start)
  if (masked) {
    piece[1]! |= MASKED
    mask(piece, start)
  }
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
  const words = new Int32Array(
    piece.buffer,
    piece.byteOffset + start - KEY_SIZE,
    (piece.length - start + KEY_SIZE) >> 2
  )
  const key = drawKey()
  words[0] = key
  for (let i = 1; i < words.length; i++) words[i]! ^= key
  for (let i = start + ((piece.length - start) & ~3); i < piece.length; i++)
    piece[i]! ^= piece[start - KEY_SIZE + ((i - start) & 3)]!
}
