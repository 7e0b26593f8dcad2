// Specs of the remedy that an error names for an object of a platform or a library: it is the owner's.
import { EventEmitter } from 'node:events'
import { open } from 'node:fs/promises'
import readline from 'node:readline'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { expose, pair, restrict } from '../../lib/index.js'
import { overMemory, rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

class Counter {
  count = 0
  increment() {}
}
const lines = () => readline.createInterface({ input: new PassThrough() })

/** Uses an object of the peer, as programs do that have it at home. */
const user = {
  on: (emitter: Untyped) => emitter.on('tick', () => {}),
  lines: async (source: Untyped) => {
    for await (const line of source) return line
  },
  read: (file: Untyped) => file.readFile(),
  listen: (target: Untyped) => target.addEventListener('tick', () => {}),
  increment: (counter: Untyped) => counter.increment(),
  other: (object: Untyped) => object.other(),
  hidden: (object: Untyped) => object._hidden
}
const ownerMust = (type: string) =>
  `: the side that owns the ${type} must expose() it, or expose the member in its class`

t.test('the side that owns an object must expose it', async t => {
  const file = await open(fileURLToPath(import.meta.url))
  t.teardown(() => file.close())
  const cases = [
    ['on', new EventEmitter(), `"on" is not exposed, or does not exist${ownerMust('EventEmitter')}`],
    ['read', file, `"readFile" is not exposed, or does not exist${ownerMust('FileHandle')}`],
    ['listen', new EventTarget(), ownerMust('EventTarget')],
    ['increment', new Counter(), ownerMust('Counter')],
    [
      'lines',
      lines(),
      ': its owner must send an iterator of it, expose it in its class, or list it in expose(…, { read })'
    ],
    [
      'lines',
      expose(lines()),
      ': its owner must send an iterator of it, expose it in its class, or list it in expose(…, { read })'
    ],
    ['other', expose(new Counter()), ': the Counter has no such public member; check the name'],
    ['other', expose(new Counter(), { read: ['count'] }), ': its owner must list it in `read` of expose()'],
    [
      'other',
      restrict(new Counter(), { read: ['count'] }),
      ': its owner must list it in `read` of restrict()'
    ],
    [
      'hidden',
      new Counter(),
      ': its owner must expose it in its class, prefix it with exposed_, or list it in expose(…, { read })'
    ]
  ] as const
  for (const [use, object, message] of cases) {
    await using joined = pair(user)
    const error = await rejectionOf((joined.root as Untyped)[use](object))
    t.equal(error.name, 'ExposureError')
    t.ok(error.message.endsWith(message) || error.message.includes(message), `${use}: ${error.message}`)
  }
})

t.test('that side can do so', t =>
  overMemory(t, user, async ({ root }) => {
    const source = new PassThrough()
    const iterator = readline.createInterface({ input: source })[Symbol.asyncIterator]()
    source.end('one\n')
    t.equal(await (root as Untyped).lines(iterator), 'one')
    const emitter = expose(new EventEmitter())
    t.equal(await (root as Untyped).on(emitter), emitter)
    t.equal(emitter.listenerCount('tick'), 1)
    emitter.removeAllListeners()
  })
)
