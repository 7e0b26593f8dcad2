// Loads `@modelcontextprotocol/server`, the MCP SDK. It is an optional peer dependency.

import type * as ServerModule from '@modelcontextprotocol/server'
import type * as StdioModule from '@modelcontextprotocol/server/stdio'
import { loadOptionalPackage } from '../../util/optional-package.js'

const PACKAGE = '@modelcontextprotocol/server'

/** What MCP servers are made of. */
export type Sdk = Pick<
  typeof ServerModule,
  'createMcpHandler' | 'ProtocolError' | 'ProtocolErrorCode' | 'Server'
>
/** What serves MCP over streams. */
export type StdioSdk = Pick<typeof StdioModule, 'serveStdio' | 'StdioServerTransport'>

/** @throws Error if it is not installed */
export const loadSdk = (call: string): Sdk => loadOptionalPackage<Sdk>(PACKAGE, call)

/** `loadSdk` comes first: its error names the package. */
export const loadStdioSdk = (call: string): StdioSdk =>
  loadOptionalPackage<StdioSdk>(`${PACKAGE}/stdio`, call)
