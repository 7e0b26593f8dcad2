// The token of a client: the first thing on a socket, before the first frame of the session, so that browsers can say
// it too and it is in no URL. It is said anew on each socket.
import type { Reason } from '../errors.js'
import { describe } from '../util/describe.js'
import { TextEncoder } from '../util/platform.js'
import { isInstanceOf } from '../util/realms.js'
import type { Transport, TransportListener } from './transport.js'
import { TransportWrapper } from './transport-wrapper.js'

/** What a client shows who it is by; a function is asked for each socket. */
export type Token = string | (() => string | PromiseLike<string>)

/** A server reads 8 KiB before it has decided: a token has to fit in, with the head of its frame. */
const MAX_TOKEN_BYTES = 8000

const formatToken = (token: string): string => JSON.stringify({ token })

/** The token in what came first; undefined for a frame, which is an array or binary. */
export function parseToken(first: string | Uint8Array): string | undefined {
  if (typeof first !== 'string' || !first.startsWith('{')) return undefined
  try {
    const { token } = JSON.parse(first)
    return typeof token === 'string' ? token : undefined
  } catch {
    return undefined
  }
}

/** The client's end: it is open once the token is said. */
export class TokenSender extends TransportWrapper {
  constructor(
    inner: Transport,
    private readonly token: Token,
    /** What the other end is called in reasons. */
    private readonly peerName: string
  ) {
    super(inner)
  }

  start(listener: TransportListener): void {
    let failed: Reason | undefined
    let tokenSent = false
    let closed = false
    const token = this.#requestToken()
    token.catch(cause => {
      const why = isInstanceOf('Error', cause) ? cause.message : String(cause)
      failed = { code: 'unreachable', message: `there is no token for ${this.peerName}: ${why}`, cause }
      if (!closed) this.inner.close(failed)
    })
    const sendToken = (text: string) => {
      if (closed) return
      tokenSent = true
      this.inner.send(text)
      listener.onOpen()
    }
    this.inner.start({
      onOpen: () => void token.then(sendToken, () => {}),
      onFrame: frame => listener.onFrame(frame),
      onClose: reason => {
        closed = true
        // The server did not wait for the token for so long: it may be faster the next time.
        const timedOut = !tokenSent && reason.code === 'limit'
        listener.onClose(failed ?? (timedOut ? { ...reason, code: 'unreachable' } : reason))
      }
    })
  }

  async #requestToken(): Promise<string> {
    const token: unknown = await (typeof this.token === 'function' ? this.token() : this.token)
    if (typeof token === 'string') {
      const text = formatToken(token)
      const bytes = new TextEncoder().encode(text).length
      if (bytes <= MAX_TOKEN_BYTES) return text
      throw new RangeError(`a token takes ${bytes} bytes, where ${MAX_TOKEN_BYTES} are the most`)
    }
    throw new TypeError(`a token is a string, not ${describe(token)}`)
  }
}
