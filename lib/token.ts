// The token of a client: the first thing on a socket, before the first frame of the session, so that browsers can say
// it too and it is in no URL. It is said anew on each socket.
import type { Reason } from './errors.js'
import { describe } from './labels.js'
import type { Transport, TransportListener } from './transport.js'
import { Wrapped } from './wrapped.js'

/** What a client shows who it is by; a function is asked for each socket. */
export type Token = string | (() => string | PromiseLike<string>)

const format = (token: string): string => JSON.stringify({ token })

/** The token in what came first; undefined for a frame, which is an array or binary. */
function tokenIn(first: string | Uint8Array): string | undefined {
  if (typeof first !== 'string' || !first.startsWith('{')) return undefined
  try {
    const { token } = JSON.parse(first)
    return typeof token === 'string' ? token : undefined
  } catch {
    return undefined
  }
}

/** The client's end: it is open once the token is said. */
export class Introducing extends Wrapped {
  constructor(
    inner: Transport,
    private readonly token: Token,
    /** What the other end is called in reasons. */
    private readonly peer: string
  ) {
    super(inner)
  }

  start(listener: TransportListener): void {
    let failed: Reason | undefined
    let said = false
    let over = false
    const token = this.#ask()
    token.catch(cause => {
      const why = cause instanceof Error ? cause.message : String(cause)
      failed = { code: 'unreachable', message: `there is no token for ${this.peer}: ${why}`, cause }
      if (!over) this.inner.close(failed)
    })
    const say = (text: string) => {
      if (over) return
      said = true
      this.inner.send(text)
      listener.opened()
    }
    this.inner.start({
      opened: () => void token.then(say, () => {}),
      received: frame => listener.received(frame),
      closed: reason => {
        over = true
        // The server did not wait for the token for so long: it may be faster the next time.
        const slow = !said && reason.code === 'limit'
        listener.closed(failed ?? (slow ? { ...reason, code: 'unreachable' } : reason))
      }
    })
  }

  async #ask(): Promise<string> {
    const token: unknown = await (typeof this.token === 'function' ? this.token() : this.token)
    if (typeof token === 'string') return format(token)
    throw new TypeError(`a token is a string, not ${describe(token)}`)
  }
}

/**
 * The server's end: it tells whether the client said a token, and keeps what follows until a session takes it. Then it
 * is not read from meanwhile, so what is kept is what the socket had read: one frame at most, and a buffer of small ones.
 */
export class Arriving extends Wrapped implements TransportListener {
  /** Resolves with the first thing the client said, if that was a token, and with undefined if it was not. */
  readonly token: Promise<string | undefined>
  #heard: ((token: string | undefined) => void) | undefined
  #listener: TransportListener | undefined
  readonly #kept: (string | Uint8Array)[] = []
  #turnedAway = false
  #over: Reason | undefined

  constructor(inner: Transport) {
    super(inner)
    this.token = new Promise(resolve => {
      this.#heard = resolve
    })
    inner.start(this)
  }

  /** Whether the client has said something. */
  get heard(): boolean {
    return this.#heard === undefined
  }

  start(listener: TransportListener): void {
    listener.opened()
    // A session is begun before it is told of frames.
    queueMicrotask(() => {
      this.#listener = listener
      if (this.#kept.length > 0) this.inner.resume()
      for (const frame of this.#kept.splice(0)) listener.received(frame)
      if (this.#over) listener.closed(this.#over)
    })
  }

  /** Who is turned away is read from again, for its end: nothing more of it is kept. */
  override close(reason: Reason): void {
    if (!this.#listener) {
      this.#turnedAway = true
      this.inner.resume()
    }
    this.inner.close(reason)
  }

  /** A server's socket is open from the first. */
  opened(): void {}

  received(frame: string | Uint8Array): void {
    if (this.#heard && this.#isToken(frame)) return
    if (this.#listener) return this.#listener.received(frame)
    if (this.#turnedAway) return
    this.#kept.push(frame)
    this.inner.pause()
  }

  closed(reason: Reason): void {
    this.#heard?.(undefined)
    this.#over = reason
    this.#listener?.closed(reason)
  }

  #isToken(first: string | Uint8Array): boolean {
    const token = tokenIn(first)
    this.#heard!(token)
    this.#heard = undefined
    return token !== undefined
  }
}
