// Long streams in both directions take no more memory than short ones, and wait for a slow reader.
//
// NETREF_STREAM_MB is the length of each stream, in MB: 1000 for the figures.
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { connectGrpc } from '../../../lib/gateways/grpc.js'
import { Service, serve } from '../../../lib/index.js'
import { Client, library, PROTO } from '../../support/grpc.js'

const MB = 1 << 20
const LENGTH_MB = Number(process.env.NETREF_STREAM_MB ?? 40)
const CHUNK_BYTES = 64 << 10
const COUNT = (LENGTH_MB * MB) / CHUNK_BYTES
/** What streams may take beside what the process has. Garbage is part of it. */
const MAX_GROWTH_MB = 200
/** What waits for a slow reader at most: the windows of the session and of HTTP/2, and the buffers of both processes' sockets. */
const MAX_AHEAD_MB = 4
t.setTimeout(600_000)

declare const gc: () => void

/** How far one side is ahead of the other, and the largest memory of the process. */
class Gauge {
  made = 0
  read = 0
  maxAhead = 0
  maxRss = 0
  readonly #start: number

  constructor() {
    gc()
    this.#start = process.memoryUsage.rss()
  }

  onMade(): void {
    this.made++
    this.maxAhead = Math.max(this.maxAhead, this.made - this.read)
    if (this.made % 64 === 0) this.maxRss = Math.max(this.maxRss, process.memoryUsage.rss())
  }

  check(name: string): void {
    const growth = Math.round((this.maxRss - this.#start) / MB)
    const ahead = (this.maxAhead * CHUNK_BYTES) / MB
    t.comment(
      `${name}: ${LENGTH_MB} MB, RSS grew by ${growth} MB at most, the sender was ${ahead} MB ahead at most`
    )
    t.ok(growth < MAX_GROWTH_MB, `${name}: ${growth} MB more memory`)
    t.ok(ahead < MAX_AHEAD_MB, `${name}: ${ahead} MB ahead`)
  }
}

let gauge: Gauge
/** Reads slowly at the beginning. */
const pause = (count: number) => (count <= 40 ? wait(25) : undefined)

class Streams extends Service {
  async *exposed_chunks(count: number) {
    for (let n = 0; n < count; n++) {
      gauge.onMade()
      yield new Uint8Array(CHUNK_BYTES).fill(n)
    }
  }
  async exposed_measure(chunks: AsyncIterable<{ data: Uint8Array }>) {
    let count = 0
    for await (const { data } of chunks) {
      gauge.read++
      count += data.length
      await pause(gauge.read)
    }
    return count
  }
}

t.test('streams of a client of grpc-js, and of connectGrpc', async t => {
  await using server = await serve(Streams, { port: 0, onError: () => {}, gateways: [library()] })
  const address = `127.0.0.1:${server.port}`
  const client = new Client(address)

  gauge = new Gauge()
  for await (const { data } of client.serverStream('chunks', { count: COUNT })) {
    gauge.read++
    if (data.length !== CHUNK_BYTES) t.fail('a short chunk')
    await pause(gauge.read)
  }
  t.equal(gauge.read, COUNT)
  gauge.check('server stream, grpc-js')

  gauge = new Gauge()
  const { call, reply } = client.clientStream('measure')
  for (let n = 0; n < COUNT; n++) {
    gauge.onMade()
    if (!call.write({ data: Buffer.alloc(CHUNK_BYTES, n) }))
      await new Promise(resolve => call.once('drain', resolve))
  }
  call.end()
  t.match(await reply, { count: String(LENGTH_MB * MB) })
  gauge.check('client stream, grpc-js')
  client.close()

  const conn = connectGrpc(PROTO, { service: 'netref.spec.Library', address })
  gauge = new Gauge()
  for await (const { data } of await conn.root.chunks({ count: COUNT })) {
    gauge.read++
    if (data.length !== CHUNK_BYTES) t.fail('a short chunk')
    await pause(gauge.read)
  }
  t.equal(gauge.read, COUNT)
  gauge.check('server stream, connectGrpc')

  gauge = new Gauge()
  const chunks = async function* () {
    for (let n = 0; n < COUNT; n++) {
      gauge.onMade()
      yield { data: new Uint8Array(CHUNK_BYTES).fill(n) }
    }
  }
  t.same(await conn.root.measure(chunks()), { count: LENGTH_MB * MB })
  gauge.check('client stream, connectGrpc')
  await conn.close()
})
