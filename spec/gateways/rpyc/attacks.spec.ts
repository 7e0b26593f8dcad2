// Clients and services that would end the process, stop it, or fill its memory, if RPyC's gateway let them.
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Handler } from '../../../lib/gateways/rpyc/protocol.js'
import { Service } from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { exception, own, packOf, theirs, tuple, value, withPeer } from '../../support/rpyc-peer.js'

/** A value whose parts each contain the next one twice. */
const doubled = (levels: number, combine: (part: unknown) => unknown): unknown => {
  let part: unknown = 1
  for (let i = 0; i < levels; i++) part = combine(part)
  return part
}

class Target extends Service {
  exposed_same = (it: unknown) => it
  exposed_count = (list: readonly unknown[]) => list.length
  exposed_array = () => doubled(40, part => [part, part])
  exposed_set = () => new Set([doubled(40, part => [part, part])])
  exposed_dict = () => doubled(24, part => ({ a: part, b: part }))
  exposed_record = () => ({ map: new Map([['a', new Set([1])]]), bytes: new Uint8Array([2]) })
  exposed_floats = () => new Float32Array([1, 2])
  exposed_failOddly() {
    throw Object.assign(new Error('it failed \ud800'), { name: 'Odd\ud800', texts: [1, ['\ud800']] })
  }
  exposed_failInSet() {
    throw Object.assign(new Error('it failed'), { texts: new Set(['\ud800']) })
  }
  exposed_failDoubled() {
    throw Object.assign(new Error('it failed'), { code: 7, field: doubled(40, part => [part, part]) })
  }
}

t.test('a request has a number: names of members of objects are none', t =>
  withPeer(t, Target, async (peer, root) => {
    for (const name of ['constructor', 'toString', '__proto__'])
      t.match(await rejectionOf(peer.send([name, tuple(theirs(root), value('x'))])), {
        exceptionClass: ['builtins', 'ValueError'],
        exceptionArgs: [/no request of RPyC/]
      })
  })
)

t.test('a list beside an argument that is none is given back', t =>
  withPeer(t, Target, async (peer, root) => {
    for (const answer of [() => tuple(value(1)), () => Promise.reject(exception('ValueError', 'no'))]) {
      const list = peer.object('builtins.list', answer)
      const args = tuple(own(list), theirs(['netref.Netref', 1, 99]))
      const error = await rejectionOf(
        peer.ask(Handler.callAttribute, theirs(root), value('same'), args, value([]))
      )
      t.match(error, { exceptionClass: ['builtins', 'KeyError'] })
    }
    await waitUntil(() => peer.givenBack('builtins.list') === 2)
    t.pass('both lists are given back')
  })
)

t.test('errors whose texts and fields Python cannot read', t =>
  withPeer(t, Target, async (peer, root) => {
    t.match(await rejectionOf(peer.call(root, 'failOddly')), {
      record: [
        ['netref', 'Odd\ufffd'],
        ['it failed \ufffd'],
        [
          ['texts', [1, ['\ufffd']]],
          ['_remote_version', '5.3.0']
        ]
      ]
    })
    t.match(await rejectionOf(peer.call(root, 'failInSet')), { exceptionArgs: [/cannot be sent/] })
    t.match(await rejectionOf(peer.call(root, 'failDoubled')), {
      record: [
        ['builtins', 'Exception'],
        ['it failed'],
        [
          ['code', 7],
          ['_remote_version', '5.3.0']
        ]
      ]
    })
  })
)

t.test('values that contain one part many times', t =>
  withPeer(t, Target, async (peer, root) => {
    t.match(await rejectionOf(peer.call(root, 'array')), { exceptionArgs: [/more than 2\d{6} items/] })
    t.match(await rejectionOf(peer.call(root, 'set')), { exceptionArgs: [/more than 2\d{6} items|levels/] })
    t.same(await peer.call(root, 'floats'), value([1, 2]))
    const dict = packOf(await peer.call(root, 'dict'))
    const other = packOf(await peer.call(root, 'dict'))
    const isEqual = await peer.ask(Handler.compare, theirs(dict), theirs(other), value('__eq__'))
    t.same(isEqual, value(false))
    const record = packOf(await peer.call(root, 'record'))
    const equal = packOf(await peer.call(root, 'record'))
    t.same(await peer.ask(Handler.compare, theirs(record), theirs(equal), value('__eq__')), value(true))
    for (const pack of [dict, other, record, equal]) await peer.ask(Handler.delete, theirs(pack), value(1))
  })
)

t.test('a function that JavaScript would call by itself is not copied', t =>
  withPeer(t, Target, async (peer, root) => {
    const then = own(peer.function(() => value(null)))
    const dict = peer.dict([
      [value('then'), then],
      [value('other'), value(1)]
    ])
    const copy = packOf(await peer.call(root, 'same', [own(dict)]))
    t.same(await peer.call(copy, 'keys'), value(['other']))
    await peer.ask(Handler.delete, theirs(copy), value(1))
  })
)

t.test('references of a form that Python has not end the connection', async t => {
  for (const pack of [
    ['x'.repeat(1001), 1, 1],
    ['a', 1, 2n ** 200n],
    ['a', 1.5, 1]
  ] as const)
    await withPeer(t, Target, async (peer, root) => {
      peer.call(root, 'same', [own(pack)]).catch(() => {})
      await waitUntil(() => peer.closedBy !== undefined)
      t.pass(`${String(pack).slice(0, 20)} ends it`)
    })
})

t.test('a count that is none releases nothing', t =>
  withPeer(t, Target, async (peer, root) => {
    for (const count of [Number.NaN, 0.5, -1])
      t.match(await rejectionOf(peer.ask(Handler.delete, theirs(root), value(count))), {
        exceptionClass: ['builtins', 'ValueError']
      })
  })
)

t.test('messages that wait for plain data may not fill the memory', t =>
  withPeer(
    t,
    Target,
    async (peer, root) => {
      peer.hold()
      const list = peer.iterable('builtins.list', [])
      peer.call(root, 'count', [own(list)]).catch(() => {})
      for (let i = 0; i < 40 && !peer.closedBy; i++) {
        peer.call(root, 'same', [value('x'.repeat(100_000))]).catch(() => {})
        await turn()
      }
      await waitUntil(() => peer.closedBy !== undefined)
      t.pass('the connection ends')
    },
    { limits: { bufferedBytes: 1_000_000 } }
  )
)

t.test('plain data may not fill the memory', t =>
  withPeer(
    t,
    Target,
    async (peer, root) => {
      const text = 'x'.repeat(100_000)
      const list = peer.iterable('builtins.list', [value(text)])
      const nested = peer.iterable(
        'builtins.list',
        Array.from({ length: 30 }, () => own(peer.iterable('builtins.list', [value(text)])))
      )
      t.same(await peer.call(root, 'count', [own(list)]), value(1))
      t.match(await rejectionOf(peer.call(root, 'count', [own(nested)])), {
        exceptionArgs: [/limits.frameBytes/]
      })
    },
    { limits: { frameBytes: 1_000_000 } }
  )
)

t.test('classes of any number of objects', t =>
  withPeer(t, Target, async (peer, root) => {
    const objects = Array.from({ length: 1100 }, (_, i) => own(peer.object(`a.Class${i}`, () => tuple())))
    await Promise.all(objects.map(object => peer.call(root, 'same', [object])))
    t.equal(peer.heard.filter(({ handler }) => handler === Handler.inspect).length, 1100)
  })
)
