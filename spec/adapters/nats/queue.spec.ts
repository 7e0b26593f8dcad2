import { mock } from 'node:test'
import { setTimeout as later, setImmediate as turn } from 'node:timers/promises'
import { DiscardPolicy, jetstream } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import { connect, headers } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { JetStream } from '../../../lib/adapters/nats/jetstream/jetstream.js'
import { digestOf, type JobRecord, JobRecords } from '../../../lib/adapters/nats/queue/job-records.js'
import {
  type Bus,
  type DeadLetter,
  nats,
  type Queue,
  type QueuedMembers,
  type QueueOptions,
  type Worker,
  type WorkOptions
} from '../../../lib/adapters/nats.js'
import { encodeBytes } from '../../../lib/codec/data-bytes.js'
import {
  callSession,
  callSignal,
  exposes,
  Netref,
  NetrefError,
  Service,
  type ServiceSource
} from '../../../lib/index.js'
import { useFakeClock } from '../../support/fake-clock.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { type NatsServer, skipWithoutNats, startNatsServer } from '../../support/nats-server.js'
import { collectGarbage } from '../../support/wire.js'

const options = { skip: skipWithoutNats }
// biome-ignore lint/suspicious/noExplicitAny: specs of what types forbid
type Any = any

interface Mail {
  readonly to: string
}

class Mailer extends Service {
  static {
    exposes(Mailer, {
      send: { schema: z.tuple([z.object({ to: z.string() })]) },
      note: true,
      again: { idempotent: true },
      fail: true,
      wait: true,
      ignore: true,
      leave: true,
      lists: true
    })
  }
  static log: unknown[] = []
  static connected = 0
  static release: (() => void)[] = []

  override onConnect() {
    Mailer.connected++
  }
  send({ to }: Mail) {
    Mailer.log.push(to)
    return () => 'a reference as the result is not sent'
  }
  note(...args: unknown[]) {
    Mailer.log.push([callSession().identity, ...args])
  }
  again(n: number) {
    Mailer.log.push(n)
  }
  async fail(text: string) {
    Mailer.log.push(text)
    throw new RangeError(text)
  }
  async wait(name: string) {
    const signal = callSignal()
    Mailer.log.push(`start ${name}`)
    await new Promise<void>(resolve => {
      Mailer.release.push(resolve)
      signal.addEventListener('abort', () => {
        Mailer.log.push((signal.reason as NetrefError).code)
        resolve()
      })
    })
    Mailer.log.push(`end ${name}`)
  }
  ignore() {
    Mailer.log.push('ignore')
    return new Promise<never>(() => {})
  }
  async leave() {
    await callSession().close()
  }
  lists = { add: (name: string) => void Mailer.log.push(`list ${name}`), hidden: 5 }
  _private() {}
}

t.beforeEach(() => {
  Mailer.log = []
  Mailer.release = []
  Mailer.connected = 0
})

interface Setup {
  readonly server: NatsServer
  readonly bus: Bus
  readonly errors: NetrefError[]
  readonly mail: Queue<Mailer>
  work(options?: WorkOptions, service?: ServiceSource<Mailer>): Promise<Worker>
}

const SHORT: QueueOptions = { ackWait: 400 }

async function start(t: Test, queueOptions: QueueOptions = SHORT): Promise<Setup> {
  const server = await startNatsServer(t)
  const errors: NetrefError[] = []
  const bus = nats(server.url, { onError: error => errors.push(error as NetrefError) })
  t.teardown(() => bus.close())
  const mail = bus.queue<Mailer>('mail', queueOptions)
  const work = async (options: WorkOptions = {}, service: ServiceSource<Mailer> = Mailer) => {
    const worker = await mail.work(service, { backoff: () => 10, ...options })
    t.teardown(() => worker.close({ drain: 0 }))
    return worker
  }
  return { server, bus, errors, mail, work }
}

/** NATS as its own packages see it. */
async function rawAccess(t: Test, { url }: NatsServer) {
  const connection = await connect({ servers: url })
  t.teardown(() => connection.close())
  const client = jetstream(connection)
  return { connection, client, manager: await client.jetstreamManager(), kvm: new Kvm(client) }
}

async function lettersOf(mail: Queue<Mailer>): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const letter of mail.deadLetters()) letters.push(letter)
  return letters
}

