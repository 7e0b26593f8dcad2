// Helpers of all specs: sessions over memory and sockets with a check for leaks, and waiting for a condition.

import { Agent } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { Test } from 'tap'
import {
  type Connection,
  connect,
  type Pair,
  type PairOptions,
  pair,
  type ServeOptions,
  type Server,
  type ServiceSource,
  type Session,
  serve
} from '../../lib/index.js'
import type { SessionImpl } from '../../lib/session/session.js'

declare const gc: () => void

/** Waits until `holds` returns true, at most 20 s. */
export async function waitUntil(holds: () => boolean, what = String(holds)): Promise<void> {
  for (const end = performance.now() + 20_000; performance.now() < end; ) {
    if (holds()) return
    await turn()
  }
  /* c8 ignore next 2: only a test that fails gets here. */
  throw new Error(`never came: ${what}`)
}

/**
 * Environment for programs that specs start: another tool compiles them, and its coverage does not merge with tap's.
 */
export const CHILD_ENV = { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0' }

const isIdle = ({ stats }: Session) =>
  stats.exports === 0 && stats.imports === 0 && stats.pending === 0 && stats.buffered === 0

/** Asserts that both tables are empty and no call is pending on any end after garbage collection. */
export async function assertClean(t: Test, ...sessions: Session[]): Promise<void> {
  for (let i = 0; i < 100 && !sessions.every(isIdle); i++) {
    // Answers are kept until the other end acknowledges the frame with the reply: a ping carries the acknowledgement.
    await Promise.all(sessions.map(session => session.ping().catch(() => 0)))
    await turn()
    gc()
    await turn()
  }
  for (const session of sessions) {
    const { exports, imports, pending, buffered } = session.stats
    t.same(
      { exports, imports, pending, buffered },
      { exports: 0, imports: 0, pending: 0, buffered: 0 },
      'both tables are empty, and nothing is pending'
    )
  }
}

/** Runs `use` with a session over memory, then asserts that both ends are clean. */
export async function overMemory<T extends object>(
  t: Test,
  service: ServiceSource<T>,
  use: (pair: Pair<T>) => Promise<void>,
  options: PairOptions = {}
): Promise<void> {
  await using joined = pair(service, options)
  await use(joined)
  await assertClean(t, joined.session, joined.served)
}

/** Runs `use` with a session over a real socket, then asserts that both ends are clean. */
export async function overSocket<T extends object>(
  t: Test,
  service: ServiceSource<T>,
  use: (conn: Connection<T>, server: Server) => Promise<void>,
  {
    client = {},
    server: serving = {}
  }: { client?: Parameters<typeof connect>[1]; server?: ServeOptions } = {}
): Promise<void> {
  await using server = await serve(service, { port: 0, ...serving })
  await using conn = connect<T>(server.url, client)
  await use(conn, server)
  await assertClean(t, conn.session, ...server.sessions)
}

/** An iterator of these steps; a record with `next` alone is not one. */
export const iterator = <S extends object>(steps: S) => ({
  ...steps,
  [Symbol.asyncIterator]() {
    return this
  }
})

/** Returns the error that a promise rejects with, or an error that says that it resolved. */
export async function rejectionOf(promise: PromiseLike<unknown>): Promise<Error & Record<string, unknown>> {
  const error = await promise.then(
    /* c8 ignore next: only a test that fails gets here. */
    value => new Error(`it resolved, with ${String(value)}`),
    error => error
  )
  return error as Error & Record<string, unknown>
}

/** Both ends of a session over any transport. */
export interface SessionEnds {
  /** Root of the serving end. */
  // biome-ignore lint/suspicious/noExplicitAny: specs of what happens, not of types
  readonly root: any
  readonly clientSession: Session
  readonly serverSession: Session
  /** Breaks the transport of the session. */
  breakTransport(): void
}

/** An agent for a client, and a function that destroys its latest socket. */
export function breakableAgent(): { readonly agent: Agent; die(): void } {
  const agent = new Agent() as Agent & { createConnection(...args: unknown[]): Socket }
  const open = agent.createConnection.bind(agent)
  let socket: Socket
  agent.createConnection = (...args) => {
    socket = open(...args)
    return socket
  }
  return { agent, die: () => socket.destroy() }
}

/** Options of both ends; with `resumes: false` a session ends when its socket breaks. */
interface BothOptions extends PairOptions {
  readonly resumes?: boolean
}

/** Runs `use` over memory, then over a real socket, and asserts each time that both ends are clean. */
export async function overMemoryAndSocket(
  t: Test,
  service: () => object,
  use: (joined: SessionEnds, t: Test) => Promise<void>,
  { serving = {}, resumes = true, ...client }: BothOptions = {}
): Promise<void> {
  await t.test('over memory', t =>
    overMemory(
      t,
      service(),
      async ({ root, session, served, transports: [, transport] }) => {
        const die = () => transport.close({ code: 'connection-lost', message: 'it broke' })
        await use({ root, clientSession: session, serverSession: served, breakTransport: die }, t)
      },
      { serving, ...client }
    )
  )
  await t.test('over a socket', async t => {
    const { agent, die } = breakableAgent()
    await overSocket(
      t,
      service(),
      async (conn, server) => {
        await conn.ping()
        const [theirs] = server.sessions
        await use(
          { root: conn.root, clientSession: conn.session, serverSession: theirs!, breakTransport: die },
          t
        )
      },
      {
        client: { ...client, agent, ...(resumes ? {} : { reconnect: false }) },
        server: { ...serving, ...(resumes ? {} : { resumeWindow: 0 }) }
      }
    )
  })
}

/** The class behind a session: for specs that look at what users cannot see. */
export const implOf = (session: Session): SessionImpl => session as SessionImpl
