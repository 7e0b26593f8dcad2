// Fuzzes both ends with hostile peers: whatever they send, a session continues or ends with a reason, and nothing else
// happens.
//
// NETREF_FUZZ is the number of inputs, NETREF_FUZZ_SEED the seed. An input is a frame of any size, or an attempt to
// open a socket. NETREF_FUZZ_INPUT is one printed attack, which then runs alone.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import fc, { type Arbitrary } from 'fast-check'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { isReasonCode } from '../../lib/errors.js'
import { connect, pair, type Reason, serve } from '../../lib/index.js'
import { settingsOf } from '../../lib/session/options.js'
import { SessionImpl } from '../../lib/session/session.js'
import { MemoryTransport } from '../../lib/transport/memory.js'
import {
  type Attack,
  attackClient,
  attackOnClient,
  attackOnServer,
  attackServer
} from '../support/attacks.js'
import { FuzzService, prototypes, unchanged } from '../support/fixtures/fuzz-service.js'
import { type FuzzInput, FuzzPeer, input, WELL_FORMED } from '../support/grammar.js'
import { assertClean, rejectionOf } from '../support/helpers.js'
import { type ProcessUsage, TargetProcess } from '../support/target-process.js'
import { collectGarbage, type Untyped } from '../support/wire.js'

