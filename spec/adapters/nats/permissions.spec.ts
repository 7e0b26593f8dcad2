// Tests the configuration of the guide's page on the security of NATS: what it lists suffices, nothing of it is too much, and
// other users can neither read nor disturb a session.
import { connect as connectToNats } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { Kind } from '../../../lib/adapters/nats/sessions/wire.js'
import { nats } from '../../../lib/adapters/nats.js'
import { type Connection, connect, Netref, Service, serve } from '../../../lib/index.js'
import { read } from '../../support/documentation.js'
import { implOf, rejectionOf, waitUntil } from '../../support/helpers.js'
import { rawMessage } from '../../support/nats-raw-peer.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'
import { endClean } from '../../support/nats-sessions.js'

const skip = skipWithoutNats
const [CONFIG, JETSTREAM_CONFIG] = [
  ...read('demos/guide/nats-security.md').matchAll(/```conf\n(.*?)```/gs)
].map(([, text]) => text)
const PASSWORDS = {
  INSTANCE_PASSWORD: 'a',
  CLIENT_PASSWORD: 'b',
  OTHER_PASSWORD: 'c',
  PRODUCER_PASSWORD: 'd',
  WORKER_PASSWORD: 'e'
}
Object.assign(process.env, PASSWORDS)

class LineCounter {
  count = (text: string) => text.split('\n').length
  tell = async (listener: Netref<(n: number) => number>) => (await listener(1)) + (await listener(2))
}

/** Starts NATS with a configuration, and creates the bus of each user. */
async function start(t: Test, config: string) {
  const natsServer = await startNatsServer(t, { config, jetstream: false })
  const errors: string[] = []
  let onRefusal!: () => void
  const refused = new Promise<void>(resolve => (onRefusal = resolve))
  const busOf = (user: string, pass: string) => {
    const bus = nats(
      { servers: natsServer.url, user, pass, inboxPrefix: `_INBOX.${user}` },
      {
        onError(error) {
          errors.push(`${user}: ${(error as Error).message}`)
          onRefusal()
        }
      }
    )
    t.teardown(() => bus.close())
    return bus
  }
  return { natsServer, errors, refused, instance: busOf('instance', 'a'), client: busOf('client', 'b') }
}

/** Uses all that sessions and `bus.find` have. Resolves with what was refused. */
async function useAll(t: Test, config: string): Promise<string[]> {
  const { natsServer, errors, refused, instance, client } = await start(t, config)
  const failures: string[] = []
  /** Until the first refusal: what is refused may never be answered. */
  const attempt = (work: () => Promise<void>) =>
    Promise.race([work().catch(error => void failures.push(String(error))), refused])
  await attempt(async () => {
    const server = await serve(new LineCounter(), {
      allowPublicAttrs: true,
      endpoint: instance.service('LineCounter')
    })
    const open = (choice: object) =>
      connect<LineCounter>(client.service('LineCounter', choice), { handshakeTimeout: 1000 })
    const [id] = [server.url.split('/')[1]!]
    const use = async (conn: Connection<LineCounter>) => {
      if ((await conn.root.count('a\nb'.repeat(100_000))) !== 100_001) failures.push('it miscounts')
      if ((await conn.root.tell(n => n * 2)) !== 6) failures.push('it tells wrong')
    }
    const conn = open({})
    await attempt(() => use(conn))
    await attempt(() => use(open({ instance: id })))
    await attempt(async () => {
      for await (const found of client.find('LineCounter')) if (found.id === id) return
      throw new Error('not found by name')
    })
    await attempt(async () => {
      for await (const found of client.find()) if (found.id === id) return
      throw new Error('not found')
    })
    if (failures.length + errors.length === 0) {
      await natsServer.restart()
      await attempt(() => use(conn))
    }
    await conn.close()
    await server.close()
  })
  return [...errors, ...failures]
}

t.test('the permissions in the guide suffice', { skip }, async t => {
  t.same(await useAll(t, CONFIG!), [])
})

