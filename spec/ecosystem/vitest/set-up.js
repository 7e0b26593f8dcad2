import { serveLines } from './lines.js'

export default async function setUp(project) {
  const server = await serveLines('http://localhost:3000')
  project.provide('url', server.url)
  return () => server.close()
}
