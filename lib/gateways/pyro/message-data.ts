// Reads the data of a message: it may be compressed, and its serializer is the client's choice.

import { promisify } from 'node:util'
import { inflate, type ZlibOptions } from 'node:zlib'
import { Flag, type Message } from './protocol.js'
import { PythonRaise } from './python-exception.js'
import type { Serializer, SerializerLimits } from './serializers.js'

/** In another thread, as few bytes may become many. */
const inflateBytes: (bytes: Uint8Array, options: ZlibOptions) => Promise<Buffer> = promisify(inflate)

/**
 * The data of a message.
 *
 * @param maxBytes maximum length of the data, not compressed
 * @throws PythonRaise if it is malformed, or beyond a limit
 */
export async function readData(
  { data, flags }: Message,
  serializer: Serializer,
  limits: SerializerLimits,
  maxBytes: number
): Promise<unknown> {
  try {
    const isCompressed = (flags & Flag.compressed) !== 0
    const bytes = isCompressed ? await inflateBytes(data, { maxOutputLength: maxBytes }) : data
    return serializer.read(bytes, limits)
  } catch (error) {
    const { message } = error as Error
    throw new PythonRaise('builtins', 'ValueError', [`the data of a message cannot be read: ${message}`])
  }
}

/** The error for data of a serializer that is not one of these. */
export const unknownSerializer = (id: number): PythonRaise =>
  new PythonRaise('errors', 'SerializeError', [`the serializer ${id} is not accepted: use serpent or json`])
