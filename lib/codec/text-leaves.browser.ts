// Replaces `text-leaves.ts` in pages, without superjson.
import type * as node from './text-leaves.js'

export const readRegExp: typeof node.readRegExp = text => {
  const end = text.lastIndexOf('/')
  return new RegExp(text.slice(1, end), text.slice(end + 1))
}

export const readUrl: typeof node.readUrl = text => new URL(text)
