// The page that bundlers build: its server counts lines, and calls it for each.
import { connect } from 'netref'

const show = text => {
  document.body.append(text, document.createElement('br'))
}

const conn = connect(location.origin.replace('http', 'ws'))
const count = await conn.root.count(['one', 'two'], show)
await conn.close()
show(`${count} lines, ${conn.state}`)