async function waitForLetters(mail: Queue<Mailer>, count: number): Promise<DeadLetter[]> {
  for (;;) {
    const letters = await lettersOf(mail)
    if (letters.length >= count) return letters
    await later(10)
  }
}

const under = <F>(fn: F, idempotencyKey: string): F => Netref.with(fn as Any, { idempotencyKey })

const putRecord = (records: KV, key: string, record: JobRecord) =>
  records.put(digestOf(key), JSON.stringify(record))

const running = (run: string, attempts = 1): JobRecord => ({ state: 'running', run, attempts })

t.test('calls are stored, and run once by a worker without a caller', options, async t => {
  const { mail, work, server, errors } = await start(t)
  const { manager } = await rawAccess(t, server)
  t.equal(await mail.call.send({ to: 'ada' }), undefined)
  const send = under(mail.call.send, 'order 7 ä%\n\ud800')
  await Promise.all([send({ to: 'bea' }), send({ to: 'bea' })])
  await mail.call.lists.add('news')
  await mail.call.note(new Map([[1, new Date(0)]]), new Uint8Array([1, 2]), undefined)
  Netref.oneway(mail.call.note as Any)('one way')
  const worker = await work({ concurrency: 3 })
  await waitUntil(() => Mailer.log.length === 5)
  t.same(Mailer.log.slice(0, 2), ['ada', 'bea'])
  const rest = Mailer.log.slice(2)
  t.ok(rest.includes('list news'))
  t.same(
    rest.find(entry => Array.isArray(entry) && entry.length === 4),
    [undefined, new Map([[1, new Date(0)]]), new Uint8Array([1, 2]), undefined]
  )
  await send({ to: 'bea' })
  await waitUntil(() => worker.running === 0)
  t.equal((await manager.streams.info('netref_mail')).state.messages, 0)
  t.equal(Mailer.connected, 1, 'a worker is one session')
  t.equal(Mailer.log.length, 5)
  await worker.close()
  t.same(await lettersOf(mail), [])
  t.same(errors, [])
})

t.test('a bus does not keep queues that nobody uses', options, async t => {
  const { bus } = await start(t)
  const call = async () => {
    const queue = bus.queue<Mailer>('mail', SHORT)
    await queue.call.note(1)
    return new WeakRef(queue.call)
  }
  const queue = await call()
  await collectGarbage(() => queue.deref() === undefined)
  t.equal(queue.deref(), undefined)
})

t.test('a key is stored once, and runs once also after it is stored again', options, async t => {
  const { mail, work, server } = await start(t)
  const { client } = await rawAccess(t, server)
  await using worker = await work()
  await under(mail.call.note, 'key')(1)
  await waitUntil(() => Mailer.log.length === 1)
  // As after the time within which NATS knows the key.
  const stored = headers()
  stored.set('Netref-Path', '["note"]')
  await client.publish('netref.q.mail.job', '[0,[11,1,[2]]]', { headers: stored })
  await waitUntil(() => worker.running === 0)
  const again = headers()
  again.set('Nats-Msg-Id', 'key')
  await client.publish('netref.q.mail.job', 'whatever', { headers: again })
  await mail.call.note('last')
  await waitUntil(() => JSON.stringify(Mailer.log).includes('last'))
  t.equal(Mailer.log.filter(entry => (entry as unknown[])[1] === 1).length, 1)
})

t.test('calls have the types of the service', options, async t => {
  const { mail } = await start(t)
  const stored: Promise<void> = mail.call.send({ to: 'ada' })
  await stored
  await mail.call.lists.add('news')
  // @ts-expect-error: the wrong type
  await mail.call.send(5)
  interface Printer {
    print(page: [name: string, copies: number], at?: Date, ...labels: string[]): void
    watch(onDone: () => void): void
    report(job: { name: string; done: { tell(): void } }): void
  }
  type Calls = QueuedMembers<Printer>
  type Parameters = Calls extends Record<'print', (...args: infer A) => unknown> ? A : never
  const parameters: Parameters = [['a', 1], new Date(), 'x']
  // @ts-expect-error: a tuple stays one
  const swapped: Parameters = [[1, 'a']]
  t.ok([parameters, swapped])
  const untyped = mail as unknown as Queue<Printer>
  // @ts-expect-error: a function is no data
  t.match(await rejectionOf(untyped.call.watch(() => {})), { code: 'unsendable' })
  // @ts-expect-error: nor is an object with one
  t.match(await rejectionOf(untyped.call.report({ name: '', done: { tell() {} } })), { code: 'unsendable' })
  // @ts-expect-error: not exposed
  t.ok(mail.call.onConnect)
  // @ts-expect-error: a service of another kind
  const other = () => mail.work(class Other extends Service {})
  t.type(other, 'function')
})

