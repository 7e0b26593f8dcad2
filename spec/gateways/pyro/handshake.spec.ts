// Specs of the handshake of Pyro: who the client is, and one port for several protocols.
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { pyro } from '../../../lib/gateways/pyro.js'
import { callSession, Service, serve } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { pyroMessage, RawPyro, SERPENT, Type, VERSIONS, withPyro } from '../../support/pyro.js'

const gates = new Map<number, (value: unknown) => void>()

class Target extends Service {
  exposed_who = () => callSession()!.identity
  exposed_echo = (value: unknown) => value
  exposed_wait(id: number) {
    return new Promise(resolve => gates.set(id, resolve))
  }
}

const shake = async (port: number, version: 4 | 5, handshake: string) => {
  const client = await RawPyro.dial(port, version)
  const [answer] = await client.shakeHands(`{'handshake':${handshake},'object':'x'}`)
  return { client, answer: answer! }
}

for (const version of VERSIONS) {
  t.test(`Pyro${version}: the handshake is the token for authenticate`, async t => {
    const requests: unknown[] = []
    await withPyro(
      t,
      Target,
      async served => {
        const { port, server } = served
        const { client, answer } = await shake(port, version, "'secret'")
        t.equal(answer.type, Type.ok)
        t.equal(await client.call('who'), '"ada"')
        for (const handshake of ["'hello'", "'wrong'", "{'secret':1}", 'None']) {
          const refused = await shake(port, version, handshake)
          t.match(refused.answer, { type: Type.fail, text: `${SERPENT}"authentication failed"` })
          await refused.client.closed
        }
        t.match(requests[0], { gateway: 'pyro', token: 'secret', address: '127.0.0.1' })
        t.same(
          requests.map(request => (request as { token: unknown }).token),
          ['secret', undefined, 'wrong', undefined, undefined]
        )
        t.equal(server.metrics.gateways.pyro!.clientsRefused, 4)
        await client.endClean(t, served)
      },
      {
        async authenticate({ token, gateway, address }) {
          requests.push({ token: await token(), gateway, address })
          return (await token()) === 'secret' && 'ada'
        }
      }
    )
  })

  t.test(`Pyro${version}: an authenticate of the gateway's own, and one that is slow`, async t => {
    await withPyro(
      t,
      Target,
      async served => {
        const { port } = served
        const client = await RawPyro.dial(port, version)
        // What follows the handshake waits for its end.
        const fields = { flags: version === 4 ? 16 : 0, data: `${SERPENT}{'handshake':'slow','object':'x'}` }
        await client.send({ type: Type.connect, ...fields })
        for (let seq = 101; seq <= 150; seq++)
          await client.send({ seq, data: `${SERPENT}('x','echo',('${'x'.repeat(10_000)}',),{})` })
        t.equal((await client.messages(51)).length, 51)
        t.equal(await client.call('who'), '"slow"')
        const { answer } = await shake(port, version, "'never'")
        t.match(answer, { type: Type.fail, text: /authentication took longer than 500 ms/ })
        const gone = await RawPyro.dial(port, version)
        await gone.send({ type: Type.connect, data: `${SERPENT}{'handshake':'slow','object':'x'}` })
        gone.socket.destroy()
        await gone.closed
        await client.endClean(t, served)
      },
      {
        authenticate: () => false,
        onError: () => {},
        limits: { helloMs: 500 },
        gateway: {
          async authenticate({ token }) {
            const shown = await token()
            await new Promise(resolve => setTimeout(resolve, 100))
            return shown === 'never' ? new Promise(() => {}) : shown
          }
        }
      }
    )
  })

  t.test(`Pyro${version}: a server that is full says so`, async t => {
    await withPyro(
      t,
      Target,
      async served => {
        const client = await RawPyro.connect(served.port, version)
        const { answer } = await shake(served.port, version, "'hello'")
        t.match(answer, { type: Type.fail, text: /limit of sessions/ })
        await client.endClean(t, served)
      },
      { limits: { sessions: 1 }, onError: () => {} }
    )
  })

  t.test(
    `Pyro${version}: the wait for the rest of a message has no end while the server does not read`,
    async t => {
      await withPyro(
        t,
        Target,
        async served => {
          const client = await RawPyro.connect(served.port, version)
          gates.clear()
          await client.send({ flags: 8, seq: 1, data: `${SERPENT}('x','<batch>',[('wait',(1,),{})],{})` })
          await waitUntil(() => gates.has(1), 'the call of the batch')
          const request = pyroMessage(version, {
            seq: 2,
            data: `${SERPENT}('x','echo',('${'x'.repeat(5000)}',),{})`
          })
          await client.send(Buffer.concat([request, request.subarray(0, 100)]))
          await new Promise(resolve => setTimeout(resolve, 400))
          gates.get(1)!('go on')
          await client.send(request.subarray(100))
          t.equal((await client.messages(4)).length, 4)
          await client.endClean(t, served)
        },
        { limits: { bufferedBytes: 4000, helloMs: 100 } }
      )
    }
  )
}

t.test('the port tells Pyro from other protocols', async t => {
  await using server = await serve(Target, { port: 0, host: '127.0.0.1', gateways: [pyro()] })
  for (const version of VERSIONS) {
    const client = await RawPyro.dial(server.port, version)
    const data = `${SERPENT}{'handshake':'hello','object':'x'}`
    const bytes = pyroMessage(version, { type: Type.connect, data })
    for (const byte of bytes.subarray(0, 8)) {
      await client.send(Uint8Array.of(byte))
      await new Promise(setImmediate)
    }
    await client.send(bytes.subarray(8))
    t.match(await client.messages(1), [{ type: Type.ok }])
    await client.end()
  }
  for (const text of [
    'PATCH / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n',
    'PYRO / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'
  ]) {
    const socket = connect(server.port, '127.0.0.1')
    socket.write(text)
    const [answer] = await once(socket, 'data')
    t.match(String(answer), /^HTTP\/1\.1 4/, 'served as HTTP')
    socket.destroy()
  }
})

t.test('an unknown option is refused', async t => {
  t.throws(() => pyro({ objects: ['x'] } as never), { name: 'TypeError', message: /pyro.*objects/ })
})
