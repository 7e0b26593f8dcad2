// The timers and clocks of a page, as they are when this module loads. A missing one fails where it is used.
import type * as node from './clock.js'

const global: Partial<typeof globalThis> = globalThis

export const clock = {
  setTimeout: global.setTimeout?.bind(global),
  clearTimeout: global.clearTimeout?.bind(global),
  setInterval: global.setInterval?.bind(global),
  clearInterval: global.clearInterval?.bind(global),
  now: global.performance?.now.bind(global.performance),
  wallNow: Date.now
} as typeof node.clock
export const setImmediate = global.setImmediate?.bind(global) as typeof node.setImmediate
export const nextTick = global.process?.nextTick as typeof node.nextTick
/** Timers are numbers in pages. In Node, which may load the page's build, they are objects. */
export const unref: typeof node.unref = timer => void timer.unref?.()
/** Keeps the process alive until the timer fires, as by default. */
export const ref: typeof node.ref = timer => void timer.ref?.()
