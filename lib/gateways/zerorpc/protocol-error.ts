// The error of bytes that are not of the protocol.

/** A client breaks ZMTP, MessagePack or ZeroRPC. */
export class ProtocolError extends Error {
  override name = 'ProtocolError'
}