t.test('what cannot be stored rejects, by its name', options, async t => {
  const { mail, errors } = await start(t)
  const call = mail.call as Any
  t.match(await rejectionOf(call.note({ user: { tag: () => {} } })), {
    code: 'unsendable',
    message: /^mail\.note\({…}\): args\[0\]\.user\.tag is a function/
  })
  t.match(await rejectionOf(call.note(call)), { code: 'unsendable', message: /args\[0\]/ })
  const large = await rejectionOf(mail.call.note(new Uint8Array(1 << 20)))
  t.match(large, { code: 'limit', message: /args takes 1048\d\d\d bytes, and a job has at most 1040384/ })
  t.match(await rejectionOf(call['x'.repeat(1 << 20)]()), { name: 'InvalidArgumentError' })
  t.match(await rejectionOf(call.note), {
    code: 'not-callable',
    message: /^mail\.note: a queue stores calls/
  })
  t.match(await rejectionOf(Netref.describe(call)), { code: 'not-callable' })
  t.match(await rejectionOf((Netref.get(call, Symbol.iterator) as Any)()), { code: 'not-exposed' })
  const aborted = Netref.with(mail.call.note, { signal: AbortSignal.abort(new Error('no')) })
  t.match(await rejectionOf(aborted()), { message: 'no' })
  Netref.release(call)
  await mail.call.note('after all')
  Netref.oneway(call.note)(() => {})
  await waitUntil(() => errors.length === 1)
  t.match(errors, [{ code: 'unsendable' }])
})

t.test('rejected jobs become dead letters at once, failed ones after their attempts', options, async t => {
  const { mail, work } = await start(t)
  const call = mail.call as Any
  await call.missing(1)
  await call.lists.hidden()
  await call.send({ to: 5 })
  await call.note('no code')
  await call.note('coded')
  await call.note('text')
  const deep = [[[[[[[[[['deep']]]]]]]]]]
  await call.note(deep)
  await under(call.fail, 'fails')('always')
  const before = ({ args }: { args: readonly unknown[] }) => {
    if (args[0] === 'no code') throw new Error('who are you?')
    if (args[0] === 'coded') throw new NetrefError('forbidden', 'not you')
    if (args[0] === 'text') throw { reason: 'bad' }
  }
  const failed: string[] = []
  const onCallError = (error: unknown, { call }: { call: string }) => {
    failed.push(`${call}: ${error}`)
    return new Error('hidden')
  }
  await using worker = await work({
    attempts: 3,
    before,
    onCallError: onCallError as Any,
    limits: { depth: 4 }
  })
  const letters = await waitForLetters(mail, 8)
  t.same(
    letters.map(({ path, args, reason, attempts }) => [path, args, reason.code, attempts]),
    [
      [['missing'], [1], 'not-exposed', 0],
      [['lists', 'hidden'], [], 'not-callable', 0],
      [['send'], [{ to: 5 }], 'invalid-arguments', 0],
      [['note'], ['no code'], 'refused', 0],
      [['note'], ['coded'], 'forbidden', 0],
      [['note'], ['text'], 'refused', 0],
      [['note'], [deep], 'limit', 0],
      [['fail'], ['always'], 'failed', 3]
    ]
  )
  t.equal(letters[3]!.reason.message, 'who are you?')
  t.match(letters[5]!.reason.message, /object/i)
  t.match(letters[7]!, { id: 'fails', reason: { message: 'Error: hidden' } })
  t.ok(Math.abs(letters[7]!.time.getTime() - Date.now()) < 60_000)
  t.same(failed, Array(3).fill('root.fail(): RangeError: always'))
  t.same(Mailer.log, ['always', 'always', 'always'])
  await waitUntil(() => worker.running === 0)
})

