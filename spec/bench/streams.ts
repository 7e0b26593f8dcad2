// 1 GB through a session, in flat memory: `npm run streams`. Server and client each in a process of its own.
//
//   bytes up and down      throughput, and the most memory either process took (RSS)
//   small calls            p50 and p99 idle, and while 1 GB comes down: the design wants p99 below 10 times idle
//   a consumer that stops  what is buffered then in both processes together
//   lines                  a text of 1 GB, made on the spot, read line by line on the other side
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connect, Service, serve } from '../../lib/index.js'

const SIZE = Number(process.env.NETREF_STREAM ?? 1 << 30)
const MIB = 1 << 20
const CHUNK = new Uint8Array(1 << 16).fill(46)

/** That many bytes, made as they are read. */
function bytesOf(size: number): ReadableStream<Uint8Array> {
  let left = size
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      controller.enqueue(new Uint8Array(CHUNK.subarray(0, Math.min(left, CHUNK.length))))
      left -= CHUNK.length
      if (left <= 0) controller.close()
    }
  })
}

async function countBytes(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0
  for await (const chunk of stream) size += chunk.byteLength
  return size
}

/** Lines of 64 characters that make up so many bytes. */
function* linesOf(size: number): Generator<string> {
  const line = 'x'.repeat(63)
  for (let made = 0; made < size; made += 64) yield line
}

class Bench extends Service {
  exposed_down(size: number) {
    return bytesOf(size)
  }
  exposed_up(stream: ReadableStream<Uint8Array>) {
    return countBytes(stream)
  }
  exposed_add(a: number, b: number) {
    return a + b
  }
  async exposed_count_lines(lines: AsyncIterable<string>, noisy: (count: number) => void) {
    let count = 0
    for await (const _ of lines) if (++count % 4_000_000 === 0) noisy(count)
    return count
  }
  exposed_usage() {
    return { rss: process.resourceUsage().maxRSS * 1024, buffered: [...server!.sessions][0]!.stats.buffered }
  }
}
let server: Awaited<ReturnType<typeof serve>> | undefined

const mb = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`

if (process.argv[2] === 'serve') {
  server = await serve(Bench, { port: 0, busyPoll: true })
  console.log(server.url)
  process.stdin.on('end', () => server!.close()).resume()
} else {
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), 'serve'], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const [url] = await once(createInterface(child.stdout), 'line')
  await using conn = connect<Bench>(url, { busyPoll: true })
  const { root } = conn

  /** Times of small calls, one after the other, until `stop` says so. */
  const calls = async (stop: () => boolean) => {
    const times: number[] = []
    while (!stop()) {
      const began = performance.now()
      await root.add(1, 2)
      times.push(performance.now() - began)
    }
    times.sort((a, b) => a - b)
    return {
      count: times.length,
      p50: times[times.length >> 1]!,
      p99: times[Math.floor(times.length * 0.99)]!
    }
  }
  const say = async (what: string, size: number, began: number) => {
    const seconds = (performance.now() - began) / 1000
    const { rss } = await root.usage()
    const ours = process.resourceUsage().maxRSS * 1024
    console.log(
      `${what}: ${mb(size)} in ${seconds.toFixed(1)} s, ${mb(size / seconds)}/s; most RSS ${mb(ours)} here, ${mb(rss)} there`
    )
  }
  await calls(() => performance.now() > 2000)
  const { rss } = await root.usage()
  console.log(`before: RSS ${mb(process.resourceUsage().maxRSS * 1024)} here, ${mb(rss)} there`)

  const end = performance.now() + 3000
  const idle = await calls(() => performance.now() > end)
  let over = false
  let began = performance.now()
  const down = root.down(SIZE).then(async stream => {
    const size = await countBytes(stream as unknown as AsyncIterable<Uint8Array>)
    over = true
    return size
  })
  const busy = await calls(() => over)
  await say('down, with small calls beside it', await down, began)
  for (const [what, { count, p50, p99 }] of Object.entries({ idle, busy }))
    console.log(`small calls ${what}: ${count}, p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms`)
  console.log(`p99 busy / idle: ×${(busy.p99 / idle.p99).toFixed(1)}`)

  began = performance.now()
  await say('up', await root.up(bytesOf(SIZE)), began)

  const stream = await root.down(SIZE)
  const reader = (stream as unknown as ReadableStream<Uint8Array>).getReader()
  for (let read = 0; read < 16 * MIB; ) read += (await reader.read()).value!.byteLength
  let buffered = -1
  for (let i = 0; i < 50; i++) {
    buffered = (await root.usage()).buffered + conn.stats.buffered
  }
  console.log(`a consumer that stops: ${mb(buffered)} buffered in both processes together`)
  await reader.cancel()

  began = performance.now()
  const noisy = (count: number) => console.log(`  ${count} lines`)
  const count = await root.count_lines(linesOf(SIZE), noisy)
  await say(`${count} lines counted`, SIZE, began)
  console.log(`left: ${JSON.stringify(conn.stats)}`)
  child.stdin.end()
  await once(child, 'exit')
}
