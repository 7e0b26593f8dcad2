import { connection } from 'next/server'
import { lineCounter } from './line-counter.js'
import { Lines } from './lines.jsx'

export default async function Page() {
  await connection() // renders at each request, not in `next build`
  const heard = []
  const count = await lineCounter().count(['one', 'two'], line => heard.push(line))
  return (
    <main>
      <p>{`On the server: ${count} lines, ${heard.join(', ')}`}</p>
      <Lines url={process.env.NETREF_URL} />
    </main>
  )
}
