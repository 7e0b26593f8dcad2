// birpc over `ws`, as its README says to use it. It calls functions by name, and has no references.
import { WebSocket, WebSocketServer } from 'ws'
import { type Client, type Contestant, each, sumOf, type TextFile } from './contestant.js'

const { createBirpc } = await import('birpc')

const over = (socket: WebSocket) => ({
  post: (data: string) => socket.send(data),
  on: (listener: (data: unknown) => void) => socket.on('message', listener),
  serialize: (value: unknown) => JSON.stringify(value),
  deserialize: (text: unknown) => JSON.parse(String(text)),
  timeout: -1
})

export const birpc: Contestant = {
  async serve() {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    server.on('connection', socket => {
      const functions = {
        add: (a: number, b: number) => a + b,
        echo: (value: unknown) => value,
        callBack(count: number, atOnce: number) {
          return sumOf(count, atOnce, i => client.callback(i))
        },
        async countLines(atOnce: number) {
          const lines: string[] = await client.readlines()
          await each(lines.length, atOnce, i => client.noisy(lines[i]))
          return lines.length
        }
      }
      const client = createBirpc(functions, over(socket))
    })
    await new Promise(resolve => server.once('listening', resolve))
    return `ws://127.0.0.1:${(server.address() as { port: number }).port}`
  },

  async connect(address): Promise<Client> {
    const socket = new WebSocket(address, { perMessageDeflate: false })
    await new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    let callback: (i: number) => number
    let file: TextFile
    let noisy: (line: string) => void
    const functions = {
      callback: (i: number) => callback(i),
      readlines: () => file.readlines(),
      noisy: (line: string) => noisy(line)
    }
    const root = createBirpc(functions, over(socket))
    return {
      add: (a, b) => root.add(a, b),
      callBack(count, atOnce, given) {
        callback = given
        return root.callBack(count, atOnce)
      },
      countLines(given, atOnce, say) {
        file = given
        noisy = say
        return root.countLines(atOnce)
      },
      echo: value => root.echo(value),
      close: () => socket.close()
    }
  }
}