t.test('dead letters are put back, and removed', options, async t => {
  const { mail, work } = await start(t)
  await using worker = await work({ attempts: 1 })
  await under(mail.call.fail, 'a')('once')
  await mail.call.fail('gone')
  const [once, gone] = await waitForLetters(mail, 2)
  t.same(Object.keys(gone!), ['id', 'reason', 'attempts', 'time', 'path', 'args'], 'a log shows these')
  await gone!.remove()
  await gone!.remove()
  t.equal((await lettersOf(mail)).length, 1)
  await once!.putBack()
  await once!.putBack()
  const [back] = await waitForLetters(mail, 1)
  t.match(back, { id: /^a\/\d+$/, reason: { code: 'failed' }, attempts: 1, args: ['once'] })
  t.same(Mailer.log, ['once', 'gone', 'once'])
  await waitUntil(() => worker.running === 0)
  await under(mail.call.fail, 'a')('once')
  t.equal(Mailer.log.length, 3, 'the key is still known')
})

t.test('what no queue has stored becomes a dead letter, and a strange letter is shown', options, async t => {
  const { mail, work, server } = await start(t)
  const { client, manager } = await rawAccess(t, server)
  await mail.call.note(1)
  await using worker = await work()
  await client.publish('netref.q.mail.job', 'garbage')
  const strange = headers()
  strange.set('Nats-Msg-Id', '%zz')
  strange.set('Netref-Path', '{}')
  await client.publish('netref.q.mail.job', '[0,[11,1,[]]]', { headers: strange })
  await client.publish('netref.q.mail.job', encodeBytes('spec', 'args', [1]))
  const letters = await waitForLetters(mail, 3)
  t.match(
    letters.map(({ id, path, args, reason }) => ({ id, path, args, code: reason.code })),
    [
      { id: /^message-\d$/, path: undefined, args: undefined, code: 'unreadable' },
      { id: '%zz', path: undefined, args: undefined, code: 'unreadable' },
      { id: /^message-\d$/, path: undefined, args: undefined, code: 'unreadable' }
    ]
  )
  await client.publish('netref.q.mail.dead.strange', 'garbage')
  for (const header of ['null', '{"id":"1","attempts":1}', '{"id":"1","attempts":"1","reason":{}}']) {
    const forged = headers()
    forged.set('Netref-Dead-Letter', header)
    await client.publish('netref.q.mail.dead.forged', 'garbage', { headers: forged })
    t.match((await lettersOf(mail))[4], { reason: { code: 'unreadable' }, attempts: 0 }, header)
  }
  const strangest = (await lettersOf(mail))[3]!
  t.match(strangest, { reason: { code: 'unreadable' }, attempts: 0 })
  await strangest.remove()
  await manager.streams.delete('netref-dead_mail')
  t.match(await rejectionOf(strangest.remove()), { message: 'stream not found' })
  await waitUntil(() => worker.running === 0)
})

t.test('a job whose worker died runs again only if its method is idempotent', options, async t => {
  const { mail, work, server } = await start(t)
  const { kvm } = await rawAccess(t, server)
  await under(mail.call.note, 'note')('twice?')
  await under(mail.call.again, 'again')(1)
  await under(mail.call.again, 'too often')(2)
  await under(mail.call.note, 'lives')('no')
  await under(mail.call.note, 'ends')('no')
  await under(mail.call.note, 'given up')('no')
  const records = await kvm.open('netref_q_mail')
  for (const key of ['note', 'again', 'lives', 'ends']) await putRecord(records, key, running(key))
  await putRecord(records, digestKey('too often'), running('x', 2))
  const reason = { code: 'failed', message: 'so it was' }
  await putRecord(records, digestKey('given up'), {
    state: 'failed',
    run: 'x',
    attempts: 4,
    reason,
    isFinal: true
  })
  await using worker = await work({ concurrency: 6, attempts: 2 })
  await later(150)
  await putRecord(records, 'ends', { state: 'settled', run: 'ends' })
  await putRecord(records, 'lives', { state: 'running', run: 'lives', attempts: 1, beat: 1 })
  await waitUntil(() => worker.running === 0, 'the slot of a job that another worker runs is free')
  t.notOk(Mailer.log.includes('no'))
  await putRecord(records, 'lives', { state: 'settled', run: 'lives' })
  const letters = await waitForLetters(mail, 3)
  await waitUntil(() => worker.running === 0)
  const codes = new Map(letters.map(({ id, reason, attempts }) => [id, [reason.code, attempts]]))
  t.same(Object.fromEntries(codes), {
    note: ['may-have-run', 1],
    'too often': ['may-have-run', 2],
    'given up': ['failed', 4]
  })
  t.same(Mailer.log, [1])
})

