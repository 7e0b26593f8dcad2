// Helpers of the specs of buses on NATS.
import type { Test } from 'tap'
import { type Bus, nats } from '../../lib/adapters/nats.js'
import { rejectionOf } from './helpers.js'

/** A bus whose errors are collected; it is closed at the end of the test. */
export function openBus(t: Test, url: string | Parameters<typeof nats>[0]): { bus: Bus; errors: unknown[] } {
  const errors: unknown[] = []
  const bus = nats(url, { onError: error => errors.push(error) })
  t.teardown(() => bus.close())
  return { bus, errors }
}

/** Reads this many values. */
export async function read<T>(values: AsyncIterator<T>, count: number): Promise<T[]> {
  const all: T[] = []
  while (all.length < count) {
    const { done, value } = await values.next()
    if (done) throw new Error(`it ended after ${all.length} values`)
    all.push(value)
  }
  return all
}

/** Whether anybody subscribes to a topic: NATS answers a request where nobody is. */
export async function hasSubscribers(bus: Bus, name: string): Promise<boolean> {
  const connection = await bus.connection.open()
  const error = await rejectionOf(connection.request(`netref.t.${name}`, '', { timeout: 100 }))
  return error.name !== 'NoResponders' && !/no responders/.test(error.message)
}

/** Resolves when the bus is reconnected, and NATS has its subscriptions again. */
export async function reconnected({ connection }: Bus): Promise<void> {
  await new Promise<void>(resolve => {
    const off = connection.events.on('reconnected', () => {
      off()
      resolve()
    })
  })
  await connection.connected!.flush()
}
