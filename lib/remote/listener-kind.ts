// Detects netrefs that are called as event listeners. An EventTarget, and an EventEmitter with `captureRejections`,
// look at the result of a listener, and end the process if it rejects. But no code awaits that result.

/** How a listener is called: as a function, or as an object with `handleEvent`. */
export type ListenerKind = 'function' | 'object'

/** How a netref is called as a listener; undefined if it is not. `handler` is the netref, unless it is a path. */
export function listenerKindOf(
  self: unknown,
  args: readonly unknown[],
  handler: object | undefined
): ListenerKind | undefined {
  if (Object(self) !== self) return undefined
  const isHandler = () => handler === undefined || (self as { handleEvent?: unknown }).handleEvent === handler
  if (args.length === 1 && hasProperty(args[0], 'currentTarget') && isHandler()) return 'object'
  return hasProperty(self, 'emit') || hasProperty(self, 'addEventListener') ? 'function' : undefined
}

const hasProperty = (value: unknown, name: string): boolean =>
  Object(value) === value && name in (value as object)
