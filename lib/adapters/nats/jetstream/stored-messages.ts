// Reads and deletes the messages of a stream one by one, without a consumer.
import type { MsgRequest, StoredMsg } from '@nats-io/jetstream'
import { apiErrorCode, type JetStream } from './jetstream.js'

/** Codes of the deletion of a message that is not there: the stream has others, or none. */
const NOT_FOUND = [10_043, 10_057]

/** The messages of a stream on these subjects, oldest first, also those that are stored meanwhile. */
export async function* storedMessages(
  jetstream: JetStream,
  stream: string,
  subjects: string
): AsyncGenerator<StoredMsg, void, undefined> {
  for (let seq = 1; ; ) {
    // The type lacks this form of the request, which nats-server has.
    const query = { seq, next_by_subj: subjects } as unknown as MsgRequest
    const message = await jetstream.persist(({ manager }) => manager.streams.getMessage(stream, query))
    if (!message) return
    yield message
    seq = message.seq + 1
  }
}

/** Deletes a message. One that is gone already is no error. */
export async function deleteMessage(jetstream: JetStream, stream: string, seq: number): Promise<void> {
  await jetstream.persist(async ({ manager }) => {
    try {
      await manager.streams.deleteMessage(stream, seq, false)
    } catch (error) {
      if (!NOT_FOUND.includes(apiErrorCode(error)!)) throw error
    }
  })
}
