import t from 'tap'
import { expose, Netref, pair, ReleasedError, Service } from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { overMemory, overSocket, rejectionOf } from '../support/helpers.js'
import { recordMessages, runEventLoop, type Untyped } from '../support/wire.js'

// These tests use any name and any value: the types have a spec of their own.
const { get, set, has, delete: remove, keys, session, release, is }: Untyped = Netref

class TextFile {
  exposed_title: string | undefined = 'Notes'
  readonly exposed_lines = ['one', 'two']
  exposed_first() {
    return this.exposed_lines[0]
  }
  get exposed_size() {
    return this.exposed_lines.length
  }
  hidden = 1
}

class Files extends Service {
  exposed_open() {
    return new TextFile()
  }
  exposed_shelf = { top: new TextFile(), label: 'A' }
  exposed_symbols = expose(
    { [Symbol.for('spec')]: 1, [Symbol.iterator]: () => 2 },
    { read: [Symbol.for('spec'), Symbol.iterator] }
  )
  exposed_reader() {
    return () => 'line'
  }
  exposed_echo(value: unknown) {
    return value
  }
}

for (const over of [overMemory, overSocket]) {
  t.test(`get, set, has, delete and keys, of netrefs, paths and pending results, ${over.name}`, t =>
    over(
      t,
      Files,
      async conn => {
        const root: Untyped = conn.root
        const file = await root.open()
        t.equal(await get(file, 'title'), 'Notes')
        t.equal(await get(file, 'first')(), 'one')
        t.equal(await get(get(file, 'lines'), 1), 'two')
        t.equal(await set(file, 'title', 'More'), undefined)
        t.equal(await file.title, 'More')
        t.equal(await has(file, 'title'), true)
        t.equal(await has(file, 'hidden'), false)
        t.equal(await has(file, 'constructor'), false)
        t.same((await keys(file)).sort(), ['first', 'lines', 'size', 'title'])
        t.equal(await remove(file, 'title'), undefined)
        t.equal(await has(file, 'title'), false)

        await set(root.shelf.top, 'title', { some: ['data'] })
        t.same(await root.shelf.top.title, { some: ['data'] }, 'of a path')
        t.equal(await has(root.shelf, 'label'), true)
        await remove(root.shelf, 'label')
        t.equal(await has(root.shelf, 'label'), false)
        t.same(await keys(root.shelf), ['top'])
        t.same((await keys(root.shelf.top)).length, 4)

        await set(root.shelf.top, 'title', file)
        t.equal(await root.shelf.top.title, file, 'a netref is set as its object')
        await remove(root.shelf.top, 'title')

        const pending = root.open()
        const changed = set(pending, 'title', 'early')
        t.equal(await has(pending, 'title'), true, 'of a pending result')
        t.equal((await keys(pending)).length, 4)
        t.equal(await get(pending, 'title'), 'early')
        await changed
        t.equal(await get(root.symbols, Symbol.for('spec')), 1)
        t.equal(await get(root.symbols, Symbol.iterator)(), 2)
        t.equal(await has(root.symbols, Symbol.for('spec')), true)
        t.equal(await has(root.symbols, Symbol.asyncIterator), false)
      },
      over === overMemory
        ? ({ serving: { allowSetAttrs: true, allowDeleteAttrs: true } } as Untyped)
        : { server: { allowSetAttrs: true, allowDeleteAttrs: true } }
    )
  )
}

t.test('each helper sends one message; an operation that the owner does not allow rejects', t =>
  overMemory(t, Files, async conn => {
    const root: Untyped = conn.root
    await conn.ping()
    const [out, back] = recordMessages(conn)
    t.match(await rejectionOf(set(root.shelf.top, 'title', 1)), {
      code: 'not-exposed',
      message:
        'Netref.set(root.shelf.top.title, 1): "title" may be read, not set: its owner must set allowSetAttrs, or call expose(…, { write: ["title"] })'
    })
    t.match(await rejectionOf(remove(root.shelf.top, 'title')), { code: 'not-exposed' })
    await has(root.shelf.top, 'title')
    await keys(root.shelf.top)
    await get(get(root.shelf, 'top'), 'title')
    t.same(
      out.map(([op]) => op),
      [Op.set, Op.delete, Op.has, Op.keys, Op.get]
    )
    t.equal(back.length, 5)
    get(root.shelf, 'top')
    await runEventLoop()
    t.equal(out.length, 5, 'naming a member sends nothing')
  })
)

t.test('is: true for a netref that has arrived', t =>
  overMemory(t, Files, async conn => {
    const root: Untyped = conn.root
    const pending = root.open()
    t.same([root, await pending, await root.reader()].map(is), [true, true, true])
    t.same([root.open, pending].map(is), [false, false])
    t.same(
      [null, undefined, 1, 'x', {}, () => 1, new Proxy({}, {}), Symbol('x')].map(is),
      Array(8).fill(false)
    )
  })
)

t.test('session: the session of a netref', t =>
  overMemory(t, Files, async conn => {
    const root: Untyped = conn.root
    const pending = root.open()
    for (const it of [root, root.open, pending, await pending]) t.equal(session(it), conn.session)
    t.equal(session(conn.served.root), conn.served)
  })
)

