// Received signals: how long they live. (Their reasons: iterators.spec.ts.)
import { addAbortListener, once } from 'node:events'
import { setTimeout as later } from 'node:timers/promises'
import t from 'tap'
import { SessionEndedError } from '../../../lib/index.js'
import { SignalSource } from '../../../lib/remote/streams/signal-source.browser.js'
import { overMemory, overMemoryAndSocket, waitUntil } from '../../support/helpers.js'
import { collectGarbage, type Untyped } from '../../support/wire.js'

t.setTimeout(60_000)

/** Ways to observe an abort, none of which keeps the signal alive. */
const LISTENING: Record<string, (signal: AbortSignal, heard: () => void) => void> = {
  addEventListener: (signal, heard) => signal.addEventListener('abort', heard),
  'a listener that is an object': (signal, heard) => signal.addEventListener('abort', { handleEvent: heard }),
  'a listener for once': (signal, heard) => signal.addEventListener('abort', heard, { once: true }),
  'the method of the prototype': (signal, heard) =>
    EventTarget.prototype.addEventListener.call(signal, 'abort', heard),
  onabort: (signal, heard) => {
    signal.onabort = heard
  },
  'events.once': (signal, heard) => void once(signal, 'abort').then(heard),
  'events.addAbortListener': (signal, heard) => void addAbortListener(signal, heard),
  'a timer of node:timers/promises': (signal, heard) =>
    void later(100_000, undefined, { signal, ref: false }).catch(heard),
  'a stream that is piped': (signal, heard) =>
    void new ReadableStream().pipeTo(new WritableStream(), { signal }).catch(heard),
  'AbortSignal.any': (signal, heard) =>
    AbortSignal.any([new AbortController().signal, signal, signal]).addEventListener('abort', heard),
  'AbortSignal.any of AbortSignal.any': (signal, heard) => {
    AbortSignal.any([AbortSignal.any([signal])]).onabort = heard
  }
}

t.test('a signal that only its listeners hold aborts when its owner aborts it', t => {
  const heard = new Set<string>()
  const listen = (side: string) => (how: string, signal: AbortSignal) =>
    LISTENING[how]!(signal, () => heard.add(`${side}: ${how}`))
  const controllers = new Map(Object.keys(LISTENING).map(how => [how, new AbortController()]))
  return overMemoryAndSocket(
    t,
    () => ({
      listen: listen('there'),
      use: (how: string, take: (how: string, signal: AbortSignal) => unknown) =>
        take(how, controllers.get(how)!.signal)
    }),
    async ({ root, clientSession, serverSession }, t) => {
      for (const how of controllers.keys()) {
        controllers.set(how, new AbortController())
        await root.listen(how, controllers.get(how)!.signal)
        await root.use(how, listen('here'))
      }
      await collectGarbage()
      await collectGarbage()
      for (const controller of controllers.values()) controller.abort()
      await Promise.race([waitUntil(() => heard.size === 2 * controllers.size), later(5000)])
      for (const how of controllers.keys())
        for (const side of ['here', 'there']) t.ok(heard.delete(`${side}: ${how}`), `${side}: ${how}`)
      await collectGarbage(() => clientSession.stats.imports + serverSession.stats.imports === 0)
      t.equal(
        clientSession.stats.exports + serverSession.stats.exports,
        0,
        'the signal is released afterwards'
      )
    }
  )
})

const ignore = () => {}
const handler = { handleEvent: ignore }
/** Ways to stop listening, or never to listen. */
const QUIET: Record<string, (signal: AbortSignal) => void> = {
  'nobody listened': signal => void signal.aborted,
  'a listener was taken off': signal => {
    signal.addEventListener('abort', ignore)
    signal.addEventListener('abort', ignore)
    signal.addEventListener('abort', handler, { capture: true })
    signal.removeEventListener('abort', handler, { capture: true })
    signal.removeEventListener('abort', ignore)
  },
  'one was for once, and an event came': signal => {
    signal.addEventListener('abort', ignore, { once: true })
    signal.dispatchEvent(new Event('abort'))
  },
  'one had a signal of its own': signal => {
    const controller = new AbortController()
    signal.addEventListener('abort', ignore, { signal: controller.signal })
    controller.abort()
  },
  'onabort was cleared': signal => {
    signal.onabort = ignore
    signal.onabort = null
  },
  'another event is listened to': signal => {
    signal.addEventListener('other', ignore)
    signal.addEventListener('other', handler)
    signal.removeEventListener('other', handler)
  },
  'what depends on it is not listened to': signal => void AbortSignal.any([signal]),
  'what depends on it is listened to no longer': signal => {
    const any = AbortSignal.any([signal, new AbortController().signal])
    any.addEventListener('abort', ignore)
    any.removeEventListener('abort', ignore)
  },
  'it is listened to on behalf of what is gone': signal =>
    new EventTarget().addEventListener('abort', ignore, { signal })
}

t.test('a signal without listeners is released, although it may still abort', t => {
  const signals = Object.keys(QUIET).map(how => [how, new AbortController().signal] as const)
  const use = (how: string, signal: AbortSignal) => QUIET[how]!(signal)
  return overMemoryAndSocket(
    t,
    () => ({ use, give: (take: typeof use) => Promise.all(signals.map(given => take(...given))) }),
    async ({ root, clientSession, serverSession }, t) => {
      for (const given of signals) await root.use(...given)
      await root.give(use)
      await Promise.race([
        collectGarbage(() => clientSession.stats.imports + serverSession.stats.imports === 0),
        later(5000)
      ])
      const left = [clientSession, serverSession].flatMap(({ tables }) =>
        tables.exports.map(({ object }) => object)
      )
      t.same(
        signals.filter(([, signal]) => left.includes(signal)).map(([how]) => how),
        []
      )
    }
  )
})

