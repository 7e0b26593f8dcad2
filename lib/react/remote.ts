// `useRemote`: the result of a call, for which the component waits.
import { useSyncExternalStore } from 'react'
import { RemoteResult } from './remote-result.js'
import { ResourceCache } from './resource-cache.js'

const results = new ResourceCache<RemoteResult>()

/**
 * The result of a call. Until it arrives, the component suspends: the nearest `<Suspense>` shows its fallback. An error of
 * the call is thrown, for the nearest error boundary.
 *
 * The text of `read` and `deps` are the key of a cache. So `deps` must name every value that `read` uses from outside of
 * it, functions included. The values must exist before the component is rendered first: props, a context, a connection, but
 * not a state setter. React may render a component several times, so `read` must be a call that may be repeated.
 *
 * If `deps` has a connection, the call is made again when the connection has a new session. The last value stays until
 * then. One second after all components with it are unmounted, its netrefs are released.
 *
 * @throws TypeError if `deps` has another value at each render
 * @example
 * const todos = useRemote(() => conn.root.list(filter), [conn, filter])
 */
export function useRemote<R>(read: () => R, deps: readonly unknown[]): Awaited<R> {
  const result = results.get(
    [String(read), ...deps],
    () => new RemoteResult(read, deps),
    index =>
      `useRemote: deps[${index - 1}] is another value at each render; make it outside of the component, or in a parent`
  )
  useSyncExternalStore(result.subscribe, result.getVersion, result.getVersion)
  return result.value as Awaited<R>
}
