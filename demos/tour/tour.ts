// The service: the small examples of RPC tutorials.
import { inspect, isDeepStrictEqual } from 'node:util'
import { expose, Netref, Service } from 'netref'

/** Subscribers that `publish` calls; all sessions share them. */
const subscribers = new Set<Netref<(news: string) => void>>()

export class Tour extends Service {
  exposed_sum(x: number, y: number) {
    return x + y
  }

  exposed_get_time() {
    return new Date()
  }

  exposed_addtogether(...things: string[]) {
    return things.join('')
  }

  /** The roots of ax² + bx + c. */
  exposed_quadratic(a: number, b: number, c: number) {
    const d = b * b - 4 * a * c
    if (d < 0) throw new RangeError(`no real roots: the discriminant is ${d}`)
    return [(-b + Math.sqrt(d)) / (2 * a), (-b - Math.sqrt(d)) / (2 * a)]
  }

  /** The value as the server sees it. */
  exposed_remote_repr(value: unknown) {
    return inspect(value, { depth: null })
  }

  /** The length of strings and arrays, or the number of members of an object; numbers have none. */
  exposed_lengths(...things: (string | number | unknown[] | Record<string, unknown>)[]) {
    return things.map(thing => {
      if (typeof thing === 'number') return null
      return typeof thing === 'string' || Array.isArray(thing) ? thing.length : Object.keys(thing).length
    })
  }

  /** Members of an exposed object can be reached by a path: `root.ServiceA.Add({ X: 10, Y: 20 })`. */
  readonly exposed_ServiceA = {
    Add: ({ X, Y }: { X: number; Y: number }) => X + Y
  }

  exposed_getObj() {
    return THING
  }

  exposed_sendObj(data: Thing) {
    return isDeepStrictEqual(data, THING)
  }

  exposed_connect_server({ message }: { message: string }) {
    return { message: `the server heard: ${message}` }
  }

  /** Keeps a client's function and calls it until the client releases the returned subscription, or disconnects. */
  exposed_subscribe(tell: Netref<(news: string) => void>) {
    const cancel = () => {
      subscribers.delete(tell)
      Netref.release(tell)
    }
    subscribers.add(tell)
    return expose({ cancel }, { released: cancel })
  }

  /** Calls all subscribers. @returns their number */
  async exposed_publish(news: string) {
    const told = await Promise.allSettled([...subscribers].map(tell => tell(news)))
    return told.length
  }
}

export type Thing = typeof THING

export const THING = {
  name: 'Rigel',
  magnitude: 0.12,
  colours: new Set(['blue', 'white']),
  discovered: undefined,
  seen: new Date('2026-01-15T21:30:00Z'),
  light: new Uint8Array([12, 250, 97])
}
