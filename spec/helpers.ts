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

/** Waits until `holds` does, and no longer than a test may take. */
export async function until(holds: () => boolean, what = String(holds)): Promise<void> {
  for (const end = performance.now() + 20_000; performance.now() < end; ) {
    if (holds()) return
    await turn()
  }
  /* c8 ignore next 2: only a test that fails gets here. */
  throw new Error(`never came: ${what}`)
}

/** For programs that specs start: they are compiled by another tool, whose coverage does not merge with tap's. */
export const CHILD_ENV = { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0' }

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
  await using joined = pair(service, options)
  await use(joined)
  await assertClean(t, joined.session, joined.served)
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
  await using server = await serve(service, { port: 0, ...serving })
  await using conn = connect<T>(server.url, client)
  await use(conn, server)
  await assertClean(t, conn.session, ...server.sessions)
}

/** What a promise rejects with; if it resolves, an error that says so. */
export async function rejection(promise: PromiseLike<unknown>): Promise<Error & Record<string, unknown>> {
  const error = await promise.then(
    /* c8 ignore next: only a test that fails gets here. */
    value => new Error(`it resolved, with ${String(value)}`),
    error => error
  )
  return error as Error & Record<string, unknown>
}
