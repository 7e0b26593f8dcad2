// The methods that every server of ZeroRPC has: they list and describe the others.

import type { RemoteHandle } from '../../types/netref.js'
import { RefusedCallError } from '../support/call-failure.js'
import { describeMethod, listMethods, type MethodDescription } from '../support/introspection.js'
import { NameError } from './call-error.js'

/** The name of the service. ZeroRPC's own servers tell that of a class, which a client of netref does not learn. */
const SERVICE_NAME = 'netref'

type Root = RemoteHandle<unknown>
type Builtin = (root: Root, method: string) => Promise<unknown>

const BUILTINS: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ['_zerorpc_list', async root => (await listMethods(root)).map(({ name }) => name)],
  ['_zerorpc_name', async () => SERVICE_NAME],
  ['_zerorpc_ping', async () => ['pong', SERVICE_NAME]],
  ['_zerorpc_inspect', inspect],
  ['_zerorpc_help', async (root, method) => (await requireMethod(root, method)).help ?? null],
  ['_zerorpc_args', async (root, method) => argumentSpecOf(await requireMethod(root, method))]
])
/** Those that take the name of a method. Others take nothing. */
const OF_A_METHOD: ReadonlySet<string> = new Set(['_zerorpc_help', '_zerorpc_args'])

/** Calls such a method. @returns undefined if `name` is none of them */
export function callBuiltin(
  root: Root,
  name: string,
  args: readonly unknown[]
): Promise<unknown> | undefined {
  const builtin = BUILTINS.get(name)
  if (!builtin) return undefined
  const [method = ''] = args
  const needed = OF_A_METHOD.has(name) ? 1 : 0
  if (args.length !== needed || typeof method !== 'string')
    throw new RefusedCallError(
      'bad-params',
      `${name} takes ${needed === 1 ? 'the name of a method' : 'nothing'}`
    )
  return builtin(root, method)
}

async function inspect(root: Root): Promise<unknown> {
  const methods = (await listMethods(root)).map(method => [
    method.name,
    { args: inspectedArguments(method), doc: method.help ?? null }
  ])
  return { name: SERVICE_NAME, methods: Object.fromEntries(methods) }
}

/** Parameters by name. Those with a default have `default`, whose value is not known. */
const inspectedArguments = ({ parameters }: MethodDescription) =>
  parameters?.map(parameter =>
    parameter.endsWith('?') ? { name: parameter.slice(0, -1), default: null } : { name: parameter }
  ) ?? null

/** As `inspect.getargspec` of Python: names, the rest parameter, that for keywords, and the last defaults. */
function argumentSpecOf({ parameters }: MethodDescription): unknown {
  if (!parameters) return null
  const rest = parameters.find(parameter => parameter.startsWith('...'))
  const named = parameters.filter(parameter => parameter !== rest)
  const defaults = named.filter(parameter => parameter.endsWith('?')).map(() => null)
  return [
    named.map(parameter => parameter.replace(/\?$/, '')),
    rest?.slice('...'.length) ?? null,
    null,
    defaults.length > 0 ? defaults : null
  ]
}

async function requireMethod(root: Root, name: string): Promise<MethodDescription> {
  const method = await describeMethod(root, name)
  if (!method) throw new NameError(name)
  return method
}
