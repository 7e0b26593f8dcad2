// Buffers that are given up: they move to the other side where what is between can move them, and are gone here in any
// case.
import { sharedInRealm } from './copies.js'
import { isInstanceOf } from './realms.js'

const transferred = sharedInRealm('given-up/1', () => new WeakSet<ArrayBufferLike>())

/** Says that the buffer is to move with the next message that it is in. @throws TypeError for what is no whole buffer */
export function markTransferred(bytes: ArrayBuffer | ArrayBufferView): void {
  const buffer = isInstanceOf('ArrayBuffer', bytes)
    ? bytes
    : (bytes as Partial<ArrayBufferView> | null)?.buffer
  if (!isInstanceOf('ArrayBuffer', buffer))
    throw new TypeError('Netref.transfer: it takes an ArrayBuffer or a view of one')
  if (bytes.byteLength !== buffer.byteLength) {
    throw new TypeError(
      `Netref.transfer: ${bytes.byteLength} of the ${buffer.byteLength} bytes of a buffer, which would go as a whole: transfer a copy`
    )
  }
  if (buffer.byteLength > 0) transferred.add(buffer)
}

export const isTransferred = ({ buffer }: ArrayBufferView): boolean => transferred.has(buffer)

/** Whether its bytes are gone, here or to another thread. (Node 20 has no `detached` to ask for.) */
export function isDetached(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

/** The same bytes, each range in a buffer of its own: what was given up moves there, all else is copied. */
export function copyOrTransfer(ranges: readonly Uint8Array[]): Uint8Array[] {
  const moving = new Set<ArrayBufferLike>()
  // Copied first: what moves is gone for a view of it that was sent beside.
  const copies = ranges.map(range => {
    const { buffer, byteLength } = range
    if (!transferred.has(buffer) || byteLength !== buffer.byteLength || moving.has(buffer))
      return new Uint8Array(range)
    moving.add(buffer)
    return undefined
  })
  return copies.map((copy, i) => copy ?? transferBuffer(ranges[i]!.buffer as ArrayBuffer))
}

const transferBuffer = (buffer: ArrayBuffer) =>
  new Uint8Array(structuredClone(buffer, { transfer: [buffer] }))
