// Deletes settled jobs that a killed NATS has forgotten to have deleted. It delivers them no more, but they take up space.
import { deleteMessage, storedMessages } from '../jetstream/stored-messages.js'
import { ID_HEADER } from './job.js'
import { digestOf, type JobRecords } from './job-records.js'
import { CONSUMER, type QueueStorage } from './queue-storage.js'

export async function sweep(
  { jetstream, jobStream, jobSubject }: QueueStorage,
  records: JobRecords
): Promise<void> {
  const { delivered } = await jetstream.persist(({ manager }) => manager.consumers.info(jobStream, CONSUMER))
  for await (const { seq, header } of storedMessages(jetstream, jobStream, jobSubject)) {
    if (seq > delivered.stream_seq) return
    const stored = await records.get(digestOf(header.get(ID_HEADER)))
    if (stored?.record.state === 'settled') await deleteMessage(jetstream, jobStream, seq)
  }
}
