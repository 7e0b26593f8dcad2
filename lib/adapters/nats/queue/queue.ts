// Defines the class of queues, which `bus.queue` returns.
import type { ExposedKey, ExposedMember, RemoteHandle, ServiceSource } from '../../../index.js'
import type { DataOnly } from '../../../types/netref.js'
import type { BusConnection } from '../bus-connection.js'
import { type DeadLetter, listDeadLetters } from './dead-letters.js'
import { Producer } from './producer.js'
import { type QueueOptions, QueueStorage } from './queue-storage.js'
import { Worker, type WorkOptions } from './worker.js'

/** A method whose calls are stored. It resolves when the call is stored. An argument that has behaviour does not compile. */
export type QueuedMethod<Args extends readonly unknown[]> = RemoteHandle<unknown> &
  ((
    ...args: { [I in keyof Args]: Args[I] extends DataOnly<Args[I]> ? Args[I] : DataOnly<Args[I]> }
  ) => Promise<void>)

/** The methods of a service that is reached through a queue: their calls resolve when they are stored. */
export type QueuedMembers<T> = RemoteHandle<T> & {
  readonly [K in ExposedKey<T> & string]: ExposedMember<T, K> extends (...args: infer Args) => unknown
    ? QueuedMethod<Args>
    : QueuedMembers<ExposedMember<T, K>>
}

/**
 * A queue of calls, which are stored at NATS until a worker has run them. `bus.queue` returns it.
 *
 * @example
 * const mail = bus.queue<Mailer>('mail')
 * await Netref.with(mail.call.send, { idempotencyKey: 'order 7' })({ to: 'ada@example.com' }) // is stored, once
 */
export class Queue<T extends object> {
  /**
   * The methods of the service. A call takes data only. It resolves when NATS has stored it, and is then run by a worker,
   * sometime. Its result is not sent. With `Netref.with(fn, { idempotencyKey })`, calls with the same key are stored, and
   * run, once. `signal` and `timeout` end the waiting; the call may be stored nevertheless.
   *
   * Rejects with UnsendableError for a reference in the arguments, LimitError for a call that is too large, and for a
   * queue that is full, and NetrefError `unreachable` or `unavailable` if NATS does not store it.
   */
  readonly call: QueuedMembers<T>
  readonly #storage: QueueStorage

  /** @internal */
  constructor(connection: BusConnection, name: string, options: QueueOptions) {
    this.#storage = new QueueStorage(connection, name, options)
    this.call = new Producer(this.#storage).calls as QueuedMembers<T>
  }

  /**
   * Starts a worker, which runs the methods of a service. The rules for calls of peers hold: `exposed`, `if`, schemas and
   * `before`. The worker is one session, for which `onConnect` and `onDisconnect` are called. Nobody is its peer:
   * `callSession().identity` is undefined.
   *
   * @throws TypeError and RangeError for invalid options, NetrefError `unreachable` or `unavailable` if NATS cannot be used
   * @throws SessionEndedError if the service cannot be created
   * @example
   * await using worker = await mail.work(Mailer, { concurrency: 10, attempts: 3 })
   */
  work(service: ServiceSource<T>, options: WorkOptions = {}): Promise<Worker> {
    return Worker.start(this.#storage, service, options)
  }

  /**
   * The jobs that are not tried again, oldest first.
   *
   * @example
   * for await (const letter of mail.deadLetters()) {
   *   if (letter.reason.code === 'failed') await letter.putBack()
   * }
   */
  deadLetters(): AsyncGenerator<DeadLetter, void, undefined> {
    return listDeadLetters(this.#storage)
  }
}
