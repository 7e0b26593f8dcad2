// Tests that servers behind the real nginx and HAProxy are restarted under load without the loss of a call. The
// configurations of the proxies are those of the guide.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { connect, Netref } from '../../lib/index.js'
import type { Shop } from '../support/fixtures/draining-server.js'
import { assertClean, CHILD_ENV } from '../support/helpers.js'
import { skipUnlessInstalled } from '../support/installed-programs.js'
import { haproxy, nginx, startLoadBalancer } from '../support/load-balancers.js'
import { freePort } from '../support/proxies.js'

const CLIENTS = 30
/** Calls that each client has under way. */
const CALLS = 4
/** The drain of the servers is 20 s; that of busy clients must end long before. */
const MAX_DRAIN_MS = 5000
const RENEWING = { renew: true, affinity: true, reconnect: { delay: 20 } }

/** A server in a process of its own. */
class Instance {
  private constructor(private readonly process: ChildProcess) {}

  static async start(t: Test, port: number): Promise<Instance> {
    const program = fileURLToPath(new URL('../support/fixtures/draining-server.ts', import.meta.url))
    const child = fork(program, [String(port)], { env: CHILD_ENV, execArgv: ['--import', 'tsx'] })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child, 'message')
    return new Instance(child)
  }

  /** Sends SIGTERM, and waits until the process has ended. */
  async end(): Promise<{ readonly ms: number; readonly ran: readonly number[] }> {
    const began = performance.now()
    this.process.kill('SIGTERM')
    const [[ran]] = await Promise.all([once(this.process, 'message'), once(this.process, 'exit')])
    return { ms: performance.now() - began, ran: ran as number[] }
  }
}

for (const balancer of [nginx, haproxy]) {
  const { name, run } = balancer
  t.test(`servers behind ${name} restart under load`, { skip: skipUnlessInstalled(run[0]!) }, async t => {
    const [one, two] = [await freePort(), await freePort()]
    const [first, second] = await Promise.all([Instance.start(t, one), Instance.start(t, two)])
    const port = await startLoadBalancer(t, balancer, [one, two])

    let calls = 0
    let callbacks = 0
    let isStopping = false
    const failures: unknown[] = []
    const clients = Array.from({ length: CLIENTS }, () => {
      const conn = connect<Shop>(`ws://127.0.0.1:${port}`, RENEWING)
      const events: string[] = []
      for (const name of ['leaving', 'renewed', 'interrupted', 'closed'] as const)
        conn.on(name, () => events.push(name))
      const useOnce = async (number: number) => {
        callbacks++
        await sleep(5)
        return -number
      }
      const loop = async () => {
        while (!isStopping) {
          const number = ++calls
          try {
            const result = await conn.root.sell(number, Netref.lend(useOnce))
            if (result !== -number) failures.push(result)
          } catch (error) {
            return void failures.push(error)
          }
        }
      }
      return { conn, events, loops: Promise.all(Array.from({ length: CALLS }, loop)) }
    })
    await Promise.all(clients.map(({ conn }) => conn.opened))
    await sleep(500)
    const ends = [await first.end()]
    const third = await Instance.start(t, one)
    await sleep(500)
    ends.push(await second.end())
    const fourth = await Instance.start(t, two)
    await sleep(500)
    isStopping = true
    await Promise.all(clients.map(({ loops }) => loops))
    await assertClean(t, ...clients.map(({ conn }) => conn.session))
    await Promise.all(clients.map(({ conn }) => conn.close()))
    ends.push(await third.end(), await fourth.end())

    t.same(failures, [], 'no call fails')
    t.equal(callbacks, calls, 'each callback runs once')
    t.same(
      ends.flatMap(({ ran }) => ran).sort((a, b) => a - b),
      Array.from({ length: calls }, (_, i) => i + 1),
      'each call runs once'
    )
    for (const { ms } of ends) t.ok(ms < MAX_DRAIN_MS, `a server ends after ${Math.round(ms)} ms`)
    const moves = clients.map(({ events }) => events.filter(event => event === 'renewed').length)
    t.ok(Math.min(...moves) >= 1, 'each client moves')
    t.same(
      clients.flatMap(({ events }) => events.filter(event => event === 'interrupted')),
      [],
      'no session is interrupted'
    )
    t.comment(`${calls} calls, ${moves.reduce((a, b) => a + b)} moves`)
  })
}
