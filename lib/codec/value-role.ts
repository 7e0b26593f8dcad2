// The roles of encoded values: what a value is in its message, which also says who owns it.

/** What a value is in its message. */
export interface ValueRole {
  /** What error texts call it. */
  readonly name: string
  /** Whether it stays the sender's if it is not sent. */
  readonly isCallerOwned: boolean
  /** Whether its message may name answers of the receiver: only that of an operation or a result may. */
  readonly mayNameAnswers: boolean
  /** Whether it may hold no reference. */
  readonly isDataOnly?: boolean
}

const callerOwned = (name: string, mayNameAnswers = false): ValueRole => ({
  name,
  isCallerOwned: true,
  mayNameAnswers
})
const owned = (name: string, mayNameAnswers = false): ValueRole => ({
  name,
  isCallerOwned: false,
  mayNameAnswers
})

export const ARGUMENTS = callerOwned('args', true)
/** Chunks that user code writes to a remote stream. */
export const CHUNKS = callerOwned('chunks')
export const REASON = callerOwned('reason')
/** The value of `set` or of an iterator's method. */
export const VALUE = callerOwned('value', true)
/** The value of a caller-owned promise. */
export const CALLER_PROMISE_VALUE = callerOwned('value')

/** Items that an iterator has made for the peer. */
export const ITEMS = owned('items')
export const RESULT = owned('result', true)
/** The value of a promise that is part of a result. */
export const PROMISE_VALUE = owned('result')
export const ERROR = owned('error')
export const IDENTITY = owned('identity')
/** What is published or stored. It stays the caller's. */
export const dataOnly = (name: string): ValueRole => ({ ...callerOwned(name), isDataOnly: true })
