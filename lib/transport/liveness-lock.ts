// Whether who holds the other end of a port is there still. No event of a browser's tells that a worker or a page is
// gone; but the locks that it held are free then (https://www.w3.org/TR/web-locks).

import { clock } from '../util/clock.js'

/** What is used of `navigator.locks`: in a page it is there where the origin is secure. */
interface Locks {
  request(name: string, options: { signal: AbortSignal }, held: () => unknown): Promise<unknown>
  query(): Promise<{ readonly held: readonly { readonly name: string }[] }>
}

interface Port {
  postMessage(message: unknown): void
}

/** Of Node's ports an event tells. */
const locksFor = (port: object): Locks | undefined =>
  /* c8 ignore next: the ports of specs are Node's. */
  'on' in port ? undefined : (globalThis as { navigator?: { readonly locks?: Locks } }).navigator?.locks

/** How long what was said last may be on its way, in ms. */
const LAST_WORDS = 100

/**
 * Holds a lock until `over` aborts, tells the other end its id as `{ alive }`, and then goes on; at once where there are
 * no locks.
 */
export function holdLifeline(port: Port, over: AbortSignal, goOn: () => void): void {
  const locks = locksFor(port)
  if (!locks) goOn()
  /* c8 ignore next: spec/outside/browser.spec.ts runs it, in a browser. */ else hold(locks, port, over, goOn)
}

/** Calls `gone` when who said `{ alive: id }` is there no more. Of another origin that cannot be known. */
export function watchLifeline(port: Port, id: string, over: AbortSignal, gone: () => void): void {
  const locks = locksFor(port)
  /* c8 ignore next: spec/outside/browser.spec.ts runs it, in a browser. */
  if (locks) void watch(locks, id, over, gone)
}

/* c8 ignore start: spec/outside/browser.spec.ts runs these, in a browser. */
const nameOf = (id: string) => `netref ${id}`

function hold(locks: Locks, port: Port, over: AbortSignal, goOn: () => void): void {
  const id = String(crypto.getRandomValues(new Uint32Array(4)))
  const held = () => {
    port.postMessage({ alive: id })
    goOn()
    return new Promise<void>(release => over.addEventListener('abort', () => release()))
  }
  locks.request(nameOf(id), { signal: over }, held).catch(() => {
    if (!over.aborted) goOn()
  })
}

async function watch(locks: Locks, id: string, over: AbortSignal, gone: () => void): Promise<void> {
  const name = nameOf(id)
  try {
    const { held } = await locks.query()
    if (!held.some(lock => lock.name === name)) return
    await locks.request(name, { signal: over }, () => {})
    clock.setTimeout(gone, LAST_WORDS)
  } catch {
    // This end was over first.
  }
}
/* c8 ignore stop */
