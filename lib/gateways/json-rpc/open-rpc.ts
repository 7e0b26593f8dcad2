// Describes a service by OpenRPC, for `rpc.discover`.

import type { RemoteHandle } from '../../types/netref.js'
import { listMethods, type MethodDescription } from '../support/introspection.js'

/** The version of OpenRPC. */
const OPEN_RPC_VERSION = '1.3.2'

/** The OpenRPC document of a service: names, parameters and help texts. Types are not known. */
export async function discover(root: RemoteHandle<unknown>): Promise<object> {
  const methods = (await listMethods(root)).map(describe)
  return { openrpc: OPEN_RPC_VERSION, info: { title: 'netref service', version: '0.0.0' }, methods }
}

function describe({ name, parameters = [], help }: MethodDescription): object {
  const isNamed = parameters.every(parameter => !parameter.startsWith('...'))
  // OpenRPC wants required parameters in front.
  const lastRequired = parameters.map(isRequired).lastIndexOf(true)
  return {
    name,
    ...(help !== undefined && { description: help }),
    paramStructure: isNamed ? 'either' : 'by-position',
    params: parameters.map((parameter, i) => ({
      name: parameter.replace(/\?$/, ''),
      required: i <= lastRequired,
      schema: {}
    })),
    result: { name: 'result', schema: {} }
  }
}

const isRequired = (parameter: string): boolean => !/^\.{3}|\?$/.test(parameter)
