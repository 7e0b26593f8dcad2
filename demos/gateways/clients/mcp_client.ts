// Does what a host of a language model does: lists the tools, and calls one. Arguments: the URL, or a command that serves.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'

const [target = 'http://localhost:18861/mcp', ...args] = process.argv.slice(2)
const transport = URL.canParse(target)
  ? new StreamableHTTPClientTransport(new URL(target))
  : new StdioClientTransport({ command: target, args })
const client = new Client({ name: 'demo', version: '1.0.0' })
await client.connect(transport)
for (const { name, description, inputSchema } of (await client.listTools()).tools)
  console.log(`${name}(${Object.keys(inputSchema.properties ?? {}).join(', ')}): ${description}`)

const calls: [tool: string, args: Record<string, number>][] = [
  ['sum', { x: 1, y: 2 }],
  ['divide', { dividend: 7, divisor: 3 }],
  ['divide', { dividend: 7, divisor: 0 }]
]
for (const [name, args] of calls) {
  const { content } = await client.callTool({ name, arguments: args })
  for (const part of content) if (part.type === 'text') console.log(`${name}: ${part.text}`)
}
await client.close()
