// Netrefs as listeners. Node looks at what a listener answers, as an EventTarget and as an EventEmitter with
// `captureRejections` do, and ends the process where that fails. But nobody awaits it.

/** How a listener is called: as a function, or as an object that has a `handleEvent`. */
export type Listening = 'function' | 'object'

/** How a netref is called that has this `this`, if it is as a listener. `handler` is it, where it is no path. */
export function listeningOf(
  self: unknown,
  args: readonly unknown[],
  handler: object | undefined
): Listening | undefined {
  if (Object(self) !== self) return undefined
  const isHandler = () => handler === undefined || (self as { handleEvent?: unknown }).handleEvent === handler
  if (args.length === 1 && has(args[0], 'currentTarget') && isHandler()) return 'object'
  return has(self, 'emit') || has(self, 'addEventListener') ? 'function' : undefined
}

const has = (value: unknown, name: string): boolean => Object(value) === value && name in (value as object)
