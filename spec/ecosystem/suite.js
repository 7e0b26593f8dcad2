// Tests that must pass under every test runner: Jest, whose modules run in a separate realm, and Vitest with
// `vmThreads`, with and without jsdom. Each runner's own file provides the differences.
import { readFile } from 'node:fs/promises'
import { ReadableStream } from 'node:stream/web'
import { connect, Netref, pair, registerError, Service, serve } from 'netref'

class Echo extends Service {
  exposed_echo(value) {
    return value
  }
  exposed_read(path) {
    return readFile(path, 'utf8')
  }
  async exposed_use(callback, value) {
    return await callback(value)
  }
  async *exposed_count(n) {
    for (let i = 0; i < n; i++) yield i
  }
  exposed_lines(lines) {
    return new ReadableStream({
      start(controller) {
        for (const line of lines) controller.enqueue(line)
        controller.close()
      }
    })
  }
  exposed_signal(signal) {
    return new Promise(resolve => signal.addEventListener('abort', () => resolve(signal.reason)))
  }
  exposed_never() {
    return new Promise(() => {})
  }
  exposed_fail() {
    throw new TypeError('nobody awaits it')
  }
}

class NotFound extends Error {}
registerError(NotFound, { name: 'NotFound' })

/** RegExps arrive only if this limit allows them. */
const limits = { regExpLength: 100 }

/**
 * @param {object} runner `test` and `expect`; `useFakeTimers()`, which fakes everything possible, and
 * `useRealTimers()`; `reload()`, which loads `reloaded.js` again
 */
export function suite({ test, expect, useFakeTimers, useRealTimers, reload }) {
  const ways = {
    'over a socket': async use => {
      const errors = []
      const server = await serve(Echo, { port: 0, limits, onError: error => errors.push(error) })
      const conn = connect(server.url, { limits })
      await use(conn.root, errors)
      await conn.close()
      await server.close()
    },
    'over memory': async use => {
      const errors = []
      const conn = pair(Echo, { limits, serving: { limits, onError: error => errors.push(error) } })
      await use(conn.root, errors)
      await conn.close()
    }
  }
  for (const [how, joined] of Object.entries(ways)) {
    test(`values arrive as what they are, of this realm, ${how}`, () =>
      joined(async root => {
        const values = [
          { a: [1, null, { b: undefined }] },
          [1n, NaN, -0],
          new Date(5),
          /a+/giu,
          new URL('http://localhost/a?b'),
          new Map([[{ a: 1 }, new Set([1])]]),
          new Uint8Array([1, 2, 3]),
          new Uint8Array(2000),
          new Float64Array([1.5]),
          new Uint8Array([7]).buffer,
          Buffer.from('text')
        ]
        for (const value of values) {
          const back = await root.echo(value)
          expect(back).toEqual(value)
          expect(back).not.toBe(value)
          expect(Object.getPrototypeOf(back)).toBe(Object.getPrototypeOf(value))
        }
      }))

    test(`errors are errors, those of Node's own modules, too, ${how}`, () =>
      joined(async root => {
        const missing = await root.read('/none/such').catch(error => error)
        expect(Netref.is(missing)).toBe(false)
        expect(missing).toBeInstanceOf(Error)
        expect(missing).toMatchObject({ code: 'ENOENT', syscall: 'open', path: '/none/such' })
        const found = await root.echo(new NotFound('none'))
        expect(found).toBeInstanceOf(NotFound)
        const gone = await root.echo(new DOMException('gone', 'NotFoundError'))
        expect(gone).toBeInstanceOf(DOMException)
        expect(gone.name).toBe('NotFoundError')
        const late = await Netref.with(root, { timeout: 1 })
          .never()
          .catch(error => error)
        expect(late).toBeInstanceOf(DOMException)
        expect(late.name).toBe('TimeoutError')
      }))

    test(`callbacks, promises, iterators, streams and signals, ${how}`, () =>
      joined(async root => {
        expect(await root.use(async n => n + 1, 1)).toBe(2)
        const refused = await root.use(() => Promise.reject(new RangeError('no')), 1).catch(error => error)
        expect(refused).toBeInstanceOf(RangeError)
        let sum = 0
        for await (const n of root.count(100)) sum += n
        for await (const n of root.echo(
          (function* () {
            yield 1000
          })()
        ))
          sum += n
        expect(sum).toBe(5950)
        const lines = []
        for await (const line of await root.lines(['a', 'b'])) lines.push(line)
        expect(lines).toEqual(['a', 'b'])
        const controller = new AbortController()
        const heard = root.signal(controller.signal)
        const given = Netref.with(root, { signal: controller.signal })
          .never()
          .catch(reason => reason)
        controller.abort('enough')
        expect(await heard).toBe('enough')
        expect(await given).toBe('enough')
      }))

    test(`everything goes on under fake timers, ${how}`, async () => {
      useFakeTimers()
      try {
        await joined(async (root, errors) => {
          const answers = await Promise.all(Array.from({ length: 5000 }, (_, i) => root.echo(i)))
          expect(answers.length).toBe(5000)
          expect((await root.echo('x'.repeat(2_000_000))).length).toBe(2_000_000)
          expect((await root.echo(new Uint8Array(2_000_000))).length).toBe(2_000_000)
          const now = await root.echo(new Date())
          expect(now).toBeInstanceOf(Date)
          expect(now.getTime()).toBe(Date.now())
          Netref.oneway(root.fail)()
          while (errors.length === 0) await root.echo(0)
          expect(errors[0].message).toBe('nobody awaits it')
        })
      } finally {
        useRealTimers()
      }
    })
  }

  test('who is refused is told under fake timers, too', async () => {
    useFakeTimers()
    try {
      const server = await serve(Echo, { port: 0, authenticate: () => undefined })
      expect((await connect(server.url).closed).code).toBe('unauthorized')
      await server.close({ drain: 1000 })
    } finally {
      useRealTimers()
    }
  })

  test('a module that registers its classes may be loaded again', () =>
    ways['over memory'](async root => {
      const before = await reload()
      const { Money, Broke } = await reload()
      expect(Money).not.toBe(before.Money)
      for (const money of [new Money(3), new before.Money(3)]) {
        const back = await root.echo(money)
        expect(back).toBeInstanceOf(Money)
        expect(back).not.toBe(money)
        expect(back.amount).toBe(3)
      }
      expect(await root.echo(new Broke('no'))).toBeInstanceOf(Broke)
    }))
}
