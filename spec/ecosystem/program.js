// The program that bundlers build for Node: a server and a client.
import { connect, Service, serve } from 'netref'

class LineCounter extends Service {
  async exposed_count(lines, noisy) {
    for (const line of lines) await noisy(line)
    return lines.length
  }
}

const server = await serve(LineCounter, { port: 0 })
const conn = connect(server.url)
console.log(await conn.root.count(['one', 'two'], line => console.log(line)))
await conn.close()
await server.close()
