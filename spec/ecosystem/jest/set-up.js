import { serveLines } from './lines.js'

export default async function setUp() {
  globalThis.server = await serveLines('http://localhost')
  process.env.LINES_URL = globalThis.server.url
}
