// For the processes that the demo starts: what they tell it, and that they end with it.

/** Ends this process when its parent has disconnected from it, or is gone: perhaps before this process was ready. */
export function endWithParent(end: () => unknown): void {
  if (process.connected) process.once('disconnect', end)
  else end()
}

export function tellParent(message: unknown): void {
  if (process.connected) process.send!(message)
}
