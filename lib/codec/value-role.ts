// The roles of encoded values: what a value is in its message, which also says who owns it.

/** What a value is in its message. */
export interface ValueRole {
  /** What error texts call it. */
  readonly name: string
  /** Whether it stays the sender's if it is not sent. */
  readonly isLent: boolean
}

const lent = (name: string): ValueRole => ({ name, isLent: true })
const owned = (name: string): ValueRole => ({ name, isLent: false })

export const ARGUMENTS = lent('args')
/** Chunks that user code writes to a remote stream. */
export const CHUNKS = lent('chunks')
export const REASON = lent('reason')
/** The value of `set` or of an iterator's method, or the outcome of a lent promise. */
export const VALUE = lent('value')

/** Items that an iterator has made for the peer. */
export const ITEMS = owned('items')
export const RESULT = owned('result')
export const ERROR = owned('error')
export const IDENTITY = owned('identity')
