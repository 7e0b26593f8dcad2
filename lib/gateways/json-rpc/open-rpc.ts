// Describes a service by OpenRPC, for `rpc.discover`.

import type { RemoteHandle } from '../../types/netref.js'
import { signatureOf } from '../../util/signature.js'
import { listMethods, type MethodDescription } from '../support/introspection.js'
import { ComponentSchemas } from './component-schemas.js'

/** The version of OpenRPC. */
const OPEN_RPC_VERSION = '1.3.2'

/**
 * Describes a service by [OpenRPC](https://open-rpc.org), as `rpc.discover` does: its methods, and those of the objects that it
 * exposes, with parameters, results and help texts. Types are JSON Schemas; an unknown one is `{}`.
 *
 * @param root the root of a session, or another netref
 * @returns the document, as plain JSON
 * @throws ExposureError if the service sets `describe: false`
 * @example
 * await using conn = connect('ws://localhost:18861')
 * console.log(JSON.stringify(await describeByOpenRpc(conn.root)))
 */
export async function describeByOpenRpc(root: RemoteHandle<unknown>): Promise<OpenRpcDocument> {
  const components = new ComponentSchemas()
  const methods = (await listMethods(root)).map(method => describe(method, components))
  const schemas = components.components()
  return {
    openrpc: OPEN_RPC_VERSION,
    info: { title: 'netref service', version: '0.0.0' },
    methods,
    ...(Object.keys(schemas).length > 0 && { components: { schemas } })
  }
}

/** A document of OpenRPC. */
export interface OpenRpcDocument {
  /** The version of OpenRPC. */
  readonly openrpc: string
  /** What the document describes. */
  readonly info: {
    /** A name for it. */
    readonly title: string
    /** Its version. */
    readonly version: string
  }
  /** The methods, sorted by name. */
  readonly methods: readonly OpenRpcMethod[]
  /** The schemas that references name; left out if there are none. */
  readonly components?: {
    /** JSON Schemas, by name. */
    readonly schemas: Readonly<Record<string, unknown>>
  }
}

/** A method in a document of OpenRPC. */
export interface OpenRpcMethod {
  /** The dotted name: `maths.half` for the member `half` of the member `maths`. */
  readonly name: string
  /** The help text. */
  readonly description?: string
  /** How parameters are passed: a rest parameter, and one without a name in the source, has no name that a call can use. */
  readonly paramStructure: 'either' | 'by-position'
  /** The parameters in order, required ones in front. A rest parameter has the name `...name`. */
  readonly params: readonly OpenRpcContent[]
  /** The result. */
  readonly result: OpenRpcContent
}

/** A parameter or a result in a document of OpenRPC. */
export interface OpenRpcContent {
  /** The name of the parameter, or `result`. */
  readonly name: string
  /** Whether a call must have it. @default false */
  readonly required?: boolean
  /** The JSON Schema, of draft 7; `{}` if the type is not known. */
  readonly schema: unknown
}

function describe(method: MethodDescription, components: ComponentSchemas): OpenRpcMethod {
  const { name, parameters: names = [], help } = method
  const { parameters = [], input, output = {} } = signatureOf(method)
  const isNamed = parameters.every(
    parameter => !parameter.isRest && names.some(other => other.replace(/\?$/, '') === parameter.name)
  )
  return {
    name,
    ...(help !== undefined && { description: help }),
    paramStructure: isNamed ? 'either' : 'by-position',
    params: parameters.map(parameter => ({
      name: parameter.isRest ? `...${parameter.name}` : parameter.name,
      required: parameter.isRequired,
      schema: components.add(parameter.schema, input, `${name}.${parameter.name}`)
    })),
    result: { name: 'result', schema: components.add(output, output, `${name}.result`) }
  }
}