const COUNT = Number(process.env.NETREF_FUZZ ?? 4_000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
const ALONE = process.env.NETREF_FUZZ_INPUT
/** Share of the inputs for each target. */
const SHARES = { memory: 0.44, server: 0.25, attacksOnServer: 0.2, client: 0.04, attacksOnClient: 0.07 }
/** Attacks that are known to succeed. */
const OPEN: string[] = []
/** Inputs of one run. Each run begins a session, and another one whenever that has ended. */
const INPUTS = 20
const LIMITS = { jsonBytes: 1 << 20, frameBytes: 1 << 20, depth: 200, values: 1000 }
const HELLO: FuzzInput = { ...WELL_FORMED, messages: [[0, 1, LIMITS]] }

t.setTimeout(60_000 + COUNT * 6)
// The runs mostly wait for each other's answers: three run concurrently.
t.jobs = 3
t.comment(`NETREF_FUZZ=${COUNT} NETREF_FUZZ_SEED=${SEED}`)
const before = prototypes()
const faults: unknown[] = []
process.on('unhandledRejection', fault => faults.push(fault))

interface Script {
  /** Whether it sends the hello first. */
  readonly polite: boolean
  /** Access rules of the other end. */
  readonly rights: number
  /** The fuzzed end: the one that sends first, or the other. */
  readonly initiates: boolean
  readonly inputs: readonly FuzzInput[]
}
const script: fc.Arbitrary<Script> = fc.record({
  polite: fc.integer({ min: 0, max: 19 }).map(n => n > 0),
  rights: fc.nat(7),
  initiates: fc.boolean(),
  inputs: fc.array(input, { minLength: INPUTS, maxLength: INPUTS })
})

/** Runs enough scripts for this many inputs. */
async function fuzz(inputs: number, run: (script: Script) => Promise<void>, path: number): Promise<void> {
  if (ALONE) return
  const numRuns = Math.max(Math.round(inputs / INPUTS), 1)
  await fc.assert(fc.asyncProperty(script, run), { numRuns, seed: SEED + path })
}

/** Runs attacks, several concurrently, until there were enough inputs. @returns the number of attacks by name */
async function besiege(
  t: Test,
  inputs: number,
  attacks: Arbitrary<Attack>,
  lanes: number,
  make: (attack: Attack) => Promise<number>
): Promise<Record<string, number>> {
  const made: Record<string, number> = {}
  let left = inputs
  const besiegeAlong = async (lane: number) => {
    for (let round = 0; left > 0; round++)
      for (const attack of fc.sample(attacks, { numRuns: 50, seed: SEED + lane + lanes * round })) {
        if (left <= 0) return
        const count = await make(attack).catch(error => {
          const again = `NETREF_FUZZ_INPUT='${JSON.stringify(attack)}' npm run fuzz`
          t.comment(`NETREF_FUZZ_SEED=${SEED}; alone: ${again}`)
          throw error
        })
        made[attack.name] = (made[attack.name] ?? 0) + count
        // An attack of many small frames does not displace the others.
        left -= Math.min(count, INPUTS)
      }
  }
  if (ALONE) await make(JSON.parse(ALONE))
  else await Promise.all(Array.from({ length: lanes }, (_, lane) => besiegeAlong(lane)))
  return made
}

/** Number of ended sessions by reason code. */
class Tally {
  readonly codes: Record<string, number> = {}
  /** Counts an ended session. @throws Error if its reason is not allowed */
  ended({ code, message, cause }: Reason, { exports, imports, pending }: SessionImpl['stats']): void {
    this.codes[code] = (this.codes[code] ?? 0) + 1
    if (!isReasonCode(code) || code === 'internal' || !message)
      throw new Error(`it ended with ${code}: ${message}`, { cause })
    if (exports || imports || pending) throw new Error(`it holds ${exports}, ${imports}, ${pending}`)
  }
}

t.test('fuzzing a session over memory', { buffered: true }, async t => {
  const tally = new Tally()
  const heard = new Map<unknown, number>()
  await using bystander = pair(FuzzService)
  let runs = 0
  let inputs = 0

  const join = ({ polite, rights, initiates }: Script) => {
    const [ours, its] = MemoryTransport.pair()
    const peer = new FuzzPeer(heard)
    ours.start({ onOpen() {}, onFrame: frame => peer.receive(frame), onClose() {} })
    // Frames arrive within `send`, so that errors thrown past the session are thrown here.
    ours.hold()
    its.hold()
    const [allowPublicAttrs, allowSetAttrs, allowDeleteAttrs] = [1, 2, 4].map(bit => (rights & bit) !== 0)
    // A limit that some inputs exceed.
    const options = { allowPublicAttrs, allowSetAttrs, allowDeleteAttrs, limits: { values: 8 }, onError() {} }
    const session = new SessionImpl(its, {
      ...settingsOf(options, 'serve'),
      isInitiator: initiates,
      createRoot: () => new FuzzService()
    }).start()
    const root = session.root as Untyped
    const calls: PromiseLike<unknown>[] = []
    let ended: Reason | undefined
    session.on('closed', reason => {
      ended = reason
    })
    const send = async (frame: string | Uint8Array) => {
      ours.send(frame)
      ours.letGo(1)
      // Lets iterators run.
      await turn()
      its.letGo(its.held)
    }
    return {
      async begin() {
        await undefined
        its.letGo(its.held)
        if (polite) await send(peer.frame(HELLO))
        if (initiates)
          calls.push(
            root.open(() => 1),
            root.open(1).lines()
          )
      },
      send: (input: FuzzInput) => send(peer.frame(input)),
      get ended() {
        return ended !== undefined
      },
      async end() {
        void session.close()
        tally.ended(await session.closed, session.stats)
        await Promise.allSettled(calls)
      }
    }
  }

  await fuzz(
    COUNT * SHARES.memory,
    async script => {
      let session = join(script)
      await session.begin()
      for (const input of script.inputs) {
        if (session.ended) {
          await session.end()
          session = join(script)
          await session.begin()
        }
        inputs++
        await session.send(input)
      }
      await session.end()
      // Lets timers and the garbage collector run.
      await turn()
      if (++runs % 50 === 0 && (await (bystander.root as Untyped).echo(runs)) !== runs)
        throw new Error('another session is not served')
      if (runs % 10 === 0 && !unchanged(before)) throw new Error('a prototype has changed')
    },
    0
  )
  t.comment(`${inputs} inputs; ended: ${JSON.stringify(tally.codes)}; heard: ${JSON.stringify([...heard])}`)
  if (ALONE) return
  t.ok(inputs >= COUNT * SHARES.memory - INPUTS)
  t.ok(tally.codes.protocol! > inputs / 10, 'many inputs are invalid')
  t.ok(tally.codes.limit! > inputs / 1000, 'some exceed a limit')
  t.ok(heard.get(10)! > inputs / 20 && heard.get(12)! > inputs / 20, 'many are processed')
  await assertClean(t, bystander.session, bystander.served)
})

/** An open socket that sends malformed frames, each after the previous one was processed. */
class BadSocket {
  readonly #peer: FuzzPeer
  readonly closed: Promise<void>
  #acted: (() => void) | undefined

  constructor(
    private readonly socket: WebSocket,
    heard: Map<unknown, number>
  ) {
    this.#peer = new FuzzPeer(heard)
    socket.on('error', () => {})
    socket.on('message', (data, isBinary) => this.#peer.receive(isBinary ? (data as Buffer) : String(data)))
    socket.on('pong', () => this.#acted?.())
    this.closed = new Promise<void>(resolve => socket.on('close', () => resolve())).then(() =>
      this.#acted?.()
    )
  }

  get open() {
    return this.socket.readyState === WebSocket.OPEN
  }

  /** The bytes below the frames. */
  get bytes(): Socket {
    return (this.socket as Untyped)._socket
  }

  /** Sends one input, and waits until the other end has processed it. */
  async say(input: FuzzInput): Promise<void> {
    if (!this.open) return
    this.socket.send(this.#peer.frame(input))
    await this.#settled()
  }

  async #settled(): Promise<void> {
    const acted = new Promise<void>(resolve => {
      this.#acted = resolve
    })
    this.socket.ping()
    await acted
  }

  async end(rudely: boolean): Promise<void> {
    if (rudely) this.socket.terminate()
    else this.socket.close()
    await this.closed
  }
}

/** Bytes that are not WebSocket frames, or are unusual ones. */
const noise = fc.oneof(
  fc.uint8Array({ minLength: 2, maxLength: 40 }),
  fc
    .tuple(
      fc.constantFrom(0x80, 0x81, 0x82, 0x88, 0x89, 0x01, 0x83, 0xc1, 0xf2),
      fc.nat(255),
      fc.uint8Array()
    )
    .map(([head, length, rest]) => Uint8Array.of(head, length, ...rest))
)

const MiB = 1 << 20
/** Asserts that memory did not grow, however many sessions there were. */
function assertBounded(t: Test, before: ProcessUsage, after: ProcessUsage): void {
  const figures = `held ${before.heldBytes / MiB} and then ${after.heldBytes / MiB}, at most ${after.peakBytes / MiB} MiB`
  t.comment(`${figures}; the longest turn took ${after.longestTurnMs} ms beyond JSON.parse`)
  t.ok(after.heldBytes < before.heldBytes + 20 * MiB, 'memory is released')
  t.same(after.faults, [])
}

t.test('hostile clients against a server in a process of 300 MB', { buffered: true }, async t => {
  const [victim, url] = await TargetProcess.start('hostile-server.ts')
  t.teardown(() => victim.kill())
  const heard = new Map<unknown, number>()
  const bystander = connect(`${url}/world`)
  const served = async (n: number) => {
    if ((await (bystander.root as Untyped).echo(n)) !== n) throw new Error('nobody else is served')
  }
  await served(1)
  const before = await victim.usage()
  let inputs = 0

  const join = async ({ polite }: Script) => {
    const socket = new WebSocket(`${url}/world`, { perMessageDeflate: false })
    const bad = new BadSocket(socket, heard)
    await once(socket, 'open')
    if (polite) await bad.say(HELLO)
    return bad
  }
  const run = async (script: Script) => {
    let bad = await join(script)
    for (const [i, input] of script.inputs.entries()) {
      if (!bad.open) {
        await bad.closed
        bad = await join({ ...script, polite: true })
      }
      inputs++
      await bad.say(input)
      if (i % 7 === 0) await served(i)
    }
    await bad.end(script.initiates)
  }
  // Four concurrently.
  const quarter = (COUNT * SHARES.server) / 4
  await victim.whileAlive(Promise.all([1, 2, 3, 4].map(path => fuzz(quarter, run, path))))
  await fc.assert(
    fc.asyncProperty(noise, fc.boolean(), async (bytes, rudely) => {
      const bad = await join({ polite: true } as Script)
      bad.bytes.write(bytes)
      bad.bytes.end()
      await bad.end(rudely)
    }),
    { numRuns: 200, seed: SEED }
  )
  const made = await victim.whileAlive(
    besiege(t, COUNT * SHARES.attacksOnServer, attackOnServer(OPEN), 4, async attack => {
      const count = await attackServer(url, attack)
      await served(count)
      return count
    })
  )
  t.comment(`${inputs} inputs; heard: ${JSON.stringify([...heard])}; attacks: ${JSON.stringify(made)}`)
  t.ok(ALONE || inputs >= 4 * quarter - 4 * INPUTS)
  await served(5)
  t.equal(bystander.stats.pending, 0)
  // Waits until interrupted sessions and silent sockets have expired.
  while ((await victim.usage()).sessions > 1) await turn()
  assertBounded(t, before, await victim.usage())
  const { report, exit } = await victim.end()
  t.comment(`ended: ${JSON.stringify(report.reasons)}`)
  t.match(report, { left: 1, faults: [], unchanged: true })
  t.match(await bystander.closed, { code: 'server-closed' })
  t.same(exit, [0, null], 'the process ended on the signal')
})

t.test('hostile servers against a client in a process of 300 MB', { buffered: true }, async t => {
  await using honest = await serve(FuzzService, { port: 0 })
  const [victim] = await TargetProcess.start('hostile-client.ts', honest.url)
  t.teardown(() => victim.kill())
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
  await once(sockets, 'listening')
  const { port } = sockets.address() as AddressInfo
  const heard = new Map<unknown, number>()
  const before = await victim.usage()
  let inputs = 0

  const visit = async (host: (bad: BadSocket) => Promise<void>) => {
    const came = once(sockets, 'connection')
    victim.send({ visit: `ws://127.0.0.1:${port}`, offer: '/world' })
    const left = victim.nextMessage()
    const [socket] = await came
    await host(new BadSocket(socket, heard))
    victim.send('leave')
    await left
  }
  const run = async ({ inputs: [...left], polite, initiates }: Script) => {
    while (left.length > 0)
      await visit(async bad => {
        if (polite) await bad.say(HELLO)
        while (left.length > 0 && bad.open) {
          inputs++
          await bad.say(left.shift()!)
        }
        await bad.end(initiates)
      })
  }
  await victim.whileAlive(fuzz(COUNT * SHARES.client, run, 5))
  await fc.assert(
    fc.asyncProperty(noise, fc.boolean(), (bytes, rudely) =>
      visit(async bad => {
        await bad.say(HELLO)
        bad.bytes.write(bytes)
        bad.bytes.end()
        await bad.end(rudely)
      })
    ),
    { numRuns: 200, seed: SEED }
  )
  sockets.close()
  await once(sockets, 'close')

  const bare = createServer()
  bare.listen(0, '127.0.0.1')
  await once(bare, 'listening')
  const made = await victim.whileAlive(
    besiege(t, COUNT * SHARES.attacksOnClient, attackOnClient(OPEN), 1, async attack => {
      const count = await attackClient(victim, bare, attack)
      if ((await victim.usage()).sessions !== 1) throw new Error('its other session is not served')
      return count
    })
  )
  bare.close()
  t.comment(`${inputs} inputs; heard: ${JSON.stringify([...heard])}; attacks: ${JSON.stringify(made)}`)
  t.ok(ALONE || inputs >= COUNT * SHARES.client - INPUTS)
  assertBounded(t, before, await victim.usage())
  const { report, exit } = await victim.end()
  t.comment(`ended: ${JSON.stringify(report.reasons)}`)
  t.match(report, { left: 1, faults: [], unchanged: true })
  t.same(exit, [0, null], 'the process ended on the signal')
})

t.test('a server of another protocol is unreachable', async t => {
  const answers = [
    '',
    'x',
    'HTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\n\r\n',
    '\0'.repeat(99)
  ]
  const bare = createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answers.shift()!))
  })
  bare.listen(0, '127.0.0.1')
  await once(bare, 'listening')
  while (answers.length > 0) {
    const conn = connect(`ws://127.0.0.1:${(bare.address() as AddressInfo).port}`)
    t.match(await rejectionOf((conn.root as Untyped).echo(1)), { code: 'unreachable' })
    await conn.close()
  }
  bare.close()
  await once(bare, 'close')
})

t.test('an ended session is released, and so is the service that holds its netrefs', async t => {
  const ended = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const conn = pair(FuzzService)
      await (conn.root as Untyped).keep(() => 1, new FuzzService())
      await conn.close()
      return new WeakRef(conn.served)
    })
  )
  await collectGarbage(() => ended.every(session => session.deref() === undefined))
  t.pass('nothing retains them')
})

t.test('no error was uncaught', async t => {
  t.same(faults, [], 'no rejection went unhandled')
  t.ok(unchanged(before), 'every prototype is unchanged')
})
