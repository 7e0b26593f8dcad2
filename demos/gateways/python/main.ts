// `npm run demo:python`: Node uses Python's numpy, and a page uses a service that does.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connect, serve } from 'netref'
import { classic, connectRpyc, withKeywords } from 'netref/rpyc'
import { bold, dim, main, show } from '../../terminal.js'
import { Curves } from './curves.js'

const FILES: Record<string, readonly [file: string, type: string]> = {
  '/': ['page/index.html', 'text/html'],
  '/page.js': ['page/page.js', 'text/javascript'],
  '/netref.js': ['../../../dist/browser.js', 'text/javascript']
}
const POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'"

/** Starts Python, which ends with this process. @returns the address of its server, and its version */
async function startPython(command: string) {
  const program = fileURLToPath(new URL('classic_server.py', import.meta.url))
  const python = spawn(command, [program], { stdio: ['pipe', 'pipe', 'inherit'] })
  const line = once(createInterface(python.stdout), 'line')
  const exit = once(python, 'exit').then(() => {
    throw new Error(`${command} has no RPyC (Debian: apt install python3-rpyc python3-numpy)`)
  })
  exit.catch(() => {})
  const [text] = await Promise.race([line, exit])
  const [port, version] = String(text).split(' ').map(Number)
  python.unref()
  ;(python.stdin as Socket).unref()
  ;(python.stdout as Socket).unref()
  return { address: `127.0.0.1:${port}`, version: version === 5 ? 5 : 6 } as const
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '18863' },
      python: { type: 'string', default: '/usr/bin/python3' }
    }
  })
  const { address, version } = await startPython(values.python)
  await using python = connectRpyc(address, { version })
  const py = classic(python)

  console.log(bold('Node uses all of Python, by classic mode.'))
  const numpy = await py.modules.numpy
  await show('py.modules.platform.python_version()', py.modules.platform!.python_version())
  await show('py.eval("2 ** 100")', py.eval('2 ** 100'))
  const matrix = await numpy.array([
    [2, 1],
    [1, 3]
  ])
  await show('numpy.linalg.inv([[2, 1], [1, 3]]).tolist()', numpy.linalg.inv(matrix).tolist())
  await show('numpy.linalg.eigvalsh(…).tolist()', numpy.linalg.eigvalsh(matrix).tolist())
  await show(
    'withKeywords(numpy.sum, { axis: 0 })(…).tolist()',
    withKeywords(numpy.sum, { axis: 0 })(matrix).tolist()
  )
  const squares = py.builtins.map((n: number) => n * n, [1, 2, 3])
  await show('py.builtins.list(py.builtins.map(n => n * n, [1, 2, 3]))', py.builtins.list(await squares))

  const web = createServer(async (request, response) => {
    const [file, type] = FILES[new URL(request.url!, 'http://localhost').pathname] ?? []
    if (!file) return void response.writeHead(404).end('not found')
    const body = await readFile(new URL(file, import.meta.url))
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'content-security-policy': POLICY })
    response.end(body)
  })
  const server = await serve(() => new Curves(numpy), { server: web })
  await once(web.listen(Number(values.port), '127.0.0.1'), 'listening')

  console.log(bold('\nClients use what a service offers: one method, and never Python itself.'))
  const client = connect<Curves>(server.url)
  await show(
    'root.fit([[0, 1], [1, 3], [2, 7]], 2)',
    client.root.fit(
      [
        [0, 1],
        [1, 3],
        [2, 7]
      ],
      2
    )
  )
  await client.close()
  console.log(`\n${dim('server')}  open ${server.url.replace('ws:', 'http:')} in a browser. Ctrl-C ends it.`)

  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  await server.close()
  web.close()
})
