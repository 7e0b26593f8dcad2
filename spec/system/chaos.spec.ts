// Kills hundreds of sockets at random bytes; above the link nothing changes but the time. NETREF_CHAOS is the number
// of kills, NETREF_CHAOS_SEED the seed.
import t from 'tap'
import { type Connection, connect, expose, Netref, Service, serve } from '../../lib/index.js'
import { ChaosProxy, random } from '../support/chaos-proxy.js'
import { assertClean, waitUntil } from '../support/helpers.js'

const CUTS = Number(process.env.NETREF_CHAOS ?? 300)
const SEED = Number(process.env.NETREF_CHAOS_SEED ?? Date.now() & 0x7fffffff)
const CLIENTS = 4
/** Short times: a real network would take minutes. */
const HASTE = { heartbeat: 150, reconnect: { delay: 4, maxDelay: 40, initial: true } }

t.setTimeout(60_000 + CUTS * 500)
t.comment(`NETREF_CHAOS=${CUTS} NETREF_CHAOS_SEED=${SEED}`)

/** Records which client did what, in order. */
class Ledger {
  readonly #done = new Map<string, number[]>()
  add(who: string, what: number): void {
    const done = this.#done.get(who)
    if (done) done.push(what)
    else this.#done.set(who, [what])
  }
  /** Whether each client did its first operations once and in order. */
  isWhole(who: string, count: number): boolean {
    const done = this.#done.get(who) ?? []
    return done.length === count && done.every((what, i) => what === i)
  }
}

class Item {
  constructor(readonly number: number) {}
  exposed_number() {
    return this.number
  }
}

class Works extends Service {
  static readonly ledger = new Ledger()
  exposed_do(who: string, what: number) {
    Works.ledger.add(who, what)
    return what
  }
  async exposed_tell(from: number, count: number, listener: Netref<(n: number) => void>) {
    const told = Array.from({ length: count }, (_, i) => listener(from + i))
    await Promise.all(told)
    return count
  }
  exposed_make(number: number) {
    return new Item(number)
  }
  async *exposed_items(count: number) {
    for (let i = 0; i < count; i++) yield i
  }
  exposed_number(item: Netref<Item> | Item) {
    return item instanceof Item ? item.number : -1
  }
  exposed_echo<T>(value: T) {
    return value
  }
}

t.test(`after ${CUTS} killed connections every call, callback and reference is correct`, async t => {
  const server = await serve(Works, { port: 0, heartbeat: HASTE.heartbeat })
  const chaos = await ChaosProxy.inFrontOf(server.url, SEED)
  const next = random(SEED + 1)
  let interrupted = 0
  let resumed = 0
  const going = () => chaos.killedConnections < CUTS
  const conns = Array.from({ length: CLIENTS }, () => connect<Works>(chaos.url, HASTE))
  // Nothing keeps running afterwards, whatever happened.
  t.teardown(() => Promise.all([...conns, server, chaos].map(each => each.close())))
  const work = async ({ root }: Connection<Works>, name: string) => {
    const heard = new Ledger()
    const counts = { one: 0, many: 0, told: 0, made: 0, bytes: 0 }
    const listener = (n: number) => void heard.add(name, n)

    const one = async () => {
      while (going())
        if ((await root.do(`${name} one`, counts.one)) !== counts.one++) t.fail('a wrong answer')
    }
    const many = async () => {
      while (going()) {
        const calls = Array.from({ length: 50 }, () => root.do(`${name} many`, counts.many++))
        const answers = await Promise.all(calls)
        if (!answers.every((answer, i) => answer === counts.many - 50 + i)) t.fail('wrong answers')
      }
    }
    const callbacks = async () => {
      while (going()) {
        await root.tell(counts.told, 20, listener)
        counts.told += 20
      }
    }
    const references = async () => {
      while (going()) {
        const number = counts.made++
        const item = await root.make(number)
        const [same, home, far] = await Promise.all([root.echo(item), root.number(item), item.number()])
        if ((same as unknown) !== item || home !== number || far !== number) t.fail('a reference was lost')
        const mine = expose({})
        if ((await root.echo(mine)) !== (mine as unknown)) t.fail('the owner received another object')
        if (number % 2) Netref.release(item)
      }
    }
    const items = async () => {
      while (going()) {
        let count = 0
        for await (const item of await root.items(30)) if (item !== count++) t.fail('an item out of order')
        if (count !== 30) t.fail('an item was lost')
      }
    }
    const bytes = async () => {
      while (going()) {
        const sent = new Uint8Array(next() * 60_000).fill(counts.bytes++)
        const back = (await root.echo(sent)) as Uint8Array
        if (back.length !== sent.length || back.at(-1) !== sent.at(-1)) t.fail('bytes were changed')
      }
    }
    await Promise.all([one(), many(), callbacks(), references(), items(), bytes()])
    for (const who of ['one', 'many'] as const)
      t.ok(Works.ledger.isWhole(`${name} ${who}`, counts[who]), `${name}: ${counts[who]} calls, ${who}`)
    t.ok(heard.isWhole(name, counts.told), `${name}: ${counts.told} callbacks`)
  }
  for (const conn of conns) {
    conn.on('interrupted', () => interrupted++)
    conn.on('resumed', () => resumed++)
    await conn.ping()
  }
  chaos.injectFaults(CUTS)
  await Promise.all(conns.map((conn, i) => work(conn, `client ${i}`)))
  t.comment(JSON.stringify({ ...chaos.faultCounts, interrupted, resumed }))
  t.ok(resumed > CUTS / 3, 'the interruptions were noticed')
  t.equal(server.sessions.size, CLIENTS, 'no session was lost')
  const sessions = [...server.sessions, ...conns.map(conn => conn.session)]
  await waitUntil(() => sessions.every(({ state }) => state === 'open'))
  await assertClean(t, ...sessions)
  for (const conn of conns) await conn.close()
  await waitUntil(() => server.sessions.size === 0)
})
