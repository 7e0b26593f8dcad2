// The leaf kinds: values that plain JSON cannot carry and that hold no other values. A new kind is one entry here,
// and its type in `types/netref.ts`; `lib/README.md` lists the places.

import { ProtocolError } from '../errors.js'
import type { DecodeBudget } from './decode-cost.js'
import { readRegExp, readUrl } from './text-leaves.js'

interface LeafKind<T = unknown> {
  /** The name of the built-in class, of any realm. A primitive has none: its `typeof` is the type tag. */
  readonly className?: string
  encode(value: T): string | null
  /** @throws if the text is not one of this kind */
  decode(text: string): T
  /** The cost of decoding the text, in units of the decode budget. */
  cost?(text: string): number
  /** @throws CallRejection if the text is beyond a limit of the receiver */
  checkLimits?(text: string, budget: DecodeBudget): void
}

/** By type tag, which is what superjson calls the kind. */
const KINDS: Readonly<Record<string, LeafKind>> = {
  undefined: { encode: () => null, decode: () => undefined },

  /** NaN, ±Infinity and -0. */
  number: { encode: value => (Object.is(value, -0) ? '-0' : String(value)), decode: Number },

  bigint: {
    encode: String,
    decode: BigInt,
    cost: text => text.length ** 2 / 10_000,
    checkLimits: (text, budget) => budget.spendBigint(text)
  },

  Date: {
    className: 'Date',
    encode: (date: Date) => (Number.isNaN(date.getTime()) ? 'invalid' : date.toISOString()),
    decode: text => new Date(text),
    cost(text) {
      if (ISO_DATE.test(text)) return 0
      return text.length <= MAX_DATE_CHARACTERS ? 30 : Number.POSITIVE_INFINITY
    }
  },

  regexp: {
    className: 'RegExp',
    encode: String,
    decode: readRegExp,
    checkLimits: (text, budget) => budget.spendRegExp(text)
  },

  URL: {
    className: 'URL',
    encode: String,
    decode: readUrl,
    cost(text) {
      // `encode` writes ASCII. The time for a host name in other letters grows faster than its length.
      if (!/^[\0-\x7f]*$/.test(text)) return Number.POSITIVE_INFINITY
      return 60 + text.length / 10 + (/xn--/i.test(text) ? 60 + text.length ** 2 / 10_000 : 0)
    }
  }
}

/** The format of `toISOString`. Other formats are parsed by legacy rules, which take longer. */
const ISO_DATE = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const MAX_DATE_CHARACTERS = 40

/** A peer names the tag: what `Object.prototype` has is no kind. */
const kindOf = (tag: string): LeafKind | undefined => (Object.hasOwn(KINDS, tag) ? KINDS[tag] : undefined)

/** The built-in classes whose instances are leaves, with their type tags. */
export const LEAF_CLASSES: readonly (readonly [className: string, tag: string])[] = Object.entries(
  KINDS
).flatMap(([tag, { className }]) => (className === undefined ? [] : [[className, tag] as const]))

export const encodeLeaf = (tag: string, value: unknown): string | null => KINDS[tag]!.encode(value)

/** The cost of decoding a leaf, in units of the decode budget. */
export const costOf = (tag: string, text: string): number => kindOf(tag)?.cost?.(text) ?? 0

/**
 * @throws ProtocolError for an unknown type tag
 * @throws CallRejection if decoding costs too much
 * @throws any other error if the JSON is not a leaf of that kind
 */
export function decodeLeaf(tag: string, json: unknown, budget: DecodeBudget): unknown {
  const kind = kindOf(tag)
  if (!kind) throw new ProtocolError(`the unknown type tag ${JSON.stringify(tag)}`)
  if (typeof json !== 'string' && kind !== KINDS.undefined)
    throw new TypeError(`a ${tag} that is not written as a string`)
  // `undefined` has no text.
  const text = typeof json === 'string' ? json : ''
  kind.checkLimits?.(text, budget)
  budget.spend(costOf(tag, text), tag)
  return kind.decode(text)
}