const digestKey = (key: string) => key.replace(' ', '%20')

t.test('a job may have run so long ago that its record has expired', options, async t => {
  const { mail, work } = await start(t, { ackWait: 100, ttl: 200 })
  await mail.call.fail('often')
  await using worker = await work({ attempts: 9, backoff: () => 400 })
  const [letter] = await waitForLetters(mail, 1)
  t.match(letter, { reason: { code: 'may-have-run' } })
  t.same(Mailer.log, ['often'])
  await waitUntil(() => worker.running === 0)
})

t.test('a method may run for longer than ackWait: nobody else runs it', options, async t => {
  const { mail, work, errors } = await start(t, { ackWait: 150 })
  await using first = await work()
  await using second = await work()
  await mail.call.wait('long')
  await waitUntil(() => Mailer.release.length === 1)
  await later(700)
  Mailer.release[0]!()
  await waitUntil(() => first.running + second.running === 0)
  t.same(Mailer.log, ['start long', 'end long'])
  t.same(errors, [])
  t.same(await lettersOf(mail), [])
})

t.test('a worker that counts as dead is told', options, async t => {
  const { mail, work, errors, server } = await start(t, { ackWait: 150 })
  const { kvm } = await rawAccess(t, server)
  await using worker = await work()
  await under(mail.call.wait, 'key')('lost')
  await waitUntil(() => Mailer.release.length === 1)
  await putRecord(await kvm.open('netref_q_mail'), 'key', { state: 'settled', run: 'other' })
  await waitUntil(() => Mailer.log.length === 3)
  t.same(Mailer.log, ['start lost', 'may-have-run', 'end lost'])
  await waitUntil(() => errors.length === 1)
  t.match(errors, [{ code: 'may-have-run', message: /job key: this worker sent no heartbeat/ }])
  await waitUntil(() => worker.running === 0)
})

t.test('two workers that get a job at once: one runs it', options, async t => {
  const { mail, work, server } = await start(t)
  const { kvm } = await rawAccess(t, server)
  await mail.call.note(0)
  await using worker = await work({ concurrency: 8 })
  await waitUntil(() => Mailer.log.length === 1)
  const records = await kvm.open('netref_q_mail')
  // Its record appears between the look and the start: as if another delivery were quicker.
  for (let i = 0; i < 20; i++) {
    const key = `race-${i}`
    await Promise.all([
      under(mail.call.again, key)(i),
      records.create(digestOf(key), JSON.stringify({ state: 'settled', run: 'x' })).catch(() => 0)
    ])
  }
  await waitUntil(() => worker.running === 0)
  t.ok(Mailer.log.length <= 21)
})

t.test('closing takes no more jobs, and waits for those that run', options, async t => {
  const { mail, work } = await start(t)
  const worker = await work({ concurrency: 2 })
  await mail.call.wait('a')
  await mail.call.wait('b')
  await waitUntil(() => Mailer.release.length === 2)
  t.equal(worker.running, 2)
  for (let i = 0; i < 3; i++) await mail.call.note(i)
  const closed = worker.close()
  Mailer.release[0]!()
  await waitUntil(() => Mailer.log.includes('end a'))
  Mailer.release[1]!()
  await closed
  t.same(Mailer.log, ['start a', 'start b', 'end a', 'end b'])
  await using other = await work()
  await waitUntil(() => Mailer.log.length === 7)
  await waitUntil(() => other.running === 0)
  t.same(await lettersOf(mail), [])
})

t.test('jobs that run for longer than drain get a signal', options, async t => {
  const { mail, work } = await start(t)
  const worker = await work()
  await mail.call.wait('a')
  await waitUntil(() => Mailer.release.length === 1)
  await worker.close({ drain: 10 })
  await waitUntil(() => Mailer.log.length === 3)
  t.same(Mailer.log, ['start a', 'closed', 'end a'])
  await waitUntil(() => worker.running === 0)
  t.same(await lettersOf(mail), [], 'it ended in time to say so')
  await t.rejects(worker.close({ drain: -1 }), RangeError)
  await t.rejects(worker.close({ drains: 1 } as Any), TypeError)
})

