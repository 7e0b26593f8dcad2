// The roles of encoded values: what a value is in its message, which also says who owns it.

/** What a value is in its message. */
export interface ValueRole {
  /** What error texts call it. */
  readonly name: string
  /** Whether it stays the sender's if it is not sent. */
  readonly isCallerOwned: boolean
}

const callerOwned = (name: string): ValueRole => ({ name, isCallerOwned: true })
const owned = (name: string): ValueRole => ({ name, isCallerOwned: false })

export const ARGUMENTS = callerOwned('args')
/** Chunks that user code writes to a remote stream. */
export const CHUNKS = callerOwned('chunks')
export const REASON = callerOwned('reason')
/** The value of `set` or of an iterator's method, or the outcome of a caller-owned promise. */
export const VALUE = callerOwned('value')

/** Items that an iterator has made for the peer. */
export const ITEMS = owned('items')
export const RESULT = owned('result')
export const ERROR = owned('error')
export const IDENTITY = owned('identity')
