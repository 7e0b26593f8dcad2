// The token of a client: the first thing on a socket, before the first frame of the session, so that browsers can say
// it too and it is in no URL. It is said anew on each socket.
import type { Reason } from '../errors.js'
import { describe } from '../util/describe.js'
import { TextEncoder } from '../util/platform.js'
import { isA } from '../util/realms.js'
import type { Transport, TransportListener } from './transport.js'
import { Wrapped } from './transport-wrapper.js'

/** What a client shows who it is by; a function is asked for each socket. */
export type Token = string | (() => string | PromiseLike<string>)

/** A server reads 8 KiB before it has decided: a token has to fit in, with the head of its frame. */
const MOST_BYTES = 8000

const format = (token: string): string => JSON.stringify({ token })

/** The token in what came first; undefined for a frame, which is an array or binary. */
export function tokenIn(first: string | Uint8Array): string | undefined {
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
      const why = isA('Error', cause) ? cause.message : String(cause)
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
    if (typeof token === 'string') {
      const text = format(token)
      const bytes = new TextEncoder().encode(text).length
      if (bytes <= MOST_BYTES) return text
      throw new RangeError(`a token takes ${bytes} bytes, where ${MOST_BYTES} are the most`)
    }
    throw new TypeError(`a token is a string, not ${describe(token)}`)
  }
}
