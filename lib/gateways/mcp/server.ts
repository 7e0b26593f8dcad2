// The MCP server for one client: lists the tools of a service, and calls them.

import type { CallToolResult, Server, Tool as ToolDescription } from '@modelcontextprotocol/server'
import { Netref } from '../../index.js'
import type { GatewayClient } from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { quote } from '../../util/describe.js'
import { PACKAGE_VERSION } from '../../util/library-copies.js'
import { methodAt } from '../support/methods.js'
import { toFailure } from './failures.js'
import { toArguments } from './parameters.js'
import { toToolResult } from './results.js'
import type { Sdk } from './sdk.js'
import type { Tool, ToolBox } from './tools.js'

/** What hosts show of the server, unless their users name it. */
const SERVER_INFO = { name: 'netref', version: PACKAGE_VERSION }

/** What a client's server depends on besides its session. */
export interface ToolClient extends Pick<GatewayClient, 'limits' | 'exposeStacks' | 'report'> {
  /** Counts the characters of a result. @throws LimitError if those of one HTTP request are too many */
  readonly takeRoom?: (length: number) => void
}

/** A server for a client whose session has this root. */
export function createServer(
  sdk: Sdk,
  tools: ToolBox,
  root: RemoteHandle<unknown>,
  client: ToolClient
): Server {
  const server = new sdk.Server(SERVER_INFO, { capabilities: { tools: {} } })
  const report = (error: Error) => client.report(error)
  server.setRequestHandler('tools/list', async () => ({
    tools: (await tools.list(root, report)).map(describeTool)
  }))
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq: { signal } }) => {
    const { name, arguments: named = {} } = params
    const tool = await tools.find(root, name, report)
    if (!tool)
      throw new sdk.ProtocolError(sdk.ProtocolErrorCode.InvalidParams, `there is no tool ${quote(name)}`)
    return server.projectCallToolResult(await call(root, tool, named, signal, client), tool.output)
  })
  return server
}

function describeTool({ name, description, parameters, output }: Tool): ToolDescription {
  return {
    name,
    ...(description !== undefined && { description }),
    inputSchema: parameters.schema as ToolDescription['inputSchema'],
    ...(output && { outputSchema: output as NonNullable<ToolDescription['outputSchema']> })
  }
}

async function call(
  root: RemoteHandle<unknown>,
  tool: Tool,
  named: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
  { limits, exposeStacks, takeRoom }: ToolClient
): Promise<CallToolResult> {
  try {
    const args = toArguments(tool.name, tool.parameters.list, named)
    const method = Netref.with(methodAt(root, tool.member, limits.depth), { signal })
    return await toToolResult(await method(...args), tool.output, limits, takeRoom)
  } catch (error) {
    return toFailure(error, tool, exposeStacks)
  }
}
