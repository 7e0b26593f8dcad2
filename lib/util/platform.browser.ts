// Classes of pages. The realm of jsdom lacks them under Jest, and Node provides them there. One that another context
// lacks, such as a worklet, fails where it is used.
type Platform = typeof globalThis

const realm: Partial<Platform> = globalThis

/** The exports of a module of Node; none in a page. */
const builtin = (module: string) => (realm.process?.getBuiltinModule?.(module) ?? {}) as Platform

export const {
  ReadableStream = builtin('stream/web').ReadableStream,
  TextDecoder = builtin('util').TextDecoder,
  TextEncoder = builtin('util').TextEncoder,
  WritableStream = builtin('stream/web').WritableStream
} = realm