t.test('release takes effect immediately and once; later use rejects, and names the netref', t =>
  overMemory(t, Files, async conn => {
    const root: Untyped = conn.root
    const file = await root.open()
    const reader = await root.reader()
    const [lines, first] = [file.lines, file.first]
    await conn.ping()
    const [out, back] = recordMessages(conn)
    t.equal(conn.stats.imports, 2)
    t.equal(release(file), undefined)
    release(reader)
    release(file)
    release(reader)
    t.equal(conn.stats.imports, 0)
    await runEventLoop()
    t.same(
      out.map(([op]) => op),
      [Op.release],
      'both in one message'
    )
    t.equal(back.length, 0, 'which has no reply')
    t.equal(conn.served.stats.exports, 0)
    for (const call of [
      lines,
      first(),
      file.title,
      get(file, 'title'),
      set(file, 'title', 1),
      keys(file),
      file.a.b()
    ]) {
      const error = await rejectionOf(call)
      t.ok(error instanceof ReleasedError)
      t.match(error, { code: 'released', message: /^.*TextFile#1.*: TextFile#1 was released$/ })
    }
    t.match(await rejectionOf(reader(1)), { message: 'netref#2(1): netref#2 was released' })
    t.match(await rejectionOf(root.echo({ file })), {
      code: 'unsendable',
      message:
        'root.echo({…}): args[0].file is a released netref, which cannot be sent: send it before it is released'
    })
    t.equal(is(file), true, 'it still is a netref')
    t.equal(session(file), conn.session)
    t.equal(out.length, 1, 'nothing was sent')
    release(root)
    root[Symbol.dispose]()
    t.equal(await root.reader()(), 'line', 'a root cannot be released')
  })
)

t.test('`using` releases at the end of the block', t =>
  overMemory(t, Files, async conn => {
    const root: Untyped = conn.root
    let outside: Untyped
    {
      using file = await root.open()
      using reader = await root.reader()
      outside = [file, reader]
      t.equal(await file.first(), 'one')
      t.equal(await reader(), 'line')
      t.equal(conn.stats.imports, 2)
    }
    t.equal(conn.stats.imports, 0)
    for (const ref of outside) t.match(await rejectionOf(ref.x), { code: 'released' })
    await conn.ping()
    t.equal(conn.served.stats.exports, 0)
  })
)

t.test('invalid arguments: a value that is not a netref, has not arrived, or has no name', t =>
  overMemory(t, Files, async conn => {
    const root: Untyped = conn.root
    for (const [netref, what] of [
      [{}, '{…}'],
      [new TextFile(), 'TextFile {…}'],
      [Object.create(null), '{…}'],
      [() => 1, 'a local function'],
      [undefined, 'undefined'],
      ['x'.repeat(100), `"${'x'.repeat(20)}…"`],
      [Symbol('x'), 'Symbol(x)']
    ]) {
      for (const act of [release, session, get]) {
        t.throws(() => act(netref, 'x'), {
          name: 'TypeError',
          message: `Netref.${act.name}: ${what} is not a netref`
        })
      }
      for (const act of [set, has, remove, keys]) {
        const error = await rejectionOf(act(netref, 'x'))
        t.ok(error instanceof TypeError)
        t.equal(error.message, `Netref.${act.name}: ${what} is not a netref`)
      }
    }
    const pending = root.open()
    t.throws(
      () => release(root.shelf.top),
      /^Netref\.release: root\.shelf\.top has not arrived yet: await it first/
    )
    t.throws(() => release(pending), /^Netref\.release: root\.open\(\) has not arrived yet: await it first/)
    await pending

    const [out] = recordMessages(conn)
    const own = Symbol('own')
    const says = 'Symbol(own) is local to this process: use a string, or Symbol.for()'
    t.throws(() => get(root, own), { message: says })
    for (const call of [set(root, own, 1), has(root, own), remove(root, own)]) {
      t.equal((await rejectionOf(call)).message, says)
    }
    t.equal(out.length, 0)
  })
)

t.test('after the end of a session: release does nothing, operations reject', async t => {
  const conn = pair(Files)
  const root: Untyped = conn.root
  const file = await root.open()
  await conn.close()
  t.match(await rejectionOf(get(file, 'title')), {
    code: 'closed',
    message: /^TextFile#1\.title: the session has ended/
  })
  t.match(await rejectionOf(keys(file)), { code: 'closed', message: /^Netref\.keys\(TextFile#1\): / })
  release(file)
  release(file)
  t.equal(is(file), true)
  t.equal(session(file), conn.session)
})

t.test('what can be transferred: whole buffers', t => {
  const { transfer }: Untyped = Netref
  for (const nothing of [1, null, undefined, {}, [], 'text', new Uint8Array(new SharedArrayBuffer(8))]) {
    t.throws(() => transfer(nothing), {
      name: 'TypeError',
      message: 'Netref.transfer: pass an ArrayBuffer or a view of one'
    })
  }
  t.throws(() => transfer(new Uint8Array(8).subarray(1)), {
    message:
      'Netref.transfer: the view has 7 of the 8 bytes of its buffer, which is transferred as a whole: transfer a copy'
  })
  const empty = new Uint8Array()
  t.equal(transfer(empty), empty)
  t.end()
})
