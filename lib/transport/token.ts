// The token of a client: the first message on each socket, before the first frame of the session. So browsers can send it,
// too, and it is in no URL.
import type { Reason } from '../errors.js'
import { describeValue } from '../util/describe.js'
import { TextEncoder } from '../util/platform.js'
import { isInstanceOf } from '../util/realms.js'
import type { Transport } from './transport.js'
import { TransportWrapper } from './transport-wrapper.js'

/** Authenticates a client; a function is called for each socket. */
export type Token = string | (() => string | PromiseLike<string>)

/** A server reads 8 KiB before it has decided, the header of the WebSocket frame included. */
const MAX_TOKEN_BYTES = 8000

const formatToken = (token: string): string => JSON.stringify({ token })

/** The token in the first message; undefined for a frame, which is an array or binary. */
export function parseToken(first: string | Uint8Array): string | undefined {
  if (typeof first !== 'string' || !first.startsWith('{')) return undefined
  try {
    const { token } = JSON.parse(first)
    return typeof token === 'string' ? token : undefined
  } catch {
    return undefined
  }
}

/** The end of a client. It is open once the token is sent. */
export class TokenSender extends TransportWrapper {
  constructor(
    inner: Transport,
    private readonly token: Token,
    /** Name of the other end in reasons. */
    private readonly peerName: string
  ) {
    super(inner)
  }

  protected begin(): void {
    let failed: Reason | undefined
    let tokenSent = false
    let closed = false
    const token = this.#requestToken()
    token.catch(cause => {
      const why = isInstanceOf('Error', cause) ? cause.message : String(cause)
      failed = {
        code: 'unreachable',
        message: `getting the token for ${this.peerName} failed: ${why}`,
        cause
      }
      if (!closed) this.inner.close(failed)
    })
    const sendToken = (text: string) => {
      if (closed) return
      tokenSent = true
      this.inner.send(text)
      this.emitOpen()
    }
    this.inner.start({
      onOpen: () => void token.then(sendToken, () => {}),
      onFrame: frame => this.listener.onFrame(frame),
      onClose: reason => {
        closed = true
        // The server did not wait long enough for the token, which may arrive faster the next time.
        const timedOut = !tokenSent && reason.code === 'limit'
        this.emitClose(failed ?? (timedOut ? { ...reason, code: 'unreachable' } : reason))
      }
    })
  }

  async #requestToken(): Promise<string> {
    const token: unknown = await (typeof this.token === 'function' ? this.token() : this.token)
    if (typeof token === 'string') {
      const text = formatToken(token)
      const bytes = new TextEncoder().encode(text).length
      if (bytes <= MAX_TOKEN_BYTES) return text
      throw new RangeError(`the token has ${bytes} bytes, and at most ${MAX_TOKEN_BYTES} are allowed`)
    }
    throw new TypeError(`the token must be a string, not ${describeValue(token)}`)
  }
}