t.test(
  'a method that does not heed the signal of its closed worker is of a dead worker',
  options,
  async t => {
    const { mail, work } = await start(t)
    const closed = await work()
    await mail.call.ignore()
    await waitUntil(() => Mailer.log.length === 1)
    await closed.close({ drain: 0 })
    await using other = await work()
    const [letter] = await waitForLetters(mail, 1)
    t.equal(letter!.reason.code, 'may-have-run')
    await waitUntil(() => other.running === 0)
  }
)

t.test('a session that ends is followed by another', options, async t => {
  const { mail, work } = await start(t)
  await using worker = await work()
  await mail.call.leave()
  await mail.call.note(1)
  await waitUntil(() => Mailer.log.length === 1 && worker.running === 0)
  t.equal(Mailer.connected, 2)
})

t.test('a worker without a service does not start', options, async t => {
  const { mail, work, errors } = await start(t)
  t.match(await rejectionOf(mail.work(5 as Any)), {
    name: 'TypeError',
    message: /^queue\.work: a service must/
  })
  const broken = () => {
    throw new Error('no database')
  }
  t.match(await rejectionOf(mail.work(broken as Any)), { code: 'service-failed' })
  t.match(errors, [{ message: 'no database' }])
  // The service breaks later: its jobs wait.
  let isBroken = false
  const source = () => {
    if (isBroken) throw new Error('broken')
    return new Mailer()
  }
  await using worker = await work({}, source as Any)
  isBroken = true
  await mail.call.leave()
  await waitUntil(() => worker.running === 0)
  await mail.call.note(1)
  await waitUntil(() => errors.length >= 3)
  t.same(Mailer.log, [])
})

t.test('a full queue, and full dead letters, are told', options, async t => {
  const { mail, work, errors } = await start(t, { ...SHORT, maxJobs: 1 })
  await mail.call.fail('first')
  const full = await rejectionOf(mail.call.note(1))
  t.match(full, { code: 'limit', message: 'mail.note(1): the queue mail is full (maxJobs)' })
  await using worker = await work({ attempts: 1 })
  const [first] = await waitForLetters(mail, 1)
  await waitUntil(() => worker.running === 0)
  await mail.call.fail('second')
  await waitUntil(() => errors.length === 1)
  t.match(errors, [{ code: 'limit', message: /mail has as many dead letters as it may have/ }])
  await waitUntil(() => worker.running === 0)
  t.match(await rejectionOf(first!.putBack()), { code: 'limit', message: /^putBack: the queue mail is full/ })
  t.equal((await lettersOf(mail)).length, 1)
  t.same(Mailer.log, ['first', 'second'])
})

t.test('by default, a job is tried again after a second', options, async t => {
  const { mail } = await start(t)
  await using worker = await mail.work(Mailer, { attempts: 2 })
  const began = Date.now()
  await mail.call.fail('twice')
  await waitForLetters(mail, 1)
  t.ok(Date.now() - began >= 1000)
  t.same(Mailer.log, ['twice', 'twice'])
  await waitUntil(() => worker.running === 0)
})

t.test('a job is kept if `backoff` returns no time, and that is told', options, async t => {
  const { mail, work, server, errors } = await start(t)
  const { manager } = await rawAccess(t, server)
  await using worker = await work({ backoff: () => undefined as never })
  await mail.call.fail('kept')
  await waitUntil(() => errors.length === 1 && worker.running === 0)
  t.match(errors, [{ message: 'queue.work: backoff: undefined is not a time in ms, of less than 25 days' }])
  t.equal((await manager.streams.info('netref_mail')).state.messages, 1)
})

t.test('a settled job that NATS keeps is swept', options, async t => {
  const { mail, work, server } = await start(t)
  const { kvm, manager } = await rawAccess(t, server)
  const first = await work({ attempts: 2, backoff: () => 3_600_000 })
  await under(mail.call.fail, 'kept')('later')
  await waitUntil(() => Mailer.log.length === 1 && first.running === 0)
  await first.close()
  await mail.call.note('not delivered yet')
  await putRecord(await kvm.open('netref_q_mail'), 'kept', { state: 'settled', run: 'x' })
  await using second = await work()
  for (;;) {
    if ((await manager.streams.info('netref_mail')).state.messages === 0) break
    await later(10)
  }
  await waitUntil(() => second.running === 0)
  t.equal(Mailer.log.length, 2)
})

