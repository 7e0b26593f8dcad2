// Specs of item streams: iterators of the service that clients of Pyro read item by item.
import t from 'tap'
import { ItemStreams } from '../../../lib/gateways/pyro/item-streams.js'
import { expose, Service } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { RawPyro, SERPENT, VERSIONS, type Version, withPyro } from '../../support/pyro.js'
import type { Untyped } from '../../support/wire.js'

let ended = 0

class Streams extends Service {
  *exposed_count(limit: number) {
    try {
      for (let i = 0; i < limit; i++) yield i
    } finally {
      ended++
    }
  }
  async *exposed_failing() {
    yield 1
    throw new RangeError('no more')
  }
  *exposed_references(): Untyped {
    yield expose({})
    yield 2
  }
  *exposed_nested(): Untyped {
    yield this.exposed_count(2)
  }
  exposed_stream = () =>
    new ReadableStream({
      pull(controller) {
        controller.enqueue('chunk')
      },
      cancel() {
        ended++
      }
    })
  get exposed_items() {
    return this.exposed_count(1)
  }
  exposed_listed = () => [this.exposed_count(1)]
}

const flagOf = (version: Version): number => (version === 4 ? 32 : 16) | 1

/** Calls a method whose result is an iterator. @returns its id */
async function open(client: RawPyro, method: string, args = '()'): Promise<string> {
  const { flags, annotations } = await client.request(`('x','${method}',${args},{})`)
  if (flags !== flagOf(client.version)) throw new Error(`no stream: ${flags}`)
  return annotations.STRM!
}

const next = (client: RawPyro, id: string) =>
  client.call('get_next_stream_item', `['${id}']`, '{}', 'Pyro.Daemon')

for (const version of VERSIONS) {
  t.test(`Pyro${version}: an iterator is read item by item`, async t => {
    await withPyro(t, Streams, async served => {
      const client = await RawPyro.connect(served.port, version)
      ended = 0
      const reply = await client.request("('x','count',(2,),{})")
      t.match(reply, { flags: flagOf(version), text: /ProtocolError.*result of call is an iterator/ })
      const id = reply.annotations.STRM!
      t.match(id, /^[\da-f-]{36}$/)
      t.equal(await next(client, id), '0')
      t.equal(await next(client, id), '1')
      t.match(await next(client, id), '{"__class__":"builtins.StopIteration","__exception__":True,"args":[]')
      t.match(await next(client, id), /errors\.PyroError.*item stream terminated/)
      t.equal(ended, 1)
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: streams of other kinds, and their errors`, async t => {
    await withPyro(t, Streams, async served => {
      const client = await RawPyro.connect(served.port, version)
      ended = 0
      const stream = await open(client, 'stream')
      t.equal(await next(client, stream), '"chunk"')
      t.equal(await client.call('close_stream', `['${stream}']`, '{}', 'Pyro.Daemon'), 'None')
      await waitUntil(() => ended === 1, 'the end of the stream')

      const failing = await open(client, 'failing')
      t.equal(await next(client, failing), '1')
      t.match(await next(client, failing), /builtins\.ValueError.*no more/)
      t.match(await next(client, failing), /item stream terminated/)

      const references = await open(client, 'references')
      t.match(await next(client, references), /TypeError.*result is a reference/)
      t.equal(await next(client, references), '2')
      t.match(await next(client, references), /StopIteration/)

      const nested = await open(client, 'nested')
      const inner = await client.request(`('Pyro.Daemon','get_next_stream_item',('${nested}',),{})`)
      t.equal(inner.flags, flagOf(version))
      t.equal(await next(client, inner.annotations.STRM!), '0')
      await client.call('close_stream', `['${inner.annotations.STRM}']`, '{}', 'Pyro.Daemon')
      t.match(await next(client, nested), /StopIteration/)

      const items = await open(client, '__getattr__', "('items',)")
      t.equal(await next(client, items), '0')
      t.match(await next(client, items), /StopIteration/)

      t.match(await client.call('listed'), /TypeError.*result\[0\] is a reference/)
      t.match(
        (await client.request("('x','<batch>',[('count',(1,),{})],{})", { flags: 8 })).text,
        /TypeError.*results\[0\] is a reference/
      )
      await client.send({ flags: 4, data: `${SERPENT}('x','count',(5,),{})` })
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: a stream that is left ends its generator`, async t => {
    await withPyro(t, Streams, async served => {
      const [client, other] = [
        await RawPyro.connect(served.port, version),
        await RawPyro.connect(served.port, version)
      ]
      ended = 0
      const closed = await open(client, 'count', '(1000000,)')
      t.equal(await next(client, closed), '0')
      await other.send({ flags: 4, data: `${SERPENT}('Pyro.Daemon','close_stream',['${closed}'],{})` })
      await waitUntil(() => ended === 1, 'the end by another connection')
      t.match(await next(client, closed), /item stream terminated/)
      const left = await open(client, 'count', '(1000000,)')
      t.equal(await next(client, left), '0')
      await client.end()
      await waitUntil(() => ended === 2, 'the end by the end of its connection')
      t.match(await next(other, left), /item stream terminated/)
      await other.endClean(t, served)
    })
  })
}

t.test('an iterator that arrives after the end of its connection is not kept', async t => {
  const streams = new ItemStreams()
  const owner = { ids: new Set<string>(), hasEnded: false }
  const iterator = () => ({ next: async () => ({ done: false, value: 1 }) })
  const kept = streams.open(iterator(), owner)
  t.equal(await streams.next(kept), 1)
  streams.endAll(owner)
  const late = streams.open(iterator(), owner)
  for (const id of [kept, late]) await t.rejects(streams.next(id), { message: 'item stream terminated' })
})

t.test('an iterator without a return ends, too', async t => {
  const streams = new ItemStreams()
  const owner = { ids: new Set<string>(), hasEnded: false }
  const id = streams.open({ next: async () => ({ done: false, value: 1 }) }, owner)
  streams.close(id)
  t.equal(owner.ids.size, 0)
})
