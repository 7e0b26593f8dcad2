// Reads the body of an HTTP request within bounds, and answers requests.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Limits } from '../../protocol/limits.js'

/** A request that a gateway refuses by an HTTP status. */
export class HttpRefusal extends Error {
  override name = 'HttpRefusal'

  constructor(
    readonly status: number,
    message: string
  ) {
    super(message)
  }
}

/**
 * Reads the body of a request. A client that sends no byte for `limits.helloMs` is refused.
 *
 * @throws HttpRefusal for a body that is compressed (415), longer than `limits.jsonBytes` (413), late (408), or cut (400)
 */
export function readBody(
  request: IncomingMessage,
  { jsonBytes, helloMs }: Pick<Limits, 'jsonBytes' | 'helloMs'>
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const encoding = request.headers['content-encoding'] ?? 'identity'
    if (encoding.toLowerCase() !== 'identity')
      return reject(new HttpRefusal(415, `the body has the encoding ${encoding}: send it as it is`))
    const tooLong = () =>
      new HttpRefusal(413, `the body is longer than ${jsonBytes} bytes (limits.jsonBytes)`)
    if (Number(request.headers['content-length'] ?? 0) > jsonBytes) return reject(tooLong())
    const chunks: Buffer[] = []
    let length = 0
    const settle = (refusal?: HttpRefusal) => {
      clearTimeout(timer)
      request.off('data', onData).off('end', onEnd).off('close', onClose)
      if (refusal) reject(refusal)
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    }
    const timer = setTimeout(
      () => settle(new HttpRefusal(408, `no byte of the body arrived for ${helloMs} ms (limits.helloMs)`)),
      helloMs
    )
    const onData = (chunk: Buffer) => {
      length += chunk.length
      if (length > jsonBytes) return settle(tooLong())
      chunks.push(chunk)
      timer.refresh()
    }
    const onEnd = () => settle()
    const onClose = () => settle(new HttpRefusal(400, 'the connection closed before the end of the body'))
    request.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}

/**
 * Answers a request that was refused.
 *
 * @returns false for other errors
 */
export function answerRefusal(response: ServerResponse, error: unknown): boolean {
  if (!(error instanceof HttpRefusal)) return false
  // The rest of the body is not read.
  response.setHeader('connection', 'close')
  answer(response, error.status, 'text/plain; charset=utf-8', `${error.message}\n`)
  return true
}

/** Answers a request. */
export function answer(response: ServerResponse, status: number, type: string, body: string): void {
  // Node writes the head and a text at once; bytes would be a second chunk.
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
}