t.test('a full queue loses none of its jobs', options, async t => {
  const { mail, server } = await start(t, { ...SHORT, maxJobs: 20 })
  const { manager } = await rawAccess(t, server)
  const stored = await Promise.allSettled(Array.from({ length: 50 }, (_, i) => mail.call.note(i)))
  t.equal(stored.filter(({ status }) => status === 'fulfilled').length, 20)
  t.match((await manager.streams.info('netref_mail')).state, { messages: 20, first_seq: 1 })
})

t.test('options and names are checked', options, async t => {
  const { bus, mail } = await start(t)
  t.throws(() => bus.queue('a b'), /^bus\.queue: "a b" is no name/)
  t.throws(() => bus.queue('a', { maxJob: 5 } as Any), /no option `maxJob`: did you mean/)
  t.throws(() => bus.queue('a', { maxJobs: 0.5 }), /bus\.queue: maxJobs: 0\.5 is not a positive whole number/)
  t.throws(() => bus.queue('a', { replicas: 0 }), RangeError)
  t.throws(() => bus.queue('a', { ackWait: 5 }), /bus\.queue: ackWait: 5 is less than 100 ms/)
  t.throws(() => bus.queue('a', { ttl: -1 }), RangeError)
  for (const [wrong, text] of [
    [{ concurrency: 0 }, /queue\.work: concurrency: 0 is not/],
    [{ attempts: 1.5 }, /queue\.work: attempts: 1\.5/],
    [{ attempt: 1 }, /no option `attempt`: did you mean/],
    [{ timeout: 5 }, /no option `timeout`/],
    [{ limits: { depth: 0 } }, /limits\.depth/]
  ] as const)
    t.match(await rejectionOf(mail.work(Mailer, wrong as Any)), { message: text })
})

t.test('all who use a queue agree on its options', options, async t => {
  const { bus, mail, server } = await start(t)
  const { manager } = await rawAccess(t, server)
  const others = Array.from({ length: 4 }, () => nats(server.url))
  t.teardown(() => Promise.all(others.map(bus => bus.close())))
  const queues = [mail, ...others.map(bus => bus.queue<Mailer>('mail', SHORT))]
  await Promise.all(queues.map(({ call }) => call.note(1)))
  const refused = (options: QueueOptions) =>
    rejectionOf(bus.queue<Mailer>('mail', { ...SHORT, ...options }).call.note(2))
  t.match(await refused({ maxJobs: 1000 }), {
    code: 'unavailable',
    message: /^bus\.queue: the stream netref_mail exists with maxJobs 100000, not 1000; pass the same options/
  })
  t.match(await refused({ ackWait: 500 }), {
    message: /the consumer of the stream netref_mail exists with ackWait 400, not 500/
  })
  t.match(await refused({ ttl: 5000 }), {
    message: /the bucket netref_q_mail exists with ttl 3600000, not 5000/
  })
  t.match(await rejectionOf(bus.queue<Mailer>('big', { replicas: 3 }).call.note(1)), {
    code: 'unavailable',
    message: /the stream netref_big cannot be created: .*replicas/
  })
  await manager.streams.add({ name: 'taken', subjects: ['netref.q.taken.>'] })
  t.match(await rejectionOf(bus.queue<Mailer>('taken').call.note(1)), {
    code: 'unavailable',
    message: /the stream netref_taken cannot be created: subjects overlap/
  })
  await manager.streams.add({ name: 'netref_other', subjects: ['netref.q.other.job'] })
  t.match(await rejectionOf(bus.queue<Mailer>('other').call.note(1)), {
    code: 'unavailable',
    message: /the stream netref_other exists with maxJobs -1/
  })
  await manager.streams.add({
    name: 'netref_like',
    subjects: ['netref.q.like.job'],
    max_msgs: 100_000,
    discard: DiscardPolicy.New
  })
  t.match(await rejectionOf(bus.queue<Mailer>('like').call.note(1)), {
    code: 'unavailable',
    message: /the stream netref_like cannot be created: stream name already in use/
  })
})

t.test('without NATS, or without JetStream, calls and workers reject', options, async t => {
  const server = await startNatsServer(t, { jetstream: false })
  const bus = nats(server.url)
  const queue = bus.queue<Mailer>('mail')
  t.match(await rejectionOf(queue.call.note(1)), {
    code: 'unavailable',
    message: /NATS has no JetStream; start nats-server with `-js`/
  })
  t.match(await rejectionOf(queue.work(Mailer)), { code: 'unavailable' })
  await bus.close()
  t.match(await rejectionOf(queue.call.note(1)), { code: 'closed' })
  await server.kill()
  await using away = nats(server.url)
  t.match(await rejectionOf(away.queue<Mailer>('mail').call.note(1)), { code: 'unreachable' })
})

