// Runs the clients of Pyro4 and Pyro5 against the gateway, and finds a service by their name servers.
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { pyro } from '../../lib/gateways/pyro.js'
import { callSession, callSignal, expose, Service, type Session, serve } from '../../lib/index.js'
import { certificates } from '../support/certificates.js'
import { waitUntil } from '../support/helpers.js'
import { VERSIONS } from '../support/pyro.js'
import { pythonWithPyro, runPython } from '../support/python-pyro.js'
import { PythonProgram } from '../support/python-rpyc.js'
import type { Untyped } from '../support/wire.js'

const CLIENT = fileURLToPath(new URL('programs/pyro_client.py', import.meta.url))
let running = 0
let cancelled = 0

class Tutorial extends Service {
  received: unknown[] = []
  exposed_title = 'tutorial'
  exposed_config = { colour: 'red' }
  exposed_maths = { half: (x: number) => x / 2, deep: { double: (x: number) => 2 * x } }
  exposed_who = () => callSession()!.identity
  exposed_echo = (value: unknown) => value
  exposed_kind = (value: Untyped) => value.constructor.name
  get exposed_now() {
    return 42
  }
  exposed_add(a: number, b = 10) {
    return 100 * a + b
  }
  exposed_nested(levels: number) {
    let value: unknown[] = []
    for (let i = 1; i < levels; i++) value = [value]
    return value
  }
  *exposed_count(limit: number) {
    running++
    try {
      for (let i = 0; i < limit; i++) yield i
    } finally {
      running--
    }
  }
  async *exposed_failing() {
    yield 1
    throw new RangeError('no more')
  }
  *exposed_nested_iterators(): Untyped {
    yield this.exposed_count(2)
    yield this.exposed_count(2)
  }
  exposed_push(value: unknown) {
    this.received.push(value)
  }
  exposed_pushed() {
    return this.received.splice(0)
  }
  exposed_fail(): never {
    throw new RangeError('too much')
  }
  exposed_custom(): never {
    throw Object.assign(new Error('poor'), { name: 'InsufficientFunds', code: 17, left: { a: 1 } })
  }
  exposed_python(name: string): never {
    throw Object.assign(new Error('of Python'), { name })
  }
  exposed_reference(): Untyped {
    return expose({})
  }
  exposed_sleep() {
    callSignal()!.addEventListener('abort', () => cancelled++)
    return new Promise(() => {})
  }
}

for (const version of VERSIONS) {
  const python = pythonWithPyro(version)
  const skip = !python && `not installed here: Pyro${version} (.ci/run installs it)`

  t.test(`the client of Pyro${version}`, { skip }, async t => {
    const errors: unknown[] = []
    const sessions: Session[] = []
    running = 0
    cancelled = 0
    await using server = await serve(Tutorial, {
      port: 0,
      host: '127.0.0.1',
      gateways: [pyro()],
      allowSetAttrs: true,
      authenticate: async ({ token }) => {
        const shown = await token()
        return shown === undefined ? 'anybody' : shown === 'secret' && 'ada'
      },
      onError: error => void errors.push(error)
    })
    server.on('session', session => void sessions.push(session))
    t.equal(await runPython(python!, CLIENT, String(version), String(server.port)), 'ok\n')
    await waitUntil(() => server.sessions.size === 0, 'the end of all sessions')
    t.ok(sessions.length > 20)
    t.match(server.metrics, { exports: 0, imports: 0, pending: 0, buffered: 0 })
    await waitUntil(() => running === 0, 'the end of all generators')
    t.equal(cancelled, 1)
    t.same(errors, [])
  })

  t.test(`Pyro${version} finds the service by its name server`, { skip }, async t => {
    await using server = await serve(Tutorial, { port: 0, host: '127.0.0.1', gateways: [pyro()] })
    const program = `
from Pyro${version}.${version === 4 ? 'naming' : 'nameserver'} import ${version === 4 ? 'startNS' : 'start_ns'} as start
uri, daemon, _ = start(host='127.0.0.1', port=0, enableBroadcast=False)
print(uri.port, flush=True)
daemon.requestLoop()`
    const nameServer = new PythonProgram(t, python!, ['-c', program])
    const port = await nameServer.line()
    const client = `
from Pyro${version}.${version === 4 ? 'naming import locateNS as locate_ns' : 'api import locate_ns'}
from Pyro${version}.${version === 4 ? 'core' : 'api'} import Proxy
names = locate_ns('127.0.0.1', ${port})
names.register('example.tutorial', 'PYRO:tutorial@127.0.0.1:${server.port}')
print(Proxy('PYRONAME:example.tutorial@127.0.0.1:${port}').add(1, 2))`
    t.equal(await runPython(python!, '-c', client), '102\n')
    await waitUntil(() => server.sessions.size === 0)
  })

  t.test(`Pyro${version} by TLS`, { skip }, async t => {
    const { server: pair, dir } = await certificates(t)
    await using server = await serve(Tutorial, { port: 0, gateways: [pyro({ port: 0, tls: pair })] })
    const client = `
from Pyro${version} import config
from Pyro${version}.${version === 4 ? 'core' : 'api'} import Proxy
config.SSL = True
config.SSL_CACERTS = ${JSON.stringify(`${dir}/ca.crt`)}
print(Proxy('PYRO:tutorial@localhost:${server.gatewayPorts.pyro}').add(1, 2))`
    t.equal(await runPython(python!, '-c', client), '102\n')
    await waitUntil(() => server.sessions.size === 0)
  })
}
