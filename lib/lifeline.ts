// Whether who holds the other end of a port is there still. No event of a browser's tells that a worker or a page is
// gone; but the locks that it held are free then (https://www.w3.org/TR/web-locks).

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
  'on' in port ? undefined : (globalThis as { navigator?: { readonly locks?: Locks } }).navigator?.locks

const nameOf = (id: string) => `netref ${id}`

/** How long what was said last may be on its way, in ms. */
const LAST_WORDS = 100

/**
 * Holds a lock until `over` aborts, tells the other end its id as `{ alive }`, and then goes on; at once where there are
 * no locks.
 */
export function holdLifeline(port: Port, over: AbortSignal, goOn: () => void): void {
  const locks = locksFor(port)
  if (!locks) return goOn()
  /* c8 ignore start: browser.spec.ts runs it, in the browser. */
  const id = String(crypto.getRandomValues(new Uint32Array(4)))
  const held = () => {
    port.postMessage({ alive: id })
    goOn()
    return new Promise<void>(release => over.addEventListener('abort', () => release()))
  }
  locks.request(nameOf(id), { signal: over }, held).catch(() => {
    if (!over.aborted) goOn()
  })
  /* c8 ignore stop */
}

/** Calls `gone` when who said `{ alive: id }` is there no more. Of another origin that cannot be known. */
export async function watchLifeline(
  port: Port,
  id: string,
  over: AbortSignal,
  gone: () => void
): Promise<void> {
  const locks = locksFor(port)
  if (!locks) return
  /* c8 ignore start: browser.spec.ts runs it, in the browser. */
  const name = nameOf(id)
  try {
    const { held } = await locks.query()
    if (!held.some(lock => lock.name === name)) return
    await locks.request(name, { signal: over }, () => {})
    setTimeout(gone, LAST_WORDS)
  } catch {
    // This end was over first.
  }
  /* c8 ignore stop */
}
