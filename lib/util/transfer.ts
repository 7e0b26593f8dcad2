// Buffers marked for transfer. They move to the peer if the transport can move buffers, and are detached here in any case.
import { sharedInRealm } from './library-copies.js'
import { isInstanceOf } from './realms.js'

const transferred = sharedInRealm('given-up/1', () => new WeakSet<ArrayBufferLike>())

/** Marks a buffer for transfer with the next message that holds it. @throws TypeError if it is not a whole buffer */
export function markTransferred(bytes: ArrayBuffer | ArrayBufferView): void {
  const buffer = isInstanceOf('ArrayBuffer', bytes)
    ? bytes
    : (bytes as Partial<ArrayBufferView> | null)?.buffer
  if (!isInstanceOf('ArrayBuffer', buffer))
    throw new TypeError('Netref.transfer: pass an ArrayBuffer or a view of one')
  if (bytes.byteLength !== buffer.byteLength) {
    throw new TypeError(
      `Netref.transfer: the view has ${bytes.byteLength} of the ${buffer.byteLength} bytes of its buffer, which is transferred as a whole: transfer a copy`
    )
  }
  if (buffer.byteLength > 0) transferred.add(buffer)
}

export const isTransferred = ({ buffer }: ArrayBufferView): boolean => transferred.has(buffer)

/** Whether a buffer is detached. (Node 20 lacks `ArrayBuffer.prototype.detached`.) */
export function isDetached(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

/** Puts each range into a buffer of its own: marked buffers are transferred there, all others copied. */
export function copyOrTransfer(ranges: readonly Uint8Array[]): Uint8Array[] {
  const moving = new Set<ArrayBufferLike>()
  // Copies come first: another range may be a view of a buffer that is transferred.
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
