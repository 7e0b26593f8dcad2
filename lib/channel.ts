// How the messages of a session leave, whatever becomes of the transports below.

export interface Channel {
  /**
   * @returns the number of the frame the message is in
   * @throws LimitError for more than the peer takes; nothing is sent then
   */
  push(message: string, bytes: readonly Uint8Array[]): number
  /** The same for a call, of which no more may wait for a peer that is away than a limit says. */
  call(message: string, bytes: readonly Uint8Array[]): number
  /** The same for what is owed to the peer: it is not read from while it leaves too much of that unread. */
  reply(message: string, bytes: readonly Uint8Array[]): number
  /** Resolves when what was sent has left for the peer; undefined when there is room for more now. */
  room(): Promise<void> | undefined
}
