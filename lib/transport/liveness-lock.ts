// Whether who holds the other end of a port is there still. No event of a browser's tells that a worker or a page is
// gone; but the locks that it held are free then (https://www.w3.org/TR/web-locks).

import { clock } from '../util/clock.js'

/** What is used of `navigator.locks`: in a page it is there where the origin is secure. */
interface LockManager {
  request(name: string, options: { signal: AbortSignal }, held: () => unknown): Promise<unknown>
  query(): Promise<{ readonly held: readonly { readonly name: string }[] }>
}

interface Port {
  postMessage(message: unknown): void
}

/** Of Node's ports an event tells. */
const lockManagerFor = (port: object): LockManager | undefined =>
  /* c8 ignore next: the ports of specs are Node's. */
  'on' in port ? undefined : (globalThis as { navigator?: { readonly locks?: LockManager } }).navigator?.locks

/** How long what was said last may be on its way, in ms. */
const LAST_MESSAGES_DELAY_MS = 100

/**
 * Holds a lock until `over` aborts, tells the other end its id as `{ alive }`, and then goes on; at once where there are
 * no locks.
 */
export function holdLivenessLock(port: Port, ended: AbortSignal, proceed: () => void): void {
  const locks = lockManagerFor(port)
  if (!locks) proceed()
  /* c8 ignore next: spec/outside/browser.spec.ts runs it, in a browser. */ else
    holdLock(locks, port, ended, proceed)
}

/** Calls `gone` when who said `{ alive: id }` is there no more. Of another origin that cannot be known. */
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
    // This end was over first.
  }
}
/* c8 ignore stop */
