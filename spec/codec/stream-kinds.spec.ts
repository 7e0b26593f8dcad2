// What counts as a stream, and of which kind it arrives: by what it is, whatever its class is called.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import { type AddressInfo, connect as dial, createServer as listen } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex, type DuplexOptions, PassThrough, Readable, type Writable } from 'node:stream'
import { ReadStream, WriteStream } from 'node:tty'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { expose, Netref } from '../../lib/index.js'
import { CHILD_ENV, overMemory, overMemoryAndSocket, rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

const text = async (stream: AsyncIterable<Uint8Array | string>) => {
  let read = ''
  for await (const chunk of stream) read += typeof chunk === 'string' ? chunk : Buffer.from(chunk)
  return read
}

/** What it arrived as. */
function kindOf(arrived: Untyped): string {
  if (arrived instanceof ReadableStream) return 'readable'
  if (arrived instanceof WritableStream) return 'writable'
  if (Netref.is(arrived)) return 'netref'
  return arrived instanceof TransformStream ? 'pair' : Object.keys(arrived).join()
}

/** Tells of what it is given, and gives it back as the result of a call. */
const echoing = () => ({ kind: kindOf, text, echo: (value: unknown) => ({ value }) })

t.test('stdin of a child process is writable; its stdout and stderr are readable', t =>
  overMemoryAndSocket(
    t,
    () => ({
      ...echoing(),
      output: () => spawn('echo', ['hello']).stdout,
      errors: () => spawn('sh', ['-c', 'echo wrong >&2']).stderr,
      both: () => {
        const { stdin, stdout } = spawn('cat')
        return { stdin, stdout }
      }
    }),
    async ({ root }, t) => {
      t.equal(await text(await root.output()), 'hello\n', 'returned in the tick of its start')
      t.equal(await root.text(spawn('echo', ['hello']).stdout), 'hello\n', 'as an argument')
      t.equal(await text(await root.errors()), 'wrong\n')
      const two = [spawn('echo', ['a']), spawn('echo', ['b'])]
      t.same(await Promise.all(two.map(({ stdout }) => root.text(stdout))), ['a\n', 'b\n'])
      const { stdin, stdout } = await root.both()
      t.same([stdin, stdout].map(kindOf), ['writable', 'readable'])
      const writer = stdin.getWriter()
      await writer.write(new TextEncoder().encode('there and back'))
      await writer.close()
      t.equal(await text(stdout), 'there and back')
      const more = spawn('sh', ['-c', 'read line; echo "$line again" >&3', 'sh'], {
        stdio: ['pipe', 'ignore', 'ignore', 'pipe']
      })
      const extra = await root.echo(more.stdio[3])
      t.equal(kindOf(extra.value), 'pair', 'another pipe is readable and writable')
      await extra.value.writable.close()
      more.stdin!.end('once\n')
      t.equal(await text(extra.value.readable), 'once again\n')
    }
  )
)

t.test('a piped stdin, and a stdout, of this process', async t => {
  const entry = pathToFileURL(join(import.meta.dirname, '../../lib/index.ts')).href
  const program = `
    import { pair } from ${JSON.stringify(entry)}
    const { root } = pair({
      async text(stream) { let all = ''; for await (const chunk of stream) all += Buffer.from(chunk); return all },
      async say(stream, text) { const writer = stream.getWriter(); await writer.write(text); writer.releaseLock() }
    })
    await root.say(process.stdout, await root.text(process.stdin))
    process.exit()`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    env: CHILD_ENV,
    stdio: ['pipe', 'pipe', 'inherit']
  })
  child.stdin.end('in and out')
  t.equal(await text(child.stdout), 'in and out')
})

t.test('a terminal stream is readable or writable, not both', { skip: process.platform !== 'linux' }, t =>
  overMemory(t, echoing(), async ({ root }) => {
    const stdin = new ReadStream(openSync('/dev/ptmx', 'r+'))
    t.equal(await root.kind(stdin), 'readable', 'like a piped stdin')
    stdin.destroy()
    const stdout = new WriteStream(openSync('/dev/ptmx', 'r+'))
    t.equal(await root.kind(stdout), 'writable')
    stdout.destroy()
  })
)

