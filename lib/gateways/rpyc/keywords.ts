// Calls functions of Python with keyword arguments.

import { Netref } from '../../index.js'
import type { Pending, RemoteHandle } from '../../types/netref.js'
import type { Any } from '../../util/any.js'

/**
 * The member by which a function of Python is called with keyword arguments, its first argument. No name of Python is equal.
 * Arguments stay positional whatever they are: a client's data never becomes keywords.
 */
export const KEYWORDS_MEMBER = '**'

/**
 * A function of Python with keyword arguments, as `functools.partial` makes it in Python.
 *
 * @param fn a netref to a function of Python, or a path to one
 * @example
 * const py = classic(connectRpyc('localhost:18812'))
 * const sorted = withKeywords(py.builtins.sorted, { reverse: true })
 * console.log(await sorted([1, 3, 2])) // [3, 2, 1]
 */
export const withKeywords =
  (fn: RemoteHandle<unknown>, keywords: Readonly<Record<string, unknown>>) =>
  (...args: unknown[]): Pending<Any> =>
    (Netref.get(fn, KEYWORDS_MEMBER) as unknown as (...args: unknown[]) => Pending<Any>)(keywords, ...args)
