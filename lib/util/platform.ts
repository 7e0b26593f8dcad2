// Classes that Node has and not every realm in it: jsdom's, under Jest, lacks them all. A page has `platform-browser.ts` in
// its place.
import web from 'node:stream/web'
import util from 'node:util'

const realmGlobal: Partial<typeof globalThis> = globalThis

export const {
  ReadableStream = web.ReadableStream as typeof globalThis.ReadableStream,
  TextDecoder = util.TextDecoder as typeof globalThis.TextDecoder,
  TextEncoder = util.TextEncoder as typeof globalThis.TextEncoder,
  WritableStream = web.WritableStream as typeof globalThis.WritableStream
} = realmGlobal
