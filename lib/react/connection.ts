// `useConnection` and `useConnectionState`: a connection that components share, and its state.
import { useCallback, useSyncExternalStore } from 'react'
import { type Connection, type ConnectOptions, connect, type SessionState } from '../index.js'
import { clock } from '../util/clock.js'
import { Resource } from './resource.js'
import { ResourceCache } from './resource-cache.js'

/** How long the closing of a connection waits until it is open, in ms. */
const OPENING_MS = 10_000

type Address = string | { readonly href: string }

class SharedConnection extends Resource {
  readonly conn: Connection<unknown>
  readonly isPending = false

  constructor(url: Address, options: ConnectOptions) {
    super()
    this.conn = connect(url, options)
    this.conn.on('renewed', () => this.notify())
  }

  get hasFailed(): boolean {
    return this.conn.state === 'closed'
  }

  /** Chrome prints an error if a page closes a socket that is not open yet. */
  close(): void {
    const close = () => void this.conn.close()
    const timer = clock.setTimeout(close, OPENING_MS)
    const closeNow = () => {
      clock.clearTimeout(timer)
      close()
    }
    this.conn.opened.then(closeNow, closeNow)
  }
}

const connections = new ResourceCache<SharedConnection>()

/**
 * The connection to a server. Components that name the same address and options share one. It is opened by the first
 * render, also on a server, and closed one second after the last of them is unmounted. The component renders again when
 * `renew` has replaced the session: `conn.root` is another netref then.
 *
 * Options are compared by value; functions, classes and `service` by identity, so they must not be made by the render.
 *
 * @throws TypeError as `connect` does, and if the options have another function at each render
 * @example
 * const conn = useConnection<Todos>('wss://example.org/todos', { renew: true })
 */
export function useConnection<T>(url: Address, options: ConnectOptions = {}): Connection<T> {
  const text = String((url as { href?: unknown } | null)?.href ?? url)
  const address = URL.canParse(text) ? new URL(text).href : text
  const values = valuesOf(options)
  const names = values.map(([name]) => name)
  const shared = connections.get(
    [address, names.join(), ...values.map(([, value]) => value)],
    () => new SharedConnection(url, options),
    index =>
      `useConnection: \`${names[index - 2] ?? 'options'}\` is another value at each render; define it outside of the component`
  )
  useSyncExternalStore(shared.subscribe, shared.getVersion, shared.getVersion)
  return shared.conn as Connection<T>
}

/** The options by name, with the members of plain objects in place of the objects. */
function valuesOf(options: object, prefix = ''): (readonly [name: string, value: unknown])[] {
  return Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, value]) =>
      name !== 'service' && isPlain(value)
        ? valuesOf(value, `${prefix}${name}.`)
        : [[prefix + name, value] as const]
    )
}

const isPlain = (value: unknown): value is object =>
  Array.isArray(value) ||
  (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype)

/**
 * The state of a connection: the component renders again when it changes. Pages that a server has rendered are hydrated
 * as `connecting`.
 *
 * @example
 * const isOffline = useConnectionState(conn) === 'interrupted'
 */
export function useConnectionState(conn: Connection<unknown>): SessionState {
  const subscribe = useCallback((changed: () => void) => conn.on('state', changed), [conn])
  return useSyncExternalStore(
    subscribe,
    () => conn.state,
    () => 'connecting'
  )
}
