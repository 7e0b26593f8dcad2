// Tests the published package in any runtime: `smoke.js server`, then `smoke.js client URL`.
import assert from 'node:assert/strict'
import { connect, expose, Netref, pair, registerError, Service, serve } from 'netref'

class OutOfStock extends Error {
  name = 'OutOfStock'
}
registerError(OutOfStock, { name: 'OutOfStock' })

class Lab extends Service {
  exposed_add(a, b) {
    return a + b
  }
  exposed_echo(value) {
    return value
  }
  exposed_each(items, use) {
    return Promise.all(items.map(item => use(item)))
  }
  exposed_buy() {
    throw new OutOfStock('no tea left')
  }
  async *exposed_count(to) {
    for (let i = 1; i <= to; i++) yield i
  }
  exposed_counter() {
    let count = 0
    return expose({ increment: () => ++count })
  }
}

const [role, url] = process.argv.slice(2)
if (role === 'server') {
  const server = await serve(Lab, { port: 0 })
  console.log(server.url)
  process.stdin.on('end', () => server.close()).resume()
} else {
  await use(connect(url))
  await use(pair(Lab))
  const { port1, port2 } = new MessageChannel()
  const server = await serve(Lab, { endpoint: port2 })
  await use(connect(port1))
  await server.close()
  port1.close()
  port2.close()
  console.log('ok')
}

async function use(conn) {
  const { root } = conn
  assert.equal(await root.add(1, 2), 3)
  const value = {
    text: 'ü€𝄞',
    list: [1, undefined, 2n ** 70n, new Date(0), -0],
    map: new Map([['k', new Set([1])]]),
    bytes: new Uint8Array([1, 2, 3]),
    floats: new Float64Array([Math.PI])
  }
  assert.deepEqual(await root.echo(value), value)
  const large = new Uint8Array(3 << 20).fill(7)
  assert.deepEqual(await root.echo(large), large)
  const given = large.slice()
  assert.deepEqual(await root.echo(Netref.transfer(given)), large)
  assert.equal(given.length, 0)
  assert.deepEqual(await root.each([1, 2, 3], n => n * 2), [2, 4, 6])
  const fn = () => {}
  assert.equal(await root.echo(fn), fn)
  await assert.rejects(
    async () => await root.buy(),
    error => error instanceof OutOfStock && error.message === 'no tea left'
  )
  await assert.rejects(async () => await root.nothing(), { code: 'not-exposed' })
  const counted = []
  for await (const i of await root.count(100)) counted.push(i)
  assert.equal(counted.length, 100)
  const counter = await root.counter()
  assert.equal(await counter.increment(), 1)
  assert.equal(await root.counter().increment(), 1)
  assert.match(String(counter), /^\[Netref /)
  Netref.release(counter)
  await assert.rejects(async () => await counter.increment(), { code: 'released' })
  const sums = await Promise.all(Array.from({ length: 1000 }, (_, i) => root.add(i, 1)))
  assert.equal(sums[999], 1000)
  assert.equal(conn.stats.pending, 0)
  await conn.close()
  assert.equal((await conn.closed).code, 'closed')
}
