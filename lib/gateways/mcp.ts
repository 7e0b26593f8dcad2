// The entry `netref/mcp`: lets the hosts of language models use methods of a service as tools.

export { type McpOptions, mcp } from './mcp/gateway.js'
export { type McpServing, type ServeMcpOptions, serveMcp } from './mcp/stdio.js'
