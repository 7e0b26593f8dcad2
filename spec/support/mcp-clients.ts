// The clients of both lines of the MCP SDK, over any transport.
import { Client as ClientV2, type Transport as TransportV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport as TransportV1 } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { Untyped } from './wire.js'

/** What the specs use of a client. */
export interface McpClient {
  list(): Promise<Untyped[]>
  call(
    name: string,
    args?: Readonly<Record<string, unknown>>,
    options?: { readonly signal: AbortSignal }
  ): Promise<Untyped>
  close(): Promise<void>
}

type ConnectClient = (transport: object) => Promise<McpClient>

const INFO = { name: 'spec', version: '1.0.0' }

const connectV1: ConnectClient = async transport => {
  const client = new ClientV1(INFO)
  await client.connect(transport as TransportV1)
  return {
    list: async () => (await client.listTools()).tools,
    call: (name, args = {}, options) => client.callTool({ name, arguments: args }, undefined, options),
    close: () => client.close()
  }
}

const connectV2 =
  (mode: 'legacy' | 'auto'): ConnectClient =>
  async transport => {
    const client = new ClientV2(INFO, { versionNegotiation: { mode } })
    await client.connect(transport as TransportV2)
    return {
      list: async () => (await client.listTools()).tools,
      call: (name, args = {}, options) => client.callTool({ name, arguments: args }, options),
      close: () => client.close()
    }
  }

/** The clients of the SDK's lines 1 and 2, by the protocol versions that they negotiate. */
export const MCP_CLIENTS = {
  'SDK 1, 2025-11-25': connectV1,
  'SDK 2, 2025-11-25': connectV2('legacy'),
  'SDK 2, 2026-07-28': connectV2('auto')
} as const satisfies Readonly<Record<string, ConnectClient>>

export type McpClientName = keyof typeof MCP_CLIENTS

export const MCP_CLIENT_NAMES = Object.keys(MCP_CLIENTS) as McpClientName[]

/** The text of a tool's result. */
export const textOf = (result: Untyped): string => result.content.map(({ text }: Untyped) => text).join('\n')

/** A call of a tool as a message of protocol version 2025-11-25. */
export const callMessage = (name: string, args: object = {}, id: unknown = 1): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args }
})
