import { lineCounter } from '../line-counter.js'

/** `POST /count`: counts the lines of the body. */
export async function POST(request) {
  const heard = []
  const lines = (await request.text()).split('\n')
  const count = await lineCounter().count(lines, line => heard.push(line))
  return Response.json({ count, heard })
}
