// Tests that one client learns no details of another when the server's call to that one fails.
import { once } from 'node:events'
import { type AddressInfo, createServer, connect as dial } from 'node:net'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import {
  ArgumentsError,
  callSignal,
  connect,
  exposed,
  LimitError,
  Netref,
  Service,
  SessionEndedError,
  type StandardSchema,
  serve
} from '../../lib/index.js'
import { assertClean, breakableAgent, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

const SECRET = 'the-secret'
const TOLD = /the-secret|127\.0\.0\.1|::1|the client at/

/** A schema that rejects every value and quotes it. */
const nothing: StandardSchema<unknown[]> = {
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: args => ({ issues: [{ message: `not ${args}`, path: [0, String(args)] }] })
  }
}

class Person extends Service {
  asked = 0
  hidden() {}
  @exposed later(_: unknown) {
    this.asked++
    return once(callSignal(), 'abort')
  }
  @exposed echo(value: unknown) {
    return { value }
  }
  @exposed(nothing) strict(...args: unknown[]) {
    return args
  }
  /** Fails as the other client's own call does. */
  @exposed relay(to: Untyped) {
    return to.hidden(SECRET)
  }
  @exposed relayLate(to: Untyped) {
    return Netref.with(to.later, { timeout: 1 })(SECRET)
  }
}

/** Ways in which a call of the server to a client fails. */
const WAYS: Record<string, (other: Untyped) => unknown> = {
  refused: other => other.hidden(SECRET),
  'named by it': other => other[SECRET](),
  late: other => Netref.with(other.later, { timeout: 1 })(SECRET),
  unsendable: other => other.echo({ [SECRET]: Symbol(SECRET) }),
  invalid: other => other.strict(SECRET),
  'refused there': other => other.relay(new Person()),
  'late there': other => other.relayLate(new Person()),
  'on an answer': async other => {
    const answer = other.echo(SECRET)
    await answer
    await answer.missing()
  },
  'a change': async other => {
    other.echo(SECRET).name = 1
  },
  'a release': async other => Netref.release(other.echo(SECRET))
}

/** Ways in which the failure reaches the first client. */
const ROUTES: Record<string, (failing: Promise<unknown>, listener: Untyped) => unknown> = {
  thrown: failing => failing,
  'as a cause': failing =>
    failing.catch(cause => {
      throw new Error('it failed', { cause })
    }),
  'among others': failing => Promise.any([failing]),
  'as a result': failing => failing.catch(error => [error]),
  'in a promise': failing => ({ promise: failing }),
  'as an argument': async (failing, listener) => listener(await rejectionOf(failing)),
  'as a reason': async (failing, listener) => {
    const controller = new AbortController()
    const heard = listener(controller.signal)
    controller.abort(await rejectionOf(failing))
    return heard
  }
}

let guest: Untyped
class Hall extends Service {
  @exposed enter(other: unknown) {
    guest = other
  }
  @exposed ask(way: string, route: string, listener: unknown) {
    const failing = Promise.resolve().then(() => WAYS[way]!(guest))
    return ROUTES[route]!(failing, listener)
  }
  @exposed items(way: string) {
    return (async function* () {
      yield await WAYS[way]!(guest)
    })()
  }
  @exposed wait() {
    return guest.later(SECRET)
  }
  @exposed send(length: number) {
    return guest.echo(SECRET + 'x'.repeat(length))
  }
}