t.test('a Duplex with one side', t =>
  overMemoryAndSocket(t, echoing, async ({ root }, t) => {
    // Node's documentation has these options, its types do not.
    const oneSided = (options: DuplexOptions & { readable?: false; writable?: false }) => new Duplex(options)
    const readable = () =>
      oneSided({
        writable: false,
        read() {
          this.push('hello')
          this.push(null)
        }
      })
    t.equal(await root.text(readable()), 'hello')
    t.equal(await text((await root.echo(readable())).value), 'hello')
    t.equal(await root.text(Duplex.from(Readable.from(['from']))), 'from')
    const written: string[] = []
    const duplex = oneSided({
      readable: false,
      write(chunk, _encoding, done) {
        written.push(String(chunk))
        done()
      }
    })
    const { value } = await root.echo(duplex)
    const writer = value.getWriter()
    await writer.write('a')
    await writer.close()
    t.same(written, ['a'])
    t.equal(duplex.writableFinished, true)
    t.equal(await root.kind(new Duplex({ read() {}, write() {} }).end()), 'pair', 'it had two sides')
  })
)

t.test('sockets are readable and writable, over a pipe as well', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'netref-'))
  t.teardown(() => rm(folder, { recursive: true }))
  for (const at of [0, join(folder, 'socket')]) {
    const server = listen(socket => socket.pipe(socket)).listen(at)
    await once(server, 'listening')
    const address = server.address()
    const socket = typeof address === 'string' ? dial(address) : dial((address as AddressInfo).port)
    await overMemory(t, echoing(), async ({ root }) => {
      t.equal(await root.kind(socket), 'pair')
    })
    server.close()
  }
})

