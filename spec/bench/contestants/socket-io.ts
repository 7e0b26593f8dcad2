// Socket.IO: events with acknowledgements. What it cannot refer to, it does by events of a name.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Client, type Contestant, each, sumOf } from './contestant.js'

const { Server } = await import('socket.io')
const { io } = await import('socket.io-client')

type Answer = (value: unknown) => void

export const socketIo: Contestant = {
  async serve() {
    const http = createServer()
    const server = new Server(http, { transports: ['websocket'], maxHttpBufferSize: 64 << 20 })
    // biome-ignore lint/suspicious/noExplicitAny: its types are not there before it is installed.
    server.on('connection', (socket: any) => {
      socket.on('add', (a: number, b: number, answer: Answer) => answer(a + b))
      socket.on('echo', (value: unknown, answer: Answer) => answer(value))
      socket.on('callBack', async (count: number, atOnce: number, answer: Answer) => {
        answer(await sumOf(count, atOnce, i => socket.emitWithAck('callback', i)))
      })
      socket.on('countLines', async (atOnce: number, answer: Answer) => {
        const lines: string[] = await socket.emitWithAck('readlines')
        await each(lines.length, atOnce, i => socket.emitWithAck('noisy', lines[i]))
        answer(lines.length)
      })
    })
    await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  },

  async connect(address): Promise<Client> {
    const socket = io(address, { transports: ['websocket'], forceNew: true })
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('connect_error', reject)
    })
    return {
      add: (a, b) => socket.emitWithAck('add', a, b),
      callBack(count, atOnce, callback) {
        socket.off('callback').on('callback', (i: number, answer: Answer) => answer(callback(i)))
        return socket.emitWithAck('callBack', count, atOnce)
      },
      countLines(file, atOnce, noisy) {
        socket.off('readlines').on('readlines', (answer: Answer) => answer(file.readlines()))
        socket.off('noisy').on('noisy', (line: string, answer: Answer) => answer(noisy(line)))
        return socket.emitWithAck('countLines', atOnce)
      },
      echo: value => socket.emitWithAck('echo', value),
      echoBytes: bytes => socket.emitWithAck('echo', bytes),
      close: () => socket.close()
    }
  }
}
