// Tests references across three parties, by the same assertions over sockets and over a real nats-server: the owner of the
// objects, a middle that has a session with each of the others, and the user.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import {
  type Connection,
  callSignal,
  expose,
  Netref,
  registerError,
  type ServeOptions,
  Service
} from '../../../lib/index.js'
import { assertClean, CHILD_ENV, rejectionOf, waitUntil } from '../../support/helpers.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'
import { type Network, overNats, overSockets } from '../../support/networks.js'

declare const gc: () => void
// biome-ignore lint/suspicious/noExplicitAny: specs of what happens, not of types
type Any = any

class SoldOut extends Error {
  override name = 'SoldOut'
}
registerError(SoldOut, { name: 'SoldOut' })

class Counter {
  count = 0
  exposed_increment() {
    return ++this.count
  }
}

/** The service of the owner. Only the user of the far end calls it, over the middle. */
class Owner extends Service {
  readonly #counter = new Counter()
  readonly written: unknown[] = []
  waiting = 0
  streamEnded = 0
  kept: Any

  exposed_counter = () => this.#counter
  exposed_count = () => this.#counter.count
  exposed_isOwn = (value: unknown) => value === this.#counter
  exposed_echo = (value: unknown) => value
  exposed_keep = (value: unknown) => void (this.kept = value)
  exposed_same = (value: unknown) => value === this.kept
  exposed_callKept = (...args: unknown[]) => this.kept(...args)
  exposed_fail = () => {
    throw Object.assign(new SoldOut('no seats'), { code: 'seats', left: 0 })
  }
  async exposed_callEach(callback: Netref<(n: number) => number>, count: number) {
    const results = await Promise.all(Array.from({ length: count }, (_, n) => callback(n)))
    return results.reduce((sum, n) => sum + n, 0)
  }
  async *exposed_numbers(count: number) {
    try {
      for (let n = 0; n < count; n++) yield n
    } finally {
      this.streamEnded++
    }
  }
  async exposed_sum(numbers: AsyncIterable<number>) {
    let sum = 0
    for await (const n of numbers) sum += n
    return sum
  }
  exposed_bytes = (chunks: number, size: number) =>
    new ReadableStream<Uint8Array>({
      pull: controller => {
        if (chunks-- > 0) controller.enqueue(new Uint8Array(size).fill(chunks))
        else controller.close()
      }
    })
  exposed_sink = () => new WritableStream<unknown>({ write: chunk => void this.written.push(chunk) })
  exposed_wait = () =>
    new Promise((_, reject) => {
      const signal = callSignal()
      this.waiting++
      signal.addEventListener('abort', () => {
        this.waiting--
        reject(signal.reason)
      })
    })
  exposed_never = () => new Promise(() => {})
}

/** Runs `use` with the three parties joined, then asserts that all tables of both sessions are empty. */
async function overMiddle(
  t: Test,
  network: Network,
  use: (root: Any, owner: Owner, user: Connection<Any>) => Promise<void>
): Promise<void> {
  const owner = new Owner()
  await using ownerParty = network.party()
  await using ownerServer = await ownerParty.serve('Owner', owner)
  await using middleParty = network.party()
  await using toOwner = middleParty.connect<Owner>('Owner')
  await using middleServer = await middleParty.serve('Middle', {
    owner: () => toOwner.root,
    counter: () => toOwner.root.counter()
  })
  await using userParty = network.party()
  await using user = userParty.connect<Any>('Middle')
  await use(user.root, owner, user)
  owner.kept = undefined
  await waitUntil(() => middleServer.sessions.size === 1 && ownerServer.sessions.size === 1)
  await assertClean(t, user.session, ...middleServer.sessions, toOwner.session, ...ownerServer.sessions)
}

const collectUntil = (isDone: () => boolean) =>
  waitUntil(() => {
    gc()
    return isDone()
  })

/** A process between `Owner` and the user. */
async function startMiddle(t: Test, network: Network, options: ServeOptions): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('../../support/fixtures/middle.ts', import.meta.url))
  const middle = fork(program, [network.address, JSON.stringify(options)], {
    env: CHILD_ENV,
    execArgv: ['--import', 'tsx']
  })
  t.teardown(() => middle.kill('SIGKILL'))
  const [url] = await once(middle, 'message')
  network.found('Middle', url as string)
  return middle
}

