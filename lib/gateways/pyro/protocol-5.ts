// The messages of Pyro5, version 502 of its protocol.

import {
  type MessageHeader,
  type OutgoingMessage,
  type Protocol,
  PyroProtocolError,
  STREAM_ANNOTATION
} from './protocol.js'

const VERSION = 502
const HEADER_BYTES = 40
const HEADER_END = 0x4dc5
const CORRELATION_FLAG = 64
const CORRELATION_START = 20
const CORRELATION_BYTES = 16
/** The name and the length of an annotation. */
const ANNOTATION_HEAD_BYTES = 8

export const PYRO_5: Protocol = {
  pyro: 'Pyro5',
  headerBytes: HEADER_BYTES,
  itemStreamFlag: 16,
  keepSerializedFlag: 32,
  metadataFlag: 0,
  exceptionWrapper: 'Pyro5.core._ExceptionWrapper',
  jsonId: 3,
  readHeader,
  writeMessage
}

function readHeader(bytes: Buffer): MessageHeader {
  if (bytes.readUInt16BE(38) !== HEADER_END) throw new PyroProtocolError('the end of a header is wrong')
  const flags = bytes.readUInt16BE(8)
  const isCorrelated = (flags & CORRELATION_FLAG) !== 0
  return {
    type: bytes[6]!,
    serializer: bytes[7]!,
    flags,
    seq: bytes.readUInt16BE(10),
    dataBytes: bytes.readUInt32BE(12),
    annotationBytes: bytes.readUInt32BE(16),
    correlationId: isCorrelated
      ? Uint8Array.prototype.slice.call(bytes, CORRELATION_START, CORRELATION_START + CORRELATION_BYTES)
      : undefined
  }
}

function writeMessage(message: OutgoingMessage): Buffer {
  const { type, flags, seq, serializer, correlationId, streamId, data } = message
  const dataBytes = Buffer.byteLength(data)
  const annotationBytes = streamId === undefined ? 0 : ANNOTATION_HEAD_BYTES + streamId.length
  const dataStart = HEADER_BYTES + annotationBytes
  const bytes = Buffer.allocUnsafe(dataStart + dataBytes).fill(0, 0, HEADER_BYTES)
  bytes.write('PYRO', 'latin1')
  bytes.writeUInt16BE(VERSION, 4)
  bytes[6] = type
  bytes[7] = serializer
  bytes.writeUInt16BE(correlationId ? flags | CORRELATION_FLAG : flags, 8)
  bytes.writeUInt16BE(seq, 10)
  bytes.writeUInt32BE(dataBytes, 12)
  bytes.writeUInt32BE(annotationBytes, 16)
  if (correlationId) bytes.set(correlationId, CORRELATION_START)
  bytes.writeUInt16BE(HEADER_END, 38)
  if (streamId !== undefined) {
    bytes.write(STREAM_ANNOTATION, HEADER_BYTES, 'latin1')
    bytes.writeUInt32BE(streamId.length, HEADER_BYTES + STREAM_ANNOTATION.length)
    bytes.write(streamId, HEADER_BYTES + ANNOTATION_HEAD_BYTES, 'latin1')
  }
  bytes.write(data, dataStart)
  return bytes
}
