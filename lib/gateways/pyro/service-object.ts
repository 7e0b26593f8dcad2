// An object of the service, as clients of Pyro see it.

import { Netref } from '../../index.js'
import type { Description } from '../../types/description.js'
import type { RemoteHandle } from '../../types/netref.js'
import { RefusedCallError } from '../support/call-failure.js'
import { listMethods } from '../support/introspection.js'
import { methodAt } from '../support/methods.js'
import { namedArguments } from '../support/named-arguments.js'
import type { Metadata, MethodCall, PyroObject } from './pyro-object.js'

/** The methods by which Pyro reads and writes attributes. */
const GET_ATTRIBUTE = '__getattr__'
const SET_ATTRIBUTE = '__setattr__'

const ATTRIBUTE_KINDS: ReadonlySet<Description['kind']> = new Set(['value', 'accessor', 'object'])

export class ServiceObject implements PyroObject {
  constructor(
    private readonly target: RemoteHandle<unknown>,
    /** Maximum number of names in a dotted one. */
    private readonly maxNames: number
  ) {}

  /** An object that has methods is a method, too: Pyro then sends `proxy.maths.half(5)` as a call of `maths.half`. */
  async metadata(): Promise<Metadata> {
    const members: Description[] = await Netref.describe(this.target)
    const methods = new Set((await listMethods(this.target)).map(({ name }) => name.split('.', 1)[0]!))
    const attrs = members.filter(({ name, kind }) => ATTRIBUTE_KINDS.has(kind) && !methods.has(name))
    return { methods: [...methods], attrs: attrs.map(({ name }) => name), oneway: [] }
  }

  async prepare({ method, args, named }: MethodCall): Promise<() => Promise<unknown>> {
    const { target } = this
    if (method === GET_ATTRIBUTE) {
      const name = attributeName(method, args, 1)
      return async () => Netref.get(target, name)
    }
    if (method === SET_ATTRIBUTE) {
      const name = attributeName(method, args, 2)
      return () => Netref.set(target, name, args[1] as never)
    }
    const path = methodAt(target, method, this.maxNames)
    const more =
      Object.keys(named).length === 0 ? [] : await namedArguments(target, method, named, args.length)
    return async () => path(...args, ...more)
  }
}

function attributeName(method: string, args: readonly unknown[], count: number): never {
  const [name] = args
  if (args.length === count && typeof name === 'string') return name as never
  throw new RefusedCallError('bad-params', `${method} takes the name of an attribute`)
}