t.test('while NATS is away, calls and workers wait', options, async t => {
  const { server, mail, work, bus } = await start(t)
  await using worker = await work()
  await mail.call.note('before')
  await waitUntil(() => Mailer.log.length === 1)
  const lost = new Promise<void>(resolve => bus.connection.events.on('disconnected', resolve as Any))
  await server.kill()
  await lost
  const stored = under(mail.call.note, 'key')('after')
  const impatient = Netref.with(mail.call.note, { timeout: 50 })('never')
  const { name } = await rejectionOf(impatient)
  t.equal(name, 'TimeoutError')
  await server.restart()
  await stored
  await waitUntil(() => Mailer.log.length === 2)
  t.same(Mailer.log[1], [undefined, 'after'])
  await waitUntil(() => worker.running === 0)
})

t.test('the first call of a queue waits for a minute, too, while NATS is away', options, async t => {
  const { server, mail, bus } = await start(t)
  await bus.topic<number>('any').publish(1)
  const lost = new Promise<void>(resolve => bus.connection.events.on('disconnected', resolve as Any))
  await server.kill()
  await lost
  useFakeClock(t, ['setTimeout'])
  const call = rejectionOf(mail.call.note('never'))
  await turn()
  mock.timers.tick(60_000)
  t.match(await call, {
    code: 'unreachable',
    message: 'mail.note("never"): NATS did not confirm within 60000 ms that it is stored: try again'
  })
})

t.test('a worker outlives its consumer, and ends with its bus', options, async t => {
  const { server, mail, work, errors, bus } = await start(t)
  const { manager } = await rawAccess(t, server)
  const worker = await work({ concurrency: 2 })
  await manager.consumers.delete('netref_mail', 'workers')
  bus.connection.events.emit('reconnected', undefined)
  const reported = (text: RegExp) => errors.some(({ message }) => text.test(message))
  await waitUntil(() => reported(/consumer not found/), 'nothing can be swept')
  await mail.call.note(1)
  await waitUntil(() => Mailer.log.length === 1)
  await waitUntil(() => worker.running === 0)
  t.ok(reported(/heartbeats missed|consumer deleted/))
  await bus.close()
  // It asks once more, and learns that the bus is closed.
  await later(500)
  await worker.close()
})

t.test('a bus that is closed while a method runs: its outcome is not known', options, async t => {
  const { mail, work, errors, bus } = await start(t, { ackWait: 150 })
  const worker = await work()
  await mail.call.wait('a')
  await waitUntil(() => Mailer.release.length === 1)
  await bus.close()
  await waitUntil(() => errors.length === 1)
  await later(120)
  t.equal(errors.length, 1, 'the worker does not go on saying that it lives')
  Mailer.release[0]!()
  await waitUntil(() => worker.running === 0)
  t.match(errors, [{ code: 'closed' }, { code: 'closed' }])
  await worker.close()
})

t.test('a worker that is closed at once asks for nothing', options, async t => {
  const { mail } = await start(t)
  const began = Date.now()
  await mail.work(Mailer).then(worker => worker.close())
  t.ok(Date.now() - began < 5000)
})

t.test('a record that is stored, but not confirmed, counts as stored', options, async t => {
  const { mail, bus, server } = await start(t)
  const { kvm } = await rawAccess(t, server)
  await mail.call.note(1)
  const bucket = await kvm.open('netref_q_mail')
  const records = new JobRecords(bucket, new JetStream(bus.connection, 'spec'))
  const record = running('run')
  const revision = await records.replace('digest', record, 0)
  t.equal(await records.replace('digest', record, 0), revision)
  t.equal(await records.replace('digest', running('other'), 0), undefined)
  t.equal(await records.replace('digest', running('other'), revision! + 5), undefined)
  const tiny = new JobRecords(
    await kvm.create('tiny', { max_bytes: 50 }),
    new JetStream(bus.connection, 'spec')
  )
  const large = { ...record, run: 'x'.repeat(100) }
  t.match(await rejectionOf(tiny.replace('digest', large, 0)), { name: 'JetStreamApiError' })
})
