// The suite that every transport passes.
import { setImmediate as turn } from 'node:timers/promises'
import type { Test } from 'tap'
import {
  type CommonOptions,
  type Connection,
  type ConnectOptions,
  Netref,
  type Server,
  Service,
  type Session
} from '../../lib/index.js'
import { assertClean, rejectionOf } from './helpers.js'

export class Echo extends Service {
  exposed_echo(value: unknown) {
    return value
  }
  exposed_sum(...arrays: Float64Array[]) {
    return arrays.flatMap(array => [...array]).reduce((a, b) => a + b, 0)
  }
  last: ArrayBuffer | undefined
  exposed_make(length: number) {
    this.last = new ArrayBuffer(length)
    return Netref.transfer(this.last)
  }
  exposed_made() {
    return this.last!.byteLength
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
  exposed_call(callback: Netref<(n: number) => number>, n: number) {
    return callback(n)
  }
}

export interface Joined {
  readonly conn: Connection<Echo>
  /** Server end of the session. */
  readonly served: Session
  /** Breaks the connection, as a failure would. */
  sever(): void
  /** Closes the server. */
  close(): Promise<void>
}

export interface Options {
  readonly client?: ConnectOptions
  readonly server?: CommonOptions
}

/** Opens a session over the transport. */
export type OpenSession = (t: Test, options?: Options) => Promise<Joined>

/** Awaits the first session of a server. */
export async function joined(conn: Connection<Echo>, server: Server, sever: () => void): Promise<Joined> {
  await conn.ping()
  const [served] = server.sessions
  return { conn, served: served!, sever, close: () => server.close() }
}

/** Tests what every transport must do: with each of them, by its name. */
export function transportSuite(t: Test, transports: Readonly<Record<string, OpenSession>>): void {
  for (const [name, join] of Object.entries(transports)) {
    t.test(`over ${name}: values, bytes and callbacks, in order`, async t => {
      const { conn, served, close } = await join(t)
      const { root } = conn
      const bytes = new Uint8Array([1, 2, 3])
      const value = { list: [1, 'zwei', new Map([[1, new Set(['ü€𝄞'])]])], bytes }
      t.same(await root.echo(value), value)
      t.same([...bytes], [1, 2, 3], 'a sent value stays unchanged')
      const large = { text: 'ü'.repeat(1 << 20), bytes: new Uint8Array(4 << 20).fill(7) }
      const echoed = (await root.echo(large)) as typeof large
      t.ok(echoed.text === large.text && Buffer.compare(echoed.bytes, large.bytes) === 0)
      t.same(await root.echo(new Uint8Array()), new Uint8Array())
      const received: number[] = []
      const hear = (n: number) => received.push(n)
      await Promise.all(Array.from({ length: 1000 }, (_, i) => root.call(hear, i)))
      t.same(
        received,
        Array.from({ length: 1000 }, (_, i) => i)
      )
      await assertClean(t, conn.session, served)
      await conn.close()
      await close()
    })

    t.test(`over ${name}: transferred buffers are detached once they are sent`, async t => {
      const { conn, served, close } = await join(t)
      const { root } = conn
      for (const length of [10, 100_000]) {
        const [given, kept] = [new Float64Array(length).fill(1), new Float64Array(length).fill(1)]
        const sum = root.sum(Netref.transfer(given), kept, kept.subarray(1))
        t.same([given.length, given.buffer.byteLength, kept.length], [0, 0, length])
        t.equal(await sum, 3 * length - 1)
        t.match(await rejectionOf(root.echo(given)), {
          message: /args\[0\] is a buffer that was transferred, which cannot be sent: it is detached/
        })
      }
      const whole = Uint8Array.of(1, 2, 3)
      const views = [whole.subarray(1), Netref.transfer(whole), whole]
      t.same(
        await root.echo(views),
        [
          [2, 3],
          [1, 2, 3],
          [1, 2, 3]
        ].map(bytes => Uint8Array.from(bytes)),
        'with its other members'
      )
      t.equal(whole.length, 0)
      t.equal((await root.make(1000)).byteLength, 1000)
      t.equal(await root.made(), 0, 'returned buffers, too')
      await assertClean(t, conn.session, served)
      await conn.close()
      await close()
    })

    t.test(`over ${name}: many replies at once, far more than the transport buffers`, async t => {
      const { conn, served, close } = await join(t, { server: { limits: { bufferedBytes: 1 << 19 } } })
      const parts = Array.from({ length: 60 }, (_, i) => new Uint8Array(100_000).fill(i))
      const echoed = await Promise.all(parts.map(part => conn.root.echo(part)))
      t.ok(echoed.every((part, i) => Buffer.compare(part as Uint8Array, parts[i]!) === 0))
      const later: PromiseLike<unknown>[] = []
      for (const part of parts) {
        later.push(conn.root.echo(part))
        await turn() // One frame each.
      }
      t.equal((await Promise.all(later)).length, parts.length)
      await assertClean(t, conn.session, served)
      await conn.close()
      await close()
    })

    t.test(`over ${name}: the client closes after it has sent its calls`, async t => {
      const { conn, served, close } = await join(t)
      let called = 0
      const pending = conn.root.call(() => ++called, 1)
      const cutOff = conn.root.never()
      await pending
      await conn.close()
      t.match(await rejectionOf(cutOff), { code: 'closed' })
      t.match(await conn.closed, { code: 'closed', message: 'close() was called' })
      t.match(await served.closed, { code: 'closed', message: /ended the session: close\(\) was called$/ })
      await close()
      t.equal(called, 1)
    })

    t.test(`over ${name}: the server closes`, async t => {
      const { conn, served, close } = await join(t)
      const pending = conn.root.never()
      await Promise.all([close(), rejectionOf(pending)])
      t.match(await conn.closed, {
        code: 'server-closed',
        message: /ended the session: the server is going away$/
      })
      t.match(await served.closed, { code: 'server-closed', message: 'the server is going away' })
      await conn.close()
    })

    t.test(`over ${name}: the connection breaks`, async t => {
      const { conn, served, sever, close } = await join(t)
      const pending = conn.root.never()
      await conn.ping()
      sever()
      t.match(await rejectionOf(pending), { code: 'connection-lost' })
      t.match(
        [await conn.closed, await served.closed],
        [{ code: 'connection-lost' }, { code: 'connection-lost' }]
      )
      await Promise.all([conn.close(), served.close()])
      await close()
    })

    t.test(`over ${name}: a value larger than the other end accepts`, async t => {
      const { conn, served, close } = await join(t, { server: { limits: { frameBytes: 10_000 } } })
      t.match(await rejectionOf(conn.root.echo(new Uint8Array(20_000))), {
        name: 'LimitError',
        code: 'limit'
      })
      t.equal(await conn.root.echo(1), 1)
      await assertClean(t, conn.session, served)
      await conn.close()
      await close()
    })
  }
}
