// A gateway of one's own: the channel below protobuf's stubs, as RPC tutorials write it. A frame is the length of what
// follows (32 bits), the index of a method in its service (16 bits), and a message. Both numbers are little-endian.
import { Netref } from 'netref'
import type { Gateway, GatewayOptions } from 'netref/gateway'
import type protobuf from 'protobufjs'

/** In place of the index: the call failed, and the frame contains the text of its error. */
const FAILED = 0xffff

/** The frames that arrive, without their length. It ends at one that is longer than `maxBytes`. */
async function* framesOf(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let received = Buffer.alloc(0)
  for await (const chunk of chunks) {
    received = Buffer.concat([received, chunk])
    while (received.length >= 4) {
      const end = 4 + received.readUInt32LE()
      if (end < 6 || end > maxBytes) return
      if (received.length < end) break
      yield received.subarray(4, end)
      received = received.subarray(end)
    }
  }
}

function frame(index: number, message: Uint8Array): Buffer {
  const head = Buffer.alloc(6)
  head.writeUInt32LE(message.length + 2)
  head.writeUInt16LE(index, 4)
  return Buffer.concat([head, message])
}

/**
 * Serves the clients of that channel; each method takes one message. Frames look like those of other protocols: it needs a
 * port of its own.
 */
export function protobufChannel(
  service: protobuf.Service,
  options: GatewayOptions & { readonly port: number }
): Gateway {
  const methods = service.methodsArray.map(method => method.resolve() as protobuf.Method)
  return {
    name: 'protobuf-channel',
    ...options,
    // An HTTP request of a page is none: its fifth and sixth byte are no index.
    detect: bytes => (bytes.length < 6 ? undefined : Buffer.from(bytes).readUInt16LE(4) < methods.length),
    async handleSocket(socket, client) {
      const session = await client.openSession()
      session.on('closed', () => socket.end())
      for await (const request of framesOf(socket, client.limits.frameBytes)) {
        const index = request.readUInt16LE()
        try {
          const method = methods[index]
          if (!method) throw new RangeError(`there is no method ${index}`)
          const { name, resolvedRequestType, resolvedResponseType } = method
          const call = Netref.get(session.root, name)
          const message = resolvedRequestType!.decode(request.subarray(2))
          const result = await call(resolvedRequestType!.toObject(message, { defaults: true }))
          const mismatch = resolvedResponseType!.verify(result)
          if (mismatch) throw new TypeError(`the result is no ${resolvedResponseType!.name}: ${mismatch}`)
          socket.write(frame(index, resolvedResponseType!.encode(result).finish()))
        } catch (error) {
          socket.write(frame(FAILED, Buffer.from((error as Error).message)))
        }
      }
    }
  }
}
