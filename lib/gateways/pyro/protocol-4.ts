// The messages of Pyro4, version 48 of its protocol.

import {
  type MessageHeader,
  type OutgoingMessage,
  type Protocol,
  PyroProtocolError,
  STREAM_ANNOTATION
} from './protocol.js'

const VERSION = 48
const HEADER_BYTES = 24
const CHECKSUM_START = 0x34e9
/** The name and the length of an annotation. */
const ANNOTATION_HEAD_BYTES = 6

export const PYRO_4: Protocol = {
  pyro: 'Pyro4',
  headerBytes: HEADER_BYTES,
  itemStreamFlag: 32,
  keepSerializedFlag: 64,
  metadataFlag: 16,
  exceptionWrapper: 'Pyro4.futures._ExceptionWrapper',
  jsonId: 2,
  readHeader,
  writeMessage
}

function readHeader(bytes: Buffer): MessageHeader {
  const header: MessageHeader = {
    type: bytes.readUInt16BE(6),
    flags: bytes.readUInt16BE(8),
    seq: bytes.readUInt16BE(10),
    dataBytes: bytes.readUInt32BE(12),
    serializer: bytes.readUInt16BE(16),
    annotationBytes: bytes.readUInt16BE(18)
  }
  if (bytes.readUInt16BE(22) !== checksumOf(header))
    throw new PyroProtocolError('the checksum of a header is wrong')
  return header
}

function writeMessage({ type, flags, seq, serializer, streamId, data }: OutgoingMessage): Buffer {
  const dataBytes = Buffer.byteLength(data)
  const annotationBytes = streamId === undefined ? 0 : ANNOTATION_HEAD_BYTES + streamId.length
  const dataStart = HEADER_BYTES + annotationBytes
  const bytes = Buffer.allocUnsafe(dataStart + dataBytes)
  bytes.write('PYRO', 'latin1')
  bytes.writeUInt16BE(VERSION, 4)
  bytes.writeUInt16BE(type, 6)
  bytes.writeUInt16BE(flags, 8)
  bytes.writeUInt16BE(seq, 10)
  bytes.writeUInt32BE(dataBytes, 12)
  bytes.writeUInt16BE(serializer, 16)
  bytes.writeUInt16BE(annotationBytes, 18)
  bytes.writeUInt16BE(0, 20)
  bytes.writeUInt16BE(checksumOf({ type, flags, seq, serializer, dataBytes, annotationBytes }), 22)
  if (streamId !== undefined) {
    bytes.write(STREAM_ANNOTATION, HEADER_BYTES, 'latin1')
    bytes.writeUInt16BE(streamId.length, HEADER_BYTES + STREAM_ANNOTATION.length)
    bytes.write(streamId, HEADER_BYTES + ANNOTATION_HEAD_BYTES, 'latin1')
  }
  bytes.write(data, dataStart)
  return bytes
}

const checksumOf = ({ type, flags, seq, serializer, dataBytes, annotationBytes }: MessageHeader): number =>
  (type + VERSION + dataBytes + annotationBytes + serializer + flags + seq + CHECKSUM_START) & 0xffff
