// How a server that goes away leaves a session: the client is told, and the session ends once no call is under way.

import { MAX_STAY_MS } from '../session/leaving.js'
import type { SessionImpl } from '../session/session.js'
import { clock } from '../util/clock.js'

/** How long the answer of a client is awaited, in ms. It may be asleep. */
const MAX_ANSWER_MS = 3 * MAX_STAY_MS

export class Departure {
  /** When the answer is awaited no longer, by `clock.now()`; undefined before the announcement. */
  #answerBy: number | undefined

  constructor(readonly session: SessionImpl) {}

  /**
   * Announces, once, that the server goes away within `ms`.
   *
   * @returns whether the session may end without the loss of a call
   */
  proceed(ms: number): boolean {
    const { session } = this
    const isOpen = session.state === 'open'
    if (isOpen && this.#answerBy === undefined) {
      this.#answerBy = session.knowsLeaving ? clock.now() + MAX_ANSWER_MS : 0
      session.announceLeaving(ms)
    }
    const awaitsAnswer = !session.isLeft && clock.now() < this.#answerBy!
    return !(session.busy || (isOpen && (awaitsAnswer || session.ownCalls > 0)))
  }

  /** Whether a client that has lost its socket is to get replies. */
  get isMissed(): boolean {
    const { busy, link } = this.session
    return link.state === 'interrupted' && (busy || link.sender.hasUnsent)
  }
}
