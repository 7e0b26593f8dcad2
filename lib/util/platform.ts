// Classes of Node that not every realm has: the realm of jsdom, under Jest, lacks them all. Pages use
// `platform.browser.ts` instead.
import web from 'node:stream/web'
import util from 'node:util'

const realmGlobal: Partial<typeof globalThis> = globalThis

export const {
  ReadableStream = web.ReadableStream as typeof globalThis.ReadableStream,
  TextDecoder = util.TextDecoder as typeof globalThis.TextDecoder,
  TextEncoder = util.TextEncoder as typeof globalThis.TextEncoder,
  WritableStream = web.WritableStream as typeof globalThis.WritableStream
} = realmGlobal
