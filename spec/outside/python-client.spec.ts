// Runs the Python client, which was written from PROTOCOL.md, against a real server, and cuts its socket.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Cutter } from '../../demos/line-counter/cutter.js'
import { Netref, Service, type Session, serve } from '../../lib/index.js'
import { assertClean } from '../support/helpers.js'
import { pythonWith } from '../support/installed-programs.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const CLIENT = '../../demos/python-client/netref.py'
const python = pythonWith('websockets')

t.test('the client has less than 300 lines of code: blank ones are not counted', async t => {
  const lines = readFileSync(here(CLIENT), 'utf8')
    .split('\n')
    .filter(line => line.trim() !== '')
  t.ok(lines.length < 300, `${lines.length} lines`)
})

type Shout = Netref<(text: string) => string>

class Files extends Service {
  #kept: Shout | undefined
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_open(name: string) {
    return new File(name)
  }
  async exposed_count(lines: Netref<{ readlines(): string[] }>, noisy: Shout) {
    const all = await lines.readlines()
    for (const line of all) await noisy(line)
    Netref.release(lines)
    Netref.release(noisy)
    return all.length
  }
  exposed_keep(shout: Shout) {
    this.#kept = shout
  }
  async exposed_shout(text: string) {
    return await this.#kept!(text)
  }
  exposed_forget() {
    Netref.release(this.#kept!)
  }
  exposed_fail() {
    throw Object.assign(new RangeError('too far'), { code: 'far' })
  }
  exposed_same(object: object) {
    return object
  }
}
class File extends Service {
  constructor(private readonly name: string) {
    super()
  }
  get exposed_title() {
    return this.name
  }
}

t.test(
  'calls, callbacks, references, errors, release and resumption',
  { skip: python === undefined && 'python3 with websockets is not installed (Debian: python3-websockets)' },
  async t => {
    const server = await serve(Files, { port: 0 })
    const sessions: Session[] = []
    server.on('session', session => sessions.push(session))
    const cutter = await Cutter.before(server.url)
    t.teardown(() => cutter.stop())
    const program = spawn(python!, [here('../support/python-client.py'), cutter.url], {
      env: { ...process.env, PYTHONPATH: here('../../demos/python-client') }
    })
    let errors = ''
    program.stderr.setEncoding('utf8').on('data', text => {
      errors += text
    })
    const output: string[] = []
    program.stdout.setEncoding('utf8').on('data', text => {
      output.push(...text.trim().split('\n'))
      if (text.includes('cut me')) cutter.start()
    })
    const [code] = await once(program, 'close')
    t.equal(errors, '')
    t.equal(code, 0)
    t.match(output, ['cut me', /^done after [1-9]\d* resumptions$/])
    t.match(await sessions[0]!.closed, { code: 'closed' })
    t.equal(sessions.length, 1, 'one session over all sockets')
    await assertClean(t, ...sessions)
    await server.close()
  }
)
