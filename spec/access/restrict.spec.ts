// Specs of stand-ins with rights of their own: `restrict()` and `unrestricted()`.
import t, { type Test } from 'tap'
import {
  callSession,
  expose,
  exposed,
  Netref,
  pair,
  restrict,
  Service,
  unrestricted
} from '../../lib/index.js'
import { assertClean, overMemory, overMemoryAndSocket, rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

class Doc {
  #text = 'draft'
  title = 'Notes'
  parent: Doc = this
  get text() {
    return this.#text
  }
  set text(text: string) {
    this.#text = text
  }
  append(more: string) {
    this.#text += more
    return this
  }
  async appendLater(more: string) {
    return this.append(more)
  }
  length() {
    return this.#text.length
  }
}

const READER = { read: ['text', 'length', 'title'] } as const
const EDITOR = { read: ['text', 'append', 'appendLater', 'parent', 'title'], write: ['text'] } as const

const notExposed = (t: Test, promise: PromiseLike<unknown>, message = 'it is not exposed') =>
  t.rejects(Promise.resolve(promise), { name: 'ExposureError', code: 'not-exposed' }, message)

t.test('the rights of one stand-in take nothing from another', t => {
  const doc = new Doc()
  const desk = {
    reader: () => restrict(doc, READER),
    editor: () => restrict(doc, EDITOR),
    back: (view: unknown) => [view === restrict(doc, READER), view === doc, unrestricted(view) === doc]
  }
  return overMemoryAndSocket(
    t,
    () => desk,
    async ({ root }, t) => {
      const [reader, editor] = await Promise.all([root.reader(), root.editor()])
      t.equal(await editor.text, 'draft')
      await Netref.set(editor, 'text', 'final')
      t.equal(await reader.text, 'final', 'a getter with a private field runs on the original')
      t.equal(await reader.length(), 5, 'and so does a method')
      await notExposed(t, Netref.set(reader, 'text', 'x'), 'a reader may not write')
      await notExposed(t, Netref.set(editor, 'title', 'x'), 'nor an editor what is not listed')
      await notExposed(t, Netref.delete(editor, 'title'))
      await notExposed(t, reader.append('x'))
      await notExposed(t, editor.length())
      t.same((await Netref.keys(reader)).sort(), ['length', 'text', 'title'])
      t.same(await Netref.obtain(reader), { text: 'final', title: 'Notes' })
      t.equal(await root.reader(), reader, 'the same rights are the same netref')
      t.not(reader, editor)
      t.same(await root.back(reader), [true, false, true], 'it comes back as the stand-in')
      const lengthOf = await reader.length
      t.equal(await lengthOf(), 5, 'a method by reference runs on the original, too')
      await Netref.set(editor, 'text', 'draft')
      for (const ref of [reader, editor, lengthOf]) Netref.release(ref)
    }
  )
})

t.test('a method that returns its object returns the stand-in', t => {
  const doc = new Doc()
  return overMemory(t, { editor: () => restrict(doc, EDITOR) }, async ({ root }) => {
    const editor = (await (root as Untyped).editor()) as Untyped
    for (const same of [await editor.append('!'), await editor.appendLater('!'), await editor.parent])
      t.equal(same, editor)
    await notExposed(t, editor.append('').length())
  })
})

t.test('a promise of the object is one of the stand-in', t => {
  class Lazy {
    secret = 1
    get ready() {
      return Promise.resolve(this)
    }
    get failing() {
      return Promise.reject(new Error('not ready'))
    }
    /** A thenable that is no Promise, as query builders are. */
    query = () => ({ then: (onValue: (value: unknown) => void) => onValue(this) })
    other = () => Promise.resolve(7)
    /** A thenable by reference stays what it is. */
    exposedQuery = expose({ then: (onValue: (value: unknown) => void) => onValue(3), limit: () => 5 })
  }
  const read = ['ready', 'failing', 'query', 'other', 'exposedQuery']
  const view = restrict<object, never>(new Lazy(), { read: read as never[] })
  return overMemory(t, { view: () => view }, async conn => {
    const root = conn.root as Untyped
    const held = await root.view()
    t.equal(await held.ready, held)
    t.equal(await held.query(), held)
    t.equal(await held.other(), 7)
    t.equal(await held.exposedQuery.limit(), 5)
    t.match(await rejectionOf(held.failing), { message: 'not ready' })
  })
})

t.test('the list hides members that the class exposes, and options add none', t => {
  let wanted = true
  class Account extends Service {
    @exposed balance() {
      return 42
    }
    @exposed close() {}
    @exposed({ if: () => wanted, help: 'Pays' }) pay() {
      return 'paid'
    }
    owner = 'ann'
  }
  class Savings {
    exposed_interest() {
      return 3
    }
    exposed_close() {}
  }
  const account = new Account()
  const savings = new Savings()
  const bank = {
    view: () => restrict(account, { read: ['balance', 'pay'] }),
    all: () => restrict(account, {}),
    locked: () => restrict(account, { read: ['owner'] }),
    savings: () => restrict(savings, { read: ['interest'] })
  }
  const serving = { allowPublicAttrs: true, allowSetAttrs: true, allowDeleteAttrs: true }
  return overMemory(
    t,
    bank,
    async ({ root }) => {
      const { view, all, locked } = {
        view: (await root.view()) as Untyped,
        all: (await root.all()) as Untyped,
        locked: (await root.locked()) as Untyped
      }
      t.equal(await view.balance(), 42)
      t.equal(await view.pay(), 'paid')
      wanted = false
      await notExposed(t, view.pay(), 'a condition of the class holds')
      wanted = true
      await notExposed(t, view.close())
      await notExposed(t, view.owner)
      await notExposed(t, view.onConnect())
      await notExposed(t, Netref.set(locked, 'owner', 'bob'), '`allowSetAttrs` does not widen it')
      await notExposed(t, Netref.delete(locked, 'owner'))
      t.same((await Netref.describe(view)).find(({ name }) => name === 'pay')?.help, 'Pays')
      t.same((await Netref.keys(all)).sort(), ['balance', 'close', 'owner', 'pay'], 'without a list: all')
      t.equal(await all.owner, 'ann')
      const interest = (await root.savings()) as Untyped
      t.equal(await interest.interest(), 3, 'the name is that of the peer, without the prefix')
      await notExposed(t, interest.close())
    },
    { serving }
  )
})

t.test('collections, bytes and records by reference', t => {
  const map = new Map([['a', 1]])
  const list = [1, 2, 3]
  const record = {
    n: 1,
    double() {
      return this.n * 2
    }
  }
  class Shape {
    static Kind = class {
      name = 'kind'
    }
    Kind = Shape.Kind
  }
  const shape = new Shape()
  const service = {
    map: () => restrict(map, { read: ['get', 'has', 'size'] }),
    wholeMap: () => restrict(map, {}),
    list: () => restrict(list, {}),
    bytes: () => restrict(new Uint8Array(8), { read: ['length', 'subarray'] }),
    record: () => restrict(record, { read: ['double'] }),
    shape: () => restrict(shape, { read: ['Kind'] })
  }
  return overMemory(t, service, async ({ root: typed }) => {
    const root = typed as Untyped
    const view = await root.map()
    t.equal(await view.get('a'), 1)
    t.equal(await view.size, 1)
    await notExposed(t, view.set('a', 2))
    t.same(await Netref.obtain(view), { size: 1 }, 'a list of names gives a record')
    t.same(await Netref.obtain(await root.wholeMap()), new Map([['a', 1]]))
    const items: number[] = []
    for await (const item of await root.list()) items.push(item)
    t.same(items, [1, 2, 3])
    t.same(await Netref.obtain(await root.list()), [1, 2, 3])
    await notExposed(t, Netref.set(await root.list(), '0', 9))
    t.equal(await (await root.bytes()).length, 8)
    t.same((await Netref.keys(await root.bytes())).sort(), ['length', 'subarray'])
    t.equal(await root.record().double(), 2)
    await notExposed(t, root.record().n)
    t.equal(String(await new (await root.shape()).Kind()).replace(/#.*/, ''), '[Netref Kind')
  })
})

t.test('on its own side a stand-in is like the object', async t => {
  const doc = new Doc()
  const view = restrict(doc, READER) as unknown as Doc
  t.not(view, doc)
  t.equal(unrestricted(view), doc)
  t.equal(unrestricted(doc), doc, 'any other value is returned unchanged')
  for (const value of [null, undefined, 5, 'text', t.ok]) t.equal(unrestricted(value), value)
  t.equal(view.append('!').length(), 6, 'methods and private fields work, without restriction')
  view.text = 'new'
  t.equal(doc.text, 'new')
  t.ok(view instanceof Doc)
  t.equal(view.constructor, Doc)
  t.equal(view.append, view.append)
  t.equal(restrict(new Map([[1, 2]]), {}).get(1), 2)
  t.equal(restrict(Object.freeze({ f: () => 'constant' }), {}).f(), 'constant')
  t.same(JSON.stringify(restrict([1, 2], {})), '[1,2]')
})

t.test('the same object and rights are the same stand-in', async t => {
  const doc = new Doc()
  t.equal(
    restrict(doc, { read: ['text', 'title'] }),
    restrict(doc, { read: new Set(['title', 'text'] as const) })
  )
  t.not(restrict(doc, { read: ['text'] }), restrict(doc, { read: ['title'] }))
  t.not(restrict(doc, { read: ['text'] }), restrict(doc, { read: ['text'], write: ['text'] }))
  t.not(restrict(doc, { read: [] }), restrict(doc, {}))
  t.equal(restrict(doc, {}), restrict(doc, { read: undefined, write: [] }))
  t.not(restrict(doc, {}), restrict(new Doc(), {}))
})

t.test('a stand-in may be lent, be a root, and belong to one session of several', async t => {
  const doc = new Doc()
  await overMemory(t, restrict(doc, { read: ['length'] }), async ({ root }) => {
    t.equal(await root.length(), doc.length())
    await notExposed(t, (root as Untyped).title)
  })
  const use = { lengthOf: (view: Untyped) => view.length(), titleOf: (view: Untyped) => view.title }
  await overMemory(t, use, async ({ root }) => {
    const view = restrict(doc, { read: ['length'] })
    t.equal(await root.lengthOf(Netref.lend(view)), doc.length())
    await notExposed(t, root.titleOf(view))
  })
  const desk = { doc: () => restrict(doc, callSession().identity === 'editor' ? EDITOR : READER) }
  await using first = pair(desk, { identity: 'editor' })
  await using second = pair(desk)
  await Netref.set((await first.root.doc()) as Untyped, 'text', 'by the editor')
  t.equal(await ((await second.root.doc()) as Untyped).text, 'by the editor')
  await notExposed(t, Netref.set((await second.root.doc()) as Untyped, 'text', 'x'))
  await assertClean(t, first.session, first.served, second.session, second.served)
})

t.test('help texts of expose() hold for a stand-in, too', t => {
  const clock = expose({ now: () => 1, stop() {} }, { help: { now: 'The time' } })
  return overMemory(t, { clock: () => restrict(clock, { read: ['now'] }) }, async ({ root }) => {
    const [member, ...others] = await Netref.describe((await root.clock()) as Untyped)
    t.match(member, { name: 'now', help: 'The time' })
    t.same(others, [])
  })
})

t.test('what cannot be restricted is refused', async t => {
  const doc = new Doc()
  const view = restrict(doc, READER)
  const untyped = restrict as Untyped
  const refused = (message: string | RegExp, ...args: unknown[]) =>
    t.throws(() => untyped(...args), { name: 'TypeError', message })
  refused('restrict: 5 is not an object', 5, {})
  refused('restrict: null is not an object', null, {})
  refused(/^restrict: a function has no rights to take away/, () => {}, {})
  refused(/^restrict: Doc \{…\} is restricted already; restrict the original/, view, { read: [] })
  refused("restrict: `read` must be a list of names, such as ['text']", doc, { read: 'text' })
  refused(/there is no option `raed`/, doc, { raed: [] })
  t.throws(() => expose(view), { message: 'expose: the object is restricted; expose its original' })
  await overMemory(t, { give: () => expose({}) }, async ({ root }) => {
    const remote = await root.give()
    refused(/is remote; restrict it on the side that owns it$/, remote, {})
    t.match(await rejectionOf(root.give().then(() => Promise.reject(new Error('reached')))), {
      message: 'reached'
    })
  })
})
