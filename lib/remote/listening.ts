// Netrefs as listeners. Node looks at what a listener answers, as an EventTarget and as an EventEmitter with
// `captureRejections` do, and ends the process where that fails. But nobody awaits it.

/** How a listener is called: as a function, or as an object that has a `handleEvent`. */
export type ListenerKind = 'function' | 'object'

/** How a netref is called that has this `this`, if it is as a listener. `handler` is it, where it is no path. */
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
