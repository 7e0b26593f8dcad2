// Ends waiting for an answer of NATS when the connection is lost: the answer may be lost, too.
import type { Emitter } from '../../util/emitter.js'

/** NATS was disconnected while an operation was under way. */
export class ConnectionLostError extends Error {
  override name = 'ConnectionLostError'
}

/** The events of a connection that end all operations. */
type LossEvents = Pick<Emitter<{ disconnected: undefined; closed: Error | undefined }>, 'on'>

/** The outcome of an operation. Rejects at once if NATS is disconnected meanwhile, or the bus is closed. */
export function unlessLost<T>(events: LossEvents, operation: Promise<T>): Promise<T> {
  const removeListeners: (() => void)[] = []
  const lost = new Promise<never>((_, reject) => {
    const onLost = () => reject(new ConnectionLostError('the connection was lost'))
    removeListeners.push(events.on('disconnected', onLost), events.on('closed', onLost))
  })
  return Promise.race([operation, lost]).finally(() => {
    for (const remove of removeListeners) remove()
  })
}