t.test('the end of the session notifies listeners, and releases them', async t => {
  const received: unknown[] = []
  const weak: WeakRef<AbortSignal>[] = []
  const hear = ({ target }: Event) => received.push((target as AbortSignal).reason)
  const tell = (signal: AbortSignal) => {
    weak.push(new WeakRef(signal))
    AbortSignal.any([signal]).addEventListener('abort', hear, { once: true })
    signal.addEventListener('abort', hear)
  }
  const { signal } = new AbortController()
  await overMemoryAndSocket(
    t,
    () => ({ listen: tell }),
    async ({ root, clientSession, serverSession, breakTransport }, t) => {
      received.length = 0
      await root.listen(signal)
      await collectGarbage()
      await collectGarbage()
      breakTransport()
      await Promise.all([clientSession.closed, serverSession.closed])
      await waitUntil(() => received.length === 2)
      t.ok(received.every(reason => reason instanceof SessionEndedError))
    },
    { resumes: false }
  )
  await collectGarbage(() => weak.every(ref => !ref.deref()))
})

t.test('a forwarded signal aborts at the third party, and is released at all parties', async t => {
  const received: unknown[] = []
  const stop = new AbortController()
  await overMemory(
    t,
    {
      listen: (signal: AbortSignal) => signal.addEventListener('abort', ({ type }) => received.push(type)),
      look: (signal: AbortSignal) => signal.aborted
    },
    async far => {
      const near = {
        pass: (how: 'listen' | 'look', signal: AbortSignal) => (far.root as Untyped)[how](signal)
      }
      await overMemory(t, near, async ({ root, session }) => {
        await (root as Untyped).pass('look', stop.signal)
        await collectGarbage(() => far.session.stats.exports + session.stats.exports === 0)
        await (root as Untyped).pass('listen', stop.signal)
        await collectGarbage()
        await collectGarbage()
        stop.abort()
        await waitUntil(() => received.length > 0)
      })
    }
  )
})

t.test('a signal that arrives again while it has listeners is the same', t => {
  const got: WeakRef<AbortSignal>[] = []
  const { signal } = new AbortController()
  return overMemoryAndSocket(
    t,
    () => ({
      listen: (signal: AbortSignal) => {
        got.push(new WeakRef(signal))
        signal.addEventListener('abort', ignore)
      },
      same: (signal: AbortSignal) =>
        signal === got.pop()!.deref() && signal.removeEventListener('abort', ignore)
    }),
    async ({ root }, t) => {
      await root.listen(signal)
      await collectGarbage()
      await collectGarbage()
      t.not(await root.same(signal), false)
    }
  )
})

t.test('the owner keeps no signal that no code can abort; listeners wait for the end of the session', t => {
  const received: unknown[] = []
  const kept: AbortSignal[] = []
  const weak: WeakRef<AbortSignal>[] = []
  const fresh = () => {
    const { signal } = new AbortController()
    weak.push(new WeakRef(signal))
    return signal
  }
  return overMemoryAndSocket(
    t,
    () => ({
      listen: (signal: AbortSignal) => signal.addEventListener('abort', () => received.push(signal.reason)),
      keep: (signal: AbortSignal) => void kept.push(signal),
      back: () => kept.pop()
    }),
    async ({ root, clientSession, serverSession }, t) => {
      received.length = weak.length = kept.length = 0
      await root.listen(fresh())
      await root.keep(fresh())
      await collectGarbage(() => weak.every(ref => !ref.deref()))
      const back = await root.back()
      t.ok(back instanceof AbortSignal && !back.aborted, 'a signal that is sent back then never aborts')
      await collectGarbage(() => clientSession.stats.exports === 1)
      t.same(received, [])
      await clientSession.close()
      await serverSession.closed
      t.match(received, [{ name: 'SessionEndedError' }])
    }
  )
})

t.test('the browser variant, as far as Node can run it', async t => {
  const received: unknown[] = []
  const netrefs: WeakRef<object>[] = []
  const make = () => {
    const netref = {}
    netrefs.push(new WeakRef(netref))
    return new SignalSource(netref)
  }
  const sources = [make(), make()]
  const listen = ({ signal }: SignalSource) =>
    AbortSignal.any([signal]).addEventListener('abort', () => received.push('any'), { once: true })
  listen(sources[0]!)
  const first = new WeakRef(sources[0]!.signal)
  await collectGarbage(() => first.deref() === undefined)
  t.ok(
    netrefs.every(ref => ref.deref()),
    'it may still be notified'
  )
  for (const source of sources) source.abort('why')
  t.same(received, ['any'])
  t.equal(sources[0]!.signal.reason, 'why', 'a signal created again has aborted, too')
  await collectGarbage(() => netrefs.every(ref => !ref.deref()))
  t.equal(sources[0]!.abort('again'), false)

  const [unheard, listened] = [make(), make()]
  unheard.onOwnerCollected()
  listen(unheard)
  listened.onOwnerCollected()
  listened.signal.addEventListener('abort', () => received.push('end'))
  await collectGarbage(() => netrefs.every(ref => !ref.deref()))
  t.equal(unheard.abort('released'), false, 'dependent signals do not abort')
  t.ok(listened.abort('ended'))
  t.same(received, ['any', 'end'])

  const { any } = AbortSignal
  t.teardown(() => Object.assign(AbortSignal, { any }))
  Object.assign(AbortSignal, { any: undefined })
  const source = make()
  source.signal.addEventListener('abort', () => received.push('old'))
  t.equal(source.signal, source.signal)
  source.abort('why')
  t.same(received, ['any', 'end', 'old'], 'an old browser has no AbortSignal.any')
})
