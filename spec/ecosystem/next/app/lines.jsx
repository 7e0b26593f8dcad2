'use client'

import { useConnection, useConnectionState, useRemote } from 'netref/react'
import { Suspense, useState } from 'react'

const OPTIONS = { renew: true }

function Counter({ url }) {
  const conn = useConnection(url, OPTIONS)
  const state = useConnectionState(conn)
  const count = useRemote(() => conn.root.count(['three'], () => {}), [conn])
  const [heard, setHeard] = useState([])
  const read = () => conn.root.count(['four', 'five'], line => setHeard(lines => [...lines, line]))
  return <button type="button" onClick={read}>{`${state}: ${count} line, ${heard.join(', ')}`}</button>
}

export function Lines({ url }) {
  return (
    <Suspense fallback="loading">
      <Counter url={url} />
    </Suspense>
  )
}
