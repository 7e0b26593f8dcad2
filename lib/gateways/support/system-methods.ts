// The introspection methods that servers of XML-RPC and JSON-RPC have by convention: `system.listMethods` and its kin.

import type { RemoteHandle } from '../../types/netref.js'
import { RefusedCallError } from './call-failure.js'
import { describeMethod, listMethods } from './introspection.js'
import { methodSignatures } from './method-signatures.js'

type SystemMethod = (root: RemoteHandle<unknown>, name: string) => Promise<unknown>

/** What `system.methodSignature` returns, as Python's servers do, if types are not known. */
const NO_SIGNATURE = 'signatures not supported'

const SYSTEM_METHODS: ReadonlyMap<string, SystemMethod> = new Map<string, SystemMethod>([
  ['system.methodHelp', async (root, name) => (await describeMethod(root, name))?.help ?? ''],
  ['system.methodSignature', signaturesOf]
])
const LIST_METHODS = 'system.listMethods'

async function signaturesOf(root: RemoteHandle<unknown>, name: string): Promise<unknown> {
  const description = await describeMethod(root, name)
  return (description && methodSignatures(description)) ?? NO_SIGNATURE
}

/**
 * Calls an introspection method.
 *
 * @param ownNames dotted names of further methods that the gateway has, for the list
 * @returns undefined if `name` is none of them
 */
export function callSystemMethod(
  root: RemoteHandle<unknown>,
  name: string,
  args: readonly unknown[],
  ownNames: readonly string[] = []
): Promise<unknown> | undefined {
  if (name === LIST_METHODS)
    return args.length > 0 ? refuse(`${name} takes no parameters`) : list(root, ownNames)
  const method = SYSTEM_METHODS.get(name)
  if (!method) return undefined
  const [methodName] = args
  if (args.length !== 1 || typeof methodName !== 'string') return refuse(`${name} takes the name of a method`)
  return method(root, methodName)
}

async function list(root: RemoteHandle<unknown>, ownNames: readonly string[]): Promise<string[]> {
  const names = (await listMethods(root)).map(({ name }) => name)
  return [...new Set([...names, ...ownNames, LIST_METHODS, ...SYSTEM_METHODS.keys()])].sort()
}

const refuse = (message: string) => Promise.reject(new RefusedCallError('bad-params', message))