t.test('HTTP responses and requests are writable', async t => {
  let answer!: (response: Writable & { statusCode: number }) => void
  const next = () =>
    new Promise<Writable & { statusCode: number }>(resolve => {
      answer = resolve
    })
  const server = createServer((_request, response) => answer(response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await overMemoryAndSocket(
    t,
    () => ({
      async write(sink: WritableStream, chunks: unknown[]) {
        const writer = sink.getWriter()
        for (const chunk of chunks) await writer.write(chunk)
        await writer.close()
      },
      async broken(sink: WritableStream) {
        const writer = sink.getWriter()
        await writer.write('some')
        await writer.abort(new Error('no more'))
      },
      async begun(sink: WritableStream) {
        const writer = sink.getWriter()
        for (;;) await writer.write(new Uint8Array(1 << 20))
      }
    }),
    async ({ root }, t) => {
      let response = next()
      const fetched = fetch(url)
      const sink = await response
      sink.statusCode = 201
      await root.write(sink, ['text, ', new TextEncoder().encode('bytes')])
      t.equal((await fetched).status, 201)
      t.equal(await (await fetched).text(), 'text, bytes')

      response = next()
      const cut = rejectionOf(fetch(url).then(got => got.text()))
      await root.broken(await response)
      t.match(await cut, Error, 'the client learns that the response was cut off')

      response = next()
      const leaving = new AbortController()
      const left = fetch(url, { signal: leaving.signal })
      const gone = rejectionOf(root.begun(await response))
      await (await left).body!.getReader().read()
      leaving.abort()
      t.match(await gone, Error, 'the writer learns that the client has disconnected')

      response = next()
      const outgoing = request(url, { method: 'POST' })
      const reply = once(outgoing, 'response')
      await root.write(outgoing, ['posted'])
      const incoming = (await response) as unknown as {
        req: AsyncIterable<Uint8Array>
        end(text: string): void
      }
      t.equal(await text(incoming.req), 'posted')
      incoming.end('done')
      const [message] = await reply
      t.equal(await text(message), 'done')

      t.match(await rejectionOf(root.write(sink, ['more'])), { code: 'unsendable' }, 'it is sent once')
    }
  )
  server.closeAllConnections()
  server.close()
})

t.test('a response of HTTP/2 is writable, its request readable', async t => {
  const server = createHttp2().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  await overMemory(
    t,
    {
      kind: kindOf,
      async upper(from: ReadableStream<Uint8Array>, to: WritableStream<string>) {
        const writer = to.getWriter()
        await writer.write((await text(from)).toUpperCase())
        await writer.close()
      }
    },
    async ({ root }) => {
      server.on('request', (request, response) => (root as Untyped).upper(request, response))
      const stream = client.request({ ':method': 'POST' })
      stream.end('hello')
      t.equal(await text(stream), 'HELLO')
    }
  )
  client.close()
  server.close()
})

t.test('an object with a web readable and writable is a pair', t =>
  overMemoryAndSocket(t, echoing, async ({ root }, t) => {
    const through = async (pair: Untyped, chunks: unknown[]) => {
      const writer = pair.writable.getWriter()
      const written = (async () => {
        for (const chunk of chunks) await writer.write(chunk)
        await writer.close()
      })()
      const read = await text(pair.readable)
      await written
      return read
    }
    class Twice {
      readonly #stream = new TransformStream<string, string>({
        transform: (chunk, controller) => controller.enqueue(chunk + chunk)
      })
      get readable() {
        return this.#stream.readable
      }
      get writable() {
        return this.#stream.writable
      }
    }
    class Fields {
      readonly readable: ReadableStream
      readonly writable: WritableStream
      constructor() {
        const { readable, writable } = new TransformStream()
        this.readable = readable
        this.writable = writable
      }
    }
    const pairs: [string, object, unknown[], string][] = [
      ['TransformStream', new TransformStream(), ['a'], 'a'],
      ['TextDecoderStream', new TextDecoderStream(), [new TextEncoder().encode('héllo')], 'héllo'],
      ['TextEncoderStream', new TextEncoderStream(), ['héllo'], 'héllo'],
      ['getters', new Twice(), ['ab'], 'abab'],
      ['fields', new Fields(), ['a'], 'a']
    ]
    for (const [what, made, chunks, expected] of pairs) {
      t.equal(await root.kind(new (made.constructor as new () => object)()), 'pair', what)
      t.equal(await through((await root.echo(made)).value, chunks), expected, what)
    }
    const zip = (await root.echo(new CompressionStream('gzip'))).value
    const unzip = (await root.echo(new DecompressionStream('gzip'))).value
    t.equal(
      await text(new Blob(['zipped']).stream().pipeThrough(zip).pipeThrough(unzip) as Untyped),
      'zipped'
    )
    const { readable, writable } = new TransformStream()
    const record = (await root.echo({ readable, writable, name: 'with a name' })).value
    t.equal(kindOf(record), 'readable,writable,name', 'a record is copied, and its streams are streams')
    t.equal(await through(record, ['a']), 'a')
    const web = (await root.echo(Duplex.toWeb(new PassThrough()))).value
    t.equal(await through(web, [new TextEncoder().encode('a')]), 'a')
    t.equal(await root.kind(expose(new Twice())), 'netref', 'an exposed object is passed by reference')
    const locked = new Twice()
    locked.readable.getReader()
    t.match(await rejectionOf(root.kind(locked)), /a stream that is locked/)
  })
)

t.test('an object that only resembles a stream is passed by reference', t =>
  overMemory(t, echoing(), async ({ root }) => {
    class Part {
      constructor(fields: object) {
        Object.assign(this, fields)
      }
    }
    for (const fields of [
      { readable: true, writable: true },
      { readable: null, writable: null },
      { readable: new ReadableStream() },
      { readable: new ReadableStream(), writable: {} },
      { locked: true },
      { write() {}, end() {}, on() {} },
      { writableFinished: true }
    ])
      t.equal(await root.kind(new Part(fields)), 'netref', Object.keys(fields).join())
    class Guarded {
      get readable(): never {
        throw new Error('not asked for')
      }
    }
    t.equal(await root.kind(new Guarded()), 'netref', 'classification runs no accessor')
  })
)
