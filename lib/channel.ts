// How the messages of a session leave, whatever becomes of the transports below.

export interface Channel {
  /**
   * @returns the number of the frame the message is in
   * @throws LimitError for more than the peer takes; nothing is sent then
   */
  push(message: string, bytes: readonly Uint8Array[]): number
  /** The same for a call. No more of them may wait than a limit says for a peer that is away, or does not read. */
  call(message: string, bytes: readonly Uint8Array[]): number
  /** The same for what is owed to the peer: it is not acted on while it leaves too much of that unread. */
  owe(message: string, bytes: readonly Uint8Array[]): number
  /** The same, where something small can be said instead. @throws LimitError where far too much waits already */
  reply(message: string, bytes: readonly Uint8Array[]): number
  /** Resolves when what was sent has left for the peer; undefined when there is room for more now. */
  room(): Promise<void> | undefined
}
