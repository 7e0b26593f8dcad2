// Streams: web and Node streams, of bytes and of values, in both directions.

import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer, connect as dial } from 'node:net'
import { Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { createGzip, gunzipSync } from 'node:zlib'
import t from 'tap'
import { Netref, pair, SessionEndedError } from '../../../lib/index.js'
import { RemoteWritable } from '../../../lib/remote/streams/writable.js'
import { AsyncQueue } from '../../../lib/util/async-queue.js'
import {
  breakableAgent,
  overMemory,
  overMemoryAndSocket,
  overSocket,
  rejectionOf,
  type SessionEnds,
  waitUntil
} from '../../support/helpers.js'
import { collectGarbage, runEventLoop, type Untyped } from '../../support/wire.js'

const faults: unknown[] = []
process.on('unhandledRejection', fault => faults.push(fault))

t.setTimeout(120_000)
const MIB = 1 << 20

/** A stream of the items in the list, which records how it was ended. */
function source(items: unknown[], type?: 'bytes') {
  const told = { pulled: 0, cancelled: [] as unknown[] }
  const rest = [...items]
  const stream = new ReadableStream({
    type: type as undefined,
    pull(controller) {
      told.pulled++
      if (rest.length === 0) controller.close()
      else controller.enqueue(rest.shift())
    },
    cancel(reason) {
      told.cancelled.push(reason)
    }
  })
  return { stream, told }
}

/** A stream that keeps what is written to it. */
function sink(write?: (chunk: unknown) => unknown) {
  const told = { chunks: [] as Untyped[], closed: 0, aborted: [] as unknown[] }
  const stream = new WritableStream({
    async write(chunk) {
      await write?.(chunk)
      told.chunks.push(chunk)
    },
    close() {
      told.closed++
    },
    abort(reason) {
      told.aborted.push(reason)
    }
  })
  return { stream, told }
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const chunks: T[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}
const bytesOf = async (stream: AsyncIterable<Uint8Array>) => Buffer.concat(await all(stream))

const echoing = () => ({ echo: (value: unknown) => ({ value }) })

t.test('a readable stream arrives as a web stream, a byte stream as a byte stream', t =>
  overMemoryAndSocket(
    t,
    () => ({
      ...echoing(),
      make(kind: string) {
        const text = ['héllo ', 'wörld'].map(part => new Uint8Array(Buffer.from(part)))
        switch (kind) {
          case 'web':
            return source([1, { at: new Date(0) }, () => 5, new Uint8Array([1])]).stream
          case 'bytes':
            return source(text, 'bytes').stream
          case 'objects':
            return Readable.from([{ a: 1 }, { b: new Map([[1, 2]]) }])
          case 'text':
            return Readable.from(text, { objectMode: false }).setEncoding('utf8')
          default:
            return Readable.from(text, { objectMode: false })
        }
      },
      async read(stream: ReadableStream) {
        if (!(stream instanceof ReadableStream)) throw new Error('no stream')
        return await all(stream)
      }
    }),
    async ({ root }, t) => {
      const [one, record, fn, bytes] = await all<Untyped>(await root.make('web'))
      t.same([one, record, await fn(), bytes], [1, { at: new Date(0) }, 5, new Uint8Array([1])])
      for (const kind of ['bytes', 'node']) {
        const stream = await root.make(kind)
        t.ok(stream instanceof ReadableStream)
        const reader = stream.getReader({ mode: 'byob' })
        const { value } = await reader.read(new Uint8Array(4))
        t.equal(Buffer.from(value).toString(), 'hél', `${kind}: byob readers work`)
        reader.releaseLock()
        t.equal(String(await bytesOf(stream)), 'lo wörld')
      }
      const ended = (await root.make('bytes')).getReader({ mode: 'byob' })
      let last: Untyped
      for (let done = false; !done; done = last.done) last = await ended.read(new Uint8Array(100))
      t.equal(last.value.byteLength, 0)
      t.same(await all(await root.make('objects')), [{ a: 1 }, { b: new Map([[1, 2]]) }])
      t.equal(
        (await all<string>(await root.make('text'))).join(''),
        'héllo wörld',
        'text with an encoding is text'
      )
      t.throws(() => source([]).stream.getReader({ mode: 'byob' }))
      const plain = await root.make('web')
      t.throws(() => plain.getReader({ mode: 'byob' }), 'a stream of any values is not a byte stream')
      await plain.cancel()
      t.same(await all(await root.make('web')).then(({ length }) => length), 4)
      t.same(await root.read(source([1, 2]).stream), [1, 2], 'in the other direction')
      t.same(await all(root.make('web')).then(({ length }) => length), 4, 'for await on the call')
      const there = Readable.fromWeb(await root.make('bytes'))
      t.equal(String(Buffer.concat(await there.toArray())), 'héllo wörld', 'Readable.fromWeb')
      t.equal(
        String(await bytesOf((await root.echo(source([new Uint8Array(3 * MIB)], 'bytes').stream)).value))
          .length,
        3 * MIB
      )
      await overMemory(t, echoing(), async other => {
        const far = await (other.root as Untyped).echo(await root.make('bytes'))
        t.equal(String(await bytesOf(far.value)), 'héllo wörld', 'passed to a third party and back')
      })
    }
  )
)

t.test('a stream is read no further than its receiver reads', t => {
  let made = source([])
  return overMemoryAndSocket(
    t,
    () => ({ long: () => (made = source(Array(500).fill('x'.repeat(1000)))).stream }),
    async ({ root, clientSession }, t) => {
      const stream = await root.long()
      for (let i = 0; i < 3; i++) await clientSession.ping()
      t.ok(made.told.pulled <= 1, 'nothing is read in advance')
      const reader = stream.getReader()
      await reader.read()
      await waitUntil(() => made.told.pulled >= 60)
      for (let i = 0; i < 3; i++) await clientSession.ping()
      t.ok(made.told.pulled < 70, `${made.told.pulled} KiB ahead`)
      await reader.cancel('enough')
      t.same(made.told.cancelled, ['enough'])
    }
  )
})

t.test('cancel and errors are sent with their reasons, in both directions', t => {
  let made = source([])
  return overMemoryAndSocket(
    t,
    () => ({
      one: () => (made = source(Array(5000).fill(1))).stream,
      never: () =>
        (made = {
          ...made,
          stream: new ReadableStream({
            pull: () => new Promise(() => {}),
            cancel: r => void made.told.cancelled.push(r)
          })
        }).stream,
      failing: () =>
        new ReadableStream({
          pull(controller) {
            controller.error(new RangeError('no more'))
          },
          cancel() {}
        }),
      unwilling: () =>
        new ReadableStream({
          cancel() {
            throw new RangeError('it will not')
          }
        }),
      unsendable: () => (made = source([1, Symbol('x'), 2, 3])).stream,
      missing: () => createReadStream('/nowhere/at/all'),
      broken: () =>
        new Readable({
          objectMode: true,
          read() {
            this.destroy(new RangeError('broken'))
          }
        }),
      async cancel(stream: ReadableStream, reason: unknown) {
        await stream.cancel(reason)
      },
      read: (stream: ReadableStream) => all(stream),
      drop() {}
    }),
    async ({ root }, t) => {
      const reason = new RangeError('why', { cause: 1 })
      await (await root.one()).cancel(reason)
      t.match(made.told.cancelled, [{ name: 'RangeError', message: 'why', cause: 1 }], 'unread')
      const reader = (await root.one()).getReader()
      await reader.read()
      await reader.cancel('half-way')
      t.same(made.told.cancelled, ['half-way'])
      made = source([])
      const waiting = (await root.never()).getReader()
      const read = waiting.read()
      await runEventLoop()
      await waiting.cancel('while it is awaited')
      t.same([await read, made.told.cancelled], [{ done: true, value: undefined }, ['while it is awaited']])
      const mine = source([1])
      await root.cancel(mine.stream, 'there')
      t.same(mine.told.cancelled, ['there'], 'in the other direction')
      t.match(await rejectionOf((await root.unwilling()).cancel()), {
        name: 'RangeError',
        message: 'it will not'
      })
      for (const [name, error] of Object.entries({
        failing: { name: 'RangeError', message: 'no more' },
        unsendable: { code: 'unsendable' },
        missing: { code: 'ENOENT' },
        broken: { message: 'broken' }
      }))
        t.match(await rejectionOf(all(await root[name]())), error, name)
      await waitUntil(() => made.told.cancelled.length > 0)
      t.match(made.told.cancelled, [{ code: 'unsendable' }], 'its source gets the reason of the cancellation')
      t.match(await rejectionOf(root.read(await root.failing())), { message: 'no more' }, 'back and forth')
      const node = new Readable({ read() {} })
      await root.cancel(node, new RangeError('no need'))
      t.ok(node.destroyed)
      t.match(node.errored, { message: 'no need' })
      const silent = new Readable({ read() {} })
      await root.cancel(silent, 'no error')
      t.ok(silent.destroyed && !silent.errored)
      await root.missing()
      await turn()
      const unread = source([1])
      await root.drop(unread.stream)
      await collectGarbage(() => unread.told.cancelled.length > 0)
      t.same(unread.told.cancelled, [undefined], 'dropped unread')
    }
  )
})

t.test('chunks are written at the owner, as fast as its stream takes them', t => {
  let made = sink()
  let room: (() => void)[] = []
  return overMemoryAndSocket(
    t,
    () => ({
      open: () => (made = sink()).stream,
      slow: () => (made = sink(() => new Promise<void>(resolve => room.push(resolve)))).stream,
      node(kind: string) {
        const chunks: unknown[] = []
        made = { ...sink(), told: { chunks, closed: 0, aborted: [] } }
        return new Writable({
          objectMode: kind === 'objects',
          write(chunk, _encoding, done) {
            chunks.push(chunk)
            done()
          },
          final(done) {
            made.told.closed++
            done()
          },
          destroy(error, done) {
            if (error) made.told.aborted.push(error)
            done(error)
          }
        })
      },
      async write(stream: WritableStream) {
        const writer = stream.getWriter()
        await writer.write({ from: new Date(1) })
        await writer.close()
      }
    }),
    async ({ root, clientSession }, t) => {
      const stream = await root.open()
      t.ok(stream instanceof WritableStream)
      const writer = stream.getWriter()
      await writer.write(1)
      await writer.write({ when: new Date(0), call: () => 1 })
      await writer.write(new Uint8Array(MIB))
      await writer.close()
      await writer.ready
      t.same([made.told.chunks.length, made.told.closed], [3, 1])
      t.match(made.told.chunks.slice(0, 2), [1, { when: new Date(0) }])
      t.equal(await made.told.chunks[1].call(), 1)
      made.told.chunks.length = 0

      const empty = await root.open()
      await empty.close()
      t.same([made.told.chunks.length, made.told.closed], [0, 1], 'closed without a chunk')

      room = []
      const slow = (await root.slow()).getWriter()
      let written = 0
      const writing = (async () => {
        for (let i = 0; i < 300; i++) {
          await slow.ready
          void slow.write('x'.repeat(1000)).then(() => written++)
        }
        await slow.close()
      })()
      await waitUntil(() => written > 60)
      for (let i = 0; i < 3; i++) await clientSession.ping()
      t.ok(written < 75, `${written} KiB were taken`)
      const clear = setInterval(() => {
        for (const go of room.splice(0)) go()
      })
      await writing
      clearInterval(clear)
      t.same([made.told.chunks.length, made.told.closed], [300, 1])

      for (const kind of ['bytes', 'objects']) {
        const node = (await root.node(kind)).getWriter()
        await node.write(kind === 'bytes' ? new Uint8Array([1, 2]) : { a: 1 })
        await node.close()
        t.same(
          [made.told.chunks.map(chunk => (kind === 'bytes' ? [...chunk] : chunk)), made.told.closed],
          [[kind === 'bytes' ? [1, 2] : { a: 1 }], 1]
        )
      }
      const bad = (await root.node('bytes')).getWriter()
      bad.closed.catch(() => {})
      const failed = await rejectionOf(
        (async () => {
          for (;;) await bad.write(5)
        })()
      )
      t.match(failed, { code: 'ERR_INVALID_ARG_TYPE' }, 'a chunk that it does not accept')
      t.match(await rejectionOf(bad.closed), { code: 'ERR_INVALID_ARG_TYPE' })
      const mine = sink()
      await root.write(mine.stream)
      t.same([mine.told.chunks, mine.told.closed], [[{ from: new Date(1) }], 1], 'in the other direction')
    }
  )
})

t.test('abort and errors of a writable stream are sent with their reasons', t => {
  let made = sink()
  let opened: Untyped
  return overMemoryAndSocket(
    t,
    () => ({
      open: () => (made = sink()).stream,
      stuck: () => (made = sink(() => new Promise(resolve => (opened = resolve)))).stream,
      failing: (after: number) =>
        (made = sink(() => {
          if (made.told.chunks.length === after) throw new RangeError('disk full')
        })).stream,
      errored() {
        made = sink()
        opened = new WritableStream({ start: controller => void (made = { ...made, controller } as Untyped) })
        return opened
      },
      node: () =>
        (opened = new Writable({ write: (_chunk, _encoding, done) => done(new RangeError('disk full')) })),
      idle: () => (opened = new Writable({ write() {} })),
      keep: (value: unknown) => void (opened = value),
      drop() {}
    }),
    async ({ root }, t) => {
      const reason = new RangeError('why')
      await (await root.open()).abort(reason)
      t.match(made.told.aborted, [{ name: 'RangeError', message: 'why' }], 'before a chunk')
      const some = (await root.open()).getWriter()
      await some.write(1)
      await some.abort('half-way')
      t.same(made.told.aborted, ['half-way'])
      t.same(made.told.closed, 0)
      opened = undefined
      const stuck = (await root.stuck()).getWriter()
      const writes = Array.from({ length: 2000 }, (_, i) => stuck.write(i).catch((error: unknown) => error))
      await waitUntil(() => opened !== undefined)
      const aborted = stuck.abort('stuck')
      t.equal((await Promise.all(writes)).at(-1), 'stuck', 'pending writes fail at once')
      const free = setInterval(() => opened())
      await aborted
      clearInterval(free)
      t.same(made.told.aborted, ['stuck'])
      const unsendable = (await root.open()).getWriter()
      await unsendable.write(1)
      t.match(await rejectionOf(unsendable.abort(Symbol('x'))), { code: 'unsendable' })
      await waitUntil(() => made.told.aborted.length > 0)
      const chunk = (await root.open()).getWriter()
      await chunk.write(Symbol('x')).catch(() => {})
      t.match(await rejectionOf(chunk.closed), { code: 'unsendable' }, 'a chunk that cannot be sent')

      for (const after of [0, 5]) {
        const failing = (await root.failing(after)).getWriter()
        failing.closed.catch(() => {})
        const failed = await rejectionOf(
          (async () => {
            for (;;) await failing.write('x'.repeat(10_000))
          })()
        )
        t.match(failed, { name: 'RangeError', message: 'disk full' }, `after ${after}: why, not that`)
        t.match(await rejectionOf(failing.closed), { message: 'disk full' })
      }
      const node = (await root.node()).getWriter()
      await node.write('x').catch(() => {})
      t.match(await rejectionOf(node.closed), { message: 'disk full' })
      const dead = (await root.idle()).getWriter()
      opened.destroy(new RangeError('gone'))
      await turn()
      await dead.write('x').catch(() => {})
      t.match(await rejectionOf(dead.closed), { message: 'gone' })
      const idle = (await root.idle()).getWriter()
      await idle.abort(new RangeError('never mind'))
      t.match(opened.errored, { message: 'never mind' })

      const mine = sink()
      await root.drop(mine.stream)
      await collectGarbage(() => mine.told.aborted.length > 0)
      t.match(mine.told.aborted, [{ name: 'AbortError', message: /has released the stream/ }], 'dropped')
      const closing = (await root.idle()).getWriter()
      closing.closed.catch(() => {})
      await closing.abort()
      t.ok(opened.destroyed)
      opened = undefined
    }
  )
})

t.test('pairs: TransformStream, and Node streams that are read and written', t =>
  overMemoryAndSocket(
    t,
    () => ({
      upper: () =>
        new TransformStream({ transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()) }),
      zip: () => createGzip(),
      pass: () => new PassThrough({ objectMode: true }),
      half() {
        const chunks: unknown[] = []
        return Object.assign(
          new Duplex({
            objectMode: true,
            read() {
              this.push('one')
              this.push(null)
            },
            write(chunk, _encoding, done) {
              chunks.push(chunk)
              done()
            }
          }),
          { chunks }
        )
      },
      async pipe(pair: TransformStream) {
        if (!(pair instanceof TransformStream)) throw new Error('no pair')
        return await all(source(['a', 'b']).stream.pipeThrough(pair))
      },
      echo: (pair: unknown) => pair,
      dial: async (port: number) => {
        const socket = dial(port, '127.0.0.1')
        await once(socket, 'connect')
        return socket
      }
    }),
    async ({ root }, t) => {
      const upper = await root.upper()
      t.ok(upper instanceof TransformStream)
      t.same(await all(source(['a', 'b']).stream.pipeThrough(upper)), ['A', 'B'])
      const lower = new TransformStream({ transform: (chunk, controller) => controller.enqueue(`${chunk}!`) })
      t.same(await root.pipe(lower), ['a!', 'b!'], 'in the other direction')
      const big = Buffer.alloc(MIB, 'text ')
      const zipped = await bytesOf(source([big]).stream.pipeThrough(await root.zip()) as Untyped)
      t.ok(gunzipSync(zipped).equals(big))
      const back = await root.echo(await root.upper())
      t.same(await all(source(['x']).stream.pipeThrough(back)), ['X'], 'back, forth and back')
      const pass = await root.pass()
      const writer = pass.writable.getWriter()
      await writer.write({ a: new Date(0) })
      void writer.close()
      t.same(await all(pass.readable), [{ a: new Date(0) }])
      const half = await root.half()
      t.same(await all(half.readable), ['one'])
      const rest = half.writable.getWriter()
      await rest.write('still written')
      await rest.close()

      const server = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const socket = await root.dial((server.address() as AddressInfo).port)
      const to = socket.writable.getWriter()
      await to.write(Buffer.from('over a socket of the other side'))
      await to.close()
      t.equal(String(await bytesOf(socket.readable)), 'over a socket of the other side')
      server.close()
      const transform = new Transform({ objectMode: true, transform: (chunk, _e, done) => done(null, chunk) })
      t.same(await root.pipe(transform), ['a', 'b'])
      t.match(await rejectionOf(root.echo(transform)), { code: 'unsendable', message: /locked/ })
    }
  )
)

t.test('a stream is locked when it is sent, and sent once; a stream that was not sent is unchanged', t =>
  overMemoryAndSocket(
    t,
    () => ({
      take: (...streams: Untyped[]) =>
        Promise.all(streams.map(stream => stream.cancel?.() ?? stream.abort())).then(() => 'taken')
    }),
    async ({ root }, t) => {
      const node = () => Readable.from(['x'], { objectMode: false })
      const written = () => new Writable({ write() {} })
      for (const make of [() => source([1]).stream, () => sink().stream, node, written]) {
        const stream = make() as Untyped
        t.match(await rejectionOf(root.take(stream, Symbol('half-way'))), { code: 'unsendable' })
        t.notOk(stream.locked)
        t.equal(stream.listenerCount?.('error') ?? 0, 0)
        const sent = root.take(stream)
        t.equal(stream.locked ?? true, true)
        t.match(await rejectionOf(root.take(stream)), {
          code: 'unsendable',
          message: /args\[0\] is a stream that is locked/
        })
        t.equal(await sent, 'taken')
      }
      const pair = new PassThrough()
      t.match(await rejectionOf(root.take(pair, Symbol('half-way'))), { code: 'unsendable' })
      const locked = new TransformStream()
      locked.writable.getWriter()
      t.match(await rejectionOf(root.take(locked)), { code: 'unsendable' })
      t.notOk(locked.readable.locked, 'the end that was not locked is not')
      const twice = source([1]).stream
      t.match(await rejectionOf(root.take(twice, twice)), { message: /args\[1\] is a stream that is locked/ })
      t.notOk(twice.locked)
      const cyclic: Untyped = { stream: source([1]).stream, deep: {} }
      cyclic.deep.up = cyclic
      t.equal(await root.take(cyclic.stream), 'taken')
      const around: Untyped = { stream: source([2]).stream, cancel: undefined, abort: undefined }
      around.up = around
      const failure = await rejectionOf(root.take(around))
      t.notMatch(failure.message, /locked/, 'in a cycle, too')
      class Odd extends (ReadableStream as new () => ReadableStream<unknown>) {
        override getReader(): never {
          throw new RangeError('nobody reads this')
        }
      }
      t.match(await rejectionOf(root.take(new Odd())), { message: 'nobody reads this' })
    },
    { serving: { allowPublicAttrs: true } }
  )
)

for (const by of ['ours', 'theirs', 'die'] as const)
  t.test(`the session ends during each operation: ${by}`, t => {
    const made: Untyped[] = []
    return overMemoryAndSocket(
      t,
      () => ({
        read: () => (made[0] = source(Array(5000).fill('x'))).stream,
        bytes: () =>
          (made[1] = source(
            Array.from({ length: 5000 }, () => new Uint8Array(1000)),
            'bytes'
          )).stream,
        write: () => (made[2] = sink()).stream,
        node: () =>
          (made[3] = new Readable({
            read() {
              this.push('x')
            }
          })),
        nodeWritable: () => (made[4] = new Writable({ write() {} })),
        unread: () => (made[5] = source([1])).stream
      }),
      async ({ root, clientSession, serverSession, breakTransport }, t) => {
        const reads: Untyped[] = []
        for (const name of ['read', 'bytes', 'node']) {
          const reader = (await root[name]()).getReader()
          await reader.read()
          reads.push(reader)
        }
        const writers: Untyped[] = []
        for (const name of ['write', 'nodeWritable']) {
          const writer = (await root[name]()).getWriter()
          writer.closed.catch(() => {})
          await writer.write('x')
          writers.push(writer)
        }
        const unread = await root.unread()
        await runEventLoop()
        if (by === 'die') breakTransport()
        else
          await ({ ours: clientSession, theirs: serverSession }[by] as SessionEnds['clientSession']).close()
        await Promise.all([clientSession.closed, serverSession.closed])
        for (const reader of reads) {
          const error = await rejectionOf(
            (async () => {
              while (!(await reader.read()).done);
              return 'the end'
            })()
          )
          t.ok(error instanceof SessionEndedError, String(error))
        }
        for (const writer of writers) {
          const error = await rejectionOf(writer.closed)
          t.ok(error instanceof SessionEndedError, String(error))
        }
        t.ok((await rejectionOf(unread.getReader().read())) instanceof SessionEndedError)
        await waitUntil(() => made[0].told.cancelled.length > 0 && made[1].told.cancelled.length > 0)
        await waitUntil(() => made[2].told.aborted.length > 0 && made[5].told.cancelled.length > 0)
        for (const { told } of [made[0], made[1], made[5]])
          t.match(told.cancelled, [{ name: 'SessionEndedError' }])
        t.match(made[2].told.aborted, [{ name: 'SessionEndedError' }])
        t.ok(made[3].destroyed && made[4].destroyed)
      },
      { resumes: false }
    )
  })

t.test('after an interruption, reading and writing continue over the next socket, byte by byte', async t => {
  const { agent, die } = breakableAgent()
  const made = sink()
  const chunk = (i: number) => new Uint8Array(10_000).fill(i)
  await overSocket(
    t,
    {
      read: () =>
        source(
          Array.from({ length: 500 }, (_, i) => chunk(i)),
          'bytes'
        ).stream,
      write: () => made.stream
    },
    async ({ root, session }) => {
      const any = root as Untyped
      let breaks = 0
      session.on('resumed', () => breaks++)
      const read: Buffer[] = []
      let length = 0
      for (const reader = (await any.read()).getReader(); ; ) {
        const { done, value } = await reader.read()
        if (done) break
        read.push(Buffer.from(value))
        if (read.length % 200 === 100) die()
        length += value.length
      }
      t.equal(length, 5_000_000)
      const expected = Buffer.concat(Array.from({ length: 500 }, (_, i) => chunk(i)))
      t.ok(Buffer.concat(read).equals(expected))
      const writer = (await any.write()).getWriter()
      for (let i = 0; i < 500; i++) {
        await writer.write(chunk(i))
        if (i % 200 === 100) die()
      }
      await writer.close()
      t.ok(Buffer.concat(made.told.chunks).equals(expected), 'and written')
      t.equal(made.told.closed, 1)
      t.ok(breaks > 0, `${breaks} times over`)
    },
    { client: { agent } }
  )
})

t.test('a producer of 1 GB against a consumer that stops: less than 4 MiB is buffered', t => {
  let made = 0
  return overMemoryAndSocket(
    t,
    () => ({
      bytes: () =>
        new ReadableStream({
          type: 'bytes',
          pull(controller) {
            if (made >= 1 << 30) return controller.close()
            made += 65536
            controller.enqueue(new Uint8Array(65536))
          }
        }),
      async take(stream: WritableStream) {
        const writer = stream.getWriter()
        for (; made < 1 << 30; made += 65536) await writer.write(new Uint8Array(65536))
      }
    }),
    async ({ root, clientSession, serverSession }, t) => {
      const settled = async () => {
        for (let before = -1; before !== made; ) {
          before = made
          for (let i = 0; i < 20; i++) await clientSession.ping()
        }
      }
      made = 0
      const reader = (await root.bytes()).getReader()
      for (let read = 0; read < 16 * MIB; ) read += (await reader.read()).value.length
      await settled()
      const buffered = clientSession.stats.buffered + serverSession.stats.buffered
      t.comment(`${made - 16 * MIB} bytes ahead, ${buffered} buffered`)
      t.ok(buffered < 4 * MIB && made < 20 * MIB)
      await reader.cancel()

      made = 0
      let room: (() => void) | undefined
      let taken = 0
      const { stream } = sink(() => {
        taken += 65536
        return taken < 16 * MIB ? undefined : new Promise<void>(resolve => (room = resolve))
      })
      const writing = rejectionOf(root.take(stream))
      await waitUntil(() => room !== undefined)
      await settled()
      const waits = clientSession.stats.buffered + serverSession.stats.buffered
      t.comment(`${made - taken} bytes ahead, ${waits} buffered`)
      t.ok(waits < 4 * MIB && made < 20 * MIB)
      room!()
      made = 1 << 30
      await clientSession.close()
      await writing
    }
  )
})

t.test('no more items are made for a peer that pulls and does not read', async t => {
  let made = 0
  const conn = pair({
    *bytes() {
      for (;;) {
        made++
        yield 'x'.repeat(10_000)
      }
    }
  })
  const { served, session } = conn
  const [ours, theirs] = conn.transports
  const it = (await (conn.root as Untyped).bytes())[Symbol.asyncIterator]()
  await it.next()
  await it.next()
  theirs.hold()
  for (let i = 0; i < 5000; i++) {
    ours.send(`[${served.stats.framesOut - theirs.held},[[19,1,0,1000000]]]`)
    if (i % 100 === 0) await turn()
  }
  // Also items that were never reached.
  ours.send(`[${served.stats.framesOut - theirs.held},[[19,1,0]]]`)
  t.ok(served.stats.buffered < 2 * MIB, `${served.stats.buffered} bytes wait`)
  t.ok(made < 300, `${made} items`)
  theirs.letGo()
  t.match(await session.closed, { code: 'protocol' }, 'the frames it never sent are noticed here')
  t.match(
    [session.stats, served.stats],
    [
      { exports: 0, imports: 0 },
      { exports: 0, imports: 0 }
    ]
  )
})

t.test('invalid operations of an owner and a peer on a writable stream', async t => {
  await overMemory(t, { open: () => sink().stream }, async ({ root }) => {
    const stream = await (root as Untyped).open()
    t.ok(stream instanceof WritableStream)
    t.throws(() => Netref.release({} as Untyped), /is not a netref/)
    Netref.release(stream)
    t.match(await rejectionOf(stream.getWriter().write(1)), { name: 'ReleasedError' })
    const arrived = new RemoteWritable({} as Untyped)
    t.throws(() => arrived.onItems(), /items for a writable stream/)
    t.throws(() => arrived.onEnd(), /an end for a writable stream/)
  })
})

t.test('a byte stream whose owner sends no bytes fails alone', async t => {
  await overMemory(
    t,
    { bytes: () => source([new Uint8Array(5)], 'bytes').stream },
    async ({ root, transports: [, theirs] }) => {
      const send = theirs.send.bind(theirs)
      const stream = await (root as Untyped).bytes()
      theirs.send = (frame, sent) => {
        if (typeof frame === 'string') return send(frame, sent)
        const text = Buffer.from(frame).toString('latin1')
        return send(text.includes('[20,') ? `[1,[[20,1,0,["x"]]]]` : frame, sent)
      }
      t.match(await rejectionOf(stream.getReader().read()), { name: 'TypeError', message: /is not bytes/ })
      theirs.send = send
    }
  )
  await overMemory(
    t,
    { bytes: () => source([new Uint8Array(5)], 'bytes').stream },
    async ({ root, transports: [, theirs] }) => {
      const reader = (await (root as Untyped).bytes()).getReader()
      const send = theirs.send.bind(theirs)
      theirs.send = (frame, sent) =>
        send(typeof frame === 'string' ? frame : `[2,[[20,1,0,["x"]],[21,1,1]]]`, sent)
      theirs.hold()
      const read = reader.read()
      await waitUntil(() => theirs.held > 0)
      theirs.letGo(1)
      await reader.cancel()
      t.same(await read, { done: true, value: undefined }, 'nor does a stream that was cancelled by then')
      theirs.send = send
      theirs.letGo()
    }
  )
})

t.test('a failing source notifies both sides, an ending source its reader', async t => {
  const [failed, closed] = [new AsyncQueue(() => {}), new AsyncQueue(() => {})]
  const waits = rejectionOf(failed.put(1))
  failed.fail(new RangeError('why'))
  for (const error of [waits, rejectionOf(failed.put(2)), rejectionOf(failed.next())])
    t.match(await error, { message: 'why' })
  closed.close()
  t.same(await closed.next(), { done: true, value: undefined })
  await closed.return()
  t.equal(await closed.put(1), false, 'nobody reads it')
})

t.test('no error was reported', async t => {
  t.same(faults, [])
})
