// Tests that must pass in a DOM of a test runner, with the build for pages and the WebSocket of that DOM.
import { connect, Netref, serve } from 'netref'

/** @param {object} runner `test` and `expect`; `url`, the address of the server of `lines.js` */
export function pageSuite({ test, expect, url }) {
  const joined = async use => {
    const conn = connect(url)
    await use(conn.root)
    await conn.close()
    expect(conn.state).toBe('closed')
  }

  test('the server calls back into the page', () =>
    joined(async root => {
      const heard = []
      const count = await root.count(['one', 'two'], line => heard.push(line))
      expect(count).toBe(2)
      expect(heard).toEqual(['one', 'two'])
    }))

  test('it is the build for pages, with a socket of the page', async () => {
    await expect((async () => serve({}, { port: 0 }))()).rejects.toThrow(/page|browser/)
    const opened = []
    class Counted extends WebSocket {
      constructor(address) {
        super(address)
        opened.push(address)
      }
    }
    const { WebSocket: original } = globalThis
    globalThis.WebSocket = Counted
    try {
      await joined(root => root.echo(1))
    } finally {
      globalThis.WebSocket = original
    }
    expect(opened.length).toBe(1)
  })

  test('values arrive as what they are', () =>
    joined(async root => {
      const values = [
        { a: [1, null, { b: undefined }] },
        [1n, NaN, -0],
        new Date(5),
        new Map([[{ a: 1 }, new Set([1])]]),
        new Uint8Array([1, 2, 3]),
        new Float64Array(2000)
      ]
      for (const value of values) {
        const back = await root.echo(value)
        expect(back).toEqual(value)
        expect(Object.getPrototypeOf(back)).toBe(Object.getPrototypeOf(value))
      }
    }))

  test('errors, iterators and signals', () =>
    joined(async root => {
      const error = await root
        .count(['one'], () => Promise.reject(new RangeError('no')))
        .catch(error => error)
      expect(error).toBeInstanceOf(RangeError)
      let sum = 0
      for await (const n of await root.echo([1, 2][Symbol.iterator]())) sum += n
      expect(sum).toBe(3)
      const controller = new AbortController()
      const waiting = Netref.with(root, { signal: controller.signal }).count(
        ['one'],
        () => new Promise(() => {})
      )
      controller.abort('enough')
      expect(await waiting.catch(reason => reason)).toBe('enough')
    }))
}
