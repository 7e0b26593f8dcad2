// Detects that the process at the other end of a port is gone. Browsers have no event for that, but release the locks of a
// worker or page that has ended (https://www.w3.org/TR/web-locks).

import { clock } from '../util/clock.js'

/** The part of `navigator.locks` that is used. Pages of an insecure origin do not have it. */
interface LockManager {
  request(name: string, options: { signal: AbortSignal }, held: () => unknown): Promise<unknown>
  query(): Promise<{ readonly held: readonly { readonly name: string }[] }>
}

interface Port {
  postMessage(message: unknown): void
}

/** Undefined for ports of Node, which emit `close`. */
const lockManagerFor = (port: object): LockManager | undefined =>
  /* c8 ignore next: the ports of specs are Node's. */
  'on' in port ? undefined : (globalThis as { navigator?: { readonly locks?: LockManager } }).navigator?.locks

/** Time for the last messages of a process that is gone to arrive. */
const LAST_MESSAGES_DELAY_MS = 100

/**
 * Holds a lock until `ended` aborts. It sends the id of the lock as `{ alive }`, then calls `proceed`; at once if there are
 * no locks.
 */
export function holdLivenessLock(port: Port, ended: AbortSignal, proceed: () => void): void {
  const locks = lockManagerFor(port)
  if (!locks) proceed()
  /* c8 ignore next: spec/outside/browser.spec.ts runs it, in a browser. */ else
    holdLock(locks, port, ended, proceed)
}

/** Calls `onPeerGone` when the sender of `{ alive: id }` has ended. A process of another origin cannot be watched. */
export function watchLivenessLock(port: Port, id: string, ended: AbortSignal, onPeerGone: () => void): void {
  const locks = lockManagerFor(port)
  /* c8 ignore next: spec/outside/browser.spec.ts runs it, in a browser. */
  if (locks) void watchLock(locks, id, ended, onPeerGone)
}

/* c8 ignore start: spec/outside/browser.spec.ts runs these, in a browser. */
const lockName = (id: string) => `netref ${id}`

function holdLock(locks: LockManager, port: Port, ended: AbortSignal, proceed: () => void): void {
  const id = String(crypto.getRandomValues(new Uint32Array(4)))
  const held = () => {
    port.postMessage({ alive: id })
    proceed()
    return new Promise<void>(release => ended.addEventListener('abort', () => release()))
  }
  locks.request(lockName(id), { signal: ended }, held).catch(() => {
    if (!ended.aborted) proceed()
  })
}

async function watchLock(
  locks: LockManager,
  id: string,
  ended: AbortSignal,
  onPeerGone: () => void
): Promise<void> {
  const name = lockName(id)
  try {
    const { held } = await locks.query()
    if (!held.some(lock => lock.name === name)) return
    await locks.request(name, { signal: ended }, () => {})
    clock.setTimeout(onPeerGone, LAST_MESSAGES_DELAY_MS)
  } catch {
    // This end has closed first.
  }
}
/* c8 ignore stop */
