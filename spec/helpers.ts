// What all specs share: sessions that must end clean, and a wait for what is to come.
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
} from '../lib/index.js'

declare const gc: () => void

/** Waits, by turns of the event loop and not by the clock, until `holds` does. */
export async function until(holds: () => boolean, what = String(holds)): Promise<void> {
  for (let i = 0; i < 20_000; i++) {
    if (holds()) return
    await turn()
  }
  throw new Error(`never came: ${what}`)
}

const idle = ({ stats }: Session) => stats.exports === 0 && stats.imports === 0 && stats.pending === 0

/** Asserts that nothing is held and nothing pending on either end once the collector has run. */
export async function assertClean(t: Test, ...sessions: Session[]): Promise<void> {
  for (let i = 0; i < 100 && !sessions.every(idle); i++) {
    // Answers are kept until the other end counts the frame with the reply: a ping carries the count.
    await Promise.all(sessions.map(session => session.ping().catch(() => 0)))
    await turn()
    gc()
    await turn()
  }
  for (const session of sessions) {
    const { exports, imports, pending } = session.stats
    t.same(
      { exports, imports, pending },
      { exports: 0, imports: 0, pending: 0 },
      'both tables are empty, nothing pends'
    )
  }
}

/** A session over memory: `use` it; when that is done both ends must be clean. */
export async function overMemory<T extends object>(
  t: Test,
  service: ServiceSource<T>,
  use: (pair: Pair<T>) => Promise<void>,
  options: PairOptions = {}
): Promise<void> {
  const joined = pair(service, options)
  await use(joined)
  await assertClean(t, joined.session, joined.served)
  await joined.close()
}

/** A session over a real socket: `use` it; when that is done both ends must be clean. */
export async function overSocket<T extends object>(
  t: Test,
  service: ServiceSource<T>,
  use: (conn: Connection<T>, server: Server) => Promise<void>,
  {
    client = {},
    server: serving = {}
  }: { client?: Parameters<typeof connect>[1]; server?: ServeOptions } = {}
): Promise<void> {
  const server = await serve(service, { port: 0, ...serving })
  const conn = connect<T>(server.url, client)
  await use(conn, server)
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await server.close()
}

/** What a promise rejects with; fails if it resolves. */
export async function rejection(promise: PromiseLike<unknown>): Promise<Error & Record<string, unknown>> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as Error & Record<string, unknown>
  }
  throw new Error(`it resolved, with ${String(value)}`)
}
