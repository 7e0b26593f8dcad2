// Replaces `parameters.ts` in pages, whose code is minified: the names of its parameters mean nothing to a reader.
import type * as node from './parameters.js'

export const isClassConstructor: typeof node.isClassConstructor = fn =>
  /^class\b/.test(Function.prototype.toString.call(fn))

export const parameterNamesOf: typeof node.parameterNamesOf = () => undefined
