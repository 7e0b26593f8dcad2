// Next.js and a service of netref in one program, on one port.
import { createServer } from 'node:http'
import { Service, serve } from 'netref'
import next from 'next'

class LineCounter extends Service {
  async exposed_count(lines, noisy) {
    for (const line of lines) await noisy(line)
    return lines.length
  }
}

const app = next({ dev: process.env.NODE_ENV !== 'production' })
await app.prepare()
const web = createServer(app.getRequestHandler())
const server = await serve(LineCounter, { server: web, path: '/netref' })
web.listen(Number(process.env.PORT ?? 3000), () => {
  process.env.NETREF_URL = server.url
  console.log(`Local: ${server.url.replace('ws:', 'http:').replace('/netref', '')}`)
})
