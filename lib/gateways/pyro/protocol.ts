// What the messages of Pyro4 and Pyro5 have in common. The files `protocol-4.ts` and `protocol-5.ts` have their headers.

/** The types of messages. */
export const MessageType = {
  connect: 1,
  connectOk: 2,
  connectFail: 3,
  invoke: 4,
  result: 5,
  ping: 6
} as const

/** The flags that both versions have. */
export const Flag = {
  exception: 1,
  compressed: 2,
  oneway: 4,
  batch: 8
} as const

/** The header of a message. */
export interface MessageHeader {
  readonly type: number
  readonly flags: number
  /** The number by which the client finds the reply: 16 bits. */
  readonly seq: number
  /** The id of the serializer that wrote the data. */
  readonly serializer: number
  readonly dataBytes: number
  readonly annotationBytes: number
  /** What the reply repeats; undefined in Pyro4, and if the client sends none. */
  readonly correlationId?: Uint8Array | undefined
}

/** A message that was received. Its annotations are not: clients use them among themselves. */
export interface Message extends MessageHeader {
  readonly data: Buffer
}

/** A message to send. */
export interface OutgoingMessage {
  readonly type: number
  readonly flags: number
  readonly seq: number
  readonly serializer: number
  readonly correlationId?: Uint8Array | undefined
  /** The id of an item stream, which is an annotation. */
  readonly streamId?: string | undefined
  readonly data: string
}

/** A version of Pyro's protocol. */
export interface Protocol {
  /** The package of Python: the start of the names of its classes. */
  readonly pyro: 'Pyro4' | 'Pyro5'
  readonly headerBytes: number
  /** The flag of a result that is an iterator. */
  readonly itemStreamFlag: number
  /** The flag of a request whose arguments are only passed on. */
  readonly keepSerializedFlag: number
  /** The flag of a client that asks for the description of its object when it connects; 0 if all do. */
  readonly metadataFlag: number
  /** The class that stands for an exception in the results of a batch. */
  readonly exceptionWrapper: string
  /** The id of the serializer for JSON. */
  readonly jsonId: number
  /** @throws PyroProtocolError if it is no header of this version */
  readHeader(bytes: Buffer): MessageHeader
  writeMessage(message: OutgoingMessage): Buffer
}

/** A client breaks the protocol: its connection ends. */
export class PyroProtocolError extends Error {
  override name = 'PyroProtocolError'
}

/** What every message begins with; the version follows, in 2 bytes. */
export const MAGIC = Buffer.from('PYRO')
/** Length of `PYRO` and the version. */
export const PREFIX_BYTES = 6
/** The annotation with the id of an item stream. */
export const STREAM_ANNOTATION = 'STRM'
