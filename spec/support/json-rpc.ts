// Starts a server with the JSON-RPC gateway, and talks to it by HTTP and TCP.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { type JsonRpcOptions, jsonRpc } from '../../lib/gateways/json-rpc.js'
import { type ServeOptions, type Server, type ServiceSource, serve } from '../../lib/index.js'
import { assertClean, waitUntil } from './helpers.js'
import type { Untyped } from './wire.js'

export interface JsonRpcServer {
  readonly server: Server
  readonly port: number
  readonly url: string
}

/** Serves a service by the gateway while `use` runs, then asserts that its sessions have ended and left nothing. */
export async function withJsonRpc(
  t: Test,
  service: ServiceSource,
  use: (served: JsonRpcServer) => Promise<void>,
  { gateway, ...options }: ServeOptions & { readonly gateway?: JsonRpcOptions } = {}
): Promise<void> {
  const errors: unknown[] = []
  /* c8 ignore next: only a test that fails gets here. */
  const onError = (error: unknown) => void errors.push(error)
  await using server = await serve(service, {
    port: 0,
    host: '127.0.0.1',
    gateways: [jsonRpc(gateway)],
    onError,
    ...options
  })
  const port = Number(new URL(server.url).port)
  await use({ server, port, url: `http://127.0.0.1:${port}/` })
  await waitUntil(() => server.sessions.size === 0, 'the end of all sessions')
  await assertClean(t, ...server.sessions)
  t.same(errors, [], 'nothing was reported')
}

/** Posts a text. @returns the status and the body */
export async function postText(
  url: string,
  text: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {}
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(url, {
    method: 'POST',
    body: text as string,
    headers: { 'content-type': 'application/json', ...headers }
  })
  return { status: response.status, text: await response.text() }
}

/** Posts a text, or what it stands for. @returns the parsed answer; undefined if it is empty */
export async function post(url: string, message: unknown): Promise<Untyped> {
  const { text } = await postText(url, typeof message === 'string' ? message : JSON.stringify(message))
  return text === '' ? undefined : JSON.parse(text)
}

/** A client over TCP that sends bytes as they are. */
export class RawClient {
  /** The answers so far, one a line. */
  readonly lines: string[] = []
  readonly closed: Promise<unknown>
  #rest = ''

  private constructor(readonly socket: Socket) {
    socket
      .setEncoding('utf8')
      .on('error', () => {})
      .on('data', (text: string) => {
        const lines = (this.#rest + text).split('\n')
        this.#rest = lines.pop()!
        this.lines.push(...lines)
      })
    this.closed = new Promise(resolve => socket.once('close', resolve))
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new RawClient(socket.setNoDelay(true))
  }

  /** Sends a text or bytes, and waits until they have left. */
  send(data: string | Uint8Array): Promise<void> {
    return new Promise(resolve => this.socket.write(data, () => resolve()))
  }

  /** Waits for a number of answers in all. @returns all answers, parsed */
  async answers(count: number): Promise<Untyped[]> {
    await waitUntil(() => this.lines.length >= count || this.socket.destroyed, `${count} answers`)
    return this.lines.map(line => JSON.parse(line))
  }

  /** Closes this side, and waits for the end of the connection. */
  async end(): Promise<void> {
    this.socket.end()
    await this.closed
  }
}
