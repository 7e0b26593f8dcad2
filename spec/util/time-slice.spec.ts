// What takes long to act on is acted on in slices: others have their turn meanwhile, and nothing else changes.

import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { connect, Netref, type PairOptions, pair, Service, type Session, serve } from '../../lib/index.js'
import { MemoryTransport } from '../../lib/transport/memory.js'
import { clock } from '../../lib/util/clock.js'
import { assertClean, implOf, overMemoryAndSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

/** More than one slice of calls that take a ms each. */
const CALLS = 300

class Worker extends Service {
  did: unknown[] = []
  /** What comes of a call back. */
  called: Promise<Error> | undefined
  disconnected: number | undefined
  #settle: ((value: object) => void) | undefined
  exposed_work(i: number) {
    for (const end = performance.now() + 1; performance.now() < end; );
    this.did.push(i)
    return i
  }
  exposed_note(what: string) {
    this.did.push(what)
    return what
  }
  exposed_text(length: number) {
    return 'x'.repeat(length)
  }
  exposed_call(fn: (answer: string) => unknown) {
    this.called = rejectionOf(Promise.resolve(fn('answer')))
  }
  later = () =>
    new Promise<object | string>(resolve => {
      this.#settle = resolve
    })
  exposed_later() {
    return this.later()
  }
  exposed_settle() {
    this.#settle!({ work: (i: number) => this.exposed_work(i) })
  }
  override onDisconnect() {
    this.disconnected = this.did.length
  }
}

const numbers = Array.from({ length: CALLS }, (_, i) => i)

/** A pair over memory: what the client sends waits until it is let go, so that it comes in one go. */
async function holding(options?: PairOptions) {
  const worker = new Worker()
  const conn = pair(worker, options)
  await conn.ping()
  const [ours] = conn.transports
  ours.hold()
  return { worker, conn, root: conn.root as Untyped, ours, [Symbol.asyncDispose]: () => conn.close() }
}

/** Counts turns of the event loop until it is told to stop. */
function turns(): () => number {
  let [count, going] = [0, true]
  void (async () => {
    for (; going; count++) await turn()
  })()
  return () => {
    going = false
    return count
  }
}

t.test('other work runs in between, and the order is kept', async t => {
  const worker = new Worker()
  await overMemoryAndSocket(
    t,
    () => worker,
    async ({ root, clientSession, serverSession }, t) => {
      worker.did = []
      await clientSession.ping()
      const stop = turns()
      const calls = numbers.map(i => root.work(i))
      await waitUntil(() => worker.did.length > 0)
      t.ok(implOf(serverSession).link.receiver.isPostponed, 'nothing more is read meanwhile')
      // Another frame, that came meanwhile.
      const noted = root.note('after')
      t.ok(worker.did.length < CALLS)
      t.same(await Promise.all(calls), numbers)
      t.equal(await noted, 'after')
      t.ok(stop() > 4, 'more than one turn')
      t.same(worker.did, [...numbers, 'after'])
      t.notOk(implOf(serverSession).link.receiver.isPostponed)
    }
  )
})

t.test('a short frame is processed at once', async t => {
  await using held = await holding()
  const { worker, conn, root, ours } = held
  const calls = Array.from({ length: 50 }, (_, i) => root.note(`${i}`))
  await turn()
  ours.letGo(ours.held)
  t.equal(worker.did.length, 50)
  ours.letGo()
  await Promise.all(calls)
  await assertClean(t, conn.session, conn.served)
})

t.test('a long frame is parsed in one turn and processed in later turns', async t => {
  await using held = await holding()
  const { worker, conn, root, ours } = held
  const note = root.note('x'.repeat(4_000_000))
  await waitUntil(() => ours.held === 1)
  // To parse it takes 10 ms and more only on a busy machine: this makes sure.
  const { now } = clock
  let at = 0
  t.intercept(clock, 'now', { value: () => now() + 20 * at++ })
  ours.letGo(1)
  t.equal(worker.did.length, 0)
  t.intercept(clock, 'now', { value: now })
  await waitUntil(() => worker.did.length === 1)
  ours.letGo()
  await note
  await assertClean(t, conn.session, conn.served)
})

t.test('a long reply ends a slice', async t => {
  await using conn = pair(new Worker())
  await conn.ping()
  const root = conn.root as Untyped
  const stop = turns()
  const texts = await Promise.all(Array.from({ length: 10 }, (_, i) => root.text(500_000 + i)))
  t.same(
    texts.map(text => text.length),
    Array.from({ length: 10 }, (_, i) => 500_000 + i)
  )
  t.ok(stop() > 0, 'other work ran in between')
  await assertClean(t, conn.session, conn.served)
})

t.test('messages sent before the other side closed are processed before the session ends', async t => {
  await using held = await holding()
  const { worker, conn, root, ours } = held
  for (const i of numbers) void Netref.oneway(root.work)(i)
  const last = rejectionOf(root.note('last'))
  void conn.close()
  await turn()
  // All of it at once: the end comes in the midst.
  ours.letGo(ours.held)
  t.ok(worker.did.length < CALLS)
  t.equal(conn.served.state, 'open')
  const [other, late] = MemoryTransport.pair()
  late.start({ onOpen() {}, onFrame() {}, onClose: reason => t.match(reason, { code: 'closed' }) })
  implOf(conn.served).link.resume(other, 0)
  t.match(await conn.served.closed, { code: 'closed' })
  t.same(worker.did, [...numbers, 'last'])
  t.equal(worker.disconnected, CALLS + 1, 'the end comes last')
  t.match(await last, { code: 'closed' })
  await assertClean(t, conn.session, conn.served)
})

t.test('replies to a peer that has disconnected meanwhile are not kept', async t => {
  await using held = await holding({ serving: { limits: { bufferedBytes: 1 << 20 } } })
  const { worker, conn, root, ours } = held
  const calls = numbers.flatMap(i => [rejectionOf(root.work(i)), rejectionOf(root.text(10_000))])
  calls.push(rejectionOf(root.call((answer: unknown) => answer)))
  void conn.close()
  await turn()
  ours.letGo(ours.held)
  await waitUntil(() => worker.did.length > CALLS / 2)
  t.ok(conn.served.stats.buffered < 1 << 20)
  t.equal(conn.served.state, 'open')
  t.match(await conn.served.closed, { code: 'closed' })
  t.same(worker.did, numbers, 'more than 1 MiB of replies, and all calls are processed')
  t.match(await worker.called, { code: 'closed', mayHaveRun: false })
  await Promise.all(calls)
  await assertClean(t, conn.session, conn.served)
})

t.test('a session whose peer has disconnected ends after its waiting messages are processed', async t => {
  await using held = await holding()
  const { worker, conn, root, ours } = held
  const calls = numbers.map(i => rejectionOf(root.work(i)))
  void conn.close()
  await turn()
  ours.letGo(ours.held)
  await waitUntil(() => worker.did.length > 0)
  t.equal(conn.served.state, 'open')
  await conn.served.close()
  t.ok(worker.did.length < CALLS)
  await Promise.all(calls)
  await assertClean(t, conn.session, conn.served)
})

t.test('an invalid frame ends the session after earlier frames have been processed', async t => {
  await using held = await holding()
  const { worker, conn, root, ours } = held
  const calls = numbers.map(i => root.work(i))
  await turn()
  ours.send('no frame')
  const late = rejectionOf(root.note('late'))
  await turn()
  ours.letGo(ours.held)
  t.ok(worker.did.length < CALLS)
  t.equal(conn.served.state, 'open')
  t.same(await Promise.all(calls), numbers, 'and answered')
  t.match(await conn.served.closed, { code: 'protocol' })
  t.same(worker.did, numbers, 'later frames are ignored')
  t.equal(worker.disconnected, CALLS)
  t.match(await late, { code: 'protocol' })
  await assertClean(t, conn.session, conn.served)
})

t.test('an invalid frame ends the session at once if the peer does not read', async t => {
  await using held = await holding({ serving: { limits: { bufferedBytes: 1 << 20 } } })
  const { worker, conn, root, ours } = held
  const [, its] = conn.transports
  its.hold()
  const calls = numbers.flatMap(i => [rejectionOf(root.work(i)), rejectionOf(root.text(10_000))])
  await turn()
  ours.send('no frame')
  ours.letGo(ours.held)
  t.equal(conn.served.state, 'open')
  t.match(await conn.served.closed, { code: 'protocol' })
  t.ok(worker.did.length > 0 && worker.did.length < CALLS)
  its.letGo()
  await Promise.all(calls)
  await assertClean(t, conn.session, conn.served)
})

t.test('an invalid frame ends the session even if its transport is lost meanwhile', async t => {
  await using held = await holding()
  const { worker, conn, root, ours } = held
  const [, its] = conn.transports
  const calls = numbers.map(i => rejectionOf(root.work(i)))
  await turn()
  ours.send('no frame')
  ours.letGo(ours.held)
  its.close({ code: 'connection-lost', message: 'it broke' })
  t.match(await conn.served.closed, { code: 'protocol' })
  t.same(worker.did, numbers)
  await Promise.all(calls)
  await assertClean(t, conn.session, conn.served)
})

t.test(
  'a socket that breaks during a frame: all calls run once, and are answered over the next socket',
  async t => {
    const worker = new Worker()
    await overMemoryAndSocket(
      t,
      () => worker,
      async ({ root, clientSession, serverSession, breakTransport }, t) => {
        worker.did = []
        await clientSession.ping()
        // So many that another socket comes before they are done.
        const many = Array.from({ length: 1000 }, (_, i) => i)
        const calls = many.map(i => root.work(i))
        await waitUntil(() => worker.did.length > 0)
        t.ok(implOf(serverSession).link.processedFrames < implOf(serverSession).link.receiver.receivedFrames)
        breakTransport()
        const settled = await Promise.allSettled(calls)
        if (clientSession.state === 'closed') {
          // Over memory there is no other transport.
          t.match(settled.at(-1), { status: 'rejected', reason: { code: 'connection-lost' } })
          await serverSession.closed
          t.same(worker.did, many, 'received messages are processed')
        } else {
          t.same(
            settled.map(({ value }: Untyped) => value),
            many
          )
          t.same(worker.did, many)
          t.equal(clientSession.stats.callsOut, serverSession.stats.callsIn)
        }
      }
    )
  }
)

t.test('close() during a frame ends the session at once', async t => {
  let session: Session | undefined
  const worker = new Worker()
  await overMemoryAndSocket(
    t,
    () => worker,
    async ({ root, clientSession, serverSession }, t) => {
      worker.did = []
      await clientSession.ping()
      session = serverSession
      const calls = numbers.map(i => rejectionOf(root.work(i)))
      await waitUntil(() => worker.did.length > 0)
      t.ok(implOf(session).link.receiver.isPostponed)
      const began = performance.now()
      await session.close()
      t.ok(performance.now() - began < 1500, 'close() does not wait')
      const { length } = worker.did
      t.ok(length < CALLS)
      const errors = await Promise.all(calls)
      t.match(errors.at(-1), { code: 'closed', mayHaveRun: true })
      await turn()
      t.equal(worker.did.length, length, 'the other calls do not run')
      t.match(await clientSession.closed, { code: 'closed' })
    }
  )
})

t.test('a draining server waits for received calls', async t => {
  const server = await serve(Worker, { port: 0 })
  await using conn = connect(server.url)
  await conn.ping()
  const root = conn.root as Untyped
  const [theirs] = server.sessions
  const calls = numbers.map(i => root.work(i))
  await waitUntil(() => implOf(theirs!).link.receiver.isPostponed)
  await Promise.all([server.close({ drain: 10_000 }), conn.closed])
  t.same(await Promise.all(calls), numbers)
  await assertClean(t, conn.session, theirs!)
})

t.test('calls on a pending result run in slices, too, before later calls', async t => {
  const worker = new Worker()
  await overMemoryAndSocket(
    t,
    () => worker,
    async ({ root, clientSession, serverSession }, t) => {
      worker.did = []
      const later = root.later()
      const calls = numbers.map(i => later.work(i))
      await clientSession.ping()
      t.equal(worker.did.length, 0)
      const settled = root.settle()
      await waitUntil(() => worker.did.length > 0)
      const note = root.note('after')
      const more = later.work(CALLS)
      t.ok(worker.did.length < CALLS, 'not all in one turn')
      t.same(await Promise.all(calls), numbers)
      await Promise.all([settled, note, more])
      t.same(worker.did, [...numbers, 'after', CALLS])
      t.equal(serverSession.stats.pending, 0)
      Netref.release((await later).work)
    }
  )
})

t.test('a peer that reads again while the next slice is due', async t => {
  const worker = new Worker()
  await using conn = pair(worker, { serving: { limits: { bufferedBytes: 1 << 20 } } })
  await conn.ping()
  const root = conn.root as Untyped
  const [, its] = conn.transports
  const settle: ((text: string) => void)[] = []
  worker.later = () => new Promise(resolve => settle.push(resolve))
  const texts = [1, 2].map(() => root.later())
  await waitUntil(() => settle.length === 2)
  its.hold()
  const calls = numbers.map(i => root.work(i))
  await waitUntil(() => worker.did.length > 0)
  for (const [i, settled] of settle.entries()) settled('x'.repeat(2_000_000 + i))
  // No more than promises have their turn.
  for (let i = 0; i < 20; i++) await undefined
  its.letGo()
  t.same(await Promise.all(calls), numbers)
  t.same(
    (await Promise.all(texts)).map(text => text.length),
    [2_000_000, 2_000_001]
  )
  await waitUntil(() => !implOf(conn.served).link.receiver.isPostponed)
  await assertClean(t, conn.session, conn.served)
})

t.test('processing waits for a peer that does not read, also during a frame', async t => {
  const worker = new Worker()
  await using conn = pair(worker, { serving: { limits: { bufferedBytes: 1 << 20 } } })
  await conn.ping()
  const root = conn.root as Untyped
  const [, its] = conn.transports
  its.hold()
  const calls = numbers.flatMap(i => [root.work(i), root.text(10_000)])
  await waitUntil(() => its.held > 0 && conn.served.stats.buffered > 1 << 20)
  for (let i = 0; i < 20; i++) await turn()
  t.ok(worker.did.length < CALLS, 'no more messages are processed')
  t.ok(implOf(conn.served).link.receiver.isPostponed)
  its.letGo()
  const replies = await Promise.all(calls)
  t.same(
    replies.filter(reply => typeof reply === 'number'),
    numbers
  )
  t.same(worker.did, numbers)
  await waitUntil(() => !implOf(conn.served).link.receiver.isPostponed)
  await assertClean(t, conn.session, conn.served)
})
