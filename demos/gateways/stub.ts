// A gateway of one's own: a text protocol of RPC tutorials. `func:sum@params:1-1,2-2.5` is answered by `data:3.5`.
import { Netref } from 'netref'
import type { Gateway, GatewayOptions } from 'netref/gateway'

/** By the digit of its kind: 1 is an integer, 2 a number, 3 a text, which can contain neither `,` nor `@`. */
const readers: Record<string, (text: string) => unknown> = { 1: parseInt, 2: Number, 3: String }

/** `sum@params:1-1,2-2.5` as `['sum', [1, 2.5]]`. */
function parse(request: string): [name: string, args: unknown[]] {
  const [name = '', params] = request.split('@params:')
  const read = (param: string) => (readers[param[0]!] ?? String)(param.slice(2))
  return [name, params ? params.split(',').map(read) : []]
}

/** Serves the clients of that protocol. It has no delimiter: a chunk that arrives is a request. */
export const stub = (options: GatewayOptions = {}): Gateway => ({
  name: 'stub',
  ...options,
  detect: bytes => (bytes.length < 5 ? undefined : Buffer.from(bytes).toString('latin1', 0, 5) === 'func:'),
  async handleSocket(socket, client) {
    const session = await client.openSession()
    session.on('closed', () => socket.end())
    for await (const chunk of socket) {
      try {
        const [name, args] = parse(String(chunk).slice(5))
        const result = await Netref.get(session.root, name)(...args)
        if (Object(result) === result) throw new TypeError('the result is an object, which has no text')
        socket.write(`data:${result}`)
      } catch (error) {
        socket.write(`error:${(error as Error).message}`)
      }
    }
  }
})