async function testReferences(t: Test, network: Network): Promise<void> {
  await t.test('identity: one object is one netref, by whichever way of a session it comes', t =>
    overMiddle(t, network, async (root, owner, user) => {
      const counter = await root.owner().counter()
      t.equal(await root.counter(), counter)
      t.equal(await root.owner().counter(), counter)
      t.equal((await root.owner().echo({ list: [counter] })).list[0], counter, 'within data')
      t.equal(Netref.session(counter), user.session)
      t.equal(await counter.increment(), 1)
      await using party = network.party()
      await using direct = party.connect<Any>('Owner')
      const useDirectly = async () => {
        const ofDirect = await direct.root.counter()
        t.not(ofDirect, counter, 'a session of its own has a netref of its own')
        t.equal(await ofDirect.increment(), 2, 'to the same object')
        t.equal(await root.owner().isOwn(ofDirect), false, 'which stays one through the middle')
        await root.owner().keep(ofDirect)
        t.equal(await owner.kept.increment(), 3, 'and leads back to the object, through all three')
      }
      await useDirectly()
      owner.kept = undefined
      await assertClean(t, direct.session)
    })
  )

  await t.test('homecoming: an object that comes home through the middle is the original', t =>
    overMiddle(t, network, async (root, owner) => {
      const own = expose({ hello: () => 'hello' })
      const callback = () => 'called'
      t.equal(await root.owner().echo(own), own)
      t.equal(await root.owner().echo(callback), callback)
      t.equal((await root.owner().echo(new Map([['own', own]]))).get('own'), own)
      t.equal(await root.owner().isOwn(root.owner().counter()), true, 'a result that is pending')
      await root.owner().keep(own)
      t.equal(await root.owner().same(own), true, 'the owner gets one netref, too')
      t.equal(await owner.kept.hello(), 'hello')
    })
  )

  await t.test('calls, callbacks and errors pass through the middle, in order', t =>
    overMiddle(t, network, async (root, owner) => {
      const counter = await root.counter()
      const counts = await Promise.all(Array.from({ length: 200 }, () => counter.increment()))
      t.same(
        counts,
        counts.map((_, i) => i + 1)
      )
      const heard: number[] = []
      const sum = await root.owner().callEach((n: number) => heard.push(n) && n, 200)
      t.equal(sum, 19_900)
      t.same(
        heard,
        heard.map((_, n) => n)
      )
      await root.owner().keep((text: string) => `heard ${text}`)
      t.equal(await root.owner().callKept('x'), 'heard x', 'a callback outlives its call')
      t.equal(await owner.kept('y'), 'heard y', 'and is called when the owner likes')
      await root.owner().keep(() => Promise.reject(new SoldOut('the callback failed')))
      const failed = await rejectionOf(root.owner().callKept())
      t.ok(failed instanceof SoldOut)
      t.equal(failed.message, 'the callback failed')
      const error = await rejectionOf(root.owner().fail())
      t.ok(error instanceof SoldOut)
      t.match(error, { message: 'no seats', code: 'seats', left: 0 })
      t.match(await rejectionOf(root.owner().missing()), { code: 'not-exposed' })
      t.equal((await root.owner().echo('x'.repeat(3_000_000))).length, 3_000_000)
    })
  )

  await t.test('iterators, streams and signals pass through the middle', t =>
    overMiddle(t, network, async (root, owner) => {
      const read: number[] = []
      for await (const n of root.owner().numbers(3000)) read.push(n)
      t.same(
        read,
        read.map((_, n) => n)
      )
      t.equal(read.length, 3000)
      for await (const n of root.owner().numbers(Infinity)) if (n === 10) break
      await waitUntil(() => owner.streamEnded === 2, 'leaving the loop ends the iterator at its owner')
      const own = async function* () {
        for (let n = 0; n < 1000; n++) yield n
      }
      t.equal(await root.owner().sum(own()), 499_500)
      let bytes = 0
      for await (const chunk of await root.owner().bytes(64, 100_000)) bytes += chunk.length
      t.equal(bytes, 6_400_000)
      const writer = (await root.owner().sink()).getWriter()
      for (let n = 0; n < 100; n++) await writer.write(n)
      await writer.close()
      t.same(
        owner.written,
        owner.written.map((_, n) => n)
      )
      t.equal(owner.written.length, 100)
      const stop = new AbortController()
      const waiting = rejectionOf(Netref.with(root.owner().wait, { signal: stop.signal })())
      await waitUntil(() => owner.waiting === 1)
      stop.abort(new Error('changed my mind'))
      t.equal((await waiting).message, 'changed my mind')
      await waitUntil(() => owner.waiting === 0, 'the owner is told')
    })
  )

  await t.test('release: what the user gives back, the middle gives back to the owner', t =>
    overMiddle(t, network, async (root, owner, user) => {
      const counter = await root.counter()
      await root.owner().keep(() => {})
      const isHeld = () => user.stats.exports + user.stats.imports
      t.ok(isHeld() >= 2)
      Netref.release(counter)
      owner.kept = undefined
      await collectUntil(() => user.stats.exports === 0)
      t.match(await rejectionOf(counter.increment()), { name: 'ReleasedError' })
      t.equal(await root.counter().increment(), 1, 'the object lives on at its owner')
    })
  )

  await t.test('a client between two servers gives the object of one to the other', async t => {
    await using ownerParty = network.party()
    await using ownerServer = await ownerParty.serve('Owner', Owner)
    await using userParty = network.party()
    let kept: Any
    const service = {
      use: async (counter: Any) => (kept = await counter).increment(),
      again: () => kept.increment()
    }
    await using userServer = await userParty.serve('User', service)
    await using party = network.party()
    await using toOwner = party.connect<Any>('Owner')
    await using toUser = party.connect<Any>('User')
    t.equal(await toUser.root.use(await toOwner.root.counter()), 1)
    t.equal(await toUser.root.again(), 2, 'also after the call')
    t.equal(await toUser.root.use(toOwner.root.counter()), 3, 'a pending result travels as a promise')
    t.equal(await toOwner.root.count(), 3)
    kept = undefined
    await assertClean(t, toOwner.session, toUser.session, ...ownerServer.sessions, ...userServer.sessions)
  })

  await t.test('the owner goes: the middle and the user are told, and their session goes on', async t => {
    await using middleParty = network.party()
    await using userParty = network.party()
    await using ownerParty = network.party()
    const ownerServer = await ownerParty.serve('Owner', Owner)
    await using toOwner = middleParty.connect<Owner>('Owner')
    const service = { owner: () => toOwner.root, alive: () => true }
    await using middleServer = await middleParty.serve('Middle', service)
    await using user = userParty.connect<Any>('Middle')
    const useIt = async () => {
      const counter = await user.root.owner().counter()
      const pending = rejectionOf(user.root.owner().never())
      await user.ping()
      await ownerServer.close()
      const ended = {
        name: 'SessionEndedError',
        code: 'server-closed',
        message: 'another session of the peer has ended (server-closed)'
      }
      t.match(await pending, { ...ended, mayHaveRun: true })
      t.match(await rejectionOf(counter.increment()), { ...ended, mayHaveRun: false })
      t.match(await rejectionOf(user.root.owner().count()), { ...ended, mayHaveRun: false })
    }
    await useIt()
    t.equal(await user.root.alive(), true)
    await assertClean(t, user.session, ...middleServer.sessions, toOwner.session)
  })

  await t.test('the process in the middle is killed: all calls reject, and the owner forgets it', async t => {
    await using ownerParty = network.party()
    const owner = new Owner()
    // On NATS a party that is gone is known by its subject, and not by its silence.
    const liveness = network.kind === 'NATS' ? {} : { heartbeat: 100 }
    const options = { resumeWindow: 500, ...liveness }
    await using ownerServer = await ownerParty.serve('Owner', owner, options)
    const middle = await startMiddle(t, network, options)
    await using userParty = network.party()
    await using user = userParty.connect<Any>('Middle', liveness)
    const counter = await user.root.owner.counter()
    await user.root.owner.keep(() => 'called')
    t.equal(await counter.increment(), 1)
    const pending = rejectionOf(user.root.owner.never())
    await user.ping()
    const [ofMiddle] = [...ownerServer.sessions]
    middle.kill('SIGKILL')
    const ended = {
      name: 'SessionEndedError',
      code: network.kind === 'NATS' ? 'session-lost' : 'connection-lost'
    }
    const reason =
      network.kind === 'NATS' ? /the instance \S+ of Middle is gone$/ : /cannot reach ws:.* ECONNREFUSED/
    const label = 'root.owner.never(): the session has ended'
    const error = await pending
    t.match(error, { ...ended, mayHaveRun: true })
    t.ok(error.message.startsWith(label))
    t.match(error.message, reason)
    t.match(await rejectionOf(counter.increment()), { ...ended, mayHaveRun: false, message: reason })
    t.match(await user.closed, { code: ended.code, message: reason })
    const message = 'the client did not resume within 500 ms'
    t.match(await ofMiddle!.closed, { code: 'connection-lost', message })
    t.match(await rejectionOf(owner.kept()), { code: 'connection-lost', message: new RegExp(message) })
    await assertClean(t, user.session, ofMiddle!)
  })
}

t.test('over sockets', t => testReferences(t, overSockets()))

t.test('over NATS', { skip: skipWithoutNats }, async t => {
  const { url } = await startNatsServer(t, { jetstream: false })
  await testReferences(t, overNats(url))
})