t.test('each of them is needed', { skip }, async t => {
  const [users] = CONFIG!.split('user: other')
  const permissions = [...users!.matchAll(/^ *("[^"]+").*$/gm)]
  t.equal(permissions.length, 13)
  await Promise.all(
    permissions.map(async ([line, subject], i) => {
      const { index } = permissions[i]!
      const config = `${CONFIG!.slice(0, index)}"unused"${CONFIG!.slice(index + line.length)}`
      const refused = await useAll(t, config)
      t.ok(refused.length > 0, `without ${subject}: ${refused[0]}`)
    })
  )
})

t.test('a program that lacks a permission is told', { skip }, async t => {
  const { natsServer, instance, client } = await start(t, CONFIG!)
  t.match(await rejectionOf(serve({}, { endpoint: instance.service('Other') })), {
    code: 'unauthorized',
    message:
      /^serve: NATS allows no instance of Other: Permissions Violation for Subscription to "netref\.svc\.Other/
  })
  t.match(await rejectionOf(connect<LineCounter>(client.service('Other')).root.count('')), {
    code: 'unauthorized',
    message: /: cannot reach Other: Permissions Violation for Publish to "netref\.svc\.Other"$/
  })
  await using wrong = nats(
    { servers: natsServer.url, user: 'client', pass: 'b', inboxPrefix: '_INBOX.wrong' },
    { onError: () => {} }
  )
  t.match(await rejectionOf(connect<LineCounter>(wrong.service('LineCounter')).root.count('')), {
    code: 'unauthorized',
    message: /Permissions Violation for Subscription to "_INBOX\.wrong\.netref\./
  })
  await using stranger = nats({ servers: natsServer.url, user: 'client', pass: 'wrong' })
  t.match(await rejectionOf(connect<LineCounter>(stranger.service('LineCounter')).root.count('')), {
    code: 'unauthorized',
    message: /cannot reach NATS at nats:\/\/127\.0\.0\.1:\d+: .*[Aa]uthorization/
  })
})

t.test('another user can neither read nor disturb', { skip }, async t => {
  const { natsServer, errors, instance, client } = await start(t, CONFIG!)
  const server = await serve(new LineCounter(), {
    allowPublicAttrs: true,
    endpoint: instance.service('LineCounter')
  })
  const conn = connect<LineCounter>(client.service('LineCounter'))
  await conn.root.count('a')
  let interruptions = 0
  conn.on('interrupted', () => interruptions++)
  const transport = (implOf(conn.session).link as unknown as { transport: { subject: string; to: string } })
    .transport
  t.match([transport.subject, transport.to], [/^_INBOX\.client\.netref\./, /^_INBOX\.instance\.netref\./])

  const other = await connectToNats({ servers: natsServer.url, user: 'other', pass: 'c' })
  t.teardown(() => other.close())
  const refusals: string[] = []
  void (async () => {
    for await (const status of other.status())
      if (status.type === 'error') refusals.push(status.error.message)
  })()
  let read = 0
  const subjects = [transport.subject, transport.to, 'netref.svc.LineCounter']
  const patterns = [
    '>',
    '*.>',
    'netref.>',
    '_INBOX.>',
    '_INBOX.client.>',
    '_INBOX.*.netref.>',
    '$SRV.>',
    ...subjects
  ]
  for (const subject of patterns)
    other.subscribe(subject, { callback: (_, message) => void (message?.subject && read++) })
  for (const subject of [...subjects, '$SRV.STATS', '$SRV.STATS.LineCounter'])
    other.publish(subject, rawMessage(Kind.lost, 0), { reply: transport.to })
  await other.flush()
  t.equal(await conn.root.count('a\nb'), 2)
  await waitUntil(() => refusals.length === patterns.length + 5)
  t.same([read, interruptions, errors], [0, 0, []])
  await endClean(t, conn, server)
})

class Mailer extends Service {
  readonly sent: string[] = []
  exposed_send(to: string) {
    this.sent.push(to)
  }
  exposed_fail() {
    throw new Error('no such address')
  }
}

t.test('the permissions for topics and queues suffice', { skip }, async t => {
  const natsServer = await startNatsServer(t, { config: JETSTREAM_CONFIG! })
  const errors: string[] = []
  const busOf = (user: string, pass: string) => {
    const bus = nats(
      { servers: natsServer.url, user, pass, inboxPrefix: `_INBOX.${user}` },
      { onError: error => errors.push(`${user}: ${(error as Error).message}`) }
    )
    t.teardown(() => bus.close())
    return bus
  }
  const [producer, worker] = [busOf('producer', 'd'), busOf('worker', 'e')]
  for (const [name, options] of [
    ['prices', {}],
    ['rates', { keep: true }]
  ] as const) {
    const values = await worker.topic<number>(name, options).subscribe()
    await producer.topic<number>(name, options).publish(41)
    t.equal((await values.next()).value, 41, name)
    await values.return()
  }
  const late = await worker.topic<number>('rates', { keep: true }).subscribe()
  t.equal((await late.next()).value, 41, 'the kept value')
  await late.return()

  const mail = producer.queue<Mailer>('mail')
  await Netref.with(mail.call.send, { idempotencyKey: 'order 7' })('ada')
  await mail.call.send('bea')
  await mail.call.fail()
  const mailer = new Mailer()
  const running = await worker.queue<Mailer>('mail').work(() => mailer, { attempts: 1 })
  await waitUntil(() => mailer.sent.length === 2)
  await running.close({ drain: 5000 })
  t.same(mailer.sent, ['ada', 'bea'])
  const dead = worker.queue<Mailer>('mail').deadLetters()
  for await (const letter of dead) await letter.putBack()
  const again = await worker.queue<Mailer>('mail').work(() => mailer, { attempts: 1 })
  await mail.call.send('cleo')
  await waitUntil(() => mailer.sent.length === 3)
  await again.close({ drain: 5000 })
  let letters = 0
  for await (const letter of worker.queue<Mailer>('mail').deadLetters()) {
    t.match(letter.reason, { code: 'failed', message: /no such address/ })
    await letter.remove()
    letters++
  }
  t.equal(letters, 1)
  t.same(errors, [])
})

t.test('a queue, a dead letter and a store that NATS does not allow are told at once', { skip }, async t => {
  const natsServer = await startNatsServer(t, { config: JETSTREAM_CONFIG! })
  const onError = () => {}
  const producer = { servers: natsServer.url, user: 'producer', pass: 'd', inboxPrefix: '_INBOX.producer' }
  await using bus = nats(producer, { onError })
  const refused = (call: string, subject: string) => ({
    name: 'NetrefError',
    code: 'unauthorized',
    message: `${call}: Permissions Violation for Publish to "${subject}"`
  })
  const other = bus.queue<Mailer>('other')
  const create = refused('bus.queue', '$JS.API.STREAM.CREATE.netref_other')
  t.match(await rejectionOf(other.call.send('ada')), create)
  t.match(await rejectionOf(other.work(Mailer)), create)
  const letters = bus.queue<Mailer>('mail').deadLetters()
  const read = refused('bus.queue', '$JS.API.STREAM.MSG.GET.netref-dead_mail')
  t.match(await rejectionOf(letters.next()), read)
  const store = bus.idempotencyStore('shop')
  const bucket = refused('bus.idempotencyStore', '$JS.API.STREAM.CREATE.KV_netref_i_shop')
  t.match(await rejectionOf(Promise.resolve(store.get('a'))), bucket)
  await using unprefixed = nats({ ...producer, inboxPrefix: '_INBOX.wrong' }, { onError })
  t.match(await rejectionOf(unprefixed.queue<Mailer>('mail').call.send('ada')), {
    code: 'unauthorized',
    message: /^bus\.queue: Permissions Violation for Subscription to "_INBOX\.wrong\./
  })
})