/** A connection to a server that records all received bytes. */
async function overhear(to: string) {
  let said = ''
  const proxy = createServer(socket => {
    const onward = dial(Number(new URL(to).port), '127.0.0.1')
    onward.on('data', data => {
      said += data.toString('latin1')
    })
    socket.pipe(onward).pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return {
    url: `ws://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    said: () => said,
    [Symbol.asyncDispose]: async () => void proxy.close()
  }
}

interface Party {
  readonly first: Untyped
  readonly second: Untyped
  readonly person: Person
  /** The session with the first client, at the server. */
  readonly theirs: Untyped
  said(): string
  die(): void
}

/** Two clients of one server: the first has passed an object, and everything the second receives is recorded. */
async function party(t: Test, serving: object, use: (party: Party) => Promise<void>): Promise<void> {
  await using server = await serve(Hall, { port: 0, exposeStacks: true, ...serving })
  await using way = await overhear(server.url)
  const { agent, die } = breakableAgent()
  const person = new Person()
  await using first: Untyped = await connect(server.url, { agent, reconnect: false, exposeStacks: true })
  await first.root.enter(person)
  const [theirs] = server.sessions
  await using second: Untyped = await connect(way.url)
  await use({ first, second, person, theirs, said: way.said, die })
  guest = undefined
  await assertClean(t, first.session, second.session, ...server.sessions)
}

/** Everything that is visible of a result, and of the events beside it. */
async function everything(root: Untyped, way: string, route: string): Promise<string> {
  const received: unknown[] = []
  const listener = async (told: Untyped) => {
    if (told instanceof AbortSignal && !told.aborted) await once(told, 'abort')
    received.push(told instanceof AbortSignal ? told.reason : told)
  }
  const outcome = await root.ask(way, route, listener).catch((error: unknown) => error)
  if (outcome?.promise) received.push(await rejectionOf(outcome.promise))
  return inspect([outcome, received], { depth: null, showHidden: true })
}

t.test('the error of a call to one client discloses nothing to another', t =>
  party(t, {}, async ({ first, second, said }) => {
    for (const way of Object.keys(WAYS)) {
      for (const route of Object.keys(ROUTES)) {
        const outcome = await everything(second.root, way, route)
        t.notMatch(outcome, TOLD, `${way}, ${route}`)
        t.match(
          outcome,
          /a call that the peer made failed \([\w-]+\)/,
          `${way}, ${route}: that it failed is told`
        )
      }
      t.match(
        await rejectionOf((await second.root.items(way)).next()),
        { message: /that the peer made failed/ },
        `${way}: an item`
      )
    }
    t.notMatch(said(), TOLD, 'nothing was sent')
    const invalid = await rejectionOf(second.root.ask('invalid', 'thrown'))
    t.ok(invalid instanceof ArgumentsError)
    t.match(invalid, { code: 'invalid-arguments', issues: [] })
    t.match(await rejectionOf(second.root.ask('late', 'thrown')), { name: 'TimeoutError', code: 23 })
    t.match(
      await everything(first.root, 'refused', 'thrown'),
      SECRET,
      'the called client gets the whole error'
    )
  })
)

t.test('an interrupted or ended client is reported to others as the end of a session only', async t => {
  const serving = { resumeWindow: 60_000, limits: { bufferedBytes: 1000 } }
  await party(t, serving, async ({ second, person, theirs, said, die }) => {
    const waiting = rejectionOf(second.root.wait())
    await waitUntil(() => person.asked === 1)
    die()
    await waitUntil(() => theirs.state === 'interrupted')
    const full = await rejectionOf(second.root.send(2000))
    t.ok(full instanceof LimitError)
    t.match(full, { code: 'limit', message: 'a call that the peer made failed (limit)' })
    void theirs.close()
    const errors = [await waiting, await rejectionOf(second.root.wait())]
    for (const error of errors) {
      t.ok(error instanceof SessionEndedError)
      const message = 'another session of the peer has ended (closed)'
      t.match(error, { code: 'closed', message, reason: { code: 'closed', message } })
    }
    t.same([errors[0]!.mayHaveRun, errors[1]!.mayHaveRun], [true, false])
    t.notMatch(said(), TOLD)
  })
  await party(t, { resumeWindow: 0 }, async ({ second, person, theirs, said, die }) => {
    const waiting = rejectionOf(second.root.wait())
    await waitUntil(() => person.asked === 1)
    die()
    const { code, message } = await theirs.closed
    t.match([code, message], ['connection-lost', TOLD], 'the owner gets the client')
    t.match(await rejectionOf(guest.later(SECRET)), { message: SECRET }, 'and the call')
    t.match(await waiting, { code: 'connection-lost', mayHaveRun: true })
    for (const route of Object.keys(ROUTES))
      t.notMatch(await everything(second.root, 'refused', route), TOLD, route)
    t.notMatch(said(), TOLD)
  })
})
