// The client in the page. It uses only `connect` of netref, and ordinary calls.
import { connect } from './netref.js'
import { PageFile, sampleFile } from './page-file.js'
import { View } from './view.js'

const element = id => document.getElementById(id)
const tab = crypto.randomUUID?.() ?? String(Math.random())
const name = `tab ${tab.slice(0, 4)}`
const view = new View(() => conn)

/** The callbacks of this tab, for the server and, through it, the other tabs. */
class Visitor {
  others(tabs) {
    view.tabs(
      tabs.map(({ name: other, visitor }) => ({
        name: other,
        wave: async () => {
          await visitor.waved(name)
          view.wave(`You waved to ${other}.`)
        }
      }))
    )
  }
  waved(from) {
    view.wave(`${from} waves to you.`)
  }
}

/** A session with the server. While it lasts, this tab is notified of the others. */
function join() {
  const conn = connect(new URL(`/rpc?tab=${tab}`, location.href.replace(/^http/, 'ws')), {
    allowPublicAttrs: true,
    trace: (direction, line) => view.message(direction, line)
  })
  conn.root.join(name, new Visitor()).then(
    () => view.status(`connected as ${name}`, 'on'),
    error => view.status(error.reason?.message ?? error.message, 'off')
  )
  conn.on('interrupted', () => view.cut())
  conn.on('resumed', () => view.carriedOn(`connected as ${name}`))
  conn.closed.then(reason => {
    view.status(`the session has ended: ${reason.message}`, 'off')
    view.tabs([])
  })
  return conn
}

let conn = join()
let counting = false

async function count(file) {
  if (counting) return
  counting = true
  element('sample').disabled = true
  view.begin(file.name)
  let read = 0
  const noisy = line => {
    view.say(line)
    read += line.length + 1
    view.progress = Math.min(0.99, read / file.size)
  }
  try {
    if ((await Promise.race([conn.closed, undefined])) !== undefined) conn = join()
    const lines = await conn.root.line_counter(new PageFile(file), noisy)
    view.progress = 1
    view.end(
      `The server counted ${lines.toLocaleString('en')} ${lines === 1 ? 'line' : 'lines'} in ${file.name}.`
    )
  } catch (error) {
    view.end(error.reason?.message ?? error.message)
  } finally {
    counting = false
    element('sample').disabled = false
  }
}

element('pick').addEventListener('change', ({ target }) => target.files[0] && count(target.files[0]))
element('sample').addEventListener('click', () => count(sampleFile()))
element('cut').addEventListener('click', () => fetch(`/cut?tab=${tab}`, { method: 'POST' }))

// Beside the drop zone, too: there the browser would leave the page for the file.
for (const type of ['dragover', 'dragleave', 'drop']) {
  addEventListener(type, event => {
    event.preventDefault()
    element('drop').classList.toggle('over', type === 'dragover')
    if (type === 'drop' && event.dataTransfer.files[0]) count(event.dataTransfer.files[0])
  })
}

setInterval(
  () =>
    conn.ping().then(
      ms => view.ping(ms),
      () => {}
    ),
  1000
)

// A tab that is closed ends its session; otherwise the server would wait for a resumption.
addEventListener('pagehide', () => conn.close())
