// Defines `mcp`, the gateway for clients of the Model Context Protocol (MCP): the hosts of language models.

import { GATEWAY_OPTIONS, type Gateway, type GatewayOptions } from '../../server/gateway.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { Exchanges } from './exchanges.js'
import { MCP_HEADERS, serveRequest } from './http.js'
import { loadSdk } from './sdk.js'
import { nameTools } from './tool-names.js'
import { ToolBox } from './tools.js'

/** Options of `mcp`. */
export interface McpOptions extends GatewayOptions {
  /**
   * The methods that become tools, as paths: `['sum', 'ServiceA.Add']`. Each must have a schema. The tool of `ServiceA.Add` is
   * named `ServiceA_Add`, as hosts accept no dots. Exposing a method to programs does not expose it to models: no other
   * method becomes a tool. `onError` is told once of a name that gives no tool.
   */
  readonly tools: readonly string[]
  /** Path of the HTTP requests. @default '/mcp' */
  readonly path?: string | undefined
}

const MCP_OPTIONS: OptionTypes<McpOptions> = { ...GATEWAY_OPTIONS, tools: '', path: 'a string' }

/** Those of requests and of answers. */
const CONTENT_TYPES = ['application/json']

/**
 * Lets the hosts of language models use methods of a service as tools, by MCP over HTTP. A tool has the `help` of its method as
 * description. Its arguments have the names of the parameters and the types of the `schema`, and its result has those of
 * `returns`. An error is told to the model by name and message.
 *
 * @throws TypeError for invalid options
 * @throws Error if the package `@modelcontextprotocol/server` is not installed
 * @example
 * class Calculator extends Service {
 *   @exposed({ schema: z.tuple([z.number(), z.number()]), help: 'Adds two numbers' })
 *   sum(a: number, b: number) {
 *     return a + b
 *   }
 * }
 * const server = await serve(Calculator, { port: 18861, gateways: [mcp({ tools: ['sum'] })] })
 */
export function mcp(options: McpOptions): Gateway {
  // Without types, the options may be missing: the error is then about `tools`.
  const given = options ?? {}
  checkOptions('mcp', given, MCP_OPTIONS)
  const { tools, path = '/mcp', ...gatewayOptions } = given
  const members = nameTools('mcp', tools)
  const serving = { sdk: loadSdk('mcp'), tools: new ToolBox(members), exchanges: new Exchanges() }
  return {
    ...gatewayOptions,
    name: 'mcp',
    requests: { path, contentTypes: CONTENT_TYPES, headers: MCP_HEADERS },
    handleRequest: (request, response, client) => serveRequest(serving, request, response, client)
  }
}
